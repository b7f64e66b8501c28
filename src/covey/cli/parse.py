"""From command-line arguments to a dataclass, by tyro; what cannot be used becomes one sentence."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import io
import itertools
import re
import typing
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import tyro
from tyro.conf import Positional
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from covey.core.errors import BadInput, unknown
from covey.core.registry import conform

T = TypeVar("T")

KINDS = {"INT": "a whole number", "FLOAT": "a number"}

NUMBERS = ConstructorRegistry()
"""How tyro reads numbers here: as `config.yaml` does, so that `--steps 1e6` is a whole number."""


def _number_rule(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
    hint = info.type
    if hint not in (int, float):
        return None

    def read(texts: list[str]) -> Any:
        return conform(texts[0], hint, "the value")

    def fits(value: Any) -> bool:
        return isinstance(value, (int, hint)) and not isinstance(value, bool)

    def shown(value: Any) -> list[str]:
        return [f"{value:g}" if hint is float else str(value)]

    return PrimitiveConstructorSpec(1, "INT" if hint is int else "FLOAT", read, fits, shown)


NUMBERS.primitive_rule(_number_rule)


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
                registry=NUMBERS,
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
    text = re.sub(r"^Error parsing (\S+): no type matching \{None\}\|(\w+) could .* from \[(.*)\]", _of_an_option, text)
    text = re.sub(r"^Missing value for argument \W*([\w.-]+\w).*", r"a value is missing for '--\1'", text)
    text = text.replace(". Expected", ": expected")
    return text if text.endswith(".") else f"{text}."


def _of_an_option(said: re.Match[str]) -> str:
    """What is wrong with the value of an option that may be left out."""
    flag, kind, given = said.groups()
    return f"{flag} must be {KINDS.get(kind, kind)}, got {given}"


def _surplus(tokens: list[str], kind: type, command: str) -> BadInput:
    """BadInput for the first argument that nobody wants."""
    option = next((token.partition("=")[0] for token in tokens if token.startswith("-")), None)
    if option is None:
        return BadInput(f"`covey {command}` does not know what to do with {tokens[0]!r}: see `covey {command} --help`.")
    return unknown("the option", option.replace("_", "-"), [*flags(kind), "--help"])


# ---------------------------------------------------------------------------------------------------------------------
# The flags of a dataclass

FLAG = "flag"
"""Key of a field's metadata: the flag it has, where that is not its name."""

_POSITIONAL = Positional[str].__metadata__[0]  # type: ignore[attr-defined]


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
