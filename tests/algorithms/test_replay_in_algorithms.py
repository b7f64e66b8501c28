"""What algorithms learn from: in every one with a replay, after episodes that were cut early, each successor is true.

In the environment every agent sees the number of the episode and that of the step, so a transition bears witness to
itself: what is seen then is one step further in the same episode.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.algorithms import make
from covey.algorithms.self_play import SelfPlay
from covey.core import loop
from covey.core.algorithm import Mixed
from covey.core.program import program
from covey.core.types import Discrete, Field, Group, Spec, Table, TimeStep
from covey.learning.buffer import Buffer
from covey.learning.replay import Replay
from covey.learning.samplers import Episodes, Sequences, Transitions

SEEDS, LANES, STEPS = 2, 3, 60
SIDE = Group(("left", "right"), (Field("number", (2,)),), Discrete(2))


class Count(NamedTuple):
    episode: Any
    clock: Any
    length: Any


class Counters(eqx.Module):
    """Episodes of 1 to 6 steps, of 50 that are allowed: two in three are cut, and in the others everybody dies."""

    @property
    def spec(self):
        groups = Table({"north": SIDE, "south": SIDE._replace(names=("up", "down"))})
        return Spec("counters", groups, time_limit=50, shared_reward=True)

    def reset(self, key):
        k_episode, k_length = jax.random.split(key)
        state = Count(jax.random.randint(k_episode, (), 1, 10_000_000), 0, jax.random.randint(k_length, (), 1, 7))
        return state, self.shown(state, False)

    def step(self, key, state, action):
        state = state._replace(clock=state.clock + 1)
        return state, self.shown(state, state.clock == state.length)

    def shown(self, state, last):
        discount = 1.0 - last * (state.length % 3 == 0)
        seen = jnp.stack([state.episode, state.clock]).astype(jnp.float32)
        of_all = {name: jnp.broadcast_to(seen, (2, 2)) for name in self.spec.groups}
        ones = {name: jnp.ones(2) for name in of_all}
        return TimeStep(
            of_all,
            jax.tree.map(lambda x: x * state.clock, ones),
            jax.tree.map(lambda x: x * discount, ones),
            jax.tree.map(lambda x: x > 0, ones),
            jnp.bool_(last),
        )


def small(algorithm):
    return dataclasses.replace(algorithm, replay=Replay(64, 8), width=4, warmup=0)


def of(id, horizon, **options):
    algorithm: Any = small(make(id, Counters(), **options))
    return dataclasses.replace(algorithm, horizon=horizon)


def mixed():
    return Mixed({"north": of("iddpg", 2, groups=("north",)), "south": of("vdn", 4, groups=("south",))})


def played_with_itself():
    spec = Counters().spec
    return SelfPlay(spec, tuple(spec.groups), of("vdn", 4, groups=("north",)), past=1, every=8)


def mean_field():
    algorithm: Any = make("mfq", Counters())
    return dataclasses.replace(algorithm, replay=Replay(64, 8), warmup=0)


MADE = {
    "maddpg": lambda: of("maddpg", 1),
    "qmix": lambda: of("qmix", 4),
    "mfq": mean_field,
    "mixed": mixed,
    "self-play": played_with_itself,
}
QUICK = ("maddpg",)


@pytest.mark.parametrize("name", [pytest.param(x, marks=[pytest.mark.slow] * (x not in QUICK)) for x in MADE])
def test_every_successor_is_the_next_step_of_its_episode(name):
    environment, algorithm = Counters(), MADE[name]()
    keys = jax.random.split(jax.random.key(0), SEEDS)
    run = program(lambda keys: loop.start(environment, algorithm, keys, LANES))(keys)  # type: ignore
    iterations = STEPS // algorithm.plan.horizon
    run, _ = loop.compiled(environment, algorithm)(run, iterations)  # type: ignore
    found = [x for x in jax.tree.leaves(run.agent, is_leaf=lambda x: isinstance(x, Buffer)) if isinstance(x, Buffer)]
    assert len(found) == {"mixed": 2}.get(name, 1)
    step = run.step
    for buffer in found:
        for sampler in (Transitions(), Sequences(4), Episodes()):
            draw = jax.vmap(lambda b, key, sampler=sampler: sampler.sample(environment.spec, b, 50, key, step))
            batch = program(draw)(buffer, jax.random.split(jax.random.key(1), SEEDS))
            there = np.asarray(batch.weight) > 0
            assert there.sum() > 40
            over = (~np.asarray(batch.then.alive["north"]).any(-1))[there]  # type: ignore[index]
            for side in environment.spec.groups:
                now, then = (np.asarray(x.obs[side])[there] for x in (batch.now, batch.then))
                np.testing.assert_array_equal(then[~over], now[~over] + np.array([0, 1]))
                np.testing.assert_array_equal(np.asarray(batch.then.reward[side])[there], now[..., 1] + 1)
                assert not then[over].any()
                assert not np.asarray(batch.then.discount[side])[there][over].any()
                assert (now[..., 0] > 0).all()
