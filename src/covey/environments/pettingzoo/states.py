"""The global state: what `env.state()` returns, or what comes under `state` in observations, as one vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from covey.environments.pettingzoo.spaces import is_picture


def numbers(value: Any, space: spaces.Space | None = None) -> np.ndarray:
    """Any state as float32 [G]: by its space where that says more than the value, pictures from 0 to 1.

    Dictionaries are taken in the order of their names. ValueError for what holds no numbers.
    """
    if space is not None and not isinstance(space, spaces.Box):
        return np.asarray(spaces.flatten(space, value), np.float32).ravel()
    if isinstance(value, Mapping):
        value = [value[name] for name in sorted(value, key=str)]
    if isinstance(value, (list, tuple)) and any(np.ndim(part) or isinstance(part, Mapping) for part in value):
        return np.concatenate([np.zeros(0, np.float32), *(numbers(part) for part in value)])
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"it holds {type(value).__name__} {value!r}, which is no number")
    picture = is_picture(space) if space is not None else array.dtype == np.uint8 and array.ndim >= 2
    return array.astype(np.float32).ravel() / np.float32(255.0 if picture else 1.0)


def offers_state(env: Any) -> bool:
    """Does the environment, which has been reset, have a `state()` of its own?"""
    try:
        return callable(getattr(env, "state", None)) and env.state() is not None
    except NotImplementedError:
        return False
