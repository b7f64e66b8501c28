"""Gymnasium's spaces as covey's: what an agent sees as named fields, and what it does as one of four spaces."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from covey.core.errors import BadInput
from covey.core.types import Box, Discrete, Field, MultiDiscrete, Space
from covey.environments.pettingzoo.masks import mask_key

OBSERVATION = {"observation", "obs"}
"""Keys under which dictionary observations keep what an agent sees, beside a mask and a state."""

STATE = "state"
"""The key of a global state in a dictionary observation."""

NO_BOUND = 1e9
"""Bounds of an action at or beyond this stand for "no bound", as wrappers write it: the largest float, for instance."""


# ---------------------------------------------------------------------------------------------------------------------
# What agents see


class Part(NamedTuple):
    """One field of an observation, and where it is found in it."""

    field: Field
    path: tuple[Any, ...]  # keys that lead to it
    space: spaces.Space

    def array(self, observation: Any) -> np.ndarray:
        """This part of one observation, in the field's shape and type; ValueError where it does not fit."""
        for key in self.path:
            observation = observation[key]
        flat = observation if isinstance(self.space, spaces.Box) else spaces.flatten(self.space, observation)
        array = np.asarray(flat, self.field.dtype)
        if array.shape != self.field.shape and not (array.shape == () and self.field.shape == (1,)):
            raise ValueError(f"it has the shape {array.shape} and its space {self.field.shape}")
        return array


class Seen(NamedTuple):
    """How observations become a group's. Agents with equal `fields` are of one kind."""

    parts: tuple[Part, ...]
    mask: str | None = None  # the key of the legal actions, where they come with the observation
    state: str | None = None  # the key of the global state, where it comes with the observation

    @property
    def fields(self) -> tuple[Field, ...]:
        return tuple(part.field for part in self.parts)

    def write(self, obs: Any, place: tuple[int, ...], observation: Any) -> None:
        """Write all fields of one observation into a group's, at `place`; ValueError where they do not fit."""
        if isinstance(obs, dict):
            for part in self.parts:
                obs[part.field.name][place] = part.array(observation)
        elif len(self.parts) == 1:
            obs[place] = self.parts[0].array(observation)
        else:
            obs[place] = np.concatenate([part.array(observation).ravel() for part in self.parts])


def seen(space: spaces.Space, action: Space, agent: str) -> Seen:
    """How `agent`, whose actions are `action`, sees. BadInput where an observation has no fixed size.

    A key called `state` beside a mask or an `observation` is the global state; anywhere else it is the agent's own.
    """
    keys = space.spaces if isinstance(space, spaces.Dict) else {}
    mask = mask_key(keys, action, agent)
    others = set(keys) - {mask, STATE}
    state = STATE if STATE in keys and others and (mask is not None or others & OBSERVATION) else None
    found = [part for part in leaves(space, (), agent) if not part.path or part.path[0] not in (mask, state)]
    if not found:
        raise BadInput(f"the agent {agent!r} observes nothing: give its observation space at least one number.")
    return Seen(tuple(found), mask, state)


def leaves(space: spaces.Space, path: tuple[Any, ...], agent: str) -> Iterator[Part]:
    """The parts of a space: one for each entry of a dictionary or tuple, at any depth."""
    name = ".".join(map(str, path)) or "observation"
    if isinstance(space, (spaces.Dict, spaces.Tuple)):
        entries = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
        for key, inner in entries:
            yield from leaves(inner, (*path, key), agent)
    elif isinstance(space, spaces.Box):
        if math.prod(space.shape):
            dtype = "uint8" if is_picture(space) else "float32"
            yield Part(Field(name, space.shape or (1,), dtype=dtype), path, space)
    else:
        yield Part(Field(name, (flat_size(space, agent),)), path, space)


def flat_size(space: spaces.Space, agent: str) -> int:
    """Numbers in gymnasium's `flatten` of a space. BadInput where that changes."""
    try:
        return spaces.flatdim(space)
    except (NotImplementedError, ValueError) as error:
        raise BadInput(
            f"the agent {agent!r} observes a {type(space).__name__}, whose size changes from step to step: networks "
            "need arrays of one size, so wrap the environment to give one."
        ) from error


def is_picture(space: spaces.Space) -> bool:
    """Bytes from 0 to 255 in rows and columns. Other bytes are numbers like any others: counts, boards, flags."""
    return (
        isinstance(space, spaces.Box)
        and space.dtype == np.uint8
        and len(space.shape) >= 2
        and bool((space.low == 0).all() and (space.high == 255).all())
    )


# ---------------------------------------------------------------------------------------------------------------------
# What agents do


class Done(NamedTuple):
    """How an action of `space` becomes what the environment takes."""

    space: Space
    given: Callable[[Any], Any]  # of a number where the space is Discrete, else of an array


def done(space: spaces.Space, agent: str) -> Done:
    """How `agent` acts. BadInput where nobody can learn to."""
    match space:
        case spaces.Discrete():
            start = int(space.start)
            return Done(Discrete(int(space.n)), lambda action: int(action) + start)
        case spaces.MultiDiscrete():
            starts = np.ravel(space.start)
            return Done(
                MultiDiscrete(tuple(map(int, space.nvec.ravel()))),
                lambda action: (action + starts).reshape(space.shape).astype(space.dtype),
            )
        case spaces.MultiBinary():
            shape = space.shape
            return Done(
                MultiDiscrete((2,) * int(np.prod(shape))), lambda action: action.reshape(shape).astype(space.dtype)
            )
        case spaces.Box() if not np.issubdtype(space.dtype, np.floating):  # type: ignore[arg-type]
            reason = "chooses whole numbers from a box: make the space a MultiDiscrete"
        case spaces.Box() if not math.prod(space.shape):
            reason = "has nothing to choose: give its action space at least one number"
        case spaces.Box() if not bounded(space):
            reason = (
                "acts in a box without bounds (or with bounds so wide that they mean none), and nobody knows how far "
                "to explore: give the box bounds that are useful"
            )
        case spaces.Box() if not (space.low <= space.high).all():
            reason = "acts in a box with a low above its high: exchange the two"
        case spaces.Box():
            return boxed(space)
        case _:
            reason = (
                f"acts in a {type(space).__name__}, and covey learns Discrete, MultiDiscrete, MultiBinary and Box "
                "actions: wrap the environment to take one of these"
            )
    raise BadInput(f"the agent {agent!r} {reason}.")


def bounded(space: spaces.Box) -> bool:
    """Are all bounds numbers that somebody meant? NaN and infinity are not, nor is the largest float."""
    return bool((np.abs(space.low) < NO_BOUND).all() and (np.abs(space.high) < NO_BOUND).all())


def boxed(space: spaces.Box) -> Done:
    """As `done`, of a box: a part whose bounds are the same number has that number, and nothing is chosen there."""
    low, high = space.low.ravel(), space.high.ravel()
    free = low < high
    if free.all():
        return Done(Box(bounds(low), bounds(high)), lambda action: inside(action, space))

    def completed(action: Any) -> np.ndarray:
        whole = low.copy()
        whole[free] = action
        return inside(whole, space)

    if not free.any():
        return Done(Discrete(1), lambda action: inside(low, space))
    return Done(Box(bounds(low[free]), bounds(high[free])), completed)


def bounds(values: np.ndarray) -> tuple[float, ...]:
    return tuple(map(float, values))


def inside(action: np.ndarray, space: spaces.Box) -> np.ndarray:
    """A flat action in the box's shape and type; rounding does not carry it out of the box."""
    return np.clip(action.reshape(space.shape).astype(space.dtype), space.low, space.high)
