"""The routing world: two steps by hand, rewards and endings, what is seen, failures, held-out demand."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import contended

from covey import environments
from covey.core.environment import evaluation_world
from covey.testing import check_environment

KEY = jax.random.key(0)


def make(id, **options):
    short = {"steps": 64, "time_limit": 8, "history": 3} if id == "abilene" else {"steps": 64}
    return environments.make(f"routing/{id}", **short | options)


def play(world, *weights):
    """The time steps of an episode, and its states."""
    state, now = jax.jit(world.reset)(KEY)
    step, states, steps = jax.jit(world.step), [state], [now]
    for weight in weights:
        state, now = step(None, state, {"router": jnp.asarray(weight, jnp.float32)})
        states, steps = [*states, state], [*steps, now]
    return states, steps


DIRECT = [[1, 0], [1, 0]]
EQUAL = [[0.5, 0.5], [0.5, 0.5]]


# --------------------------------------------------------------------------------------------------------------- a step
def test_two_steps_with_delays_by_hand():
    """Capacity 100 on A-C, A-E, B-E, B-D, E-F, F-C, F-D; 60 from A to C and 40 from B to D, half and half before.

    From tick 1 on both send everything directly. What their routers held then still takes the detour: for one more tick
    on A-E, five ticks later on E-F, ten later on F-C.
    """
    states, steps = play(contended([60, 40]), DIRECT, DIRECT)
    first = [(30 + 6 * 60) / 7, 30 / 7, 20 / 7, (20 + 6 * 40) / 7, 6 * 50 / 7, 30, 20]
    second = [60, 0, 0, 40, 0, 4 * 30 / 7, 4 * 20 / 7]
    np.testing.assert_allclose(states[1].utilization, np.array(first) / 100, rtol=1e-5)
    np.testing.assert_allclose(states[2].utilization, np.array(second) / 100, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(steps[1].reward["router"], 1 - first[0] / 100, rtol=1e-6)
    np.testing.assert_allclose(steps[2].reward["router"], 1 - 0.6, rtol=1e-6)


def test_a_step_without_delays_by_hand():
    states, steps = play(contended([60, 40], ticks=1, payoff="-ratio"), [[3, 1], [1, 1]])
    np.testing.assert_allclose(states[1].utilization, [0.45, 0.15, 0.2, 0.2, 0.35, 0.15, 0.2], rtol=1e-6)
    assert float(states[1].optimum) == pytest.approx(1 / 3)  # 100 over A-C, B-D and E-F
    np.testing.assert_allclose(steps[1].reward["router"], -0.45 * 3, rtol=1e-5)


def test_on_small_the_equal_split_is_optimal():
    world = make("small", delays=False)
    states, steps = play(world, EQUAL)
    demand = world.bank.mean[int(states[0].start)]
    assert float(states[1].mlu) == pytest.approx(demand.max() / 200, rel=1e-6)
    np.testing.assert_allclose(world.bank.optimum[0], world.bank.mean.max(1) / 200, rtol=1e-5)
    np.testing.assert_allclose(steps[1].reward["router"], 1 - demand.max() / 200, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("id", "control"), [("small-contended", "path"), ("large", "hop"), ("abilene", "path")])
def test_no_split_is_better_than_the_linear_program(id, control):
    world = make(id, control=control, failure_rate=0.5, **{} if id == "abilene" else {"delays": False})

    @jax.jit
    @jax.vmap
    def ratio(key):
        k_reset, k_act = jax.random.split(key)
        state, _ = world.reset(k_reset)
        sharp = jax.random.exponential(k_act, world.wiring.legal.shape) ** 3
        return world.measure(world.step(None, state, {"router": sharp})[0])["mlu_ratio"]

    ratios = ratio(jax.random.split(KEY, 64))
    assert ratios.min() > 1 - 1e-4
    assert ratios.max() > 1.1


def test_splits_are_made_whole():
    world = make("large")
    weights = jax.random.normal(KEY, world.wiring.legal.shape)
    (_, state), (_, _) = play(world, weights)
    parts = np.asarray(state.action).reshape(len(world.wiring.agents), -1, 2)
    chosen = world.wiring.legal.reshape(parts.shape).any(-1)
    np.testing.assert_allclose(parts.sum(-1), chosen, rtol=1e-6)
    assert (state.action[~world.wiring.legal] == 0).all()
    (_, same), _ = play(world, 10 * weights)
    np.testing.assert_allclose(state.action, same.action, rtol=1e-5)


def test_the_reward_has_a_gradient_in_the_splits():
    world = make("large")
    state, _ = world.reset(KEY)

    @jax.grad
    def slope(action):
        def step(state, _):
            state, then = world.step(None, state, {"router": action})
            return state, then.reward["router"].mean()

        return jax.lax.scan(step, state, None, length=4)[1].sum()

    gradient = jax.jit(slope)(jnp.asarray(world.wiring.legal, jnp.float32))
    assert np.isfinite(gradient).all()
    assert (np.abs(gradient).sum(1) > 0).sum() >= 2  # of the routers before the busiest link


# -------------------------------------------------------------------------------------------------------------- endings
def test_an_overload_ends_the_episode_for_good():
    states, steps = play(contended([150, 40]), DIRECT, DIRECT)
    assert float(states[2].mlu) == pytest.approx(1.5, rel=1e-5)
    np.testing.assert_allclose(steps[2].reward["router"], 1 - 1.5 - 1, rtol=1e-5)
    assert bool(steps[2].last)
    np.testing.assert_array_equal(steps[2].discount["router"], 0)


def test_without_termination_an_overload_is_only_a_bad_step():
    _, steps = play(contended([150, 40], terminate=False, penalty=0.0), DIRECT, DIRECT)
    np.testing.assert_allclose(steps[2].reward["router"], 1 - 1.5, rtol=1e-5)
    assert not bool(steps[2].last)
    np.testing.assert_array_equal(steps[2].discount["router"], 1)


def test_a_time_limit_leaves_the_discount_at_1():
    _, steps = play(contended([60, 40], time_limit=2), EQUAL, EQUAL)
    assert [bool(step.last) for step in steps] == [False, False, True]
    np.testing.assert_array_equal(steps[2].discount["router"], 1)


def test_the_bonus_is_each_agents_own_and_not_for_evaluation():
    world = contended([60, 40], ticks=1, bonus=0.1)
    assert not world.spec.shared_reward
    _, steps = play(world, DIRECT)
    np.testing.assert_allclose(steps[1].reward["router"], [0.4 + 0.1 * 0.4, 0.4 + 0.1 * 0.6], rtol=1e-6)
    held_out = evaluation_world(world)
    assert held_out.spec.shared_reward
    np.testing.assert_allclose(play(held_out, DIRECT)[1][1].reward["router"], 0.4, rtol=1e-6)


# --------------------------------------------------------------------------------------------------------- observations
@pytest.mark.parametrize(("id", "see", "size"), [("small", "own", 28), ("large", "own", 30), ("large", "probe", 48)])
def test_observations_are_as_large_as_those_of_the_demo(id, see, size):
    assert make(id, see=see).spec.groups["router"].obs_size == size


def test_what_is_seen_with_delays_by_hand():
    _, steps = play(contended([60, 40], see="probe"), DIRECT)
    a, b = np.asarray(steps[1].obs["router"])
    buffer, links, action, own, probe = np.split(a, [4, 24, 26, 28])
    np.testing.assert_allclose(
        buffer, [1, 0, 1, 0], rtol=1e-6
    )  # two ticks of 60 for C, in units of the largest mean demand
    np.testing.assert_allclose(links, [0.6, 0] * 5 + [0] * 10, rtol=1e-6)
    np.testing.assert_allclose(action, [1, 0], rtol=1e-6)
    np.testing.assert_allclose(own, [390 / 700, 30 / 700], rtol=1e-5)
    np.testing.assert_allclose(probe[4], 300 / 700, rtol=1e-5)
    np.testing.assert_allclose(probe, b[-7:], rtol=1e-6)


@pytest.mark.parametrize(("setting", "newest"), [("omniscient", 0), ("predictive", 1)])
def test_whether_the_demand_that_is_routed_is_seen(setting, newest):
    world = make("abilene", setting=setting)
    (state, _), (now, _) = play(world, world.wiring.legal)
    step, failure = np.asarray(now.state)
    assert (step, failure) == (int(state.start), 0)
    seen = np.asarray(now.obs["router"][0, :33]).reshape(11, 3)
    own = world.bank.mean[step - newest - np.arange(3)][:, :11].T
    np.testing.assert_allclose(seen, own / world.unit, rtol=1e-5)


@pytest.mark.parametrize(
    ("id", "options"),
    [
        pytest.param("small-contended", {"failure_rate": 0.5, "see": "probe"}, marks=pytest.mark.slow),
        pytest.param("large", {"bonus": 0.1}, marks=pytest.mark.slow),
        pytest.param("abilene", {"control": "hop"}, marks=pytest.mark.learn),
    ],
)
def test_the_world_keeps_its_promises(id, options):
    assert check_environment(make(id, **options), steps=8) == []


# ----------------------------------------------------------------------------------------------------------- from files
def test_only_pairs_that_demand_anything_are_routed(tmp_path):
    """Three nodes, of which only 0 ever sends: two pairs."""
    (tmp_path / "matrices").write_text("0 3 2 0 0 0 0 0 0\n" * 16)
    topology = Path(__file__).parent / "fixtures" / "cfrrl" / "Tiny"
    world = environments.make(f"routing:{topology}", matrices=str(tmp_path / "matrices"), history=2, time_limit=2)
    np.testing.assert_array_equal(world.paths.pairs, [[0, 1], [0, 2]])
    np.testing.assert_allclose(world.bank.mean[0, 0] / world.bank.mean[0, 1], 3 / 2, rtol=1e-6)


# ------------------------------------------------------------------------------------------------------------- failures
def test_a_link_that_is_down_carries_nothing():
    world = make("small-contended", failure_rate=1.0)
    state, now = jax.jit(world.reset)(KEY)
    down = ~world.failures.up[int(state.failure)]
    assert down.sum() == 1
    legal = np.asarray(now.legal["router"])
    assert (legal != world.wiring.legal).any()
    assert legal.any(1).all()
    for _ in range(3):
        state, now = world.step(None, state, {"router": world.wiring.legal})
        np.testing.assert_array_equal(state.utilization[down], 0)
        np.testing.assert_array_equal(state.action[~legal], 0)
        assert float(state.optimum) >= world.bank.optimum[0, int(now.state[0]) - 1] - 1e-6


def test_failures_are_as_frequent_as_told():
    world = make("small", failure_rate=0.25)
    failure = jax.vmap(lambda key: world.reset(key)[0].failure)(jax.random.split(KEY, 2048))
    assert float((failure > 0).mean()) == pytest.approx(0.25, abs=0.03)
    assert set(np.unique(failure)) == set(range(len(world.failures.up)))


# -------------------------------------------------------------------------------------------------------- repeatability
def test_compiled_or_not_and_twice_it_is_the_same():
    world = make("large")
    plain = world.step(None, world.reset(KEY)[0], {"router": world.wiring.legal})
    state, _ = jax.jit(world.reset)(KEY)
    for _ in range(2):
        again = jax.jit(world.step)(None, state, {"router": world.wiring.legal})
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6), plain, again)


def test_worlds_are_equal_only_to_themselves():
    world = make("small")
    assert world == world
    assert world != make("small")
    assert len({world, world}) == 1


# ------------------------------------------------------------------------------------------------------------- held out
def test_held_out_demand_is_other_demand():
    world = make("small")
    held_out = evaluation_world(world)
    (begin, end), count = held_out.span, world.bank.training
    assert (world.span, begin, end) == ((0, 64), 64, len(world.bank.mean))
    assert np.abs(world.bank.mean[:count, None] - world.bank.mean[None, count:]).sum(-1).min() > 0
    starts = jax.vmap(lambda key: held_out.reset(key)[0].start)(jax.random.split(KEY, 512))
    assert begin + held_out.lead <= int(starts.min()) < begin + held_out.lead + 5
    assert end - 25 < int(starts.max()) <= end - 20
    assert evaluation_world(held_out).span == held_out.span


def test_matrices_in_order_are_evaluated_in_one_episode():
    world = make("abilene")
    held_out = evaluation_world(world)
    assert (world.spec.time_limit, held_out.spec.time_limit) == (8, 16 - 3)
    assert int(held_out.reset(KEY)[0].start) == 48 + 3


# ------------------------------------------------------------------------------------------------------------ reference
def test_the_reference_is_played_where_flows_settle_and_a_value_where_they_do_not():
    assert make("small", delays=False).reference().algorithm == "optimal-routing"
    world = contended([60, 40], time_limit=5)
    about = world.reference()
    assert (about.kind, about.algorithm) == ("bound", "")
    assert about.value == pytest.approx(5 * (1 - 1 / 3))
    failing = dataclasses.replace(world, failure_rate=0.0)
    assert failing.reference() == about


def test_the_value_of_the_reference_knows_failures():
    world = contended([60, 40], time_limit=5, failure_rate=0.5)
    optimum = world.bank.optimum[:, 0]
    expected = 0.5 * (1 - optimum[0]) + 0.5 * (1 - optimum[1:].mean())
    assert world.reference().value == pytest.approx(5 * expected)
