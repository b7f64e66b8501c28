"""Two-hot regression on a symmetric logarithmic scale."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from covey.learning.two_hot import TwoHot, symexp, symlog

BINS = TwoHot(41, 6.0)
NUMBERS = jnp.array([-300.0, -10.0, -1.0, -0.3, 0.0, 0.01, 0.5, 2.0, 77.0, 400.0])


def test_symlog_and_symexp_are_inverse():
    np.testing.assert_allclose(symexp(symlog(NUMBERS)), NUMBERS, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(symlog(jnp.array([np.e - 1, 1 - np.e])), [1.0, -1.0], rtol=1e-6)


def test_numbers_come_back():
    chances = BINS.encode(NUMBERS)
    np.testing.assert_allclose(chances.sum(-1), 1.0, atol=1e-5)
    assert ((chances > 1e-6).sum(-1) <= 2).all()
    np.testing.assert_allclose(BINS.decode(jnp.log(chances + 1e-30)), NUMBERS, rtol=1e-4, atol=1e-4)


def test_numbers_beyond_are_those_at_the_ends():
    ends = BINS.encode(jnp.array([-1e9, 1e9]))
    np.testing.assert_array_equal(jnp.argmax(ends, -1), [0, 40])
    np.testing.assert_allclose(ends.max(-1), 1.0, atol=1e-5)


def test_the_loss_is_least_where_the_logits_are_the_code():
    chances = BINS.encode(jnp.float32(0.7))
    slope = jax.grad(lambda logits: BINS.loss(logits, jnp.float32(0.7)))(jnp.log(chances + 1e-30))
    np.testing.assert_allclose(slope, 0.0, atol=1e-6)
    assert BINS.loss(jnp.zeros(41), jnp.float32(0.7)) == jnp.log(41.0)
