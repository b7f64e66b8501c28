"""The demo and figures 5 to 7: routers that learn to split traffic, beside rules, bounds and the linear program."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from covey import environments
from covey.algorithms.critics import AttentionHeads, Heads
from covey.runs import plots
from covey.runs.render import render
from covey.studies.att_maddpg.common import (
    RATE,
    ROUTING_COLUMNS,
    STATIC_RULES,
    named,
    published,
    say_difference,
    scaled,
    with_gap,
)
from covey.studies.saying import Say, say_plan
from covey.studies.statistics import order
from covey.studies.trials import Column, Trial, curve, learning_curves, run, table


def demo(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """Two learners beside the rules of real networks, the decentralized bound and the exact optimum, in minutes."""
    world = environments.make("routing/small-contended")
    steps = 600 if quick else 6000
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
        "Routers learn to share", learners, outcomes, ("random", "ecmp", "decentralized-bound", "optimal-routing")
    )
    picture = plots.save(figure, out / "learning.png")
    film = render(out / "att-maddpg", out / "episode.html")
    say(f"pictures: {picture} and {film[0]}")


def routing_small(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """Figure 5, on `small-contended` with delays: own observation, and with a probe of all links.

    An update every four steps, and a tenth of the usual penalty on logits; the paper's hyperparameters with one a step.
    """
    changes: dict[str, Any] = {"horizon": 4, "raw_l2": 1e-3}
    steps, paper_steps = (2000, 500) if quick else (40_000, 30_000)
    episodes = 16 if quick else 64
    for see in ("own", "probe"):
        world = environments.make("routing/small-contended", see=see)
        trials = [
            *(Trial(rule, rule) for rule in ("random", *STATIC_RULES, "static-optimal", "stale-optimal")),
            Trial("maddpg", named("maddpg", world, **changes), steps),
            Trial("att-maddpg", named("att_maddpg", world, **changes), steps),
            Trial("maddpg (paper)", named("maddpg", world, "paper"), paper_steps),
            Trial("att-maddpg (paper)", named("att_maddpg", world, "paper"), paper_steps),
            *(Trial(rule, rule) for rule in ("decentralized-bound", "direct-splitter", "optimal-routing")),
        ]
        say_plan(say, 2 * trials, seeds, RATE["small"])
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


def routing_large(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """Figure 6, on `large` with delays and hop control: seven routers, twenty paths.

    An update every four steps, at learning rates that fall, and most of them with little noise: while noise is wide,
    actors learn what is best for the noisy actions of their team, which is not what is best without noise. The
    scale of attention is 1/√width.
    """
    world = environments.make("routing/large")
    steps, paper_steps, episodes = (2000, 500, 8) if quick else (200_000, 50_000, 32)
    changes: dict[str, Any] = {"horizon": 4, "anneal": 50_000}
    trials = [
        *(Trial(rule, rule) for rule in ("random", *STATIC_RULES, "static-optimal", "stale-optimal")),
        Trial("att-maddpg", scaled(named("att_maddpg", world, **changes)), steps),
        Trial("maddpg", named("maddpg", world, **changes), steps),
        Trial("att-maddpg (paper)", named("att_maddpg", world, "paper"), paper_steps),
        *(Trial(rule, rule) for rule in ("decentralized-bound", "optimal-routing")),
    ]
    say_plan(say, trials, seeds, RATE["large"])
    outcomes = run(trials, world, seeds=seeds, episodes=episodes, out=out, say=say)
    share = Column(
        "share of the linear program's reward", lambda o: o.per_step / (1.0 - o.per_seed("world/mlu_optimum").mean())
    )
    table(f"routing/large, {seeds} seeds", outcomes, [*ROUTING_COLUMNS[:2], share, *ROUTING_COLUMNS[2:]], out)
    say_difference(say, outcomes, "att-maddpg", "maddpg")
    learners = {name: outcomes[name] for name in ("att-maddpg", "maddpg")}
    figure = learning_curves(
        "large, hop by hop", learners, outcomes, ("wcmp-path", "equal", "static-optimal", "decentralized-bound")
    )
    say(f"picture: {plots.save(figure, out / 'learning.png')}")
    final = published("fig6_large")
    ratio = final["ATT-MADDPG"][-10:].mean() / final["MADDPG"][-10:].mean()
    ours = outcomes["att-maddpg"].per_step.mean() / outcomes["maddpg"].per_step.mean()
    say(f"published (figure 6, last 10 points): ATT/MADDPG {ratio:.2f}; ours {ours:.2f}")


def heads(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """Figure 7 and the ablation of section 4.1: how many heads, what they are without attention, and the family."""
    world = environments.make("routing/small-contended")
    steps = 600 if quick else 10_000
    counts = (2, 4, 8, 12, 16)
    critics = {f"K={k}": ("att_maddpg", AttentionHeads(heads=k)) for k in counts} | {
        "khead literal": ("khead_maddpg", Heads()),
        "khead fair": ("khead_maddpg", Heads(teammate_actions=True)),
        "khead fair mean": ("khead_maddpg", Heads(teammate_actions=True, merge="mean")),
    }
    family = ("maddpg", "ps-maddpg", "iddpg", "matd3")
    learner = partial(named, environment=world)
    trials = [
        *(Trial(label, learner(name, critic=critic), steps) for label, (name, critic) in critics.items()),
        *(Trial(id, learner(id.replace("-", "_")), steps) for id in family),
        *(Trial(rule, rule) for rule in (*STATIC_RULES, "decentralized-bound", "optimal-routing")),
    ]
    say_plan(say, trials, seeds, RATE["small"])
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
