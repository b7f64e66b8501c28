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
