"""From command-line arguments to a dataclass, by tyro; what cannot be used becomes one sentence."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import io
import itertools
import re
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, TypeVar

import tyro
from tyro.conf import Positional, UseAppendAction, arg
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from covey.core.documents import read_yaml
from covey.core.errors import BadInput
from covey.core.registry import conform
from covey.core.settings import is_plain
from covey.core.vocabulary import unknown_setting

T = TypeVar("T")

_POSITIONAL = Positional[str].__metadata__[0]  # type: ignore[attr-defined]
_APPENDED = UseAppendAction[str].__metadata__[0]  # type: ignore[attr-defined]

JsonFile = Annotated[str | None, arg(metavar="FILE", help_behavior_hint="")]
"""The hint of `--json`, in every command that prints a table."""

VALUES = ConstructorRegistry()
"""How tyro reads plain values here: as `config.yaml` does. `--steps 1e6` is a whole number, and `null` is None."""

METAVARS = {int: "INT", float: "FLOAT", bool: "{True,False}", str: "STR"}


def read_plain(text: str, hint: Any) -> Any:
    """The value of a plain type that `text` spells in YAML, or else `text` itself; BadInput where neither will do."""
    with contextlib.suppress(BadInput):
        return conform(read_yaml(text, "the value"), hint, "the value")
    return conform(text, without_none(hint), "the value")


def without_none(hint: Any) -> Any:
    """`int` of `int | None`."""
    return typing.Union[tuple(x for x in members(hint) if x is not types.NoneType)]  # noqa: UP007


def members(hint: Any) -> tuple[Any, ...]:
    """The types of a union; of any other, itself."""
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _plain_rule(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
    """Numbers, truth values, tuples, and unions with them or with None. Text and choices are as tyro reads them."""
    hint, kinds = info.type, [x for x in members(info.type) if x is not types.NoneType]
    left_alone = hint is str or typing.get_origin(hint) is typing.Literal or _POSITIONAL in info.markers
    if left_alone or not is_plain(hint) or _APPENDED in info.markers:
        return None

    def shown(value: Any) -> list[str]:
        return [f"{value:g}" if isinstance(value, float) else str(value)]

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="|".join(METAVARS.get(kind, "[...]") for kind in kinds),
        instance_from_str=lambda texts: read_plain(texts[0], hint),
        is_instance=lambda value: True,
        str_from_instance=shown,
        choices=("True", "False", "true", "false") if hint is bool else None,
    )


VALUES.primitive_rule(_plain_rule)


def parse(kind: type[T], args: Sequence[str], command: str) -> T:
    """A `kind` from the `args` of `covey COMMAND`; BadInput for anything that it does not know or cannot use."""
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            value, surplus = tyro.cli(
                kind,
                prog=f"covey {command}",
                description=inspect.cleandoc(kind.__doc__ or ""),
                args=args,
                return_unknown_args=True,
                registry=VALUES,
            )
    except SystemExit as stop:
        if not stop.code:  # --help
            raise
        raise BadInput(sentence(box.getvalue())) from None
    if surplus:
        raise _surplus(surplus, kind, command)
    return value


def sentence(box: str) -> str:
    """What tyro says in its box, as a sentence: the first section below the title."""
    _, *lines = (line.strip(" │╭╮╰╯─-") for line in box.strip().splitlines())
    lines = list(itertools.dropwhile(lambda line: not line, lines))
    text = " ".join(itertools.takewhile(bool, lines))
    text = re.sub(r"^Error parsing (\S+): the value", r"\1", text)
    text = re.sub(r"^Missing value for argument \W*([\w.-]+\w).*", r"a value is missing for '--\1'", text)
    text = text.replace(". Expected", ": expected")
    return text if text.endswith(".") else f"{text}."


def _surplus(tokens: list[str], kind: type, command: str) -> BadInput:
    """BadInput for the first argument that nobody wants."""
    option = next((token.partition("=")[0] for token in tokens if token.startswith("-")), None)
    if option is None:
        return BadInput(f"`covey {command}` does not know what to do with {tokens[0]!r}: see `covey {command} --help`.")
    return unknown_setting("the option", option.replace("_", "-"), [*flags(kind), "--help"])


# ---------------------------------------------------------------------------------------------------------------------
# The flags of a dataclass

FLAG = "flag"
"""Key of a field's metadata: the flag it has, where that is not its name."""


def flags(kind: type) -> Iterator[str]:
    """All flags that `parse` takes for `kind`, its nested dataclasses' included."""
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        marks = getattr(hint, "__metadata__", ())
        inner = hint.__origin__ if marks else hint
        if dataclasses.is_dataclass(inner):
            yield from flags(typing.cast(type, inner))
        elif _POSITIONAL not in marks:
            yield "--" + field.metadata.get(FLAG, field.name.replace("_", "-"))


def switches(kind: type) -> list[str]:
    """The flags of `kind` that have no value, without their dashes."""
    hints = typing.get_type_hints(kind)
    return ["help", *(field.name.replace("_", "-") for field in dataclasses.fields(kind) if hints[field.name] is bool)]


# ---------------------------------------------------------------------------------------------------------------------
# A first look


def scan(args: Sequence[str], switches: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The words of a command line and the values of its flags, before it is known which flags there are.

    Every flag but the `switches` has one value. Flags are spelled with `-`, without the leading dashes.
    """
    words: list[str] = []
    given: dict[str, str] = {}
    rest = list(args)
    while rest:
        token = rest.pop(0)
        if not token.startswith("--"):
            if re.match(r"-[a-zA-Z_]{2,}", token):
                raise BadInput(f"options are spelled with two dashes: -{token} instead of {token}.")
            words += [token] * (token != "-h")
            continue
        flag, equals, value = token[2:].partition("=")
        flag = flag.replace("_", "-")
        takes_next = not equals and flag not in switches and rest and not rest[0].startswith("--")
        given[flag] = rest.pop(0) if takes_next else value
    return words, given
