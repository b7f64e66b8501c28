"""What the studies of ATT-MADDPG share: changed aliases, columns of their tables, published curves."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Sequence
from importlib import resources
from typing import Any

import numpy as np

from covey.algorithms import ddpg
from covey.algorithms.critics import AttentionHeads
from covey.studies.saying import Say
from covey.studies.statistics import difference, gap_closed
from covey.studies.trials import Column, Outcome

STATIC_RULES = ("ecmp", "equal", "wcmp-link", "wcmp-path", "wcmp-residual")
"""What a practitioner would configure: the best of these is "the best rule"."""

RATE = {"small": 5000.0, "large": 1000.0, "plane": 6000.0, "abilene": 800.0}
"""Learning steps per second (all seeds together) on two cores, for the plans."""


def named(name: str, environment: Any, preset: str = "tuned", **changes: Any) -> ddpg.DDPG:
    """An alias of the DDPG family with some fields changed."""
    return dataclasses.replace(getattr(ddpg, name)(environment.spec, preset=preset), **changes)


def scaled(algorithm: ddpg.DDPG, **changes: Any) -> ddpg.DDPG:
    """With some fields of the critic changed, and its attention (if it attends) at the scale 1/√width."""
    scale = {"scale": 0.0} if isinstance(algorithm.critic, AttentionHeads) else {}
    return dataclasses.replace(algorithm, critic=dataclasses.replace(algorithm.critic, **scale, **changes))


def best_rule(outcomes: dict[str, Outcome], rules: Sequence[str] = STATIC_RULES) -> Outcome:
    return max((outcomes[rule] for rule in rules if rule in outcomes), key=lambda outcome: outcome.per_step.mean())


ROUTING_COLUMNS = [
    Column("algorithm", lambda o: o.label),
    Column("reward per step", lambda o: o.per_step),
    Column("MLU / optimum", lambda o: o.per_seed("world/mlu_ratio"), 2),
    Column("overloads", lambda o: o.per_seed("world/overload"), 4),
    Column("knows", lambda o: o.knows),
]


def with_gap(outcomes: dict[str, Outcome], bound: str = "decentralized-bound") -> list[Column]:
    """Routing columns and the share of the gap from the best rule to the bound."""
    rule = best_rule(outcomes).per_step
    gap = Column(
        f"gap closed ({best_rule(outcomes).label} = 0, {bound} = 1)",
        lambda o: gap_closed(o.per_step, rule, outcomes[bound].per_step),
        2,
    )
    return [*ROUTING_COLUMNS[:2], gap, *ROUTING_COLUMNS[2:]]


def say_difference(say: Say, outcomes: dict[str, Outcome], ours: str, theirs: str) -> None:
    apart = difference(outcomes[ours].per_step, outcomes[theirs].per_step)
    verdict = "better" if apart.low > 0 else "worse" if apart.high < 0 else "cannot be told apart"
    say(f"{ours} - {theirs}: {apart.text(4)} per step: {verdict}")


def published(figure: str) -> dict[str, np.ndarray]:
    """The published curves of a figure, read off its vector graphics: 100 points by column."""
    text = resources.files("covey.studies").joinpath("published", f"{figure}.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
