"""What covey asks of an environment: `reset` and `step` for one environment, without automatic resets.

`Environment` is written in JAX and compiled with the learner; `HostEnvironment` is batched NumPy and runs outside. What
they may offer besides is listed in `covey.core.optional`.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

from covey.core.errors import BadInput
from covey.core.optional import offered
from covey.core.types import Groups, Spec, TimeStep


class Reference(NamedTuple):
    """What an environment's numbers are held against.

    kind: "optimum" (nothing can beat it), "bound" (nothing can beat it, and it may be out of reach) or "rule" (what a
    practitioner would do). algorithm: the id of the rule that plays it. how: one sentence on how it is obtained.
    value: its mean return per episode (`return/<group>/mean_agent`) where it is known without playing, else None.
    """

    kind: str
    algorithm: str
    how: str
    value: float | None = None


class Demands(NamedTuple):
    """What functions that somebody writes for an environment have to reach at play, beyond beating random play.

    least, most: bounds on mean measures, by name, where the prior plays. below: measures that have to be lower than
    where actions are random. rule: one of `rules()`, whose episodes have to earn more of the reward than random ones,
    with probability `preferred` (the area under the curve). random_reward: the most that random play may earn a step.
    """

    least: dict[str, float]
    most: dict[str, float]
    below: tuple[str, ...]
    rule: str
    preferred: float
    random_reward: float


@runtime_checkable
class Environment(Protocol):
    """One environment, in JAX. Pure: everything that changes is in the state."""

    @property
    def spec(self) -> Spec: ...

    def reset(self, key: Any) -> tuple[Any, TimeStep]: ...

    def step(self, key: Any, state: Any, action: Groups) -> tuple[Any, TimeStep]: ...

    def measure(self, state: Any) -> dict[str, Any]:
        """Numbers people want to see, of the step that led to `state`: scalars, averaged over an episode.

        NaN where there is nothing to measure in this step; it is left out of the average.
        """
        ...

    def reference(self) -> Reference | None:
        """What this environment's returns are compared with."""
        ...


@runtime_checkable
class HostEnvironment(Protocol):
    """NumPy environments, batched over `lanes` (leading axis of every array).

    `step` returns the true successor and the time step to act on next (a reset where the episode ended). An environment
    that can be saved also offers `save() -> bytes` and `restore(bytes)`; without them a resumed run begins a new
    episode. An environment whose chance can be fixed offers `reseed(seeds)`, one a lane, which decide what the next
    `reset` begins. One that draws itself offers `camera(watch)`: one lane more, of which `watch` is shown every time
    step that `reset` and `step` return first, as RGB uint8 [H, W, 3].
    """

    @property
    def spec(self) -> Spec: ...

    @property
    def lanes(self) -> int: ...

    def reset(self) -> TimeStep: ...

    def step(self, action: Groups) -> tuple[TimeStep, TimeStep]: ...

    def close(self) -> None: ...


def demand_environment(made: Any, what: str) -> Any:
    """`made`, if it has a `spec`, `reset` and `step`; else a BadInput that calls it `what`."""
    sound = isinstance(getattr(made, "spec", None), Spec) and not isinstance(made, type)
    if not (sound and all(callable(getattr(made, name, None)) for name in ("reset", "step"))):
        raise BadInput(
            f"{what} is not an environment but a {type(made).__name__}: it needs a `spec` (covey.core.types.Spec), "
            "`reset` and `step`."
        )
    return made


def evaluation_world(environment: Any) -> Any:
    """The environment to evaluate in: `environment.evaluation()` (held-out data, no training bonus) where it offers
    one."""
    evaluation = offered(environment, "evaluation")
    return environment if evaluation is None else evaluation()


def measures(environment: Any, state: Any) -> dict[str, Any]:
    """`environment.measure(state)`, or nothing where the environment measures nothing."""
    measure = offered(environment, "measure")
    return {} if measure is None else measure(state)
