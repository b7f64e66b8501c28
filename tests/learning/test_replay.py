"""Replay: what is stored, what follows what, and what a critic makes of it, worked by hand."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.algorithms.ddpg import iddpg
from covey.core.errors import BadInput
from covey.core.types import Box, Field, Group, Spec, Table, TimeStep, Transition
from covey.learning.buffer import add, empty, end_episodes
from covey.learning.replay import Batch, Replay, rollout_as_batch
from covey.learning.samplers import CurrentEpisode, Episodes

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


def filled(replay: Replay, lanes: list[list[Step]], horizon: int = 1, spec: Spec = SPEC, buffer=None, step: int = 0):
    """A buffer (a new one) after all steps, and how many there were."""
    buffer = replay.init(spec, len(lanes), horizon) if buffer is None else buffer
    write = jax.jit(lambda buffer, rollout, step: replay.add(spec, buffer, rollout, step))
    for t in range(0, len(lanes[0]), horizon):
        buffer = write(buffer, rollout([lane[t : t + horizon] for lane in lanes]), step)
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
    """As many finals are kept as the time limit can need: a cut in every third step, for several rounds."""
    replay = Replay(capacity=9, batch=9)
    buffer, step = filled(replay, [episodes(3, 12)])
    assert drawn_of(replay, buffer, step) == set(range(1003 - 9, 1002)) | {1002}


def episodes(length: int, count: int) -> list[Step]:
    """Episodes of so many steps, cut with a future. The steps of the last one are ..., 1001, 1002."""
    steps = [Step(100 * e + t, 100 * e + t + 1, last=t == length - 1) for e in range(count) for t in range(length)]
    shift = 1002 - (len(steps) - 1)
    numbered = {step.obs: shift + i for i, step in enumerate(steps)}
    return [Step(numbered[s.obs], 5000 + numbered[s.obs] if s.last else numbered[s.then], last=s.last) for s in steps]


def drawn_of(replay: Replay, buffer, step: int, seeds: int = 5) -> set[int]:
    """The steps of `episodes` that are drawn; each with its true successor."""
    found = {}
    for seed in range(seeds):
        found |= known(weighted(sampled(replay, buffer, step, seed)))
    for obs, (then, _, last, _) in found.items():
        assert then == (5000 + obs if last else obs + 1)
    return {int(obs) for obs in found}


@pytest.mark.parametrize(
    ("length", "lost"),
    [pytest.param(50, 0, marks=pytest.mark.slow), (5, 29), pytest.param(2, 149, marks=pytest.mark.slow)],
)
def test_cuts_before_the_time_limit(length, lost):
    """A limit of 100 steps and 400 slots, as many final observations as fit: those that are gone are not missed."""
    spec, replay = SPEC._replace(time_limit=100), Replay(capacity=400, batch=400)
    lane = episodes(length, 1000 // length)
    buffer, step = filled(replay, [lane], horizon=10, spec=spec)
    ends = {int(s.obs) for s in lane[-400:] if s.last}
    found = drawn_of(replay, buffer, step, seeds=30)
    forgotten = set(sorted(ends)[:lost])
    assert len(ends) - lost == min(len(ends), 51)  # finals: one for every 8 slots, and one
    assert found == set(range(603, 1003)) - forgotten


@pytest.mark.slow
def test_more_finals_may_be_kept():
    spec, replay = SPEC._replace(time_limit=100), Replay(capacity=400, batch=400, finals=200)
    buffer, step = filled(replay, [episodes(2, 500)], horizon=10, spec=spec)
    assert drawn_of(replay, buffer, step, seeds=30) == set(range(603, 1003))
    assert len(buffer.finals.episode) == 200


def test_an_end_that_is_forgotten_counts_where_the_future_was_over():
    replay = Replay(capacity=40, batch=40, finals=1)
    buffer, step = filled(replay, [[Step(10 * i, 10 * i + 1, discount=0.0, last=True) for i in range(1, 6)]])
    batch = sampled(replay, buffer, step)
    assert (batch.weight == 1).all()
    found = known(batch)
    assert {obs: row[0] for obs, row in found.items()} == {10: 0, 20: 0, 30: 0, 40: 0, 50: 51}
    alive = np.asarray(batch.then.alive["a"]).ravel()
    np.testing.assert_array_equal(alive, np.asarray(batch.now.obs["a"]).ravel() == 50)


def test_a_rollout_that_ends_more_episodes_than_there_are_finals():
    replay = Replay(capacity=100, batch=100, finals=2)
    buffer, step = filled(replay, [[Step(i, 100 + i, last=True) for i in range(1, 9)]], horizon=8)
    found = known(weighted(sampled(replay, buffer, step)))
    assert {obs: row[0] for obs, row in found.items()} == {7: 107, 8: 108}


def test_a_world_that_begins_anew_leaves_no_false_successor():
    """A run that is resumed around an environment that could not be restored."""
    replay = Replay(capacity=100, batch=100)
    buffer, step = filled(replay, [CUT + AFTER])
    buffer = end_episodes(buffer, step)
    rest, _ = filled(replay, [CUT + DEATH], buffer=buffer, step=step)
    found = known(weighted(sampled(replay, rest, step + 5)))
    assert {obs: row[0] for obs, row in found.items()} == {0: 1, 1: 2, 2: 3, 20: 21, 10: 11, 11: 12}
    assert 21 not in found  # what followed it, nobody saw


def test_an_episode_that_had_just_ended_is_not_ended_again():
    buffer, step = filled(Replay(capacity=20, batch=4), [CUT])
    after = end_episodes(buffer, step)
    np.testing.assert_array_equal(after.ended, buffer.ended)
    np.testing.assert_array_equal(after.steps.last, buffer.steps.last)


def weighted(batch: Batch) -> Batch:
    """The part of a batch that counts."""
    return jax.tree.map(lambda x: x[batch.weight > 0], batch)


def test_lanes_are_apart():
    replay = Replay(capacity=40, batch=40)
    other = [Step(s.obs + 50, s.then + 50, s.discount, s.last) for s in AFTER + AFTER + CUT]
    buffer, step = filled(replay, [CUT + DEATH + AFTER, other])
    found = {}
    for seed in range(5):
        found |= known(sampled(replay, buffer, step, seed))
    assert found[2][0] == 3
    assert found[51][0] == 52
    assert all((then >= 50) == (obs >= 50) for obs, (then, *_) in found.items())


def test_the_episode_that_has_just_ended():
    replay = Replay(capacity=20, batch=4, sampler=CurrentEpisode())
    for count, expected in {3: {0, 1, 2}, 4: set(), 5: {10, 11}, 6: set()}.items():
        batch = sampled(replay, *filled(replay, [(CUT + DEATH + AFTER)[:count]]))
        np.testing.assert_array_equal(batch.weight[:4], 1.0)
        counted = np.asarray(batch.now.obs["a"]).ravel()[4:][np.asarray(batch.weight[4:]) > 0]
        assert sorted(counted.tolist()) == sorted(expected)
    batch = sampled(replay, *filled(replay, [CUT]))
    assert {obs: row[0] for obs, row in known(batch).items()}[2] == 3


@pytest.mark.slow
def test_whole_episodes_of_an_unlimited_environment_need_a_length():
    spec, buffer = SPEC._replace(time_limit=None), filled(Replay(capacity=20, batch=4), [CUT])[0]
    for sampler in (CurrentEpisode(), Episodes()):
        with pytest.raises(BadInput, match="give the sampler a `length`"):
            sampler.sample(spec, buffer, 2, jax.random.key(0), 3)
        sampler = dataclasses.replace(sampler, length=3)
        assert (sampler.sample(spec, buffer, 2, jax.random.key(0), 3).weight > 0).any()


def test_a_write_is_a_slice_when_seeds_are_batched():
    """Only finals, which every lane has elsewhere, take a scatter. On CPUs the compiler's older emitters make it a loop
    that writes slice by slice."""
    spec, seeds = SPEC._replace(state=(Field("whole"),)), 3
    whole, note = jnp.zeros((3, 2, 1)), jnp.zeros((3, 2), jnp.int32)
    taken = rollout([CUT, CUT])
    taken = taken._replace(now=taken.now._replace(state=whole), then=taken.then._replace(state=whole))
    one = empty(spec, lanes=2, slots=9, finals=4, extra=note[0, 0], state=True)
    buffers, taken, note = jax.tree.map(lambda x: jnp.stack([x] * seeds), (one, taken, note))

    def writes(axis, step):
        """Scatters and slices of a write, with one step for all seeds, or one of each seed's own."""
        write = jax.vmap(lambda *args: add(spec, args[0], args[1], args[2], args[3]), (0, 0, axis, 0))
        program = jax.jit(write, donate_argnums=0).lower(buffers, taken, step, note).compile().as_text()
        loops, scatters, slices = (program.count(f" {x}(") for x in ("while", "scatter", "dynamic-update-slice"))  # type: ignore
        return loops + scatters, slices - loops

    finals, steps = len(jax.tree.leaves(buffers.finals)), len(jax.tree.leaves(buffers.steps))
    assert writes(None, jnp.int32(6)) == (finals, steps)
    assert writes(0, jnp.full(seeds, 6))[0] == finals + steps


def test_a_rollout_as_a_batch():
    batch = rollout_as_batch(rollout([CUT + DEATH + AFTER]))
    found = known(batch)
    assert {obs: row[0] for obs, row in found.items()} == {0: 1, 1: 2, 2: 3, 10: 11, 11: 12, 20: 21, 21: 22}
    assert found[0][3] == pytest.approx(0.1)
    assert found[2][3] == found[11][3] == found[21][3] == 0


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
