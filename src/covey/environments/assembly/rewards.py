"""What a robot earns: 1 where three conditions hold after the step, else 0.

It is in the region; no neighbor that it lists is nearer than `avoid`; and it stands in the middle of the free cells
that it lists: the mean of their positions, relative to its own, is shorter than `tolerance`.
"""

from __future__ import annotations

from typing import Any, Literal

import jax.numpy as jnp

from covey.environments.assembly.physics import length
from covey.environments.assembly.sensing import View

Reward = Literal["llm", "manual"]
Sharing = Literal["individual", "mean", "max"]


def reward(view: View, avoid: Any, reach: Any, tolerance: Any, kind: Reward) -> Any:
    """Of one robot, float32 []. kind: "llm", which a language model wrote, takes the plain mean of the cells; "manual"
    takes a mean that nearer cells weigh more in."""
    near = view.neighbor_there & (distance(view.neighbor_position) < avoid)
    weight = jnp.ones(len(view.cell_there)) if kind == "llm" else nearness(view.cell_position, reach)
    there, middle = middle_of(view, weight)
    centered = there & (distance(middle) < tolerance)
    return (view.in_region & ~near.any() & centered).astype(jnp.float32)


def middle_of(view: View, weight: Any) -> tuple[Any, Any]:
    """Are there free cells [], and their mean position with this `weight` [K], relative to the own [2]; 0 if not."""
    weight = jnp.where(view.cell_there, weight, 0.0)
    total = weight.sum()
    return total > 0, (weight[:, None] * view.cell_position).sum(0) / jnp.where(total > 0, total, 1.0)


def nearness(offset: Any, reach: Any) -> Any:
    """ψ(d) = (1 + cos(π d / R)) / 2 of offsets [..., 2] of length d; 0 from the radius R on."""
    far = distance(offset)
    return jnp.where(far < reach, 0.5 * (1.0 + jnp.cos(jnp.pi * far / reach)), 0.0)


def distance(offset: Any) -> Any:
    """The lengths of offsets [..., 2]."""
    return length(offset[..., 0], offset[..., 1])


def shared(reward: Any, sharing: Sharing) -> Any:
    """Rewards [N]: everybody's own, or for everybody the mean or the largest."""
    match sharing:
        case "individual":
            return reward
        case "mean":
            return jnp.full_like(reward, reward.mean())
        case "max":
            return jnp.full_like(reward, reward.max())
