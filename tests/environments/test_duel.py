"""`toy/duel`, worked by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.core.errors import BadInput
from covey.environments import make
from covey.testing import check_environment

KEY = jax.random.key(0)


def begun(**options):
    """A duel in which every agent's signal is 1."""
    world = make("toy/duel", **options)
    state, _ = world.reset(KEY)
    return world, state._replace(signal={"left": jnp.array([1, 1]), "right": jnp.array([1, 1])})


def test_the_world_keeps_its_promises():
    assert check_environment(make("toy/duel")) == []


def test_who_follows_its_signal_strikes_whom_it_faces():
    world, state = begun()
    state, then = world.step(KEY, state, {"left": jnp.array([1, 0]), "right": jnp.array([2, 1])})
    assert {side: x.tolist() for side, x in then.reward.items()} == {"left": [1, -1], "right": [-1, 1]}
    assert {side: x.tolist() for side, x in state.lives.items()} == {"left": [3, 2], "right": [2, 3]}
    np.testing.assert_allclose(then.obs["left"][0, 3:], [1.0, 2 / 3], rtol=1e-6)
    np.testing.assert_allclose(then.obs["right"][0, 3:], [2 / 3, 1.0], rtol=1e-6)
    assert not then.last


def test_the_dead_do_nothing_and_a_side_that_is_gone_ends_it():
    world, state = begun(lives=1)
    state, then = world.step(KEY, state, {"left": jnp.array([1, 0]), "right": jnp.array([0, 0])})
    assert then.alive["right"].tolist() == [False, True]
    assert then.discount["right"].tolist() == [0, 1]
    assert not then.obs["right"][0].any()
    assert then.neighbors["right"][1].tolist() == [[True], [False]]
    state = state._replace(signal={"left": jnp.array([1, 1]), "right": jnp.array([1, 1])})
    state, then = world.step(KEY, state, {"left": jnp.array([1, 1]), "right": jnp.array([1, 0])})
    assert then.reward["left"].tolist() == [0, 1], "nobody is left to strike, and the dead strike nobody"
    assert bool(then.last)
    assert all(not x.any() for x in then.discount.values())
    assert {name: float(x) for name, x in world.measure(state).items()} == {"won_left": 1.0, "won_right": 0.0}


def test_a_time_limit_leaves_the_living_a_future():
    world, state = begun(time_limit=1)
    _, then = world.step(KEY, state, {"left": jnp.array([0, 0]), "right": jnp.array([0, 0])})
    assert bool(then.last)
    assert all(x.all() for x in then.discount.values())


@pytest.mark.parametrize(
    ("options", "says"), [({"lives": 0}, "at least one life"), ({"time_limit": 0}, "time_limit is 0")]
)
def test_refuses(options, says):
    with pytest.raises(BadInput, match=says):
        make("toy/duel", **options)
