from __future__ import annotations

import equinox as eqx
import jax
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from covey import environments
from covey.environments.routing.draw import MOST_STRETCH, OVER, laid_out, shares
from covey.environments.routing.records import Sketch

KEY = jax.random.key(0)
WORLDS = {
    "routing/small-contended": {"steps": 64},
    "routing/large": {"steps": 64},
    "routing/abilene": {"steps": 64, "history": 1, "time_limit": 4, "failure_rate": 1.0},
}


@pytest.fixture(scope="module", params=WORLDS)
def begun(request):
    """(world, state, time step) after one step of equal splits."""
    world = environments.make(request.param, **WORLDS[request.param])
    state, _ = eqx.filter_jit(world.reset)(KEY)
    return world, *eqx.filter_jit(world.step)(KEY, state, {"router": state.action})


@pytest.fixture
def axes():
    figure = Figure(figsize=(8, 5.6))
    FigureCanvasAgg(figure)
    return figure.add_axes((0, 0, 1, 1))


def texts(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def boxes(axes) -> list:
    """The framed numbers on links."""
    return [text for text in axes.texts if text.get_bbox_patch() is not None]


def test_a_frame_says_what_the_state_says(begun, axes):
    world, state, now = begun
    world.draw(axes, state, now, history=[state])
    said = texts(axes)
    assert {world.spec.name, f"step 1 of {world.spec.time_limit}", f"MLU {float(state.mlu):.3f}"} <= set(said)
    assert set(world.sketch.nodes) <= set(said)
    assert f"{100 * float(state.mlu):.0f}" in {text.get_text() for text in boxes(axes)}
    axes.figure.canvas.draw()


def test_every_frame_replaces_the_last(begun, axes):
    world, state, now = begun
    world.draw(axes, state, now)
    once = len(axes.get_children()), texts(axes)
    world.draw(axes, state, now)
    assert (len(axes.get_children()), texts(axes)) == once


def test_links_that_are_down_are_dashed_and_carry_no_number(begun, axes):
    world, state, now = begun
    world.draw(axes, state, now)
    down = int((~world.failures.up[int(state.failure)]).sum())
    assert down == (world.spec.name == "routing/abilene")
    assert len(axes.lines) == down


def test_overload_is_red(begun, axes):
    world, state, now = begun
    busy = state.utilization.at[0].set(1.2)
    world.draw(axes, state._replace(utilization=busy, mlu=busy.max()), now)
    (hot,) = (text for text in boxes(axes) if text.get_text() == "120")
    assert to_hex(hot.get_bbox_patch().get_facecolor()).upper() == OVER


def test_shares_of_a_router_sum_to_one(begun):
    world, state, _ = begun
    share = shares(world, state, state.action)
    sources = np.asarray(world.sketch.links)[:, 0]
    for node in range(len(world.sketch.nodes)):
        own = share[sources == node]
        if np.isfinite(own).any():
            assert node in world.wiring.agents
            assert np.nansum(own) == pytest.approx(1.0, abs=1e-5)
    assert np.isfinite(share).any()


def test_shares_follow_the_action(axes):
    world = environments.make("routing/small", steps=64)
    state, now = eqx.filter_jit(world.reset)(KEY)
    action = np.tile([0.8, 0.2], (2, 1)).astype(np.float32)
    named = {world.sketch.nodes[a] + world.sketch.nodes[b]: i for i, (a, b) in enumerate(world.sketch.links)}
    share = shares(world, state, action)
    np.testing.assert_allclose(share[[named["AC"], named["AE"], named["BD"], named["BE"]]], [0.8, 0.2] * 2, rtol=1e-5)
    assert np.isnan(share[[named["EF"], named["FC"], named["FD"]]]).all()
    world.draw(axes, state, now, action={"router": action})
    assert texts(axes).count("80%") == 2


def test_layout_fills_its_box_without_distortion():
    box = (10.0, 20.0, 410.0, 120.0)
    for places in ([(0, 0), (4, 1), (2, 0.5)], [(0, 0), (1, 1)], [(0, 0), (7, 0)], [(3, 3), (3, 9)], [(5, 5), (5, 5)]):
        laid = laid_out(Sketch(("a", "b", "c")[: len(places)], tuple(places), ()), box)
        assert (laid >= np.array(box[:2]) - 1e-6).all()
        assert (laid <= np.array(box[2:]) + 1e-6).all()
        extent, before = np.ptp(laid, axis=0), np.ptp(np.array(places, float), axis=0)
        if (before > 0).all():
            stretch = (extent / before)[0] / (extent / before)[1]
            assert 1 / MOST_STRETCH - 1e-6 <= stretch <= MOST_STRETCH + 1e-6
