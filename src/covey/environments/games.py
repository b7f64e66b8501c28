"""What games of one group share, in which everybody earns the same and nobody dies."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from covey.core.types import TimeStep


def shown(group: str, obs: Any, reward: Any, over: Any) -> TimeStep:
    """Observations obs [n, D] of the group called `group`, and one reward []; `over` []: has the game ended?"""
    n = len(obs)
    return TimeStep(
        obs={group: obs},
        reward={group: jnp.full(n, reward, jnp.float32)},
        discount={group: jnp.full(n, jnp.where(over, 0.0, 1.0))},
        alive={group: jnp.ones(n, bool)},
        last=over,
    )
