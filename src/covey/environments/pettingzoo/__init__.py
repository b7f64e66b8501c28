"""PettingZoo both ways: its environments as covey's, and covey's environments as `ParallelEnv`s.

    covey train mappo pettingzoo:mpe2.simple_spread_v3 --env.lanes 16 --env.workers 2
    covey.to_pettingzoo(covey.make("particle/spread"))

Terry et al. 2021, https://pettingzoo.farama.org.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from covey.core.documents import read_mapping
from covey.core.environment import HostEnvironment
from covey.core.errors import BadInput
from covey.core.types import Groups, Spec, TimeStep
from covey.core.workers import Workers, lane_seeds
from covey.environments.pettingzoo.sources import MISSING, Source, maker_of

if TYPE_CHECKING:
    from covey.environments.pettingzoo.lanes import Lanes
    from covey.environments.pettingzoo.outside import Outside


def pettingzoo(
    module: str,
    *,
    lanes: int = 8,
    workers: int = 0,
    time_limit: int | None = None,
    arguments: str = "",
    state: bool = False,
    seed: int = 0,
) -> PettingZoo:
    """The PettingZoo environment that `module` makes with `parallel_env`, or with `env` where it can be converted.

    Instead of a module, an id of PettingZoo's own registry will do, such as `butterfly/pistonball_v6`.

    Args:
        lanes: How many copies play side by side: seeds x envs of a run.
        workers: Processes that share the lanes; 0: all in this process.
        time_limit: Steps after which an episode is cut, where the environment has no limit of its own.
        arguments: The environment's own keyword arguments, as in `N: 5, local_ratio: 0.3`.
        state: Show the environment's own global state to critics, where it has one; many repeat observations in it.
        seed: Decides the episodes that are trained on.
    """
    if lanes < 1 or workers < 0:
        raise BadInput(f"`lanes` must be at least 1 and `workers` at least 0, got {lanes} and {workers}.")
    if time_limit is not None and time_limit < 1:
        raise BadInput(f"`time_limit` must be at least 1 or left out, got {time_limit}.")
    settings = keywords(arguments)
    maker_of(module)  # here too, so that a wrong name is one sentence, and not the end of a worker
    return PettingZoo(Source(module, settings, time_limit, state), lanes, workers, seed)


class PettingZoo:
    """Lanes of one PettingZoo environment, in this process or in several."""

    def __init__(self, source: Source, lanes: int, workers: int, seed: int):
        self._source = source
        self._again = functools.partial(PettingZoo, source, lanes, workers, seed + 1)
        self._inner: Any = Workers(source, lanes, workers, seed) if workers else source(lane_seeds(seed, lanes))
        self._evaluation: PettingZoo | None = None

    @property
    def spec(self) -> Spec:
        return self._inner.spec

    @property
    def lanes(self) -> int:
        return self._inner.lanes

    def reseed(self, seeds: Sequence[int]) -> None:
        """What the next `reset` begins is decided by these, one a lane."""
        self._inner.reseed(seeds)

    def reset(self, *given: Any) -> TimeStep:
        if given:
            raise BadInput(
                f"{self.spec.name} lives outside JAX, and its `reset` takes no key: it begins an episode in every "
                "lane; to act in an environment of your own, see `policy.actions`."
            )
        return self._inner.reset()

    def step(self, action: Groups) -> tuple[TimeStep, TimeStep]:
        return self._inner.step(action)

    def evaluation(self) -> PettingZoo:
        """As many lanes again, so that the episodes of training go on while others are played."""
        if self._evaluation is None:
            self._evaluation = self._again()
        return self._evaluation

    def camera(self, watch: Callable[[np.ndarray], None]) -> Lanes:
        """One lane more; `watch` is shown every time step of it as the environment draws it, RGB uint8 [H, W, 3]."""
        return self._source.drawn()([0], watch)

    def close(self) -> None:
        self._inner.close()
        for more in (self._evaluation, self.__dict__.get("_interpreter")):
            if more is not None:
                more.close()

    # ------------------------------------------------------------------------------------------ for a loop of your own

    def time_step(self, observations: dict, infos: dict, agents: Sequence[Any]) -> TimeStep:
        """What PettingZoo showed the `agents` who act next, as the time step of ONE environment."""
        return self._interpreter.time_step(observations, infos, agents)

    def named(self, action: Groups, agents: Sequence[Any]) -> dict[Any, Any]:
        """The actions of ONE environment by agent, as PettingZoo's `step` takes them."""
        return self._interpreter.games[0].named({name: np.asarray(x) for name, x in action.items()}, agents)

    @functools.cached_property
    def _interpreter(self) -> Lanes:
        """A lane that is never played: it knows the agents' seats, which may be in other processes."""
        return self._source([0])


def to_pettingzoo(environment: Any) -> Outside:
    """A compiled environment as a `ParallelEnv`: `parallel_to_aec` of PettingZoo makes it an `AECEnv`.

    Agents have the names of the spec. Padding is left out of observations. Where a choice may be illegal, observations
    are dictionaries of `observation` and `action_mask`; of splits, the infos say what is `legal`, and shares are made
    to sum to 1. Every agent of `agents` has to act, in its space: anything else is a BadInput. Without a seed, the
    episodes are left to chance. BadInput for environments outside JAX.
    """
    try:
        from covey.environments.pettingzoo.outside import Outside
    except ModuleNotFoundError as error:
        raise BadInput(MISSING) from error
    if isinstance(environment, HostEnvironment):
        raise BadInput(
            f"{environment.spec.name!r} lives outside JAX already: only compiled environments can be converted."
        )
    return Outside(environment)


def keywords(arguments: str) -> dict[str, Any]:
    """Keyword arguments out of text such as `N: 5, local_ratio: 0.3`, in braces or without."""
    return read_mapping(arguments, f"`arguments` {arguments!r}", "N: 5, local_ratio: 0.3")
