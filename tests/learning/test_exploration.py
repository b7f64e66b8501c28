"""Exploration, part by part."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.core.errors import BadInput
from covey.core.types import Box, Discrete, Splits
from covey.learning.exploration import Gaussian, Mixing, OrnsteinUhlenbeck, TowardsUniform, target_noise
from covey.learning.targets import Linear, masked_mean, polyak
from covey.nn.heads import Head

BOX, SPLITS, DISCRETE = Head(Box((-1.0, -1.0), (1.0, 1.0))), Head(Splits((2, 3))), Head(Discrete(3))
RAW = {2: jnp.array([0.3, -0.4]), 5: jnp.array([0.5, -0.5, 1.0, 0.0, -1.0]), 3: jnp.array([1.0, 0.0, -1.0])}


def always(value: float) -> Linear:
    return Linear(value, value, 1.0)


def explored(part, head, count=4000, legal=None, noise=None):
    """Embedded actions [count, A] and noises from as many keys."""
    raw = RAW[head.size]
    noise = jnp.zeros_like(raw) if noise is None else noise
    keys = jax.random.split(jax.random.key(0), count)
    return jax.jit(jax.vmap(lambda key: part(head, raw, noise, legal, key, 0)))(keys)


@pytest.mark.parametrize("part", [Gaussian(always(0.0)), OrnsteinUhlenbeck(always(0.0)), Mixing(always(0.0))])
@pytest.mark.parametrize("head", [BOX, SPLITS], ids=["box", "splits"])
def test_no_noise_is_greedy(part, head):
    actions, noises = explored(part, head, count=3)
    np.testing.assert_allclose(actions, jnp.broadcast_to(head.greedy(RAW[head.size]), actions.shape), rtol=1e-6)
    np.testing.assert_array_equal(noises, 0.0)


@pytest.mark.parametrize("part", [Gaussian(always(1.0)), OrnsteinUhlenbeck(always(1.0)), Mixing(always(0.5))])
def test_splits_stay_splits(part):
    legal = jnp.array([True, True, True, False, True])
    actions = np.asarray(explored(part, SPLITS, legal=legal)[0])
    assert (actions >= 0).all()
    np.testing.assert_allclose(actions[:, :2].sum(1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(actions[:, 2:].sum(1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(actions[:, 3], 0.0)
    assert actions.std(0)[[0, 1, 2, 4]].min() > 0.05


def test_gaussian_on_a_box():
    actions = np.asarray(explored(Gaussian(always(0.1)), BOX)[0])
    np.testing.assert_allclose(actions.mean(0), jnp.tanh(RAW[2]), atol=0.01)
    np.testing.assert_allclose(actions.std(0), 0.1, rtol=0.06)
    loud = np.asarray(explored(Gaussian(always(5.0)), BOX)[0])
    assert np.abs(loud).max() == 1.0


@pytest.mark.parametrize("part", [Gaussian(always(0.0)), Mixing(always(0.0))])
def test_discrete_choices_are_drawn_from_the_softmax(part):
    actions = np.asarray(explored(part, DISCRETE)[0])
    np.testing.assert_allclose(actions.sum(1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(actions.mean(0), jax.nn.softmax(RAW[3]), atol=0.03)


def test_ornstein_uhlenbeck_reverts():
    noise = jnp.array([1.0, -2.0])
    _, after = explored(OrnsteinUhlenbeck(always(0.0), theta=0.25), BOX, count=1, noise=noise)
    np.testing.assert_allclose(after[0], 0.75 * noise, rtol=1e-6)
    _, after = explored(OrnsteinUhlenbeck(always(0.2), theta=0.25), BOX, noise=noise)
    np.testing.assert_allclose(after.mean(0), 0.75 * noise, atol=0.015)
    np.testing.assert_allclose(after.std(0), 0.2, rtol=0.06)


def test_mixing_at_one_is_random():
    np.testing.assert_allclose(explored(Mixing(always(1.0)), SPLITS)[0].mean(0), [1 / 2] * 2 + [1 / 3] * 3, atol=0.02)
    box = np.asarray(explored(Mixing(always(1.0)), BOX)[0])
    np.testing.assert_allclose(box.mean(0), 0.0, atol=0.04)
    np.testing.assert_allclose(box.std(0), 3**-0.5, rtol=0.04)
    np.testing.assert_allclose(explored(Mixing(always(1.0)), DISCRETE)[0].mean(0), 1 / 3, atol=0.03)


def test_towards_uniform():
    actions, _ = explored(TowardsUniform(always(1.0)), SPLITS, count=2)
    own = SPLITS.greedy(RAW[5])
    np.testing.assert_allclose(actions[0, :2], (own[:2] + 1) / 3, rtol=1e-5)  # (a + 1) / (sum + 2) of a pair
    np.testing.assert_allclose(actions[0, 2:], (own[2:] + 1) / 4, rtol=1e-5)
    half = np.asarray(explored(TowardsUniform(always(0.5)), SPLITS)[0][:, 0])
    np.testing.assert_allclose((half != own[0]).mean(), 0.5, atol=0.03)
    with pytest.raises(BadInput, match="for split actions"):
        explored(TowardsUniform(), BOX, count=1)


def test_target_noise_is_bounded():
    keys = jax.random.split(jax.random.key(0), 1000)
    noisy = jax.vmap(lambda key: target_noise(BOX, RAW[2], None, key, 10.0, 0.25))(keys)
    off = np.abs(noisy - jnp.tanh(RAW[2]))
    assert off.max() <= 0.25 + 1e-6
    assert off.mean() > 0.2


def test_schedules_and_targets():
    line = Linear(1.0, 0.2, 100.0)
    assert [float(line(step)) for step in (0, 50, 100, 1000)] == pytest.approx([1.0, 0.6, 0.2, 0.2])
    assert float(polyak(jnp.float32(2.0), jnp.float32(4.0), 0.25)) == 2.5
    assert float(masked_mean(jnp.array([1.0, 5.0, 9.0]), jnp.array([1.0, 1.0, 0.0]))) == 3.0
    assert float(masked_mean(jnp.ones(2), jnp.zeros(2))) == 0.0
