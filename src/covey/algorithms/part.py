"""A part of an algorithm: the same decisions, for some of its groups only. `Mixed` is built from such parts."""

from __future__ import annotations

import equinox as eqx

from covey.core.algorithm import Algorithm
from covey.core.types import Spec


class Part(Algorithm):
    """`inner`, which controls more groups, reduced to `groups`. It learns nothing: meant for rules."""

    spec: Spec = eqx.field(static=True)
    groups: tuple[str, ...] = eqx.field(static=True)
    inner: Algorithm

    def memory(self, key):
        return self.inner.memory(key)

    def init(self, key, lanes):
        return self.inner.init(key, lanes)

    def act(self, state, memory, now, key, step, *, explore):
        action, memory, extra = self.inner.act(state, memory, now, key, step, explore=explore)
        return {name: action[name] for name in self.groups}, memory, extra

    def parameters(self, state):
        return self.inner.parameters(state)

    def acting(self, state):
        return self.inner.acting(state)
