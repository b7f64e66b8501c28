"""Centralized inputs: everything every agent sees and does, across all groups, seen from one agent.

Padding is zeroed where the spec says it is padding, and so is everything about a dead agent. So no network can learn
from either, whatever the environment writes there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from covey.core.types import Box, Field, Group, Groups, Space, Spec, TimeStep
from covey.nn.heads import Head


class View(NamedTuple):
    """The environment as one agent's critic sees it: its own data, then everybody else's.

    Others come group by group in name order, and within the agent's own group in cyclic order from the agent on: agent
    i sees i+1, i+2, ..., i-1. So critics that share weights see every agent from the same side, and renumbering a
    group cyclically changes nothing.
    """

    own_obs: Any  # [D]
    own_action: Any  # [A]
    obs: tuple[Any, ...]  # per group [others, D]
    action: tuple[Any, ...]  # per group [others, A]


def observations(spec: Spec, now: TimeStep) -> Groups:
    """What every agent sees as float32 [n, D] per group, field after field: zero where padded or dead, and pictures of
    bytes from 0 to 1."""
    seen = {}
    for name, group in spec.groups.items():
        obs, valid = _numbers(group, now.obs[name]), group.obs_valid()
        if valid is not None:
            obs = jnp.where(_columns(group, valid, np.concatenate), obs, 0.0)
        seen[name] = jnp.where(now.alive[name][:, None], obs, 0.0)
    return seen


def fields(spec: Spec, now: TimeStep, name: str) -> dict[str, Any]:
    """What the agents of a group see by field, each [n, *shape] in its own dtype; zero where padded or dead."""
    group, valid = spec.groups[name], spec.groups[name].obs_valid()
    seen = group.fields_of(now.obs[name])
    if valid is not None:
        real = group.fields_of(valid)
        seen = {field: jnp.where(real[field], x, jnp.zeros_like(x)) for field, x in seen.items()}
    living = jax.vmap(lambda alive, x: jnp.where(alive, x, jnp.zeros_like(x)))
    return {field: living(now.alive[name], x) for field, x in seen.items()}


def without_padding(spec: Spec, now: TimeStep) -> TimeStep:
    """The time step with zeros where the spec says that observations are padding."""

    def clean(group: Group, obs: Any) -> Any:
        valid = group.obs_valid()
        return obs if valid is None else jax.tree.map(lambda x, ok: jnp.where(ok, x, jnp.zeros_like(x)), obs, valid)

    return now._replace(obs={name: clean(group, now.obs[name]) for name, group in spec.groups.items()})


def brightest(field: Field) -> float:
    """The number of a field that networks see as 1: 255 in pictures of bytes. A vector of bytes is one of counts."""
    return 255.0 if field.dtype == "uint8" and len(field.shape) > 1 else 1.0


def _numbers(group: Group, obs: Any) -> Any:
    """An observation as float32 [n, D]."""
    numbers = jnp.asarray(_columns(group, obs, jnp.concatenate), jnp.float32)
    units = [brightest(field) for field in group.obs]
    if max(units) == 1.0:
        return numbers
    return numbers / np.repeat(np.array(units, np.float32), [field.size for field in group.obs])


def _columns(group: Group, obs: Any, join: Callable) -> Any:
    """An observation as one array [n, D]; `join` puts the columns of several fields side by side."""
    if not isinstance(obs, dict):
        return obs.reshape(group.size, -1)
    return join([x.reshape(group.size, -1) for x in group.fields_of(obs).values()], 1)


def actions(spec: Spec, now: TimeStep, action: Groups) -> Groups:
    """What every agent does, embedded as float32 [n, A] per group of `action` (`Head.embed`), zero where dead."""
    done = {}
    for name in sorted(action):
        embedded = jax.vmap(Head(spec.groups[name].action).embed)(action[name])
        done[name] = jnp.where(now.alive[name][:, None], embedded, 0.0)
    return done


def legal(spec: Spec, now: TimeStep) -> Groups:
    """Legal components bool [n, A] per group, True where the environment restricts nothing; None for boxes."""
    return {name: _legal(group.action, group.size, now.legal.get(name)) for name, group in spec.groups.items()}


def _legal(space: Space, size: int, mask: Any) -> Any:
    if isinstance(space, Box):
        return None
    return jnp.ones((size, Head(space).size), bool) if mask is None else mask


def others(spec: Spec, name: str, stacked: Groups) -> tuple[Any, ...]:
    """Per group, what agent i of group `name` sees of the others: [n, others, ...] out of [n, ...]."""
    size = spec.groups[name].size

    def cyclic(x):
        twice = jnp.concatenate([x, x])  # slices of it copy rows; a gather would move one number at a time
        return jnp.stack([twice[i + 1 : i + size] for i in range(size)])

    return tuple(
        cyclic(stacked[other]) if other == name else jnp.broadcast_to(stacked[other], (size, *stacked[other].shape))
        for other in spec.groups
    )


def views(spec: Spec, name: str, obs: Groups, action: Groups) -> View:
    """The view of every agent of group `name`: a View with leading [n]."""
    return View(obs[name], action[name], others(spec, name, obs), others(spec, name, action))


def ravel(*values: Any) -> Any:
    """One vector out of arrays, and tuples of arrays."""
    leaves = [leaf for value in values for leaf in (value if isinstance(value, tuple) else (value,))]
    return jnp.concatenate([leaf.reshape(-1) for leaf in leaves])
