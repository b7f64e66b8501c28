"""Rollouts with other data where it must not matter: padding, agents that are dead, agents renumbered.

Rollouts are those of one seed or more, with the axes [T, S, E, ...] in front of the agents' axis.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from covey.core.types import Box, Discrete, Groups, MultiDiscrete, Space, Spec, Splits, Transition

AGENTS = 3  # the axis of agents, behind time, seeds and lanes


def has_padding(spec: Spec) -> bool:
    return any(group.obs_valid() is not None for group in spec.groups.values())


def has_dead(rollouts: list[Transition]) -> bool:
    return any(not np.all(alive) for rollout in rollouts for alive in rollout.now.alive.values())


def garble_padding(spec: Spec, rollout: Transition, seed: int) -> Transition:
    """Random numbers where an observation is padding."""
    rng = np.random.default_rng(seed)
    padding = {name: group.obs_valid() for name, group in spec.groups.items()}

    def garbled(obs: Groups) -> Groups:
        return obs | {
            name: np.where(~valid, _noise(rng, obs[name]), obs[name])
            for name, valid in padding.items()
            if valid is not None
        }

    now, then = rollout.now, rollout.then
    return rollout._replace(now=now._replace(obs=garbled(now.obs)), then=then._replace(obs=garbled(then.obs)))


def garble_dead(spec: Spec, rollout: Transition, seed: int) -> Transition:
    """Random observations, actions and rewards for agents that are dead."""
    rng = np.random.default_rng(seed)

    def where_dead(alive: Groups, values: Groups, noise: Any) -> Groups:
        return {
            name: np.where(_wide(~np.asarray(alive[name]), values[name]), noise(name, values[name]), values[name])
            for name in values
        }

    def any_numbers(name: str, x: Any) -> np.ndarray:
        return _noise(rng, x)

    def any_actions(name: str, x: Any) -> np.ndarray:
        return _actions(rng, spec.groups[name].action, np.asarray(x))

    now, then = rollout.now, rollout.then
    return rollout._replace(
        now=now._replace(obs=where_dead(now.alive, now.obs, any_numbers)),
        action=where_dead(now.alive, rollout.action, any_actions),
        then=then._replace(
            obs=where_dead(then.alive, then.obs, any_numbers),
            reward=where_dead(now.alive, then.reward, any_numbers),
        ),
    )


def rotate_groups(spec: Spec, tree: Any, shift: int) -> Any:
    """Every dict of groups in a rollout, with its agents renumbered: number i becomes i + shift."""
    if isinstance(tree, dict) and tree and set(tree) <= set(spec.groups):
        return {name: np.roll(np.asarray(x), shift, axis=AGENTS) for name, x in tree.items()}
    if isinstance(tree, dict):
        return {name: rotate_groups(spec, x, shift) for name, x in tree.items()}
    if isinstance(tree, tuple):
        items = [rotate_groups(spec, x, shift) for x in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else tuple(items)
    return tree


def _wide(flag: np.ndarray, values: Any) -> np.ndarray:
    return flag.reshape(flag.shape + (1,) * (np.ndim(values) - flag.ndim))


def _noise(rng: np.random.Generator, like: Any) -> np.ndarray:
    """Numbers of another size than any world's, in the dtype of `like`."""
    dtype = np.asarray(like).dtype
    if np.issubdtype(dtype, np.floating):
        return rng.normal(0.0, 100.0, np.shape(like)).astype(dtype)
    return rng.integers(0, 2 if dtype == np.bool_ else 100, np.shape(like)).astype(dtype)


def _actions(rng: np.random.Generator, space: Space, like: np.ndarray) -> np.ndarray:
    """Actions that the space allows."""
    match space:
        case Discrete(n):
            drawn = rng.integers(0, n, like.shape)
        case MultiDiscrete(ns):
            drawn = rng.integers(0, np.asarray(ns), like.shape)
        case Box(low, high):
            drawn = rng.uniform(low, high, like.shape)
        case Splits(parts):
            drawn = np.concatenate([rng.dirichlet(np.ones(size), like.shape[:-1]) for size in parts], axis=-1)
    return drawn.astype(like.dtype)
