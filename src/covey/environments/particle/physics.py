"""Soft discs in a plane that forces drive, the physics of the particle worlds (Mordatch & Abbeel 2018; `mpe2`).

In a step of `DT` seconds, with the forces F of where the bodies are before it,

    x' = x + v dt        v' = (1 - damping) v + F / m dt, shortened to the top speed

Two bodies that meet push each other along the line between them by k · softplus(-(distance - radii) / margin) · margin.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

DT = 0.1  # seconds
DAMPING = 0.25  # share of the velocity that a step takes
STIFFNESS = 100.0  # k: force per length of overlap
MARGIN = 1e-3  # how far a contact reaches beyond the discs


class Kind(NamedTuple):
    """Bodies of one kind. Lengths are in plane units, of which the plane's middle is 1 away from its edges."""

    count: int
    radius: float = 0.05
    collides: bool = True
    moves: bool = True
    thrust: float = 5.0  # force of a full push
    top_speed: float = np.inf
    mass: float = 1.0
    speaks: bool = False


class Bodies(NamedTuple):
    """What never changes about b bodies, of which the first a may move: NumPy arrays [b], or [a] where marked."""

    radius: np.ndarray
    collides: np.ndarray
    moves: np.ndarray  # [a]
    thrust: np.ndarray  # [a]
    top_speed: np.ndarray  # [a]
    mass: np.ndarray  # [a]


def bodies(agents: tuple[Kind, ...], landmarks: tuple[Kind, ...]) -> Bodies:
    """Agents, kind by kind, then landmarks."""

    def column(name: str, kinds: tuple[Kind, ...]) -> np.ndarray:
        return np.repeat([getattr(kind, name) for kind in kinds], [kind.count for kind in kinds])

    return Bodies(
        *(column(name, agents + landmarks) for name in ("radius", "collides")),
        *(column(name, agents) for name in ("moves", "thrust", "top_speed", "mass")),
    )


def moved(bodies: Bodies, position: Any, velocity: Any, push: Any) -> tuple[Any, Any]:
    """One step: positions [b, 2], the agents' velocities and pushes [a, 2] -> (positions, velocities)."""
    agents = len(bodies.moves)
    force = bodies.thrust[:, None] * push + contact(bodies, position)
    after = position[:agents] + DT * velocity
    velocity = (1.0 - DAMPING) * velocity + DT * force / bodies.mass[:, None]
    if np.isfinite(bodies.top_speed).any():
        speed, top = length(velocity)[:, None], bodies.top_speed[:, None]
        velocity = jnp.where(speed > top, velocity * (np.where(np.isinf(top), 0.0, top) / speed), velocity)
    velocity = jnp.where(bodies.moves[:, None], velocity, 0.0)
    return jnp.concatenate([after, position[agents:]]), velocity


def contact(bodies: Bodies, position: Any) -> Any:
    """The forces on the agents [a, 2] of everything they touch. Bodies in the very same place do not push."""
    agents = len(bodies.moves)
    touching = bodies.collides[:agents, None] & bodies.collides
    np.fill_diagonal(touching, False)
    if not touching.any():
        return 0.0
    last = np.flatnonzero(bodies.collides).max() + 1
    gap = position[:agents, None] - position[:last]
    distance = length(gap)
    reach = (bodies.radius[:agents, None] + bodies.radius)[:, :last]
    overlap = MARGIN * jnp.logaddexp(0.0, (reach - distance) / MARGIN)
    force = jnp.where(touching[:, :last], STIFFNESS * overlap / jnp.maximum(distance, 1e-12), 0.0)
    return (force[..., None] * gap).sum(1)


def length(x: Any) -> Any:
    """Vectors [..., 2] -> [...]."""
    return jnp.sqrt(x[..., 0] ** 2 + x[..., 1] ** 2)


def distances(a: Any, b: Any) -> Any:
    """Points [n, 2] and [m, 2] -> [n, m]."""
    return length(a[:, None] - b)


def others(x: Any) -> Any:
    """What everybody has about everybody [n, n, ...], without what they have about themselves: [n, n - 1, ...]."""
    n, rest = x.shape[0], x.shape[2:]
    flat = x.reshape(n * n, *rest)[1:].reshape(n - 1, n + 1, *rest)
    return flat[:, :-1].reshape(n, n - 1, *rest)


def nearest(count: int, distance: Any, *columns: Any) -> list[Any]:
    """Of what is listed per agent [n, m, ...], that of the `count` nearest, zeros where there are fewer."""
    order = jnp.argsort(distance, axis=1)[:, :count]
    short = max(count - distance.shape[1], 0)

    def pick(x: Any) -> Any:
        chosen = jnp.take_along_axis(x, order.reshape(order.shape + (1,) * (x.ndim - 2)), axis=1)
        return jnp.pad(chosen, [(0, 0), (0, short)] + [(0, 0)] * (x.ndim - 2))

    return [pick(x) for x in columns]
