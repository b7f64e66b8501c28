"""Samples of categorical variables have the chances that they were given."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from covey.learning.categorical import one_hot_sample

CHANCES = np.array([[0.2, 0.5, 0.3], [0.0, 1.0, 0.0], [4.0, 0.0, 4.0]], np.float32)


def test_samples_are_one_hot_and_have_their_chances():
    count = 20_000
    drawn = np.asarray(jax.jit(one_hot_sample)(jax.random.key(0), jnp.broadcast_to(CHANCES, (count, 3, 3))))
    np.testing.assert_array_equal(np.sort(drawn, -1), np.broadcast_to([0.0, 0.0, 1.0], drawn.shape))
    wanted = CHANCES / CHANCES.sum(-1, keepdims=True)
    np.testing.assert_allclose(drawn.mean(0), wanted, atol=4 * 0.5 / count**0.5)
    np.testing.assert_array_equal(drawn[..., 2, 1], 0.0)


def test_variables_are_drawn_apart():
    drawn = np.asarray(one_hot_sample(jax.random.key(1), jnp.full((2000, 2, 2), 0.5)))[..., 0]
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.1
