"""Predators and prey that learn together, and whom else they catch or escape: cross-play on `particle/tag`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np

from covey import environments
from covey.algorithms import ppo
from covey.algorithms.random import Random
from covey.core.algorithm import Algorithm, Mixed, Scripted
from covey.environments.particle.tag import Chase, Flee
from covey.learning.targets import constant
from covey.runs.evaluate import FINAL, evaluation_keys, player
from covey.runs.policy import open_run
from covey.studies.saying import Say, say_plan, verdict
from covey.studies.statistics import difference
from covey.studies.trials import Column, Outcome, Trial, run, table

RATE = 8_000.0
"""Learning steps a second, all seeds together, for the plan."""

SIDES = ("adversary", "agent")


def learners(world: Any) -> dict[str, ppo.PPO]:
    """MAPPO for each side, which sees the other side as a part of the world."""
    settings: dict[str, Any] = {"horizon": 25, "epochs": 2, "minibatches": 4, "team_reward": True}
    settings |= {"actor_lr": constant(7e-4), "critic_lr": constant(7e-4)}
    return {side: dataclasses.replace(ppo.mappo(world.spec, groups=(side,)), **settings) for side in SIDES}


def touches(world: Any, sides: dict[str, tuple[Algorithm, Any]], seeds: int, episodes: int) -> np.ndarray:
    """Touches in an episode [S], where each side has an algorithm and what it has learned [S, ...]."""
    both = Mixed({side: algorithm for side, (algorithm, _) in sides.items()})
    states = tuple(sides[side][1] for side in sorted(sides))
    values = player(world, both, episodes)(states, evaluation_keys(FINAL, seeds), 0)
    return values["return/adversary/mean_agent"].mean(1) / 10.0


def tag(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """MAPPO on both sides of tag; then each side against rules, chance, and what other seeds have learned."""
    steps, episodes = (4000, 8) if quick else (500_000, 128)
    world = environments.make("particle/tag")
    say(
        "Predictions: predators that have learned catch more than at random and more than the rule that chases, whoever"
    )
    say("the prey is; prey that has learned is caught less than at random, whoever chases it.")
    learner = Mixed(learners(world))
    trial = Trial("mappo", learner, steps, 32)
    say_plan(say, [trial], seeds, RATE)
    trained = run([trial], world, seeds=seeds, episodes=episodes, out=out, evaluations=8, say=say)["mappo"]
    learned = dict(zip(sorted(SIDES), open_run(trained.run, world).agents, strict=True))
    parts = dict(zip(sorted(SIDES), learner.parts, strict=True))

    rules = {"adversary": Chase(world.spec), "agent": Flee(world.spec)}
    players = {
        side: {
            "learned": (parts[side], learned[side]),
            "by rule": (Scripted(world.spec, (side,), rules[side]), ()),
            "at random": (Random(world.spec, (side,)), ()),
        }
        for side in SIDES
    }
    of_others = jax.tree.map(lambda x: np.roll(x, 1, axis=0), learned["agent"])
    players["agent"]["learned with others"] = parts["agent"], of_others
    found = {
        (hunter, prey): touches(world, {"adversary": chasing, "agent": fleeing}, seeds, episodes)
        for hunter, chasing in players["adversary"].items()
        for prey, fleeing in players["agent"].items()
    }
    rows = {
        hunter: Outcome(hunter, "", {prey: found[hunter, prey] for prey in players["agent"]}, trained.replay)
        for hunter in players["adversary"]
    }
    columns = [Column("predators \\ prey", lambda o: o.label)]
    columns += [Column(prey, lambda o, prey=prey: o.values[prey], 2) for prey in players["agent"]]
    table(f"tag: touches in an episode of 25 steps, {steps:,} steps, {seeds} seeds", rows, columns, out)
    for prey in players["agent"]:
        for than in ("at random", "by rule"):
            apart = difference(found["learned", prey], found[than, prey])
            verdict(say, f"prey {prey}: predators that learned catch more than {than}", apart.above(), apart.text(2))
    for hunter in players["adversary"]:
        apart = difference(found[hunter, "at random"], found[hunter, "learned"])
        verdict(
            say, f"predators {hunter}: prey that learned is caught less than at random", apart.above(), apart.text(2)
        )
