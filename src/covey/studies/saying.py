"""What studies say: the plan before anything runs, and the verdicts after."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from covey.studies.trials import Trial

Say = Callable[[str], None]


def say_plan(say: Say, trials: Sequence[Trial], seeds: int, rate: float | Mapping[str, float]) -> None:
    """The plan in hours; `rate` is in learning steps a second, all seeds together, of all trials or by label."""
    steps = seeds * sum(trial.steps for trial in trials)
    seconds = seeds * sum(trial.steps / (rate[trial.label] if isinstance(rate, Mapping) else rate) for trial in trials)
    say(f"plan: {steps:,} learning steps, all seeds together, about {seconds / 3600:.2f} h on two cores")


def verdict(say: Say, prediction: str, holds: bool | None, evidence: str) -> None:
    """One line a prediction; None where the evidence does not decide."""
    word = {True: "CONFIRMED", False: "REFUTED", None: "OPEN"}[holds]
    say(f"{word}: {prediction} ({evidence})")
