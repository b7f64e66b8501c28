"""What makes a mixer that mixer."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.core.errors import BadInput
from covey.learning import credit
from covey.nn.mixers import Attention, Free, Monotone, Pair, Sum, Weighted

N, CONTEXT = 4, 3
MIXERS = {kind.__name__.lower(): kind for kind in (Sum, Pair, Monotone, Free, Attention, Weighted)}


def made(name):
    mixer = MIXERS[name]()
    params = mixer.init(jax.random.key(0), N, CONTEXT)
    params = jax.tree.map(lambda x: x + 0.1 * jax.random.normal(jax.random.key(1), x.shape), params)  # biases too
    return mixer, lambda z, context: mixer.value(params, z, context)


def drawn(mixer, seed=2):
    k_z, k_context = jax.random.split(jax.random.key(seed))
    return jax.random.normal(k_z, (N, mixer.brings)), jax.random.normal(k_context, (CONTEXT,))


@pytest.mark.parametrize("name", MIXERS)
def test_a_team_that_brings_nothing_is_worth_nothing(name):
    mixer, value = made(name)
    z, context = drawn(mixer)
    assert value(jnp.zeros_like(z), context) == pytest.approx(0, abs=1e-6)
    assert value(z, context) != pytest.approx(0, abs=1e-3)


def test_pair_by_hand():
    z = jnp.array([[1.0, 1.0, 2.0], [10.0, 3.0, -1.0], [100.0, 0.5, 1.0]])
    pairs = (1 * 3 + 2 * -1) + (1 * 0.5 + 2 * 1) + (3 * 0.5 + -1 * 1)
    assert Pair(rank=2).value((), z, None) == pytest.approx(111 + pairs)


@pytest.mark.parametrize(("name", "never"), [("monotone", True), ("free", False)])
def test_monotone_never_falls_and_free_does(name, never):
    mixer, value = made(name)
    slopes = jnp.stack([jax.grad(value)(*drawn(mixer, seed)) for seed in range(20)])
    assert bool((slopes >= 0).all()) is never


def test_weights_of_weighted_are_positive():
    mixer, value = made("weighted")
    slopes = jnp.stack([jax.grad(value)(*drawn(mixer, seed))[:, 0] for seed in range(20)])
    assert (slopes > 0).all()


@pytest.mark.parametrize("name", ["sum", "pair"])
def test_centered_mixers_are_made_of_ones_and_twos(name):
    """Half of what an agent makes with others is its Shapley share, found here by enumeration of orders."""
    mixer, value = made(name)
    assert mixer.centered
    z, context = drawn(mixer)
    choices = jnp.stack([z, -z], 1)  # with equal chances: the mean is 0
    joint = jnp.array(list(itertools.product(range(2), repeat=N)))
    of = jax.jit(jax.vmap(lambda j: value(choices[jnp.arange(N), j], context)))(joint)
    assert of.mean() == pytest.approx(0, abs=1e-5)
    nobody = jnp.zeros_like(z)
    alone = jnp.stack([value(nobody.at[i].set(z[i]), context) for i in range(N)])
    for agent in range(N):
        assert alone[agent] == pytest.approx(float(of[joint[:, agent] == 0].mean()), abs=1e-4)
    without = jnp.stack([value(z.at[i].set(0.0), context) for i in range(N)])  # linear in each: the mean stands for all
    mean = nobody[:, None], jnp.ones((N, 1))
    found = credit.shapley(lambda z: value(z, context), z, *mean, jax.random.key(0), 4000)
    np.testing.assert_allclose(0.5 * (alone + value(z, context) - without), found, atol=0.15)


def test_refuses():
    with pytest.raises(BadInput, match="rank"):
        Pair(rank=0)
