"""The laws of `covey.testing.laws`, for every algorithm on every toy world.

A family joins with a row in `ALGORITHMS`. `make test` holds every pair to the laws of `CORE`, and one pair of every
algorithm to all of them; `make learn` holds every pair to all.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import pytest

from covey.algorithms import ddpg
from covey.algorithms.random import random
from covey.core.algorithm import Algorithm
from covey.core.types import Spec
from covey.environments import toy
from covey.learning.replay import Replay
from covey.testing import laws
from covey.testing.garble import has_dead, has_padding

WORLDS = {"discrete": toy.discrete, "continuous": toy.continuous, "graph": toy.graph}


class Row(NamedTuple):
    """An algorithm, small enough to compile quickly, and the toy worlds it is made for; `home` gets every law."""

    make: Callable[[Spec], Algorithm]
    worlds: tuple[str, ...] = tuple(WORLDS)
    home: str = "discrete"


def small_ddpg(alias: Callable[..., ddpg.DDPG], spec: Spec) -> ddpg.DDPG:
    algorithm = alias(spec)
    critic = dataclasses.replace(algorithm.critic, width=8)
    replay = Replay(capacity=128, batch=16)
    return dataclasses.replace(algorithm, critic=critic, replay=replay, width=8, horizon=2, updates=1, warmup=0)


ALGORITHMS = {
    "random": Row(random),
    "iddpg": Row(functools.partial(small_ddpg, ddpg.iddpg)),
    "maddpg": Row(functools.partial(small_ddpg, ddpg.maddpg)),
    "ps-maddpg": Row(functools.partial(small_ddpg, ddpg.ps_maddpg)),
    "khead-maddpg": Row(functools.partial(small_ddpg, ddpg.khead_maddpg)),
    "att-maddpg": Row(functools.partial(small_ddpg, ddpg.att_maddpg)),
    "matd3": Row(functools.partial(small_ddpg, ddpg.matd3)),
}

CORE = (
    laws.law_split_chunks,
    laws.law_same_twice,
    laws.law_finite,
    laws.law_learns,
    laws.law_alone,
    laws.law_padding,
    laws.law_dead,
    laws.law_rotation,
    laws.law_save_and_load,
    laws.law_non_finite,
)
EXACT = ("discrete",)  # worlds that round nothing
COSTLY = (laws.law_hosted, laws.law_absent_mask, laws.law_sharded)  # each compiles programs of its own


@functools.lru_cache(maxsize=1)  # tests come pair by pair
def pair(algorithm: str, world: str) -> laws.Pair:
    environment = WORLDS[world]()
    return laws.Pair(ALGORITHMS[algorithm].make(environment.spec), environment)


def table() -> list[Any]:
    """(algorithm, world, law), pair by pair; what only `make learn` runs is marked."""
    rows = []
    for name, row in ALGORITHMS.items():
        for world in row.worlds:
            group = pytest.mark.xdist_group(f"{name}-{world}")
            for law in (*CORE, *COSTLY):
                if law is laws.law_hosted and world in EXACT:
                    law = laws.law_hosted_exactly
                marks = [group] if law in CORE or world == row.home else [group, pytest.mark.learn]
                title = f"{name}-{world}-{law.__name__.removeprefix('law_')}"
                rows.append(pytest.param(name, world, law, marks=marks, id=title))
    return rows


@pytest.mark.parametrize(("algorithm", "world", "law"), table())
def test_law(algorithm, world, law, tmp_path):
    if law in laws.LAWS_OF_DEVICES:
        assert len(jax.devices()) > 1, "this law needs several devices: see tests/conftest.py"
    law(pair(algorithm, world), *[tmp_path] * (law in laws.LAWS_ON_DISK))


def test_every_law_is_in_the_table():
    shipped = {*laws.LAWS, *laws.LAWS_ON_DISK, *laws.LAWS_OF_DEVICES}
    assert shipped == {*CORE, *COSTLY}


def test_every_row_has_a_home_among_its_worlds():
    assert all(row.home in row.worlds for row in ALGORITHMS.values())


def test_the_worlds_give_the_laws_something_to_say():
    """Deaths and padding occur, so that the laws about them are not silent."""
    assert has_padding(toy.discrete().spec)
    assert has_padding(toy.graph().spec)
    assert has_dead(pair("random", "discrete").rollouts)
    assert pair("random", "discrete").rollouts[0].now.legal
