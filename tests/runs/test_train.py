"""Training from the host's side: run folders, resuming to the bit, stopping, and refusing."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import HostToy, SavedHostToy, Tiny, tiny

from covey.core.errors import BadInput, Diverged
from covey.core.interrupts import ASKING
from covey.runs import checkpoint, journal, memory
from covey.runs import train as module
from covey.runs.begin import CHUNK_S, Pace
from covey.runs.config import Config
from covey.runs.files import locked
from covey.runs.policy import evaluate_run, open_run
from covey.runs.signals import Stopped
from covey.runs.train import train


class StopAt:
    """A tracker that raises a signal when a step is reported, as a person or a scheduler would."""

    def __init__(self, step, number):
        self.step, self.number = step, number

    def write(self, step, scalars):
        if step == self.step:
            self.step = None  # once: the second signal would end the process
            signal.raise_signal(self.number)

    def close(self):
        pass


def assert_same(a, b):
    """Every leaf equal to the bit."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(checkpoint.flat(a)), jax.tree.leaves(checkpoint.flat(b)), strict=True):
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


def without_time(lines):
    return [
        (line.step, line.kind, {n: x.tolist() for n, x in line.values.items() if not n.startswith("time/")})
        for line in lines
    ]


def test_run_folder(finished):
    assert {"config.yaml", "metrics.jsonl", "checkpoints", "summary.json"} <= {
        p.name for p in finished.folder.iterdir()
    }
    summary = json.loads((finished.folder / "summary.json").read_text())
    assert summary == json.loads(json.dumps(finished.summary))
    assert summary["steps"] == 48
    assert summary["seeds"] == [0, 1]
    assert len(summary["evaluation"]["return/a/mean_agent"]["seeds"]) == 2
    assert summary["reference"]["kind"] == "optimum"
    assert summary["evaluation"]["regret/a/mean_agent"]["mean"] >= 0
    evaluations = [line.step for line in journal.read(finished.folder) if line.kind == "evaluation"]
    assert evaluations == [0, 24, 48]


def test_steps_are_rounded_up_to_an_iteration(run_tiny, tmp_path, capsys):
    result = run_tiny(out=tmp_path / "run", steps=10, evaluate_every=None, quiet=False)
    assert result.summary["steps"] == 12
    assert "10 steps are rounded up to 12" in capsys.readouterr().out


@pytest.mark.parametrize("number", [pytest.param(x, marks=[pytest.mark.slow] * (x != signal.SIGTERM)) for x in ASKING])
def test_stopped_and_resumed_is_uninterrupted(run_tiny, finished, tmp_path, number):
    folder = tmp_path / "run"
    with pytest.raises(Stopped, match="--resume --out") as stopped:
        run_tiny(out=folder, trackers=[StopAt(24, number)])
    assert stopped.value.code == 128 + number
    assert [line.step for line in journal.read(folder)][-1] == 24
    assert signal.getsignal(number) is not None

    with (folder / journal.NAME).open("a") as file:  # what a run that was killed later would have left
        file.write(journal.Line(36, "train", 1.0, {}).text() + '\n{"step": 48, "ki')
    resumed = run_tiny(out=folder, resume=True)
    assert_same(open_run(folder).agents, open_run(finished.folder).agents)
    np.testing.assert_equal(resumed.evaluation.values, finished.evaluation.values)
    assert without_time(journal.read(folder)) == without_time(journal.read(finished.folder))


@pytest.mark.slow
def test_resume_falls_back_to_the_checkpoint_before(run_tiny, finished, tmp_path, capsys):
    folder = tmp_path / "run"
    run_tiny(out=folder, checkpoint_every_s=0.0)
    newest = folder / "checkpoints" / "48"
    victim = max((p for p in newest.rglob("*") if p.is_file() and p.parent.name == "d"), key=lambda p: p.stat().st_size)
    victim.write_bytes(victim.read_bytes()[:-7])
    run_tiny(out=folder, resume=True, quiet=False)
    assert "48 is damaged" in capsys.readouterr().out
    assert_same(open_run(folder).agents, open_run(finished.folder).agents)


def test_resume_with_more_steps(run_tiny, finished, tmp_path):
    folder = tmp_path / "run"
    run_tiny(out=folder, steps=24)
    run_tiny(out=folder, steps=48, resume=True)
    assert_same(open_run(folder).agents, open_run(finished.folder).agents)


def test_resume_without_a_checkpoint_begins(run_tiny, finished, tmp_path):
    (tmp_path / "run").mkdir()
    result = run_tiny(out=tmp_path / "run", resume=True)
    np.testing.assert_equal(result.evaluation.values, finished.evaluation.values)


def test_chunk_length_changes_nothing_but_the_reports(run_tiny, finished, tmp_path):
    run_tiny(out=tmp_path / "run", chunk=None)
    assert_same(open_run(tmp_path / "run").agents, open_run(finished.folder).agents)


def test_a_seed_has_the_same_key_in_every_batch(world):
    algorithm = tiny(world.spec)
    alone, batch = Config(algorithm, world, seed=1, seeds=1).keys, Config(algorithm, world, seeds=3).keys
    assert jax.random.key_data(alone)[0].tolist() == jax.random.key_data(batch)[1].tolist()


def test_evaluation_before_saving_and_after_loading(finished):
    np.testing.assert_equal(evaluate_run(finished.folder).values, finished.evaluation.values)


def test_config_alone_runs_again(finished, tmp_path):
    config = dataclasses.replace(module.configs.read(finished.folder / "config.yaml"))
    again = module.execute(config, out=tmp_path / "run", quiet=True)
    np.testing.assert_equal(again.evaluation.values, finished.evaluation.values)


def test_diverged(world, tmp_path):
    broken = Tiny(world.spec, ("a", "b"), rate=float("inf"))
    with pytest.raises(Diverged, match=r"seed 0, 1 stopped being finite between steps 0 and 4 \(no checkpoint"):
        train(broken, world, steps=48, seeds=2, envs=2, chunk=1, quiet=True, out=tmp_path / "run")
    assert checkpoint.latest(tmp_path / "run" / "checkpoints") is None


# ---------------------------------------------------------------------------------------------------------------------
# Worlds outside JAX


def hosted(kind, folder, **settings):
    world = kind(lanes=4)
    base = {"steps": 24, "seeds": 2, "chunk": 3, "episodes": 3, "quiet": True}
    return train(tiny(world.spec), world, out=folder, **base | settings)


@pytest.mark.slow
def test_hosted_is_compiled(tmp_path):
    ours = hosted(HostToy, tmp_path / "hosted")
    toy = {"algorithm": tiny(HostToy(1).spec), "environment": "toy/discrete", "options": {"fixed": True}}
    theirs = train(**toy, steps=24, seeds=2, envs=2, chunk=3, episodes=3, quiet=True, out=tmp_path / "compiled")
    assert_same(open_run(ours.folder, HostToy(4)).agents, open_run(theirs.folder).agents)
    name = "return/a/mean_agent"
    np.testing.assert_allclose(ours.evaluation.values[name], theirs.evaluation.values[name], rtol=1e-6)


@pytest.mark.slow
def test_hosted_world_that_can_be_saved_goes_on_exactly(tmp_path):
    whole = hosted(SavedHostToy, tmp_path / "whole", evaluate_every=12)
    with pytest.raises(Stopped):
        hosted(SavedHostToy, tmp_path / "run", evaluate_every=12, trackers=[StopAt(12, signal.SIGTERM)])
    hosted(SavedHostToy, tmp_path / "run", evaluate_every=12, resume=True)
    worlds = SavedHostToy(4), SavedHostToy(4)
    assert_same(open_run(tmp_path / "run", worlds[0]).agents, open_run(whole.folder, worlds[1]).agents)


def test_hosted_world_that_cannot_says_so(tmp_path, capsys):
    with pytest.raises(Stopped):
        hosted(HostToy, tmp_path / "run", trackers=[StopAt(12, signal.SIGTERM)])
    hosted(HostToy, tmp_path / "run", resume=True, quiet=False)
    assert "goes on with new episodes" in capsys.readouterr().out


class Collapsing(HostToy):
    """Raises in its seventh step, which is in the fourth iteration."""

    steps = 0

    def step(self, action):
        self.steps += 1
        if self.steps == 7:
            raise RuntimeError("the roof came down")
        return super().step(action)


def test_what_was_learned_is_saved_when_the_world_fails(tmp_path, capsys):
    with pytest.raises(RuntimeError, match="the roof came down"):
        hosted(Collapsing, tmp_path / "run", chunk=5, quiet=False)
    assert "step 12 is saved: go on with `covey train --resume" in capsys.readouterr().out
    hosted(HostToy, tmp_path / "until", steps=12)
    saved, until = (open_run(tmp_path / name, HostToy(4)).agents for name in ("run", "until"))
    assert_same(saved, until)
    assert hosted(HostToy, tmp_path / "run", resume=True).summary["steps"] == 24


# ---------------------------------------------------------------------------------------------------------------------
# Refusing


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"steps": 0}, "`steps` must be at least 1"),
        ({"seeds": 0}, "`seeds` must be at least 1"),
        ({"envs": 0}, "`envs` must be at least 1"),
        ({"episodes": 0}, "`episodes` must be at least 1"),
        ({"chunk": 0}, "`chunk` must be at least 1"),
        ({"evaluate_every": 0}, "`evaluate_every` must be at least 1"),
        ({"seed": -1}, "`seed` must be between"),
        ({"steps": 2**31}, "must be at most 2147483647"),
        ({"checkpoint_every_s": -1.0}, "must not be negative"),
        ({"resume": True}, "which run should be resumed"),
        ({"trackers": ["tensorbored"]}, "did you mean 'tensorboard'"),
        ({"options": {"time_limit": 3}}, "already made"),
    ],
)
def test_impossible_settings(run_tiny, tmp_path, monkeypatch, settings, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=words):
        run_tiny(**settings)


def test_nobody_controls_a_group(world, tmp_path):
    with pytest.raises(BadInput, match=r"nobody controls \['b'\]"):
        train(tiny(world.spec, groups=("a",)), world, steps=8, out=tmp_path / "run")


def test_folder_in_use(run_tiny, tmp_path):
    with locked(tmp_path / "run"), pytest.raises(BadInput, match="is in use by process"):
        run_tiny(out=tmp_path / "run")


def test_lock_of_a_dead_process_locks_nothing(tmp_path):
    (tmp_path / "run.lock").write_text("999999")
    with locked(tmp_path):
        pass


def test_folder_that_is_not_empty(run_tiny, finished):
    with pytest.raises(BadInput, match=r"not empty: resume its run \(--resume\)"):
        run_tiny(out=finished.folder)


def test_folder_that_cannot_be(run_tiny, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="is a file"):
        run_tiny(out=tmp_path / "file")
    with pytest.raises(BadInput, match="cannot be written: not a directory"):
        run_tiny(out=tmp_path / "file" / "run")


def test_resume_of_something_else(run_tiny, finished, world, tmp_path):
    folder = shutil.copytree(finished.folder, tmp_path / "run")
    with pytest.raises(BadInput, match=r"made with algorithm.rate = 0.1, and now it is 0.2"):
        train(Tiny(world.spec, ("a", "b"), rate=0.2), world, steps=48, seeds=2, envs=2, out=folder, resume=True)
    with pytest.raises(BadInput, match=r"made with seeds = 2, and now it is 1"):
        run_tiny(out=folder, resume=True, seeds=1)
    with pytest.raises(BadInput, match="is of the algorithm 'Tiny', and not of 'Random'"):
        train("random", world, steps=48, seeds=2, envs=2, out=folder, resume=True)


def test_memory_that_is_not_there(run_tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "machine_memory", lambda: 100)
    with pytest.raises(BadInput, match=r"this run needs 0.0 MB, and 0.0 MB are available; most of it is rollout"):
        run_tiny(out=tmp_path / "run")


def test_memory_of_an_update_that_is_not_there(tmp_path, monkeypatch):
    """What imagination takes is planned, and the sentence says what to lower."""
    monkeypatch.setattr(memory, "machine_memory", lambda: 500_000_000)
    with pytest.raises(BadInput, match=r"most of it is updates \(.* GB\): imagine fewer or shorter episodes"):
        train("matwm", "toy/discrete", preset="paper", steps=100, quiet=True, out=tmp_path / "run")


def test_memory_of_this_machine():
    assert (memory.machine_memory() or 0) > 1e6
    assert memory.peak() > 1e6


def test_pace_climbs_the_ladder_and_settles():
    pace, seconds_each = Pace(), CHUNK_S / 300
    for _ in range(5):
        pace = pace.after(pace.length, pace.length * seconds_each)
    assert pace == Pace(200, settled=True)
    assert pace.after(200, 100.0) == pace
    assert Pace(10).after(3, 0.001) == Pace(10)  # a chunk cut short tells nothing
    assert Pace().after(1, 100.0) == Pace(1, settled=True)


def test_finite_check_of_a_single_bad_number(world):
    from covey.runs.session import _finite_check

    algorithm = tiny(world.spec)
    agents = jax.vmap(lambda k: algorithm.init(k, 1))(jax.random.split(jax.random.key(0), 3))
    agents.weights["b"] = agents.weights["b"].at[1, 0, 1].set(jnp.nan)
    assert _finite_check(algorithm)(agents).tolist() == [True, False, True]
