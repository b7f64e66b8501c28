"""Networks: records of arrays that map one input to one output. Batches, agents and seeds are vmaps around them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np


class Linear(NamedTuple):
    """An affine map. Leading axes of the leaves, if any, are for vmaps."""

    weight: Any  # [out, in]
    bias: Any  # [out]

    def __call__(self, x):
        return x @ self.weight.T + self.bias  # a batch of rows stays rows: `weight @ x` transposes it in every layer


def linears(key: Any, *shapes: tuple[int, ...]) -> tuple[Linear, ...]:
    """Affine maps of shapes (..., out, in) out of one draw (every draw costs a quarter of a second to compile).

    Weights start normal with variance 2 / (in + out) (Glorot & Bengio 2010), biases at zero.
    """
    counts = [math.prod(shape) for shape in shapes]
    pieces = jnp.split(jax.random.normal(key, (sum(counts),)), np.cumsum(counts)[:-1])
    weights = [
        piece.reshape(shape) * (2.0 / sum(shape[-2:])) ** 0.5 for piece, shape in zip(pieces, shapes, strict=True)
    ]
    return tuple(Linear(weight, jnp.zeros(weight.shape[:-1])) for weight in weights)


class MLP(eqx.Module):
    """Affine layers with `activation` between them; the last layer is linear and its weights are scaled by `last`."""

    layers: tuple[Linear, ...]
    activation: Callable = eqx.field(static=True)

    def __init__(self, key, sizes: Sequence[int], *, last: float = 1.0, activation: Callable = jax.nn.relu):
        *hidden, final = linears(key, *zip(sizes[1:], sizes[:-1], strict=True))
        self.layers = (*hidden, final._replace(weight=final.weight * last))
        self.activation = activation

    def __call__(self, x):
        *hidden, final = self.layers
        for layer in hidden:
            x = self.activation(layer(x))
        return final(x)
