"""Who takes what: exact assignments of a few agents to a few places."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax.numpy as jnp
import numpy as np

MOST_ASSIGNED = 12
"""Agents or places: every subset of them is looked at, 2¹² = 4096."""


def assigned(cost: Any) -> Any:
    """The assignment that costs least in sum: the place [n] of every agent, -1 for agents without one, from the cost
    [n, m] of each place to each agent. As many agents as possible have a place of their own.

    The least cost of giving the first i agents the places of a subset follows from that of the first i - 1 and the
    subset without one place (Held and Karp 1962).
    """
    agents, places = cost.shape
    if agents > places:
        owner = assigned(cost.T)
        return jnp.full(agents, -1).at[owner].set(jnp.arange(places))
    without, member = _subsets(places)
    least, last = jnp.full(2**places, jnp.inf).at[0].set(0.0), []
    for i in range(agents):
        each = jnp.where(member, least[without] + cost[i], jnp.inf)  # [subsets, places]
        last.append(each.argmin(1))
        least = each.min(1)
    subset, taken = least.argmin(), []
    for i in reversed(range(agents)):
        taken.append(last[i][subset])
        subset = jnp.asarray(without)[subset, taken[-1]]
    return jnp.stack(taken[::-1])


@cache
def _subsets(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Of every subset of so many, as bits: the subset without each member [2^count, count], and who is a member."""
    bits = 1 << np.arange(count)
    number = np.arange(2**count)[:, None]
    return number & ~bits, (number & bits) > 0
