"""A run that is killed with SIGKILL at random moments and resumed ends exactly where one that was left alone ends.

One pair in `make test-slow`; every algorithm on every toy world, and ATT-MADDPG on routing, in `make learn`.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from functools import partial

import jax
import numpy as np
import pytest

from covey.algorithms import ALIASES
from covey.core import loop
from covey.runs import checkpoint
from covey.runs import config as configs

SCRIPT = """
import sys
from covey.core.cores import use_cores
use_cores()  # as the commands do: the seeds are on devices of their own
from covey.runs.train import train
algorithm, world, steps, out = sys.argv[1:]
train(algorithm, world, steps=int(steps), seeds=2, out=out, resume=True, checkpoint_every_s=0.2, chunk=100, episodes=2,
      quiet=True)
"""
DISCRETE = ("vdn", "qmix", "iql", "mfq", "matwm")
"""Algorithms that choose from a few actions only."""
QUICK = ("random", "toy/discrete")
STEPS = 1500
QUICK_STEPS = 12_000  # an algorithm that learns nothing would be done before it could be killed
WITHIN = (0.3, 3.0)  # seconds to the first and the second kill; the first is soon, or a quick machine would be done
LONG_STEPS = 64_000  # and so would one that learns once in 32 or 128 steps
ON_POLICY = ("ippo", "mappo", "credit-mappo", "ac", "mfac", "mf-ppo")


def final_run(folder):
    """The newest checkpoint of a run folder, and every leaf of it by name."""
    config = configs.read(folder / "config.yaml")
    saved = checkpoint.latest(folder / "checkpoints")
    assert saved is not None
    begin = partial(loop.start, config.environment, config.algorithm, lanes=config.envs)
    restored = checkpoint.restore(saved, jax.eval_shape(begin, config.keys))
    return saved.step, {name: np.asarray(leaf) for name, leaf in checkpoint.flat(restored).items()}


def run(algorithm, world, out, steps):
    return [sys.executable, "-c", SCRIPT, algorithm, world, str(steps), str(out)]


def killed_until_done(command, out, seed):
    """Run `command` again and again, killing it at random moments after its first checkpoint, until it ends."""
    moments, kills = random.Random(seed), 0
    while True:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and checkpoint.latest(out / "checkpoints") is None:
            time.sleep(0.05)
        try:
            if process.wait(timeout=moments.uniform(0.0, WITHIN[kills]) if kills < len(WITHIN) else 300) == 0:
                return kills
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1


def pairs() -> list:
    """(algorithm, world, steps): one of them quick enough for `make test-slow`."""
    table = [(algorithm, "toy/discrete") for algorithm in ALIASES]
    table += [(x, world) for world in ("toy/continuous", "toy/graph") for x in ALIASES if x not in DISCRETE]
    table += [("att-maddpg", "routing/small-contended"), ("self-play/mfq", "toy/duel")]
    rest = [
        pytest.param(*pair, LONG_STEPS if pair[0] in ON_POLICY else STEPS, marks=pytest.mark.learn)
        for pair in table
        if pair != QUICK
    ]
    return [pytest.param(*QUICK, QUICK_STEPS, marks=pytest.mark.slow), *rest]


@pytest.mark.parametrize(("algorithm", "world", "steps"), pairs())
def test_killed_and_resumed_is_left_alone(algorithm, world, steps, tmp_path):
    alone, killed = tmp_path / "alone", tmp_path / "killed"
    subprocess.run(run(algorithm, world, alone, steps), check=True, capture_output=True)
    kills = killed_until_done(run(algorithm, world, killed, steps), killed, seed=f"{algorithm} {world}")
    assert kills >= 1
    (step_a, left_alone), (step_b, resumed) = final_run(alone), final_run(killed)
    assert step_a == step_b == steps
    assert left_alone.keys() == resumed.keys()
    for name, value in left_alone.items():
        np.testing.assert_array_equal(value, resumed[name], err_msg=name)
