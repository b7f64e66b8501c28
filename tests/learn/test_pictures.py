"""Signs in pictures are learned, by filters and in steps in which a flat network learns next to nothing.

For the 95 % interval of the mean return over five seeds (8 at best, 2 by chance): above a bar with filters, below 4
without. The page on observations has the numbers, and how these settings were found.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

from covey.environments import make
from covey.runs.train import train
from covey.studies.statistics import mean

pytestmark = pytest.mark.learn

SIZE = 20
ENCODERS: dict[str, dict[str, Any]] = {
    "residual": {"encoder": "residual", "encoder.width": 64, "encoder.channels": (8,)},
    "flat": {"encoder": "flat"},
}


class Learner(NamedTuple):
    """How an algorithm is trained, and what its filters have to reach."""

    settings: dict[str, Any]
    steps: int
    envs: int
    first: int  # of five seeds
    bar: float


LEARNERS = {
    "vdn": Learner(
        {"gamma": 0.0, "horizon": 2, "lr": 2e-3, "replay.batch": 128, "epsilon.steps": 15_000}, 40_000, 16, 0, 7.0
    ),
    "ippo": Learner(
        {"gamma": 0.0, "horizon": 16, "epochs": 4, "minibatches": 4, "entropy": 0.01}
        | {"actor-lr": 1e-3, "critic-lr": 1e-3},
        80_000,
        64,
        20,
        6.0,
    ),
}


def trained(name: str, encoder: str, seed: int) -> float:
    """Mean return of an agent after training. Seeds are trained one by one: filters of several seeds in one program
    take twice as long on a CPU."""
    learner, pictures = LEARNERS[name], make("toy/pictures", size=SIZE)
    how: dict[str, Any] = {"steps": learner.steps, "envs": learner.envs, "seed": seed, "episodes": 64}
    run = train(name, pictures, quiet=True, out=None, settings=learner.settings | ENCODERS[encoder], **how)
    return float(run.evaluation.per_seed()["return/reader/mean_agent"][0])


@pytest.mark.parametrize("name", LEARNERS)
def test_filters_learn_what_a_flat_network_does_not_in_the_same_steps(name):
    seeds = range(LEARNERS[name].first, LEARNERS[name].first + 5)
    filters, flat = (mean(np.array([trained(name, encoder, seed) for seed in seeds])) for encoder in ENCODERS)
    assert filters.low > LEARNERS[name].bar
    assert flat.high < 4.0
