"""What MATWM draws: equal shares of sequences, with what was seen at their end, and contexts within one episode."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matwm_cases import SPEC, played, small

from covey.algorithms.matwm.agents import agents_of
from covey.algorithms.matwm.replay import SequenceReplay, focal_sequences
from covey.core.types import Discrete, Field, Group, MultiDiscrete, Spec, Table
from covey.learning.buffer import Batch
from covey.learning.samplers import Recency, Uniform

AGENTS = agents_of(SPEC, ("x", "y"))


def filled(replay, *rollouts, spec=SPEC):
    """A buffer of one lane with these rollouts, and the steps in it."""
    length = len(rollouts[0].then.last)
    buffer, step = replay.init(spec, 1, length), 0
    for rollout in rollouts:
        buffer = jax.jit(functools.partial(replay.add, spec))(buffer, rollout, jnp.int32(step))
        step += length
    return buffer, jnp.int32(step)


# ---------------------------------------------------------------------------------------------------------------------
# Agents on one axis


def test_actions_are_scaled_by_the_sizes_of_those_before():
    """Of two agents with two actions and one with three, 2 + 2 + 3 in all; the paper's {0, 1, 2} -> {3, 4, 5}."""
    for focal, action, place in ((0, 0, 0), (0, 1, 1), (1, 0, 2), (1, 1, 3), (2, 0, 4), (2, 2, 6)):
        chosen = AGENTS.one_hot(jnp.array([action]))
        np.testing.assert_array_equal(AGENTS.scaled(chosen, jnp.int32(focal)), np.eye(7)[place])
    team = Spec("team", Table({"t": Group(("t_0", "t_1"), (Field("o"),), Discrete(3))}))
    agents = agents_of(team, ("t",))
    places = [int(jnp.argmax(agents.scaled(agents.one_hot(jnp.array([a])), jnp.int32(1)))) for a in range(3)]
    assert places == [3, 4, 5]


def test_agents_that_are_not_learned_for_keep_their_place():
    part = agents_of(SPEC, ("y",))
    assert (part.count, part.names, part.own.tolist(), part.others.tolist()) == (1, ("y_0",), [2], [[0, 1]])
    np.testing.assert_array_equal(part.scaled(part.one_hot(jnp.array([1])), jnp.int32(0)), np.eye(7)[5])


def test_several_choices_at_once_and_shorter_observations_are_padded():
    several = Group(("s_0",), (Field("o", (3,), valid=(2,)),), MultiDiscrete((2, 4)))
    agents = agents_of(
        Spec("mixed", Table({"d": Group(("d_0",), (Field("o"),), Discrete(3)), "s": several})), ("d", "s")
    )
    np.testing.assert_array_equal(agents.possible.sum(-1), [[3, 0], [2, 4]])
    np.testing.assert_array_equal(agents.seen, [[True, False, False], [True, True, False]])
    action = {"d": jnp.array([2]), "s": jnp.array([[1, 3]])}
    choice = agents.chosen(action)
    np.testing.assert_array_equal(choice, [[2, 0], [1, 3]])
    back = agents.actions(choice)
    assert all((back[name] == action[name]).all() for name in action)
    scaled = agents.scaled(agents.one_hot(choice), jnp.arange(2))
    np.testing.assert_array_equal(jnp.argwhere(scaled), [[0, 2], [1, 4], [1, 8]])


# ---------------------------------------------------------------------------------------------------------------------
# Sequences


def test_a_sequence_is_of_its_focal_agent_and_knows_what_was_seen_at_the_end():
    """Two episodes as two sequences; the first ends at a time limit after 3 steps, the second with a death after 2."""
    first, second = (jax.tree.map(lambda x: x[:, 0], played(e, begun=k)) for k, e in enumerate([(3, False), (2, True)]))
    grown = jax.tree.map(lambda x: jnp.pad(x, [(0, 1)] + [(0, 0)] * (x.ndim - 1)), second)
    rows = jax.tree.map(lambda *x: jnp.stack(x), first, grown)
    weight = jnp.array([[1.0, 1, 1], [1, 1, 0]])
    found = focal_sequences(AGENTS, Batch(rows.now, rows.action, rows.then, rows.action, weight), jnp.array([1, 2]))
    np.testing.assert_array_equal(found.obs[0], [[0, 1], [1, 1], [2, 1], [3, 1]])
    np.testing.assert_array_equal(found.obs[1], [[100, 0], [101, 0], [102, 0], [0, 0]])
    np.testing.assert_array_equal(found.alive, [[1, 1, 1, 1], [1, 1, 1, 0]])
    np.testing.assert_array_equal(found.steps, [[1, 1, 1], [1, 1, 0]])
    np.testing.assert_array_equal(found.follows, [[1, 1, 1], [1, 1, 0]])
    np.testing.assert_array_equal(found.action[..., 0], [[1, 0, 1], [0, 1, 0]])
    np.testing.assert_array_equal(found.reward, [[11, 12, 13], [21, 22, 0]])
    np.testing.assert_array_equal(found.discount, [[1, 1, 1], [1, 0, 1]])  # a time limit is no end of the future
    np.testing.assert_array_equal(found.others[0, :, :, 0], [[0, 0], [1, 1], [0, 2]])  # x_0 and y_0, by their place
    np.testing.assert_array_equal(found.others[1, :2, :, 0], [[0, 1], [1, 0]])  # x_0 and x_1


def test_steps_of_the_dead_are_no_steps():
    rollout = jax.tree.map(lambda x: x[:, 0][None], played((4, False), dies=1))
    found = focal_sequences(
        AGENTS, Batch(rollout.now, rollout.action, rollout.then, rollout.action, jnp.ones((1, 4))), jnp.array([1])
    )
    np.testing.assert_array_equal(found.steps[0], [1, 1, 0, 0])
    np.testing.assert_array_equal(found.follows[0], [1, 0, 0, 0])  # what comes after a death is not predicted
    np.testing.assert_array_equal(found.alive[0], [1, 1, 0, 0, 0])
    np.testing.assert_array_equal(found.discount[0], [1, 0, 1, 1])
    np.testing.assert_array_equal(found.reward[0], [11, 12, 0, 0])


@pytest.mark.parametrize(
    ("sequences", "shares"),
    [(16, [(6, 5, 5), (5, 6, 5), (5, 5, 6), (6, 5, 5)]), (15, [(5, 5, 5)]), (2, [(1, 1, 0), (1, 0, 1), (0, 1, 1)])],
)
def test_shares_are_equal_and_what_is_left_over_goes_around(sequences, shares):
    replay = SequenceReplay(capacity=400, sequences=sequences, length=3)
    buffer, step = filled(replay, played(*[(9, False)] * 40))
    draw = jax.jit(lambda key, count: replay.draw(AGENTS, buffer, key, count, step))
    for count, share in enumerate(shares):
        batch = draw(jax.random.key(count), jnp.int32(count))
        assert batch.obs.shape[:2] == (sequences, 4)
        np.testing.assert_array_equal(np.bincount(batch.focal, minlength=3), share)
        for who in range(3):  # no step twice with the same agent
            own = np.asarray(batch.obs[batch.focal == who][:, :-1, 0])[np.asarray(batch.steps[batch.focal == who])]
            assert len(set(own)) == len(own)
        np.testing.assert_array_equal(batch.steps[:, 0], True)


def test_sequences_are_no_longer_than_an_episode_can_be():
    assert SequenceReplay(length=64).steps(SPEC) == 9
    assert SequenceReplay(length=4).steps(SPEC) == 4
    assert SequenceReplay(length=64).steps(SPEC._replace(time_limit=None)) == 64


def first_steps(ages, draws=40):
    """How long ago the first steps of sequences were, in the middle; of 396 steps, by `ages`."""
    replay = SequenceReplay(capacity=400, sequences=3, length=1, ages=ages)
    buffer, step = filled(replay, played(*[(9, False)] * 44))
    draw = jax.jit(jax.vmap(lambda key: replay.draw(AGENTS, buffer, key, 0, step)))
    seen = np.asarray(draw(jax.random.split(jax.random.key(0), draws)).obs[:, :, 0, 0])
    return np.median(44 * 9 - (seen // 100 * 9 + seen % 100))


def test_recent_steps_are_drawn_more_often_and_without_weights_all_alike():
    half = np.log(0.5) / np.log(0.98)  # 34 steps
    assert first_steps(Recency(0.98)) == pytest.approx(half, rel=0.3)
    assert first_steps(Uniform()) == pytest.approx(198, rel=0.2)


# ---------------------------------------------------------------------------------------------------------------------
# Contexts


def test_contexts_are_the_steps_before_of_the_same_episode():
    replay = SequenceReplay(capacity=60, sequences=3, length=3)
    buffer, step = filled(replay, played((5, False), (2, True), (6, False)), played((9, False), (4, True), begun=3))
    context, weight = jax.jit(lambda key: replay.contexts(AGENTS, buffer, 64, 3, key, step))(jax.random.key(0))
    np.testing.assert_array_equal(weight, 1.0)
    np.testing.assert_array_equal(context.focal, np.repeat([0, 1, 2], 64))
    number, exists = np.asarray(context.obs[..., 0]), np.asarray(context.exists)
    clock, episode = number % 100, number // 100
    assert exists[:, -1].all()
    for row in range(len(number)):
        before = int(clock[row, -1])
        there = np.arange(3, -1, -1) <= before
        np.testing.assert_array_equal(exists[row], there)
        np.testing.assert_array_equal(clock[row][there], np.arange(before - there.sum() + 1, before + 1))
        assert (episode[row][there] == episode[row, -1]).all()
        parts = {0: (2, 0), 1: (2, 1), 2: (3, 0)}[int(context.focal[row])]
        done = (clock[row, :-1] + parts[1]) % parts[0]
        np.testing.assert_array_equal(np.asarray(context.action[row, :, 0])[there[:-1]], done[there[:-1]])
    begins = {(int(e), int(t)) for e, t in zip(episode[:, -1], clock[:, -1], strict=True)}
    assert len(begins) == 26  # every step that was played


def test_contexts_begin_where_their_agent_lives():
    replay = SequenceReplay(capacity=60, sequences=3, length=3)
    buffer, step = filled(replay, played((9, False), (9, False), dies=1))
    context, weight = jax.jit(lambda key: replay.contexts(AGENTS, buffer, 32, 2, key, step))(jax.random.key(0))
    np.testing.assert_array_equal(weight, 1.0)
    clock = np.asarray(context.obs[:, -1, 0]).reshape(3, 32) % 100
    assert set(clock[1]) == {0, 1}
    assert set(clock[0]) == set(range(9))


def test_an_agent_that_never_lived_has_contexts_without_weight():
    replay = SequenceReplay(capacity=60, sequences=3, length=3)
    buffer, step = filled(replay, played((9, False), dies=-1))
    context, weight = jax.jit(lambda key: replay.contexts(AGENTS, buffer, 8, 2, key, step))(jax.random.key(0))
    np.testing.assert_array_equal(weight.min(1), [1, 0, 1])
    np.testing.assert_array_equal(np.asarray(context.exists).reshape(3, 8, 3)[1], False)


def test_small_sizes_are_one_sentence():
    from covey.core.errors import BadInput

    with pytest.raises(BadInput, match=r"sequences \(64 steps\) are longer than the replay buffer \(10 steps\)"):
        SequenceReplay(capacity=10)
    with pytest.raises(BadInput, match=r"sequences \(9 steps\) are longer than what is kept of each of 8 lanes"):
        small(replay=SequenceReplay(capacity=64)).init(jax.random.key(0), lanes=8)
