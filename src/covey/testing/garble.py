"""Environments and actors that change what must not matter: padding, and everything about agents that are dead.

What is changed is a flag, an array, so that one compiled program serves the true environment and the changed one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from covey.core.algorithm import Algorithm
from covey.core.environment import Environment, Reference, measures
from covey.core.types import Group, Groups, Spec, TimeStep, Transition
from covey.testing.rules import random_actions

AGENTS = 3  # the axis of agents in a rollout, behind time, seeds and lanes


class Flags(NamedTuple):
    """What is changed, bool each."""

    padding: Any = False  # observations where they are padding
    dead: Any = False  # what dead agents see, do and get; and they are listed as neighbors


class Shown(NamedTuple):
    """An environment's state, and who was alive in it."""

    world: Any
    alive: Groups


class GarbledWorld(eqx.Module):
    """An environment that shows random numbers where its flags say so."""

    environment: Environment
    flags: Flags

    @property
    def spec(self) -> Spec:
        return self.environment.spec

    def reset(self, key: Any) -> tuple[Shown, TimeStep]:
        world, now = self.environment.reset(key)
        return Shown(world, now.alive), self._show(key, now, now.alive)

    def step(self, key: Any, state: Shown, action: Groups) -> tuple[Shown, TimeStep]:
        world, then = self.environment.step(key, state.world, action)
        return Shown(world, then.alive), self._show(key, then, state.alive)

    def measure(self, state: Shown) -> dict[str, Any]:
        return measures(self.environment, state.world)

    def reference(self) -> Reference | None:
        return self.environment.reference()

    def _show(self, key: Any, now: TimeStep, acted: Groups) -> TimeStep:
        obs, reward = dict(now.obs), dict(now.reward)
        for number, (name, group) in enumerate(self.spec.groups.items()):
            k_obs, k_reward = jax.random.split(jax.random.fold_in(key, 1000 + number))
            obs[name] = self._garbled(k_obs, group, obs[name], ~now.alive[name])
            reward[name] = jnp.where(self.flags.dead & ~acted[name], _noise(k_reward, reward[name]), reward[name])
        gone = self.flags.dead & ~jnp.concatenate([now.alive[name] for name in self.spec.groups])
        near = {name: (index, mask | gone[index]) for name, (index, mask) in now.neighbors.items()}
        return now._replace(obs=obs, reward=reward, neighbors=near)

    def _garbled(self, key: Any, group: Group, obs: Any, dead: Any) -> Any:
        """An observation, array by array, with noise in what is padding and in what the `dead` [n] see."""
        leaves, structure = jax.tree.flatten(obs)
        valid = group.obs_valid()
        real = [True] * len(leaves) if valid is None else jax.tree.leaves(valid)
        garbled = []
        for number, (x, known) in enumerate(zip(leaves, real, strict=True)):
            garble = (self.flags.dead & _wide(dead, x)) | (self.flags.padding & ~jnp.asarray(known))
            garbled.append(jnp.where(garble, _noise(jax.random.fold_in(key, number), x), x))
        return jax.tree.unflatten(structure, garbled)


class GarbledActors(Algorithm):
    """An algorithm whose dead agents do anything that is legal, where its flag says so."""

    spec: Spec = eqx.field(static=True)
    groups: tuple[str, ...] = eqx.field(static=True)
    inner: Algorithm
    flags: Flags

    @property
    def plan(self):
        return self.inner.plan

    def memory(self, key):
        return self.inner.memory(key)

    def init(self, key, lanes):
        return self.inner.init(key, lanes)

    def act(self, state, memory, now, key, step, *, explore):
        action, memory, extra = self.inner.act(state, memory, now, key, step, explore=explore)
        anything = random_actions(self.spec, now, jax.random.fold_in(key, 1000))
        done = {
            name: jnp.where(self.flags.dead & _wide(~now.alive[name], x), anything[name], x)
            for name, x in action.items()
        }
        return done, memory, extra

    def learn(self, state, rollout, key, step):
        return self.inner.learn(state, rollout, key, step)

    def parameters(self, state):
        return self.inner.parameters(state)

    def acting(self, state):
        return self.inner.acting(state)


def has_padding(spec: Spec) -> bool:
    return any(group.obs_valid() is not None for group in spec.groups.values())


def has_dead(rollouts: list[Transition]) -> bool:
    return any(not np.all(alive) for rollout in rollouts for alive in rollout.now.alive.values())


def rotate_groups(spec: Spec, tree: Any, shift: int) -> Any:
    """Every dict of groups in a rollout [T, S, E, ...], with its agents renumbered: number i becomes i + shift."""
    if isinstance(tree, TimeStep) and tree.neighbors:
        rest = rotate_groups(spec, tree._replace(neighbors={}), shift)
        return rest._replace(neighbors=_listed_anew(spec, tree.neighbors, shift))
    if isinstance(tree, dict) and tree and set(tree) <= set(spec.groups):
        return jax.tree.map(lambda x: np.roll(np.asarray(x), shift, axis=AGENTS), tree)
    if isinstance(tree, dict):
        return {name: rotate_groups(spec, x, shift) for name, x in tree.items()}
    if isinstance(tree, tuple):
        items = [rotate_groups(spec, x, shift) for x in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else tuple(items)
    return tree


def _listed_anew(spec: Spec, neighbors: Groups, shift: int) -> Groups:
    """Who is listed as a neighbor, under new numbers, by agents under new numbers."""
    numbers, first = [], 0
    for group in spec.groups.values():
        numbers.append(first + (np.arange(group.size) + shift) % group.size)
        first += group.size
    anew = np.concatenate(numbers).astype(np.int32)
    listed = {name: (anew[np.asarray(index)], np.asarray(mask)) for name, (index, mask) in neighbors.items()}
    return {name: tuple(np.roll(x, shift, axis=AGENTS) for x in pair) for name, pair in listed.items()}


def _wide(flag: Any, values: Any) -> Any:
    return flag.reshape(flag.shape + (1,) * (values.ndim - flag.ndim))


def _noise(key: Any, like: Any) -> Any:
    """Numbers of another size than any environment's, in the dtype of `like`."""
    if jnp.issubdtype(like.dtype, jnp.floating):
        return (100.0 * jax.random.normal(key, like.shape)).astype(like.dtype)
    return jax.random.randint(key, like.shape, 0, 2 if like.dtype == jnp.bool_ else 100).astype(like.dtype)
