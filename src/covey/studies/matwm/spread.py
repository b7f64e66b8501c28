"""`matwm/spread` and `matwm/ablations`: how much three agents learn in tens of thousands of steps, and from what."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from covey import environments
from covey.runs import plots
from covey.studies.matwm.common import RATES, matwm, scale, trials
from covey.studies.matwm.quality import error_table, of_runs
from covey.studies.saying import Say, say_plan, verdict
from covey.studies.statistics import difference, mean
from covey.studies.trials import Column, Outcome, Trial, at, curve, run, table

RIVALS = ("mappo", "maddpg", "mfq")

RULES = {"random": "random", "controller": "assigned-landmarks"}

STEPS, EARLY = 50_000, 20_000
"""Environment steps of each seed, and those of the first comparison."""

ENOUGH = -16.0
"""The return of an agent that MATWM should reach in `STEPS` steps."""

AHEAD = (1, 12)
"""Steps after which predictions are judged."""

RETURN = "return/agent/mean_agent"

SWITCHES: dict[str, dict[str, Any]] = {
    "matwm": {},
    "no teammate predictor": {"model.teammates": False},
    "uniform replay": {"replay.ages": "uniform"},
    "no action scaling": {"model.action-scaling": False},
}
"""The paper's table 5."""


def spread(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """MATWM beside three model-free learners with as many steps, and how much its world model knows."""
    size = scale(quick, STEPS)
    early = size.steps * EARLY // STEPS
    environment = environments.make("particle/spread")
    say(
        f"Predictions: in {size.steps:,} steps MATWM reaches {ENOUGH:g} or more for an agent. After {early:,} steps and"
    )
    say(f"after {size.steps:,} it is above what {', '.join(RIVALS)} have reached by then.")
    say("Its teammate predictor guesses more actions right than the most frequent one of each teammate would.")
    learners = trials(environment, size, RIVALS)
    say_plan(say, learners, seeds, RATES)
    ruled = [Trial(label, rule) for label, rule in RULES.items()]
    outcomes = run(
        [*ruled, *learners], environment, seeds=seeds, episodes=size.episodes, evaluations=10, out=out, say=say
    )
    names = [trial.label for trial in learners]
    title = f"particle/spread, {size.steps:,} steps, {seeds} seeds"
    columns = [
        Column("algorithm", lambda o: o.label),
        Column(f"return of an agent, {early:,} steps", lambda o: at(o, RETURN, early) if o.label in names else None, 2),
        Column(f"{size.steps:,} steps", lambda o: o.per_seed(RETURN), 2),
        Column("knows", lambda o: o.knows),
    ]
    table(title, outcomes, columns, out)
    judge({name: outcomes[name] for name in names}, early, size.steps, say)
    levels = {label: float(outcomes[label].per_seed(RETURN).mean()) for label in RULES}
    curves = {name: curve(outcomes[name], RETURN) for name in names}
    figure = plots.curves(title, curves, levels, y="return of an agent")
    say(f"picture: {plots.save(figure, out / 'spread.png')}")

    found, guessed = of_runs(outcomes["matwm"].folders, environment, AHEAD, size.episodes)
    error_table(f"{title}: mean squared errors in held-out play of the trained agents", found, mean, out)
    judge_model(found, guessed, say)


def judge(learners: Mapping[str, Outcome], early: int, steps: int, say: Say) -> None:
    """Verdicts on MATWM beside the others, in pairs of seeds."""
    own = learners["matwm"]
    reached = mean(own.per_seed(RETURN))
    verdict(say, f"matwm reaches {ENOUGH:g} in {steps:,} steps", reached.above(ENOUGH), reached.text(2))
    for name, other in learners.items():
        if name == "matwm":
            continue
        for step, ours, theirs in (
            (early, at(own, RETURN, early), at(other, RETURN, early)),
            (steps, own.per_seed(RETURN), other.per_seed(RETURN)),
        ):
            apart = difference(ours, theirs)
            verdict(say, f"matwm is above {name} after {step:,} steps", apart.above(), apart.text(2))


def judge_model(found: Mapping[tuple[str, int, str], np.ndarray], guessed: np.ndarray, say: Say) -> None:
    """Verdicts on the world model, and on the teammate predictor: shares [S, 2] that it and the most frequent action
    guess right."""
    for what in ("obs", "reward"):
        for k in AHEAD:
            for name in ("nothing changes", "mean"):
                apart = difference(found[what, k, "model"], found[what, k, name])
                prediction = f"{what}, {k} steps ahead: the model's error is below that of {name}"
                verdict(say, prediction, apart.below(), apart.text(4))
    apart = difference(guessed[:, 0], guessed[:, 1])
    evidence = f"{mean(guessed[:, 0]).text(3)} beside {mean(guessed[:, 1]).text(3)}"
    verdict(say, "teammates' actions are guessed better than by the most frequent ones", apart.above(), evidence)


def ablations(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """The paper's three ablations, with fewer steps."""
    size = scale(quick, EARLY)
    environment = environments.make("particle/spread")
    say("Predictions, from the paper's table 5: each of the three parts raises the return; uniform replay costs less")
    say("than the teammate predictor.")
    learners = [
        Trial(label, matwm(environment, size, **changes), size.steps, apart=True) for label, changes in SWITCHES.items()
    ]
    say_plan(say, learners, seeds, RATES["matwm"])
    outcomes = run(learners, environment, seeds=seeds, episodes=size.episodes, evaluations=10, out=out, say=say)
    whole = outcomes["matwm"].per_seed(RETURN)
    title = f"particle/spread, {size.steps:,} steps, {seeds} seeds"
    columns = [
        Column("algorithm", lambda o: o.label),
        Column("return of an agent", lambda o: o.per_seed(RETURN), 2),
        Column("less than with all parts", lambda o: difference(whole, o.per_seed(RETURN)), 2),
    ]
    table(title, outcomes, columns, out)
    for label in list(SWITCHES)[1:]:
        apart = difference(whole, outcomes[label].per_seed(RETURN))
        verdict(say, f"{label}: the return is lower", apart.above(), apart.text(2))
    costs = {label: whole - outcomes[label].per_seed(RETURN) for label in SWITCHES}
    apart = difference(costs["no teammate predictor"], costs["uniform replay"])
    verdict(say, "uniform replay costs less than no teammate predictor", apart.above(), apart.text(2))
    figure = plots.curves(title, {label: curve(o, RETURN) for label, o in outcomes.items()}, y="return of an agent")
    say(f"picture: {plots.save(figure, out / 'ablations.png')}")
