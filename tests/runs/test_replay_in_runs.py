"""Replay in run folders: environments that begin anew when a run is resumed, and runs of earlier versions."""

from __future__ import annotations

import dataclasses
import json
import signal
from typing import Any

import jax
import numpy as np
import pytest
import yaml
from test_train import StopAt

import covey
from covey import train
from covey.algorithms.value import vdn
from covey.core.errors import BadInput
from covey.core.types import Discrete, Field, Group, Spec, Table, TimeStep
from covey.learning.replay import Replay
from covey.learning.samplers import CurrentEpisode, Sequences, Transitions
from covey.runs import checkpoint, config
from covey.runs.fields import decode, encode
from covey.runs.policy import evaluate_run, open_run
from covey.runs.signals import Stopped


class HostCounters:
    """Episodes of seven steps in NumPy; the agent sees the number of the episode, of all there ever were, and of the
    step. It cannot be saved."""

    spec = Spec("counters", Table({"a": Group(("a_0",), (Field("number", (2,)),), Discrete(2))}), time_limit=7)
    begun = 0

    def __init__(self, lanes: int):
        self.lanes = lanes

    def reset(self):
        self.number = np.zeros((self.lanes, 2), np.float32)
        self.fresh(np.ones(self.lanes, bool))
        return self.shown()

    def fresh(self, which):
        HostCounters.begun += which.sum()
        self.number[which, 0] = HostCounters.begun - np.arange(which.sum())
        self.number[which, 1] = 0

    def step(self, action):
        self.number[:, 1] += 1
        then = self.shown()
        self.fresh(then.last)
        return then, self.shown()._replace(reward={"a": np.zeros((self.lanes, 1), np.float32)})

    def shown(self):
        ones = np.ones((self.lanes, 1), np.float32)
        return TimeStep(
            {"a": self.number[:, None].copy()}, {"a": ones}, {"a": ones}, {"a": ones > 0}, self.number[:, 1] == 7
        )

    def close(self):
        pass


def learner(spec, **settings) -> Any:
    algorithm: Any = vdn(spec)
    return dataclasses.replace(algorithm, replay=Replay(64, 8), width=4, horizon=2, warmup=0, **settings)


@pytest.mark.slow
def test_a_resumed_run_takes_no_reset_for_a_successor(tmp_path):
    """After 12 steps of 3 lanes the episodes are in their fourth step, and begin anew."""
    settings = {"steps": 36, "seeds": 1, "envs": 3, "chunk": 1, "episodes": 1, "quiet": True, "out": tmp_path / "run"}
    spec = HostCounters.spec
    with pytest.raises(Stopped):
        train(learner(spec), HostCounters(3), trackers=[StopAt(12, signal.SIGTERM)], **settings)
    assert checkpoint.steps(tmp_path / "run" / "checkpoints")[0] == 12
    train(learner(spec), HostCounters(3), resume=True, **settings)
    buffer = jax.tree.map(lambda x: x[0], open_run(tmp_path / "run", HostCounters(3)).agents.buffer)
    for sampler in (Transitions(), Sequences(5)):
        batch = sampler.sample(spec, buffer, 60, jax.random.key(0), 36)
        there = np.asarray(batch.weight) > 0
        now, then = (np.asarray(x.obs["a"])[there][:, 0] for x in (batch.now, batch.then))
        np.testing.assert_array_equal(then, now + np.array([0, 1]))
    drawn = {tuple(row) for row in now.astype(int).tolist()}
    assert len({episode for episode, _ in drawn}) > 3  # of before and after


# ---------------------------------------------------------------------------------------------------------------------
# Earlier versions


@pytest.mark.parametrize(("whole_episode", "kind"), [(False, Transitions), (True, CurrentEpisode)])
def test_the_option_of_earlier_versions_is_a_sampler_now(whole_episode, kind):
    tree: Any = encode(Replay(64, 8), None, {})
    for name in ("sampler", "finals"):
        del tree[name]
    replay = decode(tree | {"whole_episode": whole_episode}, None, {})
    assert replay == Replay(64, 8, kind())
    with pytest.raises(BadInput, match="must be true or false, got 3"):
        decode(tree | {"whole_episode": 3}, None, {})


def as_before(folder) -> None:
    """Rewrite a run folder as versions did that had another buffer and `whole_episode`."""
    file = folder / "config.yaml"
    document = yaml.safe_load(file.read_text())
    replay = document["algorithm"]["object"]["replay"]
    del replay["sampler"], replay["finals"]
    replay["whole_episode"] = False
    file.write_text(yaml.safe_dump(document))
    for step in checkpoint.steps(folder / "checkpoints"):
        file = folder / "checkpoints" / str(step) / "about.json"
        about = json.loads(file.read_text())
        gone = ("algorithm.replay.sampler", "algorithm.replay.finals")
        kept = {name: x for name, x in about["identity"]["settings"].items() if not name.startswith(gone)}
        about["identity"]["settings"] = kept | {"algorithm.replay.whole_episode": "false"}
        about["shapes"] = {name.replace(".buffer.steps", ".buffer"): x for name, x in about["shapes"].items()}
        file.write_text(json.dumps(about))


@pytest.mark.slow
def test_a_run_of_an_earlier_version_is_opened(tmp_path):
    environment = covey.make("toy/discrete")
    run = train(learner(environment.spec), environment, steps=24, episodes=4, quiet=True, out=tmp_path / "run")
    before = evaluate_run(run.folder).values
    as_before(run.folder)
    assert config.read(run.folder / "config.yaml").algorithm.replay == Replay(64, 8)  # type: ignore
    np.testing.assert_equal(evaluate_run(run.folder).values, before)
    assert open_run(run.folder).agents.buffer == ()
    with pytest.raises(BadInput, match=r"does not fit: \.agent\.buffer"):
        train(learner(environment.spec), environment, steps=48, quiet=True, out=run.folder, resume=True)
