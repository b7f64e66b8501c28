"""ATT-MADDPG (Mao et al. 2018, arXiv:1811.07029): what the paper shows, measured again.

The paper gives no capacities, no demands, no episode length and no termination rule for routing, and no speeds, radius
or metric for its two benchmark tasks. So absolute returns are not comparable; orders, ratios and distances to an exact
optimum are. Every study prints its plan first, and each table says what a row knows.
"""

from __future__ import annotations

import csv
import dataclasses
import os
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jax
import numpy as np

from covey import environments
from covey.algorithms import ddpg
from covey.algorithms.critics import AttentionHeads, Heads
from covey.core.environment import evaluation_world
from covey.environments.routing.rules import ecmp_mlu
from covey.learning.exploration import Gaussian, OrnsteinUhlenbeck
from covey.learning.replay import Replay
from covey.learning.targets import Linear
from covey.runs.policy import load
from covey.runs.render import render
from covey.studies import plots
from covey.studies.alignment import alignment, foresight
from covey.studies.statistics import difference, gap_closed, mean, order
from covey.studies.trials import Column, Outcome, Trial, curve, run, table

Say = Callable[[str], None]

STATIC_RULES = ("ecmp", "equal", "wcmp-link", "wcmp-path", "wcmp-residual")
"""What a practitioner would configure: the best of these is "the best rule"."""

RATE = {"small": 5000.0, "large": 1500.0, "plane": 15_000.0, "abilene": 800.0}
"""Learning steps per second (all seeds together) on two cores, for the plans."""


def say_plan(say: Say, trials: Sequence[Trial], seeds: int, kind: str, tables: int = 1) -> None:
    """The plan in hours, before anything runs."""
    steps = tables * seeds * sum(trial.steps for trial in trials)
    say(f"plan: {steps:,} learning steps of {seeds} seeds, about {steps / RATE[kind] / 3600:.2f} h on two cores")


def named(name: str, environment: Any, preset: str = "tuned", **changes: Any) -> ddpg.DDPG:
    """An alias of the DDPG family with some fields changed."""
    return dataclasses.replace(getattr(ddpg, name)(environment.spec, preset=preset), **changes)


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


# ---------------------------------------------------------------------------------------------------------------------
# Routing


def demo(*, quick: bool, out: Path, say: Say) -> None:
    """Two learners beside the rules of real networks, the decentralized bound and the exact optimum, in minutes."""
    world = environments.make("routing/small-contended")
    steps, seeds = (600, 2) if quick else (6000, 5)
    trials = [
        *(Trial(rule, rule) for rule in ("random", "ecmp", "wcmp-path")),
        Trial("maddpg", "maddpg", steps),
        Trial("att-maddpg", "att-maddpg", steps),
        *(Trial(rule, rule) for rule in ("decentralized-bound", "optimal-routing")),
    ]
    say("Two routers share a link that is too narrow for both. Reward per step: 1 - utilization of the busiest link.")
    outcomes = run(trials, world, seeds=seeds, episodes=64, out=out, evaluations=10, say=say)
    table("routing/small-contended", outcomes, ROUTING_COLUMNS, out)
    say_difference(say, outcomes, "att-maddpg", "ecmp")
    say_difference(say, outcomes, "att-maddpg", "maddpg")
    learners = {name: outcomes[name] for name in ("att-maddpg", "maddpg")}
    figure = learning_curves(
        "Routers learn to share", learners, outcomes, ("ecmp", "decentralized-bound", "optimal-routing")
    )
    picture = plots.save(figure, out / "learning.png")
    film = render(out / "att-maddpg", out / "episode.html")
    say(f"pictures: {picture} and {film[0]}")


def routing_small(*, quick: bool, out: Path, say: Say) -> None:
    """Figure 5, on `small-contended` with delays: own observation, and with a probe of all links.

    An update every four steps; the paper's hyperparameters with one a step.
    """
    steps, paper_steps, seeds = (2000, 500, 2) if quick else (40_000, 30_000, 10)
    episodes = 16 if quick else 64
    for see in ("own", "probe"):
        world = environments.make("routing/small-contended", see=see)
        trials = [
            *(Trial(rule, rule) for rule in ("random", *STATIC_RULES, "static-optimal", "stale-optimal")),
            Trial("maddpg", named("maddpg", world, horizon=4), steps),
            Trial("att-maddpg", named("att_maddpg", world, horizon=4), steps),
            Trial("maddpg (paper)", named("maddpg", world, "paper"), paper_steps),
            Trial("att-maddpg (paper)", named("att_maddpg", world, "paper"), paper_steps),
            *(Trial(rule, rule) for rule in ("decentralized-bound", "direct-splitter", "optimal-routing")),
        ]
        say_plan(say, trials, seeds, "small", tables=2)
        outcomes = run(trials, world, seeds=seeds, episodes=episodes, out=out / see, say=say)
        table(f"routing/small-contended, {see} observation, {seeds} seeds", outcomes, with_gap(outcomes), out)
        for ours, theirs in (
            ("att-maddpg", "maddpg"),
            ("att-maddpg", "static-optimal"),
            ("att-maddpg (paper)", "maddpg (paper)"),
        ):
            say_difference(say, outcomes, ours, theirs)
        learners = {name: outcomes[name] for name in ("att-maddpg", "maddpg")}
        figure = learning_curves(
            f"small-contended, {see} observation",
            learners,
            outcomes,
            ("wcmp-path", "static-optimal", "decentralized-bound", "optimal-routing"),
        )
        say(f"picture: {plots.save(figure, out / f'learning-{see}.png')}")
    final = published("fig5_small")
    ratio = final["ATT-MADDPG"][-10:].mean() / final["MADDPG"][-10:].mean()
    say(f"published (figure 5, last 10 points): ATT/MADDPG {ratio:.2f}, ATT > MADDPG > WCMP > PSMADDPGV2 > Khead")
    say("ours: " + order(["att-maddpg", "maddpg", "wcmp-path"], {k: o.per_step for k, o in outcomes.items()}))
    say("absolute returns are not comparable: the paper publishes neither capacities nor demands")


def routing_large(*, quick: bool, out: Path, say: Say) -> None:
    """Figure 6, on `large` with delays and hop control: seven routers, twenty paths.

    An update every four steps, at learning rates that fall, and most of them with little noise: while noise is wide,
    actors learn what is best for the noisy actions of their team, which is not what is best without noise. The
    scale of attention is 1/√width.
    """
    world = environments.make("routing/large")
    steps, paper_steps, seeds, episodes = (2000, 500, 2, 8) if quick else (200_000, 50_000, 6, 32)
    changes = {"horizon": 4, "anneal": 50_000, "raw_l2": 1e-2}
    trials = [
        *(Trial(rule, rule) for rule in ("random", *STATIC_RULES, "static-optimal", "stale-optimal")),
        Trial("att-maddpg", named("att_maddpg", world, critic=AttentionHeads(scale=0.0), **changes), steps),
        Trial("maddpg", named("maddpg", world, **changes), steps),
        Trial("att-maddpg (paper)", named("att_maddpg", world, "paper"), paper_steps),
        *(Trial(rule, rule) for rule in ("decentralized-bound", "optimal-routing")),
    ]
    say_plan(say, trials, seeds, "large")
    outcomes = run(trials, world, seeds=seeds, episodes=episodes, out=out, say=say)
    share = Column(
        "share of the linear program's reward", lambda o: o.per_step / (1.0 - o.per_seed("world/mlu_optimum").mean())
    )
    table(f"routing/large, {seeds} seeds", outcomes, [*ROUTING_COLUMNS[:2], share, *ROUTING_COLUMNS[2:]], out)
    say_difference(say, outcomes, "att-maddpg", "maddpg")
    learners = {name: outcomes[name] for name in ("att-maddpg", "maddpg")}
    figure = learning_curves(
        "large, hop by hop", learners, outcomes, ("wcmp-path", "equal", "decentralized-bound", "optimal-routing")
    )
    say(f"picture: {plots.save(figure, out / 'learning.png')}")
    final = published("fig6_large")
    ratio = final["ATT-MADDPG"][-10:].mean() / final["MADDPG"][-10:].mean()
    ours = outcomes["att-maddpg"].per_step.mean() / outcomes["maddpg"].per_step.mean()
    say(f"published (figure 6, last 10 points): ATT/MADDPG {ratio:.2f}; ours {ours:.2f}")


def heads(*, quick: bool, out: Path, say: Say) -> None:
    """Figure 7 and the ablation of section 4.1: how many heads, what they are without attention, and the family."""
    world = environments.make("routing/small-contended")
    steps, seeds = (600, 2) if quick else (10_000, 10)
    counts = (2, 4, 8, 12, 16)
    trials = [
        *(Trial(f"K={k}", named("att_maddpg", world, critic=AttentionHeads(heads=k)), steps) for k in counts),
        Trial("khead literal", "khead-maddpg", steps),
        Trial("khead fair", named("khead_maddpg", world, critic=Heads(teammate_actions=True)), steps),
        Trial(
            "khead fair mean", named("khead_maddpg", world, critic=Heads(teammate_actions=True, merge="mean")), steps
        ),
        *(Trial(id, id, steps) for id in ("maddpg", "ps-maddpg", "iddpg", "matd3")),
        *(Trial(rule, rule) for rule in (*STATIC_RULES, "decentralized-bound", "optimal-routing")),
    ]
    say_plan(say, trials, seeds, "small")
    outcomes = run(trials, world, seeds=seeds, episodes=16 if quick else 64, out=out, say=say)
    table(f"how many heads, {seeds} seeds", outcomes, with_gap(outcomes), out)
    for ours, theirs in (("K=4", "maddpg"), ("K=4", "khead literal"), ("K=4", "khead fair"), ("K=4", "ps-maddpg")):
        say_difference(say, outcomes, ours, theirs)
    say("ours: " + order([f"K={k}" for k in counts], {k: o.per_step for k, o in outcomes.items()}))
    figures = {
        "figure5": (
            published("fig5_small"),
            {"ATT-MADDPG": "K=4", "MADDPG": "maddpg", "PSMADDPGV2": "ps-maddpg", "Khead-MADDPG": "khead literal"},
        ),
        "figure7": (published("fig7_smallK"), {f"K={k}": f"K={k}" for k in counts} | {"MADDPG": "maddpg"}),
    }
    for name, (theirs, pairs) in figures.items():
        ours = {label: curve(outcomes[own], "return/router/mean_agent") for label, own in pairs.items()}
        say(f"picture: {plots.save(plots.beside(name, ours, theirs, world.spec.time_limit), out / f'{name}.png')}")


# ---------------------------------------------------------------------------------------------------------------------
# Benchmarks and real traffic


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
    "navigation": ("navigation", {}, 60_000),
    "pursuit": ("pursuit", {"unit": 1.0}, 8000),
    "pursuit at radius 0.2": ("pursuit", {"unit": 1.0, "radius": 0.2}, 8000),
}
"""Title of a table: world, its options, and updates. At the default radius pursuit leaves nothing to coordinate.
Predators have to stand within a few hundredths of a side to hold the prey, so they see in units of the plane."""


def benchmarks(*, quick: bool, out: Path, say: Say) -> None:
    """Table 2: navigation and pursuit, with regret to the strongest rule.

    All learners alike: wider networks than for routing, eight lanes, an update every 32 steps, exploration that keeps
    its direction for a while. The scale of attention is 1/√width.
    """
    seeds, episodes = (2, 32) if quick else (6, 256)
    learners = ("att-maddpg", "maddpg", "ps-maddpg", "khead-maddpg")
    for title, (name, options, updates) in PLANE.items():
        world = environments.make(name, **options)
        steps = 800 if quick else 32 * updates
        strong: str = world.reference().algorithm
        oracles = ["assignment", strong] if name == "navigation" else [strong]
        rules = list(dict.fromkeys(["random", "greedy-pursuit", *oracles]))
        trials = [
            *(Trial(rule, rule) for rule in rules),
            *(Trial(learner, on_the_plane(learner, world, updates), steps, envs=8) for learner in learners),
        ]
        say_plan(say, trials, seeds, "plane")
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
        if theirs:
            say("published order: " + " > ".join(theirs))
        say("ours: " + order(["greedy-pursuit", *learners], {k: o.per_step for k, o in outcomes.items()}))
        figure = learning_curves(title, {name: outcomes[name] for name in learners}, outcomes, rules[1:])
        say(f"picture: {plots.save(figure, out / (title.replace(' ', '-') + '.png'))}")


def regret_to(oracle: Outcome) -> Column:
    """How far a row is below `oracle`, in percent of what that earns."""
    best = oracle.per_step
    return Column(f"regret to {oracle.label}, %", lambda o: 100 * (best - o.per_step) / np.abs(best.mean()), 1)


def on_the_plane(learner: str, world: Any, updates: int) -> ddpg.DDPG:
    """A learner as the benchmarks train it: `updates` optimizer steps, in which its learning rates fall to a tenth."""
    algorithm = named(
        learner.replace("-", "_"),
        world,
        width=128,
        horizon=4,
        gamma=0.7,
        critic_lr=1e-3,
        raw_l2=1e-2,
        anneal=updates,
        exploration=OrnsteinUhlenbeck(Linear(0.3, 0.03, 24.0 * updates)),
        replay=Replay(200_000, 128),
    )
    scale = {"scale": 0.0} if isinstance(algorithm.critic, AttentionHeads) else {}
    return dataclasses.replace(algorithm, critic=dataclasses.replace(algorithm.critic, width=128, **scale))


def abilene(*, quick: bool, out: Path, say: Say) -> None:
    """Traffic engineering on Abilene: act before the matrix is seen, train on the first half, play all of the second.

    With `COVEY_DATA` set to a folder of real matrices (`abilene-cfrrl/Abilene` in it: a day of each of two weeks), on
    those; else on synthetic traffic. The metric is MLU over the optimum of the same matrix. Beside the learners, MADDPG
    whose actors are as fast as elsewhere: what goes wrong then is measured with `alignment` and `foresight`.
    """
    data = os.environ.get("COVEY_DATA")
    where = f"routing:{Path(data) / 'abilene-cfrrl' / 'Abilene'}" if data else "routing/abilene"
    world = environments.make(where, **({"train_share": 0.5} if data else {}))
    steps, fast_steps, seeds = (6400, 400, 2) if quick else (256_000, 16_000, 4)
    fast = named("maddpg", world, gamma=0.0, horizon=8)
    rules = ("wcmp-path", "static-optimal", "stale-optimal", "direct-splitter", "decentralized-bound")
    learners = ("att-maddpg", "maddpg", "maddpg (fast actors)")
    trials = [
        *(Trial(rule, rule) for rule in rules),
        *(Trial(learner, on_abilene(learner, world, steps), steps, envs=8) for learner in learners[:2]),
        Trial(learners[2], fast, fast_steps),
    ]
    say_plan(say, trials, seeds, "abilene")
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
        replay=Replay(16_000, 128),
        exploration=Gaussian(Linear(1.0, 0.2, float(steps))),
    )
    scale = {"scale": 0.0} if isinstance(algorithm.critic, AttentionHeads) else {}
    return dataclasses.replace(algorithm, critic=dataclasses.replace(algorithm.critic, **scale))


def learning_curves(
    title: str, learners: dict[str, Outcome], outcomes: dict[str, Outcome], lines: Sequence[str]
) -> Any:
    """Reward per step of the learners over training, with rules and bounds as lines."""
    curves = {}
    for name, outcome in learners.items():
        steps, returns = curve(outcome, outcome.return_metric)
        curves[name] = (steps, returns / curve(outcome, "steps/episode")[1])
    levels = {line: float(outcomes[line].per_step.mean()) for line in lines if line in outcomes}
    return plots.curves(title, curves, levels, "environment steps", "reward per step")


def published(figure: str) -> dict[str, np.ndarray]:
    """The published curves of a figure, read off its vector graphics: 100 points by column."""
    text = resources.files("covey.studies").joinpath("published", f"{figure}.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
