"""`covey plot`: which runs, which metric, which reports, and what the figure says."""

from __future__ import annotations

import json

import numpy as np
import pytest

import covey
from covey.cli import main
from covey.core.errors import BadInput
from covey.runs import journal
from covey.runs.learning_curves import reported

RETURN = "return/a/mean_agent"


def write(folder, evaluations=((0, 1.0, 3.0), (10, 2.0, 4.0)), environment="toy/discrete", optimum=8.0):
    """A run folder with a journal of two seeds, and a summary with a reference."""
    folder.mkdir(parents=True)
    lines = [journal.Line(5, "train", 1.0, {RETURN: np.array([0.5, np.nan]), "loss": np.array([1.0, 1.0])})]
    lines += [journal.Line(step, "evaluation", 1.0, {RETURN: np.array(values)}) for step, *values in evaluations]
    speed = {"time/steps_per_s": np.array([100.0])}  # of all seeds together
    lines.append(journal.Line(15, "train", 2.0, {RETURN: np.array([np.nan, np.nan])} | speed))
    (folder / "metrics.jsonl").write_text("".join(f"{line.text()}\n" for line in lines))
    reference = {"algorithm": "optimal", "kind": "optimum", "evaluation": {RETURN: optimum}}
    (folder / "summary.json").write_text(json.dumps({"environment": environment, "reference": reference}))
    return folder


def named(figure):
    (axes,) = figure.axes
    return {text.get_text() for text in axes.texts}


def test_evaluations_of_two_runs_and_their_reference(tmp_path):
    first, second = write(tmp_path / "first"), write(tmp_path / "second", [(0, 5.0, 5.0), (10, 7.0, 7.0)])
    figure = covey.plot(first, second, metric=RETURN)
    (axes,) = figure.axes
    assert named(figure) == {"first", "second", "optimal (optimum)"}
    assert axes.get_title(loc="left") == "toy/discrete: greedy episodes"
    ours, theirs, level = axes.lines
    np.testing.assert_array_equal(ours.get_data(), [[0, 10], [2, 3]])
    np.testing.assert_array_equal(theirs.get_ydata(), [5, 7])
    assert np.asarray(level.get_ydata())[0] == 8.0


def test_training_where_a_run_has_one_evaluation(tmp_path):
    figure = covey.plot(write(tmp_path / "first", [(0, 1.0, 1.0)]), metric=RETURN)
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "toy/discrete: while exploring"
    np.testing.assert_array_equal(axes.lines[0].get_data(), [[5], [0.5]])  # the seed that had a number, where one had


def test_references_of_different_environments_are_not_drawn(tmp_path):
    figure = covey.plot(write(tmp_path / "a"), write(tmp_path / "b", environment="squeeze"), metric=RETURN)
    assert named(figure) == {"a", "b"}


def test_folders_of_one_name_are_told_apart(tmp_path):
    runs = write(tmp_path / "one/seed-0"), write(tmp_path / "two/seed-0")
    assert {"one/seed-0", "two/seed-0"} <= named(covey.plot(*runs, metric=RETURN))


def test_a_metric_that_came_later_is_missing_before(tmp_path):
    found = reported(write(tmp_path / "run"), "train")
    np.testing.assert_array_equal(found.values["loss"], [[1, 1], [np.nan, np.nan]])
    np.testing.assert_array_equal(found.values["time/steps_per_s"], [[np.nan], [100]])


REFUSED = {
    "no run": ((), {}, "which runs"),
    "twice": (("run", "run"), {}, "given twice"),
    "twice, by another path": (("run", "./run/../run"), {}, "given twice"),
    "unknown metric": (("run",), {"metric": "return/a/mean_agnt"}, "did you mean 'return/a/mean_agent'"),
    "nothing yet": (("run",), {"metric": "loss", "kind": "evaluation"}, "the metric 'loss' is unknown"),
    "no values": (("empty",), {"metric": RETURN, "kind": "train"}, "no value of"),
    "no such kind": (("run",), {"metric": RETURN, "kind": "test"}, "the kind of report 'test' is unknown"),
    "no journal": (("none",), {}, "is none a run folder"),
    "broken summary": (("broken",), {"metric": RETURN}, "is not JSON"),
}


@pytest.mark.parametrize(("runs", "how", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_drawn(runs, how, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "run")
    empty = write(tmp_path / "empty")
    lines = [journal.Line(5, "train", 1.0, {RETURN: np.array([np.nan, np.nan])})]
    (empty / "metrics.jsonl").write_text("".join(f"{line.text()}\n" for line in lines))
    (write(tmp_path / "broken") / "summary.json").write_text("{")
    with pytest.raises(BadInput, match=words):
        covey.plot(*runs, **how)


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_on_the_command_line(suffix, tmp_path, capsys):
    out = tmp_path / f"curves.{suffix}"
    assert main(["plot", str(write(tmp_path / "run")), "--metric", RETURN, "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert out.stat().st_size > 1000


def test_beside_the_run_where_nobody_says(tmp_path, capsys):
    folder = write(tmp_path / "run")
    assert main(["plot", str(folder), "--metric", RETURN]) == 0
    assert (folder / "plots" / "return-a-mean_agent.png").is_file()
    assert main(["plot", str(folder), "--metric", RETURN, "--out", "curves.jpg"]) == 2
    assert "use .png or .svg or .pdf" in capsys.readouterr().err
