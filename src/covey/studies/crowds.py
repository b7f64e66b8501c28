"""Speed with many agents: battles beside MAgent2's, and what an update of mean-field Q-learning costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from covey import algorithms, environments
from covey.algorithms.mean_field.q import mfq
from covey.core.errors import BadInput
from covey.learning.replay import Replay
from covey.studies.peers import against
from covey.studies.timing import Effort, Loop, Row, rate, row

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
