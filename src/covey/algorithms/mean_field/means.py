"""The mean action: what an agent's neighbors do, as one action.

    ā_i = 1/|N(i)| Σ_{k in N(i)} e(a_k)    e: one-hot choices, shares, or numbers in [-1, 1]  (Yang et al. 2018, eq. 6)

Whose actions count is a `Scope`; what an agent knows of them is an `Estimate`. The dead are nobody's neighbors; who
dies by an action has acted.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from covey.core.checks import within
from covey.core.errors import BadInput
from covey.core.types import Box, Discrete, Groups, Space, Spec, TimeStep, action_size
from covey.nn.heads import Head

Types = Literal["own", "all"]
"""Means of the agent's own group, or of every group beside each other (Ganapathi Subramanian et al. 2020)."""


class Scope(eqx.Module):
    """A part: whose actions an agent takes the mean of."""

    types: Types = eqx.field(static=True, default="own")
    """Of which groups."""
    with_self: bool = eqx.field(static=True, default=False)
    """Does an agent count itself?"""

    def kinds(self, spec: Spec, name: str) -> tuple[str, ...]:
        """The groups of which agents of group `name` take means."""
        return (name,) if self.types == "own" else tuple(spec.groups)

    def size(self, spec: Spec, name: str) -> int:
        """Numbers in a mean action of group `name`."""
        return sum(action_size(spec.groups[kind].action) for kind in self.kinds(spec, name))

    def check(self, spec: Spec, groups: tuple[str, ...]) -> None:
        """Refuse what cannot be known when agents act."""
        unseen = sorted(set(spec.groups) - set(groups))
        if self.types == "all" and unseen:
            raise BadInput(
                f"means of all groups need to know what {unseen} do, and this algorithm controls {list(groups)}: use "
                "means of the own group (`types='own'`), or control all groups."
            )

    @abc.abstractmethod
    def sums(self, spec: Spec, name: str, now: TimeStep, done: Groups) -> tuple[Any, Any]:
        """Of every agent of group `name`, its neighbors' embedded actions `done` (zero where dead) in total, and how
        many they are: both [n, size]."""


class Everybody(Scope):
    """The whole group, as in the authors' code."""

    def sums(self, spec, name, now, done):
        size, totals, counts = spec.groups[name].size, [], []
        for kind in self.kinds(spec, name):
            alive = now.alive[kind].astype(jnp.float32)[:, None]
            total, count = done[kind].sum(0, keepdims=True), alive.sum(0, keepdims=True)
            if kind == name and not self.with_self:
                total, count = total - done[kind], count - alive
            shape = size, done[kind].shape[1]
            totals.append(jnp.broadcast_to(total, shape))
            counts.append(jnp.broadcast_to(count, shape))
        return jnp.concatenate(totals, 1), jnp.concatenate(counts, 1)


class Near(Scope):
    """Those that the environment lists as neighbors: on a graph, within a radius, or the k nearest."""

    def check(self, spec, groups):
        super().check(spec, groups)
        if not spec.neighborhood:
            raise BadInput(f"{spec.name} has no neighborhood: take the mean of everybody instead.")

    def sums(self, spec, name, now, done):
        index, there = now.neighbors[name]
        first, totals, counts = 0, [], []
        for kind, group in spec.groups.items():  # neighbors are numbered through all groups, in name order
            if kind in self.kinds(spec, name):
                local = jnp.clip(index - first, 0, group.size - 1)
                counted = there & (index >= first) & (index < first + group.size) & now.alive[kind][local]
                total = jnp.where(counted[..., None], done[kind][local], 0.0).sum(1)
                count = counted.sum(1, keepdims=True).astype(jnp.float32)
                if kind == name and self.with_self:
                    total, count = total + done[kind], count + now.alive[kind][:, None]
                totals.append(total)
                counts.append(jnp.broadcast_to(count, total.shape))
            first += group.size
        return jnp.concatenate(totals, 1), jnp.concatenate(counts, 1)


# ---------------------------------------------------------------------------------------------------------------------
# What is known of it


class Estimate(eqx.Module):
    """A part: what an agent makes of what it saw its neighbors do. `seen` [n, size] is what it keeps of the past."""

    @abc.abstractmethod
    def __call__(self, spaces: tuple[Space, ...], total: Any, count: Any, seen: Any, key: Any) -> tuple[Any, Any]:
        """(mean action, seen), both [n, size]. Zeros where nobody is there and nothing is known."""

    def keeps(self, size: int) -> int:
        """Numbers that are kept of the past."""
        return 0

    def check(self, spaces: tuple[Space, ...]) -> None:
        """Refuse spaces that it does not understand."""


class Exact(Estimate):
    """The mean of what was just done."""

    def __call__(self, spaces, total, count, seen, key):
        return total / jnp.maximum(count, 1.0), seen


class Dirichlet(Estimate):
    """Beliefs about how neighbors choose, from whom was seen: the mean of draws from a Dirichlet distribution
    (Ganapathi Subramanian et al. 2021)."""

    draws: int = eqx.field(static=True, default=100)
    """Draws whose mean is taken."""
    prior: float = 1.0
    """What every choice counts before anything is seen."""
    keep: float = 1.0
    """Share of what was seen that still counts a step later."""

    def __check_init__(self):
        within(self, "[1, inf)", "draws")
        within(self, "(0, inf)", "prior")
        within(self, "[0, 1]", "keep")

    def keeps(self, size):
        return size

    def check(self, spaces):
        if any(isinstance(space, Box) for space in spaces):
            raise BadInput("a Dirichlet estimate is of choices, and a Box has none: use the exact mean.")

    def __call__(self, spaces, total, count, seen, key):
        seen = self.keep * seen + total
        drawn = jax.random.gamma(key, self.prior + seen, (self.draws, *seen.shape))
        return _over_choices(spaces, lambda x: x / x.sum(-1, keepdims=True), drawn).mean(0), seen


def unknown_mean(spaces: tuple[Space, ...]) -> np.ndarray:
    """A mean action of which nothing is known [size]: all choices alike, or the middle of a box."""
    blank = [
        np.zeros(action_size(space)) if isinstance(space, Box) else np.repeat(1.0 / np.array(space.parts), space.parts)
        for space in spaces
    ]
    return np.concatenate(blank).astype(np.float32)


def number(space: Discrete, mean: Any) -> Any:
    """The mean number of the choice, between 0 and 1, of a mean action [..., A]."""
    return mean @ jnp.linspace(0.0, 1.0, space.n)


def _over_choices(spaces: tuple[Space, ...], f: Any, x: Any) -> Any:
    """`f` over every part of every space, along the last axis."""
    parts = [part for space in spaces for part in _parts(space)]
    return jnp.concatenate([f(piece) for piece in jnp.split(x, np.cumsum(parts)[:-1], -1)], -1)


def _parts(space: Space) -> Iterator[int]:
    return iter(Head(space).parts.sizes)
