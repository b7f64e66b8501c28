"""What the studies of credit share: small PPO teams, how soon they are good, and what their models report."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from covey.algorithms import ppo
from covey.algorithms.credit import Credit
from covey.learning.targets import constant
from covey.runs import journal
from covey.studies.statistics import Interval, mean
from covey.studies.trials import Outcome, curve


def team(environment: Any, credit: Credit | None = None, **settings: Any) -> ppo.PPO:
    """A small PPO team for games of a few steps: MAPPO, or with a kind of credit."""
    usual = {"width": 32, "horizon": 4, "actor_lr": constant(3e-3), "critic_lr": constant(3e-3)}
    usual |= {"entropy": constant(0.0), "team_reward": True}
    settings = usual | settings | ({} if credit is None else {"credit": credit})
    return dataclasses.replace(ppo.mappo(environment.spec), **settings)


def steps_to(outcome: Outcome, level: float) -> np.ndarray:
    """Environment steps per seed until evaluations first reach `level` [S]; infinite where they never do."""
    steps, returns = trained(outcome, outcome.return_metric)
    return first(steps, returns >= level)


def steps_to_stay(outcome: Outcome, level: float, metric: str) -> np.ndarray:
    """The same until `metric` reaches `level` for good: a team may pass a good policy on its way by chance."""
    steps, returns = trained(outcome, metric)
    return first(steps, for_good(returns >= level))


def trained(outcome: Outcome, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """The curve without step 0, at which nothing has been learned yet."""
    steps, values = curve(outcome, metric)
    return steps[steps > 0], values[steps > 0]


def for_good(there: np.ndarray) -> np.ndarray:
    """Is it so from here on, along the first axis?"""
    return np.logical_and.accumulate(there[::-1])[::-1]


def first(steps: np.ndarray, there: np.ndarray) -> np.ndarray:
    """The step [P] at which each seed [P, S] is first there; infinite where it never is."""
    return np.where(there.any(0), steps[there.argmax(0)], np.inf)


def ratio(slow: np.ndarray, fast: np.ndarray, budget: float) -> Interval:
    """How many times sooner `fast` is, from the means of logarithms over seeds; who never got there counts with the
    whole budget, so that the ratio of two is between what was seen and 1."""
    apart = mean(np.log(np.minimum(slow, budget)) - np.log(np.minimum(fast, budget)))
    return Interval(*(float(np.exp(x)) for x in apart))


def reached_text(steps: np.ndarray) -> str:
    """The median over seeds that got there, and how many did."""
    there = np.isfinite(steps)
    if not there.any():
        return "none"
    return f"{np.median(steps[there]):,.0f} ({there.sum()} of {len(steps)})"


def reported(outcome: Outcome, what: str) -> np.ndarray:
    """What a model of credit reported of the first group, per seed: the median over the last fifth of the run."""
    lines = [line.values for line in journal.read(outcome.run) if line.kind == "train"]
    name = next(name for name in lines[-1] if name.startswith("credit/") and name.endswith(f"/{what}"))
    return np.nanmedian(np.stack([values[name] for values in lines[-max(len(lines) // 5, 1) :]]), axis=0)
