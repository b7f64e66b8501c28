"""What is drawn from a buffer: parts, which share one buffer.

    Transitions              single steps
    SingleAgentTransitions   single steps of single agents
    CurrentEpisode           single steps, and the whole episode that has just ended
    Sequences                up to L steps in a row, of one episode
    Episodes                 whole episodes

What cannot be learned from is drawn again: a step whose successor is not known, a sequence that shares a step with
another one of the batch. So the rest keeps the chances that were asked for, at a cost that does not depend on how much
is kept. Where every try fails, single steps are taken twice, and other weights are 0.
"""

from __future__ import annotations

import abc
from functools import partial
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.core.checks import within
from covey.core.errors import BadInput
from covey.core.types import Spec
from covey.learning.buffer import Batch, Buffer, gather, gather_apart, has_successor, slot_of, steps_kept

STEP_TRIES, SEQUENCE_TRIES = 2, 4
"""How often a step, and a sequence or an episode, is drawn."""


# ---------------------------------------------------------------------------------------------------------------------
# How far back


class Ages(eqx.Module):
    """A part: the chances of steps by their age."""

    @abc.abstractmethod
    def draw(self, key: Any, shape: tuple[int, ...], count: Any, lanes: int) -> tuple[Any, Any]:
        """Ages of this shape from 0, the newest step of a lane, to `count` - 1; and lanes, all alike."""


class Uniform(Ages):
    """All steps alike."""

    def draw(self, key, shape, count, lanes):
        # One remainder instead of two even draws: it favors some steps over others by a share of count · lanes / 2³².
        index = jax.random.bits(key, shape) % jnp.maximum(count * lanes, 1).astype(jnp.uint32)
        return (index // lanes).astype(jnp.int32), (index % lanes).astype(jnp.int32)


class Recency(Ages):
    """New steps more often than old ones: a step's chance falls by the factor `decay` with every environment step,
    counted over all lanes, that was played since (Deihim et al. 2025: MATWM)."""

    decay: float = 0.9998
    """Chance of a step, as a share of that of the step after it."""

    def __check_init__(self):
        within(self, "(0, 1]", "decay")

    def draw(self, key, shape, count, lanes):
        k_age, k_lane = jax.random.split(key)
        count, share = jnp.maximum(count, 1), jax.random.uniform(k_age, shape)
        rate = jnp.maximum(-jnp.log(self.decay) * lanes, 1e-12)  # of the falling chance, per slot
        age = -jnp.log1p(share * jnp.expm1(-rate * count)) / rate  # up to which there is this share of all chances
        return jnp.minimum(age.astype(jnp.int32), count - 1), jax.random.randint(k_lane, shape, 0, lanes)


# ---------------------------------------------------------------------------------------------------------------------
# Samplers


class Sampler(eqx.Module):
    """A part: what is drawn."""

    @abc.abstractmethod
    def sample(self, spec: Spec, buffer: Buffer, count: int, key: Any, step: Any) -> Batch:
        """`count` things out of a buffer to which `step` environment steps were added."""


class StepSampler(Sampler):
    """Base of samplers of single transitions: a Batch [B, ...]."""

    apart: ClassVar[bool] = False
    """Are the steps of every agent drawn by themselves? Then a row of a batch is no moment of the team's."""

    def check(self, horizon: int) -> None:
        """BadInput where it needs other rollouts than those of so many steps."""


class Transitions(StepSampler):
    """Single steps, of every lane alike; a batch may hold one more than once."""

    ages: Ages = Uniform()
    """The chances of steps by their age."""

    def sample(self, spec, buffer, count, key, step):
        age, lane, any_known = _draw_steps(self.ages, buffer, count, step, key)
        return gather(buffer, age, lane, jnp.broadcast_to(any_known, (count,)).astype(jnp.float32), step)


class SingleAgentTransitions(StepSampler):
    """Single steps of single agents: those of every agent are drawn by themselves, so that a batch of B steps of n
    agents shows B n moments instead of B (Zhu et al. 2025: LAMARL). For learners that look at one agent at a time."""

    ages: Ages = Uniform()
    """The chances of steps by their age."""

    apart = True

    def sample(self, spec, buffer, count, key, step):
        draw, ages, lanes, known = partial(_draw_steps, self.ages, buffer, count, step), {}, {}, jnp.bool_(True)
        for name, k in zip(spec.groups, jax.random.split(key, len(spec.groups)), strict=True):
            keys = jax.random.split(k, spec.groups[name].size)
            ages[name], lanes[name], each = jax.vmap(draw, out_axes=(1, 1, 0))(keys)
            known &= each.all()
        return gather_apart(buffer, ages, lanes, jnp.broadcast_to(known, (count,)).astype(jnp.float32), step)


class CurrentEpisode(StepSampler):
    """Single steps, and every step of the episode that the newest step has ended: the "current-episode replay" of the
    ATT-MADDPG authors' later code."""

    ages: Ages = Uniform()
    """The chances of the single steps by their age."""
    length: int | None = eqx.field(static=True, default=None)
    """The longest episode, in steps; None: the environment's time limit."""

    def __check_init__(self):
        _check_length(self)

    def check(self, horizon):
        if horizon > 1:
            raise BadInput(
                "the sampler `current-episode` replays an episode when it ends and needs `horizon` 1: learn at every "
                "step."
            )

    def sample(self, spec, buffer, count, key, step):
        singles = Transitions(self.ages).sample(spec, buffer, count, key, step)
        length = min(_longest(self, spec), buffer.slots)
        age, lane = (x.ravel() for x in jnp.meshgrid(jnp.arange(length), jnp.arange(buffer.lanes), indexing="ij"))
        newest = slot_of(buffer, 0, step)
        current = buffer.steps.episode[slot_of(buffer, age, step), lane] == buffer.steps.episode[newest, lane]
        there = buffer.steps.last[newest, lane] & current & has_successor(buffer, age, lane, step)
        episode = gather(buffer, age, lane, there.astype(jnp.float32), step)
        return jax.tree.map(lambda *x: jnp.concatenate(x), singles, episode)


class Sequences(Sampler):
    """Up to `length` steps in a row: a Batch [B, L, ...] whose weights are 1 for the steps that are there.

    A sequence begins with a step that was drawn by its age, and stops after `length` steps, at the end of its episode,
    or with the newest step whose successor is known. `then` of its last step is what came after it: at the end of an
    episode, its final observation. No two sequences of a batch share a step; where fewer fit, the weights of the others
    are 0.
    """

    length: int = eqx.field(static=True, default=64)
    """Steps of a sequence."""
    ages: Ages = Uniform()
    """The chances of first steps by their age."""

    def __check_init__(self):
        within(self, "[1, inf)", "length")

    def sample(self, spec, buffer, count, key, step):
        age, lane = self.ages.draw(key, (SEQUENCE_TRIES * count,), steps_kept(buffer, step), buffer.lanes)
        episode = buffer.steps.episode[slot_of(buffer, age, step), lane]
        size = jnp.minimum(_steps_left(buffer, age, episode, lane, step), self.length)
        return _pieces(buffer, age, size, lane, count, self.length, step)


class Episodes(Sampler):
    """Whole episodes, all that are there from beginning to end alike: a Batch [B, L, ...] as of `Sequences`.

    No episode is in a batch more than once. Of one that is longer than `length` there are the first steps.
    """

    length: int | None = eqx.field(static=True, default=None)
    """The longest episode, in steps; None: the environment's time limit."""

    def __check_init__(self):
        _check_length(self)

    def sample(self, spec, buffer, count, key, step):
        length = _longest(self, spec)
        episode, lane, there = _draw_episodes(buffer, SEQUENCE_TRIES * count, key, step)
        age = _age_of_end(buffer, episode - 1, lane, step) - 1  # of the first step, which follows the episode before
        size = jnp.minimum(_steps_left(buffer, age, episode, lane, step), length)
        return _pieces(buffer, age, jnp.where(there, size, 0), lane, count, length, step)


# ---------------------------------------------------------------------------------------------------------------------
# Their pieces


def _draw_steps(ages: Ages, buffer: Buffer, count: int, step: Any, key: Any) -> tuple[Any, Any, Any]:
    """Ages and lanes [count] of steps whose successor is known, and whether there is one at all."""
    age, lane = ages.draw(key, (STEP_TRIES * count,), steps_kept(buffer, step), buffer.lanes)
    upto = jnp.cumsum(has_successor(buffer, age, lane, step))
    wanted = 1 + jnp.arange(count) % jnp.maximum(upto[-1], 1)  # the first ones; where they are few, again
    drawn = jnp.searchsorted(upto, wanted, method="scan_unrolled")
    return age[drawn], lane[drawn], upto[-1] > 0


def _draw_episodes(buffer: Buffer, count: int, key: Any, step: Any) -> tuple[Any, Any, Any]:
    """Numbers and lanes of complete episodes, each as likely as any other, and whether there is one at all."""
    oldest = slot_of(buffer, steps_kept(buffer, step) - 1, step)
    forgotten = step // buffer.lanes > buffer.slots  # the oldest one's first step may have been
    first = buffer.steps.episode[oldest] + forgotten
    complete = jnp.maximum(buffer.ended - first, 0)
    upto = jnp.cumsum(complete)
    drawn = jax.random.randint(key, (count,), 0, jnp.maximum(upto[-1], 1))
    lane = jnp.minimum(jnp.searchsorted(upto, drawn, side="right"), buffer.lanes - 1)
    return first[lane] + drawn - (upto - complete)[lane], lane, upto[lane] > drawn


def _age_of_end(buffer: Buffer, episode: Any, lane: Any, step: Any) -> Any:
    """Age of the newest step of an episode, or of one before it; as many as are kept where all are of later ones."""

    def halve(_, ends):
        new, old = ends
        middle = (new + old) // 2
        later = buffer.steps.episode[slot_of(buffer, middle, step), lane] > episode
        return jnp.where(later & (new < old), middle + 1, new), jnp.where(later, old, middle)

    none = jnp.zeros_like(episode)
    return jax.lax.fori_loop(0, buffer.slots.bit_length(), halve, (none, none + steps_kept(buffer, step)))[0]


def _steps_left(buffer: Buffer, age: Any, episode: Any, lane: Any, step: Any) -> Any:
    """Steps of an episode from one of this age on, as far as what follows them is known."""
    end = _age_of_end(buffer, episode, lane, step)
    return age - end + has_successor(buffer, end, lane, step)


def _pieces(buffer: Buffer, age: Any, size: Any, lane: Any, count: int, length: int, step: Any) -> Batch:
    """The first `count` of the candidates that hold a step and share none with those before: a Batch [B, L, ...].

    A candidate begins at `age` and goes on for `size` steps.
    """
    end = age - size + 1
    overlap = (lane == lane[:, None]) & (age >= end[:, None]) & (end <= age[:, None])

    def consider(taken, candidate):
        free = (size[candidate] > 0) & ~jnp.any(taken & overlap[candidate]) & (taken.sum() < count)
        return taken.at[candidate].set(free), None

    taken, _ = jax.lax.scan(consider, jnp.zeros(len(age), bool), jnp.arange(len(age)))
    chosen = jnp.argsort(~taken, stable=True)[:count]
    along = jnp.arange(length)
    there = (along < size[chosen][:, None]) & taken[chosen][:, None]
    where = jnp.broadcast_to(lane[chosen][:, None], there.shape)
    return gather(buffer, age[chosen][:, None] - along, where, there.astype(jnp.float32), step)


def _check_length(sampler: Any) -> None:
    if sampler.length is not None:
        within(sampler, "[1, inf)", "length")


def _longest(sampler: Any, spec: Spec) -> int:
    """Steps of the longest episode."""
    longest = sampler.length or spec.time_limit
    if longest is None:
        raise BadInput(f"{spec.name!r} does not say how long its episodes are at most: give the sampler a `length`.")
    return longest
