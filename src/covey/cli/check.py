"""`covey check`: your own world or algorithm, held to what covey promises."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Annotated, Any

from tyro.conf import Positional, arg

from covey.cli.parse import parse
from covey.core.errors import BadInput
from covey.core.registry import locate


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Try out everything a world promises (shapes, masks, deaths, endings), or hold an algorithm to the laws.

    Problems are printed, one a line; then the exit code is 1.

    Examples:
      covey check my_package.my_module:make_env
      covey check my_package.my_module:my_algorithm --environment toy/continuous
    """

    object: Annotated[Positional[str | None], arg(metavar="OBJECT")] = None
    """`package.module:function` or the id of an environment. A function whose first parameter is `spec` makes an
    algorithm."""
    environment: Annotated[str, arg(metavar="ID")] = "toy/discrete"
    """The world to try an algorithm in."""


def check(args: list[str]) -> int:
    """`covey check`."""
    asked = parse(Arguments, args, "check")
    if asked.object is None:
        raise BadInput("what should be checked? Say `covey check package.module:make_env`.")
    problems = problems_of(asked.object, asked.environment)
    print("\n".join(f"- {problem}" for problem in problems) or f"{asked.object}: no problems found")
    return 1 if problems else 0


def problems_of(path: str, world: str) -> list[str]:
    """What is wrong with the object, in sentences."""
    from covey import environments
    from covey.testing import check_algorithm, check_environment

    made: Any = locate(path, "object") if ":" in path and path.split(":")[0] not in environments.SCHEMES else None
    if _makes_algorithms(made):
        return check_algorithm(made, environments.make(world))
    return check_environment(environments.build(path))


def _makes_algorithms(made: Any) -> bool:
    return callable(made) and next(iter(inspect.signature(made).parameters), None) == "spec"
