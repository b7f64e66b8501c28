"""The journal: lines that survive, and trackers that are fed."""

from __future__ import annotations

import json
import sys
import types

import numpy as np
import pytest

from covey.core.errors import BadInput
from covey.runs import journal
from covey.runs.journal import Line


class Ledger:
    """A tracker that remembers."""

    def __init__(self):
        self.entries, self.closed = [], False

    def write(self, step, scalars):
        self.entries.append((step, dict(scalars)))

    def close(self):
        self.closed = True


def line(step, kind="train", **values):
    return Line(step, kind, 0.5, {name: np.asarray(x, float) for name, x in values.items()})


def test_round_trip(tmp_path):
    ledger = Ledger()
    with journal.opened(tmp_path, [ledger]) as log:
        log.write(line(2, x=[1.0, np.nan], y=[np.nan, np.nan]))
        log.write(line(4, "evaluation", x=[1.0, 3.0]))
        assert len((tmp_path / journal.NAME).read_text().splitlines()) == 2  # flushed at once
    first, second = journal.read(tmp_path)
    np.testing.assert_equal(first.values, {"x": np.array([1.0, np.nan]), "y": np.array([np.nan, np.nan])})
    assert (second.step, second.kind, second.values["x"].tolist()) == (4, "evaluation", [1.0, 3.0])
    assert ledger.entries == [(2, {"x": 1.0}), (4, {"evaluation/x": 2.0})]
    assert ledger.closed


def test_lines_are_valid_json(tmp_path):
    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    json.loads(line(1, x=[np.nan, np.inf]).text(), parse_constant=refuse)


def test_half_written_last_line(tmp_path):
    (tmp_path / journal.NAME).write_text(line(1).text() + "\n" + line(2).text()[:20])
    assert [entry.step for entry in journal.read(tmp_path)] == [1]
    (tmp_path / journal.NAME).write_text("{\n" + line(2).text())
    with pytest.raises(BadInput, match="line 1 of the journal"):
        journal.read(tmp_path)
    with pytest.raises(BadInput, match="there is no journal"):
        journal.read(tmp_path / "elsewhere")


@pytest.mark.parametrize(("step", "left"), [(0, []), (2, [1, 2, 2]), (3, [1, 2, 2, 3]), (9, [1, 2, 2, 3])])
def test_cut(tmp_path, step, left):
    lines = [line(1), line(2), line(2, "evaluation"), line(3)]
    (tmp_path / journal.NAME).write_text("\n".join(x.text() for x in lines) + "\n" + line(4).text()[:-2])
    journal.cut(tmp_path, step)
    assert [entry.step for entry in journal.read(tmp_path)] == left
    journal.cut(tmp_path / "nowhere", 3)


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_tracker_that_is_not_installed(tmp_path, monkeypatch, name):
    module = {"tensorboard": "tensorboardX"}.get(name, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BadInput, match=rf"pip install 'covey\[{name}\]'"):
        journal.track([name], tmp_path, "run", {})


def test_trackers_speak_to_their_packages(tmp_path, monkeypatch):
    """The calls that each package gets, against stand-ins."""
    calls = []

    def recorder(*names):
        module = types.SimpleNamespace()
        for name in names:
            setattr(module, name, lambda *args, name=name, **kw: calls.append((name, args, kw)) or module)
        return module

    for name, functions in {
        "tensorboardX": ("SummaryWriter", "add_scalar", "close"),
        "wandb": ("init", "log", "finish"),
        "mlflow": ("set_experiment", "start_run", "log_params", "log_metrics", "end_run"),
    }.items():
        monkeypatch.setitem(sys.modules, name, recorder(*functions))
    for tracker in journal.track(["tensorboard", "wandb", "mlflow"], tmp_path, "my-run", {"seeds": 2}):
        tracker.write(3, {"x": 1.0})
        tracker.close()
    assert ("add_scalar", ("x", 1.0, 3), {}) in calls
    assert ("log", ({"x": 1.0, "steps/env": 3},), {}) in calls
    assert ("log_metrics", ({"x": 1.0},), {"step": 3}) in calls
    assert [name for name, *_ in calls if name in ("close", "finish", "end_run")] == ["close", "finish", "end_run"]
