"""Listed neighbors: what those see and do whom the environment lists for an agent (`TimeStep.neighbors`).

Everybody's data stands in one table with a row per agent, numbered as neighbors are: through all groups in name order.
What an agent sees of its M neighbors is M rows of it, so memory grows with n M, never with n².
"""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from covey.core.errors import BadInput
from covey.core.types import Groups, Spec


def neighborhood(spec: Spec) -> int:
    """How many neighbors every agent lists, M. BadInput where the environment lists none."""
    if not spec.neighborhood:
        raise BadInput(
            f"{spec.name} lists no neighbors, and a critic of neighbors needs some: set its option `nearest` where it "
            "has one (`--env.nearest 6`), or use a critic that sees everybody."
        )
    return spec.neighborhood


def row_size(spec: Spec, sizes: dict[str, int]) -> int:
    """Numbers in a row of `table` whose data have these sizes, by group."""
    return len(spec.groups) + sum(sizes.values())


def table(spec: Spec, alive: Groups, data: Groups) -> Any:
    """Rows [..., N, R] of all N agents, from `data` [..., n, D] and `alive` [..., n] by group.

    A row says which group its agent is of (one-hot), then come columns of every group, zero but for the agent's own: so
    a layer has weights of its own for each kind of agent. The row of a dead agent is zero if its data are.
    """
    blocks = []
    for number, name in enumerate(spec.groups):
        lead = alive[name].shape
        kind = alive[name][..., None] * np.eye(len(spec.groups), dtype=np.float32)[number]
        columns = [data[name] if other == name else jnp.zeros((*lead, data[other].shape[-1])) for other in spec.groups]
        blocks.append(jnp.concatenate([kind, *columns], -1))
    return jnp.concatenate(blocks, -2)


def gathered(rows: Any, neighbors: tuple[Any, Any]) -> Any:
    """Of rows [..., N, R] those of listed neighbors, (index, mask) [..., n, M]: [..., n, M, R], zero where nobody is.

    One gather of whole rows out of a flat table, which neither processors nor GPUs do number by number.
    """
    index, mask = neighbors
    *lead, count, size = rows.shape
    first = count * jnp.arange(math.prod(lead), dtype=jnp.int32).reshape(*lead, 1, 1)
    found = rows.reshape(-1, size).at[first + jnp.clip(index, 0, count - 1)].get(mode="promise_in_bounds")
    return jnp.where(mask[..., None], found, 0.0)


def living(spec: Spec, rows: Any) -> Any:
    """Which of the rows [..., R] are of living agents, float32 [...]: 1 or 0."""
    return rows[..., : len(spec.groups)].sum(-1)
