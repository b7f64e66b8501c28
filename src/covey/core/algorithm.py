"""What covey asks of an algorithm, and the algorithms that are made of other algorithms.

An algorithm is a value: hyperparameters, the spec of the environment, and the groups it controls. What it learns is in
its state. It acts on a `TimeStep` and learns from a rollout, and never touches an environment. What it may offer
besides is listed in `covey.core.optional`.
"""

import abc
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.core.errors import BadInput
from covey.core.optional import offered
from covey.core.types import Groups, Metrics, Spec, TimeStep, Transition


class Plan(NamedTuple):
    """The cadence of an algorithm, static.

    horizon: steps of a rollout (T). warmup: environment steps before the first update. updates: gradient steps per
    learn. every: learn on each `every`-th rollout only.
    """

    horizon: int = 1
    warmup: int = 0
    updates: int = 1
    every: int = 1


class Algorithm(eqx.Module):
    """Base of every algorithm. Floats are leaves (they can be swept by a vmap), sizes are static."""

    spec: eqx.AbstractVar[Spec]
    groups: eqx.AbstractVar[tuple[str, ...]]

    @property
    def plan(self) -> Plan:
        return Plan()

    def memory(self, key: Any) -> Any:
        """What the actors of ONE environment remember, drawn afresh at every reset."""
        return ()

    @abc.abstractmethod
    def init(self, key: Any, lanes: int) -> Any:
        """The learned state before any experience."""

    @abc.abstractmethod
    def act(
        self, state: Any, memory: Any, now: TimeStep, key: Any, step: Any, *, explore: bool
    ) -> tuple[Groups, Any, Any]:
        """Actions for this algorithm's groups in one environment: (action, memory, extra)."""

    def learn(self, state: Any, rollout: Transition, key: Any, step: Any) -> tuple[Any, Metrics]:
        """The state after one rollout [T, E, ...] that began at environment step `step`, and what to report."""
        return state, {}

    def parameters(self, state: Any) -> Any:
        """The part of the state that must stay finite and that acting needs."""
        return state

    def acting(self, state: Any) -> Any:
        """A state to act with, in which nothing is left of what only learning needs, such as a replay."""
        return state

    def with_guides(self, guide: Callable[[str], Any]) -> "Algorithm":
        """The same algorithm, in which the priors that it has by name (`covey.algorithms.prior`) are `guide(name)`."""
        return self


def ledgers(algorithm: Algorithm, state: Any, rollout: Transition) -> dict[str, Any]:
    """Per group, who earned what in the first episode of each lane of a rollout [T, E, ...] that was played without
    exploring (`covey.learning.credit:Ledger`); nothing for algorithms that do not know."""
    books = offered(algorithm, "ledgers")
    return {} if books is None else books(state, rollout)


def paced(
    plan: Plan, step: Any, taken: int, update: Callable[[Any, Any, Any], tuple[Any, Metrics]], carry: Any, key: Any
) -> tuple[Any, Metrics]:
    """`plan.updates` updates of `carry` when they are due, under one branch that stays a branch when seeds are batched.

    `step` is the environment step at which the rollout began, `taken` the steps it holds. `update(carry, key, count)`
    gets the number of updates done before it, derived from the step. Metrics are means over the updates, NaN if none
    was due.
    """
    keys = jax.random.split(key, plan.updates)
    rollouts = step // taken
    counts = rollouts // plan.every * plan.updates + jnp.arange(plan.updates)

    def body(carry, xs):
        return update(carry, *xs)

    def work(carry):
        carry, metrics = jax.lax.scan(body, carry, (keys, counts))
        return carry, jax.tree.map(lambda x: jnp.nanmean(x, axis=0), metrics)

    def rest(carry):
        return carry, jax.tree.map(lambda x: jnp.full(x.shape, jnp.nan, x.dtype), jax.eval_shape(work, carry)[1])

    due = (step + taken >= plan.warmup) & (rollouts % plan.every == plan.every - 1)
    return jax.lax.cond(due, work, rest, carry)


# ---------------------------------------------------------------------------------------------------------------------
# Algorithms made of others


class Scripted(Algorithm):
    """A rule: `rule(now, key) -> Groups`. Learns nothing."""

    spec: Spec = eqx.field(static=True)
    groups: tuple[str, ...] = eqx.field(static=True)
    rule: Callable[[TimeStep, Any], Groups]
    knows: str = eqx.field(static=True, default="own observation")  # what the rule is allowed to see, for tables

    def init(self, key, lanes):
        return ()

    def act(self, state, memory, now, key, step, *, explore):
        return self.rule(now, key), memory, ()


class Around(Algorithm):
    """Base of algorithms that are another one, `inner`, but for something."""

    inner: Algorithm

    @property
    def spec(self):
        return self.inner.spec

    @property
    def groups(self):
        return self.inner.groups

    def memory(self, key):
        return self.inner.memory(key)

    def init(self, key, lanes):
        return self.inner.init(key, lanes)

    def acting(self, state):
        return self.inner.acting(state)

    def with_guides(self, guide):
        inner = self.inner.with_guides(guide)
        return self if inner is self.inner else dataclasses.replace(self, inner=inner)


class Frozen(Around):
    """A trained algorithm that learns no more: it acts greedily with the `state` it was given."""

    state: Any

    def init(self, key, lanes):
        return ()

    def act(self, state, memory, now, key, step, *, explore):
        action, memory, _ = self.inner.act(self.state, memory, now, key, step, explore=False)
        return action, memory, ()

    def acting(self, state):
        return state

    def ledgers(self, state, rollout):
        return ledgers(self.inner, self.state, rollout)


class Mixed(Algorithm):
    """Different algorithms for different groups, as one algorithm.

    Every part is an instance whose `groups` are the ones it controls; together they cover the spec exactly once. The
    horizon is the largest part's; a part with a shorter one learns several times from the pieces of a rollout.
    """

    parts: tuple[Algorithm, ...]

    def __init__(self, parts: Mapping[str, Algorithm]):
        self.parts = tuple(parts[name] for name in sorted(parts))
        for name, part in parts.items():
            if part.groups != (name,):
                raise BadInput(
                    f"the part for {name!r} controls {part.groups}: build it with `groups=({name!r},)` so that each "
                    "part of a Mixed controls the group it is given for."
                )
        spec = self.parts[0].spec
        if set(parts) != set(spec.groups):
            needed = list(spec.groups)
            raise BadInput(f"a Mixed needs one part per group: the environment has {needed}, got {sorted(parts)}.")
        horizon = self.plan.horizon
        for part in self.parts:
            if horizon % part.plan.horizon:
                raise BadInput(
                    f"the horizon {part.plan.horizon} of the part for {part.groups[0]!r} does not divide the longest, "
                    f"{horizon}: choose one that does."
                )

    @property
    def spec(self):
        return self.parts[0].spec

    @property
    def groups(self):
        return tuple(name for part in self.parts for name in part.groups)

    @property
    def plan(self):
        return Plan(horizon=max(part.plan.horizon for part in self.parts))

    def memory(self, key):
        return tuple(part.memory(k) for part, k in zip(self.parts, self._split(key), strict=True))

    def init(self, key, lanes):
        return tuple(part.init(k, lanes) for part, k in zip(self.parts, self._split(key), strict=True))

    def act(self, state, memory, now, key, step, *, explore):
        done = [
            part.act(s, m, now, k, step, explore=explore)
            for part, s, m, k in zip(self.parts, state, memory, self._split(key), strict=True)
        ]
        action = {name: value for own, _, _ in done for name, value in own.items()}
        return action, tuple(m for _, m, _ in done), tuple(e for _, _, e in done)

    def learn(self, state, rollout, key, step):
        states, metrics = [], {}
        for index, (part, k) in enumerate(zip(self.parts, self._split(key), strict=True)):
            own = rollout._replace(extra=rollout.extra[index])
            learned, reported = _learn_in_pieces(part, state[index], own, k, step)
            states.append(learned)
            metrics |= {f"{part.groups[0]}/{name}": value for name, value in reported.items()}
        return tuple(states), metrics

    def parameters(self, state):
        return tuple(part.parameters(s) for part, s in zip(self.parts, state, strict=True))

    def acting(self, state):
        return tuple(part.acting(s) for part, s in zip(self.parts, state, strict=True))

    def with_guides(self, guide):
        parts = {part.groups[0]: part.with_guides(guide) for part in self.parts}
        return self if all(parts[part.groups[0]] is part for part in self.parts) else Mixed(parts)

    def ledgers(self, state, rollout):
        found = [ledgers(part, s, rollout) for part, s in zip(self.parts, state, strict=True)]
        return {name: ledger for own in found for name, ledger in own.items()}

    def _split(self, key):
        return jax.random.split(key, len(self.parts))


def _learn_in_pieces(part: Algorithm, state: Any, rollout: Transition, key: Any, step: Any) -> tuple[Any, Metrics]:
    """Scan `part.learn` over consecutive pieces of `rollout`, each as long as the part's own horizon."""
    length, lanes = rollout.then.last.shape
    piece = part.plan.horizon
    if length == piece:
        return part.learn(state, rollout, key, step)
    count = length // piece
    pieces = jax.tree.map(lambda x: x.reshape(count, piece, *x.shape[1:]), rollout)
    steps = step + jnp.arange(count) * piece * lanes

    def body(state, xs):
        return part.learn(state, *xs)

    state, metrics = jax.lax.scan(body, state, (pieces, jax.random.split(key, count), steps))
    return state, jax.tree.map(lambda x: jnp.nanmean(x, axis=0), metrics)
