"""`mean-field/battle`: armies that learned against themselves, against each other, and inside MAgent2's own engine."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from covey import algorithms, environments
from covey.algorithms.mean_field.ac import MeanFieldAC
from covey.algorithms.mean_field.choosing import Boltzmann, EpsilonGreedy, greedy
from covey.algorithms.mean_field.field import Field
from covey.algorithms.mean_field.networks import Network, Shape
from covey.algorithms.mean_field.q import MeanFieldQ
from covey.algorithms.self_play import SelfPlay, sides
from covey.core.algorithm import Algorithm
from covey.core.types import Spec, action_size
from covey.environments.battle.orders import KILL
from covey.environments.battle.world import Battle
from covey.learning.replay import Replay
from covey.learning.targets import Linear, constant
from covey.runs.evaluate import FINAL, evaluation_keys
from covey.runs.policy import open_run
from covey.runs.render import render
from covey.runs.tournament import Contender, Estimate, Tournament, met, play, ruler
from covey.studies.saying import Say, say_plan, verdict
from covey.studies.trials import Trial, run

ENVS = 8
"""Battles side by side, of each seed."""

WIDTH = 32
RATE = 1_100.0
"""Learning steps a second, all seeds together, for the plan."""

MAIN = ("iql", "ac", "mfq", "mfac")
ABLATIONS = (
    ("ac, several steps", "ac"),
    ("mfac, several steps", "mfac"),
    ("mfac, several steps", "mfq"),
    ("mfq, Boltzmann", "mfq"),
    ("mfq, greedy", "mfq"),
    ("mfq, last steps left out", "mfq"),
    ("mfq", "iql, as wide"),
)
"""Who meets whom beside the four: (a) more gradient steps, (b) exploration, (c) last steps, (e) equal parameters. That
comrades are not seen (d) is a change of MF-Q that needs no training."""


# ---------------------------------------------------------------------------------------------------------------------
# Learners


def learner(world: Battle, name: str, steps: int) -> SelfPlay:
    """An arm of the study: one policy for both armies, that meets itself as it is.

    Every one of the four learns from the same steps, with a gradient step on 32 joint ones for every 32 that are
    played: the off-policy ones from a replay of 2,048, the others from what was just played, with the authors' weight
    of the entropy. All play as they choose at the end of training: the best choices alone stand still where nobody is
    in sight.
    """
    alias, _, change = name.partition(", ")
    algorithm = algorithms.make(f"self-play/{alias}", world)
    assert isinstance(algorithm, SelfPlay)
    inner = algorithm.inner
    inner = _values(inner, steps) if isinstance(inner, MeanFieldQ) else _actors(inner)
    return dataclasses.replace(algorithm, inner=CHANGES[change](inner, steps) if change else inner, past=0)


def _values(inner: MeanFieldQ, steps: int) -> MeanFieldQ:
    falling = EpsilonGreedy(Linear(1.0, 0.05, 0.6 * steps))
    replay, values = Replay(capacity=2048, batch=32), Network(width=WIDTH)
    return dataclasses.replace(inner, values=values, replay=replay, choosing=falling, played="drawn")


def _actors(inner: MeanFieldAC) -> MeanFieldAC:
    actors, critics = Network(width=WIDTH, last=0.01), Network(width=WIDTH)
    return dataclasses.replace(inner, actors=actors, critics=critics, horizon=4, entropy=constant(0.08), played="drawn")


def _several_steps(inner: MeanFieldAC, steps: int) -> MeanFieldAC:
    """As many gradient steps, four of them on longer rollouts each."""
    return dataclasses.replace(inner, horizon=16, epochs=4)


def _as_wide(inner: MeanFieldQ, steps: int) -> MeanFieldQ:
    """As many parameters as MF-Q has, which has a branch more."""
    name = inner.groups[0]
    means = action_size(inner.spec.groups[name].action)
    goal = _size(Network(width=WIDTH), inner.shape(name)._replace(mean=means))
    width = min(range(WIDTH, 2 * WIDTH), key=lambda w: abs(_size(Network(width=w), inner.shape(name)) - goal))
    return dataclasses.replace(inner, values=Network(width=width))


def _size(network: Network, shape: Shape) -> int:
    made = jax.eval_shape(lambda: network.init(jax.random.key(0), shape))
    return sum(x.size for x in jax.tree.leaves(made))


CHANGES: dict[str, Callable[[Any, int], Any]] = {
    "several steps": _several_steps,
    "Boltzmann": lambda inner, steps: dataclasses.replace(inner, choosing=Boltzmann(Linear(1.0, 0.05, 0.6 * steps))),
    "greedy": lambda inner, steps: dataclasses.replace(inner, choosing=greedy()),
    "last steps left out": lambda inner, steps: dataclasses.replace(inner, terminal=False),
    "as wide": _as_wide,
}


class Blinded(Field):
    """What happened is not seen: the mean action is zeros, or that of soldiers who choose at random."""

    noise: bool = eqx.field(static=True, default=False)

    def after(self, spec, memory, now, action, key):
        seen = super().after(spec, memory, now, action, key)
        return seen._replace(mean={name: self._instead(x, key) for name, x in seen.mean.items()})

    def _instead(self, mean: Any, key: Any) -> Any:
        if not self.noise:
            return jnp.zeros_like(mean)
        count, choices = mean.shape
        drawn = jax.random.randint(key, (count, max(count - 1, 1)), 0, choices)
        return jax.nn.one_hot(drawn, choices).mean(1)


def blinded(contender: Contender, noise: bool) -> Contender:
    """The same policies, that do not see what their comrades do."""
    algorithm: Any = contender.algorithm
    field = algorithm.inner.field
    seen = Blinded(field.scope, field.estimate, field.index, field.iterations, noise)
    inner = dataclasses.replace(algorithm.inner, field=seen)
    label = f"{contender.label}, {'noise' if noise else 'nothing'} seen"
    return contender._replace(label=label, algorithm=dataclasses.replace(algorithm, inner=inner))


def at_best(contender: Contender) -> Contender:
    """The same policies, without chance."""
    algorithm: Any = contender.algorithm
    inner = dataclasses.replace(algorithm.inner, played="best")
    changed = dataclasses.replace(algorithm, inner=inner)
    return contender._replace(label=f"{contender.label}, best choices", algorithm=changed)


# ---------------------------------------------------------------------------------------------------------------------
# The study


def battle(*, quick: bool, out: Path, say: Say) -> None:
    """12 v 12: IL, AC, MF-Q and MF-AC with equal budgets, cross-play on both sides, five ablations; and a policy that
    plays on the map of 40 in MAgent2's engine and in covey's."""
    size, limit, seeds, steps, games = (12, 20, 2, 640, 8) if quick else (20, 400, 5, 40_000, 200)
    world = environments.make("battle", size=size, time_limit=limit, minimap=True, features=True, sides=True)
    say("Predictions: MF-Q > IL > AC and MF-AC, as published. AC and MF-AC gain by several steps on longer rollouts,")
    say("and stay behind. MF-Q with Boltzmann policies is no worse, without exploration it is worse, and without last")
    say(
        "steps the same; it beats IL with as many parameters; and if it is the mean action that helps, it is worse when"
    )
    say("that is not seen. What wins here wins in MAgent2, as often to within 5 points.")
    main, ablations = (("iql", "mfq"), ()) if quick else (MAIN, ABLATIONS)
    names = list(dict.fromkeys([*main, *(name for pair in ablations for name in pair)]))
    trials = [Trial(name, learner(world, name, steps), steps, ENVS) for name in names]
    say_plan(say, trials, seeds, RATE)
    outcomes = run(trials, world, seeds=seeds, episodes=8, out=out, evaluations=1, say=say)
    armies = {name: trained(name, outcomes[name].run, world) for name in names}
    picture = render(outcomes["mfq"].run, out / "battle.gif", environment=world)
    say(f"picture: {', '.join(str(path) for path in picture)}")

    rules = [ruler(id, world) for id in ("charge", "random")]
    cross = play([*(armies[name] for name in main), *rules], world, games)
    _tell("cross-play", cross, out, say)
    pairs = {pair: tuple(armies[name] for name in pair) for pair in ablations}
    for changed in (blinded(armies["mfq"], noise=False), blinded(armies["mfq"], noise=True), at_best(armies["mfq"])):
        pairs[changed.label, "mfq"] = changed, armies["mfq"]
    found = {}
    for (one, other), contenders in pairs.items():
        found[one, other] = play(contenders, world, games).shares()[0, 1]
        say(f"· {one} against {other}: {_percent(found[one, other])}")
    write(out / "ablations.json", {f"{one} against {other}": x._asdict() for (one, other), x in found.items()})
    if not quick:
        _judge(cross, found, say)
    inside_magent(quick=quick, out=out, say=say)


def trained(label: str, folder: Path, world: Any) -> Contender:
    """What a run has learned."""
    config, states, step, _ = open_run(folder, world)
    return Contender(label, config.algorithm, states, config.seeds, step)


def write(path: Path, results: Any) -> None:
    path.write_text(json.dumps(results, indent=1))


def _percent(share: Estimate) -> str:
    return f"{100 * share.value:.1f} % ({100 * share.low:.1f} to {100 * share.high:.1f})"


def _tell(name: str, played: Tournament, out: Path, say: Say) -> None:
    """The table of who scored what against whom."""
    shares, ratings = played.shares(), played.ratings()
    titles = ["", "Elo", *(f"against {label}" for label in played.labels)]
    rows = []
    for i, label in enumerate(played.labels):
        cells = [_percent(shares[i, j]) if i != j else "" for j in range(len(played.labels))]
        rating = ratings[i]
        rows.append([label, f"{rating.value:.0f} ({rating.low:.0f} to {rating.high:.0f})", *cells])
    lines = ["| " + " | ".join(row) + " |" for row in [titles, ["---"] * len(titles), *rows]]
    with open(out / "table.md", "a") as file:
        file.write("\n".join([f"\n{name}, points", "", *lines]) + "\n")
    for line in lines:
        say(line)
    write(out / f"{name}.json", played.summary())


def _judge(cross: Tournament, found: dict[tuple[str, str], Estimate], say: Say) -> None:
    shares = cross.shares()

    def share(one: str, other: str) -> Estimate:
        if (one, other) in found:
            return found[one, other]
        return shares[cross.labels.index(one), cross.labels.index(other)]

    for one, other in (("mfq", "iql"), ("iql", "ac"), ("iql", "mfac"), ("mfq", "ac"), ("mfq", "mfac")):
        verdict(say, f"{one} beats {other}", _more(share(one, other)), _percent(share(one, other)))
    for kind in ("ac", "mfac"):
        pair = f"{kind}, several steps", kind
        verdict(say, f"(a) {pair[0]} beats {kind}", _more(share(*pair)), _percent(share(*pair)))
    verdict(say, "(a) even so, it is behind mfq", _less(share(MAIN[3] + ", several steps", "mfq")), "")
    soft, none = (share(f"mfq, {how}", "mfq") for how in ("Boltzmann", "greedy"))
    verdict(say, "(b) Boltzmann policies are no worse than ε-greedy ones", _not(_less(soft)), _percent(soft))
    verdict(say, "(b) without exploration it is worse", _less(none), _percent(none))
    mask = share("mfq, last steps left out", "mfq")
    verdict(say, "(c) last steps do not matter", _even(mask), _percent(mask))
    for how in ("nothing", "noise"):
        blind = share(f"mfq, {how} seen", "mfq")
        verdict(say, f"(d) with {how} seen of its comrades, mfq is worse", _less(blind), _percent(blind))
    calm = share("mfq, best choices", "mfq")
    verdict(say, "without chance it is worse", _less(calm), _percent(calm))
    wide = share("mfq", "iql, as wide")
    verdict(say, "(e) mfq beats iql with as many parameters", _more(wide), _percent(wide))


def _more(share: Estimate) -> bool | None:
    return True if share.low > 0.5 else False if share.high < 0.5 else None


def _less(share: Estimate) -> bool | None:
    return _not(_more(share))


def _not(holds: bool | None) -> bool | None:
    return None if holds is None else not holds


def _even(share: Estimate) -> bool | None:
    return True if share.low > 0.4 and share.high < 0.6 else False if _more(share) is not None else None


# ---------------------------------------------------------------------------------------------------------------------
# Inside MAgent2


class Counted:
    """A host world of battles that counts kills, by what they earn, in the first battle of every lane of a round.

    A soldier that is killed in the step in which it kills earns nothing for it, and is not counted.
    """

    def __init__(self, world: Any):
        self.world = world
        self.sides = sides(world.spec)
        self.rounds: list[np.ndarray] = []  # [lanes, 2] each: kills of each side
        self._over: Any = None

    @property
    def spec(self) -> Spec:
        return self.world.spec

    @property
    def lanes(self) -> int:
        return self.world.lanes

    def reseed(self, seeds: list[int]) -> None:
        self.world.reseed(seeds)

    def reset(self) -> Any:
        self.rounds.append(np.zeros((self.world.lanes, 2), int))
        self._over = np.zeros(self.world.lanes, bool)
        return self.world.reset()

    def step(self, action: Any) -> Any:
        then, now = self.world.step(action)
        kills = np.stack([(np.asarray(then.reward[side]) > KILL - 1).sum(1) for side in self.sides], 1)
        self.rounds[-1] += np.where(self._over, 0, 1)[:, None] * kills
        self._over |= np.asarray(then.last)
        return then, now

    def close(self) -> None:
        self.world.close()


def inside_magent(*, quick: bool, out: Path, say: Say) -> None:
    """MF-Q from pictures alone, learned with 12 v 12; then 64 v 64 against chance, in MAgent2's engine and in ours."""
    size, limit, seeds, steps, large, games = (12, 20, 2, 640, 16, 4) if quick else (20, 400, 5, 48_000, 40, 20)
    world = environments.make("battle", size=size, time_limit=limit, sides=True)
    label = "mfq, pictures alone"
    arm = learner(world, "mfq", steps)
    outcome = run([Trial(label, arm, steps, ENVS)], world, seeds=seeds, episodes=4, out=out, evaluations=1, say=say)
    army = trained(label, outcome[label].run, world)
    lanes = 2 * seeds
    options = f"map_size: {large}, max_cycles: {limit}"
    theirs = environments.make("pettingzoo:magent2.environments.battle_v4", lanes=lanes, arguments=options)
    ours = environments.make("battle", size=large, time_limit=limit)
    found = {"covey": _won_here(army, ours, games), "MAgent2": _won_there(army, theirs, games)}
    theirs.close()
    shares = {name: float(x.mean()) for name, x in found.items()}
    for name, share in shares.items():
        say(f"· inside {name}, map {large}: {found[name].size} battles against chance, won {100 * share:.1f} %")
    write(out / "inside.json", {name: x.tolist() for name, x in found.items()})
    if not quick:
        verdict(say, "wins more than 95 % inside MAgent2", shares["MAgent2"] > 0.95, f"{100 * shares['MAgent2']:.1f} %")
        apart = abs(shares["MAgent2"] - shares["covey"])
        verdict(say, "as often as in covey's battle, to within 5 points", apart <= 0.05, f"{100 * apart:.1f} points")


def elsewhere(army: Contender, world: Any) -> Contender:
    """The same policies in a world with more soldiers, who see and do the same."""
    algorithm: Any = army.algorithm
    inner = dataclasses.replace(algorithm.inner, spec=world.spec._replace(state=()))
    return army._replace(algorithm=dataclasses.replace(algorithm, spec=world.spec, inner=inner))


def _pairings(army: Contender, world: Any) -> dict[tuple[str, str], dict[str, Contender]]:
    """The army on either side, against chance."""
    first, second = sides(world.spec)
    chance: Algorithm = algorithms.make("random", world)
    random, moved = Contender("random", chance, ()), elsewhere(army, world)
    return {
        (first, second): {first: moved, second: random},
        (second, first): {second: moved, first: random},
    }


def _won_here(army: Contender, world: Battle, games: int) -> np.ndarray:
    """Was each battle won: [2, S, games]."""
    keys, won = evaluation_keys(FINAL, army.seeds), []
    for (mine, _), players in _pairings(army, world).items():
        won.append(met(world, players, keys, games)[f"world/won_{mine}"])
    return np.stack(won)


def _won_there(army: Contender, world: Any, games: int) -> np.ndarray:
    """The same inside MAgent2, where a battle is won by who kills more."""
    keys, won = evaluation_keys(FINAL, army.seeds), []
    for (mine, other), players in _pairings(army, world).items():
        counted = Counted(world)
        met(counted, players, keys, games)
        kills = np.stack(counted.rounds).reshape(len(counted.rounds), army.seeds, -1, 2)
        kills = np.moveaxis(kills, 1, 0).reshape(army.seeds, -1, 2)[:, :games]
        ours, theirs = (kills[..., counted.sides.index(side)] for side in (mine, other))
        won.append((ours > theirs).astype(float))
    return np.stack(won)
