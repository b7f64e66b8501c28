"""`covey train`: train by names, from a file, or go on with a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from covey.cli.parse import parse, scan
from covey.cli.settings import Overview
from covey.core.errors import BadInput

SWITCHES = ("resume", "trust", "quiet", "help")


def train(args: list[str]) -> int:
    """`covey train`."""
    words, given = scan(args, SWITCHES)
    file = file_of(given, words)
    if file is None and len(words) < 2:
        if "help" in given or "-h" in args:
            parse(Overview, args, "train")
        raise BadInput(
            "`covey train` needs an algorithm and an environment, such as `covey train att-maddpg routing/small`."
        )
    from covey.cli.configure import configure
    from covey.cli.tables import evaluation_table
    from covey.runs.tables import show
    from covey.runs.train import execute, made_here

    config, settings = configure(args, words, given, file)
    where = {"out": settings.out, "resume": settings.resume, "trust": settings.trust, "trackers": settings.tracker}
    with made_here(config.environment):
        result = execute(config, quiet=settings.quiet, **where)
    if not settings.quiet:
        show(evaluation_table(result.evaluation, config))
    return 0


def file_of(given: Mapping[str, str], words: list[str]) -> Path | None:
    """The file that says what to train, if one does."""
    if "config" in given:
        return Path(given["config"])
    if "resume" not in given or words:
        return None
    if not given.get("out"):
        raise BadInput("which run should be resumed? Give its folder: `covey train --resume --out DIR`.")
    from covey.runs.files import reading
    from covey.runs.trust import demand_safe

    file = Path(given["out"]) / "config.yaml"
    with reading(f"the run folder {file.parent}"):
        if not file.exists():
            raise BadInput(f"there is no run to resume in {file.parent}: it has no config.yaml.")
    demand_safe(file.parent, "trust" in given)
    return file
