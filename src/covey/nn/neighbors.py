"""Listed neighbors: what those see and do whom the environment lists for an agent (`TimeStep.neighbors`).

Everybody's data stands in one table with a row per agent, numbered as neighbors are: through all groups in name order.
What an agent sees of its M neighbors is M rows of it, so memory grows with n M, never with n².
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
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


class Slots(NamedTuple):
    """Which rows of a table are those of listed neighbors, and which slots hold a living one."""

    row: Any  # [..., n, M]  int32, from 0 to N - 1
    there: Any  # [..., n, M]  bool


def slots(spec: Spec, alive: Groups, neighbors: tuple[Any, Any]) -> Slots:
    """The slots of agents with these neighbors, (index, mask) [..., n, M], where `alive` is [..., n] by group."""
    everybody = jnp.concatenate([alive[name] for name in spec.groups], -1)
    index, mask = neighbors
    row = jnp.clip(index, 0, everybody.shape[-1] - 1)
    return Slots(row, mask & _taken(everybody.reshape(-1), _flat(row, everybody.shape[-1])))


def gathered(rows: Any, where: Slots) -> Any:
    """Of rows [..., N, R] those of neighbors: [..., n, M, R], zero where nobody is there."""
    found = _taken(rows.reshape(-1, rows.shape[-1]), _flat(where.row, rows.shape[-2]))
    return jnp.where(where.there[..., None], found, 0.0)


def products(rows: Any, weight: Any, where: Slots) -> Any:
    """What a layer's weight [H, R] makes of the rows of neighbors: [..., n, M, H], anything where nobody is there.

    Everybody's row is multiplied once, and M products are gathered. The gradient of the weight gathers rows instead of
    summing into them in some order, which processors do slowly and GPUs differently each time.
    """
    return _products(rows.reshape(-1, rows.shape[-1]), weight, _flat(where.row, rows.shape[-2]))


@jax.custom_vjp
def _products(rows: Any, weight: Any, row: Any) -> Any:
    return _taken(rows @ weight.T, row)


def _products_forward(rows: Any, weight: Any, row: Any) -> tuple[Any, tuple[Any, Any, Any]]:
    return _products(rows, weight, row), (rows, weight, row)


def _products_backward(kept: tuple[Any, Any, Any], slope: Any) -> tuple[Any, Any, None]:
    rows, weight, row = kept
    flat = slope.reshape(-1, len(weight))
    of_weight = flat.T @ _taken(rows, row.reshape(-1))
    return jnp.zeros_like(rows).at[row.reshape(-1)].add(flat @ weight), of_weight, None


_products.defvjp(_products_forward, _products_backward)


def _flat(row: Any, count: int) -> Any:
    """Rows [..., n, M] of tables with `count` rows each, numbered through all tables."""
    *lead, _, _ = row.shape
    return row + count * jnp.arange(math.prod(lead), dtype=jnp.int32).reshape(*lead, 1, 1)


def _taken(flat: Any, row: Any) -> Any:
    return flat.at[row].get(mode="promise_in_bounds")
