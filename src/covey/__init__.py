"""covey: multi-agent reinforcement learning as one compiled JAX program.

    env = covey.make("routing/large")                       an environment
    run = covey.train("att-maddpg", env, steps=100_000)     a trained team, and its run folder
    policy = covey.load(run.folder, seed=0)                 a policy to act with
    evaluation = covey.evaluate(env, algorithm, states, key, episodes=100)

Nothing heavy is imported before it is used. Import it before JAX: then the compiler does not complain of every program
that it loads from disk (https://github.com/openxla/xla/issues/44565), unless `TF_CPP_MIN_LOG_LEVEL` says what to show.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from covey.environments import make
    from covey.environments.pettingzoo import to_pettingzoo
    from covey.runs.evaluate import evaluate
    from covey.runs.learning_curves import plot
    from covey.runs.policy import load
    from covey.runs.train import train

__all__ = ["__version__", "evaluate", "load", "make", "plot", "to_pettingzoo", "train"]

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when JAX is imported; what really fails is raised

_HOMES = {
    "make": "covey.environments",
    "to_pettingzoo": "covey.environments.pettingzoo",
    "train": "covey.runs.train",
    "load": "covey.runs.policy",
    "evaluate": "covey.runs.evaluate",
    "plot": "covey.runs.learning_curves",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("covey")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
