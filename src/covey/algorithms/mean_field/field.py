"""What mean-field rules share: an agent's mean action is remembered, foreseen before acting, and learned from.

When agents choose at t, nobody knows ā_t yet. They know ā_{t-1}, and can guess: from ā_{t-1}, everybody's policy says
what it would do, which makes another mean action, and so on (`Field.foreseen`). Afterwards ā_t is known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.algorithms.mean_field.means import Estimate, Everybody, Exact, Scope, unknown_mean
from covey.core.checks import within
from covey.core.types import Groups, Space, Spec, TimeStep
from covey.nn.joint import actions

Index = Literal["concurrent", "lagged"]
"""Which mean action a value is about when it is learned: that of the same joint action, as in the paper, or what agents
believed when they acted, as in the authors' code."""


class Memory(NamedTuple):
    """What agents know of their neighbors in one environment."""

    mean: Groups  # [n, M]  what they did last
    seen: Groups  # [n, K]  what an estimate keeps of the past


class Means(NamedTuple):
    """Mean actions around one joint action, which acting leaves for learning."""

    believed: Groups  # [n, M]  when agents acted
    happened: Groups  # [n, M]  then


class Field(eqx.Module):
    """A part: the mean action that agents answer."""

    scope: Scope = Everybody()
    """Whose actions count."""
    estimate: Estimate = Exact()
    """What is known of them."""
    index: Index = eqx.field(static=True, default="concurrent")
    """Which mean action is learned from."""
    iterations: int = eqx.field(static=True, default=0)
    """Rounds of guessing before acting; round k moves the guess by 1/k towards what it would lead to, so that it
    settles. 0: agents take it that others do what they did last."""

    def __check_init__(self):
        within(self, "[0, inf)", "iterations")

    def check(self, spec: Spec, groups: tuple[str, ...]) -> None:
        self.scope.check(spec, groups)
        for name in groups:
            self.estimate.check(self.spaces(spec, name))

    def spaces(self, spec: Spec, name: str) -> tuple[Space, ...]:
        """The action spaces that a mean action of group `name` is about."""
        return tuple(spec.groups[kind].action for kind in self.scope.kinds(spec, name))

    def size(self, spec: Spec, name: str) -> int:
        """M: numbers in a mean action of group `name`."""
        return self.scope.size(spec, name)

    def memory(self, spec: Spec, groups: tuple[str, ...]) -> Memory:
        """Before anything was done."""
        mean, seen = {}, {}
        for name in groups:
            size, blank = spec.groups[name].size, unknown_mean(self.spaces(spec, name))
            mean[name] = jnp.tile(blank, (size, 1))
            seen[name] = jnp.zeros((size, self.estimate.keeps(len(blank))))
        return Memory(mean, seen)

    def foreseen(self, spec: Spec, now: TimeStep, mean: Groups, respond: Callable[[Groups], Groups]) -> Groups:
        """The mean actions [n, M] that agents expect, from those of the step before; `respond(mean)` says which
        embedded actions [n, A] agents take on average who expect `mean`."""
        for k in range(self.iterations):
            done = {name: jnp.where(now.alive[name][:, None], x, 0.0) for name, x in respond(mean).items()}
            for name in mean:
                total, count = self.scope.sums(spec, name, now, done)
                aim = total / jnp.maximum(count, 1.0)
                mean = mean | {name: mean[name] + (aim - mean[name]) / (k + 1)}
        return mean

    def after(self, spec: Spec, memory: Memory, now: TimeStep, action: Groups, key: Any) -> Memory:
        """What agents remember after `action`."""
        done = actions(spec, now, action)
        mean, seen = {}, {}
        for name, k in zip(memory.mean, jax.random.split(key, len(memory.mean)), strict=True):
            total, count = self.scope.sums(spec, name, now, done)
            mean[name], seen[name] = self.estimate(self.spaces(spec, name), total, count, memory.seen[name], k)
        return Memory(mean, seen)


class Alone(Field):
    """Nobody else: independent learners."""

    def check(self, spec, groups):
        pass

    def size(self, spec, name):
        return 0

    def memory(self, spec, groups):
        nothing = {name: jnp.zeros((spec.groups[name].size, 0)) for name in groups}
        return Memory(nothing, nothing)

    def foreseen(self, spec, now, mean, respond):
        return mean

    def after(self, spec, memory, now, action, key):
        return memory
