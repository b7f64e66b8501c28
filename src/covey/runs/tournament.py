"""Tournaments: everybody against everybody on both sides of an environment, and how strong that says they are.

Two contenders meet in games of every seed of the one against every seed of the other. Each game is played twice from
the same beginning, with the sides exchanged. A game is won by whoever the environment says has won (its measure
`won_<group>`), else by the side whose agents earned more; a draw counts half for both. Intervals are 95 %, from drawing
seeds and games anew.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize

from covey import algorithms
from covey.algorithms.self_play import as_group, sides
from covey.authored.reward import without_authored_reward
from covey.core.algorithm import Algorithm, Around, Mixed
from covey.core.environment import evaluation_world
from covey.core.errors import BadInput
from covey.runs.compare import is_run
from covey.runs.evaluate import FINAL, Values, evaluation_keys, player
from covey.runs.policy import open_run

GAMES = 200

AVERAGE = 1000.0
"""Mean rating of a tournament's contenders."""

ODDS = 400.0
"""Points of rating that make the odds ten to one."""

RESAMPLES = 400


class Contender(NamedTuple):
    """Who takes part: an algorithm, what its seeds have learned [S, ...], and after how many steps."""

    label: str
    algorithm: Algorithm
    states: Any
    seeds: int = 1
    step: int = 0


class Estimate(NamedTuple):
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


class Tournament(NamedTuple):
    """What contenders scored against each other."""

    world: str
    sides: tuple[str, str]
    labels: tuple[str, ...]
    seeds: tuple[int, ...]
    points: dict[tuple[int, int], np.ndarray]
    """Of i in games against j, for i < j: [S of i, S of j, games, 2], 1 for a win; last axis: i on the first side, on
    the second."""
    warnings: tuple[str, ...] = ()

    def shares(self) -> dict[tuple[int, int], Estimate]:
        """What i scored of all points against j."""
        found, drawn = self._matrix(self.points), self._drawn()
        pairs = itertools.permutations(range(len(self.labels)), 2)
        return {(i, j): _estimate(found[i, j], drawn[:, i, j]) for i, j in pairs}

    def ratings(self) -> list[Estimate]:
        """Elo's ratings: 1 / (1 + 10^((R_j - R_i) / 400)) is what i is expected to score against j.

        Fitted to all games at once (Bradley and Terry 1952), with one drawn game more in every pair, so that who won
        everything has a rating too. Their mean is 1000.
        """
        games = {pair: x.size for pair, x in self.points.items()}
        found = rated(self._matrix(self.points), games)
        drawn = np.stack([rated(matrix, games) for matrix in self._drawn()])
        return [_estimate(value, drawn[:, i]) for i, value in enumerate(found)]

    def by_side(self) -> dict[tuple[int, int], tuple[float, float]]:
        """What i scored against j, i < j, on the first side and on the second."""
        return {pair: (float(x[..., 0].mean()), float(x[..., 1].mean())) for pair, x in self.points.items()}

    @property
    def games(self) -> int:
        """Games of every two contenders, at least."""
        return min(x.size for x in self.points.values())

    def summary(self) -> dict[str, Any]:
        """All results, for JSON."""
        shares, sides = self.shares(), self.by_side()
        return {
            "world": self.world,
            "contenders": [
                {"name": name, "seeds": seeds, "elo": rating._asdict()}
                for name, seeds, rating in zip(self.labels, self.seeds, self.ratings(), strict=True)
            ],
            "pairs": [
                {"of": self.labels[i], "against": self.labels[j], "games": x.size}
                | {"points": shares[i, j]._asdict()}
                | {f"points_as_{side}": share for side, share in zip(self.sides, sides[i, j], strict=True)}
                for (i, j), x in self.points.items()
            ],
        }

    def _matrix(self, points: dict[tuple[int, int], np.ndarray]) -> np.ndarray:
        shares = np.full((len(self.labels),) * 2, np.nan)
        for (i, j), x in points.items():
            shares[i, j], shares[j, i] = x.mean(), 1 - x.mean()
        return shares

    def _drawn(self) -> np.ndarray:
        """Shares of tournaments whose seeds and games are drawn from this one's [RESAMPLES, K, K]."""
        rng, found = np.random.default_rng(0), []
        for _ in range(RESAMPLES):
            chosen = [rng.integers(0, count, count) for count in self.seeds]
            again = {}
            for (i, j), x in self.points.items():
                games = rng.integers(0, x.shape[2], x.shape[2])
                again[i, j] = x[np.ix_(chosen[i], chosen[j], games)]
            found.append(self._matrix(again))
        return np.stack(found)


def _estimate(value: float, drawn: np.ndarray) -> Estimate:
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Estimate(float(value), float(low), float(high))


def rated(shares: np.ndarray, games: dict[tuple[int, int], int]) -> np.ndarray:
    """Ratings [K] that make shares [K, K] of so many games likeliest, and a drawn game more a pair."""
    pairs = np.array(list(games))
    counts = np.array(list(games.values()), float)
    won = shares[pairs[:, 0], pairs[:, 1]] * counts + 0.5
    counts = counts + 1.0

    def loss(strength: np.ndarray) -> tuple[float, np.ndarray]:
        ahead = strength[pairs[:, 0]] - strength[pairs[:, 1]]
        gradient = np.zeros_like(strength)
        off = counts / (1 + np.exp(-ahead)) - won
        np.add.at(gradient, pairs[:, 0], off)
        np.add.at(gradient, pairs[:, 1], -off)
        return float((counts * np.logaddexp(0, ahead) - won * ahead).sum() / counts.sum()), gradient / counts.sum()

    strength = minimize(loss, np.zeros(len(shares)), jac=True, method="BFGS").x
    return AVERAGE + (strength - strength.mean()) * ODDS / np.log(10)


# ---------------------------------------------------------------------------------------------------------------------
# Playing


def tournament(what: Sequence[str], environment: Any = None, games: int = GAMES, trust: bool = False) -> Tournament:
    """Run folders (or `RUN@STEP`, what a run had learned by then) and algorithms that need no training, by id.

    environment: the environment to play in (default: the first run's). games: between two contenders, at least; as many
    on either side, and of every seed of the one against every seed of the other. trust: as of `load`.
    """
    if games < 2:
        raise BadInput(f"a tournament needs at least two games of a pair, one on either side, got {games}.")
    if len(what) < 2:
        raise BadInput("a tournament needs two contenders at least: give run folders and rules.")
    opened = {item: open_run(item, trust=trust) for item in what if is_run(item)}
    if environment is None:
        if not opened:
            raise BadInput("rules alone do not say where they are to play: give `--environment ID`, or a run.")
        environment = next(iter(opened.values())).config.environment
    world = evaluation_world(environment)
    contenders, warnings = [], []
    for item in what:
        if item not in opened:
            contenders.append(ruler(item, world))
            continue
        config, states, step, said = opened[item]
        if without_authored_reward(config.environment).spec != world.spec:
            raise BadInput(
                f"the run {item} was trained in {config.environment.spec.name!r} with other groups, observations or "
                f"episodes than {world.spec.name!r} has: let runs of one environment play."
            )
        contenders.append(Contender(item, config.algorithm, states, config.seeds, step))
        warnings += said
    return play(contenders, world, games)._replace(warnings=tuple(warnings))


def ruler(id: str, world: Any) -> Contender:
    """An algorithm that has nothing to learn."""
    rule = algorithms.make(id, world)
    if jax.tree.leaves(jax.eval_shape(partial(rule.init, lanes=1), jax.random.key(0))):
        raise BadInput(f"{id!r} has to be trained before it can play: give its run folder.")
    return Contender(id, rule, rule.init(jax.random.key(0), 1))


def play(contenders: Sequence[Contender], world: Any, games: int = GAMES) -> Tournament:
    """Everybody against everybody."""
    pairs = itertools.combinations(range(len(contenders)), 2)
    points = {(i, j): matched(contenders[i], contenders[j], world, games) for i, j in pairs}
    labels, seeds = (tuple(getattr(c, name) for c in contenders) for name in ("label", "seeds"))
    return Tournament(world.spec.name, sides(world.spec), labels, seeds, points)


def matched(one: Contender, other: Contender, world: Any, games: int, number: int = FINAL) -> np.ndarray:
    """Points of the one [S, S of the other, games, 2]; the `number` of an evaluation decides how games begin."""
    first, second = sides(world.spec)
    pairs = one.seeds * other.seeds
    each = -(-games // (2 * pairs))
    keys, points = evaluation_keys(number, pairs), []
    for mine, theirs in ((first, second), (second, first)):
        values = met(world, {mine: one, theirs: other}, keys, each)
        points.append(scored(values, mine, theirs).reshape(one.seeds, other.seeds, each))
    return np.stack(points, -1)


def met(world: Any, players: dict[str, Contender], keys: Any, episodes: int) -> Values:
    """Episodes in which each side is played by another contender: every seed of the one against every seed of the
    other, in the order in which they are given. Metrics [pairs, episodes]."""
    places = np.indices([player.seeds for player in players.values()]).reshape(len(players), -1)
    parts, states = {}, {}
    for (side, who), place in zip(players.items(), places, strict=True):
        algorithm, state = as_group(who.algorithm, who.states, side)
        parts[side] = At(algorithm, jnp.int32(who.step))
        states[side] = jax.tree.map(lambda x, place=place: x[place], state)
    return player(world, Mixed(parts), episodes)(tuple(states[side] for side in sorted(states)), keys, 0)


class At(Around):
    """`inner` as it acts after `step` environment steps."""

    step: Any

    def __init__(self, inner: Algorithm, step: Any):
        self.inner, self.step = inner, step

    def act(self, state, memory, now, key, step, *, explore):
        return self.inner.act(state, memory, now, key, self.step, explore=explore)


def scored(values: Values, mine: str, theirs: str) -> np.ndarray:
    """Points of `mine`: 1 for a win, ½ for a draw."""
    ours, other = (
        next(values[name] for name in (f"world/won_{side}", f"return/{side}/mean_agent") if name in values)
        for side in (mine, theirs)
    )
    return (1.0 + np.sign(ours - other)) / 2
