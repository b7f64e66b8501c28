"""The DDPG family against a NumPy reference (float64), written from the papers' equations, agent by agent."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.algorithms.critics import Neighbors
from covey.algorithms.ddpg import DDPG, State, att_maddpg, iddpg, maddpg, matd3
from covey.core.errors import BadInput
from covey.core.types import Box, Field, Group, Space, Spec, Splits, Table, TimeStep, Transition
from covey.learning.replay import Batch

SIZE, OBS, BATCH = 3, 2, 5
BOX, SPLITS = Box((-2.0,), (2.0,)), Splits((3,))
WIDTH = 5
NEAR = np.array([[1, 2], [2, 0], [0, 1]], np.int32), np.array([[1, 1], [1, 0], [0, 1]], bool)
"""Whom every agent lists, and who of them is there."""


def world(space: Space, agents: int = SIZE) -> Spec:
    names, near = tuple(f"agent_{i}" for i in range(agents)), len(NEAR[0][0]) if agents == SIZE else 0
    group = Group(names, (Field("o", (OBS,)),), space)
    return Spec("golden", Table({"agent": group}), time_limit=4, neighborhood=near)


def small(make: Any, spec: Spec, **settings: Any) -> DDPG:
    algorithm = make(spec)
    critic = dataclasses.replace(algorithm.critic, width=WIDTH)
    return dataclasses.replace(algorithm, width=WIDTH, critic=critic, raw_l2=0.01, last_scale=1.0, **settings)


def nets_of(algorithm: DDPG) -> Any:
    """Networks with targets that differ from them, and biases that are not zero."""
    nets = jax.jit(lambda key: algorithm.init(key, 1).nets)(jax.random.key(3))
    draw = np.random.default_rng(1)
    moved = jax.tree.map(lambda x: x + 0.2 * draw.normal(size=x.shape).astype(np.float32), nets[:4])
    return nets._replace(**dict(zip(nets._fields[:4], moved, strict=True)))


def batch_of(spec: Spec) -> Batch:
    """Random experience with a dead agent, an ended future and a sample that does not count."""
    draw = np.random.default_rng(2)
    shape = (BATCH, spec.agents)

    def seen(alive: np.ndarray) -> TimeStep:
        values = {name: {"agent": jnp.asarray(draw.normal(size=shape), jnp.float32)} for name in ("reward", "discount")}
        values["discount"]["agent"] = jnp.ones(shape).at[1].set(0.0)
        obs = {"agent": jnp.asarray(draw.normal(size=(*shape, OBS)), jnp.float32)}
        near = tuple(jnp.broadcast_to(x, (BATCH, *x.shape)) for x in NEAR) if spec.neighborhood else None
        values["neighbors"] = {"agent": near} if near else {}  # type: ignore
        return TimeStep(obs=obs, alive={"agent": jnp.asarray(alive)}, last=jnp.zeros(BATCH, bool), **values)

    alive = np.ones(shape, bool)
    alive[2, 0] = False
    then_alive = alive.copy()
    then_alive[3, -1] = False
    return Batch(
        now=seen(alive),
        action={"agent": some_action(spec, draw)},
        then=seen(then_alive),
        next_action={"agent": some_action(spec, draw)},
        weight=jnp.asarray([1.0, 1.0, 1.0, 1.0, 0.0]),
    )


def some_action(spec: Spec, draw: Any) -> Any:
    shape = (BATCH, spec.agents)
    if isinstance(spec.groups["agent"].action, Splits):
        return jnp.asarray(draw.dirichlet(np.ones(3), size=shape), jnp.float32)
    return jnp.asarray(draw.uniform(-2, 2, size=(*shape, 1)), jnp.float32)


# ---------------------------------------------------------------------------------------------------------------------
# The reference


def relu(x):
    return np.maximum(x, 0.0)


def softmax(x):
    weights = np.exp(x - x.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def affine(layer, i, x):
    """A layer of agent i's network."""
    return x @ layer.weight[i].T + layer.bias[i]


def mlp(net, i, x):
    first, second, last = net.layers
    return affine(last, i, relu(affine(second, i, relu(affine(first, i, x)))))


def policy(space, actor, i, obs):
    """μ_i(o_i), as the critics see it, and the raw output."""
    raw = mlp(actor["agent"], i, obs[:, i])
    return (np.tanh(raw) if isinstance(space, Box) else softmax(raw)), raw


def policies(space, actor, obs, alive):
    n = obs.shape[1]
    return np.stack([policy(space, actor, i, obs)[0] for i in range(n)], 1) * alive[..., None]


def around(i, x):
    """What everybody but i sees or does, from i + 1 on."""
    n = x.shape[1]
    return [x[:, (i + k) % n] for k in range(1, n)]


def independent(critic, i, obs, action):
    return mlp(critic["agent"], i, np.concatenate([obs[:, i], action[:, i]], 1))[:, 0]


def joint(critic, i, obs, action):
    """Q_i(o, a) of MADDPG."""
    seen = [obs[:, i], action[:, i], *around(i, obs), *around(i, action)]
    return mlp(critic["agent"], i, np.concatenate(seen, 1))[:, 0]


def near(critic, i, obs, action):
    """Q(o_i, a_i, neighbors) of the critic of listed neighbors; whoever sees nothing but zeros is dead."""
    net, own = critic["agent"], np.concatenate([obs[:, i], action[:, i]], 1)
    total, count = np.zeros((BATCH, WIDTH)), np.zeros((BATCH, 1))
    for j, listed in zip(*(x[i] for x in NEAR), strict=True):
        there = (listed & obs[:, j].any(1))[:, None] * 1.0
        seen = np.concatenate([own, there, obs[:, j], action[:, j]], 1)
        total, count = total + there * relu(seen @ net.message.weight.T + net.message.bias), count + there
    x = np.concatenate([own, total / np.maximum(count, 1.0)], 1)
    for layer in net.out.layers[:-1]:
        x = relu(x @ layer.weight.T + layer.bias)
    return (x @ net.out.layers[-1].weight.T + net.out.layers[-1].bias)[:, 0]


def maddpg_near(spec):
    return dataclasses.replace(maddpg(spec), critic=Neighbors())


def attention(critic, i, obs, action):
    """Q_i(o, a) of ATT-MADDPG, equations 8 and 9."""
    net = critic["own"]["agent"]
    z = relu(affine(net.state, i, np.concatenate([obs[:, i], *around(i, obs), action[:, i]], 1)))
    heads = [relu(z @ w.T + b) for w, b in zip(net.heads.weight[i], net.heads.bias[i], strict=True)]
    h = relu(affine(net.team, i, np.concatenate(around(i, action), 1)))
    weights = softmax(np.stack([(h * head).sum(1) for head in heads], 1))
    context = sum(weights[:, k : k + 1] * head for k, head in enumerate(heads))
    return affine(net.out, i, context)[:, 0]


def embedded(space, action, alive):
    return (action / 2.0 if isinstance(space, Box) else action) * alive[..., None]


def as_numpy(tree):
    return jax.tree.map(lambda x: np.asarray(x, np.float64 if x.dtype == jnp.float32 else None), tree)


class Reference:
    """Targets and losses on one batch."""

    def __init__(self, algorithm, nets, batch, q):
        self.q, self.space, self.raw_l2 = q, algorithm.spec.groups["agent"].action, algorithm.raw_l2
        self.gamma, nets, batch = algorithm.gamma, as_numpy(nets), as_numpy(batch)
        self.nets, self.alive = nets, batch.now.alive["agent"]
        self.obs = batch.now.obs["agent"] * self.alive[..., None]
        self.action = embedded(self.space, batch.action["agent"], self.alive)
        self.weight = batch.weight[:, None] * self.alive
        then_alive = batch.then.alive["agent"]
        self.then_obs = batch.then.obs["agent"] * then_alive[..., None]
        self.then_action = policies(self.space, nets.target_actor, self.then_obs, then_alive)
        self.reward, self.discount = batch.then.reward["agent"], batch.then.discount["agent"]
        self.agents = range(self.obs.shape[1])

    def target(self, critic=0):
        """y_i [B, n], equation 10."""
        future = [self.q(self.nets.target_critic[critic], i, self.then_obs, self.then_action) for i in self.agents]
        return self.reward + self.gamma * self.discount * np.stack(future, 1)

    def mean(self, x, i):
        return (x * self.weight[:, i]).sum() / self.weight[:, i].sum()

    def critic_loss(self, critic):
        """Σ_i L_i, equation 11."""
        y = self.target()
        return sum(self.mean((y[:, i] - self.q(critic, i, self.obs, self.action)) ** 2, i) for i in self.agents)

    def actor_loss(self, actor, i):
        """-J_i in θ_i, equation 12: the others do what their current policies say, whatever `actor` says of them."""
        action = policies(self.space, self.nets.actor, self.obs, self.alive)
        own, raw = policy(self.space, actor, i, self.obs)
        action[:, i] = own * self.alive[:, i, None]
        gain = self.mean(self.q(self.nets.critic[0], i, self.obs, action), i)
        return -gain + self.raw_l2 * self.mean((raw**2).mean(1), i)


def slopes(f, tree, step=1e-6):
    """The gradient of f, by central differences."""
    leaves, structure = jax.tree.flatten(tree)
    gradient = [np.zeros_like(leaf) for leaf in leaves]
    for leaf, slope in zip(leaves, gradient, strict=True):
        for place in np.ndindex(leaf.shape):
            kept, ends = leaf[place], []
            for moved in (kept + step, kept - step):
                leaf[place] = moved
                ends.append(f(jax.tree.unflatten(structure, leaves)))
            leaf[place] = kept
            slope[place] = (ends[0] - ends[1]) / (2 * step)
    return jax.tree.unflatten(structure, gradient)


def assert_close(found, expected):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), found, expected)


# ---------------------------------------------------------------------------------------------------------------------
# The rule against the reference

KEY = jax.random.key(0)
CASES = {
    "maddpg-box": (maddpg, joint, BOX),
    "maddpg-splits": (maddpg, joint, SPLITS),
    "att-box": (att_maddpg, attention, BOX),
    "att-splits": (att_maddpg, attention, SPLITS),
    "near-box": (maddpg_near, near, BOX),
    "near-splits": (maddpg_near, near, SPLITS),
}


@pytest.fixture(scope="module", params=CASES.values(), ids=list(CASES))
def case(request):
    make, q, space = request.param
    algorithm = small(make, world(space))
    nets, batch = nets_of(algorithm), batch_of(algorithm.spec)
    return algorithm, nets, batch, Reference(algorithm, nets, batch, q)


def test_target(case):
    algorithm, nets, batch, reference = case
    found = jax.jit(algorithm.critic_target)(nets, batch, KEY)["agent"]
    np.testing.assert_allclose(found, reference.target(), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found[1], batch.then.reward["agent"][1])  # nothing comes after discount 0


def test_critic_loss_and_gradient(case):
    algorithm, nets, batch, reference = case
    target = {"agent": jnp.asarray(reference.target(), jnp.float32)}
    value_and_grad = jax.jit(jax.value_and_grad(algorithm.critic_loss, has_aux=True))
    (loss, _), gradient = value_and_grad(nets.critic, target, batch)
    np.testing.assert_allclose(loss, reference.critic_loss(reference.nets.critic[0]), rtol=1e-5)
    assert_close(gradient[0], slopes(reference.critic_loss, reference.nets.critic[0]))


def test_actor_gradient_is_equation_12(case):
    algorithm, nets, batch, reference = case
    gradient = jax.jit(jax.grad(algorithm.actor_loss, has_aux=True))(nets.actor, nets.critic[0], batch, KEY)[0]
    for i in reference.agents:
        expected = slopes(lambda actor, i=i: reference.actor_loss(actor, i), reference.nets.actor)
        assert_close(*(jax.tree.map(lambda x, i=i: x[i], tree) for tree in (gradient, expected)))


@pytest.mark.parametrize("teammates", ["current", "replayed", "joint"])
def test_a_critic_pushes_teammates_only_if_asked(teammates):
    algorithm = small(maddpg, world(SPLITS), teammates=teammates, gamma=0.9)
    algorithm = dataclasses.replace(algorithm, raw_l2=0.0)
    nets, batch = nets_of(algorithm), batch_of(algorithm.spec)
    silent = jax.tree.map(lambda x: x * (jnp.arange(SIZE) == 1).reshape(-1, *[1] * (x.ndim - 1)), nets.critic[0])
    gradient = jax.jit(jax.grad(algorithm.actor_loss, has_aux=True))(nets.actor, silent, batch, KEY)[0]
    pushed = [any(bool(jnp.any(x[i] != 0)) for x in jax.tree.leaves(gradient)) for i in range(SIZE)]
    assert pushed == [teammates == "joint", True, teammates == "joint"]


def test_replayed_teammates_are_used():
    algorithm = small(maddpg, world(BOX), teammates="replayed")
    nets, batch = nets_of(algorithm), batch_of(algorithm.spec)
    reference = Reference(algorithm, nets, batch, joint)
    loss, _ = jax.jit(algorithm.actor_loss)(nets.actor, nets.critic[0], batch, KEY)
    expected = 0.0
    for i in reference.agents:
        own, raw = policy(BOX, reference.nets.actor, i, reference.obs)
        action = reference.action.copy()
        action[:, i] = own * reference.alive[:, i, None]
        gain = reference.mean(joint(reference.nets.critic[0], i, reference.obs, action), i)
        expected += reference.raw_l2 * reference.mean((raw**2).mean(1), i) - gain
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


# ---------------------------------------------------------------------------------------------------------------------
# Updates


def test_targets_follow_by_tau():
    algorithm = small(maddpg, world(BOX), tau=0.25)
    nets = nets_of(algorithm)
    after, _ = jax.jit(algorithm.update_actor)(nets, batch_of(algorithm.spec), KEY)
    moved = jax.tree.map(lambda old, online: old + 0.25 * (online - old), nets[2:4], after[:2])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), after[2:4], moved)
    assert_same(after.critic, nets.critic)  # an actor's step leaves the critics alone


def test_the_smaller_critic_is_the_target():
    algorithm = small(matd3, world(BOX), smoothing=0.0)
    nets, batch = nets_of(algorithm), batch_of(algorithm.spec)
    reference = Reference(algorithm, nets, batch, joint)
    found = jax.jit(algorithm.critic_target)(nets, batch, KEY)["agent"]
    both = reference.target(0), reference.target(1)
    assert (both[0] < both[1]).any()
    assert (both[0] > both[1]).any()
    np.testing.assert_allclose(found, np.minimum(*both), rtol=1e-5, atol=1e-5)


def test_actors_are_delayed():
    algorithm = small(matd3, world(BOX))
    nets, batch = nets_of(algorithm), batch_of(algorithm.spec)

    @jax.jit
    def late(count):
        return algorithm.every_delay(count, lambda nets: algorithm.update_actor(nets, batch, KEY), nets)

    idle, metrics = late(0)
    assert_same(idle, nets)
    assert np.isnan(metrics["loss/actor/agent"])
    moved, metrics = late(1)
    assert np.isfinite(metrics["loss/actor/agent"])
    assert not np.array_equal(moved.actor["agent"].layers[0].weight, nets.actor["agent"].layers[0].weight)
    assert not np.array_equal(
        moved.target_critic[0]["agent"].layers[0].weight, nets.target_critic[0]["agent"].layers[0].weight
    )


def test_the_delay_counts_updates_across_learns():
    """Two updates a learn and a delay of three: the third update is the first of the second learn."""
    spec = world(BOX, agents=1)
    algorithm = small(iddpg, spec, updates=2, delay=3, horizon=2, warmup=0)
    state = algorithm.init(jax.random.key(0), 1)
    batch = batch_of(spec)
    now, then = jax.tree.map(lambda x: x[:2, None], (batch.now, batch.then))
    rollout = Transition(now, jax.tree.map(lambda x: x[:2, None], batch.action), then)
    learn = jax.jit(algorithm.learn)
    acted = []
    for step in range(0, 12, 2):
        after, _ = learn(state, rollout, jax.random.key(step), step)
        acted.append(not same(after.nets.actor, state.nets.actor))
        state = State(after.nets, after.buffer)
    assert acted == [False, True, True, False, True, True]


def same(a, b) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def assert_same(a, b):
    assert same(a, b)


def test_refuses_an_attention_critic_without_teammates():
    with pytest.raises(BadInput, match="has one agent: use 'iddpg'"):
        att_maddpg(world(BOX, agents=1))


def test_learning_rates_fall_to_a_tenth():
    """Adam's step is its learning rate, as long as the gradient stays the same."""
    algorithm = dataclasses.replace(maddpg(world(Box((-1.0,), (1.0,)))), anneal=4, clip=float("inf"))
    for optimizer, lr in zip(algorithm.optimizers, (algorithm.actor_lr, algorithm.critic_lr), strict=True):
        weight, steps = jnp.zeros(1), []
        state = optimizer.init(weight)
        for _ in range(6):
            step, state = optimizer.update(jnp.ones(1), state)
            steps.append(-float(step[0]))
        np.testing.assert_allclose(steps, lr * np.array([1, 0.775, 0.55, 0.325, 0.1, 0.1]), rtol=1e-4)
