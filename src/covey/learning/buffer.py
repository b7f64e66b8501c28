"""The steps that were played, one ring per lane: [C, E, ...].

A slot keeps what agents saw, did and got. What they saw next stands in the next slot, so nothing is stored twice; only
the last observation of an episode goes to a smaller ring, of finals. Episodes are numbered within their lane, and a
final says whose it is: a step whose final was overwritten is known to be one, and is not drawn.

The place of a step follows from the number of steps before it, so that a write stays one slice update when seeds are
batched, and no step is ever copied.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from covey.core.loop import select
from covey.core.types import Groups, Spec, TimeStep, Transition, action_shape, observed, unobserved
from covey.nn.joint import legal


class Steps(NamedTuple):
    """What is kept of a step."""

    now: TimeStep  # obs, alive, legal and neighbors; the global state where it was asked for
    action: Groups  # [n, ...]
    reward: Groups  # [n]
    discount: Groups  # [n]
    last: Any  # []  bool
    episode: Any  # []  int32: which of its lane's episodes it belongs to
    extra: Any  # [...]  what an algorithm keeps beside a step


class Finals(NamedTuple):
    """What was seen at the end of an episode."""

    seen: TimeStep
    episode: Any  # []  int32: whose it is; -1: nobody's yet


class Buffer(NamedTuple):
    """C slots and F finals for each of E lanes."""

    steps: Steps  # [C, E, ...]
    finals: Finals  # [F, E, ...]  the final of episode k is at k modulo F
    ended: Any  # [E]  int32: episodes that have ended

    @property
    def slots(self) -> int:
        return self.steps.last.shape[0]

    @property
    def lanes(self) -> int:
        return self.steps.last.shape[1]


class Batch(NamedTuple):
    """Steps that were drawn, [B] transitions or [B, L] sequences of them. Weight 0: there is nothing to learn from."""

    now: TimeStep  # [B, ...]
    action: Groups  # [B, n, ...]
    then: TimeStep  # [B, ...]  all zero where everybody's future was over and what they saw is not kept any more
    next_action: Groups  # [B, n, ...]  zero where the episode ended
    weight: Any  # [B]
    extra: Any = ()  # [B, ...]


# ---------------------------------------------------------------------------------------------------------------------
# Writing


def empty(spec: Spec, lanes: int, slots: int, finals: int, extra: Any = (), state: bool = False) -> Buffer:
    """A buffer before any step. `extra` is an example of what one lane keeps beside a step; `state`: keep the global
    state, where the environment has one."""
    seen, action, reward = _blank(spec, state)
    nobody = jnp.bool_(False)

    def rows(count, example):
        return jax.tree.map(lambda x: jnp.zeros((count, lanes, *jnp.shape(x)), jnp.result_type(x)), example)

    return Buffer(
        steps=rows(slots, Steps(seen, action, reward, reward, nobody, jnp.int32(0), extra)),
        finals=Finals(rows(finals, seen), jnp.full((finals, lanes), -1, jnp.int32)),
        ended=jnp.zeros(lanes, jnp.int32),
    )


def add(spec: Spec, buffer: Buffer, rollout: Transition, step: Any, extra: Any = ()) -> Buffer:
    """The buffer with a rollout [T, E, ...], and what is kept beside it, that began at environment step `step`."""
    last = rollout.then.last
    episode = buffer.ended + jnp.cumsum(last, 0) - last
    ended = buffer.ended + last.sum(0)
    head = step // buffer.lanes % buffer.slots
    steps = Steps(
        now=_observed(spec, buffer, rollout.now),
        action=rollout.action,
        reward=rollout.then.reward,
        discount=rollout.then.discount,
        last=last,
        episode=episode,
        extra=extra,
    )

    def write(ring, x):
        return jax.lax.dynamic_update_slice_in_dim(ring, x.astype(ring.dtype), head, axis=0)

    return Buffer(
        steps=jax.tree.map(write, buffer.steps, steps),
        finals=_add_finals(buffer.finals, Finals(_observed(spec, buffer, rollout.then), episode), last, ended),
        ended=ended,
    )


def _add_finals(finals: Finals, then: Finals, last: Any, ended: Any) -> Finals:
    """The finals with those of a rollout `then` [T, E, ...]: where `last`, the newest of each lane."""
    count, lanes = finals.episode.shape
    fits = last & (then.episode >= ended - count)
    place = jnp.where(fits, then.episode % count, count)  # beyond the ring: not written
    lane = jnp.broadcast_to(jnp.arange(lanes), place.shape)
    return jax.tree.map(lambda ring, x: ring.at[place, lane].set(x.astype(ring.dtype), mode="drop"), finals, then)


def end_episodes(buffer: Buffer, step: Any) -> Buffer:
    """The buffer after `step` steps where every lane goes on with a new episode, though the last one did not end: an
    environment outside JAX that could not be restored. What followed the newest steps will never be known."""
    newest = slot_of(buffer, 0, step)
    running = ~buffer.steps.last[newest]
    steps = buffer.steps._replace(last=buffer.steps.last.at[newest].set(True))
    return buffer._replace(steps=steps, ended=buffer.ended + running)


# ---------------------------------------------------------------------------------------------------------------------
# Reading


def steps_kept(buffer: Buffer, step: Any) -> Any:
    """Slots of each lane that hold a step, after `step` environment steps."""
    return jnp.minimum(step // buffer.lanes, buffer.slots)


def slot_of(buffer: Buffer, age: Any, step: Any) -> Any:
    """Where the step is that was played `age` steps of its lane ago; 0: the newest."""
    return (step // buffer.lanes - 1 - age) % buffer.slots


def has_successor(buffer: Buffer, age: Any, lane: Any, step: Any) -> Any:
    """Is there a step of this age, and is what followed it known, as far as it matters?

    What nobody with a future saw at the end of an episode does not.
    """
    slot = slot_of(buffer, age, step)
    last = buffer.steps.last[slot, lane]
    over = ~functools.reduce(jnp.logical_or, [jnp.any(x[slot, lane] > 0, -1) for x in buffer.steps.discount.values()])
    follows = jnp.where(last, _has_final(buffer, slot, lane) | over, age > 0)
    return (age >= 0) & (age < steps_kept(buffer, step)) & follows


class Place(NamedTuple):
    """Where steps [...] and what followed them are: indices into rings, and two facts."""

    here: tuple[Any, ...]
    there: tuple[Any, ...]  # of the next step
    final: tuple[Any, ...]  # of the final, if it is one's own
    ended: Any  # bool: was it the last step of its episode?
    known: Any  # bool: is the final one's own?


def gather(buffer: Buffer, age: Any, lane: Any, weight: Any, step: Any) -> Batch:
    """The transitions of these ages and lanes (of any shape), with their true successors where they have one."""
    place = _place(buffer, age, lane, step)

    def take(where: str, rings: Any) -> Any:
        return jax.tree.map(lambda ring: ring[getattr(place, where)], rings)

    def choose(flag: str, one: Any, other: Any) -> Any:
        return select(getattr(place, flag), one, other)

    batch = _gathered(buffer, weight, take, choose)
    return batch._replace(then=batch.then._replace(last=place.ended))


def gather_apart(buffer: Buffer, age: Groups, lane: Groups, weight: Any, step: Any) -> Batch:
    """As `gather`, for ages and lanes [B, n] of every agent by itself: row b holds a step of its own for each agent.

    What is no agent's is left out: the global state, what is kept beside a step but not as {group: [n, ...]}, and the
    ends of episodes (`last` is False).
    """
    place = {name: _place(buffer, age[name], lane[name], step, jnp.arange(age[name].shape[1])) for name in age}

    def take(where: str, rings: Any) -> Any:
        def rows(path, ring):
            name = _group_of(path)
            return ring[getattr(place[name], where)] if name in place else None

        return jax.tree_util.tree_map_with_path(rows, rings)

    def choose(flag: str, one: Any, other: Any) -> Any:
        def rows(path, a, b):
            return select(getattr(place[_group_of(path)], flag), a, b)

        return jax.tree_util.tree_map_with_path(rows, one, other)

    batch = _gathered(buffer, weight, take, choose)
    return batch._replace(then=batch.then._replace(last=jnp.zeros(weight.shape, bool)))


def _group_of(path: tuple[Any, ...]) -> str:
    """The group whose arrays are at a path of a tree; empty where they are no group's."""
    return next((entry.key for entry in path if isinstance(entry, jax.tree_util.DictKey)), "")


def _place(buffer: Buffer, age: Any, lane: Any, step: Any, *more: Any) -> Place:
    """Where steps of these ages and lanes are; `more`: indices into what the rings hold."""
    slot = slot_of(buffer, age, step)
    final = buffer.steps.episode[slot, lane] % len(buffer.finals.episode)
    return Place(
        here=(slot, lane, *more),
        there=((slot + 1) % buffer.slots, lane, *more),
        final=(final, lane, *more),
        ended=buffer.steps.last[slot, lane],
        known=_has_final(buffer, slot, lane),
    )


def _gathered(
    buffer: Buffer, weight: Any, take: Callable[[str, Any], Any], choose: Callable[[str, Any, Any], Any]
) -> Batch:
    """A batch of what `take` reads at `here`, `there` and `final`, and `choose` takes where `ended` and `known`."""
    steps = buffer.steps
    final, upcoming, action = take("final", buffer.finals.seen), take("there", steps.now), take("there", steps.action)
    final = choose("known", final, jax.tree.map(jnp.zeros_like, final))
    then = choose("ended", final, upcoming)
    return Batch(
        now=take("here", steps.now),
        action=take("here", steps.action),
        then=then._replace(reward=take("here", steps.reward), discount=take("here", steps.discount)),
        next_action=choose("ended", jax.tree.map(jnp.zeros_like, action), action),
        weight=weight,
        extra=take("here", steps.extra),
    )


def _has_final(buffer: Buffer, slot: Any, lane: Any) -> Any:
    episode = buffer.steps.episode[slot, lane]
    return buffer.finals.episode[episode % len(buffer.finals.episode), lane] == episode


# ---------------------------------------------------------------------------------------------------------------------
# What is kept of a time step


def _blank(spec: Spec, state: bool) -> tuple[TimeStep, Groups, Groups]:
    """Zeros in the shape of what one lane sees, does and gets."""
    seen = unobserved(spec)
    masks = {name: mask for name, mask in legal(spec, seen).items() if mask is not None}
    near = {name: _no_neighbors(group.size, spec.neighborhood) for name, group in spec.groups.items()}
    whole = jnp.zeros(sum(field.size for field in spec.state)) if state and spec.state else None
    seen = seen._replace(legal=masks, neighbors=near if spec.neighborhood else {}, state=whole)
    shapes = {name: action_shape(group.action) for name, group in spec.groups.items()}
    action = {name: jnp.zeros((spec.groups[name].size, *shape), dtype) for name, (shape, dtype) in shapes.items()}
    return seen, action, {name: jnp.zeros(group.size) for name, group in spec.groups.items()}


def _observed(spec: Spec, buffer: Buffer, now: TimeStep) -> TimeStep:
    """What the buffer keeps of time steps [T, E, ...]."""
    state = None if buffer.steps.now.state is None else now.state

    def one(now):
        masks = {name: mask for name, mask in legal(spec, now).items() if mask is not None}
        return observed(now, legal=masks, neighbors=now.neighbors)

    return jax.vmap(jax.vmap(one))(now._replace(state=None))._replace(state=state)


def _no_neighbors(size: int, neighborhood: int) -> tuple[Any, Any]:
    return jnp.zeros((size, neighborhood), jnp.int32), jnp.zeros((size, neighborhood), bool)
