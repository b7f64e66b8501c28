"""Worlds in worker processes, for long: episodes by the thousand, and learning as in the compiled world."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from covey import environments
from covey.algorithms import ppo
from covey.runs.train import train
from covey.studies.statistics import mean

pytestmark = pytest.mark.learn

SPREAD = "pettingzoo:mpe2.simple_spread_v3"
SEEDS, LANES = 4, 16


def test_two_workers_play_ten_thousand_episodes():
    world = environments.make(SPREAD, lanes=LANES, workers=2)
    rng, ended = np.random.default_rng(0), 0
    world.reset()
    while ended < 10_000:
        then, _ = world.step({"agent": rng.integers(5, size=(LANES, 3)).astype(np.int32)})
        ended += int(then.last.sum())
    world.close()
    assert ended == 10_000  # all lanes end together


def test_hosted_and_compiled_learn_the_same():
    """MAPPO on `mpe2`'s spread and on ours: what the seeds reach cannot be told apart, and is far above random play."""

    def reached(world) -> np.ndarray:
        learner = dataclasses.replace(ppo.mappo(world.spec), horizon=25, minibatches=2)
        run = train(learner, world, steps=100_000, seeds=SEEDS, envs=LANES, episodes=64, quiet=True, out=None)
        return run.evaluation.per_seed()["return/team_sum"]

    hosted = reached(environments.make(SPREAD, lanes=SEEDS * LANES, workers=2))
    compiled = reached(environments.make("particle/spread"))
    a, b = mean(hosted), mean(compiled)
    assert min(a.low, b.low) > -75.0  # random play: -83
    assert max(a.low, b.low) < min(a.high, b.high), (a, b)
