"""An army from covey's battle inside MAgent2's own engine, and in ours, against chance."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from covey import algorithms, environments
from covey.algorithms.self_play import sides
from covey.core.algorithm import Algorithm
from covey.core.types import Spec
from covey.environments.battle.environment import Battle
from covey.environments.battle.orders import KILL
from covey.runs.evaluate import FINAL, evaluation_keys
from covey.runs.tournament import Contender, met
from covey.studies.mean_field.armies import ENVS, learner, trained
from covey.studies.saying import Say, verdict
from covey.studies.trials import Trial, run


class Counted:
    """A host environment of battles that counts kills, by what they earn, in the first battle of every lane of a round.

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
    (out / "inside.json").write_text(json.dumps({name: x.tolist() for name, x in found.items()}, indent=1))
    if not quick:
        verdict(say, "wins more than 95 % inside MAgent2", shares["MAgent2"] > 0.95, f"{100 * shares['MAgent2']:.1f} %")
        apart = abs(shares["MAgent2"] - shares["covey"])
        verdict(say, "as often as in covey's battle, to within 5 points", apart <= 0.05, f"{100 * apart:.1f} points")


def elsewhere(army: Contender, world: Any) -> Contender:
    """The same policies in an environment with more soldiers, who see and do the same."""
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
