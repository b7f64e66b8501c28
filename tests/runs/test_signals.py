"""Asked to stop by every signal there is, the process or its whole group: saved, resumed to the bit, and no orphan.

A row in `make test`, the whole table in `make test-slow`.
"""

from __future__ import annotations

import functools
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pytest

from covey.core.interrupts import ASKING, interruptible
from covey.runs import checkpoint
from covey.runs.signals import Stopped, requests
from covey.runs.train import train

HERE = Path(__file__).parent
PROGRAM = "import sys; from covey.cli import main; sys.exit(main())"
PATIENCE_S = 300.0


class Case(NamedTuple):
    """A run that would not end by itself, and what becomes of it."""

    number: int
    group: bool  # does the whole group of processes get it?
    workers: int | None  # None: a compiled environment; 0: one outside JAX, in this process
    twice: bool = False

    def __str__(self):
        where = {None: "compiled", 0: "here"}.get(self.workers, f"{self.workers} workers")
        name = signal.Signals(self.number).name.removeprefix("SIG") + " twice" * self.twice
        return f"{name}, {'group' if self.group else 'process'}, {where}"

    @property
    def chunk(self):
        """Iterations: some tenths of a second; seconds where a second signal has to come before the end."""
        if self.workers is None:
            return 600_000 if self.twice else 10_000
        return 300 if self.twice else 50

    @property
    def environment(self):
        if self.workers is None:
            return "toy/discrete", {}
        return "walking:make_env", {"workers": self.workers}

    @property
    def saves(self):
        """Seconds between checkpoints: after every chunk, where the last one is lost."""
        return 0.0 if self.twice else 300.0

    def command(self, folder):
        name, options = self.environment
        flags = [f"--env.{option.replace('_', '-')}={value}" for option, value in options.items()]
        how = ["--steps=1e9", f"--chunk={self.chunk}", f"--checkpoint-every-s={self.saves}", f"--out={folder}"]
        return [sys.executable, "-c", PROGRAM, "train", "random", name, *flags, *how]


def table():
    quick = Case(signal.SIGTERM, group=False, workers=None)
    rows = [Case(*row) for row in itertools.product(ASKING, (False, True), (None, 0, 2))]
    rows += [Case(signal.SIGINT, *row, twice=True) for row in itertools.product((False, True), (None, 0, 2))]
    return [pytest.param(case, id=str(case), marks=[] if case == quick else [pytest.mark.slow]) for case in rows]


@functools.cache
def surroundings():
    paths = [str(HERE), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def started(command):
    """A process that leads a group of its own; its output is one stream of lines."""
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "env": surroundings()}
    process = subprocess.Popen(command, start_new_session=True, **pipe)
    watchdog = threading.Timer(PATIENCE_S, process.kill)  # a signal that nobody hears must not hang the tests
    watchdog.daemon = True
    watchdog.start()
    return process


def said(process, beginning):
    """The lines up to the first that begins like this."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(beginning):
            return lines
    raise AssertionError("".join(lines))


def processes():
    """(pid, parent, state) of every process."""
    listed = subprocess.run(["ps", "-axo", "pid=,ppid=,stat="], capture_output=True, text=True, check=True).stdout
    return [(int(pid), int(parent), state) for pid, parent, state in map(str.split, listed.splitlines())]


def children(pid):
    return {child for child, parent, _ in processes() if parent == pid}


def left_of(pids, patience=10.0):
    """Those that still live when it is over."""
    deadline = time.monotonic() + patience
    while True:
        alive = {pid for pid, _, state in processes() if pid in pids and not state.startswith("Z")}
        if not alive or time.monotonic() > deadline:
            return alive
        time.sleep(0.1)


def send(process, number, group):
    (os.killpg if group else os.kill)(process.pid, number)


def arrays(folder):
    """The newest checkpoint of a run: its step, and every array by name."""
    saved = checkpoint.latest(folder / "checkpoints")
    assert saved is not None
    kinds = {name: shape.rstrip("]").split("[") for name, shape in saved.about["shapes"].items()}
    wanted = {
        name: jax.ShapeDtypeStruct(tuple(map(int, filter(None, shape.split(", ")))), dtype)
        for name, (dtype, shape) in kinds.items()
    }
    return saved.step, checkpoint._read_arrays(saved.folder / "run", wanted)


def trained(case, folder, steps, **more):
    """The same run in this process."""
    name, options = case.environment
    how = {"steps": steps, "chunk": case.chunk, "episodes": 2, "quiet": True}
    train("random", name, options=options, out=folder, **how, **more)


@pytest.mark.parametrize("case", table())
def test_a_signal_saves_and_the_run_goes_on_to_the_bit(case, tmp_path):
    with started(case.command(tmp_path / "run")) as process:
        said(process, "step ")
        while case.twice and not checkpoint.steps(tmp_path / "run" / "checkpoints"):
            time.sleep(0.05)
        company = children(process.pid)
        assert len(company) >= (case.workers or 0)
        asked = time.monotonic()
        send(process, case.number, case.group)
        said(process, f"{signal.Signals(case.number).name}: stopping")
        answered = time.monotonic() - asked
        if case.twice:
            time.sleep(0.35)
            send(process, case.number, case.group)
        rest = process.stdout.read()  # type: ignore
    assert process.returncode == 128 + case.number
    assert answered < 1 + patience_of_a_busy_machine()
    assert "Traceback" not in rest
    assert left_of(company) == set()
    assert ("with everything saved: go on with `covey train --resume" in rest) != case.twice

    stopped_at, _ = arrays(tmp_path / "run")
    end = stopped_at + case.chunk * (1 if case.workers is None else 2)
    trained(case, tmp_path / "run", end, resume=True)
    trained(case, tmp_path / "whole", end)
    (step, resumed), (_, whole) = arrays(tmp_path / "run"), arrays(tmp_path / "whole")
    assert step == end
    assert resumed.keys() == whole.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(value, resumed[name], err_msg=name)


def patience_of_a_busy_machine():
    """Seconds: an answer that takes 0 is late where several processes share a core."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)


# ---------------------------------------------------------------------------------------------------------------------
# Other moments


def stopped(command, beginning, number, pause=0.0):
    """(exit code, seconds, what it said then) of a command that gets a signal after it has said something."""
    with started(command) as process:
        said(process, beginning)
        time.sleep(pause)
        asked = time.monotonic()
        process.send_signal(number)
        rest = process.stdout.read()  # type: ignore
    return process.returncode, time.monotonic() - asked, rest


def command(line, folder):
    return [sys.executable, "-c", PROGRAM, *line.split(), f"--out={folder}"]


def test_while_the_compiler_works_the_run_is_left_at_once(tmp_path, monkeypatch):
    """The process ends too, though its compiler cannot be stopped; nothing is written but the settings."""
    monkeypatch.setitem(surroundings(), "JAX_ENABLE_COMPILATION_CACHE", "false")
    line = "train att-maddpg routing/small --steps 1e5 --env.delays False"
    code, seconds, rest = stopped(command(line, tmp_path / "run"), "memory", signal.SIGINT, pause=3.0)
    assert code == 130
    assert seconds < 2 + patience_of_a_busy_machine()
    assert "SIGINT: stopping" in rest
    assert "stopped before" in rest
    assert not (tmp_path / "run" / "checkpoints").exists()


COMPILED = "train random toy/discrete --env.time-limit 20000000 --episodes 1 --steps 100 --chunk 100"
OUTSIDE = "train random walking:make_env --env.endless True --env.workers 2 --steps 100 --chunk 50"


@pytest.mark.parametrize("line", [COMPILED, pytest.param(OUTSIDE, marks=pytest.mark.slow)])
def test_the_first_signal_is_heard_in_an_evaluation(line, tmp_path):
    line = command(line, tmp_path / "run")
    code, seconds, rest = stopped(line, "step 100/100", signal.SIGTERM, pause=2.0)
    assert code == 143
    assert seconds < 2 + patience_of_a_busy_machine()
    assert "stopped at step 100 with everything saved: go on with `covey train --resume" in rest
    assert not (tmp_path / "run" / "summary.json").exists()


def test_a_run_that_has_nobody_to_speak_to_saves_itself(tmp_path):
    """As when a signal to the group ends `tee` first."""
    line = "train random toy/discrete --steps 1e9 --chunk 10000"
    with started(command(line, tmp_path / "run")) as process:
        said(process, "step ")
        process.stdout.close()  # type: ignore
        assert process.wait(timeout=120) == 128 + signal.SIGPIPE
    assert checkpoint.latest(tmp_path / "run" / "checkpoints") is not None


@pytest.mark.slow
def test_what_is_ignored_stays_ignored(tmp_path):
    """`nohup` says that the terminal may go."""
    line = "train random toy/discrete --steps 1e9 --chunk 10000"
    with started(["nohup", *command(line, tmp_path / "run")]) as process:
        said(process, "step ")
        process.send_signal(signal.SIGHUP)
        said(process, "step ")
        said(process, "step ")
        process.send_signal(signal.SIGTERM)
        process.stdout.read()  # type: ignore
    assert process.returncode == 143


ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread of the worker watches the parent")


@pytest.mark.parametrize("deaf", [pytest.param(False, marks=pytest.mark.slow), pytest.param(True, marks=ON_LINUX)])
def test_no_worker_outlives_a_parent_that_is_killed(deaf, tmp_path):
    """Not even one whose environment holds the interpreter."""
    line = f"train random walking:make_env --env.workers 2 --env.deaf {deaf} --steps 1e6 --chunk 1"
    with started(command(line, tmp_path / "run")) as process:
        said(process, "deaf" if deaf else "step ")
        company = children(process.pid)
        process.kill()
    assert len(company) >= 2
    assert left_of(company) == set()


# ---------------------------------------------------------------------------------------------------------------------
# What is heard


class Heard:
    """A screen that keeps what was said."""

    def __init__(self):
        self.notes = []

    def note(self, sentence):
        self.notes.append(sentence)

    def report(self, line, progress):
        pass


@pytest.fixture
def heard():
    return Heard()


def test_a_signal_that_is_delivered_twice_is_one(heard):
    """A wrapper that hands Ctrl-C on to a process that got it already does not end it."""
    with requests(heard) as (request, _):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(Stopped) as stopped:
        request.obey()
    assert stopped.value.code == 130
    assert heard.notes == ["SIGINT: stopping (the same signal again ends it at once)."]


def test_other_signals_change_nothing_any_more(heard):
    """As when SIGHUP comes with SIGTERM, or SIGTERM after SIGUSR1."""
    with requests(heard) as (request, _):
        for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGHUP):
            signal.raise_signal(number)
    assert request.number == signal.SIGUSR1
    assert len(heard.notes) == 1


def test_the_second_signal_works_as_always_but_not_while_saving(heard, monkeypatch):
    monkeypatch.setattr("covey.runs.signals.TWICE_S", 0.0)  # no two are one
    with requests(heard) as (request, _):
        signal.raise_signal(signal.SIGINT)
        with request.saving():
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_second_ctrl_c_ends_a_job_in_the_background_too(heard, monkeypatch):
    """A shell begins such jobs with SIGINT ignored."""
    monkeypatch.setattr("covey.runs.signals.TWICE_S", 0.0)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with requests(heard):
            signal.raise_signal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_handlers_are_given_back_and_those_of_the_program_are_left_alone(heard):
    before = {number: signal.getsignal(number) for number in ASKING}
    own = []
    signal.signal(signal.SIGUSR2, lambda number, frame: own.append(number))
    try:
        with requests(heard) as (request, _):
            signal.raise_signal(signal.SIGUSR2)
        assert own == [signal.SIGUSR2]
        assert request.number is None
    finally:
        signal.signal(signal.SIGUSR2, before[signal.SIGUSR2])
    assert {number: signal.getsignal(number) for number in ASKING} == before


# ---------------------------------------------------------------------------------------------------------------------
# Calls that can be left


def test_a_call_that_can_be_left_returns_and_raises_as_ever():
    assert interruptible(lambda x, y: x + y)(1, 2) == 3
    with pytest.raises(ZeroDivisionError):
        interruptible(lambda: 1 / 0)()


def test_a_call_is_left_when_somebody_wants_to():
    asked = []

    def between():
        asked.append(1)
        if len(asked) > 2:
            raise Stopped(signal.SIGTERM)

    done = threading.Event()
    began = time.monotonic()
    with pytest.raises(Stopped):
        interruptible(done.wait, between)(30.0)
    assert time.monotonic() - began < 10
    done.set()


def test_context_managers_of_jax_hold_for_such_calls():
    """They are of one thread: the call then stays in it."""

    def precision():
        return jax.config.values["jax_default_matmul_precision"], threading.current_thread() is threading.main_thread()

    seen = []
    with jax.default_matmul_precision("highest"):
        interruptible(lambda: seen.append(precision()))()
    interruptible(lambda: seen.append(precision()))()
    assert seen == [("highest", True), (None, False)]
