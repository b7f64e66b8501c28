"""`toy/pictures`: what its pictures show, what its rule reads of them, and what that earns."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.core.errors import BadInput
from covey.environments import make, toy
from covey.environments.toy.pictures import BRIGHT, NOISE, SIGNS
from covey.testing import check_environment

KEYS = jax.random.split(jax.random.key(0), 200)


def begun(env):
    return jax.device_get(jax.jit(jax.vmap(env.reset))(KEYS))


def test_it_keeps_its_promises():
    assert check_environment(toy.pictures(size=5)) == []


def test_a_picture_shows_five_bright_dots_of_one_color_that_form_the_sign():
    env = make("toy/pictures", size=7)
    state, now = begun(env)
    pictures = now.obs["reader"]["picture"].reshape(-1, 7, 7, 3)
    places = set()
    for picture, sign in zip(pictures, state.sign.ravel(), strict=True):
        row, column, color = np.nonzero(picture >= BRIGHT)
        assert len(row) == 5
        assert len(set(color)) == 1
        drawn = np.zeros((3, 3), int)
        drawn[row - row.min(), column - column.min()] = 1
        np.testing.assert_array_equal(drawn, SIGNS[sign])
        places.add((row.min(), column.min(), color[0]))
    assert pictures[pictures < BRIGHT].max() < NOISE
    assert len(places) > 0.9 * 5 * 5 * 3  # anywhere, in any color
    assert set(state.sign.ravel()) == set(range(len(SIGNS)))
    np.testing.assert_array_equal(now.obs["reader"]["turn"].argmax(-1), state.turn)


def test_no_sign_is_part_of_another_wherever_it_stands():
    """So that the rule reads the right one: all five dots of a sign are found for that sign alone."""
    for shown, sign in enumerate(SIGNS):
        field = np.pad(sign, 2)
        for other, dots in enumerate(SIGNS):
            most = max((field[i : i + 3, j : j + 3] * dots).sum() for i in range(5) for j in range(5))
            assert (most == 5) == (other == shown)


def test_the_rule_reads_every_picture():
    env = toy.pictures()
    state, now = begun(env)
    action = jax.vmap(lambda now: env.rules()["optimal"]().rule(now, None))(jax.tree.map(jnp.asarray, now))["reader"]
    np.testing.assert_array_equal(action, (state.sign + state.turn) % 4)
    assert env.reference().value == 8.0


def test_everybody_earns_the_share_of_those_that_are_right():
    env = toy.pictures(time_limit=2)
    state, _ = env.reset(jax.random.key(0))
    right = (state.sign + state.turn) % 4
    for wrong, earned in ((jnp.array([0, 0]), 1.0), (jnp.array([0, 1]), 0.5), (jnp.array([2, 1]), 0.0)):
        after, then = env.step(jax.random.key(1), state, {"reader": (right + wrong) % 4})
        np.testing.assert_array_equal(then.reward["reader"], [earned] * 2)
        assert float(env.measure(after)["right"]) == earned
        assert not then.last
    _, end = env.step(jax.random.key(2), after, {"reader": right})
    assert end.last
    np.testing.assert_array_equal(end.discount["reader"], [1.0, 1.0])


def test_fixed_episodes_are_the_same_whatever_the_key():
    env = toy.pictures(fixed=True)
    one, two = (env.step(key, env.reset(key)[0], {"reader": jnp.zeros(2, jnp.int32)}) for key in KEYS[:2])
    jax.tree.map(np.testing.assert_array_equal, one, two)


def test_refuses():
    with pytest.raises(BadInput, match="no room"):
        toy.pictures(size=2)
    with pytest.raises(BadInput, match="at least one step"):
        toy.pictures(time_limit=0)
