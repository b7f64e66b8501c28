"""What flows through covey: spaces and specs (static), time steps and transitions (arrays).

Axis letters, everywhere: S seeds, E environments (lanes), T time, n agents of a group, D features, A actions, B batch.
A spec is known before anything runs and is hashable; a time step holds nothing but arrays.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from covey.core.errors import BadInput

Groups = dict[str, Any]
"""One entry per kind of agent, leaves stacked over the agents of the group: [n, ...]."""

Metrics = dict[str, Any]
"""Scalars by name; NaN means "nothing to report this time" and is left out of every mean."""

V = TypeVar("V")

STEP_LIMIT = 2**31 - 1
"""The most environment steps of a seed: they are counted in int32."""


class Table(Mapping[str, V], Generic[V]):
    """A hashable, read-only mapping whose names are in sorted order (static parts of a spec)."""

    def __init__(self, items: Mapping[str, V]):
        self._items = {name: items[name] for name in sorted(items)}

    def __getitem__(self, name: str) -> V:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(tuple(self._items.items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and self._items == other._items

    def __repr__(self) -> str:
        return f"Table({self._items!r})"


# ---------------------------------------------------------------------------------------------------------------------
# Spaces: what an agent may do


class Discrete(NamedTuple):
    """One of `n` actions; an action is an int32 scalar."""

    n: int

    @property
    def parts(self) -> tuple[int, ...]:
        return (self.n,)


class MultiDiscrete(NamedTuple):
    """One choice per part; an action is int32 [len(ns)]."""

    ns: tuple[int, ...]

    @property
    def parts(self) -> tuple[int, ...]:
        return self.ns


class Box(NamedTuple):
    """A vector between bounds; an action is float32 [len(low)]."""

    low: tuple[float, ...]
    high: tuple[float, ...]


class Splits(NamedTuple):
    """One simplex per part (traffic over paths, budget over accounts); an action is float32 [sum(parts)].

    Each part's shares are non-negative and sum to 1 over its legal components; a part without any is all zero.
    """

    parts: tuple[int, ...]


Space = Discrete | MultiDiscrete | Box | Splits


def action_size(space: Space) -> int:
    """How many floats an embedded action has: one-hot for discrete spaces, the vector itself otherwise."""
    match space:
        case Box(low, _):
            return len(low)
        case _:
            return sum(space.parts)


def action_shape(space: Space) -> tuple[tuple[int, ...], str]:
    """Shape and dtype of one agent's action."""
    match space:
        case Discrete():
            return (), "int32"
        case MultiDiscrete(ns):
            return (len(ns),), "int32"
        case Box() | Splits():
            return (action_size(space),), "float32"


# ---------------------------------------------------------------------------------------------------------------------
# Specs: what a world is, before it runs


class Field(NamedTuple):
    """A named part of an observation or of the global state.

    `valid` says, per agent, how many leading entries are real where agents of one group differ; the rest is padding
    that no network ever sees.
    """

    name: str
    shape: tuple[int, ...] = (1,)
    unit: str = ""
    dtype: str = "float32"
    valid: tuple[int, ...] | None = None

    @property
    def size(self) -> int:
        return math.prod(self.shape)


Fields = tuple[Field, ...]


def fields_shape(fields: Fields) -> tuple[tuple[int, ...], str]:
    """Shape and dtype of the array that carries `fields`: one vector of all of them, or the single image."""
    if not fields:
        raise BadInput("an observation needs at least one field: give the group's `obs` a `Field`.")
    if len(fields) == 1:
        return fields[0].shape, fields[0].dtype
    if any(field.dtype != fields[0].dtype for field in fields):
        raise BadInput(f"the fields {[field.name for field in fields]} share one vector and must share one dtype.")
    return (sum(field.size for field in fields),), fields[0].dtype


class Group(NamedTuple):
    """One kind of agent: same observation shape, same action space, weights that may be shared."""

    names: tuple[str, ...]
    obs: Fields
    action: Space

    @property
    def size(self) -> int:
        return len(self.names)

    @property
    def obs_shape(self) -> tuple[int, ...]:
        return fields_shape(self.obs)[0]

    @property
    def obs_dtype(self) -> str:
        return fields_shape(self.obs)[1]

    @property
    def obs_size(self) -> int:
        """Numbers in one agent's observation."""
        return math.prod(self.obs_shape)

    def obs_valid(self) -> np.ndarray | None:
        """Which entries of the observation are real, bool [n, D]; None where all are."""
        if all(field.valid is None for field in self.obs):
            return None
        columns = [
            np.arange(field.size) < np.asarray(field.valid or (field.size,) * self.size)[:, None] for field in self.obs
        ]
        return np.concatenate(columns, axis=1).reshape((self.size, *self.obs_shape))


class Spec(NamedTuple):
    """The whole world, static and hashable.

    `time_limit` is the longest episode in steps (None: not known); `state` describes the global state, `()` if there
    is none; `neighborhood` is the number of neighbors each agent lists (0: the world has no neighborhood).
    """

    name: str
    groups: Table[Group]
    time_limit: int | None = None
    shared_reward: bool = False
    state: Fields = ()
    neighborhood: int = 0

    @property
    def agents(self) -> int:
        return sum(group.size for group in self.groups.values())


# ---------------------------------------------------------------------------------------------------------------------
# Arrays: what the world shows


class TimeStep(NamedTuple):
    """What the world shows after a reset or a step. `discount` and `last` are two facts.

    A death has discount 0 for that agent; a time limit has `last` and leaves the discount at 1.
    """

    obs: Groups  # [n, ...]  in the spec's dtype
    reward: Groups  # [n]  earned by the step that led here; 0 after a reset
    discount: Groups  # [n]  0 where that agent's future is over, else 1
    alive: Groups  # [n]  bool: does this agent exist now
    last: Any  # []  bool: episode boundary, terminal or time limit
    legal: Groups = {}  # noqa: RUF012  [n, A]  bool: legal actions, parts or split components; absent: everything is
    state: Any = None  # [G]  global state, where the world offers one
    neighbors: Groups = {}  # noqa: RUF012  [n, M]  (index, mask), where the world has a neighborhood


def observed(now: TimeStep, **more: Any) -> TimeStep:
    """Of a time step what was observed and by whom, and the fields `more`; nothing that was earned."""
    return TimeStep(obs=now.obs, reward={}, discount={}, alive=now.alive, last=None, **more)


def unobserved(spec: Spec) -> TimeStep:
    """`observed` of one lane, in zeros."""
    groups = spec.groups.items()
    return TimeStep(
        obs={name: np.zeros((group.size, *group.obs_shape), group.obs_dtype) for name, group in groups},
        reward={},
        discount={},
        alive={name: np.zeros(group.size, bool) for name, group in groups},
        last=None,
    )


class Transition(NamedTuple):
    """One step of experience; a rollout is a Transition with leading [T, E]. `then` is the true successor."""

    now: TimeStep
    action: Groups
    then: TimeStep
    extra: Any = ()


class Run(NamedTuple):
    """Everything there is to a training run. A checkpoint is exactly this."""

    agent: Any  # [S, ...]  the algorithm's state
    world: Any  # [S, E, ...]  the environment's state (empty for a world outside JAX)
    now: TimeStep  # [S, E, ...]
    memory: Any  # [S, E, ...]  what the actors remember
    score: Any  # [S, E, ...]  the running episode's sums
    key: Any  # [S]
    step: Any  # []  environment steps so far, joint over lanes, of each seed
