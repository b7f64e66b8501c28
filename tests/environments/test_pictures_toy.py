"""`toy/pictures`: what its pictures show, what its rule reads of them, and what that earns."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.core.errors import BadInput
from covey.environments import make, toy
from covey.environments.toy.pictures import CLUTTER, CONTRAST, GROUND, NOISE, SIGNS
from covey.testing import check_environment

KEYS = jax.random.split(jax.random.key(0), 200)


def begun(env):
    return jax.device_get(jax.jit(jax.vmap(env.reset))(KEYS))


def test_it_keeps_its_promises():
    assert check_environment(toy.pictures(size=5)) == []


def test_a_picture_shows_the_sign_among_dots_that_stand_out():
    env = make("toy/pictures", size=9)
    state, now = begun(env)
    pictures = now.obs["reader"]["picture"].reshape(-1, 9, 9).astype(int) - GROUND
    out = np.where(np.abs(pictures) > NOISE, np.sign(pictures), 0)
    assert (np.abs(np.abs(pictures[out != 0]) - CONTRAST) <= NOISE).all()
    places, beside = set(), []
    for picture, sign in zip(out, state.sign.ravel(), strict=True):
        found = [at for at in np.ndindex(5, 5) if (picture[at[0] : at[0] + 5, at[1] : at[1] + 5] == SIGNS[sign]).all()]
        assert len(found) == 1
        places.update(found)
        beside.append((picture != 0).sum() - 25)
    assert places == set(np.ndindex(5, 5))
    assert abs(np.mean(beside) / (81 - 25) - CLUTTER) < 0.02
    assert abs(out.mean()) < 0.03  # as many dots are bright as dark
    assert set(state.sign.ravel()) == set(range(len(SIGNS)))
    np.testing.assert_array_equal(now.obs["reader"]["turn"].argmax(-1), state.turn)


def test_signs_are_told_apart_wherever_they_are():
    """So that the rule sees the right one: all 25 dots agree for that sign alone, and brightness tells nothing."""
    assert set(SIGNS.sum((1, 2))) <= {-1, 1}
    for shown, sign in enumerate(SIGNS):
        field = np.pad(sign, 4)
        for other, dots in enumerate(SIGNS):
            most = max((field[i : i + 5, j : j + 5] * dots).sum() for i in range(9) for j in range(9))
            assert most == 25 if other == shown else most < 14


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
