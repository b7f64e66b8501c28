"""Rollouts cut into the sequences through which a recurrent unit is differentiated.

What is cut is a NamedTuple of arrays, with the fields `counts` (which steps are learned from) and `carry` (what the
unit carries before each step).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def in_sequences(data: Any, length: int, burn_in: int) -> Any:
    """[T, E, ...] -> [E, C, L, ...], each sequence with the steps before it that burn in (the first: after it)."""
    begin = jnp.arange(0, len(data.counts), length)
    first = jnp.maximum(begin - burn_in, 0)
    index = first[:, None] + jnp.arange(length + burn_in)  # [C, L]
    own = (index >= begin[:, None]) & (index < begin[:, None] + length)
    cut = jax.tree.map(lambda x: jnp.moveaxis(x[index], 2, 0), data)
    first_carry = jax.tree.map(lambda x: x[:, :, 0], cut.carry)
    return cut._replace(counts=cut.counts & own, carry=first_carry)


def side_by_side(data: Any) -> Any:
    """[B, C, L, ...] -> [L, B·C, ...], what a network is unrolled over; carries [B·C, ...]."""
    flat = jax.tree.map(lambda x: x.reshape(x.shape[0] * x.shape[1], *x.shape[2:]), data)
    return jax.tree.map(lambda x: jnp.moveaxis(x, 1, 0), flat._replace(carry=()))._replace(carry=flat.carry)


def over(f: Callable, *steps: Any) -> Any:
    """A function of one step, over a rollout [T, E]."""
    return jax.vmap(jax.vmap(f))(*steps)
