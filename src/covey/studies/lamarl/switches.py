"""`lamarl/switches`: which of the ways in which a prior takes part helps, and which critic."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from covey import environments
from covey.runs import plots
from covey.studies.lamarl.common import UNEVENNESS, learner
from covey.studies.saying import Say, say_plan, verdict
from covey.studies.statistics import Interval, difference, within
from covey.studies.trials import Column, Outcome, Trial, curve, run, table

FOUND = "as found"

SMALL: dict[str, Any] = {"width": 64, "critic.width": 64, "replay.batch": 10}
"""Narrower networks and 120 robots' steps in a batch, so that fifteen learners take an hour."""

SWARM: dict[str, Any] = {"robots": 12, "collision_radius": 0.15}
"""Fewer robots of a larger radius: they need 1.08 of the smallest region's area, 30 of radius 0.1 need 1.2."""

WHOLE: dict[str, Any] = {"replay.sampler": "transitions"}
"""Steps are drawn for the team, not for each robot apart."""

ARMS: dict[str, dict[str, Any]] = {
    FOUND: {},
    **{f"alpha {alpha:g}": {"prior.alpha": alpha} for alpha in (0.0, 0.01, 0.03, 0.1, 0.3)},
    **{
        f"beta {beta:g}, {played:g} in evaluation": {"prior.blend": beta, "prior.blend-evaluation": played}
        for beta, played in ((0.3, 0.0), (0.3, 0.3), (0.6, 0.0), (0.6, 0.6))
    },
    **{f"prior plays {share:g} of the episodes": {"prior.episodes": share} for share in (0.1, 0.3)},
    "whole steps": WHOLE,
    "critic of neighbors": WHOLE | {"critic": "neighbors"},
    "critic of everybody": WHOLE | {"critic": "shared-trunk"},
}
"""Each differs from what was found in one part. Without a name the critic sees the robot itself. Critics of several
robots learn from whole steps of the team; "whole steps" does so with the critic of one."""

ENVS = 16

LEAST = 0.25
"""The share of M2 below which a difference does not matter."""

RATE = 5000.0
"""Learning steps a second, all seeds together, on two cores, for the plan."""


def switches(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """The weight of the distance to the prior, its share of the actions and of the episodes, and three critics."""
    say("Predictions: without a distance to the prior (alpha 0) M2 ends above that of the settings that were found.")
    say("A share of the prior in evaluation raises M2, because the prior spreads badly. Episodes of the prior, and")
    say(f"critics of neighbors or of everybody, change M2 by less than {LEAST:.0%}.")
    environment = environments.make("assembly", **SWARM)
    steps = 640 if quick else 160_000
    few = (FOUND, "alpha 0", "critic of neighbors")
    arms = {label: changes for label, changes in ARMS.items() if label in few or not quick}
    learners = [Trial(label, learner(environment, **SMALL, **changes), steps, ENVS) for label, changes in arms.items()]
    say_plan(say, learners, seeds, RATE)
    trials = [*(Trial(rule, rule) for rule in ("prior", "mean-shift")), *learners]
    episodes = 2 if quick else 14
    outcomes = run(trials, environment, seeds=seeds, episodes=episodes, evaluations=8, out=out, say=say)
    ends = {label: np.log(outcome.per_seed(UNEVENNESS)) for label, outcome in outcomes.items()}
    means = {label: np.log(_on_the_way(outcomes[label])) for label in arms}
    factors = {label: times(ends[label], ends[FOUND]) for label in outcomes}
    sooner = {label: times(means[label], means[FOUND]) for label in arms}
    columns = [
        Column("learner", lambda o: o.label),
        Column("M2 in the end", lambda o: o.per_seed(UNEVENNESS), 1),
        Column("times that of what was found", lambda o: _ends(factors, o)),
        Column("times it over training", lambda o: _ends(sooner, o)),
        Column("M1 / bound", lambda o: o.per_seed("world/final_coverage_share")),
        Column("collided", lambda o: o.per_seed("world/final_collided")),
        Column("reward per step", lambda o: o.per_step),
    ]
    title = f"assembly, {SWARM['robots']} robots of radius {SWARM['collision_radius']}, {steps:,} steps, {seeds} seeds"
    table(f"{title} (M2: factors with 95 % intervals, over seeds in pairs)", outcomes, columns, out)
    judge(factors, sooner, say)
    curves = {label: curve(outcomes[label], UNEVENNESS) for label in arms}
    figure = plots.curves(title, {k: (x, np.sqrt(y)) for k, (x, y) in curves.items()}, y="root of M2, cells")
    say(f"picture: {plots.save(figure, out / 'switches.png')}")


def _on_the_way(outcome: Outcome) -> np.ndarray:
    """The geometric mean of M2 over all evaluations of training but the first, before it [S]."""
    _, values = curve(outcome, UNEVENNESS)
    return np.exp(np.log(values[1:]).mean(0))


def times(ours: np.ndarray, theirs: np.ndarray) -> Interval:
    """How many times as large, from logarithms of pairs [S]."""
    apart = difference(ours, theirs)
    return Interval(*(float(np.exp(x)) for x in apart))


def _ends(factors: Mapping[str, Interval], outcome: Outcome) -> str:
    found = factors.get(outcome.label)
    return "" if found is None or outcome.label == FOUND else found.ends()


def judge(factors: Mapping[str, Interval], sooner: Mapping[str, Interval], say: Say) -> None:
    """A line for every learner: is M2 smaller or larger than with the settings that were found?"""
    for label in sooner:
        if label == FOUND:
            continue
        end, way = factors[label], sooner[label]
        if label == "alpha 0":
            verdict(say, "without a distance to the prior M2 ends higher", end.above(1.0), f"{end.ends()} times")
        elif label.startswith("beta") and not label.endswith("0 in evaluation"):
            verdict(say, f"{label}: M2 ends higher", end.above(1.0), f"{end.ends()} times")
        elif label.startswith(("prior plays", "critic", "whole")):
            apart = Interval(*(float(np.log(x)) for x in end))
            same = within(apart, float(np.log(1.0 + LEAST)))
            verdict(say, f"{label}: M2 changes by less than {LEAST:.0%}", same, f"{end.ends()} times")
        both = f"{_word(end)} in the end ({end.ends()} times M2), {_word(way)} over training ({way.ends()} times)"
        say(f"{label}: {both}")


def _word(factor: Interval) -> str:
    return {True: "hurts", False: "helps", None: "no difference shown"}[factor.above(1.0)]
