"""`navigation`: numbers worked by hand, the rules against SciPy, the anchors and the bound."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from covey.core.errors import BadInput
from covey.environments.navigation import NavigationState, assignments, least_distance, navigation

EPISODES = 1000
RULES = ("random", "greedy-pursuit", "assignment", "best-assignment")


def wander(now, key):
    return {"agent": 0.25 * jax.random.uniform(key, (3, 2), minval=-1.0)}


@cache
def play():
    """Starts [E], and states, rewards and measures [E, T] of every rule in the default world, from the same starts."""
    env = navigation()
    rules = [wander, *(env.rules()[name]().rule for name in RULES[1:])]
    branches = [lambda now, key, f=f: f(now, key) for f in rules]

    def one(which, key):
        k_reset, k_play = jax.random.split(key)
        begun = env.reset(k_reset)

        def tick(carry, key):
            state, then = env.step(key, carry[0], jax.lax.switch(which, branches, carry[1], key))
            return (state, then), (state, then.reward["agent"][0], env.measure(state))

        return begun[0], *jax.lax.scan(tick, begun, jax.random.split(k_play, env.time_limit))[1]

    many = jax.jit(jax.vmap(one, (None, 0)))
    keys = jax.random.split(jax.random.key(0), EPISODES)
    return {name: jax.tree.map(np.asarray, many(i, keys)) for i, name in enumerate(RULES)}


def test_a_step_by_hand():
    env = navigation(agents=2, landmarks=2, size=10.0, speed=0.5)
    position, landmark = jnp.array([[1.0, 1.0], [5.0, 9.8]]), jnp.array([[1.0, 4.5], [5.0, 6.0]])
    state = NavigationState(jnp.int32(24), position, jnp.zeros((2, 2)), landmark, position)
    state, then = jax.jit(env.step)(jax.random.key(0), state, {"agent": jnp.array([[0.0, 9.0], [0.3, 0.4]])})
    np.testing.assert_allclose(state.position, [[1.0, 1.5], [5.3, 10.0]], rtol=1e-6)  # too fast; into the wall
    nearest = [3.0, np.hypot(0.3, 4.0)]
    np.testing.assert_allclose(then.reward["agent"], -np.mean(nearest), rtol=1e-6)
    np.testing.assert_allclose(then.obs["agent"][0], [0, 1, 0, 0.3, 0.4, 0.45, 0.43, 0.85, 0.6, -0.6], atol=1e-6)
    np.testing.assert_allclose(then.state[:5], [0, -0.4, -0.35, 0.03, 0.5], atol=1e-6)
    np.testing.assert_allclose(then.state[-4:], [-0.4, -0.05, 0, 0.1], atol=1e-6)
    assert bool(then.last)
    np.testing.assert_array_equal(then.discount["agent"], 1)
    measured = jax.jit(env.measure)(state)
    assert float(measured["final_distance"]) == pytest.approx(np.mean(nearest))
    assert float(measured["covered"]) == 0


def test_greedy_pursuit_by_hand():
    env = navigation(agents=2, landmarks=2, speed=1.0)
    rule = jax.jit(lambda state: env.rules()["greedy-pursuit"]().rule(env._show(state, 0.0), None)["agent"])
    position, landmark = jnp.array([[2.0, 2.0], [5.5, 5.0]]), jnp.array([[2.0, 5.0], [5.0, 5.0]])
    state = NavigationState(jnp.int32(0), position, jnp.zeros((2, 2)), landmark, position)
    np.testing.assert_allclose(rule(state), [[0, 1], [-0.5, 0]], atol=1e-5)  # at full speed; onto the landmark
    between = state._replace(position=jnp.array([[3.5, 5.0], [3.5, 2.0]]))
    assert (np.asarray(rule(between))[:, 0] < 0).all()  # of equals the first


@pytest.mark.parametrize(("agents", "landmarks"), [(2, 4), (4, 2)])
def test_assignment_is_the_hungarian_one(agents, landmarks):
    env = navigation(agents, landmarks, speed=10.0)  # so fast that one step shows the goals

    def one(key):
        state, now = env.reset(key)
        return state, env.rules()["assignment"]().rule(now, None)["agent"]

    states, actions = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(1), 20))
    for position, landmark, action in zip(*map(np.asarray, (states.position, states.landmark, actions)), strict=True):
        between = np.linalg.norm(position[:, None] - landmark, axis=-1)
        rows, columns = linear_sum_assignment(between)
        expected = np.zeros(agents)
        expected[rows] = np.minimum(between[rows, columns], 10.0)
        np.testing.assert_allclose(np.linalg.norm(action, axis=-1), expected, atol=1e-4)


def test_assignment_keeps_its_first_choice():
    begun, states, _, _ = play()["assignment"]
    choice = assignments(3, 3)
    way = np.linalg.norm(begun.landmark[:, choice] - begun.position[:, None], axis=-1).sum(axis=-1)
    goal = begun.landmark[np.arange(EPISODES)[:, None], choice[way.argmin(axis=1)]]
    distance = np.linalg.norm(goal - begun.position, axis=-1)[:, None]
    part = np.minimum(1.0, 0.25 * np.arange(1, 26)[:, None] / distance)[..., None]
    expected = begun.position[:, None] + part * (goal - begun.position)[:, None]
    np.testing.assert_allclose(states.position, expected, atol=2e-4)


@pytest.mark.parametrize(
    ("rule", "mean", "tolerance"),
    [  # means of 20,000 episodes; tolerances of three standard errors at 1,000
        ("random", -3.216, 0.10),
        ("greedy-pursuit", -1.920, 0.10),
        ("assignment", -1.278, 0.07),
        ("best-assignment", -1.241, 0.07),
    ],
)
def test_anchors(rule, mean, tolerance):
    _, _, reward, measures = play()[rule]
    assert reward.mean() == pytest.approx(mean, abs=tolerance)
    np.testing.assert_allclose(-measures["distance"], reward, atol=1e-6)


def test_the_best_assignment_is_never_worse_and_nothing_beats_the_bound():
    for _, _, reward, measures in play().values():
        assert (reward <= measures["bound"] + 1e-4).all()
    assigned, best = (play()[name][2] for name in ("assignment", "best-assignment"))
    assert (best.sum(axis=1) >= assigned.sum(axis=1) - 1e-3).all()
    assert 0.03 < play()["assignment"][3]["bound"].mean() - best.mean() < 0.08  # a tight bound


def test_the_bound_by_hand():
    bound = jax.jit(least_distance)
    start, landmark = jnp.array([[0.0, 0.0]]), jnp.array([[1.0, 0.0], [3.0, 0.0]])
    assert float(bound(start, landmark, 0.0)) == pytest.approx(2.0)  # (1 + 3) / 2
    assert float(bound(start, landmark, 2.0)) == pytest.approx(1.0)  # two landmarks 2 apart, one agent
    both = jnp.array([[0.0, 0.0], [3.0, 1.0]])
    assert float(bound(both, landmark, 0.5)) == pytest.approx(0.5)  # (0.5 + 0.5) / 2


@pytest.mark.parametrize(
    "options", [{"agents": 0}, {"landmarks": 0}, {"size": 0.0}, {"speed": 0.0}, {"speed": 11.0}, {"time_limit": 0}]
)
def test_impossible_worlds_are_refused(options):
    with pytest.raises(BadInput):
        navigation(**options)


def test_crowds_have_greedy_pursuit_only():
    crowd = navigation(agents=7, landmarks=7)
    assert crowd.reference().algorithm == "greedy-pursuit"
    assert "bound" not in jax.eval_shape(crowd.measure, jax.eval_shape(crowd.reset, jax.random.key(0))[0])
    with pytest.raises(BadInput, match="up to 6"):
        crowd.rules()["assignment"]()
