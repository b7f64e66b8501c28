"""`metrics.jsonl`: one line per report, and trackers that are fed the same lines.

    {"step": 2000, "kind": "train", "seconds": 1.3, "values": {"return/agent/mean_agent": [3.1, 2.9], ...}}

`values` holds one number per seed, null where nothing was reported. `kind` is "train" (means over a chunk, while
exploring) or "evaluation" (means over greedy episodes).
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from covey.core.errors import BadInput, require_extra, unknown
from covey.runs.files import reading, writing

NAME = "metrics.jsonl"


class Line(NamedTuple):
    """One report: `values` by metric name, one per seed, NaN where nothing was reported."""

    step: int
    kind: str
    seconds: float
    values: dict[str, np.ndarray]

    def text(self) -> str:
        values = {name: [_json_number(x) for x in np.atleast_1d(per_seed)] for name, per_seed in self.values.items()}
        return json.dumps({"step": self.step, "kind": self.kind, "seconds": round(self.seconds, 3), "values": values})

    def scalars(self) -> dict[str, float]:
        """Mean over the seeds that reported, by metric name with the kind in front where it is not training."""
        prefix = "" if self.kind == "train" else f"{self.kind}/"
        means = {name: x[~np.isnan(x)] for name, x in self.values.items()}
        return {prefix + name: float(x.mean()) for name, x in means.items() if x.size}


def _json_number(x: Any) -> float | None:
    number = float(x)
    return number if math.isfinite(number) else None


def _parse(text: str) -> Line | None:
    """A line, or None where it is not a whole one."""
    try:
        entry = json.loads(text)
        values = {
            name: np.array([math.nan if x is None else x for x in seeds], float)
            for name, seeds in entry["values"].items()
        }
        return Line(int(entry["step"]), str(entry["kind"]), float(entry["seconds"]), values)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def read(folder: str | Path) -> list[Line]:
    """The lines of a run folder's journal; a half-written last line is left out."""
    path = Path(folder) / NAME
    with reading(f"the journal {path}"):
        if not path.exists():
            raise BadInput(f"there is no journal {path}: is {folder} a run folder?")
        lines = [_parse(text) for text in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    for number, line in enumerate(lines[:-1], 1):
        if line is None:
            raise BadInput(f"line {number} of the journal {path} is not a report.")
    return [line for line in lines if line is not None]


def cut(folder: Path, step: int) -> None:
    """Drop the lines of a journal beyond `step`, and a half-written last one: the run goes on from `step`."""
    path = folder / NAME
    keep = 0
    with writing(f"the journal {path}"):
        if not path.exists():
            return
        for text in path.read_bytes().splitlines(keepends=True):
            line = _parse(text.decode(errors="replace")) if text.endswith(b"\n") else None
            if line is None or line.step > step:
                break
            keep += len(text)
        os.truncate(path, keep)


# ---------------------------------------------------------------------------------------------------------------------
# Trackers


class Tracker(Protocol):
    """Where reports go beside the journal."""

    def write(self, step: int, scalars: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


def _import(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise require_extra(module, extra, f"the tracker {extra!r}") from error


class TensorBoard:
    """Event files in the run folder's `tensorboard/`."""

    def __init__(self, folder: Path, name: str, settings: Mapping[str, Any]):
        self._writer = _import("tensorboardX", "tensorboard").SummaryWriter(str(folder / "tensorboard"))

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class WandB:
    """A run of Weights & Biases; its own environment variables say where and how."""

    def __init__(self, folder: Path, name: str, settings: Mapping[str, Any]):
        self._run = _import("wandb", "wandb").init(project="covey", name=name, dir=str(folder), config=dict(settings))

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        self._run.log(dict(scalars) | {"steps/env": step})

    def close(self) -> None:
        self._run.finish()


class MLflow:
    """A run of MLflow; its own environment variables say where."""

    def __init__(self, folder: Path, name: str, settings: Mapping[str, Any]):
        self._mlflow = _import("mlflow", "mlflow")
        self._mlflow.set_experiment("covey")
        self._mlflow.start_run(run_name=name)
        self._mlflow.log_params(dict(settings))

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        self._mlflow.log_metrics(dict(scalars), step=step)

    def close(self) -> None:
        self._mlflow.end_run()


TRACKERS: dict[str, type] = {"tensorboard": TensorBoard, "wandb": WandB, "mlflow": MLflow}
MODULES = {"tensorboard": "tensorboardX", "wandb": "wandb", "mlflow": "mlflow"}


def require(names: Iterable[str | Tracker]) -> None:
    """BadInput for a tracker that is unknown or not installed: asked before anything is written."""
    for name in names:
        if not isinstance(name, str):
            continue
        if name not in TRACKERS:
            raise unknown("the tracker", name, TRACKERS)
        if MODULES[name] not in sys.modules and importlib.util.find_spec(MODULES[name]) is None:
            raise require_extra(MODULES[name], name, f"the tracker {name!r}")


def track(names: Iterable[str | Tracker], folder: Path, run: str, settings: Mapping[str, Any]) -> list[Tracker]:
    """The trackers called `names` (objects are taken as they are)."""
    trackers: list[Tracker] = []
    for name in names:
        if isinstance(name, str):
            if name not in TRACKERS:
                raise unknown("the tracker", name, TRACKERS)
            trackers.append(TRACKERS[name](folder, run, settings))
        else:
            trackers.append(name)
    return trackers


# ---------------------------------------------------------------------------------------------------------------------
# Writing


class Journal:
    """Appends lines to a run folder's journal, each flushed at once, and hands them to the trackers."""

    def __init__(self, file: Any, trackers: list[Tracker]):
        self._file, self._trackers = file, trackers

    def write(self, line: Line) -> None:
        with writing(f"the journal {self._file.name}"):
            self._file.write(line.text() + "\n")
            self._file.flush()
        scalars = line.scalars()
        for tracker in self._trackers:
            tracker.write(line.step, scalars)


@contextlib.contextmanager
def opened(folder: Path, trackers: list[Tracker]) -> Iterator[Journal]:
    """The journal of `folder`, for writing at its end."""
    with contextlib.ExitStack() as stack:
        for tracker in trackers:
            stack.callback(tracker.close)
        with writing(f"the journal {folder / NAME}"):
            file = stack.enter_context((folder / NAME).open("a", encoding="utf-8"))
        yield Journal(file, trackers)
