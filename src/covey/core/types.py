"""What flows through covey: spaces and specs (static), time steps and transitions (arrays).

Axis letters, everywhere: S seeds, E environments (lanes), T time, n agents of a group, D features, A actions, B batch.
A spec is known before anything runs and is hashable; a time step holds nothing but arrays.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
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
# Specs: what an environment is, before it runs


class Field(NamedTuple):
    """A named part of an observation or of the global state.

    `valid` says, per agent, how many leading entries are real where agents of one group differ; the rest is padding
    that no network ever sees. `listed` says that the rows of its first axis are a list, such as neighbors: a row of
    zeros where there are fewer.
    """

    name: str
    shape: tuple[int, ...] = (1,)
    unit: str = ""
    dtype: str = "float32"
    valid: tuple[int, ...] | None = None
    listed: bool = False

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def picture(self) -> tuple[int, ...]:
        """Height, width and channels, where it is a picture: it has three axes, or two of bytes (gray). Else ()."""
        if len(self.shape) == 2 and self.dtype == "uint8":
            return *self.shape, 1
        return self.shape if len(self.shape) == 3 else ()


Fields = tuple[Field, ...]


def fields_shape(fields: Fields) -> tuple[tuple[int, ...], str]:
    """Shape and dtype of the one array that carries `fields`: a vector of all of them, or the single field as it is."""
    if not fields:
        raise BadInput("an observation needs at least one field: give the group's `obs` a `Field`.")
    if len(fields) == 1:
        return fields[0].shape, fields[0].dtype
    if any(field.dtype != fields[0].dtype for field in fields):
        raise BadInput(f"the fields {[field.name for field in fields]} share one vector and must share one dtype.")
    return (sum(field.size for field in fields),), fields[0].dtype


class Group(NamedTuple):
    """One kind of agent: same observation, same action space, weights that may be shared.

    What the group observes, `TimeStep.obs[name]`, is one array where its fields have one dtype: [n, *shape] of a single
    field, and [n, D] of several, one after the other. Fields of different dtypes are a dict, {name: [n, *shape]}.
    `fields_of` gives the fields by name in either case.
    """

    names: tuple[str, ...]
    obs: Fields
    action: Space

    @property
    def size(self) -> int:
        return len(self.names)

    @property
    def obs_size(self) -> int:
        """Numbers in one agent's observation."""
        return sum(field.size for field in self.obs)

    def fields_of(self, obs: Any) -> dict[str, Any]:
        """The fields of an observation by name, in order: [..., *shape] each; leading axes as they come."""
        return fields_in(self.obs, obs)

    def blank(self, *lead: int) -> Any:
        """An observation in zeros, [*lead, n, ...]."""
        return self._joined([np.zeros((*lead, self.size, *field.shape), field.dtype) for field in self.obs])

    def obs_valid(self) -> Any:
        """Which entries are real: bool in the shape of an observation, [n, ...]; None where all are."""
        if all(field.valid is None for field in self.obs):
            return None
        counts = [np.asarray(field.valid or (field.size,) * self.size)[:, None] for field in self.obs]
        real = [np.arange(field.size) < count for field, count in zip(self.obs, counts, strict=True)]
        return self._joined([x.reshape(-1, *field.shape) for field, x in zip(self.obs, real, strict=True)])

    def _joined(self, values: list[np.ndarray]) -> Any:
        """The inverse of `fields_of`: one array [..., n, *shape] for each field, laid out as an observation."""
        if len({field.dtype for field in self.obs}) > 1:
            return by_name(self.obs, values)
        shape, _ = fields_shape(self.obs)
        lead = values[0].shape[: values[0].ndim - len(self.obs[0].shape)]
        return np.concatenate([x.reshape(*lead, -1) for x in values], axis=-1).reshape(*lead, *shape)


def fields_in(fields: Fields, values: Any) -> dict[str, Any]:
    """What `values`, [..., D] of all fields, [..., *shape] of a single one, or a dict, holds of each field, by name."""
    if isinstance(values, Mapping):
        return by_name(fields, [values[field.name] for field in fields])
    if len(fields) == 1:
        return {fields[0].name: values}
    ends = np.cumsum([field.size for field in fields]).tolist()
    pieces = [values[..., end - field.size : end] for field, end in zip(fields, ends, strict=True)]
    shaped = [x.reshape(*x.shape[:-1], *field.shape) for field, x in zip(fields, pieces, strict=True)]
    return by_name(fields, shaped)


def by_name(fields: Fields, values: Iterable[Any]) -> dict[str, Any]:
    """One value for each field, by its name; BadInput where two fields share a name."""
    named = {field.name: value for field, value in zip(fields, values, strict=True)}
    if len(named) < len(fields):
        names = [field.name for field in fields]
        raise BadInput(f"the fields {names} cannot be told apart: give every field of a group a name of its own.")
    return named


class Spec(NamedTuple):
    """The whole environment, static and hashable.

    `time_limit` is the longest episode in steps (None: not known); `state` describes the global state, `()` if there
    is none; `neighborhood` is the number of neighbors each agent lists (0: the environment has no neighborhood).
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
# Arrays: what the environment shows


class TimeStep(NamedTuple):
    """What the environment shows after a reset or a step. `discount` and `last` are two facts.

    A death has discount 0 for that agent; a time limit has `last` and leaves the discount at 1.
    """

    obs: Groups  # [n, ...]  in the spec's dtype; {field: [n, ...]} where fields have several (see `Group`)
    reward: Groups  # [n]  earned by the step that led here; 0 after a reset
    discount: Groups  # [n]  0 where that agent's future is over, else 1
    alive: Groups  # [n]  bool: does this agent exist now
    last: Any  # []  bool: episode boundary, terminal or time limit
    legal: Groups = {}  # noqa: RUF012  [n, A]  bool: legal actions, parts or split components; absent: everything is
    state: Any = None  # [G]  global state, where the environment offers one
    neighbors: Groups = {}  # noqa: RUF012  [n, M]  (index, mask), where the environment has a neighborhood


def observed(now: TimeStep, **more: Any) -> TimeStep:
    """Of a time step what was observed and by whom, and the fields `more`; nothing that was earned."""
    return TimeStep(obs=now.obs, reward={}, discount={}, alive=now.alive, last=None, **more)


def unobserved(spec: Spec) -> TimeStep:
    """`observed` of one lane, in zeros."""
    groups = spec.groups.items()
    return TimeStep(
        obs={name: group.blank() for name, group in groups},
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
    world: Any  # [S, E, ...]  the environment's state (empty for an environment outside JAX)
    now: TimeStep  # [S, E, ...]
    memory: Any  # [S, E, ...]  what the actors remember
    score: Any  # [S, E, ...]  the running episode's sums
    key: Any  # [S]
    step: Any  # []  environment steps so far, joint over lanes, of each seed
