"""`matwm/squeeze`: a game whose optimum is known, and learners that are given few rounds of it."""

from __future__ import annotations

from pathlib import Path

from covey import environments
from covey.runs import plots
from covey.studies.matwm.common import RATES, scale, trials
from covey.studies.saying import Say, say_plan, verdict
from covey.studies.statistics import difference, mean
from covey.studies.trials import Column, at, curve, run, table

AGENTS, ROUNDS, STEPS = 6, 4, 8000

RIVALS = ("ippo", "mfq")

RETURN = "return/agent/mean_agent"

NEAR = 5.0
"""The regret, in percent of the optimum, below which MATWM should end."""


def squeeze(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """Regret to the optimum on the way, beside two families without a model."""
    size = scale(quick, STEPS)
    environment = environments.make("squeeze", agents=AGENTS, rounds=ROUNDS)
    best = environment.reference().value
    half = size.steps // 2
    say(f"Predictions: in {size.steps:,} steps MATWM's regret falls below {NEAR:g} % of the optimum.")
    say(f"After {half:,} steps it is below that of {' and '.join(RIVALS)}.")
    learners = trials(environment, size, RIVALS)
    say_plan(say, learners, seeds, RATES)
    outcomes = run(learners, environment, seeds=seeds, episodes=size.episodes, evaluations=8, out=out, say=say)
    regrets = {label: 100 * (best - outcome.per_seed(RETURN)) / best for label, outcome in outcomes.items()}
    halfway = {label: 100 * (best - at(outcome, RETURN, half)) / best for label, outcome in outcomes.items()}
    title = f"squeeze, {AGENTS} agents, {ROUNDS} rounds, {size.steps:,} steps, {seeds} seeds"
    columns = [
        Column("algorithm", lambda o: o.label),
        Column(f"regret, % of the optimum, {half:,} steps", lambda o: halfway[o.label], 2),
        Column(f"{size.steps:,} steps", lambda o: regrets[o.label], 2),
    ]
    table(title, outcomes, columns, out)
    end = mean(regrets["matwm"])
    verdict(say, f"matwm's regret ends below {NEAR:g} %", end.below(NEAR), end.text(2))
    for rival in RIVALS:
        apart = difference(halfway["matwm"], halfway[rival])
        verdict(say, f"after {half:,} steps matwm's regret is below that of {rival}", apart.below(), apart.text(2))
    curves = {label: curve(outcome, RETURN) for label, outcome in outcomes.items()}
    figure = plots.curves(title, curves, {"optimum": float(best)}, y="return of an agent")
    say(f"picture: {plots.save(figure, out / 'squeeze.png')}")
