"""What a person sees while a run goes on: a live table on a terminal, one line per report elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from covey.runs.evaluate import interval
from covey.runs.journal import Line

FIRST = ("regret/", "return/", "world/", "steps/")
"""The metrics that are shown first, by the beginning of their names; the others follow in alphabetical order."""


class Progress(NamedTuple):
    """How far a run is. Compiling is not part of the speed."""

    step: int
    end: int
    steps_per_s: float  # over all seeds
    left_s: float
    compile_s: float


class View(Protocol):
    """Somewhere to show a run."""

    def note(self, sentence: str) -> None: ...

    def report(self, line: Line, progress: Progress) -> None: ...


class Quiet:
    """Shows nothing."""

    def note(self, sentence: str) -> None:
        pass

    def report(self, line: Line, progress: Progress) -> None:
        pass


class Plain:
    """One line per report, for files and pipes."""

    def __init__(self, console: Console):
        self._print = lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True)

    def note(self, sentence: str) -> None:
        self._print(sentence)

    def report(self, line: Line, progress: Progress) -> None:
        reported = [name for name in ordered(line) if not name.startswith("time/")]
        shown = [name for name in reported if name.startswith(("regret/", "return/"))] or reported
        numbers = "  ".join(f"{name} {spread(line.values[name])}" for name in shown[:4])
        kind = "" if line.kind == "train" else f"{line.kind}  "
        self._print(f"step {progress.step:,}/{progress.end:,}  {kind}{numbers}  {pace(progress)}".rstrip())


class Terminal:
    """A live table: training and evaluation side by side, mean over seeds and its 95 % confidence interval."""

    def __init__(self, live: Live):
        self._live = live
        self._lines: dict[str, Line] = {}

    def note(self, sentence: str) -> None:
        self._live.console.print(sentence, markup=False, highlight=False)

    def report(self, line: Line, progress: Progress) -> None:
        self._lines[line.kind] = line
        bar = ProgressBar(total=progress.end, completed=progress.step, width=30)
        compiling = f"   (compiled in {progress.compile_s:.1f} s)" if progress.compile_s else ""
        status = f"step {progress.step:,} of {progress.end:,}   {pace(progress)}{compiling}"
        footer = Table.grid(padding=(0, 1))
        footer.add_row(bar, Text(status))
        self._live.update(Group(self._table(), footer), refresh=True)

    def _table(self) -> Table:
        table = Table("metric (mean over seeds)", box=None, pad_edge=False)
        kinds = sorted(self._lines, reverse=True)  # train, then evaluation
        for kind in kinds:
            table.add_column(f"{kind} at step {self._lines[kind].step:,}", justify="right")
        names = dict.fromkeys(name for kind in reversed(kinds) for name in ordered(self._lines[kind]))
        room = max(self._live.console.size.height - 6, 5)
        for name in list(names)[:room]:
            table.add_row(name, *(spread(self._lines[kind].values.get(name)) for kind in kinds))
        return table


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
    """Speed and time left."""
    return f"{progress.steps_per_s:,.0f} steps/s  left {clock(progress.left_s)}" if progress.steps_per_s else ""


def clock(seconds: float) -> str:
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
        yield Plain(console)
