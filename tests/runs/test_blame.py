"""Who is blamed for a number that is not finite: the environment that showed it, with its group and the step."""

from __future__ import annotations

import functools
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import walking
from tiny import Tiny, tiny
from walking import walks

from covey import algorithms
from covey.core.errors import BadInput, Diverged
from covey.core.types import Box, Discrete, Field, Group, Spec, Table, TimeStep
from covey.runs import checkpoint
from covey.runs.evaluate import evaluate
from covey.runs.train import train

LIMIT = 4
CLOCK = Field("clock", (2,), valid=(2, 1))


class Odd(eqx.Module):
    """Two groups of two agents; from step `at` of an episode on, something is wrong. `b_1` dies in the first step."""

    kind: str = eqx.field(static=True)
    at: int = eqx.field(static=True, default=3)
    space: Box | Discrete = eqx.field(static=True, default=Discrete(2))

    @property
    def spec(self):
        groups = {name: Group((f"{name}_0", f"{name}_1"), (CLOCK,), self.space) for name in "ab"}
        return Spec("odd", Table(groups), time_limit=LIMIT, state=(Field("all"),))

    def reset(self, key):
        return jnp.int32(0), self.show(jnp.int32(0), jnp.zeros((2, 2)))

    def step(self, key, clock, action):
        earned = jnp.stack([action[name].reshape(2, -1).sum(-1).astype(jnp.float32) for name in "ab"])
        return clock + 1, self.show(clock + 1, earned)

    def show(self, clock, reward):
        wrong, nan = clock >= self.at, jnp.nan
        obs = jnp.full((2, 2, 2), clock, jnp.float32)
        alive = jnp.array([[True, True], [True, clock < 1]])
        place = {
            "observation": (1, 0, 0),
            "reset": (0, 1, 0),
            "end": (0, 0, 1),
            "padding": (0, 1, 1),
            "dead observation": (1, 1, 0),
        }
        when = {"reset": clock == 0, "end": clock >= LIMIT}.get(self.kind, wrong)
        if self.kind in place:
            obs = obs.at[place[self.kind]].set(jnp.where(when, nan, clock))
        broken = {"reward": (0, 1, nan), "infinite reward": (1, 0, jnp.inf), "dead reward": (1, 1, nan)}
        if self.kind in broken:
            group, agent, value = broken[self.kind]
            reward = reward.at[group, agent].set(jnp.where(wrong, value, 0.0))
        state = jnp.where(wrong & (self.kind == "state"), nan, 0.0)[None]
        both = [dict(zip("ab", x, strict=True)) for x in (obs, reward, jnp.ones((2, 2)), alive)]
        return TimeStep(*both, last=clock >= LIMIT, state=state)


WRONG = {
    "reward": (3, "gave the group 'a' a reward"),
    "infinite reward": (3, "gave the group 'b' a reward"),
    "observation": (3, "gave the group 'b' an observation"),
    "reset": (1, "gave the group 'a' an observation"),
    "end": (4, "gave the group 'a' an observation"),
    "state": (3, "showed a global state"),
}
FINE = ("nothing", "padding", "dead observation", "dead reward")


def started(kind, folder, algorithm=tiny, lanes=2, **more):
    environment = Odd(kind)
    how = {"steps": 24 * lanes, "envs": lanes, "episodes": 3, "chunk": 3, "quiet": True}
    return train(algorithm(environment.spec), environment, out=folder, **how | more)


def at_random(spec):
    return algorithms.make("random", Odd("nothing"))


def played(environment, algorithm, episodes=3):
    keys = jax.random.split(jax.random.key(1), 2)
    states = jax.vmap(functools.partial(algorithm.init, lanes=episodes))(keys)
    return evaluate(environment, algorithm, states, jax.random.key(2), episodes, seeds=2)


@pytest.mark.parametrize("kind", WRONG)
def test_in_training(kind, tmp_path):
    step, words = WRONG[kind]
    sentence = f"the environment 'odd' {words} that is not finite, in step {2 * step} of seed 0, 1 (no checkpoint was"
    with pytest.raises(BadInput, match=re.escape(sentence)) as raised:
        started(kind, tmp_path / "run", seeds=2)
    assert not isinstance(raised.value, Diverged)


@pytest.mark.parametrize("kind", WRONG)
def test_in_an_evaluation(kind):
    step, words = WRONG[kind]
    sentence = f"the environment 'odd' {words} that is not finite, in step {step} of an episode of an evaluation"
    with pytest.raises(BadInput, match=re.escape(sentence)):
        played(Odd(kind), at_random(None))


@pytest.mark.parametrize(("kind", "where"), [("reward", "in step 6 of seed 0"), ("observation", "of an evaluation")])
def test_where_nobody_learns(kind, where, tmp_path):
    """Rewards at once; observations, which nobody looks at, in the evaluation: and what there is, is saved."""
    with pytest.raises(BadInput, match=where):
        started(kind, tmp_path / "run", at_random)
    assert (checkpoint.latest(tmp_path / "run" / "checkpoints") is not None) == (kind == "observation")


@pytest.mark.parametrize("kind", FINE)
def test_what_nobody_gets_to_see_is_no_fault(kind, tmp_path):
    assert started(kind, tmp_path / "run", Idle.of).summary["steps"] == 48


class Idle(Tiny):
    """Has something to learn, and learns nothing."""

    @classmethod
    def of(cls, spec):
        return cls(spec, tuple(spec.groups))

    def learn(self, state, rollout, key, step):
        return state, {}


def test_the_step_is_exact_after_many(tmp_path):
    """Counted from the beginning of the run, in a later chunk and a later lane."""
    environment = LateFault()
    sentence = f"in step {2 * 37} of seed 1 (step 72 is saved"
    how = {"seeds": 2, "envs": 2, "chunk": 3, "quiet": True, "checkpoint_every_s": 0.0}
    with pytest.raises(BadInput, match=re.escape(sentence)):
        train(tiny(environment.spec), environment, steps=200, out=tmp_path / "run", **how)


class LateFault(Odd):
    """Only one lane of one seed is wrong, once: the one whose lot is the largest of the test's."""

    kind: str = eqx.field(static=True, default="nothing")

    @property
    def spec(self):
        return Odd("nothing").spec._replace(time_limit=1000)

    def reset(self, key):
        lot = jax.random.bits(key, (), jnp.uint32)
        clock, now = super().reset(key)
        return (clock, lot), now._replace(last=jnp.bool_(False))

    def step(self, key, state, action):
        clock, lot = state
        clock, then = super().step(key, clock, action)
        wrong = (clock == 37) & (lot == self.chosen())
        reward = {name: jnp.where(wrong, jnp.nan, x) for name, x in then.reward.items()}
        return (clock, lot), then._replace(reward=reward, last=jnp.bool_(False))

    @staticmethod
    def chosen():
        """The lot of the second lane of seed 1, as `loop.start` draws it."""
        _, k_world, _, _ = jax.random.split(jax.random.key(1), 4)
        return jax.random.bits(jax.random.split(k_world, 2)[1], (), jnp.uint32)


class Wild(Tiny):
    """Its actions are not finite from the sixth step on."""

    def act(self, state, memory, now, key, step, *, explore):
        value = jnp.where((step >= 6) | (not explore), jnp.nan, 0.5)
        return {name: jnp.full((2, 1), value) for name in self.groups}, memory, ()


def test_an_algorithm_whose_actions_are_not_finite_is_blamed(tmp_path):
    """And not the environment, which is lost after such an action."""
    environment = Odd("nothing", space=Box((-1.0,), (1.0,)))
    algorithm = Wild(environment.spec, ("a", "b"))
    with pytest.raises(
        Diverged, match=r"gave the group 'a' of 'odd' an action that is not finite, in step 8 of seed 0"
    ):
        train(algorithm, environment, steps=24, envs=2, chunk=6, quiet=True, out=tmp_path / "run")
    with pytest.raises(Diverged, match=r"an action that is not finite, in step 1 of an episode of an evaluation"):
        played(environment, algorithm)


# ---------------------------------------------------------------------------------------------------------------------
# Outside JAX


class Broken(walks.Walk):
    """Wrong in the second step of the second lane."""

    def __init__(self, seeds, what):
        super().__init__(seeds)
        self.what = what

    def step(self, action):
        then, now = super().step(action)
        if self.what == "reward":
            then.reward["walker"][1, 0] = np.where(then.last[1], np.nan, 1.0)
        elif self.what == "observation":
            then.obs["guard"][1, 0] = np.where(then.last[1], np.inf, 1.0)
        return then, now


WALKING = {"reward": "gave the group 'walker' a reward", "observation": "gave the group 'guard' an observation"}


@pytest.mark.parametrize("what", WALKING)
def test_outside_jax(what, tmp_path):
    environment = Broken([0, 1], what)
    algorithm = Still.of(environment.spec)
    sentence = f"the environment 'walk' {WALKING[what]} that is not finite, in step 6 of seed 0"
    with pytest.raises(BadInput, match=sentence):
        train(algorithm, environment, steps=24, envs=2, episodes=2, chunk=2, quiet=True, out=tmp_path / "run")
    with pytest.raises(BadInput, match=f"{WALKING[what]} that is not finite, in step 3 of an episode"):
        evaluate(environment, algorithm, algorithm.init(jax.random.key(0), 2), jax.random.key(0), 2, seeds=1)


class Still(Idle):
    """Does nothing, in boxes."""

    def init(self, key, lanes):
        return jax.tree.map(lambda x: x[None], {"nothing": jnp.zeros(2)}) if lanes else {}

    def act(self, state, memory, now, key, step, *, explore):
        spaces = {name: self.spec.groups[name] for name in self.groups}
        return {name: jnp.zeros((x.size, len(x.action.low))) for name, x in spaces.items()}, memory, ()  # type: ignore


def test_an_episode_that_never_ends_asks_for_a_limit(tmp_path, monkeypatch):
    """After the run is saved; and what goes on with a limit is evaluated."""
    monkeypatch.setattr("covey.runs.evaluate.PATIENCE", 50)
    how = {"steps": 8, "envs": 2, "episodes": 2, "chunk": 2, "quiet": True, "out": tmp_path / "run"}
    environment, limited = walking.make_env(endless=True), walking.make_env()
    with pytest.raises(BadInput, match=r"has not ended after 50 steps.*--env\.time-limit") as raised:
        train(Still.of(environment.spec), environment, **how)
    assert "\n" not in str(raised.value)
    saved = checkpoint.latest(tmp_path / "run" / "checkpoints")
    assert saved is not None
    assert saved.step == 8
    assert train(Still.of(limited.spec), limited, resume=True, **how).summary["steps"] == 8
