"""What the studies of MATWM share: how large they are, who learns, and how fast."""

from __future__ import annotations

from typing import Any, NamedTuple

from covey import algorithms
from covey.algorithms import presets
from covey.algorithms.matwm import MATWM
from covey.core.algorithm import Algorithm
from covey.core.settings import with_settings
from covey.studies.trials import Trial

RATES = {"matwm": 17.0, "mappo": 5000.0, "ippo": 5000.0, "maddpg": 400.0, "mfq": 800.0}
"""Environment steps a second, for the plans: MATWM's was measured on one core, the others are guesses."""


class Scale(NamedTuple):
    """How large a study is."""

    steps: int  # of each seed
    episodes: int  # of each seed in an evaluation
    preset: str  # of MATWM


def scale(quick: bool, steps: int) -> Scale:
    return Scale(240, 4, "tiny") if quick else Scale(steps, 128, "cpu")


def matwm(environment: Any, size: Scale, groups: tuple[str, ...] | None = None, **settings: Any) -> MATWM:
    """`matwm` with its preset for CPUs and some settings changed; in quick studies tiny, and with hardly an update."""
    learner: Any = algorithms.make("matwm", environment, preset=size.preset, groups=groups)
    return with_settings(learner, settings, "matwm")


def model_free(id: str, environment: Any) -> tuple[Algorithm, int]:
    """A model-free learner with the settings that were found for it in this environment, or its usual ones; and its
    lanes."""
    name = environment.spec.name
    found = presets.found(id, name, None)
    return algorithms.make(id, environment, preset=name if found else "tuned"), found.envs if found else 1


def trials(environment: Any, size: Scale, ids: tuple[str, ...], **settings: Any) -> list[Trial]:
    """MATWM, and model-free learners that are given as many steps."""
    learners = [Trial("matwm", matwm(environment, size, **settings), size.steps, apart=True)]
    for id in ids:
        learner, lanes = model_free(id, environment)
        learners.append(Trial(id, learner, size.steps, lanes, apart=True))
    return learners
