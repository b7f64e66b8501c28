"""The ring of rollouts from which models of credit go on learning, and what a model gains by it."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.algorithms import credit, ppo
from covey.core import loop
from covey.core.types import Discrete, Field, Group, Spec, Table, TimeStep
from covey.environments import make

SPEC = Spec("two of three", Table({"a": Group(("x", "y"), (Field("place", (3,)),), Discrete(2))}))
ROUNDS, STEPS, LANES = 2, 3, 2


def rollout(number):
    """A rollout in which everything says which one it is."""
    full = jnp.full((STEPS, LANES, 2), float(number))
    now = TimeStep(
        obs={"a": jnp.broadcast_to(full[..., None], (STEPS, LANES, 2, 3))},
        reward={"a": full},
        discount={"a": full},
        alive={"a": full > 0},
        last=jnp.zeros((STEPS, LANES), bool),
    )
    chosen = jnp.broadcast_to(full[..., None], (STEPS, LANES, 2, 2))
    return now, {"a": credit.Lesson(credit.Choices(chosen, None, chosen), full[..., :1])}


def ring(count):
    kind = credit.Baseline()
    example = credit.Choices(jnp.zeros((2, 2)), None, jnp.zeros((2, 2)))
    recent = credit.nothing(SPEC, {"a": credit.Lesson(example, kind.aim(2))}, (ROUNDS, STEPS, LANES))
    for number in range(count):
        recent = credit.kept(SPEC, recent, *rollout(number + 1), number)
    return recent


@pytest.mark.parametrize(("count", "there"), [(1, {1}), (2, {1, 2}), (3, {2, 3})])
def test_the_last_rollouts_are_drawn_alike(count, there):
    drawn = credit.drawn(ring(count), 400, jax.random.key(0), count)
    aim = np.asarray(drawn.lessons["a"].aim[:, 0])
    assert set(aim) == there
    assert abs((aim == count).mean() - 1 / len(there)) < 0.1
    np.testing.assert_array_equal(drawn.now.obs["a"], np.broadcast_to(aim[:, None, None], (400, 2, 3)))
    np.testing.assert_array_equal(drawn.lessons["a"].choices.weight[:, 0, 0], aim)
    assert drawn.now.alive["a"].all()


def test_a_state_to_act_with_leaves_them_out():
    world = make("toy/discrete")
    algorithm = dataclasses.replace(ppo.credit_mappo(world.spec), horizon=4)
    state = jax.eval_shape(lambda key: algorithm.init(key, 4), jax.random.key(0))
    assert jax.tree.leaves(state.credit.recent)[0].shape[:3] == (8, 4, 4)
    assert not jax.tree.leaves(algorithm.acting(state).credit.recent)


@pytest.mark.learn
def test_what_was_played_before_makes_the_model_better():
    """An additive game, in which every rollout says something about every player, and policies that go on learning."""
    world = make("matrix/additive", players=16, uneven=0.0)
    keys = jax.random.split(jax.random.key(0), 4)

    def explained(recent):
        kind = credit.Baseline(recent=recent, batch=64)
        algorithm = dataclasses.replace(ppo.credit_mappo(world.spec), horizon=4, width=32, shared=False, credit=kind)
        run = jax.jit(lambda keys: loop.start(world, algorithm, keys, 8))(keys)
        _, metrics = loop.compiled(world, algorithm)(run, 20)
        return np.nanmean(metrics["credit/player/explained"])

    assert explained(16) > explained(1) + 0.1
