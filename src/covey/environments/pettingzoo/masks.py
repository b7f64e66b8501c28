"""Legal actions: under which names they come, and what their numbers mean."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from covey.core.types import Box, MultiDiscrete, Space, action_size

MASK = "action_mask"
"""PettingZoo's own name of a mask."""

OTHER_NAMES = ("action_masks", "avail_actions", "available_actions", "legal_actions", "legal_moves")
"""Names that other packages use. Under these a mask is believed only where it looks like one."""

FORBIDS = -100.0
"""A mask to be added to logits forbids with this or less; people write -1e9, the smallest float, or infinity."""


# ---------------------------------------------------------------------------------------------------------------------
# Names


def mask_key(keys: Mapping[str, spaces.Space], action: Space, agent: str) -> str | None:
    """The key of a dictionary observation under which the mask is; None where there is none, or nothing to mask."""
    if isinstance(action, Box):
        return None
    if MASK in keys:
        return MASK
    return next((name for name in OTHER_NAMES if name in keys and looks_like_a_mask(keys[name], action)), None)


def looks_like_a_mask(space: spaces.Space, action: Space) -> bool:
    """Does a space hold a yes or no for every action?"""
    if isinstance(space, spaces.Tuple):
        return all(map(binary, space.spaces)) and sum(map(entries, space.spaces)) == action_size(action)
    return binary(space) and entries(space) == action_size(action)


def binary(space: spaces.Space) -> bool:
    match space:
        case spaces.MultiBinary():
            return True
        case spaces.Box():
            return bool((space.low >= 0).all() and (space.high <= 1).all())
    return False


def entries(space: spaces.Space) -> int:
    return math.prod(space.shape or (1,))


def mask_of(info: Mapping[str, Any], action: Space) -> Any:
    """The mask in an agent's info, or None."""
    if MASK in info:
        return info[MASK]
    for name in OTHER_NAMES:
        mask = info.get(name)  # a list may as well hold the numbers of the legal actions: those are no mask
        if isinstance(mask, np.ndarray) and mask.size == action_size(action) and ((mask == 0) | (mask == 1)).all():
            return mask
    return None


# ---------------------------------------------------------------------------------------------------------------------
# Numbers


class Legal(NamedTuple):
    """What a mask says."""

    allowed: np.ndarray  # bool [A]
    additive: bool  # it is one to be added to logits


def read(mask: Any, action: Space, additive: bool) -> Legal:
    """The legal actions of a mask: 1 (0 where it is `additive`) allows. ValueError, in words, for anything else.

    A mask of negative numbers and zeros can only be additive; one of zeros is what earlier ones were.
    """
    flat = flattened(mask)
    if flat.size != action_size(action):
        raise ValueError(f"a mask of {flat.size} entries for {action_size(action)} actions")
    if flat.dtype == bool:
        return Legal(flat, additive)
    if flat.dtype.kind not in "iuf":
        raise ValueError(f"a mask of {flat.dtype} values instead of 1 and 0")
    zero, one = flat == 0, flat == 1
    if (zero | one).all():
        return Legal(zero if additive and not one.any() else one, additive)
    if (zero | (flat <= FORBIDS)).all():
        return Legal(zero, True)
    raise ValueError("a mask with other numbers than 1 and 0 (or, to be added to logits, 0 and -1e9)")


def flattened(mask: Any) -> np.ndarray:
    """The entries of a mask, or of one for each part, in one row."""
    if isinstance(mask, (tuple, list)) and any(np.ndim(part) for part in mask):
        return np.concatenate([flattened(part) for part in mask])
    return np.ravel(mask)


def something(allowed: np.ndarray, action: Space) -> bool:
    """Is there a legal choice, in every part of it?"""
    if not isinstance(action, MultiDiscrete):
        return bool(allowed.any())
    starts = np.cumsum((0, *action.ns[:-1]))
    return bool(np.logical_or.reduceat(allowed, starts).all())


def first_choice(action: Space) -> np.ndarray | None:
    """A mask bool [A] that leaves the first choice of every part: for who has to wait. None of a box."""
    if isinstance(action, Box):
        return None
    mask = np.zeros(action_size(action), bool)
    mask[list(np.cumsum((0, *action.parts[:-1])))] = True
    return mask
