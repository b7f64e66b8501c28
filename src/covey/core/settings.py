"""Settings of a record by name, as on the command line and in Python: the plain fields of an algorithm and its parts.

    with_settings(algorithm, {"gamma": 0.9, "critic": "joint", "critic.width": 64}, "maddpg")

A part is a field that holds a record. It is chosen by the name of its kind, its fields follow a dot (a mapping does as
well: `{"critic": {"width": 64}}`), and where a plain number or a name can stand for it, such as a constant for a
schedule, that will do. Records are made again by their constructors, so that their own checks run.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from covey.core.errors import BadInput
from covey.core.registry import conform, hints_of
from covey.core.vocabulary import unknown_setting

DECIDED = ("spec", "groups")
"""Fields of an algorithm that the environment decides."""


class Setting(NamedTuple):
    """A field that can be set: a plain value, or a part."""

    field: str
    name: str  # as it is spelled outside: "critic.teammate-actions"
    hint: Any
    value: Any

    @property
    def is_part(self) -> bool:
        return dataclasses.is_dataclass(self.value)

    @property
    def kinds(self) -> dict[str, type]:
        """The parts that may stand here, by name; none where there is no choice."""
        return kinds(self.hint, self.value) if self.is_part and not self.takes_a_name else {}

    @property
    def takes_a_number(self) -> bool:
        """Is it a part that a plain number can stand for?"""
        return self.is_part and hasattr(type(self.value), "from_number")

    @property
    def takes_a_name(self) -> bool:
        """Is it a part that a name can stand for?"""
        return self.is_part and hasattr(type(self.value), "by_name")


def settings(record: Any, at: str = "") -> Iterator[Setting]:
    """What can be set of a record, its parts included but not what they are made of. `at`: the name of the record."""
    hints = hints_of(type(record))
    for field in own_fields(record):
        value, hint = getattr(record, field.name), hints.get(field.name, Any)
        plain = is_plain(hint) and isinstance(value, (int, float, str, tuple, types.NoneType))
        if plain or dataclasses.is_dataclass(value):
            yield Setting(field.name, spelled(field.name, at), hint, value)


def all_settings(record: Any, at: str = "") -> Iterator[Setting]:
    """What can be set of a record, with what its parts are made of."""
    for setting in settings(record, at):
        yield setting
        if setting.is_part:
            yield from all_settings(setting.value, setting.name)


def names(record: Any, at: str = "") -> list[str]:
    """All that text can set, by name: plain values, kinds of parts, and numbers and names that stand for parts."""

    def settable(setting: Setting) -> bool:
        return not setting.is_part or bool(setting.kinds) or setting.takes_a_number or setting.takes_a_name

    return [setting.name for setting in all_settings(record, at) if settable(setting)]


def with_settings(record: Any, given: Mapping[str, Any], what: str) -> Any:
    """`record` with the settings that `given` names; the same object where nothing changes.

    An unknown name, or a value that a setting cannot have, is a BadInput, in which `what` names the record.
    """
    flat = flattened(given)
    record = with_parts(record, flat)
    known = {setting.name for setting in all_settings(record)}
    for name in flat:
        if name not in known:
            raise unknown_setting(f"of {what} the setting", name, names(record))
    return _filled(record, flat, what)


def flattened(given: Mapping[str, Any], at: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dots in its names; names may be spelled with `-` or `_`."""
    flat: dict[str, Any] = {}
    for name, value in given.items():
        whole = spelled(str(name), at)
        flat |= flattened(value, whole) if isinstance(value, Mapping) else {whole: value}
    return flat


def spelled(name: str, at: str = "") -> str:
    """The name of a setting, as the command line spells it."""
    return f"{at}.{name}".lstrip(".").replace("_", "-")


def _filled(record: Any, given: Mapping[str, Any], what: str, at: str = "") -> Any:
    """`record` with the plain values that `given` names."""
    changed = {}
    for setting in settings(record, at):
        value = setting.value
        if setting.is_part:
            value = _filled(value, given, what, setting.name)
        elif setting.name in given:
            value = conform(given[setting.name], setting.hint, f"the setting {setting.name!r} of {what}")
        if value is not setting.value:
            changed[setting.field] = value
    return dataclasses.replace(record, **changed) if changed else record


# ---------------------------------------------------------------------------------------------------------------------
# Parts


def with_parts(record: Any, given: Mapping[str, Any], at: str = "") -> Any:
    """`record` with the parts that `given` names: a kind by name, a number that stands for one, or a record itself."""
    changed = {}
    for setting in settings(record, at):
        if not setting.is_part:
            continue
        part = _chosen(setting, given[setting.name]) if setting.name in given else setting.value
        part = with_parts(part, given, setting.name)
        changed |= {setting.field: part} if part is not setting.value else {}
    return dataclasses.replace(record, **changed) if changed else record


def _chosen(setting: Setting, value: Any) -> Any:
    """The part that `value` stands for."""
    if isinstance(setting.hint, type) and isinstance(value, setting.hint):
        return value
    if setting.takes_a_number:
        return type(setting.value).from_number(conform(value, float, f"--{setting.name}"))
    if setting.takes_a_name:
        looked_up = dict.fromkeys(getattr(type(setting.value), "unwritten", ()))  # of the name before
        named = {setting.value.by_name: conform(value, str, f"--{setting.name}")}
        return dataclasses.replace(setting.value, **looked_up, **named)
    if isinstance(value, str) and setting.kinds:
        return _other_kind(setting, value)
    known = ", ".join(repr(name) for name in setting.kinds or names(setting.value, setting.name))
    raise BadInput(f"--{setting.name} is a part with settings of its own, got {value!r}: choose from {known}.")


def _other_kind(setting: Setting, name: str) -> Any:
    """A part of another kind. What was set of the old one, and the new one has too, keeps its value."""
    if name not in setting.kinds:
        raise unknown_setting(f"for --{setting.name} the choice", name, setting.kinds)
    old, kind = setting.value, setting.kinds[name]
    if kind is type(old):
        return old
    usual = {field.name: field.default for field in init_fields(type(old))}
    kept = {}
    for field in init_fields(kind):
        if hasattr(old, field.name):
            value = getattr(old, field.name)
            if value != usual.get(field.name, dataclasses.MISSING) or not has_default(field):
                kept[field.name] = value
    return kind(**kept)


def kinds(hint: Any, current: Any) -> dict[str, type]:
    """The concrete parts that may stand where `hint` asks for one, by name; none where there is only one."""
    if not isinstance(hint, type):
        return {}
    found, below = {}, [hint]
    while below:
        kind = below.pop(0)
        below += kind.__subclasses__()
        if not dataclasses.is_dataclass(kind) or inspect.isabstract(kind):
            continue
        if all(has_default(field) or hasattr(current, field.name) for field in init_fields(kind)):
            found[kebab(kind)] = kind
    return found if len(found) > 1 else {}


def kebab(kind: type) -> str:
    """The name of a class as it is spelled outside: `OrnsteinUhlenbeck` is `ornstein-uhlenbeck`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()


# ---------------------------------------------------------------------------------------------------------------------
# Fields


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


def own_fields(record: Any) -> list[dataclasses.Field]:
    """Fields that the constructor takes; none where it takes something else."""
    apart = (*DECIDED, getattr(type(record), "by_name", None), *getattr(type(record), "unwritten", ()))
    fields = [field for field in init_fields(type(record)) if field.name not in apart]
    taken = inspect.signature(type(record)).parameters
    return fields if all(field.name in taken for field in fields) else []


def init_fields(kind: Any) -> list[dataclasses.Field]:
    return [field for field in dataclasses.fields(kind) if field.init]


def has_default(field: dataclasses.Field) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
