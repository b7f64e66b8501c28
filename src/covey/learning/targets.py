"""Targets that move slowly, and values that only move with time: schedules."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.core.checks import within


def polyak(target: Any, online: Any, rate: Any) -> Any:
    """Soft update: target + rate · (online - target), leaf by leaf (Lillicrap et al. 2016)."""
    return jax.tree.map(lambda t, o: t + rate * (o - t), target, online)


def masked_mean(x: Any, weight: Any, axis: int | None = None) -> Any:
    """Mean of `x` with weights; 0 where all weights are 0."""
    return (x * weight).sum(axis) / jnp.maximum(weight.sum(axis), 1.0)


class Linear(eqx.Module):
    """From `start` to `end` over the first `steps` environment steps, constant after."""

    start: float
    """The value at the beginning."""
    end: float
    """The value from then on."""
    steps: float
    """Environment steps from `start` to `end`."""

    def __check_init__(self):
        within(self, "(-inf, inf)", "start", "end")
        within(self, "[0, inf)", "steps")

    @classmethod
    def from_number(cls, value: float) -> Linear:
        """A setting that is given one number has that value all the time."""
        return cls(value, value, 0.0)

    def __call__(self, step: Any) -> Any:
        done = jnp.clip(step / jnp.maximum(self.steps, 1.0), 0.0, 1.0)
        return self.start + done * (self.end - self.start)


def constant(value: float) -> Linear:
    """The same value all the time."""
    return Linear.from_number(value)


def masked_variance(x: Any, weight: Any) -> Any:
    """Variance of x over what counts."""
    return masked_mean((x - masked_mean(x, weight)) ** 2, weight)
