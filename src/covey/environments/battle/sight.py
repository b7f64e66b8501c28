"""What soldiers see: a disc around them, a small map of everybody, and facts about themselves."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

SIGHT = 6
"""Radius of what is seen."""

SIDE = 2 * SIGHT + 1
IDENTITY = 10
"""Bits by which soldiers are told apart."""


def disc() -> np.ndarray:
    """What lies within sight, bool [SIDE, SIDE]."""
    offsets = np.arange(-SIGHT, SIGHT + 1)
    return offsets[:, None] ** 2 + offsets[None] ** 2 <= SIGHT**2


def walls(size: int) -> np.ndarray:
    """The ring around the map, float32 [size, size]."""
    inside = np.zeros((size, size), bool)
    inside[1:-1, 1:-1] = True
    return (~inside).astype(np.float32)


def surroundings(layers: Any, position: Any) -> Any:
    """Layers of the map [size, size, C], row by row, as those at `position` [n, 2] (x, y) see them: [n, SIDE, SIDE, C].
    Beyond the map, and out of sight, everything is 0."""
    padded = jnp.pad(layers, ((SIGHT, SIGHT), (SIGHT, SIGHT), (0, 0)))
    offsets = jnp.arange(SIDE)
    rows, columns = position[:, 1, None] + offsets, position[:, 0, None] + offsets
    return padded[rows[:, :, None], columns[:, None, :]] * disc()[None, :, :, None]


def small_map(position: Any, there: Any, size: int) -> tuple[Any, Any]:
    """Where the soldiers that are `there` are, as shares of them on a map of SIDE by SIDE cells; and everybody's own
    cell on it (row, column), [n, 2]."""
    cell = -(-size // SIDE)
    own = position[:, ::-1] // cell
    count = jnp.zeros((SIDE, SIDE)).at[own[:, 0], own[:, 1]].add(there.astype(jnp.float32))
    return count / jnp.maximum(there.sum(), 1), own


def identities(count: int) -> np.ndarray:
    """Numbers of soldiers as bits, the lowest first, float32 [count, IDENTITY]."""
    return ((np.arange(count)[:, None] >> np.arange(IDENTITY)) & 1).astype(np.float32)
