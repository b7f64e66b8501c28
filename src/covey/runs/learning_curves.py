"""Learning curves of runs: one metric over environment steps, a line for each run, with its interval over seeds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from covey.core.errors import BadInput, unknown
from covey.runs import journal
from covey.runs.files import reading
from covey.runs.plots import curves

TRAIN, EVALUATION = "train", "evaluation"


class Reported(NamedTuple):
    """What a run has reported of one kind: steps [T], and by metric values [T, S], NaN where there were none."""

    steps: np.ndarray
    values: dict[str, np.ndarray]

    def curve(self, metric: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps and values of the reports in which some seed had a value."""
        values = self.values[metric]
        there = ~np.isnan(values).all(1)
        return self.steps[there], values[there]


def plot(*runs: str | Path, metric: str | None = None, kind: str | None = None, title: str = "") -> Figure:
    """A matplotlib figure: `metric` over environment steps, a line for each run folder, named after the folder.

    metric: a name of `metrics.jsonl`; None: `return/team_sum`. kind: "evaluation" (greedy episodes), "train" (while
    exploring) or None: evaluations where every run has two of them, else training. Bands are 95 % intervals over seeds.
    Returns have the environment's reference as a dotted line, where all runs were trained in the same one.

    BadInput where there is no such run or metric. `figure.savefig("curves.pdf")` writes it.
    """
    folders = _folders(runs)
    metric = metric or "return/team_sum"
    kind = kind or _kind(folders, metric)
    if kind not in (TRAIN, EVALUATION):
        raise unknown("the kind of report", kind, (TRAIN, EVALUATION))
    lines = {}
    for name, folder in folders.items():
        found = reported(folder, kind)
        if metric not in found.values:
            raise unknown(f"in the {kind} reports of {folder} the metric", metric, found.values)
        lines[name] = found.curve(metric)
        if not len(lines[name][0]):
            raise BadInput(f"the run {folder} has no value of {metric!r} yet: train longer, or choose another metric.")
    return curves(title or _title(folders, kind), lines, _reference(folders, metric), y=metric)


def reported(folder: Path, kind: str) -> Reported:
    """All reports of a kind. A metric that a report lacks is NaN there."""
    lines = [line for line in journal.read(folder) if line.kind == kind]
    sizes = {name: x.size for line in lines for name, x in line.values.items()}
    missing = {name: np.full(size, np.nan) for name, size in sizes.items()}
    values = {name: np.array([line.values.get(name, missing[name]) for line in lines]) for name in sizes}
    return Reported(np.array([line.step for line in lines], float), values)


def _folders(runs: Sequence[str | Path]) -> dict[str, Path]:
    """Run folders by the shortest ends of their paths that tell them apart."""
    if not runs:
        raise BadInput("which runs? Give their folders: `covey plot runs/first runs/second`.")
    parts = [Path(run).resolve().parts for run in runs]
    if len(set(parts)) < len(parts):
        raise BadInput("a run is given twice: give each folder once.")
    length = next(n for n in count(1) if len({part[-n:] for part in parts}) == len(parts))
    return {"/".join(part[-length:]): Path(run) for part, run in zip(parts, runs, strict=True)}


def _kind(folders: dict[str, Path], metric: str) -> str:
    """Evaluations, if every run has two with a value."""
    found = [reported(folder, EVALUATION) for folder in folders.values()]
    enough = all(metric in each.values and len(each.curve(metric)[0]) > 1 for each in found)
    return EVALUATION if enough else TRAIN


def _title(folders: dict[str, Path], kind: str) -> str:
    where = {summary.get("environment") for summary in map(_summary, folders.values())}
    name = where.pop() if len(where) == 1 else None
    return f"{name or 'runs'}: {'greedy episodes' if kind == EVALUATION else 'while exploring'}"


def _reference(folders: dict[str, Path], metric: str) -> dict[str, float]:
    """What the reference reached in the final evaluations, by its name and kind, if all runs have the same one."""
    found = {}
    for folder in folders.values():
        match _summary(folder):
            case {
                "environment": str(environment),
                "reference": {"algorithm": str(algorithm), "kind": str(kind), "evaluation": dict(reached)},
            } if isinstance(reached.get(metric), float):
                found[environment, f"{algorithm} ({kind})"] = reached[metric]
            case _:
                return {}
    return {name: value for (_, name), value in found.items()} if len(found) == 1 else {}


def _summary(folder: Path) -> dict[str, Any]:
    """`summary.json` of a run; empty where the run has not ended."""
    path = folder / "summary.json"
    with reading(f"the summary {path}"):
        if not path.exists():
            return {}
        try:
            found = json.loads(path.read_text())
        except ValueError as error:
            raise BadInput(f"{path} is not JSON ({error}): remove it to plot the run without its reference.") from error
    return found if isinstance(found, dict) else {}
