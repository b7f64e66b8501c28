"""Soft discs in a plane that forces drive, the physics of the particle environments (Mordatch & Abbeel 2018; `mpe2`).

In a step of `DT` seconds, with the forces F of where the bodies are before it,

    x' = x + v dt        v' = (1 - damping) v + F / m dt, shortened to the top speed

Two bodies that meet push each other along the line between them by k · softplus(-(distance - radii) / margin) · margin.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap

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
    one, other = np.triu_indices(len(bodies.radius), 1)  # every pair once: what it does to one, it undoes to the other
    touching = (one < agents) & bodies.collides[one] & bodies.collides[other]
    one, other = one[touching], other[touching]
    if not len(one):
        return 0.0
    pull = (np.arange(agents)[:, None] == one) * 1.0 - (np.arange(agents)[:, None] == other)  # [a, p]

    @lanes_last
    def forces(position: Any) -> Any:
        gap = position[one] - position[other]
        distance = length(gap, axis=1)
        reach = (bodies.radius[one] + bodies.radius[other]).reshape(-1, *[1] * (distance.ndim - 1))
        overlap = MARGIN * jnp.logaddexp(0.0, (reach - distance) / MARGIN)
        force = STIFFNESS * overlap / jnp.maximum(distance, 1e-12)
        return jnp.tensordot(pull, force[:, None] * gap, 1, precision="highest")

    return forces(position)


def lanes_last(f: Callable) -> Callable:
    """`f`, which takes arrays with any further axes behind its own, with lanes in those when it is mapped over them.

    Arrays of a particle environment are tiny, [3, 3, 2], and `vmap` puts lanes before them; a processor then counts to
    2 or 3 in its innermost loop. With the lanes there it works on many at once. Derivatives are those of `f` as it
    stands.
    """
    mapped = custom_vmap(f)

    @mapped.def_vmap
    def behind(lanes: int, has_lanes: Any, *arrays: Any) -> Any:
        last = [
            jnp.moveaxis(x, 0, -1) if has else jnp.broadcast_to(x[..., None], (*x.shape, lanes))
            for x, has in zip(arrays, has_lanes, strict=True)
        ]
        return jnp.moveaxis(f(*last), -1, 0), True

    differentiable = jax.custom_jvp(mapped)
    differentiable.defjvp(lambda at, towards: jax.jvp(f, at, towards))
    return differentiable


def length(x: Any, axis: int = -1) -> Any:
    """Vectors along an axis of two -> that axis is gone."""
    x, y = jnp.moveaxis(x, axis, 0)
    return jnp.sqrt(x**2 + y**2)


@lanes_last
def distances(a: Any, b: Any) -> Any:
    """Points [n, 2] and [m, 2] -> [n, m]."""
    return length(a[:, None] - b[None], axis=2)


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
