"""A world whose every number can be worked out by hand, and algorithms that write down what they are given.

Episodes last 2 or 3 steps, drawn at reset. In step t = 1, 2, 3 agent number i of a group earns 10·i + t and its action.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.core import loop
from covey.core.algorithm import Algorithm, Plan
from covey.core.types import Discrete, Field, Group, Spec, Table, TimeStep

GROUPS = {"a": 2, "b": 1}
SPEC = Spec(
    "stairs",
    Table(
        {
            name: Group(tuple(f"{name}{i}" for i in range(size)), (Field("clock"),), Discrete(2))
            for name, size in GROUPS.items()
        }
    ),
    time_limit=3,
)


class Clock(NamedTuple):
    time: Any
    length: Any


class Stairs:
    spec = SPEC

    def reset(self, key):
        state = Clock(jnp.int32(0), jax.random.randint(key, (), 2, 4))
        return state, self.show(state, {name: jnp.zeros(size) for name, size in GROUPS.items()})

    def step(self, key, state, action):
        state = Clock(state.time + 1, state.length)
        earned = {name: 10.0 * jnp.arange(size) + state.time + action[name] for name, size in GROUPS.items()}
        return state, self.show(state, earned)

    def show(self, state, reward):
        return TimeStep(
            obs={name: jnp.full((size, 1), state.time, jnp.float32) for name, size in GROUPS.items()},
            reward=reward,
            discount={name: jnp.ones(size) for name, size in GROUPS.items()},
            alive={name: jnp.ones(size, bool) for name, size in GROUPS.items()},
            last=state.time >= state.length,
        )

    def measure(self, state):
        return {"time": state.time}

    def reference(self):
        return None


class Notes(NamedTuple):
    """What a `Scribe` has seen: how often it learned, from which step on last, and the sum of all rewards."""

    count: Any
    step: Any
    earned: Any


class Scribe(Algorithm):
    """Always takes `choice`, and notes what it learns from. Its memory counts the steps since the last reset."""

    spec: Spec = eqx.field(static=True)
    groups: tuple[str, ...] = eqx.field(static=True)
    choice: int = eqx.field(static=True, default=0)
    horizon: int = eqx.field(static=True, default=1)

    @property
    def plan(self):
        return Plan(horizon=self.horizon)

    def memory(self, key):
        return jnp.int32(0)

    def init(self, key, lanes):
        return Notes(jnp.int32(0), jnp.int32(-1), jnp.float32(0))

    def act(self, state, memory, now, key, step, *, explore):
        choice = self.choice if explore else 1 - self.choice
        return {name: jnp.full(GROUPS[name], choice, jnp.int32) for name in self.groups}, memory + 1, memory

    def learn(self, state, rollout, key, step):
        earned = sum(rollout.then.reward[name].sum() for name in self.groups)
        return Notes(state.count + 1, step, state.earned + earned), {"earned": earned}


def begun(algorithm, keys, lanes):
    """`loop.start`, compiled (op by op it would take longer)."""
    return jax.jit(partial(loop.start, Stairs(), algorithm, lanes=lanes))(keys)


def iterator(algorithm):
    """`loop.iterate`, compiled."""
    return jax.jit(partial(loop.iterate, Stairs(), algorithm))
