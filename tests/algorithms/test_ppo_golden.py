"""PPO against a NumPy reference (float64), written from the papers' equations, agent by agent and step by step."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.algorithms import ppo
from covey.core.errors import BadInput
from covey.core.types import Box, Discrete, Field, Group, Space, Spec, Table, TimeStep, Transition
from covey.learning.sequences import in_sequences, side_by_side
from covey.learning.targets import Linear

SIZE, OBS, LENGTH, LANES, STEP = 3, 2, 5, 2, 40
DISCRETE, BOX = Discrete(4), Box((-2.0, -1.0), (2.0, 1.0))
SEES = ("own", "team", "agent")


def world(space: Space) -> Spec:
    names = tuple(f"agent_{i}" for i in range(SIZE))
    return Spec("golden", Table({"agent": Group(names, (Field("o", (OBS,)),), space)}), time_limit=4)


def small(space: Space, **settings: Any) -> ppo.PPO:
    defaults = {
        "width": 4,
        "layers": 1,
        "normalize": False,
        "horizon": LENGTH,
        "last_scale": 1.0,
        "entropy": Linear(0.3, 0.1, 80.0),
        "huber": 0.5,
    }
    return dataclasses.replace(ppo.mappo(world(space)), **(defaults | settings))


def moved(nets: Any, size: float, seed: int) -> Any:
    draw = np.random.default_rng(seed)
    return jax.tree.map(lambda x: x + size * draw.normal(size=x.shape).astype(np.float32), nets)


def experience(algorithm: ppo.PPO, state: ppo.State) -> Transition:
    """Two lanes of five steps: a time limit, a terminal end, an agent that dies, and choices that are illegal."""
    draw, space = np.random.default_rng(5), algorithm.spec.groups["agent"].action
    shape = (LENGTH, LANES, SIZE)
    alive, then_alive, discount = np.ones(shape, bool), np.ones(shape, bool), np.ones(shape)
    last = np.zeros((LENGTH, LANES), bool)
    last[2, 0] = last[3, 1] = True
    discount[2, 0] = 0.0  # a terminal end; lane 1 meets its time limit
    discount[1, 1, 2], then_alive[1, 1, 2], alive[2:4, 1, 2] = 0.0, False, False
    then_alive[2:4, 1, 2] = False
    legal = draw.uniform(size=(*shape, 4)) < 0.7
    legal[..., 0] = True

    def seen(alive: np.ndarray) -> TimeStep:
        obs = {"agent": jnp.asarray(draw.normal(size=(*shape, OBS)), jnp.float32)}
        masks = {"agent": jnp.asarray(legal)} if isinstance(space, Discrete) else {}
        reward = {"agent": jnp.asarray(draw.normal(size=shape), jnp.float32)}
        given = {"agent": jnp.asarray(discount, jnp.float32)}
        return TimeStep(obs, reward, given, {"agent": jnp.asarray(alive)}, jnp.asarray(last), masks)

    now = seen(alive)
    act = jax.vmap(jax.vmap(lambda now, key: algorithm.act(state, memory, now, key, STEP, explore=True)))
    memory = algorithm.memory(jax.random.key(0))
    action, _, extra = act(now, jax.random.split(jax.random.key(1), (LENGTH, LANES)))
    return Transition(now, action, seen(then_alive), extra)


# ---------------------------------------------------------------------------------------------------------------------
# The reference


def forward(net: Any, x: np.ndarray) -> np.ndarray:
    (hidden,), final = net.hidden, net.final
    h = np.tanh(np.asarray(hidden.weight, float) @ x + np.asarray(hidden.bias, float))
    return np.asarray(final.weight, float) @ h + np.asarray(final.bias, float)


def seen_by(sees: str, obs: np.ndarray, i: int) -> np.ndarray:
    identity = np.eye(SIZE)[i]
    around = np.concatenate([obs[(i + j) % SIZE] for j in range(SIZE)])
    return np.concatenate([{"own": obs[i], "team": obs.ravel(), "agent": around}[sees], identity])


def values(algorithm: ppo.PPO, critic: Any, step: TimeStep) -> np.ndarray:
    """[T, E, n] in the network's units."""
    obs = np.where(np.asarray(step.alive["agent"])[..., None], np.asarray(step.obs["agent"], float), 0.0)
    return np.array(
        [
            [[forward(critic, seen_by(algorithm.sees, obs[t, e], i))[0] for i in range(SIZE)] for e in range(LANES)]
            for t in range(LENGTH)
        ]
    )


def advantages(algorithm: ppo.PPO, state: ppo.State, rollout: Transition) -> tuple[np.ndarray, np.ndarray]:
    """Sums of errors of one step, forward from every step; and values."""
    now, future = (values(algorithm, state.nets.critic["agent"], step) for step in (rollout.now, rollout.then))
    reward, discount, alive = (
        np.asarray(x["agent"], float) for x in (rollout.then.reward, rollout.then.discount, rollout.now.alive)
    )
    last, found = np.asarray(rollout.then.last), np.zeros(now.shape)
    for t in range(LENGTH):
        for e in range(LANES):
            for i in range(SIZE):
                weight = 1.0
                for s in range(t, LENGTH):
                    error = alive[s, e, i] * reward[s, e, i] - now[s, e, i]
                    error += algorithm.gamma * discount[s, e, i] * future[s, e, i]
                    found[t, e, i] += weight * error
                    weight *= algorithm.gamma * algorithm.lam * discount[s, e, i]
                    if last[s, e]:
                        break
    return found, now


def log_shares(raw: np.ndarray, legal: np.ndarray) -> np.ndarray:
    weights = np.where(legal, np.exp(raw), 0.0)
    with np.errstate(divide="ignore"):
        return np.log(weights / weights.sum())


def density(actor: Any, obs: np.ndarray, sample: np.ndarray, legal: Any, i: int) -> tuple[float, float]:
    """Log-probability and entropy of one agent's sample."""
    raw = forward(actor.net, np.concatenate([obs, np.eye(SIZE)[i]]))
    if legal is not None:
        logs = log_shares(raw, legal)
        known = logs[legal]
        return logs[sample.argmax()], -(np.exp(known) * known).sum()
    std = np.exp(np.asarray(actor.log_std, float))
    logs = -0.5 * ((sample - raw) / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.pi)
    return logs.sum(), (np.log(std) + 0.5 * np.log(2 * np.pi * np.e)).sum()


def huber(x: np.ndarray, delta: float) -> np.ndarray:
    size = np.abs(x)
    return np.where(size <= delta, 0.5 * size**2, delta * (size - 0.5 * delta))


def losses(algorithm: ppo.PPO, state: ppo.State, rollout: Transition, nets: ppo.Nets) -> tuple[float, float]:
    """The actors' and the critics' loss of `nets`, for what the policy of `state` experienced."""
    advantage, old_value = advantages(algorithm, state, rollout)
    alive, target = np.asarray(rollout.now.alive["agent"]), advantage + old_value
    moments = target[alive].mean(), max(target[alive].std(), 0.1)
    normal = (advantage - advantage[alive].mean()) / (advantage[alive].std() + 1e-5)
    obs = np.asarray(rollout.now.obs["agent"], float)
    sample, old = (np.asarray(x["agent"], float) for x in (rollout.extra.sample, rollout.extra.log_prob))
    masks = rollout.now.legal.get("agent")
    sigma = 0.3 + (0.1 - 0.3) * STEP / 80.0
    gains, entropies = [], []
    for t, e, i in np.argwhere(alive):
        legal = None if masks is None else np.asarray(masks)[t, e, i]
        log_prob, entropy = density(nets.actor["agent"], obs[t, e, i], sample[t, e, i], legal, i)
        ratio = np.exp(log_prob - old[t, e, i])
        clipped = np.clip(ratio, 1 - algorithm.clip, 1 + algorithm.clip)
        gains.append(min(ratio * normal[t, e, i], clipped * normal[t, e, i]))
        entropies.append(entropy)
    value = values(algorithm, nets.critic["agent"], rollout.now)[alive]
    aim = ((target - moments[0]) / moments[1])[alive]
    held = old_value[alive] + np.clip(value - old_value[alive], -algorithm.clip, algorithm.clip)
    delta = float(algorithm.huber)
    critic = np.maximum(huber(value - aim, delta), huber(held - aim, delta)).mean()
    return float(-np.mean(gains) - sigma * np.mean(entropies)), float(critic)


# ---------------------------------------------------------------------------------------------------------------------


def scene(space: Space, **settings: Any) -> tuple[ppo.PPO, ppo.State, Transition, ppo.Nets]:
    """An algorithm, its state, what it experienced, and networks that have moved on since."""
    algorithm = small(space, **settings)
    state = jax.jit(lambda key: algorithm.init(key, LANES))(jax.random.key(3))
    state = state._replace(nets=state.nets._replace(**_moved(state.nets, 0.3, 1)))
    rollout = jax.jit(lambda state: experience(algorithm, state))(state)
    return algorithm, state, rollout, state.nets._replace(**_moved(state.nets, 0.2, 2))


def _moved(nets: ppo.Nets, size: float, seed: int) -> dict[str, Any]:
    return {"actor": moved(nets.actor, size, seed), "critic": moved(nets.critic, size, seed + 10)}


def learned_from(algorithm: ppo.PPO, state: ppo.State, rollout: Transition) -> dict[str, Any]:
    data = jax.jit(lambda *args: algorithm.prepare(*args))(state, rollout, jax.random.key(0)).data
    return {name: side_by_side(x) for name, x in data.items()}


@pytest.mark.parametrize("sees", SEES)
def test_losses_and_their_gradients(sees):
    algorithm, state, rollout, nets = scene(DISCRETE, sees=sees)
    batch = learned_from(algorithm, state, rollout)
    check_losses(algorithm, state, rollout, nets, batch)


def test_losses_and_their_gradients_where_actions_are_continuous():
    algorithm, state, rollout, nets = scene(BOX)
    check_losses(algorithm, state, rollout, nets, learned_from(algorithm, state, rollout))


def check_losses(algorithm, state, rollout, nets, batch):
    actor_loss = jax.jit(jax.value_and_grad(lambda actor: algorithm.actor_loss(actor, batch, STEP)[0]))
    critic_loss = jax.jit(jax.value_and_grad(lambda critic: algorithm.critic_loss(critic, batch)[0]))
    found, gradients = zip(actor_loss(nets.actor), critic_loss(nets.critic), strict=True)
    assert found == pytest.approx(losses(algorithm, state, rollout, nets), rel=1e-4)
    for index, (part, gradient) in enumerate(zip(("actor", "critic"), gradients, strict=True)):
        direction = moved(jax.tree.map(jnp.zeros_like, getattr(nets, part)), 1.0, 9)
        slope = sum(np.vdot(g, d) for g, d in zip(*map(jax.tree.leaves, (gradient, direction)), strict=True))
        step = 1e-5
        ahead, behind = (
            losses(algorithm, state, rollout, nets._replace(**{part: shifted(getattr(nets, part), direction, x)}))
            for x in (step, -step)
        )
        assert slope == pytest.approx((ahead[index] - behind[index]) / (2 * step), rel=2e-3, abs=1e-5)


def shifted(tree, direction, size):
    """In float64, so that small steps count."""
    return jax.tree.map(lambda x, d: np.asarray(x, float) + size * np.asarray(d, float), tree, direction)


def test_advantages_values_and_targets():
    algorithm, state, rollout, _ = scene(DISCRETE)
    ready = jax.jit(lambda *args: algorithm.prepare(*args))(state, rollout, jax.random.key(0))
    data, scale, metrics = ready.data, ready.scale, ready.metrics
    advantage, value = advantages(algorithm, state, rollout)
    alive = np.asarray(rollout.now.alive["agent"])

    def back(x):  # [E, C=1, L, n] -> [T, E, n]
        return np.moveaxis(np.asarray(x)[:, 0], 0, 1)

    data = data["agent"]
    target = advantage + value
    assert back(data.value)[alive] == pytest.approx(value[alive], abs=1e-5)
    mean, spread = scale["agent"].moments
    assert (mean, spread) == pytest.approx((target[alive].mean(), max(target[alive].std(), 0.1)), rel=1e-3)
    assert (back(data.target) * spread + mean)[alive] == pytest.approx(target[alive], abs=1e-4)
    standard = (advantage - advantage[alive].mean()) / advantage[alive].std()
    assert back(data.advantage)[alive] == pytest.approx(standard[alive], abs=1e-3)
    assert back(data.advantage)[~alive] == pytest.approx(0.0)
    explained = 1 - np.var(advantage[alive]) / np.var(target[alive])
    assert metrics["value/agent/explained"] == pytest.approx(explained, rel=1e-3)


def test_the_ratio_is_one_before_anything_moved():
    algorithm, state, rollout, _ = scene(BOX)
    _, metrics = algorithm.actor_loss(state.nets.actor, learned_from(algorithm, state, rollout), STEP)
    assert metrics["clipped/agent"] == 0
    assert metrics["divergence/agent"] == pytest.approx(0.0, abs=1e-6)
    assert metrics["loss/actor/agent"] == pytest.approx(0.0, abs=1e-5)  # advantages have mean 0


# ---------------------------------------------------------------------------------------------------------------------
# Memory


@pytest.mark.parametrize(("length", "burn_in"), [(0, 0), (2, 0), (2, 2), (3, 1)])
def test_sequences_hold_every_step_once_and_begin_with_what_was_carried(length, burn_in):
    algorithm = small(DISCRETE, horizon=6, units=3, sequence=length, burn_in=burn_in)
    steps = jnp.broadcast_to(jnp.arange(6)[:, None], (6, LANES))
    carry = steps[:, :, None, None] * jnp.ones((SIZE, 3))
    each = jnp.broadcast_to(steps[..., None], (6, LANES, SIZE))
    data = ppo.Data(each, each, None, each, each, (), each, each, each, each, steps >= 0, steps == 3, (carry, carry))
    cut = in_sequences(data, algorithm.length, burn_in)
    length = length or 6
    assert cut.counts.shape == (LANES, 6 // length, length + burn_in)
    for lane in range(LANES):
        counted = np.asarray(cut.obs[lane, ..., 0])[np.asarray(cut.counts[lane])]
        assert sorted(counted) == list(range(6))
        assert np.asarray(cut.carry[0][lane, :, 0, 0]) == pytest.approx(np.asarray(cut.obs[lane, :, 0, 0]))
        for first, own in zip(cut.obs[lane, 1:, 0, 0], range(length, 6, length), strict=True):
            assert first == own - burn_in


@pytest.mark.slow
def test_a_sequence_replays_what_was_played():
    """Unrolled from what was carried, with the resets in between, the densities are those of acting."""
    algorithm = small(DISCRETE, horizon=6, units=3, sequence=2, burn_in=2)
    state = jax.jit(lambda key: algorithm.init(key, LANES))(jax.random.key(3))
    draw, ends = np.random.default_rng(0), np.zeros((6, LANES), bool)
    ends[1, 0] = ends[4, 1] = True
    memory = jax.tree.map(lambda x: jnp.stack([x] * LANES), algorithm.memory(jax.random.key(0)))
    steps = []
    for t in range(6):
        obs = {"agent": jnp.asarray(draw.normal(size=(LANES, SIZE, OBS)), jnp.float32)}
        ones = {"agent": jnp.ones((LANES, SIZE))}
        now = TimeStep(obs, ones, ones, {"agent": jnp.ones((LANES, SIZE), bool)}, jnp.asarray(ends[t]))
        act = jax.vmap(lambda memory, now, key: algorithm.act(state, memory, now, key, 0, explore=True))
        action, after, extra = act(memory, now, jax.random.split(jax.random.key(t), LANES))
        memory = jax.tree.map(lambda x, t=t: jnp.where(ends[t][:, None, None], 0.0, x), after)
        steps.append(Transition(now, action, now, extra))
    rollout = jax.tree.map(lambda *x: jnp.stack(x), *steps)
    batch = learned_from(algorithm, state, rollout)
    _, metrics = algorithm.actor_loss(state.nets.actor, batch, 0)
    assert metrics["divergence/agent"] == pytest.approx(0.0, abs=1e-6)
    _, value = algorithm.members("agent").unroll(
        state.nets.critic["agent"], batch["agent"].carry[1], batch["agent"].view, batch["agent"].fresh
    )
    counts = np.asarray(batch["agent"].counts)
    assert np.asarray(value[..., 0])[counts] == pytest.approx(np.asarray(batch["agent"].value)[counts], abs=1e-5)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"units": 3, "sequence": 2}, "do not fill a horizon of 5"),
        ({"units": 3, "sequence": 5, "burn_in": 1}, "exceed the horizon"),
        ({"sequence": 5}, "about memory"),
        ({"burn_in": 1}, "about memory"),
        ({"clip": 0.0}, "clip"),
        ({"sees": "own", "epochs": 0}, "epochs"),
    ],
)
def test_impossible_settings_are_refused(settings, words):
    with pytest.raises(BadInput, match=words):
        small(DISCRETE, **settings)


def test_minibatches_of_whole_lanes_need_enough_lanes():
    with pytest.raises(BadInput, match="3 lanes cannot be cut into 2"):
        small(DISCRETE, minibatches=2).init(jax.random.key(0), 3)
