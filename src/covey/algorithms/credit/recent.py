"""The latest rollouts, from which models of credit go on learning.

A joint action is worth what it is worth, whoever plays now: what was chosen, with which chances, and what came of it
stay true. Only what is earned later, by policies that have moved on since, does not. What critics saw is made again of
what was observed, which is a fraction of it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from covey.algorithms.credit.base import Choices
from covey.core.types import Spec, TimeStep, observed, unobserved


class Lesson(NamedTuple):
    """What a model of a group learns from, beside what was observed; one step, or many."""

    choices: Choices
    aim: Any  # in units of returns


class Recent(NamedTuple):
    """A ring of rollouts [R, T, E, ...]."""

    now: TimeStep
    lessons: dict[str, Lesson]


def nothing(spec: Spec, lessons: dict[str, Lesson], shape: tuple[int, int, int]) -> Recent:
    """The ring before any rollout; `lessons` are in the shape of one step's, and `shape` is (R, T, E)."""
    now = unobserved(spec)._replace(state=jnp.zeros(sum(field.size for field in spec.state)) if spec.state else None)
    return jax.tree.map(lambda x: jnp.zeros((*shape, *x.shape), x.dtype), Recent(now, lessons))


def kept(spec: Spec, recent: Recent, now: TimeStep, lessons: dict[str, Lesson], rollouts: Any) -> Recent:
    """The ring with a rollout [T, E, ...] in it, before which there were `rollouts`."""
    seen = observed(now, state=now.state if spec.state else None)

    def write(ring, x):
        return jax.lax.dynamic_update_index_in_dim(ring, x.astype(ring.dtype), rollouts % len(ring), 0)

    return jax.tree.map(write, recent, Recent(seen, lessons))


def drawn(recent: Recent, size: int, key: Any, rollouts: Any) -> Recent:
    """Steps [size, ...], drawn alike from the last of the `rollouts` that there have been."""
    rounds, steps, lanes = jax.tree.leaves(recent.now.alive)[0].shape[:3]
    index = jax.random.randint(key, (size,), 0, jnp.minimum(rollouts, rounds) * steps * lanes)
    return jax.tree.map(lambda ring: ring.reshape(-1, *ring.shape[3:])[index], recent)
