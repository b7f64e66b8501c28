"""What MATWM draws from its replay: sequences for the world model, and contexts from which agents imagine.

The paper has a buffer for each agent, with the same steps in all of them. Here there is one, from which every agent
draws on its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.algorithms.matwm.agents import Agents
from covey.algorithms.matwm.records import Context, Sequences
from covey.core.checks import within
from covey.core.errors import BadInput
from covey.core.loop import select
from covey.core.types import Groups, Spec, TimeStep, Transition
from covey.learning import samplers
from covey.learning.buffer import Batch, Buffer, add, slot_of, steps_kept
from covey.learning.replay import Replay
from covey.learning.samplers import Ages, Recency, Uniform

TRIES = 2
"""How often the beginning of a context is drawn, to find one at which the agent lives."""


def _over(f: Callable, *steps: Any) -> Any:
    """A function of one environment, over two leading axes."""
    return jax.vmap(jax.vmap(f))(*steps)


class SequenceReplay(eqx.Module):
    """Replay of `capacity` environment steps, `sequences` of up to `length` steps at a time."""

    capacity: int = eqx.field(static=True, default=50_000)
    """Environment steps that are kept, over all lanes."""
    sequences: int = eqx.field(static=True, default=16)
    """Sequences of a batch, over all agents."""
    length: int = eqx.field(static=True, default=64)
    """The most steps of a sequence; it stops where its episode does."""
    ages: Ages = Recency(0.9998)
    """The chances of a sequence's first step by its age."""

    def __check_init__(self):
        within(self, "[1, inf)", "sequences", "length")
        if self.length > self.capacity:
            raise BadInput(
                f"the sequences ({self.length} steps) are longer than the replay buffer ({self.capacity} steps): raise "
                "`capacity` or lower `length`."
            )

    def steps(self, spec: Spec) -> int:
        """The most steps that a sequence can have."""
        return min(self.length, spec.time_limit or self.length)

    def init(self, spec: Spec, lanes: int, horizon: int) -> Buffer:
        """An empty buffer for rollouts of `horizon` steps."""
        if self.steps(spec) > self.capacity // lanes:
            raise BadInput(
                f"the sequences ({self.steps(spec)} steps) are longer than what is kept of each of {lanes} lanes "
                f"({self.capacity // lanes} steps): raise `capacity`, or lower `length`."
            )
        return Replay(capacity=self.capacity, batch=1).init(spec, lanes, horizon)

    def add(self, spec: Spec, buffer: Buffer, rollout: Transition, step: Any) -> Buffer:
        """The buffer after a rollout [T, E, ...] that began at environment step `step`."""
        return add(spec, buffer, rollout, step)

    # ------------------------------------------------------------------------------------- for the world model

    def draw(self, agents: Agents, buffer: Buffer, key: Any, count: Any, step: Any) -> Sequences:
        """Sequences for the world model's update number `count`, by the focal agent in equal shares.

        What is left over goes to some agents only, to others in the next update. None shares a step with another one of
        the same agent.
        """
        share, rest = divmod(self.sequences, agents.count)
        drawing = agents.count if share else rest  # agents that get a sequence at all
        turn = (count * rest + jnp.arange(drawing)) % agents.count
        most = share + bool(rest)
        sampler = samplers.Sequences(self.steps(agents.spec), self.ages)
        keys = jax.random.split(key, drawing)
        batch = jax.vmap(lambda key: sampler.sample(agents.spec, buffer, most, key, step))(keys)
        taken = [(who, j) for who in range(drawing) for j in range(share + (who < rest))]
        who, place = (jnp.array(x) for x in zip(*taken, strict=True))
        return focal_sequences(agents, jax.tree.map(lambda x: x[who, place], batch), turn[who])

    # --------------------------------------------------------------------------------------- for imagination

    def contexts(self, agents: Agents, buffer: Buffer, number: int, length: int, key: Any, step: Any) -> Any:
        """`number` contexts of every agent, of up to `length` steps: (Context of N · number rows, weight [N, number]).

        What is seen at their end is drawn uniformly from what the agent saw while it lived. Weight 0: there was none.
        """
        kept = steps_kept(buffer, step)
        age, lane = Uniform().draw(key, (agents.count, TRIES * number), kept, buffer.lanes)
        alive = _of_agents(agents, buffer.steps.now.alive, slot_of(buffer, age, step), lane)
        upto = jnp.cumsum(jnp.concatenate(list(alive.values())) & (age < kept), 1)
        wanted = 1 + jnp.arange(number) % jnp.maximum(upto[:, -1:], 1)  # the first ones; where they are few, again
        drawn = jax.vmap(jnp.searchsorted)(upto, wanted)
        age, lane = (jnp.take_along_axis(x, drawn, 1) for x in (age, lane))
        weight = jnp.broadcast_to(upto[:, -1:] > 0, age.shape).astype(jnp.float32)
        return _context(agents, buffer, age, lane, length, step), weight


def _of_agents(agents: Agents, ring: Groups, slot: Any, lane: Any) -> Groups:
    """What `ring` [C, E, n, ...] holds of every agent, in slots and lanes [N, ...] of its own: per group [n, ...]."""
    found, begin = {}, 0
    for name, group in agents.spec.groups.items():
        own = slice(begin, begin + group.size)
        who = jnp.arange(group.size).reshape(-1, *[1] * (slot.ndim - 1))
        found[name] = jax.tree.map(lambda x, s=slot[own], l=lane[own], w=who: x[s, l, w], ring[name])
        begin += group.size
    return found


def _context(agents: Agents, buffer: Buffer, age: Any, lane: Any, length: int, step: Any) -> Context:
    """The contexts of N agents that end with the steps of these ages and lanes [N, B]."""
    ages = age[..., None] + jnp.arange(length, -1, -1)
    slot, lane = slot_of(buffer, ages, step), jnp.broadcast_to(lane[..., None], ages.shape)
    episode = buffer.steps.episode[slot, lane]
    there = (ages < steps_kept(buffer, step)) & (episode == episode[..., -1:])
    kept = buffer.steps.now

    def of_agents(ring):  # [B, L + 1, n, ...]
        found = _of_agents(agents, {name: ring[name] for name in agents.spec.groups}, slot, lane)
        return jax.tree.map(lambda x: jnp.moveaxis(x, 0, 2), found)

    now = TimeStep(
        of_agents(kept.obs), reward={}, discount={}, alive=of_agents(kept.alive), last=None, legal=of_agents(kept.legal)
    )
    seen = _over(agents.observe, now)
    action = _over(agents.chosen, of_agents(buffer.steps.action))

    def rows(x):  # [B, L + 1, N, ...] -> [N · B, L + 1, ...]
        return jnp.moveaxis(x, 2, 0).reshape(-1, length + 1, *x.shape[3:])

    return Context(
        focal=jnp.repeat(jnp.arange(agents.count), age.shape[1]),
        obs=jax.tree.map(rows, seen.obs),
        action=rows(action)[:, :-1],
        exists=rows(seen.alive) & there.reshape(-1, length + 1),
    )


def focal_sequences(agents: Agents, batch: Batch, focal: Any) -> Sequences:
    """What sequences [Q, L, ...] hold of their focal agents [Q]."""

    def own(x):  # [Q, L, N, ...] -> [Q, L, ...]
        return jax.vmap(lambda x, who: x[:, who])(x, focal)

    now, then = (jax.tree.map(own, _over(agents.observe, seen)) for seen in (batch.now, batch.then))
    reward, discount = (own(x) for x in _over(agents.earned, batch.then))
    there = batch.weight > 0
    steps = there & now.alive
    follows = there & then.alive

    def prolonged(now, then):
        """[Q, L + 1, ...]: what was seen at every step, and after the last one."""
        after = jnp.concatenate([jnp.zeros_like(then[:, :1]), then], 1)
        return select(
            jnp.pad(there, ((0, 0), (0, 1))), jnp.pad(now, [(0, 0), (0, 1)] + [(0, 0)] * (now.ndim - 2)), after
        )

    then_seen = select(there, then.obs, jax.tree.map(jnp.zeros_like, then.obs))

    others = jnp.array(agents.others)[focal]
    return Sequences(
        focal=focal,
        obs=jax.tree.map(prolonged, now.obs, then_seen),
        alive=prolonged(steps, follows),
        steps=steps,
        follows=steps & follows,
        legal=now.legal,
        action=own(_over(agents.chosen, batch.action)[:, :, agents.own]),
        reward=jnp.where(steps, reward, 0.0),
        discount=jnp.where(steps, discount, 1.0),
        others=jax.vmap(lambda x, who: x[:, who])(_over(agents.chosen, batch.action), others),
        others_alive=jax.vmap(lambda x, who: x[:, who])(_over(agents.living, batch.now), others),
    )
