"""Values as text: an algorithm (or an environment) as a tree of plain fields, and back.

A record (an `eqx.Module`, dataclass or NamedTuple) becomes `{type: "package.module:Class", field: value, ...}`.
Numbers, text, tuples and mappings stay what they are; functions become their import path; arrays go aside, by name. The
`spec` of the environment is left out and filled in again.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import equinox as eqx
import jax
import numpy as np

from covey.core.errors import BadInput, unknown
from covey.core.moved import now_at
from covey.core.registry import conform, hints_of, is_record, locate
from covey.core.types import Spec, Table

Arrays = dict[str, np.ndarray]
MARKS = ("type", "array", "function", "partial", "list")
"""Keys that give a mapping its meaning; a plain mapping has none of them."""


class Unwritable(BadInput):
    """A value that has no form as text: it was built in place and cannot be imported by name."""


def listed(tree: Any, arrays: Arrays, where: str = "") -> dict[str, str]:
    """The leaves of an encoded tree by their place, as text; an array's text is a digest of it."""
    match tree:
        case {"array": str(name)}:
            array = np.ascontiguousarray(arrays[name])
            return {where: f"{array.dtype}{list(array.shape)} {hashlib.sha256(array.tobytes()).hexdigest()}"}
        case dict():
            items = list(tree.items())
        case list() if any(isinstance(x, (dict, list)) for x in tree):
            items = list(enumerate(tree))
        case _:
            return {where: json.dumps(tree)}
    return {place: x for name, part in items for place, x in listed(part, arrays, f"{where}.{name}").items()}


# ---------------------------------------------------------------------------------------------------------------------
# Values -> text


def encode(value: Any, spec: Spec | None, arrays: Arrays, where: str = "") -> Any:
    """`value` as plain data; arrays are added to `arrays` under their place in the tree."""

    def inner(value: Any, name: Any) -> Any:
        return encode(value, spec, arrays, f"{where}.{name}".lstrip("."))

    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return float(value)
        case jax.Array() | np.ndarray() | np.generic():
            return _encode_array(value, arrays, where)
        case Table():
            return {"type": _path(Table, where), "items": {name: inner(x, name) for name, x in value.items()}}
        case dict():
            return {name: inner(x, name) for name, x in _plain_keys(value, where).items()}
        case list():
            return {"list": [inner(x, i) for i, x in enumerate(value)]}
        case functools.partial():
            parts = {"args": list(value.args), "keywords": value.keywords}
            return {"partial": inner(value.func, "func")} | {
                "args": [inner(x, i) for i, x in enumerate(parts["args"])],
                "keywords": {name: inner(x, name) for name, x in parts["keywords"].items()},
            }
    if is_record(type(value)):
        fields = {name: x for name, x in record_fields(value).items() if not (name == "spec" and x == spec)}
        return {"type": _path(type(value), where)} | {name: inner(x, name) for name, x in fields.items()}
    if isinstance(value, tuple):
        return [inner(x, i) for i, x in enumerate(value)]
    return {"function": _path(value, where)}


def record_fields(record: Any) -> dict[str, Any]:
    """The fields of a record that it stores."""
    if hasattr(record, "_asdict"):
        return record._asdict()
    apart = getattr(type(record), "unwritten", ())
    names = [name for name in _stored_names(type(record)) if name not in apart]
    return {name: getattr(record, name) for name in names if hasattr(record, name)}


def _stored_names(kind: type) -> list[str]:
    """Names of a dataclass's fields, without those that a subclass made a property."""
    names = [field.name for field in dataclasses.fields(kind)]
    return [name for name in names if not isinstance(getattr(kind, name, None), property)]


def _plain_keys(value: dict, where: str) -> dict[str, Any]:
    if any(not isinstance(name, str) or name in MARKS for name in value):
        raise Unwritable(f"the mapping {where!r} has keys that cannot be written as text: {list(value)}.")
    return value


def _encode_array(value: Any, arrays: Arrays, where: str) -> dict[str, str]:
    if isinstance(value, jax.Array) and jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key):
        arrays[where] = np.asarray(jax.random.key_data(value))
        return {"array": where, "kind": f"key {jax.random.key_impl(value)}"}
    arrays[where] = np.asarray(value)
    return {"array": where, "kind": "jax" if isinstance(value, jax.Array) else "numpy", "dtype": str(value.dtype)}


def _path(thing: Any, where: str) -> str:
    """`package.module:name` of something that can be imported by it; Unwritable otherwise."""
    path = f"{getattr(thing, '__module__', '')}:{getattr(thing, '__qualname__', '')}"
    try:
        found = locate(path, "value")
    except BadInput:
        found = None
    if found is not thing or path.startswith("__main__"):
        raise Unwritable(f"the value {where!r} ({thing!r}) cannot be written as text: it cannot be imported by name.")
    return path


# ---------------------------------------------------------------------------------------------------------------------
# Text -> values


def imports(tree: Any) -> Iterator[str]:
    """Every `package.module:name` that `decode` would import, where it is now."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for name, part in items:
        if name in ("type", "function") and isinstance(part, str):
            yield now_at(part)
        yield from imports(part)


def decode(tree: Any, spec: Spec | None, arrays: Mapping[str, np.ndarray], where: str = "") -> Any:
    """What `encode` wrote; `spec` fills the fields that were left out. BadInput for anything else."""

    def inner(tree: Any, name: Any) -> Any:
        return decode(tree, spec, arrays, f"{where}.{name}".lstrip("."))

    match tree:
        case {"type": str(path), **fields}:
            return _decode_record(path, fields, spec, arrays, where)
        case {"array": str(name), **about}:
            return _decode_array(name, about, arrays)
        case {"function": str(path)}:
            return locate(now_at(path), "value")
        case {"list": list(items)}:
            return [inner(x, i) for i, x in enumerate(items)]
        case {"partial": function, "args": list(args), "keywords": dict(keywords)}:
            given = {name: inner(x, name) for name, x in keywords.items()}
            called = conform(inner(function, "func"), Callable, f"the function of {where or 'the top'!r}")
            return functools.partial(called, *(inner(x, i) for i, x in enumerate(args)), **given)
        case dict():
            return {name: inner(x, name) for name, x in tree.items()}
        case list():
            return tuple(inner(x, i) for i, x in enumerate(tree))
    return tree


def _decode_record(path: str, fields: dict, spec: Spec | None, arrays: Mapping[str, np.ndarray], where: str) -> Any:
    kind = locate(now_at(path), "type")
    if kind is Table:
        items = conform(fields.get("items", {}), dict, f"`items` of the table at {where!r}")
        return Table({str(name): decode(x, spec, arrays, f"{where}.{name}") for name, x in items.items()})
    if not is_record(kind) or inspect.isabstract(kind):
        raise BadInput(f"the type {path!r} at {where or 'the top'!r} is not a record with fields.")
    fields = kind.upgrade(fields) if hasattr(kind, "upgrade") else fields  # from what earlier versions wrote
    names = list(kind._fields) if hasattr(kind, "_fields") else _stored_names(kind)
    hints = hints_of(kind)
    given = {}
    for name, tree in fields.items():
        if name not in names:
            raise unknown(f"of {kind.__name__} the field", name, names)
        value = decode(tree, spec, arrays, f"{where}.{name}".lstrip("."))
        given[name] = conform(value, hints.get(name, Any), f"the field {name!r} of {kind.__name__}")
    if "spec" in names and "spec" not in given and spec is not None:
        given["spec"] = spec
    lacking = [name for name in names if name not in given and not _has_default(kind, name)]
    if lacking:
        raise BadInput(f"{kind.__name__} at {where or 'the top'!r} lacks the field {lacking[0]!r}.")
    try:
        return _rebuild(kind, given) if issubclass(kind, eqx.Module) else kind(**given)
    except BadInput:
        raise
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
        raise BadInput(f"{kind.__name__} at {where or 'the top'!r} cannot be made of its fields: {error}.") from error


def _defaults(kind: Any) -> dict[str, dataclasses.Field]:
    fields = {field.name: field for field in dataclasses.fields(kind)}
    missing = dataclasses.MISSING
    return {n: f for n, f in fields.items() if f.default is not missing or f.default_factory is not missing}


def _has_default(kind: Any, name: str) -> bool:
    return name in (kind._field_defaults if hasattr(kind, "_fields") else _defaults(kind))


def _rebuild(kind: type[eqx.Module], given: dict[str, Any]) -> Any:
    """A module from its fields, without its `__init__` (which may take something else), but with its checks."""
    filled = {
        name: field.default_factory() if field.default is dataclasses.MISSING else field.default  # type: ignore
        for name, field in _defaults(kind).items()
        if name in _stored_names(kind)
    }
    module = object.__new__(kind)
    for name, value in (filled | given).items():
        object.__setattr__(module, name, value)
    for parent in kind.__mro__:
        if "__check_init__" in vars(parent):
            parent.__check_init__(module)  # type: ignore
    return module


def _decode_array(name: str, about: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> Any:
    if name not in arrays:
        raise BadInput(f"the array {name!r} is missing from the file of arrays that belongs to this configuration.")
    array, kind = arrays[name], str(about.get("kind", "numpy"))
    try:
        if kind.startswith("key "):
            return jax.random.wrap_key_data(jax.numpy.asarray(array), impl=kind.removeprefix("key "))
        if array.dtype.kind == "V":  # a type that NumPy does not know by name, such as bfloat16
            array = array.view(jax.numpy.dtype(str(about.get("dtype"))))
        return jax.numpy.asarray(array) if kind == "jax" else array
    except (TypeError, ValueError) as error:
        raise BadInput(f"the array {name!r} is not what the configuration says: {error}.") from error
