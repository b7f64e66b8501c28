"""`lamarl/elsewhere`: does a prior help other algorithms, in other environments?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from covey import algorithms, environments
from covey.core.algorithm import Algorithm
from covey.core.settings import with_settings
from covey.runs import plots
from covey.studies.att_maddpg.abilene import on_abilene
from covey.studies.saying import Say, verdict
from covey.studies.statistics import difference, within
from covey.studies.trials import Column, Outcome, Trial, curve, learning_curves, run, table

EARLY = 0.25
"""The share of training that counts as its beginning."""

LEAST = 0.02
"""The share of what is earned below which a difference does not matter."""


class Case(NamedTuple):
    """A learner, and who guides it: α falls to 0 over the first half of the steps."""

    environment: str
    learner: str
    prior: str
    alpha: float
    steps: int
    envs: int
    rate: float  # learning steps a second, all seeds together, on two cores, for the plan
    episodes: int  # of each seed in an evaluation
    quick: int  # steps of each seed in a quick study: enough for something to be learned from
    made: Callable[[Any, int], Algorithm] | None = None
    """The learner for so many steps, where it is not what its id makes."""


CASES = (
    Case("navigation", "maddpg", "greedy-pursuit", 1.0, 40_000, 8, 2500.0, 128, 1600),
    Case("navigation", "mappo", "greedy-pursuit", 1.0, 400_000, 16, 30_000.0, 128, 4096),
    Case(
        "routing/abilene",
        "att-maddpg",
        "wcmp-path",
        0.3,
        64_000,
        8,
        800.0,
        1,
        1280,
        lambda environment, steps: on_abilene("att-maddpg", environment, steps),
    ),
)


def elsewhere(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """MADDPG and PPO on `navigation` with the rule that pursues, ATT-MADDPG on Abilene with a rule of networks."""
    say(
        f"Predictions: in the first {EARLY:.0%} of training learners earn more with a prior than without, each of them."
    )
    say(f"In the end the prior makes a difference of less than {LEAST:.0%}, because its weight has fallen to 0.")
    cases = [case._replace(steps=case.quick, episodes=1) for case in CASES] if quick else CASES
    hours = sum(2 * seeds * case.steps / case.rate for case in cases) / 3600
    say(f"plan: {sum(2 * seeds * case.steps for case in cases):,} learning steps, about {hours:.2f} h on two cores")
    for case in cases:
        play(case, seeds, out, say)


def play(case: Case, seeds: int, out: Path, say: Say) -> None:
    """With and without, a table, a picture and two verdicts."""
    environment = environments.make(case.environment)
    make = case.made or (lambda environment, steps: algorithms.make(case.learner, environment))
    plain = make(environment, case.steps)
    falling = {"start": case.alpha, "end": 0.0, "steps": case.steps / 2}
    guided = with_settings(plain, {"prior": case.prior, "prior.alpha": falling}, case.learner)
    title = f"{case.learner} on {case.environment}"
    with_it = f"{case.learner} with {case.prior}"
    trials = [
        *(Trial(rule, rule) for rule in ("random", case.prior)),
        Trial(case.learner, plain, case.steps, case.envs),
        Trial(with_it, guided, case.steps, case.envs),
    ]
    folder = out / title.replace(" ", "-").replace("/", "-")
    outcomes = run(trials, environment, seeds=seeds, episodes=case.episodes, out=folder, say=say)
    learners = {label: outcomes[label] for label in (case.learner, with_it)}
    begun = {label: beginning(outcome) for label, outcome in learners.items()}
    columns = [
        Column("algorithm", lambda o: o.label),
        Column(f"reward per step, first {EARLY:.0%}", lambda o: begun.get(o.label)),
        Column("in the end", lambda o: o.per_step),
        Column("knows", lambda o: o.knows),
    ]
    table(f"{title}, {case.steps:,} steps, {seeds} seeds", outcomes, columns, out)
    first = difference(begun[with_it], begun[case.learner])
    verdict(say, f"{title}: more with {case.prior} in the first {EARLY:.0%}", first.above(), first.text(4))
    last = difference(outcomes[with_it].per_step, outcomes[case.learner].per_step)
    margin = LEAST * abs(outcomes[case.learner].per_step.mean())
    verdict(say, f"{title}: less than {margin:.4f} apart in the end", within(last, margin), last.text(4))
    figure = learning_curves(title, learners, outcomes, ("random", case.prior))
    say(f"picture: {plots.save(figure, folder.with_suffix('.png'))}")


def beginning(outcome: Outcome) -> np.ndarray:
    """Mean reward per step over the evaluations in the beginning of training, of the first one at least [S]."""
    steps, returns = curve(outcome, outcome.return_metric)
    rewards = returns / curve(outcome, "steps/episode")[1]
    return rewards[(steps > 0) & (steps <= max(EARLY * steps[-1], steps[1]))].mean(0)
