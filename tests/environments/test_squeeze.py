"""The Gaussian squeeze, against numbers that were worked out beside it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.core.errors import BadInput
from covey.environments import make
from covey.testing import check_environment


def earned(world, numbers):
    state, _ = world.reset(jax.random.key(0))
    state, now = world.step(jax.random.key(0), state, {"agent": jnp.asarray(numbers, jnp.int32)})
    assert bool(now.last)
    assert float(now.discount["agent"].max()) == 0
    assert len(set(now.reward["agent"].tolist())) == 1
    return float(now.reward["agent"][0]), world.measure(state)


@pytest.mark.parametrize("options", [{"agents": 7}, {"agents": 5, "domains": 2}])
def test_the_world_keeps_its_promises(options):
    assert check_environment(make("squeeze", **options)) == []


@pytest.mark.parametrize(
    ("agents", "number", "worth"),
    [(100, 1, 10.5), (100, 4, 400.0), (500, 1, 389.4), (1000, 1, 0.1234), (1000, 9, 0.0), (100, 0, 0.0)],
)
def test_what_sums_earn_as_published(agents, number, worth):
    """With μ = 400, σ = 200. Far away a float holds nothing, and says so with 0."""
    paid, measured = earned(make("squeeze", agents=agents, protocol="paper"), [number] * agents)
    assert paid == pytest.approx(worth, rel=0.02)
    assert float(measured["sum"]) == agents * number
    assert float(measured["sameness"]) == 1


@pytest.mark.parametrize("agents", [100, 500, 1000, 10_000])
def test_the_optimum_of_the_published_squeeze(agents):
    """x* = (μ + √(μ² + 2 σ²)) / 2 = 444.9, where 423.03 is earned."""
    world = make("squeeze", agents=agents, protocol="paper")
    assert world.best()[0].tolist() == [445]
    assert world.reference().value == pytest.approx(423.03, abs=0.01)
    paid, measured = earned(world, world.rules()["best-sum"]().rule(None, None)["agent"])
    assert paid == pytest.approx(423.03, abs=0.01)
    assert float(measured["share"]) == pytest.approx(1.0, rel=1e-5)


def test_the_scaled_squeeze_is_the_same_for_everybody():
    """μ = 4 n, σ = 2 n: the best mean number is (4 + √24) / 2 = 4.449, and earnings grow with n."""
    few, many = make("squeeze", agents=100), make("squeeze", agents=10_000)
    assert few.best()[0].tolist() == [445]
    assert many.best()[0].tolist() == [44_495]
    assert many.best()[1] / few.best()[1] == pytest.approx(100, rel=1e-4)
    low = make("squeeze", agents=100, mean=2.0)
    assert low.best()[0].tolist() == [273]  # (2 + √12) / 2 each


def test_domains_are_squeezed_apart():
    """Five agents in two domains (3 and 2 of them): shares of μ = 20 are 12 and 8, scaled by 1/2 and 3/2."""
    world = make("squeeze", agents=5, domains=2)
    np.testing.assert_array_equal(world.domain, [0, 1, 0, 1, 0])
    np.testing.assert_allclose(world.squeezes, [[6.0, 12.0], [6.0, 4.0]], rtol=1e-6)
    worth = 6 * 1.0 + 12 * 1.0
    assert earned(world, [2, 6, 2, 6, 2])[0] == pytest.approx(worth)
    totals, best = world.best()
    paid, _ = earned(world, world.rules()["best-sum"]().rule(None, None)["agent"])
    assert paid == pytest.approx(best, rel=1e-6)
    assert totals[0] >= 6
    assert totals[1] >= 12


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"agents": 0}, "cannot be dealt"),
        ({"agents": 3, "domains": 4}, "cannot be dealt into 4 domains"),
        ({"domains": 0}, "cannot be dealt into 0"),
        ({"protocol": "papre"}, "protocol"),
        ({"mean": 0.0}, "finite numbers above 0"),
        ({"spread": float("inf")}, "finite numbers above 0"),
    ],
)
def test_refuses(options, said):
    with pytest.raises(BadInput, match=said):
        make("squeeze", **options)
