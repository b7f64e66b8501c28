"""Uniform over what is legal: the floor that every algorithm has to leave behind."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import numpy as np

from covey.core.algorithm import Algorithm
from covey.core.types import Box, Discrete, MultiDiscrete, Space, Spec, Splits, action_shape, action_size
from covey.nn.heads import Head


class Random(Algorithm):
    """Acts at random and learns nothing, whether it explores or not.

    Discrete choices are uniform over the legal actions, splits are Dirichlet(1) over the legal components of each part,
    boxes are uniform between their bounds.
    """

    spec: Spec = eqx.field(static=True)
    groups: tuple[str, ...] = eqx.field(static=True)

    def init(self, key, lanes):
        return ()

    def act(self, state, memory, now, key, step, *, explore):
        keys = jax.random.split(key, len(self.groups))
        return {name: self._group(name, now, k) for name, k in zip(self.groups, keys, strict=True)}, memory, ()

    def _group(self, name: str, now: Any, key: Any) -> Any:
        group = self.spec.groups[name]
        return draw(group.action, group.size, key, now.legal.get(name))


def draw(space: Space, count: int, key: Any, legal: Any = None) -> Any:
    """Actions [n, ...] of `count` agents, uniform over what `legal` [n, A] allows (None: everything)."""
    if legal is None and isinstance(space, Discrete | MultiDiscrete):
        each = action_shape(space)[0]
        return jax.random.randint(key, (count, *each), 0, np.reshape(space.parts, each))
    head, shape = Head(space), (count, action_size(space))
    match space:
        case Box():
            embedded = jax.random.uniform(key, shape, minval=-1.0)
        case Splits():  # normalized exponential draws are Dirichlet(1)
            embedded = jax.vmap(head.parts.normalize)(jax.random.exponential(key, shape), legal)
        case _:  # the largest of independent Gumbel draws is uniform
            embedded = jax.vmap(head.parts.one_hot)(jax.random.gumbel(key, shape), legal)
    return jax.vmap(head.action)(embedded)


def random(spec: Spec, *, preset: str = "tuned", groups: tuple[str, ...] | None = None) -> Random:
    """Uniform legal actions for `groups` (None: all)."""
    return Random(spec, tuple(groups or spec.groups))
