"""Two sides that are alike: whoever has learned to play one can play the other, and against itself.

mirrored     the environment as it looks from the other side: the groups have exchanged their names
OtherSide    an algorithm that plays one side, as the other
SelfPlay     learns one policy for both sides, against that policy and its past selves
as_group     a trained algorithm, as whichever side it is asked for
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.algorithms.part import Part
from covey.core.algorithm import Algorithm, Around
from covey.core.checks import within
from covey.core.errors import BadInput
from covey.core.loop import select
from covey.core.types import Groups, Spec, TimeStep, Transition
from covey.learning.sequences import over


def sides(spec: Spec) -> tuple[str, str]:
    """The two sides of an environment; BadInput where there are more or less, or where they are not alike."""
    kinds = {group._replace(names=(str(group.size),)) for group in spec.groups.values()}
    if len(spec.groups) != 2 or len(kinds) != 1:
        raise BadInput(
            f"the environment {spec.name!r} has the groups {list(spec.groups)}; playing both sides takes two groups "
            "that are alike: as many agents, with the same observations and actions."
        )
    first, second = spec.groups
    return first, second


def mirrored(spec: Spec, now: TimeStep) -> TimeStep:
    """`now` with the sides exchanged. Whose the global state is is not known, so there is none any more."""
    half = spec.agents // 2
    near = {name: ((index + half) % spec.agents, there) for name, (index, there) in now.neighbors.items()}
    swapped = {name: exchanged(spec, getattr(now, name)) for name in ("obs", "reward", "discount", "alive", "legal")}
    return now._replace(**swapped, neighbors=exchanged(spec, near), state=None)


def exchanged(spec: Spec, groups: Groups) -> Groups:
    """What belongs to one side, given to the other."""
    first, second = sides(spec)
    other = {first: second, second: first}
    return {other[name]: x for name, x in groups.items()}


class OtherSide(Around):
    """`inner`, which plays one of two sides, as the other."""

    def __init__(self, inner: Algorithm):
        self.inner = inner

    @property
    def plan(self):
        return self.inner.plan

    @property
    def groups(self):
        return tuple(exchanged(self.spec, dict.fromkeys(self.inner.groups)))

    def act(self, state, memory, now, key, step, *, explore):
        seen = mirrored(self.spec, now)
        action, memory, extra = self.inner.act(state, memory, seen, key, step, explore=explore)
        return exchanged(self.spec, action), memory, extra

    def learn(self, state, rollout, key, step):
        return self.inner.learn(state, _seen(self.spec, rollout), key, step)

    def parameters(self, state):
        return self.inner.parameters(state)


def _seen(spec: Spec, rollout: Transition) -> Transition:
    """A rollout [T, E] from the other side."""
    now, then = (over(lambda x: mirrored(spec, x), x) for x in (rollout.now, rollout.then))
    return rollout._replace(now=now, then=then, action=exchanged(spec, rollout.action))


# ---------------------------------------------------------------------------------------------------------------------
# Self-play

LIVE = -1
"""Number of the opponent that is the policy itself."""


class State(NamedTuple):
    live: Any  # the learner's
    past: Any  # [K, ...]  what earlier selves act with


class Memory(NamedTuple):
    """What the actors of one environment remember."""

    own: Any  # the learner's
    rival: Any  # its opponent's
    number: Any  # []  int32: which opponent it is, LIVE or the place of a past self
    swapped: Any  # []  bool: the learner plays the other side in this episode


class SelfPlay(Algorithm):
    """One policy for both sides. `inner` learns it, on the side that it controls; in every episode the learner plays
    either side by lot, and its opponent is the policy as it is, or one that it was.

    Every `every` environment steps the policy is put in the place of the oldest of `past` earlier selves, which begin
    as the untrained one. Only what the learner itself does is learned from. In evaluations both sides play the policy
    as it is.
    """

    spec: Spec = eqx.field(static=True)
    groups: tuple[str, ...] = eqx.field(static=True)
    inner: Any
    """The algorithm that learns."""
    past: int = eqx.field(static=True, default=4)
    """Earlier selves that are kept; 0: the opponent is always the policy as it is."""
    every: int = eqx.field(static=True, default=20_000)
    """Environment steps between two selves that are kept."""
    share: float = 0.5
    """Share of the episodes that are played against earlier selves."""

    def __check_init__(self):
        within(self, "[0, inf)", "past")
        within(self, "[1, inf)", "every")
        within(self, "[0, 1]", "share")
        if self.groups != sides(self.spec):
            raise BadInput(f"self-play is about all sides, and was asked to control {list(self.groups)} only.")
        if len(self.inner.groups) != 1:
            raise BadInput(
                f"self-play needs an algorithm that learns one side, and this one controls {list(self.inner.groups)}."
            )

    @property
    def plan(self):
        return self.inner.plan

    @property
    def side(self) -> str:
        """The side that the learner takes itself to play."""
        return self.inner.groups[0]

    @property
    def other(self) -> str:
        return next(name for name in self.groups if name != self.side)

    def memory(self, key):
        k_own, k_rival, k_number, k_past, k_side = jax.random.split(key, 5)
        number = jnp.int32(LIVE)
        if self.past:
            earlier = jax.random.bernoulli(k_past, self.share)
            number = jnp.where(earlier, jax.random.randint(k_number, (), 0, self.past), number)
        swapped = jax.random.bernoulli(k_side)
        return Memory(self.inner.memory(k_own), self.inner.memory(k_rival), number, swapped)

    def init(self, key, lanes):
        live = self.inner.init(key, lanes)
        past = jax.tree.map(lambda x: jnp.stack([x] * self.past), self.inner.acting(live)) if self.past else ()
        return State(live, past)

    def act(self, state, memory, now, key, step, *, explore):
        k_own, k_rival = jax.random.split(key)
        ours = self.seen(now, memory.swapped)
        theirs = self.seen(now, ~memory.swapped)
        action, own, extra = self.inner.act(state.live, memory.own, ours, k_own, step, explore=explore)
        opponent = self.opponent(state, memory.number) if explore else state.live
        answer, rival, _ = self.inner.act(opponent, memory.rival, theirs, k_rival, step, explore=explore)
        done = {self.side: action[self.side], self.other: answer[self.side]}
        done = select(memory.swapped, exchanged(self.spec, done), done)
        return done, Memory(own, rival, memory.number, memory.swapped), (extra, memory.swapped) if explore else ()

    def seen(self, now: TimeStep, swapped: Any) -> TimeStep:
        """`now`, from the other side where `swapped`."""
        return select(swapped, mirrored(self.spec, now), now._replace(state=None))

    def opponent(self, state: State, number: Any) -> Any:
        """What an opponent acts with."""
        live = self.inner.acting(state.live)
        if not self.past:
            return live
        earlier = jax.tree.map(lambda x: x[jnp.maximum(number, 0)], state.past)
        return select(number == LIVE, live, earlier)

    def learn(self, state, rollout, key, step):
        extra, swapped = rollout.extra
        now, then = (over(self.seen, x, swapped) for x in (rollout.now, rollout.then))
        action = select(swapped, exchanged(self.spec, rollout.action), rollout.action)
        live, metrics = self.inner.learn(state.live, Transition(now, action, then, extra), key, step)
        return State(live, self.kept(state.past, live, step, rollout.then.last.size)), metrics

    def kept(self, past: Any, live: Any, step: Any, taken: int) -> Any:
        """The earlier selves after a rollout of `taken` steps that began at `step`."""
        if not self.past:
            return past
        number = (step + taken) // self.every

        def put(past):
            place = (number - 1) % self.past
            return jax.tree.map(lambda ring, x: ring.at[place].set(x), past, self.inner.acting(live))

        return jax.lax.cond(number > step // self.every, put, lambda past: past, past)

    def with_guides(self, guide):
        inner = self.inner.with_guides(guide)
        return self if inner is self.inner else dataclasses.replace(self, inner=inner)

    def parameters(self, state):
        return self.inner.parameters(state.live)

    def acting(self, state):
        return State(self.inner.acting(state.live), state.past)


def self_play(alias: Callable[..., Algorithm], spec: Spec) -> SelfPlay:
    """Self-play of the algorithm that `alias(spec, groups=...)` makes.

    The learner sees no global state: the environment would have to mirror it.
    """
    both = sides(spec)
    return SelfPlay(spec, both, alias(spec._replace(state=()), groups=both[:1]))


# ---------------------------------------------------------------------------------------------------------------------
# Trained algorithms as players


def as_group(algorithm: Algorithm, state: Any, name: str) -> tuple[Algorithm, Any]:
    """What plays the group `name` as `algorithm` has learned to: an algorithm for that group alone, and its state.

    One that plays only the other of two sides that are alike plays this one as if it was its own.
    """
    match algorithm:
        case SelfPlay():
            return as_group(algorithm.inner, state.live, name)
        case Algorithm(groups=groups) if groups == (name,):
            return algorithm, algorithm.acting(state)
        case Algorithm(groups=groups) if name in groups:
            return Part(algorithm.spec, (name,), algorithm), algorithm.acting(state)
    return OtherSide(algorithm), algorithm.acting(state)
