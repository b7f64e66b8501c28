"""Traffic engineering on Abilene: what an actor-critic reaches where a gradient through the simulator does better."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np

from covey import environments
from covey.algorithms import ddpg
from covey.core.environment import evaluation_world
from covey.environments.routing.rules import ecmp_mlu
from covey.learning.exploration import Gaussian
from covey.learning.replay import Replay
from covey.learning.targets import Linear
from covey.runs import plots
from covey.runs.policy import load
from covey.studies.alignment import alignment, foresight
from covey.studies.att_maddpg.common import RATE, named, say_difference, scaled
from covey.studies.saying import Say, say_plan
from covey.studies.statistics import difference, mean
from covey.studies.trials import Column, Trial, learning_curves, run, table


def abilene(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """Traffic engineering on Abilene: act before the matrix is seen, train on the first half, play all of the second.

    With `COVEY_DATA` set to a folder of real matrices (`abilene-cfrrl/Abilene` in it: a day of each of two weeks), on
    those; else on synthetic traffic. The metric is MLU over the optimum of the same matrix. Beside the learners, MADDPG
    whose actors are as fast as elsewhere: what goes wrong then is measured with `alignment` and `foresight`.
    """
    data = os.environ.get("COVEY_DATA")
    where = f"routing:{Path(data) / 'abilene-cfrrl' / 'Abilene'}" if data else "routing/abilene"
    world = environments.make(where, **({"train_share": 0.5} if data else {}))
    steps = 6400 if quick else 192_000
    rules = ("wcmp-path", "static-optimal", "stale-optimal", "direct-splitter", "decentralized-bound")
    trained = {learner: on_abilene(learner, world, steps) for learner in ("att-maddpg", "maddpg")}
    fast = named("maddpg", world).actor_lr
    trained["maddpg (fast actors)"] = dataclasses.replace(trained["maddpg"], actor_lr=fast)
    learners = list(trained)
    trials = [
        *(Trial(rule, rule) for rule in rules),
        *(Trial(learner, algorithm, steps, envs=8) for learner, algorithm in trained.items()),
    ]
    say_plan(say, trials, seeds, RATE["abilene"])
    outcomes = run(trials, world, seeds=seeds, episodes=1, out=out, evaluations=8, say=say)
    ratios = {
        label: np.stack([outcome.replay(seed).measures["mlu_ratio"][1:] for seed in range(seeds)])
        for label, outcome in outcomes.items()
    }
    columns = [
        Column("algorithm", lambda o: o.label),
        Column("MLU / optimum, mean", lambda o: ratios[o.label].mean(1)),
        Column("95th percentile", lambda o: np.quantile(ratios[o.label], 0.95, axis=1)),
        Column("knows", lambda o: o.knows),
    ]
    table(f"{world.spec.name}, predictive, {seeds} seeds", outcomes, columns, out)
    test = evaluation_world(world)
    first = test.span[0] + test.lead
    ecmp = ecmp_mlu(test)[test.lead :] / np.asarray(test.bank.optimum)[0, first : first + ratios["maddpg"].shape[1]]
    say(f"ECMP, over whatever paths it takes: mean {ecmp.mean():.3f}, 95th percentile {np.quantile(ecmp, 0.95):.3f}")
    say_difference(say, outcomes, *learners[:2])
    for ours in learners:
        say(f"{ours} - ECMP: {mean(ratios[ours].mean(1) - ecmp.mean()).text()}")
        say_difference(say, outcomes, ours, "decentralized-bound")
        policies = [load(outcomes[ours].run, k, world) for k in range(seeds)]
        cosines = [alignment(policy, outcomes[ours].replay(k)).mean() for k, policy in enumerate(policies)]
        fits = [foresight(policy, jax.random.key(k)) for k, policy in enumerate(policies)]
        bias, explained = (mean(np.mean(values, axis=1)) for values in zip(*fits, strict=True))
        say(
            f"{ours}: on fresh steps, critics promise {bias.text()} too much and explain {explained.text(2)} of the "
            f"variance; cosine between their gradient and the simulator's {mean(np.array(cosines)).text(2)}"
        )
    for theirs in ("static-optimal", "stale-optimal"):
        apart = difference(ratios["direct-splitter"].mean(1), ratios[theirs].mean(1))
        say(f"direct-splitter - {theirs}: {apart.text()}")
    curves = {name: outcomes[name] for name in learners[:2]}
    figure = learning_curves("Abilene, predictive", curves, outcomes, rules)
    say(f"picture: {plots.save(figure, out / 'learning.png')}")


def on_abilene(learner: str, world: Any, steps: int) -> ddpg.DDPG:
    """A learner as the Abilene study trains it for `steps` steps on eight lanes: actors that their critics can follow.

    Twelve routers set 528 shares, and an actor runs to wherever its critic errs. So actors are slow (a small step for
    every two of the critics), each update sees 64 new transitions, and the replay forgets after 16,000. Splits do not
    change what is demanded next: γ = 0. The scale of attention is 1/√width.
    """
    algorithm = named(
        learner.replace("-", "_"),
        world,
        gamma=0.0,
        horizon=8,
        delay=2,
        actor_lr=4e-5,
        raw_l2=1e-3,
        replay=Replay(16_000, 128),
        exploration=Gaussian(Linear(1.0, 0.2, float(steps))),
    )
    return scaled(algorithm)
