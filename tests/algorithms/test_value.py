"""Q-learning for teams against NumPy, number by number; and what its mixers can and cannot say."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.algorithms import value
from covey.core.errors import BadInput
from covey.core.types import Discrete, Field, Group, MultiDiscrete, Spec, Table, TimeStep
from covey.environments import make
from covey.learning.replay import Batch
from covey.learning.targets import Linear
from covey.nn.mixers import Free, Monotone, Pair, Sum

BATCH, AGENTS, CHOICES, SEEN = 4, 3, 4, 2


def spec(space=None):
    names = tuple(f"agent_{i}" for i in range(AGENTS))
    group = Group(names, (Field("seen", (SEEN,)),), space or Discrete(CHOICES))
    return Spec("golden", Table({"agent": group}), time_limit=9)


def step(draw, alive, legal):
    def numbers(*shape):
        return jnp.asarray(draw.normal(size=shape), jnp.float32)

    return TimeStep(
        obs={"agent": numbers(BATCH, AGENTS, SEEN)},
        reward={"agent": numbers(BATCH, AGENTS)},
        discount={"agent": jnp.ones((BATCH, AGENTS)).at[1].set(0.0)},
        alive={"agent": alive},
        last=jnp.zeros(BATCH, bool),
        legal={"agent": legal},
    )


@pytest.fixture
def batch():
    """Four transitions: the first has a dead agent, after the second nobody has a future, the last weighs nothing."""
    draw = np.random.default_rng(0)
    alive = jnp.ones((BATCH, AGENTS), bool).at[0, 1].set(False)
    legal = jnp.asarray(draw.uniform(size=(BATCH, AGENTS, CHOICES)) > 0.3).at[..., 0].set(True)
    action = {"agent": jnp.asarray(draw.integers(0, CHOICES, (BATCH, AGENTS)), jnp.int32)}
    weight = jnp.array([1.0, 1.0, 1.0, 0.0])
    return Batch(step(draw, alive, legal), action, step(draw, alive, legal), action, weight)


def mlp(net, x):
    *hidden, last = net.layers
    for layer in hidden:
        x = np.maximum(x @ np.asarray(layer.weight).T + np.asarray(layer.bias), 0.0)
    return x @ np.asarray(last.weight).T + np.asarray(last.bias)


def own_values(team, now):
    """Q_i of every choice [B, n, A]; the dead see nothing."""
    obs = np.where(np.asarray(now.alive["agent"])[..., None], np.asarray(now.obs["agent"]), 0.0)
    identity = np.broadcast_to(np.eye(AGENTS), (BATCH, AGENTS, AGENTS))
    return mlp(team.own, np.concatenate([obs, identity], -1)), obs.reshape(BATCH, -1)


def elu(x):
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def team_value(algorithm, team, now, choice):
    q, context = own_values(team, now)
    chosen = np.take_along_axis(q, choice[..., None], -1)[..., 0] * np.asarray(now.alive["agent"])
    if isinstance(algorithm.mixer, Sum):
        return chosen.sum(1)
    enter, shift, leave = (context @ np.asarray(x.weight).T + np.asarray(x.bias) for x in team.mix)
    hidden = np.einsum("bn,bnw->bw", chosen, np.abs(enter).reshape(BATCH, AGENTS, -1)) + shift
    mixed = (np.abs(leave) * (elu(hidden) - elu(shift))).sum(1)
    return mixed + mlp(team.base, context)[:, 0]


@pytest.mark.parametrize("alias", [value.vdn, value.qmix])
def test_targets_and_losses_are_the_papers(alias, batch):
    algorithm = dataclasses.replace(alias(spec()), width=5)
    state = algorithm.init(jax.random.key(0), 2)
    other = algorithm.init(jax.random.key(1), 2)
    nets = state.nets._replace(target=other.nets.online)
    q, _ = own_values(nets.online["agent"], batch.then)
    best = np.where(np.asarray(batch.then.legal["agent"]), q, -np.inf).argmax(-1)
    future = team_value(algorithm, nets.target["agent"], batch.then, best)
    alive, reward = np.asarray(batch.now.alive["agent"]), np.asarray(batch.then.reward["agent"])
    earned = (reward * alive).sum(1) / alive.sum(1)
    y = earned + 0.99 * np.asarray(batch.then.discount["agent"]).max(1) * future
    found = algorithm.target(nets, batch)
    np.testing.assert_allclose(found["agent"], y, rtol=1e-4, atol=1e-5)
    ours = team_value(algorithm, nets.online["agent"], batch.now, np.asarray(batch.action["agent"]))
    loss, _ = algorithm.loss(nets.online, found, batch)
    assert float(loss) == pytest.approx(((y - ours) ** 2)[:3].mean(), rel=1e-4)


def test_exploring_is_by_chance_and_legal():
    algorithm = dataclasses.replace(value.vdn(spec()), epsilon=Linear(1.0, 0.0, 100.0))
    state = algorithm.init(jax.random.key(0), 2)
    now = jax.tree.map(
        lambda x: x[0],
        step(np.random.default_rng(0), jnp.ones((BATCH, AGENTS), bool), jnp.ones((BATCH, AGENTS, CHOICES), bool)),
    )
    now = now._replace(legal={"agent": jnp.ones((AGENTS, CHOICES), bool).at[0, 1:].set(False)})

    def act(key, at, explore=True):
        return algorithm.act(state, (), now, key, at, explore=explore)[0]["agent"]

    keys = jax.random.split(jax.random.key(0), 400)
    wild, tame = (jax.vmap(lambda key, at=at: act(key, at))(keys) for at in (0, 100))
    greedy = act(keys[0], 0, explore=False)
    assert (wild[:, 0] == 0).all()
    shares = np.bincount(np.asarray(wild[:, 1]), minlength=CHOICES) / len(keys)
    np.testing.assert_allclose(shares, 1 / CHOICES, atol=0.08)
    assert (tame == greedy).all()


def test_several_choices_at_once():
    """The values of an agent's parts add up."""
    algorithm = dataclasses.replace(value.vdn(spec(MultiDiscrete((2, 3)))), width=5)
    team = algorithm.init(jax.random.key(0), 2).nets.online["agent"]
    now = step(np.random.default_rng(0), jnp.ones((BATCH, AGENTS), bool), jnp.ones((BATCH, AGENTS, 5), bool))
    q, _ = own_values(team, now)
    chosen = jnp.zeros((BATCH, AGENTS, 5)).at[..., 1].set(1.0).at[..., 4].set(1.0)
    found = algorithm.value(team, "agent", jax.vmap(algorithm.encoders.inputs)(now), now.alive["agent"], chosen)
    np.testing.assert_allclose(found, (q[..., 1] + q[..., 4]).sum(1), rtol=1e-4)


def test_refuses():
    with pytest.raises(BadInput, match="compare all of them"):
        value.vdn(make("toy/continuous").spec)
    with pytest.raises(BadInput, match="choose 'sum', 'monotone' or 'free'"):
        dataclasses.replace(value.qmix(spec()), mixer=Pair())
    with pytest.raises(BadInput, match="`start` must lie in"):
        dataclasses.replace(value.qmix(spec()), epsilon=Linear(2.0, 0.0, 1.0))


def test_renumbering():
    assert value.qmix(spec()).rotate(value.qmix(spec()).init(jax.random.key(0), 2), 1) is None
    apart = dataclasses.replace(value.vdn(spec()), shared=False)
    state = apart.init(jax.random.key(0), 2)
    rotated = apart.rotate(state, 1)
    assert rotated is not None
    first, turned = (x.nets.online["agent"].own.layers[0].weight for x in (state, rotated))
    np.testing.assert_array_equal(turned[1], first[0])


@pytest.mark.parametrize("mixer", [Monotone(4), Free(4)])
def test_what_a_mixer_restricts(mixer, batch):
    """More of one member is never worth less to a monotone mixer, and sometimes to a free one."""
    params = mixer.init(jax.random.key(2), AGENTS, SEEN * AGENTS)
    z = jax.random.normal(jax.random.key(3), (64, AGENTS, 1))
    context = jax.random.normal(jax.random.key(4), (64, SEEN * AGENTS))
    slope = jax.vmap(jax.grad(lambda z, c: mixer.value(params, z, c)))(z, context)
    assert bool((slope < 0).any()) is not isinstance(mixer, Monotone)
