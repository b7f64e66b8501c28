"""Dreams: what an agent imagines from a step of an episode on, while it does what it did there."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure
from matwm_cases import SPEC, drawn, played, small
from test_matwm_pictures import SMALL, seen
from test_matwm_pictures import SPEC as CAMERAS

from covey.algorithms.matwm.dreaming import SAMPLES
from covey.algorithms.matwm.records import Nets, State
from covey.algorithms.random import random
from covey.core.errors import BadInput
from covey.runs.dreaming import draw_dream
from covey.runs.episode import Episode


def episode(rollout) -> Episode:
    """A rollout [T, 1, ...] of one episode, as it is recorded."""
    now, then = (jax.tree.map(lambda x: np.asarray(x)[:, 0], steps) for steps in (rollout.now, rollout.then))
    steps = jax.tree.map(lambda a, b: np.concatenate([a, b[-1:]]), now, then)
    earned = jax.tree.map(lambda a, b: np.concatenate([a[:1], b]), now, then)
    steps = steps._replace(reward=earned.reward, discount=earned.discount, last=earned.last)
    return Episode((), steps, jax.tree.map(lambda x: np.asarray(x)[:, 0], rollout.action), {})


@pytest.fixture(scope="module")
def dreaming():
    algorithm = small()
    state = State(Nets(drawn(algorithm), (), ()), ())  # type: ignore[arg-type]
    dream = jax.jit(functools.partial(algorithm.dream, agent="x_1", start=4))
    return algorithm, state, lambda steps, actions: dream(state, steps, actions, key=jax.random.key(0))


EPISODE = episode(played((9, True)))


def test_a_dream_is_of_one_agent_and_has_everything_by_name(dreaming):
    algorithm, _, dream = dreaming
    found, horizon = dream(EPISODE.steps, EPISODE.actions), algorithm.imagination.horizon
    assert {name: x.shape for name, x in found.obs.items()} == {"place": (SAMPLES, horizon + 1, 2)}
    assert found.reward.shape == found.discount.shape == (SAMPLES, horizon)
    assert {name: x.shape for name, x in found.others.items()} == dict.fromkeys(
        ("x_0", "y_0"), (SAMPLES, horizon, 1, 3)
    )
    np.testing.assert_allclose(found.others["y_0"].sum(-1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(found.others["x_0"][..., 2], 0.0, atol=1e-6)  # it has two choices


def test_a_dream_knows_what_came_before_and_what_its_agent_does_and_nothing_else(dreaming):
    algorithm, _, dream = dreaming
    usual = dream(EPISODE.steps, EPISODE.actions)

    def moved(t, name="x"):
        obs = {**EPISODE.steps.obs, name: EPISODE.steps.obs[name].copy()}
        obs[name][t] += 3.0
        return dream(EPISODE.steps._replace(obs=obs), EPISODE.actions)

    def done(t, group, who):
        choice = {**EPISODE.actions, group: EPISODE.actions[group].copy()}
        choice[group][t, who] = 1 - choice[group][t, who]
        return dream(EPISODE.steps, choice)

    def same(a, b):
        return all((x == y).all() for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))

    assert algorithm.imagination.context == 2
    assert [same(moved(t), usual) for t in (1, 2, 4, 5)] == [True, False, False, True]
    assert same(moved(4, "y"), usual)
    assert [same(done(t, "x", 1), usual) for t in (1, 2, 3, 4, 6, 7)] == [True, False, False, False, False, True]
    assert same(done(4, "x", 0), usual)


def test_a_dream_ends_with_its_episode():
    algorithm = small()
    state = State(Nets(drawn(algorithm), (), ()), ())  # type: ignore[arg-type]
    shape = jax.eval_shape(
        lambda steps, actions: algorithm.dream(state, steps, actions, "y_0", 8, jax.random.key(0)),
        *(EPISODE.steps, EPISODE.actions),
    )
    assert shape.reward.shape == (SAMPLES, 1)


def test_fields_come_back_in_their_own_size_and_unit():
    algorithm = small(CAMERAS, model=SMALL)
    agents, now = algorithm.agents, seen()
    obs = agents.observe(now).obs
    shown = {name: (x / 255.0 if x.dtype == jnp.uint8 else x)[None] for name, x in obs.items()}
    for who, (group, index) in enumerate([("camera", 0), ("camera", 1), ("gray", 0), ("plain", 0)]):
        own = agents.fields_of(who, jax.tree.map(lambda x, who=who: x[:, who], shown))
        true = CAMERAS.groups[group].fields_of(now.obs[group])
        assert list(own) == [field.name for field in CAMERAS.groups[group].obs]
        for field in CAMERAS.groups[group].obs:
            valid = field.valid[index] if field.valid else field.size
            a, b = (np.asarray(x, float).ravel()[:valid] for x in (own[field.name][0], true[field.name][index]))
            np.testing.assert_allclose(a, b, rtol=1e-5)


def test_the_figure_has_a_panel_for_everything(dreaming):
    algorithm, state, _ = dreaming
    figure, name = draw_dream(algorithm, state, EPISODE, "x_1", 4)
    assert isinstance(figure, Figure)
    assert name == "x_1"
    titles = {axes.get_title(loc="left") for axes in figure.axes}
    wanted = {"place", "reward", "chance of a future", "x_0: chances of its actions", "y_0: chances of its actions"}
    assert wanted <= titles
    reward = next(axes for axes in figure.axes if axes.get_title(loc="left") == "reward")
    np.testing.assert_array_equal(reward.lines[0].get_ydata(), [15.0, 16.0, 17.0])  # x_1 earns t + 11


def test_who_imagines_nothing_and_steps_that_are_not_there_are_refused(dreaming):
    algorithm, state, _ = dreaming
    with pytest.raises(BadInput, match="no dream to draw: Random has no world model; render a run of 'matwm'"):
        draw_dream(random(SPEC), (), EPISODE, None, 0)
    with pytest.raises(BadInput, match="cannot begin at step 9 of an episode of 9 steps: choose one from 0 to 8"):
        draw_dream(algorithm, state, EPISODE, None, 9)
    with pytest.raises(BadInput, match="the learning agent 'x_2' is unknown"):
        draw_dream(algorithm, state, EPISODE, "x_2", 0)
