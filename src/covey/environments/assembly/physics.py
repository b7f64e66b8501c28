"""Discs in a walled square that accelerations drive, by semi-implicit Euler (section III of the paper).

In a step of `DT` seconds, with the forces F of where the robots are before it,

    v' = clip(v + F / m dt, ±top speed)        x' = x + v' dt

F is the action, the push of robots that overlap, k · max(0, 2 r - d) along the line between them, and that of the
walls, k_w · depth - c_w · v on an axis where a robot is in contact with one.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

DT = 0.1  # seconds
WALL = 2.4  # the arena is [-WALL, WALL]², plane units
BODY = 0.035  # radius of a robot that others and walls push against, plane units
MASS = 1.0
STIFFNESS = 30.0  # force of two robots per length of overlap
WALL_STIFFNESS = 100.0  # force of a wall per length of overlap
WALL_DAMPING = 5.0  # force of a wall per speed
TOP_SPEED = 0.8  # of each coordinate, plane units per second


def moved(position: Any, velocity: Any, action: Any) -> tuple[Any, Any]:
    """One step of all robots: positions, velocities and accelerations [N, 2] -> (positions, velocities)."""
    force = action + contact(position) + walls(position, velocity)
    velocity = jnp.clip(velocity + force / MASS * DT, -TOP_SPEED, TOP_SPEED)
    return position + velocity * DT, velocity


def contact(position: Any) -> Any:
    """What robots that overlap do to each other: positions [N, 2] -> forces [N, 2]. In the very same place they do
    nothing."""
    x, y = (z - z[:, None] for z in position.T)  # [N, N]  from the first to the second
    distance = length(x, y)
    push = STIFFNESS * jnp.maximum(0.0, 2.0 * BODY - distance) / jnp.where(distance > 0, distance, 1.0)
    return jnp.stack([(push * x).sum(0), (push * y).sum(0)], axis=1)


def walls(position: Any, velocity: Any) -> Any:
    """What walls do to robots, [N, 2]: a spring, and damping of the coordinate in which there is contact."""
    low, high = jnp.maximum(0.0, BODY - WALL - position), jnp.maximum(0.0, position + BODY - WALL)
    touching = (low > 0) | (high > 0)
    return WALL_STIFFNESS * (low - high) - WALL_DAMPING * velocity * touching


def length(x: Any, y: Any) -> Any:
    """|(x, y)|, elementwise; its derivative is 0 where it is 0, and never NaN."""
    square = x * x + y * y
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)


def direction(x: Any) -> Any:
    """Vectors [..., 2] made 1 long; those that are zero stay zero."""
    far = length(x[..., :1], x[..., 1:])
    return x / jnp.where(far > 0, far, 1.0)
