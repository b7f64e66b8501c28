"""Who is near whom: lists of the k nearest agents, for environments whose agents have places."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from covey.core.errors import BadInput
from covey.core.types import Groups


def check_nearest(nearest: int, count: int, whom: str = "others") -> None:
    """Refuse to list more agents than there are beside oneself."""
    if not 0 <= nearest <= count:
        raise BadInput(f"`nearest` is {nearest}: an agent can list from 0 to {count} {whom} here.")


def nearest_others(position: Any, alive: Any, count: int) -> tuple[Any, Any]:
    """Of agents at `position` [n, 2], the `count` living others that are nearest to each, the nearest first: index
    [n, M], int32, and which entries are somebody [n, M]. Of equals, the lower number.

    It needs all distances: n² floats a lane, 160 kB for 200 agents.
    """
    far = sum(jnp.square(x[:, None] - x[None]) for x in position.T)
    far = jnp.where(alive[None] & ~np.eye(len(position), dtype=bool), far, jnp.inf)
    distance, index = jax.lax.top_k(-far, count)
    return index.astype(jnp.int32), jnp.isfinite(distance)


def nearest_neighbors(position: Groups, alive: Groups, count: int) -> Groups:
    """`TimeStep.neighbors` of agents at `position` [n, 2] by group: whoever is nearest, of any group. Nothing where
    `count` is 0."""
    if not count:
        return {}
    names = sorted(position)
    place, living = (jnp.concatenate([x[name] for name in names]) for x in (position, alive))
    index, there = nearest_others(place, living, count)
    ends = np.cumsum([len(position[name]) for name in names])[:-1]
    return dict(zip(names, zip(jnp.split(index, ends), jnp.split(there, ends), strict=True), strict=True))
