"""`mean-field/squeeze`: hundreds and thousands of agents look for the sum that pays."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from covey import environments
from covey.algorithms.mean_field import ac, q
from covey.algorithms.mean_field.choosing import Boltzmann, EpsilonGreedy
from covey.algorithms.mean_field.field import Field
from covey.algorithms.mean_field.means import Everybody
from covey.algorithms.mean_field.networks import Network, Tabular
from covey.core.algorithm import Algorithm
from covey.learning.targets import Linear, constant
from covey.runs import plots
from covey.studies.saying import Say, verdict
from covey.studies.statistics import Interval, mean
from covey.studies.sweep import swept

ROUNDS = 4
"""Games in an episode."""

RATE = 2.0e6
"""Choices of agents a second, for the plan."""

Shares = np.ndarray
"""What is earned, as a share of the optimum, on the way: [pieces, seeds]."""


def tables(world: Any, kind: str, steps: int) -> Algorithm:
    """Q by tables, learned from every rollout once, as temperatures fall. The mean action is that of the others in the
    round before (mfq), of this round and everybody (mfq, concurrent), or nobody's (iql). With ε-greedy choices the
    greedy one is 0 as long as nothing is known, so that the sum falls with ε.

    A hundred agents have to choose nearly without chance, since chance alone costs 2 % of the optimum; a thousand need
    not, and cannot: below T = 0.1 all of them overshoot together what they learned of the sum.
    """
    alias = q.iql if kind == "iql" else q.mfq
    algorithm = alias(world.spec, preset="table")
    field = algorithm.field
    if kind == "mfq":
        field = Field(Everybody(), index="lagged")
    elif kind == "mfq, concurrent":
        field = Field(Everybody(with_self=True))
    values = Tabular(levels=1 if kind == "iql" else 10, lr=0.005)
    choosing = Boltzmann(Linear(1.0, 0.02 if world.count <= 100 else 0.2, 0.8 * steps))
    if kind == "mfq, ε-greedy":
        field, choosing = Field(Everybody(), index="lagged"), EpsilonGreedy(Linear(1.0, 0.02, 0.8 * steps))
    return dataclasses.replace(algorithm, field=field, values=values, choosing=choosing, horizon=ROUNDS)


def actors(world: Any, kind: str, steps: int) -> Algorithm:
    """Actor-critic with small networks, no discount and no bonus for entropy."""
    del steps
    algorithm = getattr(ac, kind)(world.spec)
    settings: dict[str, Any] = {"actors": Network(width=8, lr=1e-2, last=0.01), "critics": Network(width=8)}
    return dataclasses.replace(algorithm, horizon=ROUNDS, gamma=0.0, entropy=constant(0.0), **settings)


class Kind(NamedTuple):
    """A kind of learner, the episodes that it plays side by side, and how often it learns."""

    make: Callable[[Any, str, int], Algorithm]
    lanes: int
    learns: Callable[[int], int]
    """Of how many agents there are: few agents need many, because what each does must lose its chance."""

    def steps(self, agents: int, quick: bool) -> int:
        return ROUNDS * self.lanes * (50 if quick else self.learns(agents))


BY_TABLE = Kind(tables, 16, lambda agents: 4000 if agents <= 100 else 2000 if agents <= 500 else 1000)
BY_ACTOR = Kind(actors, 4, lambda agents: 400)
KINDS = {
    "iql": BY_TABLE,
    "mfq": BY_TABLE,
    "mfq, concurrent": BY_TABLE,
    "mfq, ε-greedy": BY_TABLE,
    "ac": BY_ACTOR,
    "mfac": BY_ACTOR,
}


class Case(NamedTuple):
    """A squeeze, how many agents play it, and the kinds that learn it."""

    options: dict[str, Any]
    sizes: tuple[int, ...]
    kinds: tuple[str, ...]


CASES = {
    "mean 2": Case({"mean": 2.0}, (100, 500, 1000, 5000), ("iql", "mfq", "ac", "mfac")),
    "mean 2, its own mean": Case({"mean": 2.0}, (100, 1000), ("mfq, concurrent",)),
    "mean 4": Case({}, (100, 500, 1000, 5000), ("mfq", "mfac")),
    "published": Case({"protocol": "paper"}, (100, 500, 1000), ("mfq", "mfq, ε-greedy", "mfac")),
}

PIECES = 20
"""Points of a curve."""


def squeeze(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """Where uniform choices earn 40 % of the optimum (`mean` 2), as published but scaled (`mean` 4), and as published,
    where large teams earn nothing that a float can hold."""
    say("Predictions: MF-Q and MF-AC come within 1 % of the optimum, whatever the number of agents; so do IQL and AC.")
    say("Values about the joint action's own mean learn nothing: it explains what is earned, whatever anybody does.")
    say("With the published numbers, 500 and 1000 agents that begin with uniform choices learn nothing; ε-greedy ones,")
    say("whose sum falls with ε, come by what pays.")
    arms = [
        (title, n, kind)
        for title, case in CASES.items()
        for n in ((20,) if quick else case.sizes)
        for kind in case.kinds
    ]

    def count(n: int) -> int:  # large teams cost most
        return seeds if n <= 1000 else math.ceil(0.6 * seeds)

    choices = sum(n * count(n) * KINDS[kind].steps(n, quick) for _, n, kind in arms)
    say(f"plan: {choices:,} choices, about {choices / RATE / 3600:.2f} h on one core")
    found: dict[tuple[str, int, str], Shares] = {}
    for title, n, kind in arms:
        learner, steps = KINDS[kind], KINDS[kind].steps(n, quick)
        world = environments.make("squeeze", agents=n, rounds=ROUNDS, **CASES[title].options)
        pair = (world, learner.make(world, kind, steps))
        reported = swept([pair], seeds=count(n), lanes=learner.lanes, steps=steps, pieces=PIECES)
        found[title, n, kind] = reported["world/share"][:, 0]
        say(f"· {title}, {n} agents, {kind}, {steps:,} steps: {mean(found[title, n, kind][-1]).text(4)}")
    _tell(found, quick, out, say)
    if not quick:
        _judge(found, say)


def _tell(found: dict[tuple[str, int, str], Shares], quick: bool, out: Path, say: Say) -> None:
    """The table, and the picture of the largest team."""
    rows = [["squeeze", "agents", *KINDS]]
    for title, n in dict.fromkeys((title, n) for title, n, _ in found):
        cells = [found.get((title, n, kind)) for kind in KINDS]
        rows.append([title, str(n), *("" if x is None else mean(x[-1]).text(4) for x in cells)])
    lines = ["| " + " | ".join(row) + " |" for row in [rows[0], ["---"] * len(rows[0]), *rows[1:]]]
    (out / "table.md").write_text("\n".join(["Share of the optimum at the end of training", "", *lines]) + "\n")
    for line in lines:
        say(line)
    largest = max(n for _, n, _ in found)
    curves = {}
    for (title, n, kind), shares in found.items():
        if title == "mean 2" and n == largest:
            steps = KINDS[kind].steps(n, quick)
            curves[kind] = (np.arange(1, PIECES + 1) / PIECES * steps, shares)
    title = f"Squeeze, {largest} agents, mean 2"
    figure = plots.curves(title, curves, {"optimum": 1.0}, "environment steps", "share of the optimum")
    say(f"picture: {plots.save(figure, out / 'squeeze.png')}")


def _judge(found: dict[tuple[str, int, str], Shares], say: Say) -> None:
    def ends(title: str, kind: str) -> dict[int, Interval]:
        return {n: mean(x[-1]) for (of, n, by), x in found.items() if (of, by) == (title, kind)}

    def said(ends: dict[int, Interval]) -> str:
        return ", ".join(f"{n}: {x.text(4)}" for n, x in ends.items())

    for title in ("mean 4", "mean 2"):
        for kind in CASES[title].kinds:
            reached = ends(title, kind)
            there = all(x.mean > 0.99 for x in reached.values())
            verdict(say, f"{kind}, {title}: within 1 % of the optimum", there, said(reached))
    blind = ends("mean 2, its own mean", "mfq, concurrent")
    verdict(say, "values about their own mean learn nothing", all(x.high < 0.6 for x in blind.values()), said(blind))
    for kind in ("mfq", "mfac"):
        large = {n: x for n, x in ends("published", kind).items() if n > 100}
        verdict(say, f"published, {kind}: nothing is learned", all(x.mean < 0.01 for x in large.values()), said(large))
    large = {n: x for n, x in ends("published", "mfq, ε-greedy").items() if n > 100}
    verdict(say, "published, ε-greedy: something is", all(x.low > 0.1 for x in large.values()), said(large))
