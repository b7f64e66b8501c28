"""Checkpoints: what goes in comes out, at any moment one is good, and what does not fit is refused."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from covey.core.errors import BadInput
from covey.core.loop import Score, Total
from covey.core.types import Run, TimeStep
from covey.runs import checkpoint
from covey.runs.checkpoint import Identity

WHOSE = Identity("Tiny", "toy", {"rate": "0.1"})


def a_run(step):
    now = TimeStep({"a": jnp.ones((2, 3))}, {}, {}, {}, jnp.zeros((2, 1), bool))
    agent = {
        "w": jnp.arange(6.0).reshape(2, 3) + step,
        "half": jnp.ones(2, jnp.bfloat16),
        "none": jnp.zeros((2, 0)),
        "keys": jax.random.split(jax.random.key(3, impl="rbg"), 2),
        "no_keys": jax.random.split(jax.random.key(0), 2)[:0],
    }
    return Run(agent, (), now, (), (), jax.random.split(jax.random.key(1), 2), jnp.int32(step))


def save(folder, step, **kwargs):
    return checkpoint.save(folder, a_run(step), WHOSE, {"jax": "1"}, {"pace": [5, True]}, kwargs.get("world"))


def found(folder):
    saved = checkpoint.latest(folder)
    assert saved is not None
    return saved


def abstract():
    return jax.eval_shape(lambda: a_run(0))


def test_round_trip(tmp_path):
    save(tmp_path, 7, world=b"where we were")
    saved = found(tmp_path)
    assert (saved.step, saved.world, saved.about["host"]) == (7, b"where we were", {"pace": [5, True]})
    checkpoint.check(saved, WHOSE)
    run = checkpoint.restore(saved, abstract())
    assert jax.tree.structure(run) == jax.tree.structure(a_run(7))
    for ours, theirs in zip(jax.tree.leaves(run), jax.tree.leaves(a_run(7)), strict=True):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    for name, x in checkpoint.flat(a_run(7)).items():
        np.testing.assert_array_equal(np.asarray(checkpoint.flat(run)[name]), np.asarray(x))
    agent = checkpoint.restore(saved, abstract().agent, part="agent")
    np.testing.assert_array_equal(agent["w"], run.agent["w"])


def test_newest_two_are_kept(tmp_path):
    assert checkpoint.latest(tmp_path / "nothing") is None
    for step in (2, 10, 9, 30):
        save(tmp_path, step)
    assert sorted(os.listdir(tmp_path)) == ["10", "30"]


def test_same_step_again_replaces(tmp_path):
    save(tmp_path, 5)
    (tmp_path / "5" / "about.json").write_text("{")
    save(tmp_path, 5)
    assert found(tmp_path).step == 5
    assert os.listdir(tmp_path) == ["5"]


@pytest.mark.parametrize("moment", ["_write_arrays", "_digests", "sync_tree", "sync"])
def test_killed_at_any_moment_of_a_save(tmp_path, monkeypatch, moment):
    """What is on the disk when the process is gone before or after each part of a save."""

    class Killed(BaseException):
        pass

    def killed(*args):
        raise Killed

    save(tmp_path, 1)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_discard_leftovers", lambda folder: None)  # the dead do not tidy up
        patch.setattr(checkpoint, moment, killed)
        with pytest.raises(Killed):
            save(tmp_path, 2)
    saved = found(tmp_path)
    assert saved.step == (2 if moment == "sync" else 1)
    assert int(checkpoint.restore(saved, abstract()).step) == saved.step
    save(tmp_path, 3)
    assert found(tmp_path).step == 3


@pytest.mark.parametrize("harm", ["truncate", "flip", "remove", "no about", "half about", "other about"])
def test_damaged_is_passed_over(tmp_path, harm):
    save(tmp_path, 1)
    newest = save(tmp_path, 2)
    data = max((p for p in (newest / "run").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    about = newest / "about.json"
    match harm:
        case "truncate":
            data.write_bytes(data.read_bytes()[:-1])
        case "flip":
            data.write_bytes(data.read_bytes()[:-1] + bytes([data.read_bytes()[-1] ^ 1]))
        case "remove":
            next(newest.rglob("manifest.ocdbt")).unlink()
        case "no about":
            about.unlink()
        case "half about":
            about.write_text(about.read_text()[:50])
        case "other about":
            about.write_text("[]")
    saved = found(tmp_path)
    assert saved.step == 1
    assert "2 is damaged" in saved.passed_over[0]
    checkpoint.restore(saved, abstract())
    shutil.rmtree(tmp_path / "1")
    with pytest.raises(BadInput, match="no earlier one is left"):
        checkpoint.latest(tmp_path)


def test_refuses_what_does_not_fit(tmp_path):
    saved = found(save(tmp_path, 1).parent)
    with pytest.raises(BadInput, match="of the algorithm 'Tiny', and not of 'Random'"):
        checkpoint.check(saved, WHOSE._replace(algorithm="Random"))
    with pytest.raises(BadInput, match="of the environment 'toy', and not of 'other'"):
        checkpoint.check(saved, WHOSE._replace(environment="other"))
    with pytest.raises(BadInput, match=r"made with rate = 0\.1, and now it is 0\.2"):
        checkpoint.check(saved, WHOSE._replace(settings={"rate": "0.2"}))
    checkpoint.check(saved, WHOSE._replace(settings=WHOSE.settings | {"added_later": "1"}))
    with pytest.raises(BadInput, match="has format 99, and this covey reads format 1"):
        checkpoint.check(saved._replace(about=saved.about | {"format": 99}), WHOSE)
    other = abstract()
    other.agent["w"] = jax.ShapeDtypeStruct((2, 4), jnp.float32)
    with pytest.raises(
        BadInput, match=r"does not fit: .agent\['w'\] is float32\[2, 3\] there and float32\[2, 4\] here"
    ):
        checkpoint.restore(saved, other)
    del other.agent["w"]
    with pytest.raises(BadInput, match="absent here"):
        checkpoint.restore(saved, other)


def test_measures_of_the_environment_may_come_and_go(tmp_path):
    def scored(**measures):
        totals = {name: Total(jnp.full(2, value), jnp.ones(2)) for name, value in measures.items()}
        return a_run(1)._replace(score=Score({}, jnp.zeros(2, jnp.int32), totals))

    checkpoint.save(tmp_path, scored(kept=5.0, gone=6.0), WHOSE, {}, {})
    run = checkpoint.restore(found(tmp_path), jax.eval_shape(lambda: scored(kept=0.0, new=0.0)))
    measure = run.score.measure
    assert sorted(measure) == ["kept", "new"]
    assert np.asarray(measure["kept"].sum).tolist() == [5.0, 5.0]
    assert np.asarray(measure["new"].sum).tolist() == np.asarray(measure["new"].count).tolist() == [0.0, 0.0]


def test_arrays_that_are_not_what_they_are_said_to_be(tmp_path):
    """Whoever wrote the digests may have written anything else."""
    folder = save(tmp_path, 1)
    about, other = folder / "about.json", abstract()
    other.agent["w"] = jax.ShapeDtypeStruct((200, 400), jnp.float32)
    text = about.read_text()
    about.write_text(text.replace('"float32[2, 3]"', '"float32[200, 400]"'))
    with pytest.raises(BadInput, match=r"does not fit|is damaged"):
        checkpoint.restore(found(tmp_path), other)
    about.write_text(text.replace("rbg", "no_such_generator"))
    with pytest.raises(BadInput, match="is damaged: its arrays cannot be read"):
        checkpoint.restore(found(tmp_path), abstract())
    about.write_text(text)
    assert int(checkpoint.restore(found(tmp_path), abstract()).step) == 1


def test_says_what_changed(tmp_path):
    saved = found(save(tmp_path, 1).parent)
    assert checkpoint.differences(saved, {"jax": "1"}) == []
    assert checkpoint.differences(saved, {"jax": "2"}) == ["jax 1 then, 2 now"]


@pytest.mark.parametrize(("number", "words"), [(errno.ENOSPC, "no space left"), (errno.EROFS, "read-only")])
@pytest.mark.parametrize("where", ["sync_tree", "_write_arrays"])
def test_disk_that_refuses(tmp_path, monkeypatch, number, words, where):
    save(tmp_path, 1)

    def refuse(*args):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, where, refuse)
        with pytest.raises(BadInput, match=words):
            save(tmp_path, 2)
    assert os.listdir(tmp_path) == ["1"]
    assert found(tmp_path).step == 1


def test_folder_removed_while_a_checkpoint_is_written(tmp_path, monkeypatch):
    def removed(self):
        shutil.rmtree(tmp_path / "run")
        raise ValueError("NOT_FOUND: rename failed")

    with monkeypatch.context() as patch:
        patch.setattr(ocp.StandardCheckpointer, "wait_until_finished", removed)
        with pytest.raises(BadInput, match="no such file or directory"):
            save(tmp_path / "run" / "checkpoints", 1)


def test_disk_without_room(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))  # type: ignore
    with pytest.raises(BadInput, match=r"has 0\.0 MB free"):
        save(tmp_path, 1)


WRITER = """
import sys
sys.path.insert(0, {here!r})
from pathlib import Path
from test_checkpoint import save
for step in range(1, 10**6):
    save(Path({folder!r}), step)
    print(step, flush=True)
"""


def test_killed_writer_leaves_a_good_checkpoint(tmp_path):
    """SIGKILL in the middle of a process that does nothing but save."""
    script = WRITER.format(here=os.path.dirname(__file__), folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        promised = [int(writer.stdout.readline()) for _ in range(3)][-1]
        time.sleep(0.007)
        writer.send_signal(signal.SIGKILL)
    saved = found(tmp_path)
    assert saved.step >= promised
    assert saved.passed_over == ()
    assert int(checkpoint.restore(saved, abstract()).step) == saved.step
    save(tmp_path, 10**6)
    assert sorted(os.listdir(tmp_path)) == sorted([str(10**6), str(saved.step)])  # leftovers are gone
