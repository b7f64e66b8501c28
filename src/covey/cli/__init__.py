"""The command line: `covey COMMAND ...`, a thin face over the functions of the library.

A command is a function of its arguments that returns an exit code, imported when it is asked for, so that `covey
--help` is immediate. Exit codes: 0 fine, 1 a check that found problems, 2 input that cannot be used (one sentence on
stderr), 130 Ctrl-C, 141 nobody reads the output any more, 143 SIGTERM. A traceback is a bug.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

from covey.core.cores import use_cores
from covey.core.errors import BadInput, unknown
from covey.core.registry import locate


class Command(NamedTuple):
    """An entry of `COMMANDS`: where the function is (`package.module:function`) and one line on what it does."""

    path: str
    summary: str


COMMANDS: dict[str, Command] = {
    "list": Command("covey.cli.listing:list_names", "names of environments, algorithms and studies"),
    "train": Command("covey.cli.train:train", "train an algorithm in an environment, or go on with a run"),
    "evaluate": Command("covey.cli.trained:evaluate", "play a run's final evaluation again"),
    "render": Command("covey.cli.trained:render", "an episode of a run as a film (.gif) or a page (.html)"),
    "plot": Command("covey.cli.trained:plot", "learning curves of runs (.png, .svg, .pdf)"),
    "compare": Command("covey.cli.trained:compare", "runs and rules side by side on the same episodes"),
    "tournament": Command("covey.cli.trained:tournament", "runs and rules against each other, on both sides"),
    "author": Command("covey.cli.author:author", "a prior and a reward from a sentence, by a model or by hand"),
    "check": Command("covey.cli.check:check", "hold your own environment or algorithm to covey's laws"),
    "bench": Command("covey.cli.studies:bench", "measure speed on this machine"),
    "reproduce": Command("covey.cli.studies:reproduce", "a published result: ours, theirs and a verdict"),
}

HELP = """usage: covey COMMAND ...

covey trains teams of agents, compiled end to end.

{commands}

Every command explains itself: `covey train --help`, and with names all that can be set:
`covey train att-maddpg routing/small --help`.

Examples:
  covey list environments
  covey train att-maddpg routing/small --steps 100000 --seeds 4 --out runs/first
  covey evaluate runs/first
  covey compare runs/first ecmp optimal-routing
  covey render runs/first --out first.html
  covey reproduce att-maddpg/demo"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (default: this process's) and return its exit code."""
    use_cores()
    try:
        code = run(sys.argv[1:] if argv is None else list(argv))
        sys.stdout.flush()
        return code
    except BadInput as error:
        print(error.details, end="", file=sys.stderr)
        print("covey:", " ".join(str(error).split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that nothing is written at exit
        return 141
    except SystemExit as stop:  # --help was shown, or a run was asked to stop and has saved itself
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)


def run(args: list[str]) -> int:
    """The exit code of `covey ARGS`; the first argument names the command."""
    match args:
        case [] | ["-h" | "--help" | "help"]:
            print(overview())
            return 0
        case ["--version"]:
            from covey import __version__

            print(f"covey {__version__}")
            return 0
        case [name, *_] if name not in COMMANDS:
            raise unknown("the option" if name.startswith("-") else "the command", name, [*COMMANDS, "--help"])
    return locate(COMMANDS[args[0]].path, "command")(args[1:])


def overview() -> str:
    """What `covey --help` says."""
    width = max(map(len, COMMANDS))
    return HELP.format(commands="\n".join(f"  {name:<{width}}  {c.summary}" for name, c in COMMANDS.items()))
