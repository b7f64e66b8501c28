"""`toy/continuous`: three agents move their centroid onto a target; a shared reward; only a time limit ends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.core.algorithm import Scripted
from covey.core.environment import Reference
from covey.core.errors import BadInput
from covey.core.types import Box, Field, Group, Groups, Spec, Table, TimeStep, fields_in
from covey.environments.neighbors import check_nearest, nearest_neighbors
from covey.environments.toy.chance import chance, need_time


class Movers(NamedTuple):
    """State of `toy/continuous`."""

    clock: Any  # []  int32, steps taken
    position: Any  # [n, 2]
    target: Any  # [2]


OBSERVED = (Field("offset", (2,), "plane units"), Field("position", (2,), "plane units"))


class ContinuousToy(eqx.Module):
    """Three agents move so that their centroid lies on a target.

    Group: `mover`, three agents. They start uniformly in [-1, 1]²; the target is the centroid plus an offset that is
    uniform in [-1, 1]². A step moves an agent by `stride` times its action, and nothing else changes: the environment
    is deterministic but for the reset. The plane has no walls.

    Observation, float32 [4]: the offset from the centroid to the target (2), the own position relative to the centroid
    (2), in plane units.
    Action: Box [-1, 1]², in strides; actions beyond are clipped.
    Reward, shared: minus the squared distance from the centroid to the target, after the move.
    Ending: the time limit only; the discount is always 1. There is no global state.
    Neighbors, where asked for (`nearest`): the nearest agents, the nearest first.
    """

    stride: float
    time_limit: int = eqx.field(static=True)
    fixed: bool = eqx.field(static=True)
    nearest: int = eqx.field(static=True, default=0)

    @property
    def spec(self) -> Spec:
        mover = Group(("mover_0", "mover_1", "mover_2"), OBSERVED, Box((-1.0, -1.0), (1.0, 1.0)))
        return Spec("toy/continuous", Table({"mover": mover}), self.time_limit, True, neighborhood=self.nearest)

    def reset(self, key: Any) -> tuple[Movers, TimeStep]:
        draw = jax.random.uniform(chance(self.fixed, key, 0), (4, 2), minval=-1.0)
        position, offset = draw[:3], draw[3]
        state = Movers(jnp.int32(0), position, position.mean(axis=0) + offset)
        return state, self._show(state, jnp.float32(0))

    def step(self, key: Any, state: Movers, action: Groups) -> tuple[Movers, TimeStep]:
        position = state.position + self.stride * jnp.clip(action["mover"], -1.0, 1.0)
        state = Movers(state.clock + 1, position, state.target)
        return state, self._show(state, -jnp.square(_offset(state)).sum())

    def measure(self, state: Movers) -> dict[str, Any]:
        """`distance`: from the centroid to the target, plane units."""
        return {"distance": jnp.linalg.norm(_offset(state))}

    def reference(self) -> Reference:
        return Reference(
            "optimum",
            "optimal",
            "Coordinates are independent and the centroid moves at most one stride in each, so the distance left after "
            "t steps is max(|offset| - t·stride, 0) at best; its square is integrated over the uniform offset.",
            value=-2.0 * sum(max(1.0 - t * float(self.stride), 0.0) ** 3 / 3.0 for t in range(1, self.time_limit + 1))
            if not self.fixed
            else None,
        )

    def rules(self) -> dict[str, Callable[[], Scripted]]:
        return {"optimal": lambda: Scripted(self.spec, ("mover",), CloseOffset(self.stride))}

    def _show(self, state: Movers, reward: Any) -> TimeStep:
        offset, alive = jnp.broadcast_to(_offset(state), (3, 2)), {"mover": jnp.ones(3, bool)}
        return TimeStep(
            obs={"mover": jnp.concatenate([offset, state.position - state.position.mean(axis=0)], axis=1)},
            reward={"mover": jnp.full(3, reward, jnp.float32)},
            discount={"mover": jnp.ones(3, jnp.float32)},
            alive=alive,
            last=state.clock >= self.time_limit,
            neighbors=nearest_neighbors({"mover": state.position}, alive, self.nearest),
        )


class CloseOffset(eqx.Module):
    """The optimal rule of `toy/continuous`: every agent takes the whole remaining offset, as far as a stride goes."""

    stride: float

    def __call__(self, now: TimeStep, key: Any) -> Groups:
        return {"mover": jnp.clip(fields_in(OBSERVED, now.obs["mover"])["offset"] / self.stride, -1.0, 1.0)}


def continuous(time_limit: int = 8, stride: float = 0.5, fixed: bool = False, nearest: int = 0) -> ContinuousToy:
    """Three agents move their centroid onto a target.

    Args:
        time_limit: Length of an episode, in steps.
        stride: How far an action of 1 moves an agent, in plane units.
        fixed: Make every episode the same, whatever the key.
        nearest: How many of the nearest agents each agent lists as neighbors.
    """
    need_time(time_limit)
    if not stride > 0:
        raise BadInput(f"the stride is {stride}: agents that cannot move need a stride above 0.")
    check_nearest(nearest, 2)
    return ContinuousToy(stride, time_limit, fixed, nearest)


def _offset(state: Movers) -> Any:
    return state.target - state.position.mean(axis=0)
