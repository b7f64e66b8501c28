"""What `check_environment` asks of an environment outside JAX: batched NumPy with automatic resets."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import numpy as np

from covey.core.optional import offered
from covey.core.structure import time_step_problems
from covey.core.types import Groups, Spec, TimeStep
from covey.testing.compare import difference
from covey.testing.jax_worlds import Raised, attempt, sentences
from covey.testing.rules import broken_at_reset, broken_by_step, random_actions


def host_problems(environment: Any, steps: int, key: Any) -> list[str]:
    """Problems of a host environment whose spec is sound."""
    if not isinstance(environment.lanes, int) or environment.lanes < 1:
        return [f"`lanes` is {environment.lanes!r}: it has to be the number of environments, at least 1."]
    try:
        problems = opening_problems(environment, key)
        return problems or Episodes(environment).problems(steps, key) or save_problems(environment, key)
    except Raised as raised:
        return [str(raised)]


def opening_problems(environment: Any, key: Any) -> list[str]:
    """One reset and one step, held against the spec, and against being overwritten."""
    spec, lead = environment.spec, (environment.lanes,)
    now = attempt("`reset()`", environment.reset)
    problems = _array_problems(spec, now, "the time step of `reset`", lead)
    if problems:
        return problems
    before = jax.tree.map(np.copy, now)
    returned = attempt("`step(action)`", environment.step, _actions(spec)(now, key))
    if not isinstance(returned, tuple) or isinstance(returned, TimeStep) or len(returned) != 2:
        return [f"`step` returned a {type(returned).__name__}, not a pair (then, now) of time steps."]
    for name, step in zip(("then", "now"), returned, strict=True):
        problems += _array_problems(spec, step, f"`{name}` of `step`", lead)
    if difference(before, now):
        problems.append("`step` overwrote the arrays that had been returned before: return copies.")
    return problems


def _array_problems(spec: Spec, now: Any, where: str, lead: tuple[int, ...]) -> list[str]:
    problems = time_step_problems(spec, now, where, lead)
    if not problems and any(not isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(now)):
        problems.append(f"{where} holds arrays that are not NumPy's: outside JAX, environments return NumPy arrays.")
    return problems


def _actions(spec: Spec) -> Any:
    """Random legal actions of all lanes, as NumPy arrays."""

    @jax.jit
    def draw(now: TimeStep, key: Any) -> Groups:
        lanes = now.last.shape[0]
        return jax.vmap(partial(random_actions, spec))(now, jax.random.split(key, lanes))

    return lambda now, key: jax.device_get(draw(now, key))


class Episodes:
    """The rules of `rules.py`, followed through automatic resets."""

    def __init__(self, environment: Any):
        self.environment, self.spec = environment, environment.spec
        self.first: dict[str, int] = {}
        self.actions = _actions(self.spec)
        self.at_reset = jax.jit(jax.vmap(partial(broken_at_reset, self.spec)))
        self.by_step = jax.jit(jax.vmap(partial(broken_by_step, self.spec)))

    def problems(self, steps: int, key: Any) -> list[str]:
        lanes = self.environment.lanes
        now = attempt("`reset()`", self.environment.reset)
        self._note(self.at_reset(now), np.ones(lanes, bool), 0)
        over = {name: np.zeros((lanes, group.size), bool) for name, group in self.spec.groups.items()}
        length = np.zeros(lanes, int)
        for t in range(steps):
            action = self.actions(now, jax.random.fold_in(key, t))
            then, following = attempt("`step(action)`", self.environment.step, action)
            self._note(self.by_step(over, length + 1, now, then), np.ones(lanes, bool), t + 1)
            self._note(self.at_reset(following), then.last, t + 1)
            self._note({CONTINUES: _differs(then, following)}, ~then.last, t + 1)
            length = np.where(then.last, 0, length + 1)
            over = {name: (over[name] | (then.discount[name] == 0)) & ~then.last[:, None] for name in over}
            now = following
        return sentences(self.spec, self.first)

    def _note(self, flags: dict[str, Any], lanes: np.ndarray, at: int) -> None:
        for rule, flag in flags.items():
            if (np.asarray(flag) & lanes).any():
                self.first.setdefault(rule, at)


CONTINUES = "where an episode goes on, the two time steps of `step` differ: `now` has to be `then` unless `then.last`"


def _differs(one: TimeStep, other: TimeStep) -> np.ndarray:
    """In which lanes [E] two time steps differ."""
    unequal = jax.tree.map(lambda a, b: (a != b).reshape(len(a), -1).any(axis=1), one, other)
    return np.asarray(np.stack(jax.tree.leaves(unequal)).any(axis=0))


def save_problems(environment: Any, key: Any) -> list[str]:
    """A saved environment, restored, plays on as it did."""
    if offered(environment, "save") is None:
        return []
    if offered(environment, "restore") is None:
        return ["the environment has `save` and no `restore`: offer both or neither."]
    actions = _actions(environment.spec)
    now = environment.reset()
    saved = attempt("`save()`", environment.save)
    if not isinstance(saved, bytes):
        return [f"`save` returned a {type(saved).__name__}, not bytes."]
    action = actions(now, key)
    first = environment.step(action)
    attempt("`restore(saved)`", environment.restore, saved)
    found = difference(first, environment.step(action))
    return (
        [f"after `restore` the same action led elsewhere, in {found}: save everything that changes."] if found else []
    )
