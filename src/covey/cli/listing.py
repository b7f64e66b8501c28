"""`covey list`: names, with a line on each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Annotated

from tyro.conf import Positional, arg

from covey.cli.parse import parse
from covey.core.errors import unknown


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Names of environments, algorithms (with the rules of each world) and studies.

    Examples:
      covey list
      covey list algorithms
    """

    what: Annotated[Positional[str | None], arg(metavar="[environments|algorithms|studies]")] = None
    """Only these."""


def list_names(args: list[str]) -> int:
    """`covey list`."""
    what = parse(Arguments, args, "list").what
    if what is not None and what not in LISTS:
        raise unknown("the list", what, LISTS)
    for name, lines in LISTS.items():
        if what in (None, name):
            print(f"{name}\n{aligned(lines())}\n")
    return 0


def aligned(lines: Mapping[str, str]) -> str:
    """Names and what they are, in two columns."""
    width = max(map(len, lines))
    return "\n".join(f"  {name:<{width}}  {text}".rstrip() for name, text in lines.items())


def environments() -> dict[str, str]:
    from covey.environments import WORLDS

    own = {"routing:FILE": "A network of yours.", "package.module:function": "A world of yours."}
    return {name: world.summary for name, world in WORLDS.items()} | own


def algorithms() -> dict[str, str]:
    from covey.algorithms import ALIASES, RULES, SELF_PLAY

    learners = {name: alias.summary for name, alias in ALIASES.items()}
    rules = {f"rules of {home}{'*' * home.endswith('/')}": ", ".join(names) for home, names in RULES.items()}
    own = {
        f"{SELF_PLAY}ALGORITHM": "One policy for both sides of a world, which that algorithm learns.",
        "package.module:function": "An algorithm of yours.",
    }
    return learners | own | rules


def studies() -> dict[str, str]:
    from covey.studies.reproduce import STUDIES

    return {name: study.summary for name, study in STUDIES.items()}


LISTS: dict[str, Callable[[], dict[str, str]]] = {
    "environments": environments,
    "algorithms": algorithms,
    "studies": studies,
}
