"""What a person sees."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from covey.runs import live
from covey.runs.journal import Line
from covey.runs.live import Progress

LINE = Line(1000, "train", 1.0, {
    "loss/critic": np.array([0.5, 0.7]),
    "return/a/mean_agent": np.array([1.0, 3.0, 2.0]),
    "regret/a/mean_agent": np.array([4.0, np.nan]),
    "absent": np.array([np.nan]),
})  # fmt: skip
PROGRESS = Progress(1000, 4000, 2500.0, 75.0, 3.21)


def shown(quiet=False, terminal=False):
    output = io.StringIO()
    with live.view(quiet, Console(file=output, force_terminal=terminal, width=100, height=40)) as screen:
        screen.note("a [bold] word")
        screen.report(LINE, PROGRESS)
        screen.report(LINE._replace(kind="evaluation"), PROGRESS)
    return output.getvalue()


def test_plain_is_one_line_per_report():
    note, train, evaluation = shown().splitlines()
    assert note == "a [bold] word"
    expected = (
        "step 1,000/4,000  regret/a/mean_agent 4  return/a/mean_agent 2 [-0.4841, 4.484]  2,500 steps/s  left 1:15"
    )
    assert train == expected
    assert "evaluation" in evaluation


def test_terminal_shows_a_table():
    text = shown(terminal=True)
    for words in ("train at step 1,000", "evaluation at step 1,000", "2 [-0.4841, 4.484]", "compiled in 3.2 s", "1:15"):
        assert words in text
    assert "absent" not in text


def test_quiet():
    assert shown(quiet=True) == ""


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3723, "1:02:03")])
def test_clock(seconds, text):
    assert live.clock(seconds) == text
