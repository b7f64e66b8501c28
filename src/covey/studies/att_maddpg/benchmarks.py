"""Table 2: cooperative navigation and predator-prey, with regret to the strongest rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from covey import environments
from covey.algorithms import ddpg
from covey.learning.exploration import OrnsteinUhlenbeck
from covey.learning.replay import Replay
from covey.learning.targets import Linear
from covey.runs import plots
from covey.studies.att_maddpg.common import RATE, named, say_difference, scaled
from covey.studies.saying import Say, say_plan
from covey.studies.statistics import order
from covey.studies.trials import Column, Outcome, Trial, learning_curves, run, table

TABLE_2 = {
    "navigation": {
        "att-maddpg": -1.268,
        "ps-maddpg": -1.586,
        "maddpg": -1.767,
        "greedy-pursuit": -2.105,
        "khead-maddpg": -2.825,
    },
    "pursuit": {
        "att-maddpg": 3.589,
        "ps-maddpg": 2.473,
        "maddpg": 1.920,
        "greedy-pursuit": 1.903,
        "khead-maddpg": 1.899,
    },
}
"""Mao et al. 2018, table 2 (K = 4): the metric is not defined in the paper; it fits a mean reward per step."""

PLANE = {
    "navigation": ("navigation", {}, 60_000, 0.01),
    "pursuit": ("pursuit", {"unit": 1.0}, 6000, 0.1),
    "pursuit at radius 0.2": ("pursuit", {"unit": 1.0, "radius": 0.2}, 4000, 0.01),
}
"""Title of a table: environment, its options, updates, and the weight of the actors' raw outputs in their loss.

At the default radius pursuit leaves nothing to coordinate. Predators have to stand within a few hundredths of a side to
hold the prey, so they see in units of the plane; there a contact is worth 10, and a small weight lets actors saturate.
"""


def benchmarks(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """Table 2: navigation and pursuit, with regret to the strongest rule.

    All learners alike: wider networks than for routing, eight lanes, an update every 32 steps, exploration that keeps
    its direction for a while. The scale of attention is 1/√width.
    """
    episodes = 32 if quick else 256
    learners = ("att-maddpg", "maddpg", "ps-maddpg", "khead-maddpg")
    for title, (name, options, updates, raw_l2) in PLANE.items():
        world = environments.make(name, **options)
        steps = 800 if quick else 32 * updates
        strong: str = world.reference().algorithm
        oracles = ["assignment", strong] if name == "navigation" else [strong]
        rules = list(dict.fromkeys(["random", "greedy-pursuit", *oracles]))
        trials = [
            *(Trial(rule, rule) for rule in rules),
            *(Trial(learner, on_the_plane(learner, world, updates, raw_l2), steps, envs=8) for learner in learners),
        ]
        say_plan(say, trials, seeds, RATE["plane"])
        outcomes = run(trials, world, seeds=seeds, episodes=episodes, out=out / title.replace(" ", "-"), say=say)
        theirs = TABLE_2.get(title, {})
        columns = [
            Column("algorithm", lambda o: o.label),
            Column("reward per step", lambda o: o.per_step),
            Column("published", lambda o, p=theirs: f"{p[o.label]:.3f}" if o.label in p else ""),
            *(regret_to(outcomes[oracle]) for oracle in oracles),
            Column("knows", lambda o: o.knows),
        ]
        table(f"{title}, {seeds} seeds", outcomes, columns, out)
        for learner in learners:
            say_difference(say, outcomes, learner, "greedy-pursuit")
        say_difference(say, outcomes, *learners[:2])
        if theirs:
            say("published order: " + " > ".join(theirs))
        say("ours: " + order(["greedy-pursuit", *learners], {k: o.per_step for k, o in outcomes.items()}))
        figure = learning_curves(title, {name: outcomes[name] for name in learners}, outcomes, rules[1:])
        say(f"picture: {plots.save(figure, out / (title.replace(' ', '-') + '.png'))}")


def regret_to(oracle: Outcome) -> Column:
    """How far a row is below `oracle`, in percent of what that earns."""
    best = oracle.per_step
    return Column(f"regret to {oracle.label}, %", lambda o: 100 * (best - o.per_step) / np.abs(best.mean()), 1)


def on_the_plane(learner: str, world: Any, updates: int, raw_l2: float) -> ddpg.DDPG:
    """A learner as the benchmarks train it: `updates` optimizer steps, in which its learning rates fall to a tenth.

    The scale of attention is 1/√width.
    """
    algorithm = named(
        learner.replace("-", "_"),
        world,
        width=128,
        horizon=4,
        gamma=0.7,
        critic_lr=1e-3,
        raw_l2=raw_l2,
        anneal=updates,
        exploration=OrnsteinUhlenbeck(Linear(0.3, 0.03, 24.0 * updates)),
        replay=Replay(200_000, 128),
    )
    return scaled(algorithm, width=128)
