"""Layer normalization, and networks whose hidden layers have it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.nn.nets import Linear
from covey.nn.recurrent import Norm


def normalization(width: int) -> Norm:
    """A layer normalization that changes neither scale nor mean yet."""
    return Norm(jnp.ones(width), jnp.zeros(width))


class NormalizedMLP(eqx.Module):
    """Affine layers, each but the last with layer normalization and SiLU: inputs [..., D] -> outputs [..., P]."""

    layers: tuple[Linear, ...]
    norms: tuple[Norm, ...]

    @staticmethod
    def shapes(sizes: Sequence[int]) -> list[tuple[int, int]]:
        """(out, in) of every layer of a network with these `sizes`, inputs first."""
        return list(zip(sizes[1:], sizes[:-1], strict=True))

    @classmethod
    def take(cls, drawn: Iterator[Linear], sizes: Sequence[int], last: float = 1.0) -> NormalizedMLP:
        """A network out of layers that were drawn in the order of `shapes`; the last one's weights are scaled."""
        *hidden, final = (next(drawn) for _ in sizes[1:])
        return cls((*hidden, final._replace(weight=last * final.weight)), tuple(map(normalization, sizes[1:-1])))

    def __call__(self, x: Any) -> Any:
        *hidden, final = self.layers
        for layer, norm in zip(hidden, self.norms, strict=True):
            x = jax.nn.silu(norm(layer(x)))
        return final(x)
