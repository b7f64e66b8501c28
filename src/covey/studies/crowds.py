"""Speed with many agents: battles beside MAgent2's, updates of mean-field Q-learning, and critics of neighbors."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import numpy as np

from covey import algorithms, environments
from covey.algorithms.critics import GroupCritic, Joint, Neighbors
from covey.algorithms.ddpg import maddpg
from covey.algorithms.mean_field.q import mfq
from covey.core.errors import BadInput
from covey.learning.replay import Replay
from covey.studies.peers import against
from covey.studies.timing import Effort, Loop, Row, enough, in_turns, rate, row

LANES = 16
"""Battles side by side."""


class TheirBattle:
    """MAgent2's battle through PettingZoo in this process, with random actions; a call takes so many steps."""

    compile_s = 0.0

    def __init__(self, size: int, minimap: bool):
        try:
            from magent2.environments import battle_v4  # type: ignore[import-not-found]
        except ImportError as error:
            raise BadInput("MAgent2 is not installed: `pip install magent2`.") from error
        self.env = battle_v4.parallel_env(map_size=size, minimap_mode=minimap, max_cycles=400)
        self.rng = np.random.default_rng(0)
        self.env.reset(seed=0)

    def __call__(self, steps: int) -> None:
        for _ in range(steps):
            if not self.env.agents:
                self.env.reset()
            chosen = self.rng.integers(0, 21, len(self.env.agents))
            self.env.step(dict(zip(self.env.agents, chosen.tolist(), strict=True)))


def battle_stepping(effort: Effort) -> Iterator[Row]:
    """The whole loop here, with the same observations, beside one process of MAgent2."""
    size = 12 if effort.tiny else 40
    for minimap in (False, True):
        world = environments.make("battle", size=size, minimap=minimap)
        mine = Loop(world, algorithms.make("random", world), lanes=LANES)
        seen = "with the small map" if minimap else "without the small map"
        theirs = TheirBattle(size, minimap)
        yield from against("battle", f"{2 * world.count} soldiers, {seen}", mine, theirs, (LANES, 1), effort)


def soldiers(effort: Effort) -> Iterator[Row]:
    """The whole loop with more and more soldiers, in one battle and in several."""
    for lanes in (1, LANES):
        for size in (12, 16) if effort.tiny else (40, 100, 200, 356):
            world = environments.make("battle", size=size)
            loop = Loop(world, algorithms.make("random", world), lanes=lanes)
            case = f"{2 * world.count:,} soldiers, {lanes} lane{'s' * (lanes > 1)}"
            yield row("soldiers", case, rate(loop, 2 * world.count * lanes, effort), "soldier steps/s")


def population(effort: Effort) -> Iterator[Row]:
    """An update of mean-field Q-learning from 8 joint steps of the squeeze, against the number of agents."""
    counts = (8, 16) if effort.tiny else (64, 256, 1024, 4096)
    seconds = []
    for count in counts:
        world = environments.make("squeeze", agents=count)
        settings: dict[str, Any] = {"replay": Replay(capacity=64, batch=8), "updates": 16, "warmup": 0, "horizon": 1}
        loop = Loop(world, dataclasses.replace(mfq(world.spec), **settings))
        loop(4)
        rates = rate(loop, settings["updates"], effort)
        seconds.append(1.0 / float(np.median(rates)))
        yield row("population", f"mfq, {count:,} agents", rates, "updates/s")
    slope = float(np.polyfit(np.log(counts), np.log(seconds), 1)[0])
    yield row("population", "cost of an update as a power of the number of agents", slope, "exponent")


NEAREST = 6
"""Neighbors of an agent."""


def neighbors(effort: Effort) -> Iterator[Row]:
    """MADDPG whose critics see everybody beside one critic of six neighbors: weights, and updates in turns.

    Agents cover ten landmarks (`particle/spread`) and observe 32 numbers each: their own velocity and position, the six
    nearest landmarks, the four nearest agents. Sizes are the family's own: 32 units, batches of 128.
    """
    for count in (8, 12) if effort.tiny else (20, 50, 100, 200):
        sees = {"seen_agents": 4, "seen_landmarks": 6, "nearest": NEAREST}
        world = environments.make("particle/spread", agents=count, landmarks=10, continuous=True, **sees)
        both = {"everybody": Joint(), "neighbors": Neighbors()}
        loops = [_updates(world, critic, effort) for critic in both.values()]
        counts = [enough(loop, effort) for loop in loops]
        calls = [partial(call, k) for call, k in zip(loops, counts, strict=True)]
        times = in_turns(calls, effort.repeats, first=lambda number: loops[number](1))  # noqa: B023 (called at once)
        seconds = [[s / (k * UPDATES) for s in spent] for spent, k in zip(times, counts, strict=True)]
        weights = [sum(x.nbytes for x in jax.tree.leaves(loop.run.agent.nets.critic)) for loop in loops]
        for name, loop, spent, size in zip(both, loops, seconds, weights, strict=True):
            case = f"{count} agents, critics of {name}"
            yield row("neighbors", case, size / 1e6, "MB of weights")
            yield row("neighbors", case, [1e3 * s for s in spent], "ms an update")
            yield row("neighbors", case, loop.compile_s, "s to compile")
        yield row("neighbors", f"{count} agents", weights[0] / weights[1], "times the weights")
        yield row("neighbors", f"{count} agents", [a / b for a, b in zip(*seconds, strict=True)], "times as fast")


UPDATES = 4
"""Updates an environment step, so that stepping hardly counts."""


def _updates(world: Any, critic: GroupCritic, effort: Effort) -> Loop:
    """Training with a critic, warm."""
    replay = Replay(capacity=64, batch=8) if effort.tiny else Replay(capacity=1024)
    algorithm = dataclasses.replace(maddpg(world.spec), critic=critic, replay=replay, updates=UPDATES, warmup=0)
    loop = Loop(world, algorithm)
    loop(2)  # the replay needs two steps before the first update
    return loop
