"""Timing: the real loop of training, warm and waited for; repeats in turns; medians with their ranges."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax

from covey.core.algorithm import Algorithm
from covey.core.cores import cores
from covey.core.loop import as_arguments, compiled, start
from covey.core.mesh import place
from covey.core.program import program


class Row(NamedTuple):
    """One figure: the median of the repeats, and the range of them."""

    bench: str
    case: str
    value: float
    unit: str
    low: float
    high: float


class Effort(NamedTuple):
    """How long to measure: `repeats` calls of about `seconds` each. `tiny`: small sizes, to see that it works."""

    repeats: int = 7
    seconds: float = 0.5
    tiny: bool = False


def accelerated() -> bool:
    """Is there more than processors here?"""
    return jax.default_backend() != "cpu"


class Loop:
    """The training loop of `algorithm` in `environment`, compiled; a call goes on for some iterations, and waits."""

    def __init__(self, environment: Any, algorithm: Algorithm, seeds: int = 1, lanes: int = 1):
        arrays, static = as_arguments(environment, algorithm)

        def begin(arrays, keys):
            environment, algorithm = eqx.combine(arrays, static)
            return start(environment, algorithm, keys, lanes)

        keys = jax.random.split(jax.random.key(0), seeds)
        self.begin = partial(program(begin), arrays, keys)
        self.abstract = jax.eval_shape(begin, arrays, keys)
        self.chunk = compiled(environment, algorithm)
        began = time.perf_counter()
        self.run = jax.block_until_ready(place(self.begin()))
        self(0)
        self.compile_s = time.perf_counter() - began
        """Seconds until the first iteration could begin: `start` and the chunk, traced and compiled."""

    def __call__(self, iterations: int) -> None:
        self.run, _ = jax.block_until_ready(self.chunk(self.run, iterations))


def enough(call: Callable[[int], Any], effort: Effort) -> int:
    """Iterations that take about `effort.seconds`; `call` is warm afterwards."""
    iterations = 1
    while True:
        (seconds,) = in_turns([partial(call, iterations)], 1)[0]
        if seconds >= effort.seconds / 2:
            return max(round(iterations * effort.seconds / seconds), 1)
        iterations *= 2 if seconds > effort.seconds / 20 else 10


def in_turns(
    calls: Sequence[Callable[[], Any]], repeats: int, first: Callable[[int], Any] = lambda number: None
) -> list[list[float]]:
    """Seconds of every call, one list per call; the calls take turns.

    `first(number)` is done before each of them, untimed. Use it where another call takes gigabytes: what comes behind
    would otherwise be charged for getting memory back from the system.
    """
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats):
        for number, (call, times) in enumerate(zip(calls, seconds, strict=True)):
            first(number)
            began = time.perf_counter()
            call()
            times.append(time.perf_counter() - began)
    return seconds


def rate(call: Callable[[int], Any], each: float, effort: Effort) -> list[float]:
    """How many a second in every repeat, when an iteration counts for `each`."""
    iterations = enough(call, effort)
    return [iterations * each / seconds for seconds in in_turns([partial(call, iterations)], effort.repeats)[0]]


def beside_pytorch(
    ours: Callable[[int], Any],
    theirs: Callable[[int], Any],
    threads: Callable[[int], contextlib.AbstractContextManager[None]],
    effort: Effort,
) -> tuple[int, list[float], list[float]]:
    """In turns: the threads that PyTorch was given, and the calls per second of ours and of theirs.

    PyTorch gets the number of threads that is fastest for it: two of them that wait for one another on a busy machine
    are 10 times slower than one, and a ratio to that would flatter us.
    """
    trials = {}
    for count in sorted({1, cores()}):
        with threads(count):
            trials[count] = statistics.median(rate(theirs, 1, effort))
    best = max(trials, key=trials.__getitem__)
    with threads(best):
        counts = enough(ours, effort), enough(theirs, effort)
        calls = [partial(call, count) for call, count in zip((ours, theirs), counts, strict=True)]
        seconds = in_turns(calls, effort.repeats)
    return best, [counts[0] / s for s in seconds[0]], [counts[1] / s for s in seconds[1]]


def row(bench: str, case: str, values: float | Sequence[float], unit: str) -> Row:
    values = values if isinstance(values, Sequence) else [values]
    return Row(bench, case, statistics.median(values), unit, min(values), max(values))
