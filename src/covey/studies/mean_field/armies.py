"""Armies of the battle's study: what learns, and changes of what was learned."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from covey import algorithms
from covey.algorithms.mean_field.ac import MeanFieldAC
from covey.algorithms.mean_field.choosing import Boltzmann, EpsilonGreedy, greedy
from covey.algorithms.mean_field.field import Field
from covey.algorithms.mean_field.networks import Network, Shape
from covey.algorithms.mean_field.q import MeanFieldQ
from covey.algorithms.self_play import SelfPlay
from covey.core.types import action_size
from covey.environments.battle.environment import Battle
from covey.learning.replay import Replay
from covey.learning.targets import Linear, constant
from covey.runs import checkpoint
from covey.runs.policy import open_run
from covey.runs.tournament import Contender, matched

ENVS = 8
"""Battles side by side, of each seed."""

WIDTH = 32
"""Of all networks."""


def learner(world: Battle, name: str, steps: int) -> SelfPlay:
    """An arm of the study: one policy for both armies, that meets itself as it is.

    Every one of the four learns from the same steps, with a gradient step on 32 joint ones for every 32 that are
    played: the off-policy ones from a replay of 2,048, the others from what was just played, with the authors' weight
    of the entropy. All play as they choose at the end of training: the best choices alone stand still where nobody is
    in sight.
    """
    alias, _, change = name.partition(", ")
    algorithm = algorithms.make(f"self-play/{alias}", world)
    assert isinstance(algorithm, SelfPlay)
    inner = algorithm.inner
    inner = _values(inner, steps) if isinstance(inner, MeanFieldQ) else _actors(inner)
    return dataclasses.replace(algorithm, inner=CHANGES[change](inner, steps) if change else inner, past=0)


def _values(inner: MeanFieldQ, steps: int) -> MeanFieldQ:
    falling = EpsilonGreedy(Linear(1.0, 0.05, 0.6 * steps))
    replay, values = Replay(capacity=2048, batch=32), Network(width=WIDTH)
    return dataclasses.replace(inner, values=values, replay=replay, choosing=falling, played="drawn")


def _actors(inner: MeanFieldAC) -> MeanFieldAC:
    actors, critics = Network(width=WIDTH, last=0.01), Network(width=WIDTH)
    return dataclasses.replace(inner, actors=actors, critics=critics, horizon=4, entropy=constant(0.08), played="drawn")


def _several_steps(inner: MeanFieldAC, steps: int) -> MeanFieldAC:
    """As many gradient steps, four of them on longer rollouts each."""
    return dataclasses.replace(inner, horizon=16, epochs=4)


def _as_wide(inner: MeanFieldQ, steps: int) -> MeanFieldQ:
    """As many parameters as MF-Q has, which has a branch more."""
    name = inner.groups[0]
    means = action_size(inner.spec.groups[name].action)
    goal = _size(Network(width=WIDTH), inner.shape(name)._replace(mean=means))
    width = min(range(WIDTH, 2 * WIDTH), key=lambda w: abs(_size(Network(width=w), inner.shape(name)) - goal))
    return dataclasses.replace(inner, values=Network(width=width))


def _size(network: Network, shape: Shape) -> int:
    made = jax.eval_shape(lambda: network.init(jax.random.key(0), shape))
    return sum(x.size for x in jax.tree.leaves(made))


CHANGES: dict[str, Callable[[Any, int], Any]] = {
    "several steps": _several_steps,
    "Boltzmann": lambda inner, steps: dataclasses.replace(inner, choosing=Boltzmann(Linear(1.0, 0.05, 0.6 * steps))),
    "greedy": lambda inner, steps: dataclasses.replace(inner, choosing=greedy()),
    "last steps left out": lambda inner, steps: dataclasses.replace(inner, terminal=False),
    "as wide": _as_wide,
}


class Blinded(Field):
    """What happened is not seen: the mean action is zeros, or that of soldiers who choose at random."""

    noise: bool = eqx.field(static=True, default=False)

    def after(self, spec, memory, now, action, key):
        seen = super().after(spec, memory, now, action, key)
        return seen._replace(mean={name: self._instead(x, key) for name, x in seen.mean.items()})

    def _instead(self, mean: Any, key: Any) -> Any:
        if not self.noise:
            return jnp.zeros_like(mean)
        count, choices = mean.shape
        drawn = jax.random.randint(key, (count, max(count - 1, 1)), 0, choices)
        return jax.nn.one_hot(drawn, choices).mean(1)


def blinded(contender: Contender, noise: bool) -> Contender:
    """The same policies, that do not see what their comrades do."""
    algorithm: Any = contender.algorithm
    field = algorithm.inner.field
    seen = Blinded(field.scope, field.estimate, field.index, field.iterations, noise)
    inner = dataclasses.replace(algorithm.inner, field=seen)
    label = f"{contender.label}, {'noise' if noise else 'nothing'} seen"
    return contender._replace(label=label, algorithm=dataclasses.replace(algorithm, inner=inner))


def at_best(contender: Contender) -> Contender:
    """The same policies, without chance."""
    algorithm: Any = contender.algorithm
    inner = dataclasses.replace(algorithm.inner, played="best")
    changed = dataclasses.replace(algorithm, inner=inner)
    return contender._replace(label=f"{contender.label}, best choices", algorithm=changed)


def trained(label: str, folder: Path, world: Any, step: int | None = None) -> Contender:
    """What a run has learned at its end, or by a `step`."""
    config, states, step, _ = open_run(folder, world, step)
    return Contender(label, config.algorithm, states, config.seeds, step)


KEPT, LATEST = 40, 10
"""Policies that a run keeps on its way, and among how many of them the best is looked for."""


def best(last: Contender, folder: Path, world: Any, games: int) -> Contender:
    """Of every seed, the policy that scored most of the latest ten that were kept: against what all seeds are at their
    end, `games` with each of them on either side, in games that are played for that alone."""
    steps = checkpoint.steps(folder / checkpoint.POLICIES)[:LATEST]
    states = [trained(last.label, folder, world, step).states for step in steps]
    count, seeds = len(steps), last.seeds
    every = last._replace(states=jax.tree.map(lambda *x: jnp.concatenate(x), *states), seeds=count * seeds)
    points = matched(every, last, world, 2 * games * every.seeds * seeds, number=1)
    chosen = points.mean((1, 2, 3)).reshape(count, seeds).argmax(0)
    place = chosen * seeds + np.arange(seeds)
    return last._replace(label=f"{last.label}, best of {count}", states=jax.tree.map(lambda x: x[place], every.states))
