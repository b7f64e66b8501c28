"""`lamarl/prior-ablation`: how many episodes does the prior save? One policy for all shapes, evaluated on each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from covey.algorithms.prior import NOBODY
from covey.runs import plots
from covey.runs.policy import transferred
from covey.studies.lamarl.common import (
    UNEVENNESS,
    Learned,
    Scale,
    Stage,
    judge,
    learn,
    per_seed,
    play_rule,
    say_plan,
    scale,
    stage,
)
from covey.studies.lamarl.thresholds import AT_LEAST, AT_MOST, UNKNOWN, Gain, bootstrap, gain, plateau, there
from covey.studies.saying import Say, verdict
from covey.studies.statistics import Interval
from covey.studies.trials import Cell, write_table

WITH, WITHOUT = "with the prior", "without"

PUBLISHED = 1.859
"""The mean gain in sample efficiency over shapes that the paper's abstract reports, 185.9 %."""

Curves = dict[str, np.ndarray]
"""By shape, unevenness at the end of an episode [P, S]."""


class Threshold(NamedTuple):
    """What unevenness has to fall below for good; None: a tenth above the plateau with the prior, shape by shape."""

    name: str
    levels: Mapping[str, float | None]


def prior_ablation(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """LAMARL with and without its prior, all else equal: episodes of training until M2 stays below a threshold.

    The paper's own ablation also changes the reward, from the written one to a manual one. Here both learn from the
    written one. `lamarl/shapes` also has one with the prior and the manual reward.
    """
    size = scale(quick)
    say("Predictions: without the prior it takes more than 2.859 times as many episodes (a gain above 185.9 %), and so")
    say("more than 1.859 times as many, in the mean over shapes, to a threshold that depends on the learner or not.")
    learners = trained_both(size, seeds, out, say)
    on = stage(robots=size.robots, time_limit=size.length)
    rules = {rule: play_rule(on, rule, seeds, size.episodes) for rule in ("prior", "mean-shift")}
    levels = {rule: {s: float(values[UNEVENNESS].mean()) for s, values in rules[rule].items()} for rule in rules}
    say(f"evaluating {size.kept} policies of each of {len(learners)} x {seeds} runs on {len(on.shapes)} shapes")
    curves = {label: evaluated(on, learned, size) for label, learned in learners.items()}
    steps = learners[WITH].steps
    length = learners[WITH].environment.time_limit
    episodes = np.array(steps) / length
    arrays: dict[str, Any] = {"episodes": episodes} | _named(curves)
    np.savez(out / "curves.npz", **arrays)
    halfway = {shape: float(np.sqrt(levels["prior"][shape] * levels["mean-shift"][shape])) for shape in on.shapes}
    relative = dict.fromkeys(on.shapes)
    for threshold in (
        Threshold("1.1 times the plateau with the prior", relative),
        Threshold("halfway between the rules prior and mean-shift, in logarithms", halfway),
    ):
        compare(threshold, episodes, curves, out, say)
    spread = {label: np.sqrt(np.mean(list(shapes.values()), axis=0)) for label, shapes in curves.items()}
    figure = plots.curves(
        f"assembly, {size.robots} robots, all {len(on.shapes)} shapes",
        {label: (episodes, values) for label, values in spread.items()},
        {rule: float(np.sqrt(per_seed(rules[rule], UNEVENNESS).mean())) for rule in rules},
        "episodes of training",
        "root of M2, cells",
    )
    say(f"picture: {plots.save(figure, out / 'sample-efficiency.png')}")


def trained_both(size: Scale, seeds: int, out: Path, say: Say) -> dict[str, Learned]:
    """The learners with and without the prior, trained or found in `out`."""
    say_plan(2, size, seeds, out, say)
    return {
        WITH: learn(WITH, size, out, seeds, say),
        WITHOUT: learn(WITHOUT, size, out, seeds, say, prior=NOBODY),
    }


def evaluated(on: Stage, learned: Learned, size: Scale) -> Curves:
    """The unevenness that every kept policy of a learner reaches on every shape."""
    plays, seeds = judge(on, transferred(learned.algorithm, on.environment), size.episodes), len(learned.folders)
    found = [plays(learned.agents(step), seeds, step) for step in learned.steps]
    return {shape: np.stack([played[shape][UNEVENNESS].mean(1) for played in found]) for shape in on.shapes}


def _named(curves: Mapping[str, Curves]) -> dict[str, np.ndarray]:
    return {f"{label}/{shape}": values for label, shapes in curves.items() for shape, values in shapes.items()}


def compare(threshold: Threshold, episodes: np.ndarray, curves: Mapping[str, Curves], out: Path, say: Say) -> None:
    """A table of the episodes to a threshold, and what becomes of the predictions."""
    shapes = list(curves[WITH])
    pairs = [(curves[WITH][shape], curves[WITHOUT][shape]) for shape in shapes]
    levels = [threshold.levels[shape] for shape in shapes]
    gains = [gain(episodes, *pair, level) for pair, level in zip(pairs, levels, strict=True)]
    each, overall = bootstrap(episodes, pairs, levels)
    seeds = pairs[0][0].shape[1]
    rows: list[list[Cell]] = []
    for shape, (ours, theirs), level, found, ratio in zip(shapes, pairs, levels, gains, each, strict=True):
        below = 1.1 * float(plateau(ours.mean(1))) if level is None else level
        arrived = [f"{there(episodes, curve, below)} of {seeds}" for curve in (ours, theirs)]
        reached = [found.with_it.text(), found.without.text()]
        rows.append([shape, f"{below:.1f}", *reached, *arrived, *said(found.sign, ratio)])
    known = [found for found in gains if found.sign != UNKNOWN]
    sign = overall_sign(known)
    rows.append([f"mean of {len(known)}", *[None] * 5, *said(sign, overall)])
    titles = ["shape", "M2 below", f"episodes {WITH}", WITHOUT, f"runs there {WITH}", "runs there without"]
    titles += ["gain, %", "times as many episodes without"]
    note = "intervals: bootstrap over seeds; ≥: some never get there"
    write_table(f"{threshold.name}, {seeds} seeds ({note})", titles, rows, [1] * len(titles), out)
    evidence = f"{said(sign, overall)[1]} times, the mean of {len(known)} of {len(shapes)} shapes"
    for name, least in (("a gain above 185.9 %", 1 + PUBLISHED), ("more than 1.859 times as many", PUBLISHED)):
        verdict(say, f"{name}, to {threshold.name}", decided(overall, sign, least), evidence)


def overall_sign(gains: list[Gain]) -> str:
    """What the mean of ratios is: exact (empty), at least, at most, or unknown."""
    signs = {found.sign for found in gains} - {""}
    if len(signs) > 1 or not gains:
        return UNKNOWN
    return signs.pop() if signs else ""


def decided(ratio: Interval, sign: str, least: float) -> bool | None:
    """Is a ratio above a number? A bound from below cannot refute that, and one from above cannot confirm it."""
    above = ratio.above(least)
    undecided = sign == UNKNOWN or (above and sign == AT_MOST) or (above is False and sign == AT_LEAST)
    return None if undecided else above


def said(sign: str, ratio: Interval) -> list[str]:
    """The gain in percent and the ratio, in words."""
    if sign == UNKNOWN:
        return ["unknown"] * 2
    percent = Interval(*(100 * (x - 1) for x in ratio))
    return [f"{sign}{percent.ends(0)}", f"{sign}{ratio.ends()}"]
