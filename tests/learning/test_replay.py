"""Replay: what is stored, what follows what, and what a critic makes of it, worked by hand."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.algorithms.ddpg import iddpg
from covey.core.errors import BadInput
from covey.core.types import Box, Field, Group, Spec, Table, TimeStep, Transition
from covey.learning.replay import Batch, Replay

SPEC = Spec("line", Table({"a": Group(("a_0",), (Field("o"),), Box((-1.0,), (1.0,)))}), time_limit=3)


class Step(NamedTuple):
    """One step of one lane: what was seen, what was seen then, and how it ended."""

    obs: float
    then: float
    discount: float = 1.0
    last: bool = False


CUT = [Step(0, 1), Step(1, 2), Step(2, 3, last=True)]  # by the time limit: the future goes on at 3
DEATH = [Step(10, 11), Step(11, 12, discount=0.0, last=True)]
AFTER = [Step(20, 21), Step(21, 22)]


def rollout(lanes: list[list[Step]]) -> Transition:
    """Steps [E][T] -> a rollout [T, E, ...]; the reward is the observation, the action a tenth of it."""
    values = np.asarray(lanes, np.float32).swapaxes(0, 1)  # [T, E, 4]
    obs, then, discount, last = (jnp.asarray(values[..., i]) for i in range(4))

    def seen(obs, reward, discount, last):
        alive = {"a": jnp.ones((*obs.shape, 1), bool)}
        return TimeStep(
            {"a": obs[..., None, None]}, {"a": reward[..., None]}, {"a": discount[..., None]}, alive, last > 0
        )

    nothing = jnp.zeros_like(obs)
    return Transition(
        seen(obs, nothing, nothing + 1, nothing), {"a": obs[..., None, None] / 10}, seen(then, obs, discount, last)
    )


def filled(replay: Replay, lanes: list[list[Step]], horizon: int = 1):
    """A buffer after all steps, and how many there were."""
    buffer, step = replay.init(SPEC, len(lanes), horizon), 0
    add = jax.jit(lambda buffer, rollout, step: replay.add(SPEC, buffer, rollout, step))
    for t in range(0, len(lanes[0]), horizon):
        buffer = add(buffer, rollout([lane[t : t + horizon] for lane in lanes]), step)
        step += horizon * len(lanes)
    return buffer, step


def sampled(replay: Replay, buffer, step: int, seed: int = 0) -> Batch:
    return jax.jit(lambda key: replay.sample(SPEC, buffer, key, step))(jax.random.key(seed))


def known(batch: Batch) -> dict[float, tuple[float, float, bool, float]]:
    """Of every observation that was drawn: the next one, discount, last and the next action."""
    fields = (
        batch.now.obs["a"],
        batch.then.obs["a"],
        batch.then.discount["a"],
        batch.then.last,
        batch.next_action["a"],
    )
    rows = zip(*(np.asarray(x).reshape(len(batch.weight)).tolist() for x in fields), strict=True)
    return {obs: tuple(rest) for obs, *rest in rows}


@pytest.mark.parametrize("horizon", [1, 7])
def test_successors_are_the_true_ones(horizon):
    replay = Replay(capacity=20, batch=20)
    buffer, step = filled(replay, [CUT + DEATH + AFTER], horizon)
    found = {}
    for seed in range(5):
        found |= known(sampled(replay, buffer, step, seed))
    assert set(found) == {0, 1, 2, 10, 11, 20}  # what follows 21 is not known yet
    assert found[0][:3] == (1, 1, False)
    assert found[1][:3] == (2, 1, False)
    assert found[2][:3] == (3, 1, True)  # not 10, where the next episode began
    assert found[10][:3] == (11, 1, False)
    assert found[11][1:3] == (0, True)
    assert found[2][3] == found[11][3] == 0  # nobody acts after the end
    assert found[0][3] == pytest.approx(0.1)


def test_time_limits_bootstrap_and_deaths_do_not():
    algorithm = iddpg(SPEC)
    replay = Replay(capacity=20, batch=20)
    buffer, step = filled(replay, [CUT + DEATH + AFTER])
    nets = jax.jit(lambda key: algorithm.init(key, 1).nets)(jax.random.key(0))
    batch = sampled(replay, buffer, step)
    y = np.asarray(jax.jit(algorithm.critic_target)(nets, batch, jax.random.key(0))["a"])[:, 0]

    def future(obs: float) -> float:  # Q'(o, μ'(o))
        actor, critic = (jax.tree.map(lambda x: x[0], net["a"]) for net in (nets.target_actor, nets.target_critic[0]))
        seen = jnp.array([obs])
        return float(critic(jnp.concatenate([seen, jnp.tanh(actor(seen))]))[0])

    targets = dict(zip(np.asarray(batch.now.obs["a"]).ravel().tolist(), y.tolist(), strict=True))
    assert targets[1] == pytest.approx(1 + algorithm.gamma * future(2), rel=1e-4)
    assert targets[2] == pytest.approx(2 + algorithm.gamma * future(3), rel=1e-4)
    assert targets[11] == 11


def test_the_ring_forgets_the_oldest():
    replay = Replay(capacity=4, batch=4)
    buffer, step = filled(replay, [CUT + DEATH + AFTER])
    found = {}
    for seed in range(8):
        found |= known(sampled(replay, buffer, step, seed))
    assert {obs: row[0] for obs, row in found.items() if obs != 11} == {10: 11, 20: 21}
    assert set(found) == {10, 11, 20}


def test_finals_outlive_many_episodes():
    """The side ring is as long as the ring can need: a time limit in every third step, for several rounds."""
    replay = Replay(capacity=9, batch=9)
    lane = [Step(100 * e + t, 100 * e + t + 1, last=t == 2) for e in range(12) for t in range(3)]
    buffer, step = filled(replay, [lane])
    for seed in range(5):
        for obs, (then, *_) in known(sampled(replay, buffer, step, seed)).items():
            assert then == obs + 1


def test_lanes_are_apart():
    replay = Replay(capacity=40, batch=40)
    other = [Step(s.obs + 50, s.then + 50, s.discount, s.last) for s in AFTER + AFTER + CUT]
    buffer, step = filled(replay, [CUT + DEATH + AFTER, other])
    found = known(sampled(replay, buffer, step))
    assert found[2][0] == 3
    assert found[51][0] == 52
    assert all((then >= 50) == (obs >= 50) for obs, (then, *_) in found.items())


def test_whole_episode():
    replay = Replay(capacity=20, batch=4, whole_episode=True)
    for count, expected in {3: {0, 1, 2}, 4: set(), 5: {10, 11}, 6: set()}.items():
        batch = sampled(replay, *filled(replay, [(CUT + DEATH + AFTER)[:count]]))
        np.testing.assert_array_equal(batch.weight[:4], 1.0)
        counted = np.asarray(batch.now.obs["a"]).ravel()[4:][np.asarray(batch.weight[4:]) > 0]
        assert sorted(counted.tolist()) == sorted(expected)
    batch = sampled(replay, *filled(replay, [CUT]))
    assert {obs: row[0] for obs, row in known(batch).items()}[2] == 3


def test_sampling_is_uniform():
    replay = Replay(capacity=1000, batch=1000)
    lane = [Step(t, t + 1) for t in range(11)]
    buffer, step = filled(replay, [lane])
    counts = np.bincount(np.asarray(sampled(replay, buffer, step).now.obs["a"]).ravel().astype(int), minlength=11)
    assert counts[10] == 0
    np.testing.assert_allclose(counts[:10], 100, atol=45)  # 4.7 standard deviations


def test_refuses():
    with pytest.raises(BadInput, match="larger than the replay buffer"):
        Replay(capacity=10, batch=11)
    with pytest.raises(BadInput, match="must be at least 1, got 0"):
        Replay(batch=0)
