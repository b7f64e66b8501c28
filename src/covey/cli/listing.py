"""`covey list`: names, with a line on each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Annotated

from tyro.conf import Positional, arg

from covey.cli.parse import JsonFile, parse
from covey.core.errors import unknown


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Names of environments, algorithms (with the rules of each environment) and studies.

    Examples:
      covey list
      covey list algorithms
    """

    what: Annotated[Positional[str | None], arg(metavar="[environments|algorithms|studies]")] = None
    """Only these."""
    json: JsonFile = None
    """Write the results there too, as JSON; `-`: print them instead of the table."""


def list_names(args: list[str]) -> int:
    """`covey list`."""
    asked = parse(Arguments, args, "list")
    if asked.what is not None and asked.what not in LISTS:
        raise unknown("the list", asked.what, LISTS)
    from covey.runs.tables import STDOUT, Column, Table, show, write_json

    found = {name: lines() for name, lines in LISTS.items() if asked.what in (None, name)}
    if asked.json != STDOUT:
        for name, entries in found.items():
            show(
                Table(
                    (Column(""), Column(""), Column("", prose=True)), [("", *entry) for entry in entries.items()], name
                )
            )
            print()
    write_json(found, asked.json)
    return 0


def environments() -> dict[str, str]:
    from covey.environments import WORLDS

    own = {
        "routing:FILE": "A network of yours.",
        "pettingzoo:MODULE": "A parallel environment of PettingZoo, such as `pettingzoo:mpe2.simple_spread_v3`.",
        "jaxmarl:NAME": "An environment of JaxMARL, such as `jaxmarl:smax/3m`.",
        "package.module:function": "An environment of yours.",
    }
    return {name: world.summary for name, world in WORLDS.items()} | own


def algorithms() -> dict[str, str]:
    from covey.algorithms import ALIASES, RULES, SELF_PLAY

    learners = {name: alias.summary for name, alias in ALIASES.items()}
    rules = {f"rules of {home}{'*' * home.endswith('/')}": ", ".join(names) for home, names in RULES.items()}
    own = {
        f"{SELF_PLAY}ALGORITHM": "One policy for both sides of an environment, which that algorithm learns.",
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
