"""Who is to blame for a number that is not finite: the environment that showed it, or the algorithm that did it?

The loop looks at every step and keeps the first at which something was not finite (NaN or infinite). What happened
first is the cause: an environment that is given actions that are not finite is not to blame for what it shows
afterwards. Agents that are not alive, and padding, do not count.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from covey.core.errors import BadInput, Diverged
from covey.core.types import Box, Field, Group, Groups, Spec, Splits, TimeStep

NAME = "faults"
"""What the loop calls them, beside the names of metrics."""

NEVER = np.iinfo(np.int32).max
"""The step of what did not happen."""


class Fault(NamedTuple):
    """Something that may turn out not to be finite: a kind of number, and whose it is."""

    what: str
    group: str | None = None  # None: the whole environment's


def possible(spec: Spec, shown: bool) -> tuple[Fault, ...]:
    """Everything that is looked at, K of them; actions first, as the cause where several happen in one step.

    shown: look at actions, observations and the state too, and not at rewards alone. That costs a pass over them.
    """
    groups = spec.groups.items()
    rewards = tuple(Fault("reward", name) for name in spec.groups)
    if not shown:
        return rewards
    actions = [Fault("action", name) for name, group in groups if isinstance(group.action, (Box, Splits))]
    seen = [Fault("observation", name) for name, group in groups if any(map(_is_float, group.obs))]
    state = [Fault("state")] if spec.state else []
    return (*actions, *rewards, *seen, *state)


def found(spec: Spec, shown: bool, earned: Groups, now: TimeStep, action: Groups, then: TimeStep) -> Any:
    """Which of the `possible` faults there are in one step of ONE lane, bool [K].

    earned: what every agent [n] has earned in this episode, including this step.
    """

    def broken(fault: Fault) -> Any:
        match fault:
            case Fault("reward", str(name)):
                return ~jnp.isfinite(earned[name].mean())
            case Fault("action", str(name)):
                return _any_broken(action[name], now.alive[name])
            case Fault("observation", str(name)):
                return _unreadable(spec.groups[name], now, name) | _unreadable(spec.groups[name], then, name)
            case _:
                return ~(jnp.isfinite(now.state).all() & jnp.isfinite(then.state).all())

    return jnp.stack([broken(fault) for fault in possible(spec, shown)])


def _unreadable(group: Group, now: TimeStep, name: str) -> Any:
    """Is anything that the agents of a group observe not finite?"""
    obs, valid = now.obs[name], group.obs_valid()
    real = [None] * len(jax.tree.leaves(obs)) if valid is None else jax.tree.leaves(valid)
    pairs = [(x, r) for x, r in zip(jax.tree.leaves(obs), real, strict=True) if jnp.issubdtype(x.dtype, jnp.floating)]
    return jnp.any(jnp.stack([_any_broken(x, now.alive[name], r) for x, r in pairs]))


def _any_broken(x: Any, alive: Any, valid: Any = None) -> Any:
    """Is a number of an agent [n, ...] that is alive [n] not finite?"""
    broken = ~jnp.isfinite(x) & alive.reshape(alive.shape + (1,) * (x.ndim - 1))
    return jnp.any(broken if valid is None else broken & valid)


def _is_float(field: Field) -> bool:
    return np.issubdtype(np.dtype(field.dtype), np.floating)


def first(broken: Any, steps: Any) -> Any:
    """The first of `steps` [T] at which there was each fault, in any lane: bool [T, S, E, K] -> int32 [S, K]."""
    return jnp.where(broken.any(2), steps[:, None, None], NEVER).min(0)


class Cause(NamedTuple):
    """The first fault of all, the step in which it happened, and the seeds (counted from 0) in which it did."""

    fault: Fault
    step: int
    seeds: tuple[int, ...]

    def error(self, spec: Spec, where: str, kept: str = "") -> BadInput:
        """One sentence on it. where: "in step 3 of ..."; kept: what is added, such as what is saved."""
        name = spec.name
        match self.fault:
            case Fault("action", group):
                return Diverged(
                    f"the algorithm gave the group {group!r} of {name!r} an action that is not finite, {where}{kept}: "
                    "if it learns, lower its learning rates or clip more, and train again."
                )
            case Fault("state"):
                shown = "showed a global state"
            case Fault(what, group):
                shown = f"gave the group {group!r} {'an' if what == 'observation' else 'a'} {what}"
        return BadInput(f"the environment {name!r} {shown} that is not finite, {where}{kept}: mend the environment.")


def cause(firsts: np.ndarray, spec: Spec, shown: bool) -> Cause | None:
    """The first of all faults, of their first steps in every seed [S, K] (NaN: never); None where there is none."""
    if np.isnan(firsts).all():
        return None
    step = np.nanmin(firsts)
    which = int(np.argmax((firsts == step).any(0)))
    step = int(step)
    return Cause(possible(spec, shown)[which], step, tuple(map(int, np.flatnonzero(firsts[:, which] == step))))
