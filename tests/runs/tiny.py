"""A learning algorithm that compiles in a moment, and a host world: for the tests of the host loop."""

from __future__ import annotations

import pickle
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from covey import environments
from covey.core.algorithm import Algorithm, Plan
from covey.core.types import Spec, TimeStep, action_size


class Learned(NamedTuple):
    weights: Any  # {group: [n, A]}
    keys: Any  # [2] typed keys, because a state may have some
    nothing: Any  # [0]


class Tiny(Algorithm):
    """Chooses by learned preferences, and moves them by noise times reward."""

    spec: Spec = eqx.field(static=True)
    groups: tuple[str, ...] = eqx.field(static=True)
    rate: float = 0.1
    horizon: int = eqx.field(static=True, default=2)
    warmup: int = eqx.field(static=True, default=0)

    @property
    def plan(self):
        return Plan(horizon=self.horizon, warmup=self.warmup)

    def init(self, key, lanes):
        sizes = {
            name: (self.spec.groups[name].size, action_size(self.spec.groups[name].action)) for name in self.groups
        }
        weights = {name: jnp.zeros(size) for name, size in sizes.items()}
        return Learned(weights, jax.random.split(key, 2), jnp.zeros((0, 3)))

    def act(self, state, memory, now, key, step, *, explore):
        noise = 1.0 if explore else 0.0
        scores = {name: w + noise * jax.random.gumbel(key, w.shape) for name, w in state.weights.items()}
        return {name: jnp.argmax(x, -1).astype(jnp.int32) for name, x in scores.items()}, memory, ()

    def learn(self, state, rollout, key, step):
        gain = {name: rollout.then.reward[name].mean((0, 1)) for name in state.weights}
        moved = {
            name: w + self.rate * gain[name][:, None] * jax.random.normal(key, w.shape)
            for name, w in state.weights.items()
        }
        return state._replace(weights=moved), {"loss/size": sum(jnp.abs(w).mean() for w in moved.values())}


def tiny(spec: Spec, *, preset: str = "tuned", groups: tuple[str, ...] | None = None) -> Tiny:
    """The tests' algorithm, as an alias."""
    return Tiny(spec, groups or tuple(spec.groups))


class HostToy:
    """`toy/discrete` (where every episode is the same) as a world outside JAX."""

    def __init__(self, lanes: int):
        self.lanes = lanes
        self._toy = environments.make("toy/discrete", fixed=True)
        self._keys = jax.random.split(jax.random.key(0), lanes)
        self._reset, self._step = jax.jit(jax.vmap(self._toy.reset)), jax.jit(jax.vmap(self._step_one))
        self._state: Any = None

    def _step_one(self, key, state, action):
        state, then = self._toy.step(key, state, action)
        following = jax.tree.map(partial(jnp.where, then.last), self._toy.reset(key), (state, then))
        return following, then

    @property
    def spec(self) -> Spec:
        return self._toy.spec

    def reset(self) -> TimeStep:
        self._state, now = self._reset(self._keys)
        return jax.device_get(now)

    def step(self, action):
        (self._state, now), then = self._step(self._keys, self._state, action)
        return jax.device_get(then), jax.device_get(now)

    def close(self) -> None:
        pass


class SavedHostToy(HostToy):
    """The same, and it can be saved."""

    def save(self) -> bytes:
        return pickle.dumps(jax.device_get(self._state))

    def restore(self, content: bytes) -> None:
        self._state = jax.tree.map(np.asarray, pickle.loads(content))
