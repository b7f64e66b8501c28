"""A JAX environment behind the interface of environments outside JAX: for tests, and to try the hosted loop."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax

from covey.core import loop
from covey.core.environment import Environment
from covey.core.types import Groups, Spec, TimeStep

Draws = Iterator[tuple[Any, Any]]
"""Keys for each step: ([lanes] to step with, [lanes] to reset with). The first pair is for the first reset."""


class AsHost:
    """`lanes` copies of a JAX environment as one `HostEnvironment`, with automatic resets.

    `draws` says which keys the lanes get. `own_draws` (the default) are as good as any; `loop_draws` are those that
    `covey.core.loop.compiled` uses, so that a hosted run meets the same chance as the compiled one, bit for bit.
    """

    def __init__(self, environment: Environment, lanes: int, draws: Draws | None = None):
        self.spec: Spec = environment.spec
        self.lanes = lanes
        self._draws = own_draws(0, lanes) if draws is None else draws
        self._world: Any = None
        self._begin = jax.jit(jax.vmap(environment.reset))
        self._advance = jax.jit(partial(_advance, environment))

    def reset(self) -> TimeStep:
        self._world, now = self._begin(next(self._draws)[1])
        return jax.device_get(now)

    def step(self, action: Groups) -> tuple[TimeStep, TimeStep]:
        self._world, then, now = self._advance(*next(self._draws), self._world, action)
        return jax.device_get((then, now))

    def close(self) -> None:
        self._world = None


def _advance(environment: Environment, k_step: Any, k_reset: Any, world: Any, action: Groups) -> tuple[Any, Any, Any]:
    """One step of all lanes: (environment, the true successor, where to act next)."""
    world, then = jax.vmap(environment.step)(k_step, world, action)
    fresh = jax.vmap(environment.reset)(k_reset)
    world, now = loop.select(then.last, fresh, (world, then))
    return world, then, now


def own_draws(seed: int, lanes: int) -> Draws:
    """Keys that nobody else uses."""
    key, count = jax.random.key(seed), 0
    while True:
        keys = jax.random.split(jax.random.fold_in(key, count), (2, lanes))
        yield keys[0], keys[1]
        count += 1


def loop_draws(key: Any, lanes: int, horizon: int) -> Draws:
    """The keys of the environments in a run that starts from `key` [S], with rollouts of `horizon` steps."""

    def flat(keys):
        return loop.lane_keys(keys, lanes).reshape(-1)

    @jax.jit
    def of_step(k_collect, t):
        _, k_step, k_fresh = loop.split(jax.vmap(jax.random.fold_in, (0, None))(k_collect, t), 3)
        return flat(k_step), flat(loop.split(k_fresh, 2)[0])

    _, k_world, _, k_run = loop.split(key, 4)
    yield flat(k_world), flat(k_world)
    while True:
        k_run, k_collect, _ = loop.split(k_run, 3)
        for t in range(horizon):
            yield of_step(k_collect, t)
