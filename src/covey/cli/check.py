"""`covey check`: your own environment or algorithm, held to what covey promises."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Annotated, Any

from tyro.conf import Positional, arg

from covey.cli.environment import parse_with_environment
from covey.cli.parse import JsonFile
from covey.core.errors import BadInput
from covey.core.registry import locate


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Try out everything an environment promises (shapes, masks, deaths, endings), or hold an algorithm to the laws.

    Problems are printed, one a line; then the exit code is 1.

    Examples:
      covey check my_package.my_module:make_env
      covey check my_package.my_module:my_algorithm --environment toy/continuous
    """

    object: Annotated[Positional[str | None], arg(metavar="OBJECT")] = None
    """`package.module:function` or the id of an environment. A function whose first parameter is `spec` makes an
    algorithm."""
    environment: Annotated[str, arg(metavar="ID")] = "toy/discrete"
    """The environment to try an algorithm in."""
    json: JsonFile = None
    """Write the results there too, as JSON; `-`: print them instead of the table."""


def check(args: list[str]) -> int:
    """`covey check`."""
    from covey.environments import build

    asked, environment = parse_with_environment(Arguments, args, "check", _environment_id, build)
    if asked.object is None:
        raise BadInput("what should be checked? Say `covey check package.module:make_env`.")
    from covey.runs.tables import Column, Table, give
    from covey.testing import check_algorithm, check_environment

    made = _algorithm(asked.object)
    problems = check_environment(environment) if made is None else check_algorithm(made, environment)
    rows = [(f"- {problem}",) for problem in problems]
    table = Table((Column("", prose=True),), rows, notes=() if rows else (f"{asked.object}: no problems found",))
    give(table, {"object": asked.object, "problems": problems}, asked.json)
    return 1 if problems else 0


def _environment_id(words: list[str], given: Mapping[str, str]) -> str | None:
    """The environment to check, or the one to try an algorithm in."""
    if not words:
        return None
    return words[0] if _algorithm(words[0]) is None else given.get("environment", Arguments.environment)


def _algorithm(path: str) -> Any:
    """The function at `path` if it makes algorithms, else None."""
    from covey import environments

    scheme, colon, _ = path.partition(":")
    named = scheme in environments.SCHEMES or scheme in environments.PACKAGES
    made: Any = locate(path, "object") if colon and not named else None
    makes = callable(made) and next(iter(inspect.signature(made).parameters), None) == "spec"
    return made if makes else None
