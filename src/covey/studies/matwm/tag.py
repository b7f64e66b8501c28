"""`matwm/tag`: predators and prey that learn with few steps, each against a rule, and against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from covey import environments
from covey.algorithms.random import Random
from covey.core.algorithm import Algorithm, Mixed, Scripted
from covey.environments.particle.tag import Chase, Flee
from covey.runs.evaluate import FINAL, Player, evaluation_keys, player
from covey.runs.policy import open_run
from covey.studies.matwm.common import RATES, matwm, scale
from covey.studies.saying import Say, say_plan, verdict
from covey.studies.statistics import difference, mean
from covey.studies.trials import Cell, Outcome, Trial, run, write_table

STEPS = 50_000

CAUGHT, ESCAPED = 25.0, -60.0
"""Returns that a predator should reach against prey at random, and prey against predators that chase."""

SIDES = ("adversary", "agent")

AT_RANDOM, BY_RULE, ALONE, TOGETHER = "at random", "by rule", "learned alone", "learned together"


Played = dict[tuple[str, str], dict[str, np.ndarray]]
"""Returns [S] of both sides, by who plays the predators and who the prey."""


class Side(NamedTuple):
    """Who plays a side: an algorithm, and what it has learned [S, ...]."""

    algorithm: Algorithm
    learned: Any = ()


def tag(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """Predators against prey at random, prey against predators that chase, and both against each other."""
    size = scale(quick, STEPS)
    environment = environments.make("particle/tag")
    spec = environment.spec
    say(f"Predictions: in {size.steps:,} steps a predator reaches {CAUGHT:g} or more against prey at random, and prey")
    say(f"{ESCAPED:g} or more against predators that chase. Of those who learned together, both sides are better than")
    say("chance against each of these opponents, and against those of another seed.")
    own = {side: matwm(environment, size, groups=(side,)) for side in SIDES}
    rules = {"adversary": Chase(spec), "agent": Flee(spec)}
    by_rule = {side: Scripted(spec, (side,), rules[side]) for side in SIDES}
    at_random = {side: Random(spec, (side,)) for side in SIDES}
    arms: dict[str, Mixed] = {
        "predators": Mixed({"adversary": own["adversary"], "agent": at_random["agent"]}),
        "prey": Mixed({"adversary": by_rule["adversary"], "agent": own["agent"]}),
        "both": Mixed(own),
    }
    learners = [Trial(label, arm, size.steps, apart=True) for label, arm in arms.items()]
    say_plan(say, learners, seeds, RATES["matwm"])
    outcomes = run(learners, environment, seeds=seeds, episodes=size.episodes, evaluations=10, out=out, say=say)

    def learned(label: str, side: str) -> Side:
        return Side(own[side], states(outcomes[label], SIDES.index(side)))

    players = {
        side: {
            AT_RANDOM: Side(at_random[side]),
            BY_RULE: Side(by_rule[side]),
            ALONE: learned(label, side),
            TOGETHER: learned("both", side),
        }
        for side, label in zip(SIDES, ("predators", "prey"), strict=True)
    }
    prey = players["agent"]
    prey["learned together, another seed"] = Side(
        prey[TOGETHER].algorithm, jax.tree.map(lambda x: np.roll(x, 1, axis=0), prey[TOGETHER].learned)
    )
    found = cross_play(environment, players, seeds, size.episodes)
    _tables(found, list(players["adversary"]), list(prey), f"{size.steps:,} steps, {seeds} seeds", out)
    judge(found, say)


def states(outcome: Outcome, part: int) -> Any:
    """What a part of a Mixed has learned in every run [S, ...]."""
    each = [open_run(folder).agents[part] for folder in outcome.folders]
    return jax.tree.map(lambda *x: np.concatenate(x), *each)


def cross_play(environment: Any, players: dict[str, dict[str, Side]], seeds: int, episodes: int) -> Played:
    """Everybody who plays the predators against everybody who plays the prey. A pair of algorithms is compiled once,
    whatever they have learned."""
    found: Played = {}
    compiled: dict[tuple[int, int], Player] = {}
    for hunter, chasing in players["adversary"].items():
        for hunted, fleeing in players["agent"].items():
            pair = id(chasing.algorithm), id(fleeing.algorithm)
            if pair not in compiled:
                both = Mixed({"adversary": chasing.algorithm, "agent": fleeing.algorithm})
                compiled[pair] = player(environment, both, episodes)
            values = compiled[pair]((chasing.learned, fleeing.learned), evaluation_keys(FINAL, seeds), 0)
            found[hunter, hunted] = {side: values[f"return/{side}/mean_agent"].mean(1) for side in SIDES}
    return found


def _tables(found: Played, hunters: list[str], prey: list[str], how: str, out: Path) -> None:
    """The returns of predators, and those of prey, for every pair."""
    for side, name in zip(SIDES, ("a predator", "prey"), strict=True):
        rows: list[list[Cell]] = [[hunter, *(mean(found[hunter, x][side]) for x in prey)] for hunter in hunters]
        titles = ["predators \\ prey", *prey]
        write_table(f"tag: return of {name}, {how}", titles, rows, [0] + [1] * len(prey), out)


def judge(found: Played, say: Say) -> None:
    """Verdicts on those who learned alone, and cross-play of those who learned together."""
    caught = mean(found[ALONE, AT_RANDOM]["adversary"])
    verdict(say, f"predators reach {CAUGHT:g} against prey at random", caught.above(CAUGHT), caught.text(1))
    escaped = mean(found[BY_RULE, ALONE]["agent"])
    verdict(say, f"prey reaches {ESCAPED:g} against predators that chase", escaped.above(ESCAPED), escaped.text(1))
    for hunted in (AT_RANDOM, BY_RULE, "learned together, another seed"):
        apart = difference(found[TOGETHER, hunted]["adversary"], found[AT_RANDOM, hunted]["adversary"])
        verdict(say, f"together: predators catch more than at random, prey {hunted}", apart.above(), apart.text(1))
    for hunter in (AT_RANDOM, BY_RULE, TOGETHER):
        prey = "learned together, another seed" if hunter == TOGETHER else TOGETHER
        apart = difference(found[hunter, prey]["agent"], found[hunter, AT_RANDOM]["agent"])
        verdict(say, f"together: prey loses less than at random, predators {hunter}", apart.above(), apart.text(1))
