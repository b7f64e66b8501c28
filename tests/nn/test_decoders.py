"""The decoder of pictures is the way back of the encoder `strided`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.core.errors import BadInput
from covey.nn.decoders import Transposed, transposed
from covey.nn.encoders import Strided, convolved, halved
from covey.nn.nets import Linear


@pytest.mark.parametrize("size", [(6, 7), (5, 8), (1, 2)])
def test_transposed_filters_are_the_transpose_of_those_that_halve(size):
    """The same weights, read from the other side: <halve(x), y> = <x, transposed(y)> for all x and y."""
    halves, inward, outward = tuple(-(-length // 2) for length in size), 3, 2
    draw = np.random.default_rng(0)
    kernel = draw.normal(size=(outward, 4, 4, inward)).astype(np.float32)
    halving = Linear(jnp.asarray(kernel.reshape(outward, -1)), jnp.zeros(outward))
    back = np.flip(kernel, (1, 2)).transpose(3, 1, 2, 0).reshape(inward, -1)
    doubling = Linear(jnp.asarray(back), jnp.zeros(inward))
    x, y = draw.normal(size=(2, *size, inward)), draw.normal(size=(2, *halves, outward))
    there = convolved(halving, jnp.asarray(x, jnp.float32), 2)
    again = transposed(doubling, jnp.asarray(y, jnp.float32), size)
    assert there.shape == y.shape
    assert again.shape == x.shape
    np.testing.assert_allclose((np.asarray(there) * y).sum(), (x * np.asarray(again)).sum(), rtol=1e-3)


@pytest.mark.parametrize("size", [(64, 64, 3), (12, 12, 1), (58, 15, 1), (1, 1, 2)])
def test_pictures_of_every_size_come_back_in_their_size(size):
    decoder = Transposed(width=6, channels=(5, 4, 3, 2))
    sizes = halved(size, (2, 3, 4, 5))
    assert decoder.sizes(size) == sizes[::-1]

    def made(key):
        return decoder(decoder.draw(key, size), size, jnp.ones((7, 6)))

    assert jax.eval_shape(made, jax.random.key(0)).shape == (7, *size)


def test_the_sizes_of_storm():
    assert halved((64, 64, 3), Strided().channels)[-1] == (4, 4, 256)
    assert Transposed().channels == Strided().channels[::-1]


def test_stages_without_filters_are_refused():
    with pytest.raises(BadInput, match="at least one filter"):
        Transposed(channels=())
    with pytest.raises(BadInput, match="at least one filter"):
        Strided(channels=(8, 0))
    with pytest.raises(BadInput, match="`width`"):
        Transposed(width=0)
