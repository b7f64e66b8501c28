"""What the toy environments share: chance that may be fixed, and a time limit."""

from __future__ import annotations

from typing import Any

import jax

from covey.core.errors import BadInput


def chance(fixed: bool, key: Any, clock: Any) -> Any:
    """The key to draw from at time `clock`: the given one, or one that depends on the clock alone."""
    return jax.random.fold_in(jax.random.key(0), clock) if fixed else key


def need_time(time_limit: int) -> None:
    if time_limit < 1:
        raise BadInput(f"an episode needs at least one step: time_limit is {time_limit}, make it 1 or more.")
