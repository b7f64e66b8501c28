"""The Ising world against small lattices worked out by hand and by enumeration."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey import algorithms
from covey.core.errors import BadInput
from covey.environments import make
from covey.environments.ising import CRITICAL, onsager
from covey.studies.sweep import swept
from covey.testing import check_environment


@pytest.mark.parametrize("options", [{}, {"update": "checkerboard"}, {"update": "random-half", "field": 0.5}])
def test_the_world_keeps_its_promises(options):
    assert check_environment(make("ising", size=4, time_limit=5, **options)) == []


def test_spins_earn_half_of_what_their_bonds_are_worth():
    """One spin down among spins up: it loses all of its bonds, each of its neighbors one of four."""
    world = make("ising", size=4, start="aligned", field=0.25)
    state, now = world.reset(jax.random.key(0))
    up = jnp.ones(16, jnp.int32).at[5].set(0)
    state, then = world.step(jax.random.key(1), state, {"spin": up})
    earned = np.asarray(then.reward["spin"]).reshape(4, 4)
    assert earned[1, 1] == pytest.approx(-2.25)
    for neighbor in [(0, 1), (2, 1), (1, 0), (1, 2)]:
        assert earned[neighbor] == pytest.approx(1.25)
    assert earned[3, 3] == pytest.approx(2.25)
    assert float(world.measure(state)["order"]) == pytest.approx(14 / 16)
    index, there = now.neighbors["spin"]
    assert sorted(index[5].tolist()) == [1, 4, 6, 9]
    assert bool(there.all())


def test_the_edges_of_the_torus_meet():
    world = make("ising", size=4)
    index, _ = world.reset(jax.random.key(0))[1].neighbors["spin"]
    assert sorted(index[0].tolist()) == [1, 3, 4, 12]


def test_who_is_not_on_turn_stays():
    world = make("ising", size=4, update="checkerboard")
    state, now = world.reset(jax.random.key(3))
    free = np.asarray(now.legal["spin"].all(1)).reshape(4, 4)
    assert free.sum() == 8
    assert free[0, 0] != free[0, 1]
    flipped, then = world.step(jax.random.key(1), state, {"spin": 1 - state.up.astype(jnp.int32)})
    np.testing.assert_array_equal(flipped.up != state.up, free.ravel())
    np.testing.assert_array_equal(np.asarray(then.legal["spin"].all(1)).reshape(4, 4), ~free)


def test_half_of_the_spins_are_drawn():
    _, now = make("ising", size=5, update="random-half").reset(jax.random.key(0))
    assert int(now.legal["spin"].all(1).sum()) == 12


def exact_order(size: int, temperature: float) -> float:
    """Mean |ξ| of the heat bath on a torus, by enumeration of all lattices."""
    lattices = np.array(list(itertools.product((-1, 1), repeat=size**2))).reshape(-1, size, size)
    bonds = sum((lattices * np.roll(lattices, 1, axis)).sum((1, 2)) for axis in (1, 2))
    weight = np.exp(0.5 * bonds / temperature)
    return float((np.abs(lattices.mean((1, 2))) * weight).sum() / weight.sum())


@pytest.mark.parametrize("rule", ["heat-bath", "metropolis"])
def test_rules_keep_the_distribution_that_enumeration_gives(rule):
    temperatures = (0.9, 1.5)
    options = {"size": 4, "update": "checkerboard", "time_limit": 4000, "burn_in": 200}
    worlds = [make("ising", temperature=t, **options) for t in temperatures]
    pairs = [(world, algorithms.make(rule, world)) for world in worlds]
    order = swept(pairs, seeds=4, lanes=1, steps=4000)["world/order"][0]
    for found, temperature in zip(order, temperatures, strict=True):
        assert found.mean() == pytest.approx(exact_order(4, temperature), abs=0.02)


def test_onsager_where_it_is_known():
    np.testing.assert_allclose(onsager([0.5, 0.8, 1.0, 1.1]), [0.999, 0.980, 0.911, 0.785], atol=6e-4)
    assert onsager(CRITICAL) == 0
    assert onsager(2.0) == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"size": 2}, "`size` is 2"),
        ({"size": 5, "update": "checkerboard"}, "no checkerboard"),
        ({"temperature": 0.0}, "`temperature` is 0.0"),
        ({"temperature": -1.0}, "`temperature` is -1.0"),
        ({"field": float("nan")}, "must be a number, got nan"),
        ({"field": float("inf")}, "`field` is inf"),
        ({"burn_in": 10, "time_limit": 10}, "`burn_in` is 10"),
        ({"update": "sometimes"}, "update"),
    ],
)
def test_refuses(options, says):
    with pytest.raises(BadInput, match=says):
        make("ising", **options)
