"""Replay: what has been experienced, one ring per lane, [C, E, ...].

A slot keeps what an agent saw, did and got. The successor's observation is the next slot's, so nothing is stored
twice; only where a time limit cut an episode that still had a future, the true last observation goes to a side ring.
The head of the ring derives from the step, so that a write stays one slice update when seeds are batched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.core.algorithm import Plan, paced
from covey.core.checks import within
from covey.core.errors import BadInput
from covey.core.loop import select
from covey.core.types import Groups, Metrics, Spec, TimeStep, Transition, action_shape, observed, unobserved
from covey.nn.joint import legal


class Buffer(NamedTuple):
    """Arrays of a replay: C slots and F finals for each of E lanes."""

    now: TimeStep  # [C, E, ...]  obs, alive, legal and neighbors of the slot's step
    action: Groups  # [C, E, n, ...]
    reward: Groups  # [C, E, n]
    discount: Groups  # [C, E, n]
    last: Any  # [C, E]
    final: Any  # [C, E]  where in `finals` the successor is, if `last`
    extra: Any  # [C, E, ...]  what an algorithm wants to keep beside it
    finals: TimeStep  # [F, E, ...]
    cut: Any  # [E]  episodes cut by a time limit so far


class Batch(NamedTuple):
    """Sampled experience: B transitions, the actions taken next, and each one's weight in a mean."""

    now: TimeStep  # [B, ...]
    action: Groups  # [B, n, ...]
    then: TimeStep  # [B, ...]
    next_action: Groups  # [B, n, ...]  zero where the episode ended
    weight: Any  # [B]
    extra: Any = ()  # [B, ...]


class Replay(eqx.Module):
    """Uniform replay of `capacity` environment steps, sampled `batch` at a time.

    `whole_episode` is the "current-episode replay" of the ATT-MADDPG authors' later code.
    """

    capacity: int = eqx.field(static=True, default=100_000)
    """Environment steps that are kept, over all lanes."""
    batch: int = eqx.field(static=True, default=128)
    """Transitions of a batch."""
    whole_episode: bool = eqx.field(static=True, default=False)
    """The batch drawn when an episode ends also holds every step of that episode."""

    def __check_init__(self):
        within(self, "[1, inf)", "batch")
        if self.batch > self.capacity:
            raise BadInput(
                f"the batch ({self.batch}) is larger than the replay buffer ({self.capacity}): "
                "raise `capacity` or lower `batch`."
            )

    def slots(self, lanes: int, horizon: int) -> int:
        """Slots per lane: the capacity over the lanes, whole rollouts, at least two of them."""
        return max(self.capacity // lanes // horizon, 2) * horizon

    def init(self, spec: Spec, lanes: int, horizon: int, extra: Any = ()) -> Buffer:
        """An empty buffer; `extra` is an example of what one lane keeps beside a step."""
        slots = self.slots(lanes, horizon)
        finals = slots if spec.time_limit is None else slots // spec.time_limit + 2

        def rows(count, example):
            return jax.tree.map(lambda x: jnp.zeros((count, lanes, *x.shape), x.dtype), example)

        seen, action, reward = _blank(spec)
        return Buffer(
            now=rows(slots, seen),
            action=rows(slots, action),
            reward=rows(slots, reward),
            discount=rows(slots, reward),
            last=jnp.zeros((slots, lanes), bool),
            final=jnp.zeros((slots, lanes), jnp.int32),
            extra=rows(slots, extra),
            finals=rows(finals, seen),
            cut=jnp.zeros(lanes, jnp.int32),
        )

    def add(self, spec: Spec, buffer: Buffer, rollout: Transition, step: Any, extra: Any = ()) -> Buffer:
        """The buffer after a rollout [T, E, ...], and what is kept beside it, that began at environment step `step`."""
        _, lanes = rollout.then.last.shape
        head = step // lanes % buffer.last.shape[0]
        seen = jax.vmap(jax.vmap(lambda now: _seen(spec, now)))
        future = sum(jnp.any(d > 0, -1) for d in rollout.then.discount.values()) > 0
        cut = rollout.then.last & future
        before = buffer.cut + jnp.cumsum(cut, 0) - cut
        final = (before % jax.tree.leaves(buffer.finals)[0].shape[0]).astype(jnp.int32)

        def keep(finals, xs):  # every step writes the lane's current final; it stays if the episode was cut there
            then, slot = xs
            return jax.tree.map(lambda ring, x: ring.at[slot, jnp.arange(lanes)].set(x), finals, then), None

        def write(ring, x):
            return jax.lax.dynamic_update_slice_in_dim(ring, x.astype(ring.dtype), head, axis=0)

        finals, _ = jax.lax.scan(keep, buffer.finals, (seen(rollout.then), final))
        rows = Buffer(
            now=seen(rollout.now),
            action=rollout.action,
            reward=rollout.then.reward,
            discount=rollout.then.discount,
            last=rollout.then.last,
            final=final,
            extra=extra,
            finals=buffer.finals,
            cut=buffer.cut,
        )
        rings = jax.tree.map(write, buffer[:7], rows[:7])
        return Buffer(*rings, finals=finals, cut=buffer.cut + cut.sum(0))

    def sample(self, spec: Spec, buffer: Buffer, key: Any, step: Any) -> Batch:
        """A batch, uniform over the transitions whose successor is known; `step` counts what has been added."""
        slots, lanes = buffer.last.shape
        written = step // lanes
        k_age, k_lane = jax.random.split(key)
        age = jax.random.randint(k_age, (self.batch,), 1, jnp.maximum(jnp.minimum(written, slots), 2))
        lane = jax.random.randint(k_lane, (self.batch,), 0, lanes)
        batch = _gather(buffer, (written - 1 - age) % slots, lane, jnp.ones(self.batch))
        if not self.whole_episode:
            return batch
        episode = _newest_episode(buffer, written, spec.time_limit or slots)
        return jax.tree.map(lambda *x: jnp.concatenate(x), batch, episode)


def replayed(
    replay: Replay,
    spec: Spec,
    plan: Plan,
    buffer: Buffer,
    rollout: Transition,
    step: Any,
    update: Callable[[Any, Batch, Any, Any], tuple[Any, Metrics]],
    nets: Any,
    key: Any,
    extra: Any = (),
) -> tuple[Buffer, Any, Metrics]:
    """The buffer with a rollout (and `extra` beside it) that began at `step`, and `nets` after those of the plan's
    updates that are due.

    `update(nets, batch, key, count)` takes one gradient step; `count` is the number of those before it.
    """
    length, lanes = rollout.then.last.shape
    buffer = replay.add(spec, buffer, rollout, step, extra)
    plan = plan._replace(warmup=max(plan.warmup, 2 * lanes))  # a transition has to be followed by another

    def once(nets, key, count):
        k_batch, k_update = jax.random.split(key)
        batch = replay.sample(spec, buffer, k_batch, step + length * lanes)
        return update(nets, batch, k_update, count)

    nets, metrics = paced(plan, step, length * lanes, once, nets, key)
    return buffer, nets, metrics


def latest(rollout: Transition, extra: Any = ()) -> Batch:
    """Everything in a rollout [T, E, ...], and what was kept beside it, as a batch, for those who learn from what has
    just happened; the next actions are those of the rollout, zero where it or an episode ended."""
    last = rollout.then.last.at[-1].set(True)
    upcoming = jax.tree.map(lambda x: jnp.concatenate([x[1:], jnp.zeros_like(x[:1])]), rollout.action)
    upcoming = select(last, jax.tree.map(jnp.zeros_like, upcoming), upcoming)
    batch = Batch(rollout.now, rollout.action, rollout.then, upcoming, jnp.ones(last.shape), extra)
    return jax.tree.map(lambda x: x.reshape(last.size, *x.shape[2:]), batch)


def _gather(buffer: Buffer, slot: Any, lane: Any, weight: Any) -> Batch:
    """The transitions at `slot` [B] of `lane` [B], with their true successors."""
    last = buffer.last[slot, lane]
    following = (slot + 1) % buffer.last.shape[0]
    now, action, extra = jax.tree.map(lambda x: x[slot, lane], (buffer.now, buffer.action, buffer.extra))
    upcoming, next_action = jax.tree.map(lambda x: x[following, lane], (buffer.now, buffer.action))
    final = jax.tree.map(lambda x: x[buffer.final[slot, lane], lane], buffer.finals)
    then = select(last, final, upcoming)
    then = then._replace(
        reward=jax.tree.map(lambda x: x[slot, lane], buffer.reward),
        discount=jax.tree.map(lambda x: x[slot, lane], buffer.discount),
        last=last,
    )
    next_action = select(last, jax.tree.map(jnp.zeros_like, next_action), next_action)
    return Batch(now, action, then, next_action, weight, extra)


def _newest_episode(buffer: Buffer, written: Any, limit: int) -> Batch:
    """The last `limit` steps of every lane, with weight 1 where the newest step ended the episode they belong to."""
    slots, lanes = buffer.last.shape
    age = jnp.arange(min(limit, slots))
    slot = (written - 1 - age) % slots
    last = buffer.last[slot]  # [L, E], newest first
    earlier = jnp.cumsum(last.at[0].set(False), axis=0) > 0  # belongs to an episode before the newest
    weight = last[0] & ~earlier & (age < written)[:, None]
    lane = jnp.broadcast_to(jnp.arange(lanes), last.shape)
    where = jnp.broadcast_to(slot[:, None], last.shape)
    return _gather(buffer, where.reshape(-1), lane.reshape(-1), weight.reshape(-1).astype(jnp.float32))


def _blank(spec: Spec) -> tuple[TimeStep, Groups, Groups]:
    """Zeros in the shape of what one lane sees, does and gets."""
    seen = unobserved(spec)
    masks = {name: mask for name, mask in legal(spec, seen).items() if mask is not None}
    near = {name: _no_neighbors(group.size, spec.neighborhood) for name, group in spec.groups.items()}
    seen = seen._replace(neighbors=near if spec.neighborhood else {})
    shapes = {name: action_shape(group.action) for name, group in spec.groups.items()}
    action = {name: jnp.zeros((spec.groups[name].size, *shape), dtype) for name, (shape, dtype) in shapes.items()}
    reward = {name: jnp.zeros(group.size) for name, group in spec.groups.items()}
    return seen._replace(legal=masks), action, reward


def _seen(spec: Spec, now: TimeStep) -> TimeStep:
    """The part of a time step that a replay keeps."""
    masks = {name: mask for name, mask in legal(spec, now).items() if mask is not None}
    return observed(now, legal=masks, neighbors=now.neighbors)


def _no_neighbors(size: int, neighborhood: int) -> tuple[Any, Any]:
    return jnp.zeros((size, neighborhood), jnp.int32), jnp.zeros((size, neighborhood), bool)
