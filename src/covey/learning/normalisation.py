"""Scales that follow what they see."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp


class Scale(NamedTuple):
    """Running mean and mean square of numbers, and the weight behind both (which takes the zeros at the start out)."""

    mean: Any  # []
    square: Any  # []
    weight: Any  # []

    @property
    def moments(self) -> tuple[Any, Any]:
        """Mean and standard deviation; 0 and 1 before anything was seen."""
        weight = jnp.maximum(self.weight, 1e-5)
        mean, square = self.mean / weight, self.square / weight
        spread = jnp.sqrt(jnp.maximum(square - mean**2, 1e-2))
        return mean, jnp.where(self.weight > 0, spread, 1.0)

    def normalize(self, x: Any) -> Any:
        mean, spread = self.moments
        return (x - mean) / spread

    def denormalize(self, x: Any) -> Any:
        mean, spread = self.moments
        return x * spread + mean

    def update(self, x: Any, count: Any, rate: Any) -> Scale:
        """With a batch `x`, of which `count` (0 or 1 each) says what counts; `rate` of the old is forgotten."""
        seen = jnp.minimum(count.sum(), 1.0)  # 0 where nothing counts: then nothing is forgotten
        rate, total = rate * seen, jnp.maximum(count.sum(), 1.0)

        def follow(old, new):
            return old + rate * (new - old)

        return Scale(
            follow(self.mean, (x * count).sum() / total),
            follow(self.square, (x**2 * count).sum() / total),
            follow(self.weight, 1.0),
        )


def unscaled() -> Scale:
    """Before anything was seen."""
    return Scale(jnp.float32(0), jnp.float32(0), jnp.float32(0))


class Percentiles(NamedTuple):
    """Running 5th and 95th percentiles of returns (Hafner et al. 2023: DreamerV3)."""

    low: Any  # []
    high: Any  # []
    known: Any  # []  bool: was anything seen?

    @property
    def scale(self) -> Any:
        """What returns are divided by: their range, or 1 where that is smaller."""
        return jnp.maximum(self.high - self.low, 1.0)

    def update(self, x: Any, decay: Any) -> Percentiles:
        """With a batch `x` of any shape, of which the share 1 - `decay` counts; all of it, if it is the first."""
        low, high = jnp.percentile(x, jnp.array([5.0, 95.0]))
        rate = jnp.where(self.known, 1.0 - decay, 1.0)
        return Percentiles(
            self.low + rate * (low - self.low), self.high + rate * (high - self.high), jnp.ones_like(self.known)
        )


def no_percentiles() -> Percentiles:
    """Before anything was seen."""
    return Percentiles(jnp.float32(0), jnp.float32(0), jnp.bool_(False))
