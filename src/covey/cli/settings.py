"""The settings of every run, as `covey train` takes them: the fields of `Config` and what goes with them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, Positional, UseAppendAction, arg


@dataclasses.dataclass(frozen=True)
class Settings:
    """What every run has."""

    preset: str = "tuned"
    """Settings to begin with: `tuned`, `paper` (as printed), or an environment's id (default where it has its own)."""
    steps: int = 100_000
    """Environment steps of each seed, summed over its environments."""
    seeds: int = 1
    """How many runs, side by side."""
    envs: Annotated[int | None, arg(metavar="INT", help_behavior_hint="(default: 1, or a host's)")] = None
    """Environments of each seed."""
    seed: int = 0
    """The first seed."""
    reward: Annotated[str, arg(metavar="DIR", help_behavior_hint="(default: none)")] = "none"
    """An authored reward to learn from."""
    out: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="(default: a new one under runs/)")] = None
    """The run folder."""
    resume: FlagCreatePairsOff[bool] = False
    """Go on from the newest checkpoint in --out."""
    config: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """A run's config.yaml to begin with; flags change it."""
    trust: FlagCreatePairsOff[bool] = False
    """Import code that the run names."""
    evaluate_every: Annotated[int | None, arg(metavar="INT", help_behavior_hint="(default: only at the end)")] = None
    """Environment steps between evaluations."""
    episodes: int = 32
    """Episodes of each seed in an evaluation."""
    checkpoint_every_s: float = 300.0
    """Seconds between checkpoints."""
    keep_every: Annotated[int | None, arg(metavar="INT", help_behavior_hint="(default: none)")] = None
    """Environment steps between policies that stay."""
    chunk: Annotated[int | None, arg(metavar="INT", help_behavior_hint="(default: a second's worth)")] = None
    """Iterations between two reports."""
    quiet: FlagCreatePairsOff[bool] = False
    """Show nothing."""
    tracker: Annotated[
        UseAppendAction[tuple[Literal["tensorboard", "wandb", "mlflow"], ...]], arg(help_behavior_hint="(repeatable)")
    ] = ()
    """Report there too."""


@dataclasses.dataclass(frozen=True)
class Overview(Settings):
    """Train an algorithm in an environment, or go on with a run.

    With both names, --help also shows the algorithm's fields (--gamma, ...) and the environment's (--env.NAME).

    Examples:
      covey train att-maddpg routing/small --help
      covey train att-maddpg routing/small --steps 1e5 --seeds 4 --critic.heads 8 --env.delays False
      covey train maddpg toy/continuous --exploration ornstein-uhlenbeck --exploration.sigma.start 0.3
      covey train --resume --out runs/first
      covey train --config runs/first/config.yaml --gamma 0.9 --out runs/second
    """

    algorithm: Annotated[Positional[str | None], arg(metavar="ALGORITHM", help_behavior_hint="")] = None
    """Of `covey list algorithms`, or `package.module:function`."""
    environment: Annotated[Positional[str | None], arg(metavar="ENVIRONMENT", help_behavior_hint="")] = None
    """One of `covey list environments`, `routing:FILE`, or `package.module:function`."""
