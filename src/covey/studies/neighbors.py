"""`maddpg/neighbors`: is a critic of the listed neighbors worth one that sees everybody?"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import jax
import numpy as np

from covey import environments
from covey.algorithms.critics import Independent, Joint, Neighbors
from covey.algorithms.ddpg import maddpg
from covey.learning.replay import Replay
from covey.studies.saying import Say, say_plan, verdict
from covey.studies.statistics import Interval, difference, mean
from covey.studies.trials import Column, Outcome, Trial, run, table

CRITICS = {"everybody": Joint(), "neighbors": Neighbors(), "nobody": Independent()}
"""Whom the critic of an agent sees beside the agent itself."""

LEAST = 0.1
"""Regret per agent and episode below which a difference does not matter: an eightieth of the optimum."""

RATE = 65.0
"""Learning steps a second, all seeds together, on two cores that others use too; for the plan."""


def line(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """Twenty agents on a line (`toy/graph`), whose rewards depend on what their neighbors do; the optimum is 8."""
    say("Predictions: MADDPG ends below a tenth of random play's regret, with critics of everybody and of neighbors.")
    say(f"The regret with neighbors is at most {LEAST} per agent above that with everybody.")
    world = environments.make("toy/graph", routers=19)
    base = dataclasses.replace(maddpg(world.spec), replay=Replay(batch=64))
    steps = 200 if quick else 4000
    learners = [Trial(name, dataclasses.replace(base, critic=critic), steps) for name, critic in CRITICS.items()]
    say_plan(say, learners, seeds, RATE)
    trials = [Trial("random", "random"), Trial("optimal", "optimal"), *learners]
    outcomes = run(trials, world, seeds=seeds, episodes=32 if quick else 128, evaluations=4, out=out, say=say)
    best = world.reference().value

    def regret(outcome: Outcome) -> np.ndarray:
        """Per agent and episode, [S]."""
        return best - outcome.per_seed("return/team_sum") / world.spec.agents

    def weights(outcome: Outcome) -> str:
        critic = CRITICS.get(outcome.label)
        if critic is None:
            return ""
        shapes = jax.eval_shape(lambda key: critic.init(key, world.spec, base.groups), jax.random.key(0))
        return f"{sum(x.size for x in jax.tree.leaves(shapes)):,}"

    columns = [
        Column("the critic also sees", lambda o: o.label),
        Column("regret per agent", regret),
        Column("weights of all critics", weights),
        Column("knows", lambda o: o.knows),
    ]
    table(f"toy/graph with {world.spec.agents} agents, {steps:,} steps, {seeds} seeds", outcomes, columns, out)
    ends = {name: regret(outcomes[name]) for name in ("random", *CRITICS)}
    tenth = 0.1 * ends["random"].mean()
    for name in ("everybody", "neighbors"):
        verdict(say, f"{name}: below {tenth:.3f}, a tenth of random play's", *_below(mean(ends[name]), tenth))
    apart = difference(ends["neighbors"], ends["everybody"])
    verdict(say, f"neighbors are at most {LEAST} above everybody", *_below(apart, LEAST))


def _below(found: Interval, level: float) -> tuple[bool | None, str]:
    """Is all of an interval below a level (None: it holds the level), and the interval in words."""
    above = found.above(level)
    return None if above is None else not above, found.text()
