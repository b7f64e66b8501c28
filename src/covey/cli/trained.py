"""`covey evaluate`, `render`, `plot`, `compare` and `tournament`: what to do with runs."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg

from covey.cli.environment import parse_with_environment
from covey.cli.parse import JsonFile, parse
from covey.core.errors import BadInput


@dataclasses.dataclass(frozen=True)
class EvaluateArguments:
    """Play a run's final evaluation again, from its newest checkpoint: all seeds, without exploring.

    Examples:
      covey evaluate runs/first
      covey evaluate runs/first --episodes 200
      covey evaluate runs/first@20000
    """

    run: Annotated[Positional[str | None], arg(metavar="RUN|RUN@STEP", help_behavior_hint="")] = None
    """A run folder, and a step of it that was kept (default: the newest)."""
    episodes: Annotated[int | None, arg(metavar="INT", help_behavior_hint="(default: as many as the run's own)")] = None
    """Episodes of each seed."""
    json: JsonFile = None
    """Write the results there too, as JSON; `-`: print them instead of the table."""
    trust: FlagCreatePairsOff[bool] = False
    """Import code that the run names, though it was not trained by you on this machine."""


def evaluate(args: list[str]) -> int:
    """`covey evaluate`."""
    asked = parse(EvaluateArguments, args, "evaluate")
    folder = _demanded(asked.run, "evaluate")
    from covey.cli.tables import evaluation_summary, evaluation_table
    from covey.runs.policy import evaluate_trained, open_run
    from covey.runs.tables import give
    from covey.runs.train import use_compilation_cache

    use_compilation_cache()
    trained = open_run(folder, trust=asked.trust)
    _warn(trained.warnings)
    evaluation = evaluate_trained(trained, asked.episodes)
    give(evaluation_table(evaluation, trained.config), evaluation_summary(evaluation, trained.config), asked.json)
    return 0


@dataclasses.dataclass(frozen=True)
class RenderArguments:
    """An episode of a run's final evaluation as a film and as a page that plays, or what its critic attends to, or what
    its world model imagines.

    Examples:
      covey render runs/first
      covey render runs/first --out first.gif --episode 3
      covey render runs/first --credit
      covey render runs/first --out attention.png --attention --agent router_A
      covey render runs/first --dream --start 5
    """

    run: Annotated[Positional[str | None], arg(metavar="RUN|RUN@STEP", help_behavior_hint="")] = None
    """A run folder, and a step of it that was kept (default: the newest)."""
    out: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="(default: RUN/episodes)")] = None
    """A .gif or .html file, or a folder for both; of a figure (--attention, --dream) a .png, .svg or .pdf."""
    attention: FlagCreatePairsOff[bool] = False
    """Draw what the attention critic makes of the episode, instead of the environment."""
    credit: FlagCreatePairsOff[bool] = False
    """Draw under every frame what agents have done for their team so far (runs of credit-mappo)."""
    dream: FlagCreatePairsOff[bool] = False
    """Draw what an agent's world model imagines, beside what happened (runs of matwm)."""
    agent: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="(default: the first)")] = None
    """The agent whose attention or dream is shown."""
    start: Annotated[int | None, arg(metavar="INT", help_behavior_hint="(default: a third of the episode)")] = None
    """The step at which the dream begins."""
    episode: int = 0
    """The number of the episode in the evaluation."""
    seed: int = 0
    """The seed of the run, counted from 0."""
    fps: Annotated[float | None, arg(metavar="FLOAT", help_behavior_hint="(default: about 8 seconds in all)")] = None
    """Frames per second."""
    trust: FlagCreatePairsOff[bool] = False
    """Import code that the run names, though it was not trained by you on this machine."""


def render(args: list[str]) -> int:
    """`covey render`."""
    asked = parse(RenderArguments, args, "render")
    folder = _demanded(asked.run, "render")
    from covey.runs.render import render
    from covey.runs.train import use_compilation_cache

    use_compilation_cache()
    names = ("seed", "episode", "attention", "credit", "dream", "agent", "start", "fps", "trust")
    how = {name: getattr(asked, name) for name in names}
    print("\n".join(str(path) for path in render(folder, asked.out, **how)))
    return 0


@dataclasses.dataclass(frozen=True)
class PlotArguments:
    """Learning curves: a metric over environment steps, a line for each run, with its 95 % interval over seeds.

    Examples:
      covey plot runs/first runs/second
      covey plot runs/first --metric world/mlu --kind train --out mlu.pdf
    """

    runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="RUN", help_behavior_hint="")] = ()
    """Run folders."""
    metric: Annotated[str, arg(metavar="NAME")] = "return/team_sum"
    """A name of `metrics.jsonl`."""
    kind: Annotated[
        Literal["evaluation", "train"] | None,
        arg(metavar="evaluation|train", help_behavior_hint="(default: evaluation where every run has two, else train)"),
    ] = None
    """Greedy episodes, or what happened while exploring."""
    title: Annotated[str, arg(metavar="TEXT", help_behavior_hint="(default: the environment)")] = ""
    """What stands above."""
    out: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="(default: RUN/plots/METRIC.png)")] = None
    """A .png, .svg or .pdf file."""


def plot(args: list[str]) -> int:
    """`covey plot`."""
    asked = parse(PlotArguments, args, "plot")
    from covey.runs.figures import save
    from covey.runs.learning_curves import plot

    figure = plot(*asked.runs, metric=asked.metric, kind=asked.kind, title=asked.title)
    print(save(figure, asked.out or asked.runs[0] / "plots" / f"{asked.metric.replace('/', '-')}.png"))
    return 0


@dataclasses.dataclass(frozen=True)
class CompareArguments:
    """Runs and rules on the same episodes, in one table: returns, steps, regret to the environment's reference.

    Intervals are 95 %: over seeds for runs, over episodes for rules.

    Examples:
      covey compare runs/first runs/second ecmp optimal-routing
      covey compare random assignment --environment navigation --episodes 100
    """

    what: Annotated[Positional[tuple[str, ...]], arg(metavar="RUN|RUN@STEP|ALGORITHM", help_behavior_hint="")] = ()
    """Run folders (RUN@STEP: at a step that was kept), and ids of algorithms that need no training."""
    environment: Annotated[str | None, arg(metavar="ID", help_behavior_hint="(default: the first run's)")] = None
    """The environment to compare them in."""
    episodes: Annotated[int | None, arg(metavar="INT", help_behavior_hint="(default: the first run's, or 32)")] = None
    """Episodes of each seed."""
    json: JsonFile = None
    """Write the results there too, as JSON; `-`: print them instead of the table."""
    trust: FlagCreatePairsOff[bool] = False
    """Import code that a run names, though it was not trained by you on this machine."""


def compare(args: list[str]) -> int:
    """`covey compare`."""
    asked, environment = parse_with_environment(CompareArguments, args, "compare", _environment_id)
    if not asked.what:
        raise BadInput("what should be compared? Give run folders and rules: `covey compare runs/first ecmp`.")
    from covey.cli.tables import comparison_summary, comparison_table
    from covey.runs.compare import compare
    from covey.runs.tables import give
    from covey.runs.train import use_compilation_cache

    use_compilation_cache()
    comparison = compare(asked.what, environment, asked.episodes, asked.trust)
    _warn(comparison.warnings)
    give(comparison_table(comparison), comparison_summary(comparison), asked.json)
    return 0


@dataclasses.dataclass(frozen=True)
class TournamentArguments:
    """Everybody against everybody in an environment with two sides that are alike, and Elo's ratings.

    Every seed of a run meets every seed of another, as often on the one side as on the other. RUN@STEP is what a run
    had learned by then (`covey train --keep-every`). Intervals are 95 %, from drawing seeds and games anew.

    Examples:
      covey tournament runs/first runs/second charge random
      covey tournament runs/first runs/first@20000 --games 400
    """

    what: Annotated[Positional[tuple[str, ...]], arg(metavar="RUN|RUN@STEP|ALGORITHM", help_behavior_hint="")] = ()
    """Run folders, their checkpoints, and ids of algorithms that need no training."""
    environment: Annotated[str | None, arg(metavar="ID", help_behavior_hint="(default: the first run's)")] = None
    """The environment to play in."""
    games: int = 200
    """Games of every two contenders, at least."""
    json: JsonFile = None
    """Write the results there too, as JSON; `-`: print them instead of the table."""
    trust: FlagCreatePairsOff[bool] = False
    """Import code that a run names, though it was not trained by you on this machine."""


def tournament(args: list[str]) -> int:
    """`covey tournament`."""
    asked, environment = parse_with_environment(TournamentArguments, args, "tournament", _environment_id)
    if not asked.what:
        raise BadInput("who should play? Give run folders and rules: `covey tournament runs/first charge`.")
    from covey.cli.tables import tournament_table
    from covey.runs.tables import give
    from covey.runs.tournament import tournament
    from covey.runs.train import use_compilation_cache

    use_compilation_cache()
    played = tournament(asked.what, environment, asked.games, asked.trust)
    _warn(played.warnings)
    give(tournament_table(played), played.summary(), asked.json)
    return 0


def _environment_id(words: list[str], given: Mapping[str, str]) -> str | None:
    return given.get("environment")


def _demanded(folder: str | None, command: str) -> str:
    if folder is None:
        raise BadInput(f"which run? Give its folder: `covey {command} runs/first`.")
    return folder


def _warn(sentences: tuple[str, ...]) -> None:
    for sentence in sentences:
        print(f"covey: {sentence}.", file=sys.stderr)
