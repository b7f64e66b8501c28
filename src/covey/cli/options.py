"""Values as command-line options: the plain fields and the parts of an algorithm, the keywords of an environment's
maker.

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
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from tyro.conf import FlagConversionOff, arg

from covey.cli.parse import FLAG
from covey.core.registry import hints_of, signature_of
from covey.core.settings import Setting, is_plain, kebab, settings, with_settings

KIND = "kind_"
"""The field of a part's form that says which part it is, or gives the number that stands for it."""


class Entry(NamedTuple):
    """A field of a form. `default` is a form itself where the field stands for a record; then `hint` is of no use."""

    name: str
    hint: Any
    default: Any
    flag: str
    help: str = ""
    note: str | None = None
    """What stands instead of the default."""


def form(name: str, entries: Iterable[Entry]) -> Any:
    """A form as an instance that holds the defaults."""
    return dataclasses.make_dataclass(name, [as_field(entry) for entry in entries], frozen=True)()


def as_field(entry: Entry) -> tuple[str, Any, Any]:
    """An entry as `dataclasses.make_dataclass` takes it."""
    if dataclasses.is_dataclass(entry.default):
        hint = Annotated[type(entry.default), arg(name=entry.flag, prefix_name=False)]
        return entry.name, hint, dataclasses.field(default_factory=lambda: entry.default)
    how = {"name": entry.flag, "prefix_name": False, "help": entry.help, "help_behavior_hint": entry.note}
    hint = Annotated[FlagConversionOff[entry.hint], arg(**how)]
    return entry.name, hint, dataclasses.field(default=entry.default, metadata={FLAG: entry.flag})


# ---------------------------------------------------------------------------------------------------------------------
# Records: algorithms and their parts


def form_of(value: Any, taken: Collection[str] = (), of: Setting | None = None, doc: str = "") -> Any:
    """The form of a record; None where it has nothing to offer.

    taken: flags that others have, which are spelled `--algorithm.NAME` here. of, doc: if the record is a part, the
    setting that holds it, and what is said about that.
    """
    docs, entries = field_docs(type(value)), []
    if of is not None and of.kinds:
        choice = Literal[tuple(of.kinds)]  # type: ignore[valid-type]
        entries.append(Entry(KIND, choice, kebab(type(value)), of.name, summary(type(value))))
    elif of is not None and of.takes_a_name:
        named = type(value).by_name
        entries.append(Entry(KIND, str, getattr(value, named), of.name, f"{doc} {docs[named]}"))
    elif of is not None and of.takes_a_number:
        entries.append(
            Entry(KIND, float | None, None, of.name, f"{doc} {summary(type(value))}", "(one number: constant)")
        )
    for setting in settings(value, of.name if of else ""):
        if setting.is_part:
            inner = form_of(setting.value, of=setting, doc=docs.get(setting.field, ""))
            entries += [Entry(setting.field, None, inner, setting.name)] if inner else []
        else:
            flag = f"algorithm.{setting.name}" if f"--{setting.name}" in taken else setting.name
            entries.append(Entry(setting.field, setting.hint, setting.value, flag, docs.get(setting.field, "")))
    return form(type(value).__name__, entries) if entries else None


def filled(value: Any, answers: Any) -> Any:
    """`value` with the answers of its form; the same object where nothing was changed."""
    return with_settings(value, dict(changes(value, answers)), kebab(type(value))) if answers else value


def changes(value: Any, answers: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """The plain settings of a record that a form answers otherwise, by name."""
    for setting in settings(value, at):
        new = getattr(answers, setting.field, setting.value)
        if setting.is_part:
            yield from changes(setting.value, new, setting.name)
        elif new != setting.value:
            yield setting.name, new


# ---------------------------------------------------------------------------------------------------------------------
# Makers of environments


def maker_form(maker: Callable, positional: int, given: Mapping[str, Any]) -> Any:
    """The form of a maker's keywords, after so many positional ones; `given` are values other than its defaults."""
    hints, docs = hints_of(maker), argument_docs(maker)
    entries = []
    for name, parameter in _keywords(maker, positional).items():
        usual = type(parameter.default) if is_plain(type(parameter.default)) else Any
        hint, default = hints.get(name, usual), given.get(name, parameter.default)
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
