"""Credit in an environment that moves: E5 (lazy and redundant agents), E8 (how many agents), E9 (tracing), E10
(parts)."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from covey import environments
from covey.algorithms import ppo, value
from covey.algorithms.credit import Baseline, Credit, Marginal, Seed, Trajectory
from covey.learning.targets import Linear, constant
from covey.nn.mixers import Free, Monotone
from covey.runs import plots
from covey.runs.policy import open_run
from covey.studies.credit.common import (
    ratio,
    reached_text,
    reported,
    steps_to,
    team,
)
from covey.studies.credit.forks import fidelity
from covey.studies.credit.lazy import Stuck, effects, improvement, laziness
from covey.studies.saying import Say, say_plan, verdict
from covey.studies.statistics import difference, mean
from covey.studies.trials import Column, Outcome, Trial, learning_curves, run, table

RATE = 6_000.0
"""Learning steps a second of particle environments, all seeds together, for the plans."""

LANES = 32


def learner(world: Any, credit: Credit | None = None, **settings: Any) -> ppo.PPO:
    """PPO as these studies train it on particle environments: a rollout is an episode of every lane."""
    usual = {"horizon": 25, "epochs": 2, "minibatches": 4, "team_reward": True}
    usual |= {"actor_lr": constant(7e-4), "critic_lr": constant(7e-4)}
    settings = usual | settings | ({} if credit is None else {"credit": credit})
    return dataclasses.replace(ppo.mappo(world.spec), **settings)


SIZES = {3: 300_000, 6: 200_000, 10: 120_000}
"""Agents of E8, and how many steps they learn."""


def e8(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """`particle/spread` with 3, 6 and 10 agents: is credit ever worse than MAPPO, and better with many agents?"""
    sizes = {3: 4000} if quick else SIZES
    unbiased = {"mappo": None, "baseline": Baseline(), "trajectory": Trajectory()}
    biased = {"marginal": Marginal(), "seed": Seed()}  # with three agents only
    say("E8. Prediction: unbiased credit is nowhere below MAPPO, and above it with six agents or more.")
    arms = [(n, kind, steps) for n, steps in sizes.items() for kind in unbiased | (biased if n == 3 else {})]
    say_plan(say, [Trial(kind, "random", steps) for _, kind, steps in arms], seeds, RATE)
    for n, steps in sizes.items():
        kinds: dict[str, Credit | None] = unbiased | (biased if n == 3 else {})
        world = environments.make("particle/spread", agents=n, landmarks=n)
        trials = [Trial("assigned-landmarks", "assigned-landmarks"), Trial("random", "random")]
        trials += [Trial(kind, learner(world, credit), steps, LANES) for kind, credit in kinds.items()]
        outcomes = run(trials, world, seeds=seeds, episodes=64, out=out / f"{n}-agents", evaluations=20, say=say)
        at_random, usual = outcomes["random"], outcomes["mappo"]
        begin, end = (o.per_seed(o.return_metric).mean() for o in (at_random, usual))
        reached = {kind: steps_to(outcomes[kind], begin + 0.9 * (end - begin)) for kind in kinds}
        soon = Column(
            "steps to 90 % of MAPPO's gain",
            lambda o, reached=reached: reached_text(reached[o.label]) if o.label in reached else "",
        )
        saved = Column("variance saved", lambda o: reported(o, "saved") if o.label in list(unbiased)[1:] else "")
        table(f"E8, {n} agents, {steps:,} steps, {seeds} seeds", outcomes, [*COLUMNS, soon, saved], out)
        learners = {kind: outcomes[kind] for kind in kinds}
        figure = learning_curves(f"E8: spread, {n} agents", learners, outcomes, ("assigned-landmarks", "random"))
        say(f"picture: {plots.save(figure, out / f'e8-{n}.png')}")
        for kind in list(unbiased)[1:]:
            apart = difference(outcomes[kind].per_step, usual.per_step)
            verdict(say, f"{n} agents: {kind} is not below MAPPO", bool(apart.high >= 0), f"{apart.text(4)} a step")
            times = ratio(reached["mappo"], reached[kind], steps)
            verdict(say, f"{n} agents: {kind} is sooner than MAPPO", times.above(1.0), f"{times.ends()} times")
            if n >= 6:
                verdict(say, f"{n} agents: {kind} is above MAPPO", apart.above(), f"{apart.text(4)} a step")


PENALTIES = (0.0, -1.0, -2.0)
"""What a contact alone earns: none, or a price for coming too early."""


def e7(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """Predators that pay for a contact alone: does a mixer that can say "only together" help?"""
    steps = 4000 if quick else 250_000
    kinds: dict[str, Credit | None] = {
        "mappo": None,
        "sum": Baseline(),
        "monotone": Baseline(mixer=Monotone()),
        "free": Baseline(mixer=Free()),
    }
    say("E7. Prediction: VDN and QMIX catch less the more a contact alone costs; PPO ends alike whatever its mixer.")
    say_plan(say, [Trial(kind, "random", steps) for kind in (*kinds, "vdn", "qmix")] * len(PENALTIES), seeds, RATE)
    elsewhere = []
    for penalty in PENALTIES[:1] if quick else PENALTIES:
        world = environments.make("pursuit", size=4.0, radius=0.4, discrete=True, alone=penalty)
        trials = [Trial("greedy-pursuit", "greedy-pursuit")]
        trials += [Trial(f"ppo, {kind}", learner(world, credit), steps, LANES) for kind, credit in kinds.items()]
        values = {id: getattr(value, id)(world.spec) for id in ("vdn", "qmix")}
        trials += [Trial(id, dataclasses.replace(x, updates=4), steps, LANES) for id, x in values.items()]
        outcomes = run(trials, world, seeds=seeds, episodes=64, out=out / f"alone{penalty:g}", evaluations=6, say=say)
        table(f"E7, a contact alone earns {penalty:g}, {steps:,} steps, {seeds} seeds", outcomes, COLUMNS, out)
        for kind in list(kinds)[1:]:
            apart = difference(outcomes[f"ppo, {kind}"].per_step, outcomes["ppo, mappo"].per_step)
            elsewhere += [f"{kind} at {penalty:g}: {apart.text(3)}"] * bool(apart.low > 0 or apart.high < 0)
    evidence = "; ".join(elsewhere) or "no difference excludes 0"
    verdict(say, "the mixer does not change where PPO ends", not elsewhere, evidence)


COLUMNS = [
    Column("arm", lambda o: o.label),
    Column("team return", lambda o: o.per_seed("return/team_sum"), 1),
    Column("reward per step and agent", lambda o: o.per_step),
    Column("knows", lambda o: o.knows),
]


def e9(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """Do traced credits agree with what forked environments say? On the discrete toy environment and on spread.

    Policies are uniform all the time, or come to rest after half of the steps, so that a model can catch up with them.
    It is fitted to whole returns (λ = 1) or to the next step and the critic's word (λ = 0).
    """
    states, forks = (4, 8) if quick else (48, 256)
    say("E9. Prediction, of teams that have learned: correlation with forked credits at least 0.9 on the toy world and")
    say("    0.6 on spread. Uniform policies, which try everything, are an easier question, asked after that one.")
    cases = {
        "toy/discrete": (0.9, 60_000, partial(team, entropy=constant(0.1))),
        "particle/spread": (0.6, 300_000, learner),
    }
    fits = {f"{policies}, λ = {lam:g}": (policies, lam) for policies in ("uniform", "learned") for lam in (1.0, 0.0)}
    say_plan(say, [Trial(x, "random", 2000 if quick else cases[x][1]) for x in cases for _ in fits], seeds, RATE)
    for name, (least, steps, make) in cases.items():
        world, steps = environments.make(name), 2000 if quick else steps
        rates = {"uniform": constant(0.0), "learned": Linear(1e-3, 0.0, steps / 2)}
        arms = {fit: make(world, Baseline(lam=lam), actor_lr=rates[policies]) for fit, (policies, lam) in fits.items()}
        trials = [Trial(fit, arm, steps, LANES) for fit, arm in arms.items()]
        place = out / name.replace("/", "-")
        outcomes = run(trials, world, seeds=seeds, episodes=32, out=place, evaluations=4, say=say)
        rows = {}
        for fit, arm in arms.items():
            agents = open_run(outcomes[fit].run).agents
            for group in world.spec.groups:
                keys = [jax.random.fold_in(jax.random.key(9), seed) for seed in range(seeds)]
                seen = [
                    fidelity(world, arm, _seed(agents, seed), key, group, states=states, forks=forks)
                    for seed, key in enumerate(keys)
                ]
                found = {"correlation": [x.correlation for x in seen], "signs": [x.signs for x in seen]}
                values = {what: np.array(x)[:, None] for what, x in found.items()}
                rows[f"{group}, {fit}"] = outcomes[fit]._replace(label=f"{group}, {fit}", values=values)
        columns = [
            Column("group, policies, model fitted to", lambda o: o.label),
            Column("correlation with forks", lambda o: o.per_seed("correlation"), 2),
            Column("signs of the larger half", lambda o: o.per_seed("signs"), 2),
        ]
        table(f"E9, {name}, {steps:,} steps, {seeds} seeds", rows, columns, out)
        for label, row in rows.items():
            found = mean(row.per_seed("correlation"))
            verdict(say, f"{name}, {label}: correlation at least {least}", found.above(least), found.text(2))


def e5(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """Three landmarks and more agents than that; and an agent without motors: who is lazy, and who is redundant?

    An agent is lazy if the team would hardly miss it (Λ near 1) and could do better (ρ > 0), redundant if it could
    not: ρ is what the team gains when the laziest agent learns anew, beside its mates as they are.
    """
    steps = 4000 if quick else 300_000
    sizes = (3,) if quick else (3, 5)
    say("E5. Prediction: an agent without motors has Λ = 1 and no share of the credit's variance; MAPPO leaves no more")
    say("    laziness than credit does.")
    kinds = {"mappo": None, "baseline": Baseline()}
    say_plan(say, [Trial(kind, "random", steps) for kind in kinds] * (len(sizes) + 1), seeds, RATE)
    cases = {f"{n} agents": environments.make("particle/spread", agents=n, landmarks=3) for n in sizes}
    cases["an agent without motors"] = Stuck(environments.make("particle/spread"), "agent", 0)
    for title, world in cases.items():
        trials = [Trial(kind, learner(world, credit), steps, LANES) for kind, credit in kinds.items()]
        place = out / title.replace(" ", "-")
        outcomes = run(trials, world, seeds=seeds, episodes=64, out=place, evaluations=6, say=say)
        lazy = {}
        for kind, credit in kinds.items():
            agents = open_run(outcomes[kind].run, world).agents
            effect = effects(world, learner(world, credit), agents, "agent", seeds, 64)
            lazy[kind] = laziness(effect)
            say(f"    {title}, {kind}: loss without agent {_row(effect)}, Λ {_row(lazy[kind])}")
            gap = np.array(
                [
                    improvement(
                        world,
                        learner(world, credit),
                        _seed(agents, s),
                        "agent",
                        int(lazy[kind][s].argmax()),
                        steps // 4,
                    )
                    for s in range(2)
                ]
            )
            say(f"    {title}, {kind}: ρ of the laziest agent in two seeds {gap.round(2)}")
        table(f"E5, {title}, {seeds} seeds", outcomes, COLUMNS, out)
        apart = difference(lazy["mappo"].max(1), lazy["baseline"].max(1))
        verdict(say, f"{title}: MAPPO is no lazier", bool(apart.low <= 0), f"largest Λ {apart.text(2)} more")
        if isinstance(world, Stuck):
            still = lazy["baseline"][:, 0]
            verdict(say, "the agent without motors has Λ = 1", bool((still > 0.9).all()), mean(still).text(2))
            parts = np.stack([outcomes["baseline"].values[f"ledger/agent/agent_{i}"] for i in range(3)])
            spread = parts.var(2).mean(1)
            verdict(
                say,
                "and hardly a share of the credit",
                bool(spread[0] < 0.1 * spread.sum()),
                f"{spread[0] / spread.sum():.2f}",
            )


def _seed(agents: Any, seed: int) -> Any:
    return jax.tree.map(lambda x: x[seed], agents)


def _row(values: np.ndarray) -> str:
    return "[" + ", ".join(mean(x).text(2) for x in values.T) + "]"


def e10(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """Which parts matter? How far to rely on the model, how often it is fitted, and what it is fitted to."""
    steps = 4000 if quick else 150_000
    kinds: dict[str, Credit | None] = {
        "mappo": None,
        "η adaptive": Baseline(),
        "η = 0.5": Baseline(eta=0.5),
        "η = 1": Baseline(eta=1.0),
        "fitted to λ = 0.95": Baseline(lam=0.95),
        "no penalty": Baseline(decay=0.0),
        "slower model": Baseline(lr=7e-4),
    }
    world = environments.make("particle/spread", agents=6, landmarks=6)
    trials = [Trial(kind, learner(world, credit), steps, LANES) for kind, credit in kinds.items()]
    say("E10. Prediction: relying on the model as far as it has paid is never worse than a fixed η.")
    say_plan(say, trials, seeds, RATE)
    outcomes: dict[str, Outcome] = run(trials, world, seeds=seeds, episodes=64, out=out, evaluations=8, say=say)
    table(f"E10, spread with 6 agents, {steps:,} steps, {seeds} seeds", outcomes, COLUMNS, out)
    for kind in ("η = 0.5", "η = 1"):
        apart = difference(outcomes["η adaptive"].per_step, outcomes[kind].per_step)
        verdict(say, f"adaptive is not worse than {kind}", bool(apart.high >= 0), apart.text(4))
