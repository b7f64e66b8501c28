"""`pursuit`: numbers worked by hand, the prey's law, the rules' anchors and the bound."""

from __future__ import annotations

from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.core.errors import BadInput
from covey.environments import make
from covey.environments.pursuit import PursuitState, pursuit
from covey.testing import check_environment

EPISODES = 1000
RULES = ("random", "greedy-pursuit", "surround")


def wander(now, key):
    return {"predator": 0.25 * jax.random.uniform(key, (3, 2), minval=-1.0)}


@jax.jit
def episodes(radius, which):
    """Time steps, states and measures [E, T] of one of the rules; the radius is an argument of the program."""
    env = eqx.tree_at(lambda env: env.radius, pursuit(), radius)
    rules = [wander, *(env.rules()[name]().rule for name in RULES[1:])]
    branches = [lambda now, key, f=f: f(now, key) for f in rules]

    def one(key):
        k_reset, k_play = jax.random.split(key)

        def tick(carry, key):
            k_act, k_step = jax.random.split(key)
            carry = env.step(k_step, carry[0], jax.lax.switch(which, branches, carry[1], k_act))
            return carry, (carry[1], carry[0], env.measure(carry[0]))

        return jax.lax.scan(tick, env.reset(k_reset), jax.random.split(k_play, env.time_limit))[1]

    return jax.vmap(one)(jax.random.split(jax.random.key(0), EPISODES))


@cache
def played(radius, rule):
    return jax.tree.map(np.asarray, episodes(radius, RULES.index(rule)))


def somewhere(prey=(5.0, 5.0), clock=0, predators=((5.0, 4.0), (1.0, 1.0))):
    position = jnp.array(predators)
    still = jnp.zeros_like(position)
    return PursuitState(jnp.int32(clock), position, still, jnp.array(prey), still[0], position, jnp.int32(0))


@pytest.mark.parametrize("end_on_capture", [False, True])
def test_contact_by_hand(end_on_capture):
    env = pursuit(predators=2, speed=1.0, radius=0.3, end_on_capture=end_on_capture)
    up = {"predator": jnp.array([[0.0, 1.0], [0.0, 0.0]])}
    state, then = jax.jit(env.step)(jax.random.key(0), somewhere(), up)  # the predator stands where the prey was
    np.testing.assert_allclose(np.linalg.norm(state.prey_velocity), 0.25, rtol=1e-5)
    np.testing.assert_allclose(then.reward["predator"], [9.75, 9.75], rtol=1e-5)
    assert bool(then.last) == end_on_capture
    np.testing.assert_array_equal(then.discount["predator"], 0.0 if end_on_capture else 1.0)
    measured = jax.jit(env.measure)(state)
    assert float(measured["contact"]) == 1
    at_the_end = 1 if end_on_capture else np.nan
    np.testing.assert_array_equal([measured["captured"], measured["steps_to_capture"]], at_the_end)
    assert ("bound" in measured) == (not end_on_capture)


def test_numbers_of_an_episode_are_told_at_its_end():
    measure = jax.jit(pursuit(predators=2).measure)
    caught = measure(somewhere(clock=25)._replace(caught_at=jnp.int32(7)))
    free = measure(somewhere(clock=25))
    assert (float(caught["captured"]), float(caught["steps_to_capture"])) == (1, 7)
    assert (float(free["captured"]), float(free["steps_to_capture"])) == (0, 25)


def test_what_a_predator_sees():
    env = pursuit(predators=2)
    state, then = jax.jit(env.step)(jax.random.key(3), somewhere(), {"predator": jnp.array([[0.15, 0.2], [0.0, 0.0]])})
    run = np.asarray(state.prey_velocity)
    prey = (np.array([5.0, 5.0]) + run - [5.15, 4.2]) / 10
    first = [0.6, 0.8, *prey, *(run / 0.25 - [0.6, 0.8]), -0.415, -0.32, -0.6, -0.8]
    np.testing.assert_allclose(then.obs["predator"][0], first, atol=1e-5)
    np.testing.assert_allclose(then.state[0], 0.96, rtol=1e-6)
    np.testing.assert_allclose(then.state[-4:-2], state.prey / 10 - 0.5, atol=1e-6)


def test_the_prey_runs_evenly_in_all_directions_and_walls_mirror_it():
    env = pursuit(predators=2, prey_speed=0.5)
    hold = {"predator": jnp.zeros((2, 2))}
    keys = jax.random.split(jax.random.key(0), 4000)
    runs = jax.jit(lambda state: jax.vmap(lambda key: env.step(key, state, hold)[0])(keys))
    run = np.asarray(runs(somewhere()).prey_velocity)
    np.testing.assert_allclose(np.linalg.norm(run, axis=-1), 0.5, rtol=1e-5)
    assert np.abs(run.mean(axis=0)).max() < 4 * 0.5 / np.sqrt(2 * 4000)
    np.testing.assert_allclose(run.T @ run / 4000, 0.125 * np.eye(2), atol=0.008)
    there = np.asarray(runs(somewhere(prey=(0.0, 10.0))).prey)
    np.testing.assert_allclose(np.linalg.norm(there - [0.0, 10.0], axis=-1), 0.5, rtol=1e-4)
    assert (there >= 0).all()
    assert (there <= 10).all()


@pytest.mark.parametrize(
    ("radius", "rule", "mean", "tolerance"),
    [  # means of 20,000 episodes; tolerances of three standard errors at 1,000
        (0.3, "random", -3.16, 0.18),
        (0.3, "greedy-pursuit", 4.20, 0.35),
        (0.2, "greedy-pursuit", -0.73, 0.12),
        (0.2, "surround", 1.50, 0.25),
    ],
)
def test_anchors(radius, rule, mean, tolerance):
    then, _, measures = played(radius, rule)
    reward = then.reward["predator"][..., 0]
    assert reward.mean() == pytest.approx(mean, abs=tolerance)
    np.testing.assert_allclose(reward, -measures["distance"] + 10 * measures["contact"], atol=1e-5)
    assert (reward <= measures["bound"] + 1e-4).mean() > 0.9999  # a contact on the very edge may be rounded away


def test_greedy_pursuit_never_lets_go():
    _, states, measures = played(0.3, "greedy-pursuit")
    contact = measures["contact"] > 0
    on_the_spot = np.linalg.norm(states.position - states.prey[:, :, None], axis=-1).min(axis=-1) <= 0.25 + 1e-5
    held = contact[:, 1:][on_the_spot[:, :-1]]
    assert held.mean() == 1


def test_measures_count_captures():
    then, states, measures = played(0.3, "greedy-pursuit")
    contact = measures["contact"] > 0
    first = np.where(contact.any(axis=1), contact.argmax(axis=1) + 1, 25)
    assert np.isnan(measures["captured"][:, :-1]).all()
    np.testing.assert_array_equal(measures["captured"][:, -1], contact.any(axis=1))
    np.testing.assert_array_equal(measures["steps_to_capture"][:, -1], first)
    np.testing.assert_array_equal(states.caught_at[:, -1], np.where(contact.any(axis=1), first, 0))
    assert then.last[:, -1].all()
    assert not then.last[:, :-1].any()


def test_surround_takes_places_around_the_prey():
    env = pursuit(radius=0.2)
    state = somewhere(predators=((5.0, 5.0),) * 3)
    rule = env.rules()["surround"]().rule
    place = np.asarray(jax.jit(lambda state: rule(env._show(state, 0.0, over=False), None)["predator"])(state))
    np.testing.assert_allclose(np.linalg.norm(place, axis=-1), 0.15, rtol=1e-4)  # √(0.25² - 0.2²)
    np.testing.assert_allclose(place.sum(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(place[0], [0.15, 0], atol=1e-5)
    assert env.reference().algorithm == "surround"
    assert pursuit().reference().algorithm == "greedy-pursuit"


@pytest.mark.parametrize(
    "options", [{"predators": 0}, {"radius": 0.0}, {"speed": -1.0}, {"prey_speed": 20.0}, {"time_limit": 0}]
)
def test_impossible_options_are_refused(options):
    with pytest.raises(BadInput):
        pursuit(**options)


def test_discrete_moves_and_what_a_contact_alone_earns():
    """Two predators and a prey that does not run: one that touches it alone pays, two together earn."""
    world = make("pursuit", predators=2, discrete=True, alone=-1.0, prey_speed=1e-6)
    state, _ = world.reset(jax.random.key(0))
    prey = jnp.array([5.0, 5.0])
    for places, moves, earned in (
        ([[4.5, 5.0], [9.0, 5.0]], [2, 0], -0.25 - 1.0),  # one step to the right, within 0.3
        ([[4.5, 5.0], [5.5, 5.0]], [2, 1], -0.25 + 10.0),
        ([[4.5, 5.0], [5.0, 5.5]], [0, 0], -0.5),
        ([[5.0, 5.4], [5.0, 4.6]], [3, 4], -0.15 + 10.0),
    ):
        at = state._replace(position=jnp.array(places), prey=prey)
        _, then = world.step(jax.random.key(1), at, {"predator": jnp.array(moves, jnp.int32)})
        assert float(then.reward["predator"][0]) == pytest.approx(earned, abs=1e-5)
    with pytest.raises(BadInput, match="two predators at least"):
        make("pursuit", predators=1, alone=-1.0)


def test_rules_in_discrete_moves():
    world = make("pursuit", discrete=True)
    assert check_environment(world, steps=6) == []
    _, now = world.reset(jax.random.key(0))
    action = world.rules()["greedy-pursuit"]().rule(now, None)["predator"]
    offset = now.obs["predator"][:, 2:4]
    moves = np.array([[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]])[action]
    assert ((moves * offset).sum(1) > 0).all()
