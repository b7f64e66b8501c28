"""The laws of `covey.testing.laws`, for every algorithm on every toy world.

A family joins with a row in `ALGORITHMS`. `make test` holds every pair to the laws of `CORE`, and the homes of every
rule to all of them; `make learn` holds every pair to all.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import pytest

from covey.algorithms import ddpg, ppo
from covey.algorithms.random import random
from covey.core.algorithm import Algorithm
from covey.core.types import Spec
from covey.environments import toy
from covey.learning.replay import Replay
from covey.learning.targets import Linear
from covey.testing import laws
from covey.testing.garble import has_dead, has_padding

WORLDS = {"discrete": toy.discrete, "continuous": toy.continuous, "graph": toy.graph}


class Row(NamedTuple):
    """An algorithm, small enough to compile quickly, and the toy worlds it is made for; `home` gets every law.

    Aliases of one rule share its homes: they differ by parts that the costly laws would not tell apart.
    """

    make: Callable[[Spec], Algorithm]
    worlds: tuple[str, ...] = tuple(WORLDS)
    home: str | None = None


def small_ddpg(alias: Callable[..., ddpg.DDPG], spec: Spec) -> ddpg.DDPG:
    algorithm = alias(spec)
    critic = dataclasses.replace(algorithm.critic, width=8)
    replay = Replay(capacity=128, batch=16)
    return dataclasses.replace(algorithm, critic=critic, replay=replay, width=8, horizon=2, updates=1, warmup=0)


def small_ppo(alias: Callable[..., ppo.PPO], spec: Spec, **settings: Any) -> ppo.PPO:
    rate = Linear(1e-4, 1e-4, 0.0)  # small, because Adam's first steps are signs, to which rounding matters
    settings |= {"width": 8, "horizon": 4, "epochs": 2, "minibatches": 2, "actor_lr": rate, "critic_lr": rate}
    return dataclasses.replace(alias(spec), **settings)


ALGORITHMS = {
    "random": Row(random, home="discrete"),
    "iddpg": Row(functools.partial(small_ddpg, ddpg.iddpg), home="continuous"),
    "maddpg": Row(functools.partial(small_ddpg, ddpg.maddpg)),
    "ps-maddpg": Row(functools.partial(small_ddpg, ddpg.ps_maddpg)),
    "khead-maddpg": Row(functools.partial(small_ddpg, ddpg.khead_maddpg)),
    "att-maddpg": Row(functools.partial(small_ddpg, ddpg.att_maddpg), home="graph"),
    "matd3": Row(functools.partial(small_ddpg, ddpg.matd3)),
    "ippo": Row(functools.partial(small_ppo, ppo.ippo)),
    "mappo": Row(functools.partial(small_ppo, ppo.mappo)),
    "mappo-gru": Row(
        functools.partial(small_ppo, ppo.mappo, units=4, sequence=2, burn_in=1), ("discrete",), home="discrete"
    ),
}

CORE = (
    laws.law_split_chunks,
    laws.law_same_twice,
    laws.law_finite,
    laws.law_learns,
    laws.law_padding,
    laws.law_dead,
    laws.law_save_and_load,
    laws.law_non_finite,
)
COSTLY = (  # each compiles programs of its own
    laws.law_hosted,
    laws.law_alone,
    laws.law_absent_mask,
    laws.law_rotation,
    laws.law_sharded,
)

EXACT = ("discrete",)
"""Worlds that round nothing, in which the hosted run and the compiled one agree to the bit."""
usual = pytest.mark.skipif(
    "xla_backend_optimization_level=0" in os.environ["XLA_FLAGS"],
    reason="two programs of the same arithmetic round alike with the compiler's usual settings only: `make learn`",
)


@functools.lru_cache(maxsize=1)  # tests come pair by pair
def pair(algorithm: str, world: str) -> laws.Pair:
    environment = WORLDS[world]()
    return laws.Pair(ALGORITHMS[algorithm].make(environment.spec), environment)


def laws_of(algorithm: str, world: str) -> list[Any]:
    """The laws of a pair; what only `make learn` runs is marked."""
    home = ALGORITHMS[algorithm].home == world
    marks = {law: [] if home else [pytest.mark.learn] for law in COSTLY}
    if world in EXACT:
        marks[laws.law_hosted_exactly] = [pytest.mark.learn, usual]
    every = [*CORE, *marks]
    return [pytest.param(law, marks=marks.get(law, []), id=law.__name__.removeprefix("law_")) for law in every]


def class_of(algorithm: str, world: str) -> type:
    """The tests of a pair: a class, because test processes share out classes, and a pair is compiled in one of them."""

    @pytest.mark.parametrize("law", laws_of(algorithm, world))
    def test_law(self, law, tmp_path):
        if law in laws.LAWS_OF_DEVICES:
            assert len(jax.devices()) > 1, "this law needs several devices: see tests/conftest.py"
        law(pair(algorithm, world), *[tmp_path] * (law in laws.LAWS_ON_DISK))

    return type(f"Test_{algorithm}_{world}", (), {"test_law": test_law})


for name, row in ALGORITHMS.items():
    for world in row.worlds:
        globals()[f"Test_{name}_{world}".replace("-", "_")] = class_of(name, world)


def test_every_law_is_in_the_table():
    shipped = {*laws.LAWS, *laws.LAWS_ON_DISK, *laws.LAWS_OF_DEVICES}
    assert shipped == {*CORE, *COSTLY}


def test_every_row_has_a_home_among_its_worlds():
    assert all(row.home in (None, *row.worlds) for row in ALGORITHMS.values())


def test_the_worlds_give_the_laws_something_to_say():
    """Deaths and padding occur, so that the laws about them are not silent."""
    assert has_padding(toy.discrete().spec)
    assert has_padding(toy.graph().spec)
    assert has_dead(pair("random", "discrete").rollouts)
    assert pair("random", "discrete").rollouts[0].now.legal
