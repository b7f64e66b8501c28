"""Names into things: import by path, and options checked against a function's own signature.

What can be chosen by name (environments, algorithms) is kept as `package.module:attribute` and imported when it is
asked for, so that the front door stays light and a part that is missing breaks nothing but itself.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import reprlib
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from covey.core.errors import BadInput, unknown
from covey.core.modules import import_named


def locate(path: str, what: str) -> Any:
    """The object at `package.module:attribute`; BadInput where the module or the attribute is missing."""
    module_name, _, attribute = path.partition(":")
    if not attribute or not all(name.isidentifier() for name in module_name.split(".")):
        raise BadInput(f"the {what} {path!r} is not of the form `package.module:name`.")
    try:
        found = import_named(module_name)
    except ModuleNotFoundError as error:
        file = f": write {module_name[:-3]}:{attribute}" if module_name.endswith(".py") else ""
        raise BadInput(f"the {what} {path!r} cannot be imported: there is no module {error.name!r}{file}.") from error
    except SyntaxError as error:
        raise BadInput(
            f"the {what} {path!r} cannot be imported: {error.filename}, line {error.lineno}: {error.msg}."
        ) from error
    try:
        for name in attribute.split("."):
            found = getattr(found, name)
    except AttributeError as error:
        public = [name for name in vars(found) if not name.startswith("_")] if hasattr(found, "__dict__") else []
        raise unknown(f"the {what} {path!r} cannot be imported: in {module_name!r} the name", name, public) from error
    return found


def part(function: Callable) -> Callable:
    """Mark a function of covey's as one that may be part of an algorithm or an environment: a run may name it."""
    function.is_part = True  # type: ignore[attr-defined]
    return function


def call(function: Callable, what: str, options: Mapping[str, Any], *positional: Any) -> Any:
    """`function(*positional, **options)`, with options checked by name and by annotation first."""
    signature = signature_of(function, what)
    hints = hints_of(function)
    known = [p.name for p in signature.parameters.values() if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    known = known[len(positional) :] if positional else known
    open_ended = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    checked = {}
    for name, value in options.items():
        if name not in known and not open_ended:
            raise unknown(f"of {what} the option", name, known)
        checked[name] = conform(value, hints.get(name, Any), f"the option {name!r} of {what}")
    try:
        signature.bind(*positional, **checked)
    except TypeError as error:
        raise BadInput(f"{what} cannot be made: {error}.") from error
    return function(*positional, **checked)


def signature_of(function: Any, what: str) -> inspect.Signature:
    """The parameters of a function; BadInput where it is none, or does not say."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise BadInput(f"{what} cannot be made: {reprlib.repr(function)} is no function with named options.") from error


def hints_of(owner: Any) -> dict[str, Any]:
    """The type hints of a function or class; none where they name something that cannot be found."""
    try:
        return typing.get_type_hints(owner)
    except NameError:
        return {}


def conform(value: Any, hint: Any, what: str) -> Any:
    """`value` as `hint` wants it, or BadInput.

    Whole numbers serve as floats and whole floats as integers; text that spells a number does too; NaN is no number,
    and whole numbers have 64 bits. Plain numbers, text, literals, tuples, functions, records (dataclasses, NamedTuples)
    and their unions are judged: any other hint accepts everything.
    """
    match typing.get_origin(hint), typing.get_args(hint):
        case None, _ if hint in _PLAIN:
            value, fits = _PLAIN[hint](value)
        case typing.Literal, choices:
            fits = value in choices
        case ((typing.Union | types.UnionType), members):
            return _conform_any(value, members, hint, what)
        case origin, members if origin is tuple:
            fits = isinstance(value, (tuple, list)) and (members[-1:] == (...,) or len(value) == len(members))
            if fits:
                each = members[:1] * len(value) if members[-1:] == (...,) else members
                return tuple(conform(x, h, f"an item of {what}") for x, h in zip(value, each, strict=True))
        case origin, _ if Callable in (hint, origin):
            fits = callable(value)
        case None, _ if is_record(hint):
            fits = isinstance(value, hint)
        case _:
            fits = True
    if not fits:
        raise BadInput(f"{what} must be {_words(hint)}, got {reprlib.repr(value)}.")
    return value


def is_record(kind: Any) -> bool:
    """Is `kind` a class of records: a dataclass (an `eqx.Module` is one) or a NamedTuple?"""
    return isinstance(kind, type) and (dataclasses.is_dataclass(kind) or hasattr(kind, "_fields"))


def _conform_any(value: Any, members: tuple, hint: Any, what: str) -> Any:
    for member in members:
        try:
            return conform(value, member, what)
        except BadInput:
            continue
    raise BadInput(f"{what} must be {_words(hint)}, got {reprlib.repr(value)}.")


def _number(value: Any) -> Any:
    """A float where text spells one, else the value."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _as_float(value: Any) -> tuple[Any, bool]:
    if hasattr(value, "dtype"):  # an array leaf: floats of an algorithm may be swept
        return value, True
    number = _number(value)
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        return value, False
    try:
        number = float(number)
    except OverflowError:
        return value, False
    return (value, False) if math.isnan(number) else (number, True)


def _as_int(value: Any) -> tuple[Any, bool]:
    number = _number(value)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    fits = isinstance(number, int) and not isinstance(number, bool) and -(2**63) <= number < 2**63
    return (number, True) if fits else (value, False)


_PLAIN: dict[Any, Callable[[Any], tuple[Any, bool]]] = {
    float: _as_float,
    int: _as_int,
    bool: lambda value: (value, isinstance(value, bool)),
    dict: lambda value: (value, isinstance(value, dict)),
    str: lambda value: (value, isinstance(value, str)),
    type(None): lambda value: (value, value is None),
}


def _words(hint: Any) -> str:
    match typing.get_origin(hint), typing.get_args(hint):
        case typing.Literal, choices:
            return "one of " + ", ".join(repr(choice) for choice in choices)
        case ((typing.Union | types.UnionType), members):
            return " or ".join(_words(member) for member in members)
        case origin, _ if origin is tuple:
            return f"a tuple ({hint})"
        case origin, _ if origin is Callable:
            return "a function"
    if is_record(hint):
        return f"a {hint.__name__}"
    return _NAMES.get(hint, str(hint))


_NAMES = {
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    str: "text",
    dict: "a mapping",
    Callable: "a function",
    type(None): "nothing",
}
