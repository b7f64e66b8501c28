"""Settings that were found for one algorithm in one environment, and reach what the docs say of the two.

`covey train ALGORITHM ENVIRONMENT` begins with them where nobody asks for another preset, and says so. As a preset they
are called by the environment's id, `--preset particle/spread`; `--preset tuned` takes the usual settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Preset(NamedTuple):
    """Settings of an algorithm by the names of the command line, and of the run."""

    settings: Mapping[str, Any]
    envs: int  # lanes of each seed
    steps: int  # of each seed


def _falling(steps: float) -> dict[str, Any]:
    """Learning rates from 0.001 to a tenth of it over so many environment steps."""
    rate = {"start": 1e-3, "end": 1e-4, "steps": steps}
    return {"actor-lr": rate, "critic-lr": rate}


FOUND: dict[tuple[str, str], Preset] = {
    ("ippo", "particle/spread"): Preset(
        {"horizon": 25, "minibatches": 4, "epochs": 2, **_falling(2e6)}, envs=64, steps=2_000_000
    ),
    ("mappo", "particle/spread"): Preset(
        {"horizon": 25, "minibatches": 4, "epochs": 4, "units": 64, "layers": 1, **_falling(1e6)},
        envs=32,
        steps=1_000_000,
    ),
    ("lamarl", "assembly"): Preset({"updates": 16}, envs=16, steps=300_000),  # half of the paper's 3,000 episodes
}
"""By the ids of the algorithm and of the environment. The pages `docs/algorithms/ppo.md` and `lamarl.md` there say what
they reach."""


def found(algorithm: str, environment: str | None, preset: str | None) -> Preset | None:
    """What was found for the two, where `preset` asks for it: by the environment's id, or by saying nothing (None)."""
    if preset not in (None, environment):
        return None
    return FOUND.get((algorithm.replace("_", "-"), environment or ""))


def names(algorithm: str) -> tuple[str, ...]:
    """The environments for which something was found."""
    return tuple(environment for known, environment in FOUND if known == algorithm)
