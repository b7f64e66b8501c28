"""The laws of `covey.testing.laws`, for every algorithm on every toy world.

A family joins with rows in `ALGORITHMS`. `make test` holds every rule to the laws of `CORE` in all of them, and a few
homes to the costly laws too; `make test-slow` does so for rows that differ from another row in a part, so that no
algorithm is left out; `make learn` holds every pair to all.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import pytest

from covey.algorithms import ddpg, ppo, value
from covey.algorithms.credit import Baseline
from covey.algorithms.critics import Neighbors
from covey.algorithms.matwm import MATWM, Ppo, matwm
from covey.algorithms.matwm.actor_critic import ActorCritic
from covey.algorithms.matwm.model import WorldModel
from covey.algorithms.matwm.replay import SequenceReplay
from covey.algorithms.matwm.rule import Imagination
from covey.algorithms.mean_field import ac as mean_ac
from covey.algorithms.mean_field import q as mean_q
from covey.algorithms.mean_field.field import Field
from covey.algorithms.mean_field.means import Everybody
from covey.algorithms.mean_field.networks import Network
from covey.algorithms.mean_field.q import MeanFieldQ
from covey.algorithms.prior import FusedPrior
from covey.algorithms.random import random
from covey.algorithms.self_play import SelfPlay
from covey.core.algorithm import Algorithm
from covey.core.types import Spec
from covey.environments import toy
from covey.learning.replay import Replay
from covey.learning.targets import Linear, constant
from covey.nn.decoders import Transposed
from covey.nn.encoders import Residual, Strided
from covey.nn.mixers import Monotone
from covey.testing import laws
from covey.testing.garble import has_dead, has_padding

WORLDS = {
    "discrete": toy.discrete,
    "continuous": toy.continuous,
    "near": functools.partial(toy.continuous, nearest=2),
    "graph": toy.graph,
    "duel": toy.duel,
    "pictures": functools.partial(toy.pictures, size=5),
}
SHARED = ("discrete", "continuous", "graph")
"""Worlds that every algorithm is made for that is not about special ones."""


class Row(NamedTuple):
    """An algorithm, small enough to compile quickly, and the toy worlds it is made for.

    `make test` plays it in the worlds `quick`, where aliases of one rule share the worlds out between them; `home` gets
    the costly laws too. If it is `slow`, `make test-slow` does that. `make learn` plays it everywhere, with every law.
    """

    make: Callable[[Spec], Algorithm]
    quick: tuple[str, ...]
    home: str | None = None
    worlds: tuple[str, ...] = SHARED
    slow: bool = False


def small_ddpg(alias: Callable[..., ddpg.DDPG], spec: Spec) -> ddpg.DDPG:
    algorithm = alias(spec)
    critic = dataclasses.replace(algorithm.critic, width=8)
    replay = Replay(capacity=128, batch=16)
    return dataclasses.replace(algorithm, critic=critic, replay=replay, width=8, horizon=2, updates=1, warmup=0)


def small_neighbors(spec: Spec) -> ddpg.DDPG:
    """MADDPG with a critic of listed neighbors."""
    return dataclasses.replace(small_ddpg(ddpg.maddpg, spec), critic=Neighbors(8))


def small_lamarl(spec: Spec) -> ddpg.DDPG:
    """Guided by a rule, also in acting, where everything is of the smallest size."""
    rule = WORLDS[spec.name.removeprefix("toy/")]().rules()["optimal"]()
    prior = FusedPrior(alpha=constant(0.1), blend=constant(0.2), blend_evaluation=0.1, episodes=0.3, policy=rule)
    return dataclasses.replace(small_ddpg(ddpg.lamarl, spec), layers=2, prior=prior)


def small_ppo(alias: Callable[..., ppo.PPO], spec: Spec, **settings: Any) -> ppo.PPO:
    rate = Linear(1e-4, 1e-4, 0.0)  # small, because Adam's first steps are signs, to which rounding matters
    settings |= {"width": 8, "horizon": 4, "epochs": 2, "minibatches": 2, "actor_lr": rate, "critic_lr": rate}
    return dataclasses.replace(alias(spec), **settings)


def small_mixing(alias: Callable[..., value.Mixing], spec: Spec, **settings: Any) -> value.Mixing:
    settings |= {"replay": Replay(capacity=128, batch=16), "width": 8, "horizon": 2, "warmup": 0}
    return dataclasses.replace(alias(spec), **settings)


def small_field(alias: Callable[..., Any], spec: Spec, **settings: Any) -> Any:
    algorithm = alias(spec)
    if isinstance(algorithm, MeanFieldQ):
        settings |= {"replay": Replay(capacity=128, batch=16), "values": Network(width=8), "horizon": 2, "warmup": 0}
    else:
        slow = {"actors": Network(width=8, lr=1e-4, last=0.01), "critics": Network(width=8, lr=1e-4)}
        settings |= {"horizon": 4, **slow}
    return dataclasses.replace(algorithm, **settings)


def ddpg_row(alias: Callable[..., ddpg.DDPG], *quick: str, home: str | None = None) -> Row:
    return Row(functools.partial(small_ddpg, alias), quick, home)


def ppo_row(alias: Callable[..., ppo.PPO], *quick: str, home: str | None = None, **settings: Any) -> Row:
    return Row(functools.partial(small_ppo, alias, **settings), quick, home)


def mixing_row(alias: Callable[..., value.Mixing], *quick: str, **settings: Any) -> Row:
    return Row(functools.partial(small_mixing, alias, **settings), quick, worlds=("discrete",))


def field_row(alias: Callable[..., Any], *quick: str, worlds: tuple[str, ...] = SHARED, **settings: Any) -> Row:
    return Row(functools.partial(small_field, alias, **settings), quick, worlds=worlds)


def small_matwm(spec: Spec, **settings: Any) -> MATWM:
    """The smallest one; rates are small because Adam's first steps are signs, to which rounding matters."""
    model = WorldModel(
        latents=2,
        classes=3,
        width=4,
        layers=1,
        heads=2,
        feedforward=4,
        dropout=0.0,
        encoder_layers=1,
        head_layers=1,
        bins=5,
        bound=2.0,
        teammate_width=4,
        teammate_layers=1,
        lr=1e-5,
        encoder=Strided(width=4, channels=(2,)),
        decoder=Transposed(width=4, channels=(2,)),
    )
    settings = {"inner": ActorCritic(width=4, layers=1, bins=5, bound=2.0, lr=1e-5)} | settings
    return dataclasses.replace(
        matwm(spec, preset="tiny"),
        model=model,
        replay=SequenceReplay(capacity=128, sequences=4, length=3),
        imagination=Imagination(batch=3, horizon=2, context=2),
        history=2,
        horizon=2,
        warmup=0,
        **settings,
    )


def self_play_row(small: Callable[..., Any], alias: Callable[..., Any], home: str | None, **settings: Any) -> Row:
    def make(spec: Spec) -> SelfPlay:
        inner = small(functools.partial(alias, groups=("left",)), spec, **settings)
        return SelfPlay(spec, tuple(spec.groups), inner, past=2, every=32)

    return Row(make, ("duel",), home, ("duel",))


def picture_row(small: Callable[..., Any], alias: Callable[..., Any], *quick: str, **settings: Any) -> Row:
    settings |= {"encoder": Residual(width=4, vector=3, channels=(2,)), "shared": False}
    return Row(functools.partial(small, alias, **settings), quick, worlds=("pictures",))


CREDITED: dict[str, Any] = {"credit": Baseline(eta=1.0, width=8, fits=2, batch=16, recent=2)}
LISTED: dict[str, Any] = {"sees": "neighbors", "shared": False}
RECURRENT: dict[str, Any] = {"units": 4, "sequence": 2, "burn_in": 1}
ALGORITHMS = {
    "random": Row(random, SHARED, "discrete"),
    "iddpg": ddpg_row(ddpg.iddpg, "continuous", home="continuous"),
    "maddpg": ddpg_row(ddpg.maddpg, "discrete"),
    "ps-maddpg": ddpg_row(ddpg.ps_maddpg, "graph"),
    "khead-maddpg": ddpg_row(ddpg.khead_maddpg, "continuous"),
    "att-maddpg": ddpg_row(ddpg.att_maddpg, "graph"),
    "matd3": ddpg_row(ddpg.matd3, "discrete")._replace(slow=True),
    "maddpg-neighbors": Row(small_neighbors, ("duel", "near"), "near", ("graph", "duel", "near"), slow=True),
    "lamarl": Row(small_lamarl, ("graph",), slow=True),
    "ippo": ppo_row(ppo.ippo, "continuous", home="continuous", shared=False),
    "mappo": ppo_row(ppo.mappo, "graph"),
    "mappo-neighbors": ppo_row(ppo.mappo, "graph", **LISTED)._replace(worlds=("graph", "duel"), slow=True),
    "credit-mappo": ppo_row(ppo.credit_mappo, "discrete", **CREDITED),
    "vdn": mixing_row(value.vdn, "discrete", shared=False),
    "qmix": mixing_row(value.qmix, "discrete", mixer=Monotone(8)),
    "iql": field_row(mean_q.iql, "discrete", worlds=("discrete",))._replace(slow=True),
    "mfq": field_row(mean_q.mfq, "discrete", worlds=("discrete",), field=Field(Everybody(types="all"), iterations=1)),
    "ac": field_row(mean_ac.ac, "continuous"),
    "mfac": field_row(mean_ac.mfac, "graph"),
    "mf-ppo": field_row(mean_ac.mf_ppo, "continuous"),
    "matwm": Row(small_matwm, ("discrete",), worlds=("discrete", "duel"), slow=True),
    "matwm-ppo": Row(
        functools.partial(small_matwm, inner=Ppo(width=4, layers=1, epochs=2, lr=1e-5)),
        ("discrete",),
        worlds=("discrete",),
        slow=True,
    ),
    "matwm-pictures": Row(small_matwm, ("pictures",), worlds=("pictures",), slow=True),
    "self-play-mfq": self_play_row(small_field, mean_q.mfq, "duel")._replace(slow=True),
    "self-play-mappo": self_play_row(small_ppo, ppo.mappo, None, units=4, sequence=2, burn_in=1),
    "mappo-pictures": picture_row(small_ppo, ppo.mappo, "pictures")._replace(slow=True),
    "vdn-pictures": picture_row(small_mixing, value.vdn, "pictures")._replace(slow=True),
    "mappo-gru": ppo_row(ppo.mappo, "discrete", **RECURRENT)._replace(worlds=("discrete",), slow=True),
}

CORE = (
    laws.law_split_chunks,
    laws.law_same_twice,
    laws.law_finite,
    laws.law_learns,
    laws.law_ledger,
    laws.law_acting,
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
    """The laws of a pair; what only `make test-slow` or `make learn` runs is marked."""
    row = ALGORITHMS[algorithm]
    soon = [pytest.mark.slow] * row.slow
    marks = {law: soon if world in row.quick else [pytest.mark.learn] for law in CORE}
    marks |= {law: soon if world == row.home else [pytest.mark.learn] for law in COSTLY}
    if world in EXACT:
        marks[laws.law_hosted_exactly] = [pytest.mark.learn, usual]
    return [pytest.param(law, marks=mark, id=law.__name__.removeprefix("law_")) for law, mark in marks.items()]


def class_of(algorithm: str, world: str) -> type:
    """The tests of a pair: a class, because test processes share out classes, and a pair is compiled in one of them."""

    @pytest.mark.parametrize("law", laws_of(algorithm, world))
    def test_law(self, law, tmp_path):
        if law in laws.LAWS_OF_DEVICES:
            assert len(jax.devices()) > 1, "this law needs several devices: see tests/conftest.py"
        try:
            law(pair(algorithm, world), *[tmp_path] * (law in laws.LAWS_ON_DISK))
        except laws.Silent as reason:
            pytest.skip(str(reason))

    return type(f"Test_{algorithm}_{world}", (), {"test_law": test_law})


for name, row in ALGORITHMS.items():
    for world in row.worlds:
        globals()[f"Test_{name}_{world}".replace("-", "_")] = class_of(name, world)


def test_every_law_is_in_the_table():
    shipped = {*laws.LAWS, *laws.LAWS_ON_DISK, *laws.LAWS_OF_DEVICES}
    assert shipped == {*CORE, *COSTLY}


def test_the_rows_are_sound():
    for row in ALGORITHMS.values():
        assert row.quick
        assert set(row.quick) <= set(row.worlds) <= set(WORLDS)
        assert row.home in (None, *row.quick)


@pytest.mark.parametrize("rule", [small_ddpg, small_ppo])
def test_every_rule_is_held_to_the_laws_in_every_world_by_make_test(rule):
    rows = [row for row in ALGORITHMS.values() if getattr(row.make, "func", None) is rule and not row.slow]
    assert {world for row in rows for world in row.quick} >= set(SHARED)
    assert any(row.home for row in rows)


def test_the_worlds_give_the_laws_something_to_say():
    """Deaths and padding occur, so that the laws about them are not silent."""
    assert has_padding(toy.discrete().spec)
    assert has_padding(toy.graph().spec)
    assert has_dead(pair("random", "discrete").rollouts)
    assert has_dead(pair("self-play-mappo", "duel").rollouts)
    assert pair("random", "discrete").rollouts[0].now.legal
