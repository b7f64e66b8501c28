"""The law of replay, over every sampler: nothing that is drawn is wrong, and 100,000 steps are looked up."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from covey.learning import buffer as buffers
from covey.learning import samplers
from covey.learning.buffer import gather, slot_of, steps_kept
from covey.learning.replay import Replay
from covey.learning.samplers import (
    CurrentEpisode,
    Episodes,
    Recency,
    Sampler,
    Sequences,
    SingleAgentTransitions,
    Transitions,
)
from covey.testing import law_replay
from covey.testing.replay import Phase

SMALL = Replay(capacity=120, batch=8)
SAMPLERS = {
    "transitions": Transitions(),
    "recent transitions": Transitions(Recency(0.98)),
    "current episode": CurrentEpisode(),
    "sequences": Sequences(6),
    "recent sequences": Sequences(6, Recency(0.98)),
    "long sequences": Sequences(50),
    "episodes": Episodes(),
    "beginnings": Episodes(length=4),
    "single agents": SingleAgentTransitions(),
}
PLAYS = [
    {"lanes": 3, "horizon": 2, "rollouts": 200},
    {"lanes": 1, "horizon": 1, "rollouts": 400, "time_limit": 90},
    {"lanes": 2, "horizon": 45, "rollouts": 150, "time_limit": 90},  # two rollouts fill the ring
]


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(place, id=name, marks=[pytest.mark.slow] * (name in ("recent sequences", "long sequences")))
        for place, name in enumerate(SAMPLERS)
    ],
)
def test_what_is_drawn_was_played(place):
    play = PLAYS[place % len(PLAYS)]
    assert law_replay(SMALL, list(SAMPLERS.values())[place], count=60, seed=place, **play) >= 12_500  # 100,000 in all


@pytest.mark.parametrize(("finals", "sampler"), [(1, Transitions()), (5, Sequences(6)), (120, Episodes())])
def test_however_many_finals_are_kept(finals, sampler):
    replay = Replay(capacity=120, batch=8, finals=finals)
    assert law_replay(replay, sampler, phases=[Phase(0.5, 1.0)]) > 2_000


# ---------------------------------------------------------------------------------------------------------------------
# Who breaks it is found


OFTEN, NEVER = [Phase(0.5, 1.0)], [Phase(0.0, 1.0)]


def broken(says: str, sampler: Sampler, **play) -> None:
    with pytest.raises(AssertionError, match=says):
        law_replay(SMALL, sampler, **{"rollouts": 40} | play)  # type: ignore


def test_finals_of_other_episodes_are_found(monkeypatch):
    """The old fault: a ring of finals that does not know what it has forgotten."""
    monkeypatch.setattr(buffers, "_has_final", lambda buffer, slot, lane: jnp.ones(jnp.shape(slot), bool))
    broken("have the wrong successor", Transitions(), phases=OFTEN)
    broken("have the wrong successor", Episodes(), phases=OFTEN)
    broken("have the wrong successor", SingleAgentTransitions(), phases=OFTEN)


def test_the_actions_of_another_agent_are_found():
    class Mistaken(SingleAgentTransitions):
        def sample(self, spec, buffer, count, key, step):
            batch = super().sample(spec, buffer, count, key, step)
            return batch._replace(action={name: jnp.roll(x, 1, 1) for name, x in batch.action.items()})

    broken("have the actions of another step", Mistaken())


def test_the_reset_as_a_successor_is_found(monkeypatch):
    monkeypatch.setattr(buffers, "select", lambda flag, new, old: old)
    broken("have (the next actions of another step|the wrong successor)", Transitions())


class Everything(Sampler):
    """The newest steps, whether their successors are known or not."""

    def sample(self, spec, buffer, count, key, step):
        age, lane = jnp.arange(count) % steps_kept(buffer, step), jnp.zeros(count, int)
        return gather(buffer, age, lane, jnp.ones(count), step)


class Ahead(Sampler):
    """Steps that have not been played yet."""

    def sample(self, spec, buffer, count, key, step):
        age, lane = steps_kept(buffer, step) + jnp.arange(count), jnp.zeros(count, int)
        return gather(buffer, age, lane, jnp.ones(count), step)


class Straight(Sampler):
    """Sequences that take no notice of episodes, of one another, or of which steps follow which."""

    stride: int = eqx.field(static=True, default=1)
    twice: bool = eqx.field(static=True, default=False)

    def sample(self, spec, buffer, count, key, step):
        begin = steps_kept(buffer, step) - 1 - (0 if self.twice else 4) * jnp.arange(2)
        age = begin[:, None] - self.stride * jnp.arange(4)
        lane = jnp.zeros(age.shape, int)
        there = jnp.where((age > 0).all(), 1.0, 0.0) * jnp.ones(age.shape)
        return gather(buffer, age, lane, there, step)


class Nothing(Sampler):
    def sample(self, spec, buffer, count, key, step):
        return gather(buffer, jnp.zeros(count, int), jnp.zeros(count, int), jnp.zeros(count), step)


@pytest.mark.parametrize(
    ("sampler", "says"),
    [
        (Everything(), "steps were drawn|wrong successor|next actions"),
        (Ahead(), "had not been played"),
        (Straight(), "beyond the end of its episode"),
        (Straight(stride=2), "do not follow one another"),
        (Nothing(), "nothing was drawn"),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, Sampler) else "",
)
def test_samplers_that_draw_what_they_should_not_are_found(sampler, says):
    broken(says, sampler)


def test_steps_that_are_drawn_twice_are_found():
    broken("more than once", Straight(twice=True), phases=NEVER, time_limit=1000)


def test_the_counting_is_the_samplers_own():
    """Every step of a batch is looked up: of two seeds, five rollouts and eight transitions."""
    assert law_replay(SMALL, Transitions(), count=8, rollouts=5, horizon=2, phases=NEVER, time_limit=100) == 2 * 5 * 8


def test_numbers_of_another_lane_are_found(monkeypatch):
    real = samplers.gather
    monkeypatch.setattr(
        samplers, "gather", lambda buffer, age, lane, weight, step: mixed(real, buffer, age, lane, weight, step)
    )
    broken("of another step", Transitions())


def mixed(gather, buffer, age, lane, weight, step):
    """A batch whose rewards are those of another lane."""
    batch = gather(buffer, age, lane, weight, step)
    slot = slot_of(buffer, age, step)
    reward = jax.tree.map(lambda x: x[slot, (lane + 1) % buffer.lanes], buffer.steps.reward)
    return batch._replace(then=batch.then._replace(reward=reward))


def test_weights_between_are_found():
    with pytest.raises(AssertionError, match="weights are 0 or 1"):
        law_replay(SMALL, Half(), rollouts=4)


class Half(Sampler):
    def sample(self, spec, buffer, count, key, step):
        batch = Transitions().sample(spec, buffer, count, key, step)
        return batch._replace(weight=0.5 * batch.weight)
