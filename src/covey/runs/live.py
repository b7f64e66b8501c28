"""What a person sees while a run goes on: one live line on a terminal, a line a second at most elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from covey.runs.evaluate import interval
from covey.runs.journal import Line

FIRST = ("regret/", "return/", "world/", "steps/")
"""The metrics that are shown first, by the beginning of their names; the others follow in alphabetical order."""

SHOWN = 3
"""Metrics of a report in a line."""

SECONDS_APART = 1.0
"""Least time between two lines in a file or a pipe; of a run that takes long, a hundredth of the time that it took."""

SILENCE_S = 10.0
"""How long nothing is said, at most, while something takes its time."""


class Progress(NamedTuple):
    """Progress of a run. Steps are environment steps of each seed, in the count as in the speed."""

    step: int
    end: int
    seeds: int
    steps_per_s: float | None  # None: not known yet

    @property
    def left_s(self) -> float | None:
        """Seconds until the end, at this speed."""
        return (self.end - self.step) / self.steps_per_s if self.steps_per_s else None


class Speed:
    """Environment steps per second of each seed. The first chunk is left out: it takes longer than the others."""

    def __init__(self) -> None:
        self._chunks, self._steps, self._seconds = 0, 0, 0.0

    def add(self, steps: int, seconds: float) -> None:
        """A chunk of so many steps of each seed."""
        self._chunks += 1
        if self._chunks > 1:
            self._steps += steps
            self._seconds += seconds

    @property
    def steps_per_s(self) -> float | None:
        """None until a second chunk has been played."""
        return self._steps / self._seconds if self._seconds else None


class View(Protocol):
    """Somewhere to show a run."""

    def note(self, sentence: str) -> None:
        """Something to know about the run; stays."""

    def wait(self, sentence: str) -> None:
        """What takes its time just now."""

    def report(self, line: Line, progress: Progress) -> None: ...


class Quiet:
    """Shows nothing."""

    def note(self, sentence: str) -> None:
        pass

    def wait(self, sentence: str) -> None:
        pass

    def report(self, line: Line, progress: Progress) -> None:
        pass


class Plain:
    """Lines for files and pipes: notes, and the newest reports as often as one can read them."""

    def __init__(self, console: Console, now: Callable[[], float] = time.monotonic):
        self._console, self._now = console, now
        self._began, self._shown = now(), -np.inf
        self._lines: dict[str, Line] = {}  # what was reported and not shown yet
        self._progress: Progress | None = None

    def note(self, sentence: str) -> None:
        self.show()
        self._print(sentence)

    def wait(self, sentence: str) -> None:
        self.note(sentence)

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def report(self, line: Line, progress: Progress) -> None:
        self._lines[line.kind], self._progress = line, progress
        now = self._now()
        if now - self._shown >= max(SECONDS_APART, (now - self._began) / 100):
            self.show()
            self._shown = now

    def show(self) -> None:
        """Show what has not been shown yet."""
        if self._progress is not None and self._lines:
            self._print(summary(self._progress, self._lines))
        self._lines = {}


class Terminal:
    """A live line below the notes. Evaluations stay above it."""

    def __init__(self, live: Live):
        self._live = live

    def note(self, sentence: str) -> None:
        self._live.console.print(sentence, markup=False, highlight=False)

    def wait(self, sentence: str) -> None:
        self._live.update(Text(sentence, no_wrap=True, overflow="ellipsis"), refresh=True)

    def report(self, line: Line, progress: Progress) -> None:
        if line.kind != "train":
            self.note(summary(progress._replace(steps_per_s=None), {line.kind: line}))
            return
        shown = Table.grid(padding=(0, 1))
        shown.add_column(no_wrap=True)
        shown.add_column(no_wrap=True, overflow="ellipsis")
        bar = ProgressBar(total=progress.end, completed=progress.step, width=20)
        shown.add_row(bar, Text(summary(progress, {line.kind: line}, pace_first=True)))
        self._live.update(shown, refresh=True)


class Patience:
    """Says on a screen what takes its time, and how much, whenever nothing else was said for a while."""

    def __init__(self, screen: View, now: Callable[[], float] = time.monotonic):
        self._screen, self._now = screen, now
        self.begin("")

    def begin(self, what: str) -> None:
        """From now on `what` is done."""
        self._what, self._steps, self._inside_s = what, 0, 0.0
        self._began = self._said = self._now()

    def __call__(self, step_s: float | None = None) -> None:
        """Called again and again meanwhile; after a step of an environment outside JAX, with how long it took."""
        now = self._now()
        if step_s is not None:
            self._steps += 1
            self._inside_s += step_s
        if now - self._said >= SILENCE_S:
            self._said = now
            self._screen.wait(self._sentence(now - self._began))

    def _sentence(self, seconds: float) -> str:
        if not self._steps:
            return f"{self._what}: {clock(seconds)} so far."
        inside, outside = self._inside_s / self._steps, (seconds - self._inside_s) / self._steps
        return (
            f"{self._what}: {clock(seconds)} so far, {self._steps:,} steps of all lanes; a step takes the environment "
            f"{inside:.2g} s and the rest {outside:.2g} s."
        )


def summary(progress: Progress, lines: dict[str, Line], pace_first: bool = False) -> str:
    """Where a run is, its most important metrics (mean over seeds, 95 % interval), its speed and the time left."""
    words = [f"step {progress.step:,}/{progress.end:,}"]
    words += [pace(progress)] * pace_first
    for kind, line in lines.items():
        reported = [name for name in ordered(line) if not name.startswith("time/")]
        names = [name for name in reported if name.startswith(("regret/", "return/"))] or reported
        words += [kind] * (kind != "train")
        words += [f"{name} {spread(line.values[name])}" for name in names[:SHOWN]]
    words += [pace(progress)] * (not pace_first)
    return "  ".join(filter(None, words))


def ordered(line: Line) -> list[str]:
    """Names of what was reported, the important ones first."""
    reported = [name for name, x in line.values.items() if not np.isnan(x).all()]

    def rank(name: str) -> tuple[int, str]:
        return next((i for i, start in enumerate(FIRST) if name.startswith(start)), len(FIRST)), name

    return sorted(reported, key=rank)


def spread(values: np.ndarray | None) -> str:
    """Mean and 95 % confidence interval of one number per seed."""
    if values is None:
        return ""
    mean, low, high = interval(values)
    if np.isnan(mean):
        return "-"
    return f"{mean:.4g}" if np.isnan(low) else f"{mean:.4g} [{low:.4g}, {high:.4g}]"


def pace(progress: Progress) -> str:
    """Speed and time left; nothing where they are not known."""
    if not progress.steps_per_s or progress.left_s is None:
        return ""
    each = f" x {progress.seeds} seeds" if progress.seeds > 1 else ""
    return f"{progress.steps_per_s:,.0f} steps/s{each}  left {clock(progress.left_s)}"


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


@contextlib.contextmanager
def view(quiet: bool, console: Console | None = None) -> Iterator[View]:
    """The view that suits where the output goes."""
    console = console or Console()
    if quiet:
        yield Quiet()
    elif console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            yield Terminal(live)
    else:
        plain = Plain(console)
        try:
            yield plain
        finally:
            plain.show()
