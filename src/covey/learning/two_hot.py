"""Regression by classification: numbers as chances over bins that are even on a symmetric logarithmic scale.

Hafner et al. 2023 (DreamerV3), section "Robust predictions".
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


def symlog(x: Any) -> Any:
    """sign(x) log(1 + |x|)."""
    return jnp.sign(x) * jnp.log1p(jnp.abs(x))


def symexp(x: Any) -> Any:
    """The inverse of `symlog`."""
    return jnp.sign(x) * jnp.expm1(jnp.abs(x))


class TwoHot(NamedTuple):
    """`bins` bins from -`bound` to `bound` on the logarithmic scale. Numbers beyond are those at the ends."""

    bins: int
    bound: float

    def encode(self, x: Any) -> Any:
        """Numbers [...] -> chances [..., bins], none of which but those of the two bins next to the number are above 0,
        and whose mean, on the logarithmic scale, is the number."""
        place = (jnp.clip(symlog(x), -self.bound, self.bound) + self.bound) * ((self.bins - 1) / (2 * self.bound))
        return jnp.maximum(1.0 - jnp.abs(place[..., None] - jnp.arange(self.bins)), 0.0)

    def decode(self, logits: Any) -> Any:
        """The number [...] that logits [..., bins] stand for: their mean, on the logarithmic scale."""
        centers = jnp.linspace(-self.bound, self.bound, self.bins)
        return symexp(jax.nn.softmax(logits) @ centers)

    def loss(self, logits: Any, x: Any) -> Any:
        """Cross-entropy [...], in nats, of logits [..., bins] where the number was `x` [...]."""
        return -(self.encode(x) * jax.nn.log_softmax(logits)).sum(-1)


class Squared(NamedTuple):
    """The alternative with the same methods: a number said as it is, by one logit, and squared errors."""

    bins: int = 1

    def decode(self, logits: Any) -> Any:
        """The number [...] that logits [..., 1] say."""
        return logits[..., 0]

    def loss(self, logits: Any, x: Any) -> Any:
        """Squared error [...] of logits [..., 1] where the number was `x` [...]."""
        return (logits[..., 0] - x) ** 2
