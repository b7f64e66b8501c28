"""The options of an environment (`--env.NAME`) in commands that make one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from covey import environments
from covey.cli.options import Entry, as_field, form, maker_form, options_of
from covey.cli.parse import parse, scan, switches
from covey.core.errors import BadInput

ENV = "env"
"""What the flags of an environment's options begin with."""


def environment_options(id: str, known: Mapping[str, Any], given: Mapping[str, str]) -> tuple[Any, dict[str, Any]]:
    """The answers about an environment's options (None where it has none), and the options that they amount to.

    known: options as they are so far. given: flags, of which those of the environment count.
    """
    make, positional = environments.maker(id)
    blank = maker_form(make, len(positional), known)
    if blank is None:
        return None, dict(known)
    asked = form("Train", [Entry(ENV, None, blank, ENV)])
    own = [f"--{flag}={value}" for flag, value in given.items() if flag.startswith(f"{ENV}.")]
    answers = parse(type(asked), own, "train").env
    return answers, options_of(make, len(positional), known, answers)


def parse_with_environment(
    kind: type[Any],
    args: Sequence[str],
    command: str,
    id_of: Callable[[list[str], Mapping[str, str]], str | None],
    make: Callable[..., Any] = environments.make,
) -> tuple[Any, Any]:
    """A `kind` from the arguments of a command, and the environment that they ask for; None where they name none.

    id_of: the environment's id, from the words and the flags of a first look at the arguments. make: from the id and
    its options to the environment.
    """
    words, given = scan(args, switches(kind))
    id = id_of(words, given)
    if id is None:
        lost = next((flag for flag in given if flag.startswith(f"{ENV}.")), None)
        if lost is not None:
            raise BadInput(
                f"--{lost} is an option of an environment: say of which, such as `--environment navigation`."
            )
        return parse(kind, args, command), None
    maker, positional = environments.maker(id)
    blank = maker_form(maker, len(positional), {})
    if blank is None:
        return parse(kind, args, command), make(id)
    whole = dataclasses.make_dataclass(
        kind.__name__, [as_field(Entry(ENV, None, blank, ENV))], bases=(kind,), frozen=True
    )
    whole.__doc__ = kind.__doc__
    asked: Any = parse(whole, args, command)
    return asked, make(id, **options_of(maker, len(positional), {}, asked.env))
