"""Credit in games of which everything is known: E1 (additive), E2 (interactions), E3 (several steps), E4 (the
squeeze), E6 (mixers)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from covey import algorithms, environments
from covey.algorithms.credit import Baseline, Marginal, Trajectory
from covey.algorithms.ppo import PPO
from covey.learning.targets import constant
from covey.nn import mixers
from covey.runs import plots
from covey.studies.credit.common import (
    ratio,
    reached_text,
    reported,
    steps_to_stay,
    team,
)
from covey.studies.saying import Say, say_plan, verdict
from covey.studies.statistics import Interval, difference, mean
from covey.studies.trials import Column, Outcome, Trial, curve, run, table

RATE = 8_000.0
"""Learning steps a second of games of one step, all seeds together, for the plans."""

LANES = 32


def gradient_variances(payoff: np.ndarray, noise: float, draws: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Variance of each player's policy gradient in an additive game [n, A], at uniform policies, by kind of credit.

    The gradient of the logits of player i is (1[a_i] - π_i) Ψ_i: its total variance over `draws` joint actions. With
    joint advantage Ψ_i is what all players and the noise earn; the exact baseline leaves player i and the noise, the
    exact marginal player i alone.
    """
    rng = np.random.default_rng(seed)
    n, choices = payoff.shape
    centered = payoff - payoff.mean(1, keepdims=True)
    action = rng.integers(choices, size=(draws, n))
    own = np.take_along_axis(centered[None], action[..., None], 2)[..., 0]  # [draws, n]
    chance = noise * rng.normal(size=(draws, 1))
    score = np.eye(choices)[action] - 1.0 / choices
    kinds = {"joint": own.sum(1, keepdims=True) + chance, "baseline": own + chance, "marginal": own}
    return {kind: (score * psi[..., None]).var(0).sum(-1) for kind, psi in kinds.items()}


FEW = {"horizon": 4, "actor_lr": constant(1e-3), "critic_lr": constant(1e-3), "shared": False}
"""Settings of E1 and E4: players of their own, who learn from few games at a time, so that noise matters."""

FEW_MODEL: dict[str, Any] = {"width": 32, "batch": 64, "recent": 16}
"""A smaller model for E4, fitted to twice as many games in each step as are played in between: with 128 agents and ten
choices the usual one costs more time than everything else."""

FEW_LANES = 8

FEW_RATE = 8_000.0
"""Learning steps a second and agent of such a race, all seeds together, for the plans."""

Arms = dict[str, tuple[Any, PPO]]
"""Learners by name, each with the environment that it learns in; the first is what the others are compared with."""


def e1(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """Additive games of 2 to 64 players: is the signal of MAPPO drowned by the others?

    Variances are of players of uneven weight, the race of players of even weight. The model of `last rollout` learns
    from nothing else. The arm `exact` is paid apart: what credit could bring at most, by a model that was true from the
    start.
    """
    sizes = (2, 4) if quick else (2, 4, 8, 16, 32, 64)
    say("E1. Prediction: with a true model the variance of a player's gradient falls by what the others' choices add, ")
    say("    about the number of players on average, more for those who matter little; learning gains up to that.")
    rows = [("players", "joint / baseline, mean player", "weakest player", "joint / marginal, mean player")]
    for n in sizes:
        world = environments.make("matrix/additive", players=n)
        variances = gradient_variances(np.asarray(world.payoff), world.noise, 2000 if quick else 50_000)
        falls = variances["joint"] / variances["baseline"]
        pure = variances["joint"] / variances["marginal"]
        rows.append(
            (str(n), f"{np.exp(np.log(falls).mean()):.1f}", f"{falls.max():.1f}", f"{np.exp(np.log(pure).mean()):.1f}")
        )
    for row in rows:
        say("    " + " | ".join(f"{cell:>30}" for cell in row))

    def arms(n: int) -> Arms:
        world, apart = (environments.make("matrix/additive", players=n, uneven=0.0, apart=x) for x in (False, True))
        kinds = {"mappo": None, "baseline": Baseline(), "last rollout": Baseline(recent=1), "marginal": Marginal()}
        found = {kind: (world, team(world, credit, **FEW)) for kind, credit in kinds.items()}
        return found | {"exact": (apart, team(apart, team_reward=False, **FEW))}

    races = {f"{n} players": arms(n) for n in ((2,) if quick else (2, 8, 16, 32, 64))}
    length = 20 if quick else 60
    sooner = race("E1", races, 0.0, length, "world/payoff", seeds=seeds, out=out, say=say)
    decided(say, "credit is sooner where there are many players", sooner)
    decided(say, "a model that learns from the last rollout alone is too late", sooner, "last rollout", sooner=False)
    decided(say, "credit would be sooner if its model were true from the start", sooner, "exact")


def e4(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """The Gaussian squeeze: everybody's number is worth about the same, and the less the more there are."""
    say("E4. Prediction: the more agents, the longer MAPPO needs to find the sum; credit by parts needs it less.")
    kinds = {"mappo": None, "baseline": Baseline(**FEW_MODEL)}
    worlds = {n: environments.make("squeeze", agents=n, mean=2.0) for n in ((4,) if quick else (8, 32, 128))}
    races = {
        f"{n} agents": {kind: (world, team(world, credit, **FEW)) for kind, credit in kinds.items()}
        for n, world in worlds.items()
    }
    sooner = race("E4", races, 0.4, 20 if quick else 250, "return/agent/mean_agent", seeds=seeds, out=out, say=say)
    decided(say, "credit by parts is sooner with many agents", sooner)


def race(
    study: str,
    races: dict[str, Arms],
    chance: float,
    iterations: int,
    metric: str,
    *,
    seeds: int,
    out: Path,
    say: Say,
) -> dict[str, Interval]:
    """How many times sooner than the first arm each other goes 95 % of the way to the optimum of `metric` in each race,
    by "race, arm"; the way begins at `chance`, the share of the optimum that uniform choices earn. The picture shows
    the last race."""
    steps = iterations * FEW_LANES * FEW["horizon"]
    runs = [world.spec for arms in races.values() for world, _ in arms.values()]
    agents = float(np.mean([group.size for spec in runs for group in spec.groups.values()]))
    say_plan(say, [Trial("an arm", "random", steps)] * len(runs), seeds, FEW_RATE / agents)
    sooner, curves, title = {}, {}, ""
    for title, arms in races.items():
        usual, (world, _) = next(iter(arms.items()))
        best = world.reference().value
        level, outcomes = (chance + 0.95 * (1.0 - chance)) * best, {}
        for arm, (world, learner) in arms.items():
            trial = Trial(arm, learner, steps, FEW_LANES)
            place = out / title.replace(" ", "-")
            outcomes |= run(
                [trial], world, seeds=seeds, episodes=1, out=place, evaluations=min(100, iterations // 2), say=say
            )
        reached = {arm: steps_to_stay(outcome, level, metric) for arm, outcome in outcomes.items()}
        columns = [
            Column("arm", lambda o: o.label),
            Column("share of the optimum", lambda o, best=best: o.per_seed(metric) / best),
            Column("steps to 95 % of the way, for good", lambda o, reached=reached: reached_text(reached[o.label])),
        ]
        table(f"{study}, {title}, {seeds} seeds", outcomes, columns, out)
        for arm in list(arms)[1:]:
            sooner[f"{title}, {arm}"] = times = ratio(reached[usual], reached[arm], steps)
            say(f"    {title}: {arm} is there {times.ends()} times as soon as {usual}")
        curves = {arm: (x, y / best) for arm, (x, y) in ((a, curve(o, metric)) for a, o in outcomes.items())}
    levels = {"95 % of the way": chance + 0.95 * (1.0 - chance)}
    figure = plots.curves(
        f"{study}: {title} on their way to the optimum", curves, levels, "environment steps", "share of the optimum"
    )
    say(f"picture: {plots.save(figure, out / f'{study.lower()}.png')}")
    return sooner


def decided(say: Say, prediction: str, found: dict[str, Interval], arm: str = "baseline", sooner: bool = True) -> None:
    """The verdict on a prediction about an arm in the last race: it is sooner than the first arm, or is not."""
    title, most = [(title, x) for title, x in found.items() if title.endswith(arm)][-1]
    verdict(say, prediction, most.above(1.0) if sooner else most.low <= 1.0, f"{title}: {most.ends()} times")


def e2(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """Random games with a given share of interaction, and parity, in which nobody's choice matters alone.

    What a model can explain is asked where policies do not move: their learning rate is 0, and choices stay uniform.
    """
    shares = (0.0, 1.0) if quick else (0.0, 0.25, 0.5, 0.75, 1.0)
    iterations = 20 if quick else 250
    steps = iterations * LANES * 4
    kinds = {
        "mappo": None,
        "sum": Baseline(),
        "pair": Baseline(mixer=mixers.Pair()),
        "free": Baseline(mixer=mixers.Free()),
    }
    say("E2. Prediction: credit by parts (sum) explains what players do not do together, no more; pairs explain more;")
    say("    no mixer ends elsewhere than MAPPO, because none biases the gradient. In parity nothing gains.")
    trials = [Trial(kind, "random", steps, LANES) for kind in [*kinds, *list(kinds)[1:]]] * (len(shares) + 1)
    say_plan(say, trials, seeds, RATE)
    ends, explained = {}, {}
    for rho in (*shares, "parity"):
        world = (
            environments.make("matrix/parity")
            if rho == "parity"
            else environments.make("matrix/anova", players=4, interaction=rho)
        )
        best = world.reference().value
        arms = [Trial(kind, team(world, credit), steps, LANES) for kind, credit in kinds.items()]
        still = [
            Trial(f"{kind}, uniform", team(world, credit, actor_lr=constant(0.0)), steps, LANES)
            for kind, credit in kinds.items()
            if credit
        ]
        place = out / f"interaction-{rho}"
        outcomes = run([*arms, *still], world, seeds=seeds, episodes=1, out=place, evaluations=10, say=say)
        explained[rho] = {kind: reported(outcomes[f"{kind}, uniform"], "explained") for kind in list(kinds)[1:]}
        columns = [
            Column("mixer", lambda o: o.label),
            Column("return", lambda o: o.per_seed(o.return_metric)),
            Column("optimum", lambda o, best=best: f"{best:.3f}"),
            Column("explained of uniform choices", lambda o, rho=rho: explained[rho].get(o.label, "")),
        ]
        learned = {kind: outcomes[kind] for kind in kinds}
        table(f"E2, interaction {rho}, {seeds} seeds", learned, columns, out)
        ends[rho] = {kind: outcome.per_seed(outcome.return_metric) for kind, outcome in learned.items()}
    apart = [
        (rho, kind, difference(x, of["mappo"])) for rho, of in ends.items() for kind, x in of.items() if kind != "mappo"
    ]
    elsewhere = [f"{kind} at {rho}: {d.text(2)}" for rho, kind, d in apart if d.low > 0 or d.high < 0]
    verdict(
        say, "no mixer ends elsewhere than MAPPO", not elsewhere, "; ".join(elsewhere) or "no difference excludes 0"
    )
    sums = {rho: mean(explained[rho]["sum"]) for rho in shares}
    near = all(abs(x.mean - (1.0 - rho)) < 0.1 for rho, x in sums.items())
    said = ", ".join(f"{x.text(2)} at {rho}" for rho, x in sums.items())
    verdict(say, "a sum explains what players do not do together, to within 0.1", near, said)


def e3(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """Random decision problems of several steps: which credit ends where, and with how much regret on the way?"""
    problems = (0,) if quick else (0, 1, 2, 3)
    iterations = 20 if quick else 250
    steps = iterations * LANES * 6
    kinds = {"mappo": None, "baseline": Baseline(), "trajectory": Trajectory(), "marginal": Marginal()}
    say("E3. Prediction: baseline and trajectory end where MAPPO ends; the model's word alone (marginal) may not.")
    trials = [Trial(kind, "random", steps, LANES) for kind in kinds] * len(problems)
    say_plan(say, trials, seeds, RATE)
    regrets: dict[str, list[np.ndarray]] = {kind: [] for kind in kinds}
    for problem in problems:
        world = environments.make("matrix/decisions", seed=problem)
        best = world.reference().value
        arms = [Trial(kind, team(world, credit, horizon=6), steps, LANES) for kind, credit in kinds.items()]
        outcomes = run(arms, world, seeds=seeds, episodes=8, out=out / f"problem-{problem}", evaluations=10, say=say)
        columns = [
            Column("credit", lambda o: o.label),
            Column("return", lambda o: o.per_seed(o.return_metric)),
            Column("optimum", lambda o, best=best: f"{best:.3f}"),
        ]
        table(f"E3, problem {problem}, {seeds} seeds", outcomes, columns, out)
        for kind, outcome in outcomes.items():
            regrets[kind].append(best - outcome.per_seed(outcome.return_metric))
    means = {kind: np.mean(rows, axis=0) for kind, rows in regrets.items()}
    for kind, values in means.items():
        say(f"    mean regret of {kind}: {mean(values).text()}")
    for kind in ("baseline", "trajectory"):
        apart = difference(means[kind], means["mappo"])
        verdict(say, f"{kind} ends where MAPPO ends", apart.low <= 0 <= apart.high, f"regret {apart.text()} more")


GAMES: dict[str, tuple[str, dict[str, Any], float]] = {
    "qtran": ("matrix/qtran", {}, 8.0),
    "qtran, another draw": ("matrix/qtran", {"variant": 1}, 8.0),
    "qtran, begun nearer": ("matrix/qtran", {"twins": 1}, 8.0),
    "climbing": ("matrix/climbing", {}, 11.0),
    "penalty": ("matrix/penalty", {}, 10.0),
    "two-step": ("matrix/two-step", {}, 8.0),
}
"""Games in which the safe choice hides the best one: id, settings, and what the best earns."""


def e6(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """Is IGM needed? Games that monotone values cannot represent: value-based controls beside PPO with every mixer."""
    iterations = 20 if quick else 300
    steps = iterations * LANES * 4
    kinds = {
        "mappo": None,
        "sum": Baseline(),
        "pair": Baseline(mixer=mixers.Pair()),
        "monotone": Baseline(mixer=mixers.Monotone()),
        "free": Baseline(mixer=mixers.Free()),
        "weighted": Baseline(mixer=mixers.Weighted()),
    }
    say("E6. Prediction: VDN and QMIX settle for the safe choice of QTRAN's game (0 of 8). So do policy gradients with")
    say("    any mixer, from uniform policies: with chance p of the best choice it earns 20p - 12, the others -12p, so")
    say("    they need p > 0.375 to find it, and begin with 1/3. Where it has a twin they begin with 1/2, and find it.")
    say("    IGM is needed for the arg-max of values, and not for gradients.")
    names = ("qtran", "two-step") if quick else tuple(GAMES)
    trials = [Trial(kind, "random", steps, LANES) for kind in (*kinds, "vdn", "qmix")] * len(names)
    say_plan(say, trials, seeds, RATE)
    ends: dict[str, dict[str, np.ndarray]] = {}
    for name in names:
        id, settings, best = GAMES[name]
        world = environments.make(id, **settings)
        arms = [Trial(f"ppo, {kind}", team(world, credit), steps, LANES) for kind, credit in kinds.items()]
        arms += [Trial(id, algorithms.make(id, world), steps, LANES) for id in ("vdn", "qmix")]
        place = out / name.replace(", ", "-").replace(" ", "-")
        outcomes = run(arms, world, seeds=seeds, episodes=1, out=place, evaluations=10, say=say)
        columns = [
            Column("arm", lambda o: o.label),
            Column("return", _returns, 2),
            Column("best", lambda o, best=best: f"{best:g}"),
            Column("seeds at the best", lambda o, best=best: f"{(_returns(o) > best - 0.1).sum()} of {seeds}"),
        ]
        table(f"E6, {name}, {seeds} seeds", outcomes, columns, out)
        ends[name] = {label: _returns(outcome) for label, outcome in outcomes.items()}
    for arm in ("vdn", "qmix"):
        found = ends["qtran"][arm]
        verdict(say, f"{arm} settles for 0 in QTRAN's game", bool((found < 1).all()), mean(found).text(2))
    for name, low, high in (("qtran", -1.0, 1.0), ("qtran, begun nearer", 7.9, 8.1)):
        if name in ends:
            found = {arm: x for arm, x in ends[name].items() if arm.startswith("ppo")}
            there = bool(all(((low < x) & (x < high)).all() for x in found.values()))
            evidence = "; ".join(f"{arm}: {mean(x).text(2)}" for arm, x in found.items())
            verdict(say, f"policy gradients, any mixer, end at {round((low + high) / 2)} in {name}", there, evidence)
    apart = [
        (name, arm, difference(x, of["ppo, mappo"]))
        for name, of in ends.items()
        for arm, x in of.items()
        if arm.startswith("ppo") and arm != "ppo, mappo"
    ]
    elsewhere = [f"{arm} in {name}: {d.text(2)}" for name, arm, d in apart if d.low > 0 or d.high < 0]
    evidence = "; ".join(elsewhere) or "no difference excludes 0"
    verdict(say, "the mixer does not change where PPO ends", not elsewhere, evidence)


def _returns(outcome: Outcome) -> np.ndarray:
    return outcome.per_seed(outcome.return_metric)
