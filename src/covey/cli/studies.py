"""`covey reproduce` and `covey bench`: published results and speed, measured here."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from covey.cli.parse import JsonFile, parse
from covey.core.errors import BadInput
from covey.core.registry import locate


@dataclasses.dataclass(frozen=True)
class ReproduceArguments:
    """Run a study: it prints what is published, what we measure, an interval and a verdict.

    Examples:
      covey reproduce att-maddpg/demo
      covey reproduce att-maddpg/routing-small --quick --out runs/figure5
      covey reproduce credit/e4 --seeds 40
    """

    study: Annotated[Positional[str | None], arg(metavar="STUDY", help_behavior_hint="")] = None
    """One of `covey list studies`."""
    quick: FlagCreatePairsOff[bool] = False
    """Fewer seeds and steps: minutes instead of hours, and wider intervals."""
    seeds: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: the study's own, 2 if quick)")] = None
    """How many seeds."""
    out: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="(default: runs/STUDY)")] = None
    """Where its runs, tables and pictures go."""
    json: JsonFile = None
    """Write its tables there too, as JSON; `-`: print them, and everything else to standard error."""


def reproduce(args: list[str]) -> int:
    """`covey reproduce`."""
    asked = parse(ReproduceArguments, args, "reproduce")
    if asked.study is None:
        raise BadInput("which study? Say `covey reproduce att-maddpg/demo`, or see `covey list studies`.")
    from covey.runs.files import writing
    from covey.runs.tables import reports, write_json
    from covey.studies.reproduce import reproduce, tables_of

    with writing(f"the study {asked.study!r}"), reports(asked.json):
        folder = reproduce(asked.study, quick=asked.quick, seeds=asked.seeds, out=asked.out)
        print(folder)
    write_json({"study": asked.study, "folder": str(folder), "tables": tables_of(folder)}, asked.json)
    return 0


@dataclasses.dataclass(frozen=True)
class BenchArguments:
    """Measure how fast this machine is: steps and updates a second, beside PyTorch too, compile time and memory.

    Benchmarks: stepping, updates, torch, seeds, training, ppo, jaxmarl, workers, battle, soldiers, population,
    neighbors, swarm, swarm-torch, matwm, matwm-torch, memory.

    Examples:
      covey bench
      covey bench updates training --json bench.json
    """

    names: Annotated[Positional[tuple[str, ...]], arg(metavar="NAME", help_behavior_hint="(default: all)")] = ()
    """The benchmarks to run."""
    json: JsonFile = None
    """Write the results there too, as JSON with versions and device; `-`: print them instead of the table."""
    quick: bool = False
    """Tiny sizes and few repeats: does everything work here?"""


def bench(args: list[str]) -> int:
    """`covey bench`."""
    asked = parse(BenchArguments, args, "bench")
    measure = locate("covey.studies.bench:bench", "benchmarks")
    measure(asked.names, json_file=asked.json, quick=asked.quick)
    return 0
