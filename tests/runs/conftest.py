"""What the tests of the host loop share."""

from __future__ import annotations

import functools
import signal

import pytest
from somebody import theirs, trained  # noqa: F401
from tiny import tiny

from covey import environments
from covey.core.interrupts import ASKING
from covey.runs.train import train

STEPS = 48


@pytest.fixture(autouse=True)
def usual_signals():
    """Signals do what they usually do, also where the tests run under `nohup` or in the background."""
    before = {number: signal.getsignal(number) for number in ASKING}
    for number in ASKING:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="package")
def world():
    return environments.make("toy/discrete", time_limit=4)


@pytest.fixture(scope="package")
def run_tiny(world):
    """`train` with the tests' settings: 48 steps of 2 seeds with 2 lanes, a chunk of 3 iterations."""
    settings = {"steps": STEPS, "seeds": 2, "envs": 2, "chunk": 3, "episodes": 3, "evaluate_every": 24, "quiet": True}
    return functools.partial(train, tiny(world.spec), world, **settings)


@pytest.fixture(scope="package")
def finished(run_tiny, tmp_path_factory):
    """A run that was never interrupted. Do not write to its folder."""
    return run_tiny(out=tmp_path_factory.mktemp("finished") / "run")
