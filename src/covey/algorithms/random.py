"""Uniform over what is legal: the floor that every algorithm has to leave behind."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax

from covey.core.algorithm import Algorithm
from covey.core.types import Box, Spec, Splits
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
        """Actions [n, ...] of one group."""
        group = self.spec.groups[name]
        head = Head(group.action)
        return jax.vmap(lambda k, legal: draw(head, k, legal))(jax.random.split(key, group.size), now.legal.get(name))


def draw(head: Head, key: Any, legal: Any) -> Any:
    """One agent's action, uniform over what `legal` [A] allows (None: everything)."""
    shape = (head.size,)
    match head.space:
        case Box():
            embedded = jax.random.uniform(key, shape, minval=-1.0)
        case Splits():  # normalized exponential draws are Dirichlet(1)
            embedded = head.parts.normalize(jax.random.exponential(key, shape), legal)
        case _:  # the largest of independent Gumbel draws is uniform
            embedded = head.parts.one_hot(jax.random.gumbel(key, shape), legal)
    return head.action(embedded)


def random(spec: Spec, *, preset: str = "tuned", groups: tuple[str, ...] | None = None) -> Random:
    """Uniform legal actions for `groups` (None: all)."""
    return Random(spec, tuple(groups or spec.groups))
