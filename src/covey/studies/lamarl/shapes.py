"""`lamarl/shapes`: how well LAMARL fills the paper's shapes, and regions and swarms that it was not trained with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from covey import algorithms
from covey.environments.assembly import Assembly
from covey.environments.assembly.shapes import PAPER, bank
from covey.runs.episode import record
from covey.runs.evaluate import FINAL, Values, evaluation_keys
from covey.runs.figures import blank, save
from covey.runs.policy import Policy, load
from covey.runs.render import render
from covey.studies.lamarl.ablation import WITH, trained_both
from covey.studies.lamarl.common import (
    UNEVENNESS,
    Learned,
    Scale,
    Stage,
    learn,
    per_seed,
    play_learned,
    play_rule,
    say_plan,
    scale,
    stage,
)
from covey.studies.saying import Say, verdict
from covey.studies.statistics import Interval, difference, mean
from covey.studies.trials import Cell, write_table

MANUAL = "manual reward"
"""The learner with the prior, and with the reward that the published code has switched on."""

RULES = ("random", "prior", "mean-shift")

UNSEEN = ("L", "circle", "square")

SWARMS = (10, 20, 30, 40, 50, 200)
"""Robots; trained with 30."""

EARNED, SHARE = "return/robot/mean_agent", "world/final_coverage_share"
ENTERED, COLLIDED = "world/final_entered", "world/final_collided"

METRICS = {"M1 / bound": SHARE, "M2": UNEVENNESS, "entered": ENTERED, "collided": COLLIDED}
DIGITS = {"M2": 1}

Played = Mapping[str, Values]
"""By shape, metrics [S, episodes]."""


def shapes(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """LAMARL, the same without its prior or with the manual reward, and rules on all shapes; then other numbers of
    robots, and unseen shapes.

    Two learners are those of `lamarl/prior-ablation`. All are trained in its folder, if they are not there yet.
    """
    size = scale(quick)
    say("Predictions: LAMARL's M2 is at most mean-shift's, its M1 at least 90 % of the packing bound, all robots")
    say(
        "enter, and fewer collide than with mean-shift. The same is true of shapes and of numbers of robots that it was"
    )
    say("not trained with, as long as the packing bound allows the radius of training. With the manual reward robots")
    say("spread more evenly and fewer collide than with the written one.")
    learners = trained_all(size, seeds, of_ablation(out), say)
    on = stage(robots=size.robots, time_limit=size.length)
    played = {rule: play_rule(on, rule, seeds, size.episodes) for rule in RULES}
    played |= {label: play_learned(on, learned, size.episodes) for label, learned in learners.items()}
    compare(played, on, size, out)
    judge_sentences(played, f"{size.robots} robots, all shapes", say)
    judge_rewards(played[MANUAL], played[WITH], say)
    say(f"picture: {save(pictures(on, learners), out / 'assembly-shapes.png')}")
    best = f"{learners[WITH].folders[0]}@{learners[WITH].steps[-1]}"
    say(f"film: {render(best, out / 'assembly-lamarl.gif')[0]}")
    zero_shot({label: learners[label] for label in (WITH, MANUAL)}, size, seeds, quick, out, say)


def trained_all(size: Scale, seeds: int, out: Path, say: Say) -> dict[str, Learned]:
    """The learners, trained or found in `out`."""
    both = trained_both(size, seeds, out, say)
    say_plan(1, size, seeds, out, say)
    return both | {MANUAL: learn(MANUAL, size, out, seeds, say, reward="manual")}


def of_ablation(out: Path) -> Path:
    """The folder of `lamarl/prior-ablation` beside that of this study; the same folder, where it has another name."""
    if out.name == "quick":
        return of_ablation(out.parent) / "quick"
    return out.with_name(out.name.replace("shapes", "prior-ablation"))


# ---------------------------------------------------------------------------------------------------------------------
# Tables


def compare(played: Mapping[str, Played], on: Stage, size: Scale, out: Path) -> None:
    """A table of all metrics over all shapes, and one of each metric by shape."""
    about = f"{size.robots} robots, {size.length} steps"
    rows = [[label, *(mean(x) for x in overall(values, size.length).values())] for label, values in played.items()]
    titles = ["algorithm", *METRICS, "reward per step"]
    digits = [0, *(DIGITS.get(name, 3) for name in METRICS), 3]
    write_table(f"all {len(on.shapes)} shapes, {about}", titles, rows, digits, out)
    for name, metric in METRICS.items():
        rows = [[label, *(mean(values[s][metric].mean(1)) for s in on.shapes)] for label, values in played.items()]
        digits = [0, *[DIGITS.get(name, 3)] * len(on.shapes)]
        write_table(f"{name} by shape, {about}", ["algorithm", *on.shapes], rows, digits, out)


def overall(played: Played, length: int) -> dict[str, np.ndarray]:
    """All metrics, and the reward per step, means over shapes and episodes [S]."""
    found = {name: per_seed(played, metric) for name, metric in METRICS.items()}
    return found | {"reward per step": per_seed(played, EARNED) / length}


def judge_sentences(played: Mapping[str, Played], where: str, say: Say) -> None:
    """What becomes of each prediction."""
    ours, theirs = played[WITH], played["mean-shift"]
    uneven = difference(per_seed(ours, UNEVENNESS), per_seed(theirs, UNEVENNESS))
    verdict(say, f"M2 at most mean-shift's, {where}", at_most(uneven, 0.0), f"difference {uneven.text(1)}")
    share = mean(per_seed(ours, SHARE))
    verdict(say, f"M1 at least 90 % of its bound, {where}", share.above(0.9), share.text())
    entered = per_seed(ours, ENTERED)
    verdict(say, f"all robots enter, {where}", bool((entered == 1.0).all()), mean(entered).text(4))
    collided = difference(per_seed(ours, COLLIDED), per_seed(theirs, COLLIDED))
    verdict(
        say, f"fewer collide than with mean-shift, {where}", at_most(collided, 0.0), f"difference {collided.text()}"
    )


def judge_rewards(manual: Played, written: Played, say: Say) -> None:
    """What another reward changes."""
    for sentence, metric, digits in (("more even", UNEVENNESS, 1), ("fewer collide", COLLIDED, 3)):
        apart = difference(per_seed(manual, metric), per_seed(written, metric))
        verdict(say, f"{sentence} with the manual reward", at_most(apart, 0.0), f"difference {apart.text(digits)}")


def at_most(found: Interval, level: float) -> bool | None:
    """Is all of an interval below a level? None where it holds the level."""
    above = found.above(level)
    return None if above is None else not above


# ---------------------------------------------------------------------------------------------------------------------
# Other regions, other swarms


def zero_shot(learners: Mapping[str, Learned], size: Scale, seeds: int, quick: bool, out: Path, say: Say) -> None:
    """What was learned, with other numbers of robots and on shapes that it never saw."""
    radius = learners[WITH].environment.radius
    cases = [(robots, PAPER) for robots in ((4, 12) if quick else SWARMS)] + [(size.robots, UNSEEN)]
    rows: list[list[Cell]] = []
    titles = ["robots", "radius", "shapes", "algorithm", *METRICS]
    for robots, names in cases:
        fits = min(radius, largest_radius(robots, names))
        if fits < radius:
            say(f"{robots} robots of radius {radius:g} do not fit into all of {', '.join(names)}: {fits:g} there")
        on = stage(names, robots=robots, time_limit=size.length, collision_radius=fits)
        played = {rule: play_rule(on, rule, seeds, size.episodes) for rule in ("prior", "mean-shift")}
        played |= {label: play_learned(on, learned, size.episodes) for label, learned in learners.items()}
        which = "those of training" if names == PAPER else ", ".join(names)
        for label, values in played.items():
            found = [mean(per_seed(values, metric)) for metric in METRICS.values()]
            rows.append([str(robots), f"{fits:g}", which, label, *found])
        judge_sentences(played, f"{robots} robots, {which}, radius {fits:g}", say)
    digits = [0] * 4 + [DIGITS.get(name, 3) for name in METRICS]
    write_table(f"trained with {size.robots} robots of radius {radius:g}", titles, rows, digits, out)


def largest_radius(robots: int, names: Sequence[str]) -> float:
    """The largest collision radius, in thousandths, with which so many robots fit into each of these shapes."""
    return float(np.floor(1e3 * np.sqrt(bank(names).area.min() / robots) / 2) / 1e3)


# ---------------------------------------------------------------------------------------------------------------------
# Pictures


def pictures(on: Stage, learners: Mapping[str, Learned]) -> Any:
    """Where robots are in the end: rows for two rules and the first seeds of two learners, a column for each shape."""
    rows = {
        "prior": _rule(on.environment, "prior"),
        "mean-shift": _rule(on.environment, "mean-shift"),
        "LAMARL": _first(on, learners[WITH]),
        "manual reward": _first(on, learners[MANUAL]),
    }
    figure = blank(2.2 * len(on.shapes), 2.35 * len(rows))
    grid = figure.subplots(len(rows), len(on.shapes), squeeze=False)
    key = evaluation_keys(FINAL, 1)[0]
    for line, (name, player) in zip(grid, rows.items(), strict=True):
        for axes, shape, environment in zip(line, on.shapes, on.environments, strict=True):
            episode = record(environment, player.algorithm, player.state, key, step=player.step)
            at_end = episode.length
            environment.draw(axes, episode.state(at_end), episode.step(at_end))
            for text in list(axes.texts):
                text.remove()
            found = {metric: float(values[at_end]) for metric, values in episode.measures.items()}
            spread, bad = found["unevenness"], found["collided"]
            axes.set_title(f"{name}, {shape}: M2 {spread:.0f}, collided {bad:.0%}", fontsize=7.5, loc="left")
    return figure


def _first(on: Stage, learned: Learned) -> Policy:
    """What a learner's first seed has learned, on a stage."""
    return load(learned.folders[0], step=learned.steps[-1]).transferred(on.environment)


def _rule(environment: Assembly, name: str) -> Policy:
    algorithm = algorithms.make(name, environment)
    return Policy(environment, algorithm, (), 0)
