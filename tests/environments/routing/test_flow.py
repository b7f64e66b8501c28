"""Traffic as a fluid: conservation for any splits, and ticks by hand."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import diamond

from covey import environments
from covey.core.types import Splits
from covey.environments.routing.flow import (
    LINK_LAG,
    by_router,
    by_source,
    empty,
    in_flight,
    settled,
    settled_load,
    share_out,
    tick,
    wire_hops,
    wire_paths,
)
from covey.environments.routing.hops import next_hops
from covey.environments.routing.paths import shortest_paths
from covey.environments.routing.splits import loads, path_to_hop

WORLDS = {
    "path": environments.make("routing/small-contended", steps=64, failure_rate=0.7),
    "hop": environments.make("routing/large", steps=64, failure_rate=0.7, terminate=False),
}
STEP = {name: jax.jit(world.step) for name, world in WORLDS.items()}
RESET = {name: jax.jit(world.reset) for name, world in WORLDS.items()}


def random_weights(world, seed):
    return np.random.default_rng(seed).exponential(size=world.wiring.legal.shape).astype(np.float32)


@pytest.mark.parametrize("control", WORLDS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_what_enters_is_delivered_or_on_its_way(control, seed):
    world = WORLDS[control]
    state, _ = RESET[control](jax.random.key(seed))
    for step in range(4):
        state, _ = STEP[control](None, state, {"router": random_weights(world, seed + step)})
        assert float(state.pipes.injected) == pytest.approx(
            float(state.pipes.delivered + in_flight(state.pipes)), rel=1e-4
        )
    before = float(state.pipes.injected)
    state, _ = STEP[control](None, state, {"router": random_weights(world, seed)})
    entered = world.bank.ticks[int(state.start) + 4].sum()
    assert float(state.pipes.injected) - before == pytest.approx(entered, rel=1e-3)
    assert not state.utilization[~world.failures.up[int(state.failure)]].any()


@pytest.mark.parametrize("control", WORLDS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_settled_flow_delivers_every_demand(control, seed):
    wiring = WORLDS[control].wiring
    split = share_out(wiring.action, random_weights(WORLDS[control], seed), wiring.legal)
    demand = np.random.default_rng(seed).exponential(size=WORLDS[control].bank.mean.shape[1]).astype(np.float32)
    flow = settled(wiring, split, demand)
    delivered = (wiring.absorbs * (wiring.into @ flow)).sum(0) @ wiring.goal
    pairs = WORLDS[control].paths.pairs
    wanted = [demand[pairs[:, 1] == goal].sum() for goal in np.unique(pairs[:, 1])]
    np.testing.assert_allclose(delivered, wanted, rtol=1e-5)
    np.testing.assert_allclose(settled_load(wiring, split, demand), flow.sum(1), rtol=1e-5)


def test_settled_load_is_the_matrix_product_under_either_control():
    paths = shortest_paths(diamond(), 4, pairs=[(0, 3), (1, 3)])
    hops, rng = next_hops(paths), np.random.default_rng(0)
    splits = rng.exponential(size=paths.valid.shape) * paths.valid
    splits /= splits.sum(-1, keepdims=True)
    demand = np.array([5.0, 2.0])
    load = loads(paths, splits, demand)
    np.testing.assert_allclose(settled_load(wire_paths(paths), by_source(paths, splits), demand), load, rtol=1e-5)
    wiring = wire_hops(paths, hops)
    ratios = by_router(wiring.agents, path_to_hop(paths, hops, splits, demand))
    np.testing.assert_allclose(settled_load(wiring, ratios, demand), load, rtol=1e-5)


def test_a_drop_takes_one_tick_in_a_router_and_four_on_a_link():
    wiring = wire_paths(shortest_paths(diamond(), 2, pairs=[(0, 3)]))  # S-T, then S-M-T
    ratio = wiring.ratios(np.zeros((1, 2)))
    pipes, seen = empty(wiring), []
    for t in range(3 * (1 + LINK_LAG)):
        drop = wiring.inject(np.array([[0.0, 1.0]]), np.array([8.0 if t == 0 else 0.0]))
        pipes, sent = tick(wiring, pipes, ratio, drop)
        seen.append((*np.flatnonzero(sent.sum(1)), float(pipes.delivered)))
    s_m, m_t = 0, 2
    assert [row for row in seen if len(row) > 1] == [(s_m, 0.0), (m_t, 0.0)]
    assert [t for t, row in enumerate(seen) if len(row) > 1] == [1, 1 + 1 + LINK_LAG]
    assert [row[-1] for row in seen].index(8.0) == 2 * (1 + LINK_LAG)
    assert float(in_flight(pipes)) == 0


def test_shares_are_of_what_is_legal():
    legal = np.array([[True, True, True, False, False, False]])
    weights = np.array([[1.0, 3.0, -2.0, 5.0, 1.0, 1.0]])
    np.testing.assert_allclose(share_out(Splits((2, 2, 2)), weights, legal), [[0.25, 0.75, 1, 0, 0, 0]], rtol=1e-6)


def test_what_agents_control_is_in_the_order_of_their_pairs():
    paths = shortest_paths(diamond(), 2, pairs=[(1, 3), (0, 3), (0, 1)])  # M-T; S-T, S-M-T; S-M
    values = np.array([[1, 2], [3, 4], [5, 6]])
    np.testing.assert_array_equal(by_source(paths, values), [[3, 4, 5, 6], [1, 2, 0, 0]])
    np.testing.assert_array_equal(by_source(paths, values[None])[0], by_source(paths, values))
    wiring = wire_paths(paths)
    assert wiring.agents == (0, 1)
    np.testing.assert_array_equal(wiring.legal, by_source(paths, paths.valid))
    rates = wiring.rates(by_source(paths, values), np.ones(3))
    np.testing.assert_array_equal(rates, values[paths.valid])
