"""What a person sees."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from covey.runs import live
from covey.runs.journal import Line
from covey.runs.live import Patience, Plain, Progress, Speed

LINE = Line(1000, "train", 1.0, {
    "loss/critic": np.array([0.5, 0.7]),
    "return/a/mean_agent": np.array([1.0, 3.0, 2.0]),
    "regret/a/mean_agent": np.array([4.0, np.nan]),
    "absent": np.array([np.nan]),
    "time/steps_per_s": np.array([120.0]),
})  # fmt: skip
PROGRESS = Progress(1000, 4000, 3, 40.0)


class Clock:
    """A clock that one sets."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


def shown(quiet=False, terminal=False, width=140):
    output = io.StringIO()
    with live.view(quiet, Console(file=output, force_terminal=terminal, width=width, height=40)) as screen:
        screen.note("a [bold] word")
        screen.wait("compiling")
        screen.report(LINE, PROGRESS)
        screen.report(LINE._replace(kind="evaluation"), PROGRESS)
    return output.getvalue()


def test_plain_is_a_line_for_a_report():
    note, wait, train, evaluation = shown().splitlines()
    assert (note, wait) == ("a [bold] word", "compiling")
    metrics = "regret/a/mean_agent 4  return/a/mean_agent 2 [-0.4841, 4.484]"
    assert train == f"step 1,000/4,000  {metrics}  40 steps/s x 3 seeds  left 1:15"
    assert "  evaluation  regret/a/mean_agent 4" in evaluation


def plain_lines(seconds: float, every: float) -> list[str]:
    """What a run prints that reports `every` so many seconds."""
    output, clock = io.StringIO(), Clock()
    screen = Plain(Console(file=output, width=80), clock)
    for number in range(int(seconds / every)):
        clock.seconds = number * every
        screen.report(LINE, Progress(number, 10_000, 1, None))
    screen.show()
    return output.getvalue().splitlines()


def test_plain_is_a_line_a_second_at_most():
    lines = plain_lines(12, 0.1)
    assert 11 <= len(lines) <= 13
    assert lines[0].startswith("step 0/")
    assert lines[-1].startswith("step 119/"), "the last report is always shown"
    assert len(plain_lines(12, 4)) == 3


def test_plain_is_a_few_hundred_lines_for_a_long_run():
    assert len(plain_lines(36_000, 1)) < 700


def test_plain_shows_the_newest_of_every_kind():
    output, clock = io.StringIO(), Clock()
    screen = Plain(Console(file=output, width=80), clock)
    screen.report(LINE, PROGRESS)
    screen.report(LINE._replace(kind="evaluation"), PROGRESS)
    screen.report(LINE, PROGRESS._replace(step=2000))
    clock.seconds = 1.5
    screen.report(LINE, PROGRESS._replace(step=3000))
    _, second = output.getvalue().splitlines()
    assert second.startswith("step 3,000/4,000")
    assert second.count("return/a/mean_agent") == 2


def test_plain_shows_a_report_before_the_note_that_follows_it():
    output, clock = io.StringIO(), Clock()
    screen = Plain(Console(file=output, width=80), clock)
    screen.report(LINE, PROGRESS)
    screen.report(LINE, PROGRESS._replace(step=4000))
    screen.note("done")
    screen.show()
    assert [line.split()[0:2] for line in output.getvalue().splitlines()] == [
        ["step", "1,000/4,000"],
        ["step", "4,000/4,000"],
        ["done"],
    ]


def test_a_terminal_has_one_live_line_and_evaluations_above_it():
    text = shown(terminal=True)
    assert "━" in text
    for words in ("step 1,000/4,000", "evaluation", "2 [-0.4841, 4.484]", "40 steps/s x 3 seeds", "left 1:15"):
        assert words in text
    assert "absent" not in text
    assert "steps_per_s" not in text


@pytest.mark.parametrize("width", [40, 80])
def test_the_live_line_is_one_line_on_a_narrow_terminal(width):
    output = io.StringIO()
    with live.view(False, Console(file=output, force_terminal=True, width=width, color_system=None)) as screen:
        screen.report(LINE, PROGRESS)
    assert "step 1,000/4,000" in output.getvalue()
    assert output.getvalue().replace("\r\x1b[2K", "").strip("\x1b[?25lh\n").count("\n") == 0


def test_quiet():
    assert shown(quiet=True) == ""


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3723, "1:02:03")])
def test_clock(seconds, text):
    assert live.clock(seconds) == text


# ------------------------------------------------------------------------------------------------- speed and patience
def test_the_first_chunk_says_nothing_about_the_speed():
    """One step in 30 s, as a first chunk may take, would be days for what takes a minute."""
    speed = Speed()
    assert live.pace(Progress(0, 100_000, 1, speed.steps_per_s)) == ""
    speed.add(1, 30.0)
    assert speed.steps_per_s is None
    assert live.pace(Progress(1, 100_000, 1, speed.steps_per_s)) == ""
    speed.add(1000, 0.6)
    assert live.pace(Progress(1001, 100_001, 1, speed.steps_per_s)) == "1,667 steps/s  left 0:59"


def test_count_and_speed_and_time_left_go_together():
    progress = Progress(400, 1000, 8, 20.0)
    assert progress.left_s == 30
    assert live.pace(progress) == "20 steps/s x 8 seeds  left 0:30"


def test_whoever_waits_hears_why():
    output, clock = io.StringIO(), Clock()
    patience = Patience(Plain(Console(file=output, width=80), clock), clock)
    patience.begin("compiling")
    for clock.seconds in np.arange(0, 25, 0.1):
        patience()
    assert output.getvalue().splitlines() == ["compiling: 0:10 so far.", "compiling: 0:20 so far."]


def test_a_slow_environment_is_named():
    output, clock = io.StringIO(), Clock()
    patience = Patience(Plain(Console(file=output, width=80), clock), clock)
    patience.begin("128 steps of each seed until the next report")
    for _ in range(8):
        clock.seconds += 1.6
        patience(1.5)
    (said,) = output.getvalue().splitlines()
    assert said == (
        "128 steps of each seed until the next report: 0:11 so far, 7 steps of all lanes; a step takes the environment "
        "1.5 s and the rest 0.1 s."
    )


def test_who_is_quick_says_nothing():
    output, clock = io.StringIO(), Clock()
    patience = Patience(Plain(Console(file=output), clock), clock)
    for _ in range(100):
        patience.begin("a chunk")
        clock.seconds += 1.0
        patience(0.01)
    assert output.getvalue() == ""
