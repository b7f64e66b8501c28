"""PettingZoo both ways: its environments as covey's worlds, and covey's worlds as `ParallelEnv`s.

    covey train mappo pettingzoo:mpe2.simple_spread_v3 --env.lanes 16 --env.workers 2
    covey.to_pettingzoo(covey.make("particle/spread"))

Terry et al. 2021, https://pettingzoo.farama.org.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from covey.core.documents import read_mapping
from covey.core.environment import HostEnvironment
from covey.core.errors import BadInput
from covey.core.types import Groups, Spec, TimeStep
from covey.core.workers import Make, Workers, lane_seeds

if TYPE_CHECKING:
    from covey.environments.pettingzoo.outside import Outside

NEEDED = ("gymnasium", "pettingzoo")
MISSING = "PettingZoo is not installed: `pip install 'covey[pettingzoo]'`."


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
    return PettingZoo(functools.partial(lanes_of, module, time_limit, settings, state), lanes, workers, seed)


class PettingZoo:
    """Lanes of one PettingZoo environment, in this process or in several."""

    def __init__(self, make: Make, lanes: int, workers: int, seed: int):
        self._again = functools.partial(PettingZoo, make, lanes, workers, seed + 1)
        self._inner: Any = Workers(make, lanes, workers, seed) if workers else make(lane_seeds(seed, lanes))
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

    def reset(self) -> TimeStep:
        return self._inner.reset()

    def step(self, action: Groups) -> tuple[TimeStep, TimeStep]:
        return self._inner.step(action)

    def evaluation(self) -> PettingZoo:
        """As many lanes again, so that the episodes of training go on while others are played."""
        if self._evaluation is None:
            self._evaluation = self._again()
        return self._evaluation

    def close(self) -> None:
        self._inner.close()
        if self._evaluation is not None:
            self._evaluation.close()


def to_pettingzoo(environment: Any) -> Outside:
    """The world as a `ParallelEnv`: `parallel_to_aec` of PettingZoo makes it an `AECEnv`.

    Agents have the names of the spec. Padding is left out of observations. Where a choice may be illegal, observations
    are dictionaries of `observation` and `action_mask`; of splits, the infos say what is `legal`, and shares are made
    to sum to 1. BadInput for worlds outside JAX.
    """
    try:
        from covey.environments.pettingzoo.outside import Outside
    except ModuleNotFoundError as error:
        raise BadInput(MISSING) from error
    if isinstance(environment, HostEnvironment):
        raise BadInput(f"{environment.spec.name!r} lives outside JAX already: only compiled worlds can be converted.")
    return Outside(environment)


# ---------------------------------------------------------------------------------------------------------------------
# Making


def lanes_of(module: str, time_limit: int | None, settings: dict[str, Any], state: bool, seeds: Sequence[int]) -> Any:
    """One game for each seed, in this process."""
    from covey.environments.pettingzoo.lanes import Lanes

    return Lanes(functools.partial(game_of, module, settings), seeds, f"pettingzoo:{module}", time_limit, state)


def game_of(module: str, settings: dict[str, Any]) -> Any:
    """One `ParallelEnv`."""
    from pettingzoo.utils.conversions import aec_to_parallel

    make = maker_of(module)
    try:
        env = make(**settings)
    except TypeError as error:
        raise BadInput(f"pettingzoo:{module} cannot be made with {settings or 'no arguments'}: {error}.") from error
    if hasattr(env, "agent_iter"):  # agents move one after the other
        if not env.metadata.get("is_parallelizable", False):
            raise BadInput(
                f"in pettingzoo:{module} agents move one after the other, and its metadata does not say that it "
                "`is_parallelizable`: covey plays worlds in which all agents move at once."
            )
        env = aec_to_parallel(env)
    return env


def maker_of(module: str) -> Any:
    """The function `parallel_env`, or `env`, of a module; or what makes an id of PettingZoo's registry."""
    if "/" in module:
        return registered(module)
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name in NEEDED:
            raise BadInput(MISSING) from error
        raise BadInput(f"pettingzoo:{module} cannot be imported: there is no module {error.name!r}.") from error
    make = getattr(found, "parallel_env", None) or getattr(found, "env", None)
    if not callable(make):
        raise BadInput(f"the module {module!r} is no PettingZoo environment: it has neither `parallel_env` nor `env`.")
    return make


def registered(id: str) -> Any:
    """What makes the environment that PettingZoo's registry calls `id`, in the parallel form where it has one."""
    try:
        from pettingzoo.env_registry import exceptions, registration
    except ModuleNotFoundError as error:
        raise BadInput(f"pettingzoo:{id} asks for PettingZoo's registry: `pip install 'covey[pettingzoo]'`.") from error
    for kind in ("parallel", "aec"):
        try:
            return functools.partial(registration.make, kind, registration.spec(kind, id))  # type: ignore[call-overload]
        except exceptions.PettingZooRegistryError as error:
            reason = error
    raise BadInput(f"PettingZoo's registry does not have {id!r}: {reason}") from reason


def keywords(arguments: str) -> dict[str, Any]:
    """Keyword arguments out of text such as `N: 5, local_ratio: 0.3`, in braces or without."""
    return read_mapping(arguments, f"`arguments` {arguments!r}", "N: 5, local_ratio: 0.3")
