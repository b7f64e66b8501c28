"""`jaxmarl:NAME`: environments of JaxMARL as covey's, compiled with the learner.

    covey train mappo jaxmarl:smax/3m --steps 1000000
    covey check jaxmarl:MPE_simple_spread_v3

families       what differs from one family of environments to the next
environment    dictionaries by agent as arrays by group
sources        ids, maps and options
drawing        pictures

Rutherford et al. 2023, https://arxiv.org/abs/2311.10090, https://github.com/FLAIROx/JaxMARL.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from covey.environments.jaxmarl.environment import JaxMARL
from covey.environments.jaxmarl.sources import family_of, source

__all__ = ["JaxMARL", "maker", "wrapped"]


def maker(name: str) -> Callable[..., JaxMARL]:
    """The function that makes `jaxmarl:NAME`: its keywords are covey's and those of JaxMARL's own constructor.

    `name` is an id of JaxMARL's registry, with a map or layout after a `/` where there are some; `smax/MAP` stands for
    `HeuristicEnemySMAX/MAP`. BadInput where there is no such environment.
    """
    found, what = source(name), f"jaxmarl:{name}"

    def make(*, time_limit: int | None = None, shaped_reward: float = 0.0, **options: Any) -> JaxMARL:
        """An environment of JaxMARL.

        Args:
            time_limit: Steps after which an episode is cut, before JaxMARL's own limit.
            shaped_reward: How much of JaxMARL's reward for steps on the way is added in training.
        """
        return JaxMARL(found(options, what), what, found.family, time_limit, shaped_reward)

    ours, theirs = dict(inspect.signature(make).parameters), found.options()
    del ours["options"]
    if not found.family.shaped:
        del ours["shaped_reward"]
    make.__signature__ = inspect.Signature([*ours.values(), *theirs.values()])  # type: ignore[attr-defined]
    make.__annotations__ |= {option: parameter.annotation for option, parameter in theirs.items()}
    return make


def wrapped(env: Any, name: str = "", time_limit: int | None = None, shaped_reward: float = 0.0) -> JaxMARL:
    """covey's environment of a `MultiAgentEnv` that you have made, under `name` (by default that of its class).

    Of a class that is none of JaxMARL's own, covey assumes that an episode which ends at `max_steps` or later was cut.
    """
    return JaxMARL(env, name or type(env).__name__, family_of(env), time_limit, shaped_reward)
