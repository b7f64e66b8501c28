"""Lazy or redundant? What a team loses without an agent, and what it would gain if that agent learned anew."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from covey.algorithms import ppo
from covey.core.algorithm import Algorithm, Around
from covey.core.types import Groups, Spec, Table, TimeStep
from covey.learning.targets import masked_mean
from covey.runs.evaluate import FINAL, evaluation_keys, player
from covey.runs.train import train


class Stuck(eqx.Module):
    """An environment in which one agent's choices are as if it did nothing (action 0 of a discrete space)."""

    inner: Any
    group: str = eqx.field(static=True)
    index: int = eqx.field(static=True)

    @property
    def spec(self):
        return self.inner.spec

    def reset(self, key):
        return self.inner.reset(key)

    def step(self, key, state, action):
        return self.inner.step(key, state, action | {self.group: action[self.group].at[self.index].set(0)})


class Instead(Around):
    """`inner`, with one agent doing anything at random instead."""

    group: str = eqx.field(static=True)
    index: int = eqx.field(static=True)

    def act(self, state, memory, now, key, step, *, explore):
        k_act, k_any = jax.random.split(key)
        action, memory, extra = self.inner.act(state, memory, now, k_act, step, explore=explore)
        any_choice = jax.random.randint(k_any, (), 0, self.spec.groups[self.group].action.n)  # type: ignore[union-attr]
        changed = action[self.group].at[self.index].set(any_choice.astype(jnp.int32))
        return action | {self.group: changed}, memory, extra


def effects(world: Any, algorithm: Algorithm, agents: Any, group: str, seeds: int, episodes: int) -> np.ndarray:
    """What the team loses when agent i does anything at random, ΔJ [S, n]: mean return of an agent of the group."""
    keys, metric = evaluation_keys(FINAL, seeds), f"return/{group}/mean_agent"

    def earned(played: Algorithm) -> np.ndarray:
        return player(world, played, episodes)(agents, keys, 0)[metric].mean(1)

    usual = earned(algorithm)
    lost = [usual - earned(Instead(algorithm, group, i)) for i in range(world.spec.groups[group].size)]  # type: ignore
    return np.stack(lost, 1)


def laziness(effect: np.ndarray) -> np.ndarray:
    """Λ_i = clip(1 - n e_i, 0, 1), with e_i agent i's share of all positive effects [S, n]: 1 for who does nothing."""
    positive = np.maximum(effect, 0.0)
    share = positive / np.maximum(positive.sum(1, keepdims=True), 1e-9)
    return np.clip(1.0 - effect.shape[1] * share, 0.0, 1.0)


class Place(NamedTuple):
    """State of `Beside`."""

    world: Any
    now: TimeStep  # of everybody


class Beside(eqx.Module):
    """An environment for one agent of a group: its mates are part of it, and act by a policy that learns no more.

    The agent earns the mean of its group's rewards.
    """

    inner: Any
    mates: Algorithm
    state: Any
    group: str = eqx.field(static=True)
    index: int = eqx.field(static=True)

    @property
    def spec(self) -> Spec:
        about = self.inner.spec.groups[self.group]
        obs = tuple(f if f.valid is None else f._replace(valid=(f.valid[self.index],)) for f in about.obs)
        alone = about._replace(names=(about.names[self.index],), obs=obs)
        return self.inner.spec._replace(groups=Table({self.group: alone}), shared_reward=False, neighborhood=0)

    def reset(self, key: Any) -> tuple[Place, TimeStep]:
        world, now = self.inner.reset(key)
        return Place(world, now), self._show(now, now)

    def step(self, key: Any, state: Place, action: Groups) -> tuple[Place, TimeStep]:
        k_act, k_step = jax.random.split(key)
        team, _, _ = self.mates.act(self.state, self.mates.memory(key), state.now, k_act, 0, explore=False)
        own = team[self.group].at[self.index].set(action[self.group][0])
        world, then = self.inner.step(k_step, state.world, team | {self.group: own})
        return Place(world, then), self._show(state.now, then)

    def _show(self, now: TimeStep, then: TimeStep) -> TimeStep:
        def own(groups: Groups) -> Groups:
            return {name: x[self.index][None] for name, x in groups.items() if name == self.group}

        shown = {name: own(getattr(then, name)) for name in ("obs", "discount", "alive", "legal")}
        earned = masked_mean(then.reward[self.group], now.alive[self.group])
        earned = jnp.where(now.alive[self.group][self.index], earned, 0.0)
        return then._replace(**shown, reward={self.group: earned[None]}, neighbors={})


def improvement(world: Any, algorithm: ppo.PPO, agent_state: Any, group: str, index: int, steps: int) -> float:
    """ρ: what the team's mean return gains when agent `index` learns anew beside its mates, for `steps` steps; without
    exploring, on the final episodes of seed 0."""
    alone = Beside(world, algorithm, agent_state, group, index)
    learner = dataclasses.replace(ppo.ippo(alone.spec), horizon=algorithm.horizon, epochs=algorithm.epochs)
    with tempfile.TemporaryDirectory() as folder:
        result = train(learner, alone, steps=steps, envs=32, episodes=128, out=Path(folder) / "run", quiet=True)
    metric = f"return/{group}/mean_agent"
    keys, agents = evaluation_keys(FINAL, 1), jax.tree.map(lambda x: x[None], agent_state)
    usual = player(world, algorithm, 128)(agents, keys, 0)[metric].mean()
    return float(result.evaluation.values[metric].mean() - usual)
