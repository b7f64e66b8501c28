"""Samplers: how often what is drawn, and what MATWM will ask of them."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.core.errors import BadInput
from covey.core.types import Discrete, Field, Group, Spec, Table, TimeStep, Transition
from covey.learning.buffer import add, empty
from covey.learning.samplers import Episodes, Recency, Sequences, Transitions, Uniform

SPEC = Spec("numbers", Table({"a": Group(("a_0", "a_1"), (Field("number"),), Discrete(2))}), time_limit=64)


def filled(last, slots=None, horizon=None):
    """A buffer of steps whose ends are `last` [T, E], and how many there were; agents see the number t · E + e."""
    steps, lanes = last.shape
    number = jnp.arange(steps * lanes, dtype=jnp.float32).reshape(steps, lanes)

    def seen(number):
        both = jnp.broadcast_to(number[..., None], (*number.shape, 2))
        ones = jnp.ones_like(both)
        return TimeStep({"a": both[..., None]}, {"a": both}, {"a": ones}, {"a": ones > 0}, jnp.asarray(last))

    rollout = Transition(seen(number), {"a": jnp.zeros((steps, lanes, 2), jnp.int32)}, seen(number + lanes))
    buffer = empty(SPEC, lanes, slots or steps, finals=steps)
    write = jax.jit(partial(add, SPEC))
    for t in range(0, steps, horizon or steps):
        piece = jax.tree.map(lambda x, t=t: x[t : t + (horizon or steps)], rollout)
        buffer = write(buffer, piece, t * lanes)
    return buffer, steps * lanes


def ends(steps, lanes, *lengths):
    """[T, E]: episodes of these lengths, again and again."""
    last = np.zeros((steps, lanes), bool)
    place = np.cumsum(np.resize(lengths, steps)) - 1
    last[place[place < steps]] = True
    return last


def drawn(sampler, buffer, step, count, batches):
    """Many batches at once, [batches, count, ...]."""
    keys = jax.random.split(jax.random.key(0), batches)
    return jax.jit(jax.vmap(lambda key: sampler.sample(SPEC, buffer, count, key, step)))(keys)


def numbers(batch):
    """The number of each step, -1 where there is none."""
    return np.where(batch.weight > 0, np.asarray(batch.now.obs["a"])[..., 0, 0], -1).astype(int)


def agrees(counts, chances, deviations=5.0):
    """Counts like those of independent draws, but for chance."""
    total = counts.sum()
    spread = np.sqrt(total * chances * (1 - chances))
    assert (np.abs(counts - total * chances) < deviations * spread + 1).all(), (counts, total * chances)


@pytest.mark.parametrize("ages", [Uniform(), Recency(1.0)])
def test_all_known_steps_alike(ages):
    """The newest of each lane are not drawn, and the last ones of episodes no less often than others."""
    buffer, step = filled(ends(20, 2, 4), slots=10, horizon=5)
    found = numbers(drawn(Transitions(ages), buffer, step, 100, 200)).ravel()
    counts = np.bincount(found, minlength=40)
    assert counts[:20].sum() == 0  # forgotten
    agrees(counts[20:], np.full(20, 1 / 20))


def test_the_newest_step_waits_for_the_next_one():
    buffer, step = filled(ends(7, 1, 4))
    found = numbers(drawn(Transitions(), buffer, step, 10, 50))
    assert set(found.ravel().tolist()) == set(range(6))


def test_before_anything_is_known_nothing_counts():
    buffer, step = filled(ends(1, 2, 4))
    for sampler in (Transitions(), Sequences(3), Episodes()):
        assert not (drawn(sampler, buffer, step, 4, 3).weight > 0).any()
        assert not (drawn(sampler, empty(SPEC, 2, 6, 3), 0, 4, 3).weight > 0).any()


@pytest.mark.parametrize("lanes", [1, 3])
def test_recent_steps_more_often(lanes):
    """The chance of a step is 0.99 to the power of its age in environment steps, of all lanes together."""
    steps = 300 // lanes
    buffer, step = filled(ends(steps, lanes, steps))
    found = numbers(drawn(Transitions(Recency(0.99)), buffer, step, 1000, 200)).ravel()
    age = steps - 1 - found // lanes
    counts = np.bincount(age, minlength=steps)
    chances = 0.99 ** (lanes * np.arange(steps))
    agrees(counts, chances / chances.sum())
    agrees(np.bincount(found % lanes), np.full(lanes, 1 / lanes))


def test_first_steps_of_sequences_are_drawn_by_age():
    """One sequence a batch, which nothing else keeps away: the published decay, on half-lives of its own."""
    buffer, step = filled(ends(4000, 1, 4000))
    first = numbers(drawn(Sequences(64, Recency(0.9998)), buffer, step, 1, 20_000))[:, 0, 0]
    counts, _ = np.histogram(step - 1 - first, bins=np.arange(0, 4001, 250))
    chances, _ = np.histogram(np.arange(4000), bins=np.arange(0, 4001, 250), weights=0.9998 ** np.arange(4000))
    agrees(counts, chances / chances.sum())


def test_a_sequence_stops_with_its_episode():
    buffer, step = filled(ends(24, 2, 5, 3))
    found = numbers(drawn(Sequences(4), buffer, step, 3, 200)).reshape(-1, 4)
    assert {int((row >= 0).sum()) for row in found} >= {1, 2, 3, 4}
    for row in found:
        there = row[row >= 0] // 2
        assert len({0 if t % 8 < 5 else 1 for t in there.tolist()}) <= 1
        if 0 < len(there) < 4:
            assert there[-1] % 8 in (4, 7)  # the episode's last step


def test_no_two_sequences_share_a_step():
    buffer, step = filled(ends(60, 2, 13))
    found = numbers(drawn(Sequences(8, Recency(0.98)), buffer, step, 6, 100))
    for batch in found:
        there = batch[batch >= 0]
        assert len(np.unique(there)) == len(there)
    assert (found[:, :, 0] >= 0).mean() > 0.95  # and there was room for nearly all of them


def test_where_fewer_sequences_fit_the_others_do_not_count():
    buffer, step = filled(ends(20, 1, 64))
    weight = np.asarray(drawn(Sequences(8), buffer, step, 16, 50).weight)
    assert (weight[:, 0].sum(-1) > 0).all()
    assert (weight.sum((1, 2)) <= 19).all()
    assert not weight[:, -1].any()


def test_all_whole_episodes_alike():
    """Long ones no more often than short ones; those that have begun or are half forgotten not at all."""
    buffer, step = filled(ends(40, 2, 9, 2, 1, 6), slots=30, horizon=10)
    batch = drawn(Episodes(), buffer, step, 1, 6000)
    found = numbers(batch)[:, 0]
    assert found.shape == (6000, 64)
    length = (found >= 0).sum(1)
    first = found[:, 0]
    begin = first // 2
    kept = {11: 1, 12: 6, 18: 9, 27: 2, 29: 1, 30: 6}  # by the step of a lane in which they began: 10 to 39 are kept
    assert {int(b): int(n) for b, n in zip(begin, length, strict=True)} == kept
    agrees(np.array([np.sum(begin == b) for b in kept]), np.full(len(kept), 1 / len(kept)))
    agrees(np.bincount(first % 2), np.full(2, 0.5))


def test_an_episode_once_a_batch():
    buffer, step = filled(ends(24, 2, 3))
    found = numbers(drawn(Episodes(length=3), buffer, step, 8, 40))
    for batch in found:
        assert (batch[:, 0] >= 0).all()
        assert len(np.unique(batch)) == batch.size


def test_longer_episodes_lose_their_ends():
    buffer, step = filled(ends(24, 1, 12))
    found = numbers(drawn(Episodes(length=5), buffer, step, 2, 10))
    assert {tuple(row.tolist()) for row in found.reshape(-1, 5)} == {(0, 1, 2, 3, 4), (12, 13, 14, 15, 16)}


def test_refuses():
    for wrong in (lambda: Recency(0.0), lambda: Recency(1.5), lambda: Sequences(0), lambda: Episodes(length=0)):
        with pytest.raises(BadInput):
            wrong()


# ---------------------------------------------------------------------------------------------------------------------
# The next user: a world model of 2 agents, each with its own buffer in the paper (MATWM, Deihim et al. 2025)


def test_equal_shares_of_sequences_for_every_agent():
    """16 sequences of 64 in all, drawn for each agent on its own from the one buffer of all agents; and contexts of 8
    steps from the same buffer."""
    buffer, step = filled(ends(3000, 1, 200))
    agents, update = 2, 16

    @jax.jit
    def world_model_batch(key):
        def of_agent(agent, key):
            batch = Sequences(64, Recency(0.9998)).sample(SPEC, buffer, update // agents, key, step)
            return batch.now.obs["a"][..., agent, :], batch.then.obs["a"][..., agent, :], batch.weight

        return jax.vmap(of_agent)(jnp.arange(agents), jax.random.split(key, agents))

    now, then, weight = world_model_batch(jax.random.key(1))
    assert now.shape == then.shape == (agents, 8, 64, 1)
    there = np.asarray(weight) > 0
    assert there.any(-1).all()  # room for every sequence
    np.testing.assert_array_equal(np.asarray(then)[there], np.asarray(now)[there] + 1)
    for of_agent, mask in zip(np.asarray(now)[..., 0], there, strict=True):
        assert len(np.unique(of_agent[mask])) == mask.sum()
    assert not np.array_equal(now[0], now[1])  # not the same steps for both
    contexts = Sequences(8).sample(SPEC, buffer, 100, jax.random.key(2), step)
    assert contexts.weight.shape == (100, 8)
