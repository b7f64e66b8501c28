"""Gymnasium's spaces as covey's: what an agent sees as one array, and what it does as one of four spaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from covey.core.errors import BadInput
from covey.core.types import Box, Discrete, Field, MultiDiscrete, Space

MASKED = {"observation", "action_mask"}
"""Keys of a dictionary observation that carries legal actions, as PettingZoo's classic games do."""


class Seen(NamedTuple):
    """How observations of `space` become an array. Agents with equal `field` are of one kind."""

    field: Field
    space: spaces.Space  # without the mask
    masked: bool  # the mask comes with the observation

    def array(self, observation: Any) -> np.ndarray:
        """The array of one observation, in the field's shape and type; ValueError where it does not fit."""
        if self.masked:
            observation = observation["observation"]
        flat = observation if isinstance(self.space, spaces.Box) else spaces.flatten(self.space, observation)
        array = np.asarray(flat, self.field.dtype)
        if array.shape != self.field.shape and not (array.shape == () and self.field.shape == (1,)):
            raise ValueError(f"it has the shape {array.shape} and its space {self.field.shape}")
        return array


def seen(space: spaces.Space, agent: str) -> Seen:
    """How `agent` sees. BadInput where an observation has no fixed size."""
    masked = isinstance(space, spaces.Dict) and set(space.spaces) == MASKED
    inner = space["observation"] if masked else space  # type: ignore[index]
    if isinstance(inner, spaces.Box):
        dtype = "uint8" if inner.dtype == np.uint8 else "float32"
        return Seen(Field("observation", inner.shape or (1,), dtype=dtype), inner, masked)
    try:
        size = spaces.flatdim(inner)
    except (NotImplementedError, ValueError) as error:
        raise BadInput(
            f"the agent {agent!r} observes a {type(inner).__name__}, whose size changes from step to step: networks "
            "need arrays of one size, so wrap the environment to give one."
        ) from error
    return Seen(Field("observation", (size,)), inner, masked)


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
        case spaces.MultiDiscrete() if space.nvec.ndim == 1:
            starts = np.asarray(space.start)
            return Done(
                MultiDiscrete(tuple(map(int, space.nvec))), lambda action: (action + starts).astype(space.dtype)
            )
        case spaces.MultiBinary():
            shape = space.shape
            return Done(
                MultiDiscrete((2,) * int(np.prod(shape))), lambda action: action.reshape(shape).astype(space.dtype)
            )
        case spaces.Box() if not np.issubdtype(space.dtype, np.floating):  # type: ignore[arg-type]
            reason = "chooses whole numbers from a box: make the space a MultiDiscrete"
        case spaces.Box() if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
            reason = "acts in a box without bounds, and nobody knows how far to explore: give the box finite bounds"
        case spaces.Box():
            low, high = (tuple(map(float, bound.ravel())) for bound in (space.low, space.high))
            return Done(Box(low, high), lambda action: inside(action, space))
        case _:
            reason = (
                f"acts in a {type(space).__name__}, and covey learns Discrete, MultiDiscrete (of one dimension), "
                "MultiBinary and Box actions: wrap the environment to take one of these"
            )
    raise BadInput(f"the agent {agent!r} {reason}.")


def inside(action: np.ndarray, space: spaces.Box) -> np.ndarray:
    """A flat action in the box's shape and type; rounding does not carry it out of the box."""
    return np.clip(action.reshape(space.shape).astype(space.dtype), space.low, space.high)
