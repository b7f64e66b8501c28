"""`toy/pictures`: what its pictures show, what its rule reads of them, and what that earns."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.core.errors import BadInput
from covey.environments import make, toy
from covey.environments.toy.pictures import CONTRAST, GROUND, NOISE, SIGNS
from covey.testing import check_environment

KEYS = jax.random.split(jax.random.key(0), 200)


def begun(env):
    return jax.device_get(jax.jit(jax.vmap(env.reset))(KEYS))


def test_it_keeps_its_promises():
    assert check_environment(toy.pictures(size=5)) == []


def test_a_picture_shows_five_dots_brighter_or_darker_than_the_rest_that_form_the_line():
    env = make("toy/pictures", size=9)
    state, now = begun(env)
    pictures = now.obs["reader"]["picture"].reshape(-1, 9, 9).astype(int) - GROUND
    places, contrasts = set(), set()
    for picture, sign in zip(pictures, state.sign.ravel(), strict=True):
        out = np.abs(picture) > NOISE
        row, column = np.nonzero(out)
        assert len(row) == 5
        assert len(set(np.sign(picture[out]))) == 1
        assert (np.abs(np.abs(picture[out]) - CONTRAST) <= NOISE).all()
        box = np.nonzero(SIGNS[sign])
        np.testing.assert_array_equal(row - row.min(), box[0] - box[0].min())
        np.testing.assert_array_equal(column - column.min(), box[1] - box[1].min())
        places.add((row.min() - box[0].min(), column.min() - box[1].min()))
        contrasts.add(np.sign(picture[out])[0])
    assert places == {(i, j) for i in range(5) for j in range(5)}
    assert contrasts == {-1, 1}
    assert set(state.sign.ravel()) == set(range(len(SIGNS)))
    np.testing.assert_array_equal(now.obs["reader"]["turn"].argmax(-1), state.turn)


def test_lines_share_one_dot_at_most_wherever_they_are():
    """So that the rule sees the right one: all five dots of a line are found for that line alone."""
    assert (SIGNS.sum((1, 2)) == 5).all()
    for shown, sign in enumerate(SIGNS):
        field = np.pad(sign, 4)
        for other, dots in enumerate(SIGNS):
            most = max((field[i : i + 5, j : j + 5] * dots).sum() for i in range(9) for j in range(9))
            assert most == (5 if other == shown else 1)


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
        toy.pictures(size=4)
    with pytest.raises(BadInput, match="at least one step"):
        toy.pictures(time_limit=0)
