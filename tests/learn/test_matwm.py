"""MATWM learns `toy/discrete` with few steps, and its world model knows more than what is trivial."""

from __future__ import annotations

from typing import Any

import pytest

import covey
from covey.runs.train import train
from covey.studies.matwm.quality import errors, held_out

pytestmark = pytest.mark.learn

SETTINGS = {"updates": 8}
STEPS, ENVS = 8000, 4  # an update for every four steps
SEEDS = (0, 1)
LENGTH = 8  # of an episode


@pytest.fixture(scope="module", params=SEEDS)
def run(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("matwm") / "run"
    return train(
        "matwm",
        "toy/discrete",
        preset="tiny",
        settings=SETTINGS,
        steps=STEPS,
        envs=ENVS,
        seed=request.param,
        episodes=128,
        quiet=True,
        out=out,
    )


def test_the_tiny_preset_learns_far_above_random_play(run):
    """The table of docs/algorithms/matwm.md, with room; random play earns a fifth and a third of the optimum."""
    values = run.evaluation.per_seed()
    assert values["return/a/mean_agent"][0] > 9.0
    assert values["return/b/mean_agent"][0] > 7.0


def test_the_world_model_beats_nothing_changes_and_the_mean(run):
    """Next signals are drawn anew, so that their mean is the best there is; who lives can be foretold."""
    policy = covey.load(run.folder, seed=0)
    algorithm: Any = policy.algorithm
    batch = held_out(algorithm, policy.state, policy.environment, at_random=True)
    found = errors(algorithm, policy.state.nets.model, batch, begins=range(LENGTH))
    for what in ("obs", "reward"):
        assert found[what, 1, "model"] < found[what, 1, "mean"] < found[what, 1, "nothing changes"]
    assert found["reward", 1, "model"] < 0.5 * found["reward", 1, "mean"]
