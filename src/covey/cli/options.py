"""Values as command-line options: the plain fields and the parts of an algorithm, the keywords of a world's maker.

A form is a dataclass made for one value, with a field (a flag, with its help and default) for everything about the
value that can be written on a command line. The value is filled in again from a form's answers, by its constructor, so
that its own checks run.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import itertools
import re
import textwrap
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from tyro.conf import FlagConversionOff, arg

from covey.cli.parse import FLAG
from covey.core.errors import unknown
from covey.core.registry import hints_of, signature_of

HIDDEN = ("spec", "groups")
"""Fields of an algorithm that the world decides."""

KIND = "kind_"
"""The field of a part's form that says which part it is."""


class Entry(NamedTuple):
    """A field of a form. `default` is a form itself where the field stands for a record; then `hint` is of no use."""

    name: str
    hint: Any
    default: Any
    flag: str
    help: str = ""


def form(name: str, entries: Iterable[Entry]) -> Any:
    """A form as an instance that holds the defaults."""
    return dataclasses.make_dataclass(name, [_field(entry) for entry in entries], frozen=True)()


def _field(entry: Entry) -> tuple[str, Any, Any]:
    if dataclasses.is_dataclass(entry.default):
        hint = Annotated[type(entry.default), arg(name=entry.flag, prefix_name=False)]
        return entry.name, hint, dataclasses.field(default_factory=lambda: entry.default)
    hint = Annotated[FlagConversionOff[entry.hint], arg(name=entry.flag, prefix_name=False, help=entry.help)]
    return entry.name, hint, dataclasses.field(default=entry.default, metadata={FLAG: entry.flag})


def is_plain(hint: Any) -> bool:
    """Can values of this type be written on a command line?"""
    match typing.get_origin(hint), typing.get_args(hint):
        case typing.Literal, _:
            return True
        case ((typing.Union | types.UnionType), members):
            return all(member is types.NoneType or is_plain(member) for member in members)
        case origin, members if origin is tuple:
            return all(member is ... or is_plain(member) for member in members)
    return hint in (int, float, bool, str)


# ---------------------------------------------------------------------------------------------------------------------
# Records: algorithms and their parts


def form_of(value: Any, taken: Collection[str] = (), at: str = "", kinds: Iterable[str] = ()) -> Any:
    """The form of a record; None where it has nothing to offer.

    taken: flags that others have, which are spelled `--algorithm.NAME` here. at: the flag of this record, if
    it is a part. kinds: what may be chosen instead of it.
    """
    hints, docs = hints_of(type(value)), field_docs(type(value))
    entries = []
    if kinds:
        choice = Literal[tuple(kinds)]  # type: ignore[valid-type]
        entries.append(Entry(KIND, choice, kebab(type(value)), at, summary(type(value))))
    for field in _own_fields(value):
        current, hint = getattr(value, field.name), hints.get(field.name, Any)
        place = f"{at}.{field.name}".lstrip(".").replace("_", "-")
        if is_plain(hint) and isinstance(current, (int, float, str, tuple, types.NoneType)):
            flag = f"algorithm.{place}" if f"--{place}" in taken else place
            entries.append(Entry(field.name, hint, current, flag, docs.get(field.name, "")))
        elif dataclasses.is_dataclass(current):
            inner = form_of(current, at=place, kinds=choices(hint, current))
            entries += [Entry(field.name, None, inner, place)] if inner else []
    return form(type(value).__name__, entries) if entries else None


def filled(value: Any, answers: Any) -> Any:
    """`value` with the answers of its form; the same object where nothing was changed."""
    changed = {}
    for field in dataclasses.fields(answers) if answers else ():
        if field.name == KIND:
            continue
        now, new = getattr(value, field.name), getattr(answers, field.name)
        if dataclasses.is_dataclass(new):
            new = filled(now, new)
            changed |= {field.name: new} if new is not now else {}
        elif new != now:
            changed[field.name] = new
    return dataclasses.replace(value, **changed) if changed else value


def with_parts(value: Any, chosen: Mapping[str, str], at: str = "") -> Any:
    """`value` with the parts that `chosen` names, by flag. What the old and the new part have in common stays."""
    hints, changed = hints_of(type(value)), {}
    for field in _own_fields(value):
        part = now = getattr(value, field.name)
        if not dataclasses.is_dataclass(now):
            continue
        place = f"{at}.{field.name}".lstrip(".").replace("_", "-")
        kinds = choices(hints.get(field.name, Any), now)
        if kinds and place in chosen:
            part = _other_part(now, chosen[place], kinds, place)
        part = with_parts(part, chosen, place)
        changed |= {field.name: part} if part is not now else {}
    return dataclasses.replace(value, **changed) if changed else value


def _other_part(old: Any, name: str, kinds: Mapping[str, type], place: str) -> Any:
    if name not in kinds:
        raise unknown(f"for --{place} the choice", name, kinds)
    if kinds[name] is type(old):
        return old
    common = {field.name: getattr(old, field.name) for field in _init_fields(kinds[name]) if hasattr(old, field.name)}
    return kinds[name](**common)


def choices(hint: Any, current: Any) -> dict[str, type]:
    """The concrete parts that may stand where `hint` asks for an abstract one, by name."""
    if not (isinstance(hint, type) and inspect.isabstract(hint)):
        return {}
    found, below = {}, list(hint.__subclasses__())
    while below:
        kind = below.pop(0)
        below += kind.__subclasses__()
        known = [_has_default(field) or hasattr(current, field.name) for field in _init_fields(kind)]
        if not inspect.isabstract(kind) and all(known):
            found[kebab(kind)] = kind
    return found


def kebab(kind: type) -> str:
    """The name of a class as it is spelled on the command line: `OrnsteinUhlenbeck` is `ornstein-uhlenbeck`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()


def _own_fields(value: Any) -> list[dataclasses.Field]:
    """Fields that the constructor takes; none where it takes something else."""
    fields = [field for field in _init_fields(type(value)) if field.name not in HIDDEN]
    taken = inspect.signature(type(value)).parameters
    return fields if all(field.name in taken for field in fields) else []


def _init_fields(kind: Any) -> list[dataclasses.Field]:
    return [field for field in dataclasses.fields(kind) if field.init]


def _has_default(field: dataclasses.Field) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


# ---------------------------------------------------------------------------------------------------------------------
# Makers of worlds


def maker_form(maker: Callable, positional: int, given: Mapping[str, Any]) -> Any:
    """The form of a maker's keywords, after so many positional ones; `given` are values other than its defaults."""
    hints, docs = hints_of(maker), argument_docs(maker)
    entries = []
    for name, parameter in _keywords(maker, positional).items():
        hint, default = hints.get(name, Any), given.get(name, parameter.default)
        if not is_plain(hint):
            continue
        if default is inspect.Parameter.empty:
            hint, default = hint | None, None
        entries.append(Entry(name, hint, default, f"env.{name}".replace("_", "-"), docs.get(name, "")))
    return form("World", entries) if entries else None


def options_of(maker: Callable, positional: int, given: Mapping[str, Any], answers: Any) -> dict[str, Any]:
    """The maker's options that a filled form says: those that were given, and those that are not its defaults."""
    options = dict(given)
    for name, parameter in _keywords(maker, positional).items():
        value = getattr(answers, name, parameter.default)
        standard = None if parameter.default is inspect.Parameter.empty else parameter.default
        if name in given or (value != standard and value is not inspect.Parameter.empty):
            options[name] = value
    return options


def _keywords(maker: Callable, positional: int) -> dict[str, inspect.Parameter]:
    parameters = signature_of(maker, "the environment").parameters.items()
    named = {n: p for n, p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return dict(itertools.islice(named.items(), positional, None))


# ---------------------------------------------------------------------------------------------------------------------
# What the source says


def summary(kind: type) -> str:
    """The first paragraph of a class's docstring."""
    return " ".join(inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].split())


@functools.cache
def field_docs(kind: type) -> dict[str, str]:
    """The docstrings under the fields of a class, its bases' included."""
    docs: dict[str, str] = {}
    for owner in reversed(kind.__mro__):
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0].body  # type: ignore[attr-defined]
        except (OSError, TypeError):  # built in, or made at run time
            continue
        for field, text in itertools.pairwise(body):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(doc))):
                    docs[name] = " ".join(doc.split())
    return docs


def argument_docs(function: Callable) -> dict[str, str]:
    """The `Args:` of a function's docstring; where it explains none, those of others in its module ("as of ...")."""
    module = vars(inspect.getmodule(function) or object)
    siblings = [f for f in module.values() if inspect.isfunction(f) and f.__module__ == function.__module__]
    docs: dict[str, str] = {}
    for maker in (function, *siblings):
        _, _, section = inspect.cleandoc(maker.__doc__ or "").partition("\nArgs:\n")
        found = re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", section, re.MULTILINE)
        docs = {name: " ".join(text.split()) for name, text in found} | docs
    return docs
