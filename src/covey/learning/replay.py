"""Replay: learning from single steps that were played before, by whichever policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.core.algorithm import Plan, paced
from covey.core.checks import within
from covey.core.errors import BadInput
from covey.core.loop import select
from covey.core.registry import conform
from covey.core.types import Metrics, Spec, Transition
from covey.learning.buffer import Batch, Buffer, add, empty
from covey.learning.samplers import StepSampler, Transitions

SHORT = 8
"""Steps of an episode down to which every final observation is kept."""


class Replay(eqx.Module):
    """Replay of `capacity` environment steps, `batch` at a time."""

    capacity: int = eqx.field(static=True, default=100_000)
    """Environment steps that are kept, over all lanes."""
    batch: int = eqx.field(static=True, default=128)
    """Transitions of a batch."""
    sampler: StepSampler = Transitions()
    """What is drawn."""
    finals: int | None = eqx.field(static=True, default=None)
    """Final observations that are kept, over all lanes; None: one for every 8 steps, or more where the time limit is
    shorter. Without its final observation the last step of an episode is not drawn, if the future was not over."""

    def __check_init__(self):
        within(self, "[1, inf)", "batch")
        if self.finals is not None:
            within(self, "[1, inf)", "finals")
        if self.batch > self.capacity:
            raise BadInput(
                f"the batch ({self.batch}) is larger than the replay buffer ({self.capacity}): "
                "raise `capacity` or lower `batch`."
            )

    @staticmethod
    def upgrade(fields: dict[str, Any]) -> dict[str, Any]:
        """The fields of a saved replay as they are written now."""
        now = {name: value for name, value in fields.items() if name != "whole_episode"}
        if conform(fields.get("whole_episode", False), bool, "the field 'whole_episode' of Replay"):
            now["sampler"] = {"type": "covey.learning.samplers:CurrentEpisode"}
        return now

    def check(self, horizon: int, alone: bool = False) -> None:
        """BadInput where the sampler cannot do with rollouts of `horizon` steps, or where it draws the steps of every
        agent apart and the learner looks at several: `alone` says that it looks at one agent at a time."""
        self.sampler.check(horizon)
        if self.sampler.apart and not alone:
            raise BadInput(
                "the sampler `single-agent-transitions` draws the steps of every agent apart, and this learner looks "
                "at several agents of a step: set `replay.sampler` to `transitions`, or take a critic that looks at "
                "one (`independent`, `shared-independent`)."
            )

    def init(self, spec: Spec, lanes: int, horizon: int, extra: Any = (), state: bool = False) -> Buffer:
        """An empty buffer for rollouts of `horizon` steps. `extra` is an example of what one lane keeps beside a step;
        `state`: keep the global state, where the environment has one."""
        slots = max(self.capacity // lanes // horizon, 2) * horizon  # whole rollouts, at least two of them
        return empty(spec, lanes, slots, min(self._finals(spec, lanes, slots), slots), extra, state)

    def _finals(self, spec: Spec, lanes: int, slots: int) -> int:
        if self.finals is not None:
            return -(-self.finals // lanes)
        return slots // min(spec.time_limit or SHORT, SHORT) + 1

    def add(self, spec: Spec, buffer: Buffer, rollout: Transition, step: Any, extra: Any = ()) -> Buffer:
        """The buffer after a rollout [T, E, ...], and what is kept beside it, that began at environment step `step`."""
        return add(spec, buffer, rollout, step, extra)

    def sample(self, spec: Spec, buffer: Buffer, key: Any, step: Any) -> Batch:
        """A batch out of a buffer to which `step` environment steps were added."""
        return self.sampler.sample(spec, buffer, self.batch, key, step)


def learn_from_replay(
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


def rollout_as_batch(rollout: Transition, extra: Any = ()) -> Batch:
    """Everything in a rollout [T, E, ...], and what was kept beside it, as a batch, for those who learn from what has
    just happened; the next actions are those of the rollout, zero where it or an episode ended."""
    last = rollout.then.last.at[-1].set(True)
    upcoming = jax.tree.map(lambda x: jnp.concatenate([x[1:], jnp.zeros_like(x[:1])]), rollout.action)
    upcoming = select(last, jax.tree.map(jnp.zeros_like, upcoming), upcoming)
    batch = Batch(rollout.now, rollout.action, rollout.then, upcoming, jnp.ones(last.shape), extra)
    return jax.tree.map(lambda x: x.reshape(last.size, *x.shape[2:]), batch)
