"""Uniform over what is legal: the floor that every algorithm has to leave behind."""

from __future__ import annotations

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from covey.core.algorithm import Algorithm
from covey.core.types import Box, Space, Spec, Splits, action_shape, action_size
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
    head, shape = Head(space), (count, action_size(space))
    match space:
        case Box():
            return jax.vmap(head.action)(jax.random.uniform(key, shape, minval=-1.0))
        case Splits():  # normalized exponential draws are Dirichlet(1)
            return jax.vmap(head.parts.normalize)(jax.random.exponential(key, shape), legal)
        case _:
            share = jax.random.uniform(key, (count, len(space.parts)))
            chosen = jax.vmap(partial(choice, space.parts))(share, legal)
            return chosen.reshape(count, *action_shape(space)[0])


def choice(parts: tuple[int, ...], share: Any, legal: Any) -> Any:
    """The action of each part, int32 [P], that lies at `share` [P] of the way through those that are legal [A]."""
    if legal is None:
        return (share * np.array(parts)).astype(jnp.int32)
    ranks = [jnp.cumsum(part) for part in jnp.split(legal, np.cumsum(parts)[:-1])]
    return jnp.stack([jnp.argmax(rank > u * rank[-1]) for rank, u in zip(ranks, share, strict=True)]).astype(jnp.int32)


def random(spec: Spec, *, preset: str = "tuned", groups: tuple[str, ...] | None = None) -> Random:
    """Uniform legal actions for `groups` (None: all)."""
    return Random(spec, tuple(groups or spec.groups))
