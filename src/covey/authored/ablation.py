"""Do the reasoning and the offered functions help? The paper's ablation of the prompt, with any provider.

    rows = ablate(environment, task, Client(endpoint), answers=50, out=Path("authored/ablation"))

Four conditions, chain of thought and functions to copy each on or off, and so many answers to each, in turn. An answer
counts as a success if it passes all gates at once, without a repair. Shares have Wilson's intervals, and differences
of shares those of Newcombe. The exchange is recorded, and a `Replayed` one gives the same table without a model.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from covey.authored import folder, prompts
from covey.authored.contract import contract_of
from covey.authored.dialogue import silent
from covey.authored.exchange import Fault, Provider
from covey.authored.judging import Judge, Judgment
from covey.authored.limits import Limits
from covey.authored.prompts import Style
from covey.authored.recording import Recorder
from covey.core.errors import BadInput

CONDITIONS = {
    "task alone": Style(chain_of_thought=False, apis=False),
    "functions": Style(chain_of_thought=False, apis=True),
    "reasoning": Style(chain_of_thought=True, apis=False),
    "both": Style(chain_of_thought=True, apis=True),
}
"""By name; each asks for everything in one call, as the paper does."""

Z = 1.959964
"""Of a two-sided interval of 95 %."""


class Share(NamedTuple):
    """A share of successes, and its 95 % interval."""

    value: float
    low: float
    high: float

    def text(self) -> str:
        return f"{self.value:.1%} [{self.low:.1%}, {self.high:.1%}]"


class Contrast(NamedTuple):
    """How much larger the share under one condition is than under another, and its 95 % interval."""

    condition: str
    other: str
    value: float
    low: float
    high: float

    def text(self) -> str:
        return f"{100 * self.value:+.1f} points [{100 * self.low:+.1f}, {100 * self.high:+.1f}]"


class Row(NamedTuple):
    """Of one condition. failures: how many answers ended at which gate, or in which fault."""

    condition: str
    answers: int
    passed: int
    failures: dict[str, int]

    @property
    def share(self) -> Share:
        return wilson(self.passed, self.answers)


def wilson(successes: int, count: int) -> Share:
    """Wilson's interval: (p + z²/2n ± z √(p (1 - p)/n + z²/4n²)) / (1 + z²/n). Never empty, never beyond [0, 1]."""
    if not 0 <= successes <= count or count < 1:
        raise BadInput(f"there cannot be {successes} successes among {count} answers.")
    share, square = successes / count, Z**2 / count
    middle = share + square / 2
    half = math.sqrt(share * (1 - share) * square + square**2 / 4)
    ends = ((middle + sign * half) / (1 + square) for sign in (-1, 1))
    low, high = (min(max(end, 0.0), 1.0) for end in ends)
    return Share(share, min(low, share), max(high, share))


def newcombe(one: Share, other: Share) -> tuple[float, float]:
    """The interval of the difference of two independent shares, out of Wilson's intervals of both: d - √((p₁ - l₁)² +
    (u₂ - p₂)²) and d + √((u₁ - p₁)² + (p₂ - l₂)²). Newcombe 1998, method 10."""
    apart = one.value - other.value
    below = math.hypot(one.value - one.low, other.high - other.value)
    above = math.hypot(one.high - one.value, other.value - other.low)
    return apart - below, apart + above


def contrasts(rows: list[Row]) -> list[Contrast]:
    """Every condition against the first one, the task alone."""
    first, *others = rows
    ends = {row.condition: newcombe(row.share, first.share) for row in others}
    return [
        Contrast(row.condition, first.condition, row.share.value - first.share.value, *ends[row.condition])
        for row in others
    ]


def ablate(
    environment: Any,
    task: str,
    provider: Provider,
    *,
    answers: int = 10,
    group: str | None = None,
    limits: Limits | None = None,
    seed: int = 0,
    out: Path | None = None,
    judge: Callable[[str], Judgment] | None = None,
    tell: Callable[[str], None] = silent,
) -> list[Row]:
    """A row for each condition. A fault that ends everything (a key, a budget) is raised; what was asked is on disk.

    The arguments are those of `covey.authored.author:author`; `answers` are those of each condition.
    """
    if answers < 1:
        raise BadInput(f"an ablation needs at least 1 answer for each condition, got {answers}.")
    contract = contract_of(environment, group)
    prompts.check_task(task)
    if out is not None:
        folder.begin(out)
    recorder = Recorder(provider, None if out is None else out / folder.EXCHANGE, prompts.VERSION)
    judge = judge or Judge(environment, contract, limits, seed=seed)
    ends: dict[str, Counter[str]] = {name: Counter() for name in CONDITIONS}
    for number in range(1, answers + 1):
        for name, style in CONDITIONS.items():
            end = _end(recorder, prompts.ask_everything(contract, task, style), judge)
            ends[name][end] += 1
            tell(f"{number} of {answers}, {name}: {end or 'passed'}")
    rows = [Row(name, answers, counts.pop("", 0), dict(sorted(counts.items()))) for name, counts in ends.items()]
    if out is not None:
        about = {"environment": contract.environment, "task": task, "provider": recorder.about}
        folder.save_report(out, about | {"prompt_version": prompts.VERSION} | document(rows))
    return rows


def document(rows: list[Row]) -> dict[str, Any]:
    """The table as JSON."""
    shares = [row._asdict() | {"share": row.share._asdict()} for row in rows]
    return {"rows": shares, "contrasts": [contrast._asdict() for contrast in contrasts(rows)]}


def _end(recorder: Recorder, question: Any, judge: Callable[[str], Judgment]) -> str:
    """Where an answer ended: a gate or a fault; "" if it passed."""
    try:
        refused = judge(recorder.answer("single", question).text).refused
    except Fault as fault:
        if fault.final:
            raise
        return fault.name
    return "" if refused is None else refused.gate


def lines(rows: list[Row]) -> list[str]:
    """The table as text."""
    cells = [("prompt", "answers", "passed [95 %]", "ended at")]
    for row in rows:
        ended = ", ".join(f"{name}: {count}" for name, count in row.failures.items())
        cells.append((row.condition, str(row.answers), row.share.text(), ended))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    apart = [f"{x.condition} against {x.other}: {x.text()}" for x in contrasts(rows)]
    return [*_aligned(cells, widths), *apart]


def _aligned(cells: list[tuple[str, ...]], widths: list[int]) -> list[str]:
    return ["  ".join(f"{x:<{w}}" for x, w in zip(line, widths, strict=True)).rstrip() for line in cells]
