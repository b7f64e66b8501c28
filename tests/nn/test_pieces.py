"""Batches in pieces are the same batches."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.nn.pieces import in_pieces


@pytest.mark.parametrize("most", [0, 1, 3, 5, 10, 11])
def test_values_and_gradients_are_those_of_the_whole_batch(most):
    x, y = jax.random.normal(jax.random.key(0), (2, 10, 3, 2))
    weight = jnp.arange(8.0).reshape(4, 2)

    def outcome(weight, most):
        found = in_pieces(lambda x, y: jnp.tanh(x @ weight.T + y.sum((1, 2), keepdims=True)), most, x, y)
        return (found**2).sum(), found

    ours, whole = (jax.value_and_grad(outcome, has_aux=True)(weight, m) for m in (most, 10))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), ours, whole)


def test_memory_is_that_of_one_piece():
    def temporary(count: int) -> int:
        def loss(weight, x):
            return in_pieces(lambda x: jnp.tanh(x[:, :, None] @ weight).sum((1, 2)), 8, x).sum()

        program = jax.jit(jax.grad(loss)).lower(jnp.ones((1, 1000)), jnp.ones((count, 4))).compile()
        analysis = program.memory_analysis()
        assert analysis is not None
        return analysis.temp_size_in_bytes

    assert temporary(800) < 2 * temporary(80)
