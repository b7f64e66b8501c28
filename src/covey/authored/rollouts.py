"""Play without learning: what authored functions are tried on. One scan over steps, one vmap over lanes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from covey.algorithms.random import draw
from covey.authored.contract import Contract
from covey.authored.views import EDGES, Views, add_edge_cases
from covey.core.environment import measures
from covey.core.program import program
from covey.core.types import Groups, Spec, TimeStep

Act = Callable[[TimeStep, Any], Groups]
"""(time step of one lane, key) -> actions of all groups."""


MOST_BYTES = 2**28
LANES = 64
"""Of the views that are sampled at most, and environments that play side by side."""


class Play(NamedTuple):
    """What was seen and earned, [T, E, ...]. Where an episode ended, the next `now` is of a new one."""

    now: TimeStep
    then: TimeStep
    measured: dict[str, Any]


def at_random(spec: Spec) -> Act:
    """Uniform legal actions of every group."""

    def act(now: TimeStep, key: Any) -> Groups:
        keys = jax.random.split(key, len(spec.groups))
        named = zip(spec.groups.items(), keys, strict=True)
        return {name: draw(group.action, group.size, k, now.legal.get(name)) for (name, group), k in named}

    return act


def play(environment: Any, act: Act, key: Any, lanes: int, steps: int) -> Play:
    """Let `act` play; the same key gives the same first reset, whoever plays.

    Environments outside JAX play in the lanes that they have, and measure nothing.
    """
    if hasattr(environment, "lanes"):
        return _play_hosted(environment, act, key, steps)

    def lane(key: Any) -> Play:
        def step(carry: Any, key: Any) -> Any:
            state, now = carry
            k_act, k_step, k_reset = jax.random.split(key, 3)
            state, then = environment.step(k_step, state, act(now, k_act))
            fresh = environment.reset(k_reset)
            after = jax.tree.map(lambda new, old: jnp.where(then.last, new, old), fresh, (state, then))
            return after, Play(now, then, measures(environment, state))

        k_reset, k_steps = jax.random.split(key)
        return jax.lax.scan(step, environment.reset(k_reset), jax.random.split(k_steps, steps))[1]

    played = program(jax.vmap(lane, out_axes=1))(jax.random.split(key, lanes))
    return jax.block_until_ready(played)


def _play_hosted(environment: Any, act: Act, key: Any, steps: int) -> Play:
    acting, now, played = program(jax.vmap(act)), environment.reset(), []
    for k in jax.random.split(key, steps):
        then, after = environment.step(acting(now, jax.random.split(k, environment.lanes)))
        played.append(Play(now, then, {}))
        now = after
    return jax.tree.map(lambda *xs: jnp.stack(xs), *played)


def sample_views(contract: Contract, environment: Any, key: Any, count: int = 10_000) -> Views:
    """At least `count` views of random play and some of every other kind; fewer where they took more than 256 MB."""
    size = 4 * sum(kind.size for kind in contract.inputs)
    count = max(EDGES, min(count, MOST_BYTES // max(size, 1)))
    lanes = getattr(environment, "lanes", LANES)
    steps = math.ceil(count / (lanes * contract.group.size))
    now = play(environment, at_random(environment.spec), key, lanes, steps).now
    view = contract.view_of(now.obs[contract.name], now.legal.get(contract.name))
    flat = [np.asarray(x).reshape(-1, *field.shape) for x, field in zip(view.values(), contract.view, strict=True)]
    order = np.asarray(jax.random.permutation(jax.random.fold_in(key, 1), len(flat[0])))
    flat = [x[order][:count] for x in flat]
    constants = [np.full(len(flat[0]), value, np.float32) for _, value in contract.constants]
    markers = [field.name.endswith("_mask") or field.name == "legal" for field in contract.view]
    return add_edge_cases(flat, markers, constants)
