"""One policy on both sides: what each side sees, whose choices are whose, and who the opponent is."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.algorithms import make
from covey.algorithms.self_play import LIVE, Memory, OtherSide, SelfPlay, as_group, exchanged, mirrored, sides
from covey.core import loop
from covey.core.algorithm import Algorithm
from covey.core.errors import BadInput
from covey.core.types import Discrete, Field, Group, Spec, Table, TimeStep
from covey.environments import make as world_of

KEY = jax.random.key(0)
GROUP = Group(("a", "b"), (Field("x"),), Discrete(9))
SPEC = Spec("two sides", Table({"north": GROUP, "south": GROUP._replace(names=("c", "d"))}), 4, neighborhood=1)


def shown() -> TimeStep:
    """North sees 1 and 2, south 3 and 4; everybody's neighbor is the next agent of all four."""
    values = {"north": jnp.array([1.0, 2.0]), "south": jnp.array([3.0, 4.0])}
    there = jnp.ones((2, 1), bool)
    return TimeStep(
        obs={name: x[:, None] for name, x in values.items()},
        reward=values,
        discount=values,
        alive={"north": jnp.array([True, False]), "south": jnp.ones(2, bool)},
        last=jnp.bool_(False),
        state=jnp.zeros(3),
        neighbors={"north": (jnp.array([[1], [2]]), there), "south": (jnp.array([[3], [0]]), there)},
    )


class Echo(Algorithm):
    """Chooses what it sees plus what it knows; learning makes it know one more."""

    spec: Spec = eqx.field(static=True)
    groups: tuple[str, ...] = eqx.field(static=True)

    def init(self, key, lanes):
        return jnp.int32(0)

    def memory(self, key):
        return jnp.int32(0)

    def act(self, state, memory, now, key, step, *, explore):
        action = {name: now.obs[name][:, 0].astype(jnp.int32) + state for name in self.groups}
        return action, memory + 1, now.obs[self.groups[0]][:, 0]

    def learn(self, state, rollout, key, step):
        seen = rollout.now.obs[self.groups[0]][..., 0]
        return state + 1, {"same": (seen == rollout.extra).mean(), "did": rollout.action[self.groups[0]].mean()}


def test_the_other_side_sees_everything_exchanged():
    seen = mirrored(SPEC, shown())
    for name in ("obs", "reward", "discount", "alive"):
        np.testing.assert_array_equal(getattr(seen, name)["north"], getattr(shown(), name)["south"])
        np.testing.assert_array_equal(getattr(seen, name)["south"], getattr(shown(), name)["north"])
    assert seen.state is None
    # South's first agent is number 2 of four and sees number 3; as north's first it is number 0 and sees number 1.
    assert seen.neighbors["north"][0].tolist() == [[1], [2]]
    assert seen.neighbors["south"][0].tolist() == [[3], [0]]
    twice = mirrored(SPEC, seen)._replace(state=shown().state)
    jax.tree.map(np.testing.assert_array_equal, twice, shown())


def test_an_algorithm_plays_the_other_side():
    algorithm = OtherSide(Echo(SPEC, ("north",)))
    assert algorithm.groups == ("south",)
    action, memory, _ = algorithm.act(jnp.int32(0), jnp.int32(0), shown(), KEY, 0, explore=True)
    assert {name: x.tolist() for name, x in action.items()} == {"south": [3, 4]}
    assert int(memory) == 1


def test_what_was_done_on_the_other_side_is_learned_from_as_if_on_the_own():
    algorithm = OtherSide(Echo(SPEC, ("north",)))
    now = jax.tree.map(lambda x: x[None, None], shown())
    action = {"south": jnp.full((1, 1, 2), 8)}
    rollout = loop.Transition(now, action, now, jnp.array([[[3.0, 4.0]]]))
    after, metrics = algorithm.learn(jnp.int32(0), rollout, KEY, jnp.int32(0))
    assert int(after) == 1
    assert {name: float(x) for name, x in metrics.items()} == {"same": 1.0, "did": 8.0}


@pytest.mark.parametrize(("swapped", "number"), [(False, LIVE), (True, LIVE), (False, 1), (True, 0)])
def test_the_learner_plays_its_side_and_the_opponent_the_other(swapped, number):
    algorithm = SelfPlay(SPEC, ("north", "south"), Echo(SPEC, ("north",)), past=2)
    state = algorithm.init(KEY, 1)._replace(live=jnp.int32(5), past=jnp.array([1, 2]))
    memory = Memory(jnp.int32(0), jnp.int32(0), jnp.int32(number), jnp.bool_(swapped))
    action, after, _ = algorithm.act(state, memory, shown(), KEY, 0, explore=True)
    rival = 5 if number == LIVE else number + 1
    ours, theirs = (rival, 5) if swapped else (5, rival)
    assert {name: x.tolist() for name, x in action.items()} == {
        "north": [1 + ours, 2 + ours],
        "south": [3 + theirs, 4 + theirs],
    }
    assert (int(after.own), int(after.rival)) == (1, 1)
    calm, _, extra = algorithm.act(state, memory, shown(), KEY, 0, explore=False)
    assert {name: x.tolist() for name, x in calm.items()} == {"north": [6, 7], "south": [8, 9]}, "both play as it is"
    assert extra == ()


def test_the_learner_learns_from_what_it_did_on_either_side():
    algorithm = SelfPlay(SPEC, ("north", "south"), Echo(SPEC, ("north",)), past=0)
    state = algorithm.init(KEY, 2)
    now = jax.tree.map(lambda x: jnp.stack([jnp.stack([x, x])] * 3), shown())  # [3, 2]
    swapped = jnp.array([[True, False]] * 3)
    seen = jnp.where(swapped[..., None], jnp.array([3.0, 4.0]), jnp.array([1.0, 2.0]))
    action = {"north": jnp.full((3, 2, 2), 6), "south": jnp.full((3, 2, 2), 8)}
    rollout = loop.Transition(now, action, now, (seen, swapped))
    after, metrics = algorithm.learn(state, rollout, KEY, jnp.int32(0))
    assert int(after.live) == 1
    assert {name: float(x) for name, x in metrics.items()} == {"same": 1.0, "did": 7.0}


def test_earlier_selves_are_kept_one_after_the_other():
    """Every 4 steps, in rollouts of 2: after steps 4, 8 and 12, in two places."""
    algorithm = SelfPlay(SPEC, ("north", "south"), Echo(SPEC, ("north",)), past=2, every=4)
    past, kept = jnp.array([0, 0]), []
    for step in range(0, 14, 2):
        past = algorithm.kept(past, jnp.int32(step + 2), jnp.int32(step), 2)
        kept.append(past.tolist())
    assert kept == [[0, 0], [4, 0], [4, 0], [4, 8], [4, 8], [12, 8], [12, 8]]


def test_opponents_are_drawn_as_asked():
    algorithm = SelfPlay(SPEC, ("north", "south"), Echo(SPEC, ("north",)), past=3, share=0.25)
    memory = jax.vmap(algorithm.memory)(jax.random.split(KEY, 4000))
    counts = np.bincount(np.asarray(memory.number) + 1, minlength=4) / 4000
    np.testing.assert_allclose(counts, [0.75, 0.25 / 3, 0.25 / 3, 0.25 / 3], atol=0.025)
    assert abs(float(memory.swapped.mean()) - 0.5) < 0.025


def small(name: str) -> SelfPlay:
    algorithm = make(f"self-play/{name}", world())
    assert isinstance(algorithm, SelfPlay)
    return algorithm


def world() -> Any:
    return world_of("toy/duel")


def test_the_learner_sees_no_global_state():
    battle = world_of("battle", size=12)
    algorithm = make("self-play/mappo", battle)
    assert isinstance(algorithm, SelfPlay)
    assert (algorithm.spec, algorithm.inner.spec) == (battle.spec, battle.spec._replace(state=()))


@pytest.mark.slow
def test_trained_algorithms_play_either_side():
    """Self-play's policy, one that controls both sides, and one that controls one."""
    run = loop.start(world(), small("mfac"), KEY[None], 1)
    played, state = as_group(small("mfac"), run.agent, "right")
    assert isinstance(played, OtherSide)
    assert played.groups == ("right",)
    assert state.nets.actor is run.agent.live.nets.actor
    assert as_group(small("mfac"), run.agent, "left")[0].groups == ("left",)
    both = make("mfac", world())
    assert as_group(both, both.init(KEY, 1), "right")[0].groups == ("right",)
    one = make("mfac", world(), groups=("right",))
    assert as_group(one, one.init(KEY, 1), "right")[0] is one
    assert exchanged(world().spec, {"right": 1, "left": 2}) == {"right": 2, "left": 1}


@pytest.mark.parametrize("id", ["particle/spread", "particle/tag", "toy/discrete"])
def test_sides_have_to_be_alike(id):
    with pytest.raises(BadInput, match="two groups that are alike"):
        sides(world_of(id).spec)


@pytest.mark.parametrize(
    ("id", "options", "words"),
    [
        ("self-play/charge", {}, "for self-play the algorithm 'charge' is unknown"),
        ("self-play/mfq", {"preset": "new"}, "the preset 'new'"),
        ("self-play/mfq", {"groups": ("right",)}, "about all sides"),
    ],
)
def test_what_cannot_play_itself(id, options, words):
    with pytest.raises(BadInput, match=words):
        make(id, world(), **options)


def test_self_play_learns_one_side():
    with pytest.raises(BadInput, match="learns one side"):
        SelfPlay(SPEC, ("north", "south"), Echo(SPEC, ("north", "south")))
