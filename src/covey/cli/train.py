"""`covey train`: ids or a file, and flags, into a `Config` that is executed.

Which flags there are depends on the algorithm and the world. So the command line is read twice: first the two names (or
the file), the world's options and the kinds of the parts; then, with all flags known, everything.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from tyro.conf import FlagCreatePairsOff, Positional, UseAppendAction, arg

from covey.cli.options import Entry, filled, form, form_of, maker_form, options_of, with_parts
from covey.cli.parse import flags, parse, scan
from covey.core.errors import BadInput

if TYPE_CHECKING:
    from covey.core.algorithm import Algorithm
    from covey.runs.config import Config, Origin

SWITCHES = ("resume", "quiet", "help")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What every run has."""

    preset: str = "tuned"
    """The algorithm's settings to begin with: `tuned`, or `paper` as they are printed."""
    steps: int = 100_000
    """Environment steps of each seed, summed over its environments."""
    seeds: int = 1
    """How many runs, side by side."""
    envs: Annotated[int | None, arg(metavar="INT", help_behavior_hint="(default: 1, or what a host world has)")] = None
    """Environments of each seed."""
    seed: int = 0
    """The first seed."""
    out: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="(default: a new one under runs/)")] = None
    """The run folder."""
    resume: FlagCreatePairsOff[bool] = False
    """Go on from the newest checkpoint in --out; without names, with that run's own settings."""
    config: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """A run's config.yaml to take everything from; flags change it."""
    evaluate_every: Annotated[int | None, arg(metavar="INT", help_behavior_hint="(default: only at the end)")] = None
    """Environment steps between evaluations."""
    episodes: int = 32
    """Episodes of each seed in an evaluation."""
    checkpoint_every_s: float = 300.0
    """Seconds between checkpoints."""
    quiet: FlagCreatePairsOff[bool] = False
    """Show nothing."""
    tracker: Annotated[
        UseAppendAction[tuple[Literal["tensorboard", "wandb", "mlflow"], ...]], arg(help_behavior_hint="(repeatable)")
    ] = ()
    """Report there too."""


@dataclasses.dataclass(frozen=True)
class Overview(Settings):
    """Train an algorithm in an environment, or go on with a run.

    With both names, --help also shows the algorithm's own fields (--gamma, --critic.heads, ...) and the world's options
    (--env.NAME).

    Examples:
      covey train att-maddpg routing/small --help
      covey train att-maddpg routing/small --steps 1e5 --seeds 4 --critic.heads 8 --env.delays False
      covey train maddpg toy/continuous --exploration ornstein-uhlenbeck --exploration.sigma.start 0.3
      covey train --resume --out runs/first
      covey train --config runs/first/config.yaml --gamma 0.9 --out runs/second
    """

    algorithm: Annotated[Positional[str | None], arg(metavar="ALGORITHM", help_behavior_hint="")] = None
    """One of `covey list algorithms`, or `package.module:function`."""
    environment: Annotated[Positional[str | None], arg(metavar="ENVIRONMENT", help_behavior_hint="")] = None
    """One of `covey list environments`, `routing:FILE`, or `package.module:function`."""


class Start(NamedTuple):
    """What the names or the file say: the algorithm, the world, where they came from, and the settings so far."""

    algorithm: Algorithm
    environment: Any
    origin: Origin
    settings: Settings
    world_form: Any  # the answers about the world's options; None where it has none

    @property
    def names(self) -> str:
        """The two names, as they are given on a command line."""
        algorithm = self.origin.algorithm or type(self.algorithm).__name__
        return f"{algorithm} {self.origin.environment or self.environment.spec.name}"


def train(args: list[str]) -> int:
    """`covey train`."""
    words, given = scan(args, SWITCHES)
    file = _file(given, words)
    if file is None and len(words) < 2:
        parse(Overview, args, "train")
        raise BadInput(
            "`covey train` needs an algorithm and an environment, such as `covey train att-maddpg routing/small`."
        )
    began = _from_names(words, given) if file is None else _from_file(file, words, given)
    config, settings = _completed(began, _without(words[:2], args))
    return _execute(config, settings)


def _without(words: list[str], args: list[str]) -> list[str]:
    """`args` without the first occurrence of each word."""
    rest = list(args)
    for word in words:
        rest.remove(word)
    return rest


def _file(given: Mapping[str, str], words: list[str]) -> Path | None:
    """The file that says what to train, if one does."""
    if "config" in given:
        return Path(given["config"])
    if "resume" not in given or words:
        return None
    if not given.get("out"):
        raise BadInput("which run should be resumed? Give its folder: `covey train --resume --out DIR`.")
    file = Path(given["out"]) / "config.yaml"
    if not file.exists():
        raise BadInput(f"there is no run to resume in {file.parent}: it has no config.yaml.")
    return file


# ---------------------------------------------------------------------------------------------------------------------
# The first reading


def _from_names(words: list[str], given: Mapping[str, str]) -> Start:
    from covey import algorithms
    from covey.runs.config import Origin

    name, id = words[:2]
    preset = given.get("preset", "tuned")
    answers, options = _world(id, {}, given)
    environment = _made(id, options)
    algorithm = algorithms.make(name, environment, preset=preset)
    return Start(algorithm, environment, Origin(id, options, name, preset), Settings(), answers)


def _from_file(file: Path, words: list[str], given: Mapping[str, str]) -> Start:
    """As `_from_names`. The world is made again where a flag changes its options."""
    from covey.runs import config as configs

    if "preset" in given:
        raise BadInput(f"--preset cannot be combined with {file}, which holds every setting: leave one of them out.")
    config = configs.read(file)
    origin, answers = config.origin, None
    if words and (words + [""])[:2] != [origin.algorithm, origin.environment]:
        raise BadInput(
            f"{file} is for {origin.algorithm} in {origin.environment}, and the command line says "
            f"{' '.join(words[:2])}: leave out the names or the file."
        )
    if origin.environment is not None:
        answers, options = _world(origin.environment, origin.options, given)
        if options != origin.options:
            config = configs.read(file, _made(origin.environment, options))
            origin = config.origin._replace(options=options)
    settings = Settings(**{name: getattr(config, name) for name in CONFIGURED})
    return Start(config.algorithm, config.environment, origin, settings, answers)


def _world(id: str, known: Mapping[str, Any], given: Mapping[str, str]) -> tuple[Any, dict[str, Any]]:
    """The answers about a world's options, and the options they amount to."""
    from covey.environments import maker

    make, positional = maker(id)
    blank = maker_form(make, len(positional), known)
    if blank is None:
        return None, dict(known)
    asked = form("Train", [Entry("env", None, blank, "env")])
    own = [f"--{flag}={value}" for flag, value in given.items() if flag.startswith("env.")]
    answers = parse(type(asked), own, "train").env
    return answers, options_of(make, len(positional), known, answers)


def _made(id: str, options: Mapping[str, Any]) -> Any:
    from covey import environments

    return environments.make(id, **options)


# ---------------------------------------------------------------------------------------------------------------------
# The second reading


CONFIGURED = ("steps", "seeds", "envs", "seed", "evaluate_every", "episodes", "checkpoint_every_s")
"""Settings that are fields of `Config`."""


def _completed(began: Start, args: list[str]) -> tuple[Config, Settings]:
    """The configuration, and the settings that are not part of it; every flag is known now."""
    from covey.runs.config import Config
    from covey.runs.train import lanes

    algorithm = with_parts(began.algorithm, scan(args, SWITCHES)[1])
    whole = _whole(began, algorithm)
    answers = parse(type(whole), args, f"train {began.names}")
    settings = answers.run
    chosen = {name: getattr(settings, name) for name in CONFIGURED}
    if settings.envs is None:
        chosen["envs"] = lanes(began.environment, settings.seeds)
    algorithm = filled(algorithm, getattr(answers, "algorithm", None))
    return Config(algorithm, began.environment, began.origin, **chosen), settings


def _whole(began: Start, algorithm: Algorithm) -> Any:
    """The form of everything that can be set."""
    own = form_of(algorithm, taken=set(flags(Settings)))
    entries = [Entry("run", None, began.settings, "")]
    entries += [Entry("algorithm", None, own, "algorithm")] if own else []
    entries += [Entry("env", None, began.world_form, "env")] if began.world_form else []
    whole = form("Train", entries)
    type(whole).__doc__ = f"Everything that can be set for {began.names}."
    return whole


def _execute(config: Config, settings: Settings) -> int:
    from covey.cli.tables import show_evaluation
    from covey.runs.train import execute

    asked = {"out": settings.out, "resume": settings.resume, "trackers": settings.tracker}
    result = execute(config, quiet=settings.quiet, **asked)
    if not settings.quiet:
        show_evaluation(result.evaluation, config)
    return 0
