"""Runs and rules side by side, on the same episodes of one world."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from covey import algorithms
from covey.algorithms.random import Random
from covey.authored.reward import without_authored_reward
from covey.core.algorithm import Algorithm, Scripted
from covey.core.environment import Reference, evaluation_world
from covey.core.equality import same
from covey.core.errors import BadInput
from covey.core.types import Spec
from covey.runs.evaluate import FINAL, Evaluation, evaluation_keys, evaluator
from covey.runs.files import reading
from covey.runs.policy import Trained, open_run, place_of

EPISODES = 32


LEARNER = "own observation (trained)"
"""What a learner knows when it acts."""


class Row(NamedTuple):
    """One contender, one group. The numbers are one per seed for a run, and one per episode for a rule."""

    label: str
    knows: str  # what it is allowed to see when it acts
    group: str
    returns: np.ndarray  # [N]  mean over the agents of the group of an episode's undiscounted return
    per_step: np.ndarray  # [N]  the same per step
    regret: np.ndarray | None  # [N]  the reference's return minus this one, on the same episodes
    ahead: np.ndarray | None  # [M]  the return minus the first row's, in pairs of seeds, of episodes between two rules
    over: str  # what N counts: "4 seeds", "128 episodes"


class Contender(NamedTuple):
    """Who plays, and what came of it."""

    label: str
    knows: str
    evaluation: Evaluation
    trained: bool


class Comparison(NamedTuple):
    """The rows, the environment they are about, what regret refers to, and sentences on what to keep in mind."""

    rows: list[Row]
    world: str
    reference: Reference | None
    warnings: tuple[str, ...]


def compare(
    what: Sequence[str], environment: Any = None, episodes: int | None = None, trust: bool = False
) -> Comparison:
    """Evaluate runs (folders, or `RUN@STEP`) and algorithms that need no training (by id) on the same episodes.

    environment: the environment to compare them in (default: the first run's). episodes: of each seed (default: as the
    first run's, else 32). Rules meet the episodes of as many seeds as the largest run has. trust: as of `load`.
    """
    runs = {item: open_run(item, trust=trust) for item in what if is_run(item)}
    if environment is None:
        if not runs:
            raise BadInput("rules alone do not say where they are to be compared: give `--environment ID`, or a run.")
        environment = without_authored_reward(next(iter(runs.values())).config.environment)
    if episodes is None:
        episodes = next((trained.config.episodes for trained in runs.values()), EPISODES)
    warnings = [w for item, trained in runs.items() for w in _warnings(item, trained, environment)]
    seeds = max((trained.config.seeds for trained in runs.values()), default=1)
    rows, first = [], None
    for item in what:
        trained = item in runs
        if trained:
            algorithm = runs[item].config.algorithm
            evaluation = _play_run(runs[item], environment, episodes)
        else:
            algorithm = _rule(item, environment)
            evaluation = _play_rule(algorithm, environment, seeds, episodes)
        contender = Contender(item, knows(algorithm), evaluation, trained)
        rows += _rows(contender, first, environment.spec)
        first = first or contender
    return Comparison(rows, environment.spec.name, first.evaluation.about if first else None, tuple(warnings))


def is_run(item: str) -> bool:
    """Is this a run (`RUN` or `RUN@STEP`) and not the id of an algorithm?"""
    with reading(f"the run {item}"):
        return place_of(item).folder.exists() or "/" in item


def knows(algorithm: Algorithm) -> str:
    """What the algorithm is allowed to see when it acts, in words."""
    match algorithm:
        case Scripted(knows=words):
            return words
        case Random():
            return "nothing"
    return LEARNER


def _warnings(item: str, trained: Trained, environment: Any) -> list[str]:
    """What to keep in mind about a run; BadInput where it cannot play in this environment at all."""
    own = without_authored_reward(trained.config.environment)
    if own.spec != environment.spec:
        raise BadInput(
            f"the run {item} was trained in {own.spec.name!r}, and the comparison is in {environment.spec.name!r} with "
            "other observations, actions or episodes: compare runs of one world."
        )
    words = list(trained.warnings)
    if not same(own, environment):
        words.append(f"the run {item} was trained with other options of {own.spec.name!r} than it is compared in")
    return words


def _play_run(trained: Trained, environment: Any, episodes: int) -> Evaluation:
    play = evaluator(environment, trained.config.algorithm, episodes)
    return play(trained.agents, evaluation_keys(FINAL, trained.config.seeds), trained.step)


def _rule(id: str, environment: Any) -> Algorithm:
    rule = algorithms.make(id, evaluation_world(environment))
    if jax.tree.leaves(jax.eval_shape(partial(rule.init, lanes=1), jax.random.key(0))):
        raise BadInput(f"{id!r} has to be trained before it can be compared: give its run folder.")
    return rule


def _play_rule(rule: Algorithm, environment: Any, seeds: int, episodes: int) -> Evaluation:
    return evaluator(environment, rule, episodes)((), evaluation_keys(FINAL, seeds), 0)


def _rows(contender: Contender, first: Contender | None, spec: Spec) -> list[Row]:
    def numbers(values: np.ndarray) -> np.ndarray:
        return values.mean(1) if contender.trained else values.ravel()

    values, rows = contender.evaluation.values, []
    for group in spec.groups:
        name = f"return/{group}/mean_agent"
        regret = values.get(name.replace("return/", "regret/", 1))
        returns, length = values[name], values["steps/episode"]
        count = len(numbers(returns))
        rows.append(
            Row(
                label=contender.label,
                knows=contender.knows,
                group=group,
                returns=numbers(returns),
                per_step=numbers(returns / length),
                regret=None if regret is None else numbers(regret),
                ahead=None if first is None else _ahead(contender, first, name),
                over=f"{count} {'seed' if contender.trained else 'episode'}{'s' * (count != 1)}",
            )
        )
    return rows


def _ahead(contender: Contender, first: Contender, metric: str) -> np.ndarray:
    """What a contender has more than the first, on the episodes that both have played."""
    ours, theirs = (x.evaluation.values[metric] for x in (contender, first))
    seeds = min(len(ours), len(theirs))
    apart = ours[:seeds] - theirs[:seeds]
    return apart.mean(1) if contender.trained or first.trained else apart.ravel()
