"""Do two things that users wrote hold the same?"""

from __future__ import annotations

import contextlib
import functools
import types
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np


def same(one: Any, other: Any, _open: frozenset[tuple[int, int]] = frozenset()) -> bool:
    """Are they of one type and do they hold the same values, all the way down?

    Objects that say themselves when they are equal are believed; others are equal if their attributes are, and
    functions if their code and what it refers to are. What cannot be looked into (a lock, a socket) is no difference.
    """
    if one is other or (id(one), id(other)) in _open:  # the latter: they are being compared, further up
        return True
    if _is_number(one) and _is_number(other):  # an option may be spelled 1 or 1.0
        return bool(one == other) or (one != one and other != other)
    if type(one) is not type(other):
        return False
    below = functools.partial(same, _open=_open | {(id(one), id(other))})
    match one:
        case jax.Array() | np.ndarray() | np.generic():
            return _same_arrays(one, other)
        case Mapping():
            return one.keys() == other.keys() and all(below(one[name], other[name]) for name in one)
        case tuple() | list():
            return len(one) == len(other) and all(map(below, one, other))
        case functools.partial():
            return below((one.func, one.args, one.keywords), (other.func, other.args, other.keywords))
        case types.FunctionType():
            return one.__code__ == other.__code__ and below(_held(one), _held(other))
        case types.MethodType():
            return below((one.__func__, one.__self__), (other.__func__, other.__self__))
    if hasattr(one, "__wrapped__"):  # such as a function that is compiled
        return below(one.__wrapped__, other.__wrapped__)
    if _says_itself(type(one)):
        return bool(one == other)
    return below(_attributes(one), _attributes(other))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _same_arrays(one: Any, other: Any) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if jax.numpy.issubdtype(one.dtype, jax.dtypes.prng_key):
        one, other = jax.random.key_data(one), jax.random.key_data(other)
    a, b = np.asarray(one), np.asarray(other)
    if a.dtype == object:
        return all(map(same, a.ravel(), b.ravel()))
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))


def _says_itself(kind: type) -> bool:
    """Has the class an `==` that looks at what its objects hold, and not one made of arrays' (an `eqx.Module`'s)?"""
    return kind.__eq__ is not object.__eq__ and not hasattr(kind, "__dataclass_fields__")


def _held(function: types.FunctionType) -> tuple:
    """What a function refers to beside its code."""
    cells: Iterable = function.__closure__ or ()
    return function.__defaults__, function.__kwdefaults__, tuple(_content(cell) for cell in cells)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _attributes(thing: Any) -> dict[str, Any]:
    """Attributes of an object but those that are computed when they are first asked for; where it has none, whatever it
    is copied by."""
    kinds = type(thing).__mro__
    slots = [name for kind in kinds for name in np.atleast_1d(vars(kind).get("__slots__", ())).tolist()]
    held = {name: getattr(thing, name) for name in slots if hasattr(thing, name)} | getattr(thing, "__dict__", {})
    if not held and not hasattr(thing, "__dict__"):
        with contextlib.suppress(TypeError):  # it cannot be copied
            held = {"copy": thing.__reduce_ex__(4)}
    return {n: x for n, x in held.items() if not isinstance(getattr(type(thing), n, None), functools.cached_property)}
