"""`toy/graph`: splits of traffic on a line of agents with neighbors; a bad split ends the episode early."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from covey.core.algorithm import Scripted
from covey.core.environment import Reference
from covey.core.errors import BadInput
from covey.core.registry import part
from covey.core.types import Field, Group, Groups, Spec, Splits, Table, TimeStep
from covey.environments.toy.chance import chance, need_time


class Demands(NamedTuple):
    """State of `toy/graph`."""

    clock: Any  # []  int32, steps taken
    wanted: Groups  # [n, P]  the split that is wanted, summed over each part 1, or 0 where the part is absent
    legal: Groups  # [n, P]  bool
    mismatch: Any  # [1 + routers]  of the last step, agents in global order


_PARTS = {"gate": (2,), "router": (3, 2)}


class GraphToy(eqx.Module):
    """A gate and R routers on a line split what they carry, as they are told.

    Groups: `gate`, one agent with one part of 2 components; `router`, R agents (by default three) with parts of 3 and
    2 components. The line is gate_0 - router_0 - router_1 - router_2. The last router has no second part: none of its
    components is ever legal. The third component of a first part is illegal in half of the steps, agent by agent. At
    each step the wanted split of each part is drawn: uniform weights in [0.2, 1] on the legal components, scaled to
    sum to 1.

    Observation, float32 [P]: the wanted split, P = 2 for the gate and 5 for routers; the last 2 of the last
    router are padding.
    Action: Splits, float32 [P]. Shares of illegal components are dropped; what is left is not rescaled.
    Reward, per agent: 1 - the mean mismatch of the agent and its neighbors. An agent's mismatch is the squared
    distance from its action to the wanted split, averaged over the parts that it has; it is at most 2 on a simplex.
    Ending: an overload, where any agent's mismatch exceeds `tolerance`, ends the episode with discount 0 for all; the
    time limit leaves the discount at 1.
    Neighbors: 2 each, with a mask. Global state, float32 [2 + 5 R]: the wanted splits in global order.
    """

    tolerance: float
    time_limit: int = eqx.field(static=True)
    fixed: bool = eqx.field(static=True)
    routers: int = eqx.field(static=True, default=3)

    @property
    def spec(self) -> Spec:
        names, valid = tuple(f"router_{i}" for i in range(self.routers)), (5,) * (self.routers - 1) + (3,)
        groups = {
            "gate": Group(("gate_0",), (Field("wanted", (2,), "share"),), Splits(_PARTS["gate"])),
            "router": Group(names, (Field("wanted", (5,), "share", valid=valid),), Splits(_PARTS["router"])),
        }
        state = (Field("wanted", (2 + 5 * self.routers,), "share"),)
        return Spec("toy/graph", Table(groups), self.time_limit, state=state, neighborhood=2)

    def reset(self, key: Any) -> tuple[Demands, TimeStep]:
        wanted, legal = self._draw(chance(self.fixed, key, 0))
        nothing = jnp.zeros(1 + self.routers, jnp.float32)
        return (state := Demands(jnp.int32(0), wanted, legal, nothing)), self._show(state, nothing, jnp.bool_(False))

    def step(self, key: Any, state: Demands, action: Groups) -> tuple[Demands, TimeStep]:
        errors = [
            jnp.square(jnp.where(state.legal[name], action[name], 0.0) - state.wanted[name]).sum(axis=1)
            for name in ("gate", "router")
        ]
        parts = jnp.array([1.0] + [2.0] * (self.routers - 1) + [1.0])  # that each agent has
        mismatch, (index, there) = jnp.concatenate(errors) / parts, self._line
        around = jnp.where(there, mismatch[index], 0.0).sum(axis=1) + mismatch
        reward = 1.0 - around / (1.0 + there.sum(axis=1))
        clock = state.clock + 1
        wanted, legal = self._draw(chance(self.fixed, key, clock))
        state = Demands(clock, wanted, legal, mismatch)
        return state, self._show(state, reward.astype(jnp.float32), over=(mismatch > self.tolerance).any())

    def measure(self, state: Demands) -> dict[str, Any]:
        """`mismatch`: mean over the agents, squared shares."""
        return {"mismatch": state.mismatch.mean()}

    def reference(self) -> Reference:
        return Reference(
            "optimum",
            "optimal",
            "The wanted split has no mismatch, so it earns 1, the most a step can pay, until the time limit.",
            value=float(self.time_limit),
        )

    def rules(self) -> dict[str, Callable[[], Scripted]]:
        return {"optimal": lambda: Scripted(self.spec, ("gate", "router"), _as_wanted)}

    @property
    def _line(self) -> tuple[np.ndarray, np.ndarray]:
        """Who stands beside whom in global order: index [1 + R, 2], and who is there."""
        number = np.arange(1 + self.routers)[:, None]
        index = np.concatenate([number - 1, number + 1], axis=1)
        there = (index >= 0) & (index <= self.routers)
        index, there = (np.where(number == 0, x[:, ::-1], x) for x in (index, there))  # who is there comes first
        return np.where(there, index, 0).astype(np.int32), there

    def _draw(self, key: Any) -> tuple[Groups, Groups]:
        """Wanted splits and legal components of one step."""
        draw = jax.random.uniform(key, (2 + 6 * self.routers,))
        narrow = np.array([[0, 0, 1, 0, 0]], bool) & (draw[: self.routers, None] < 0.5)
        present = np.ones((self.routers, 5), bool)
        present[-1, 3:] = False
        legal = {"gate": jnp.ones((1, 2), bool), "router": present & ~narrow}
        weight = 0.2 + 0.8 * draw[self.routers :]
        weights = {"gate": weight[None, :2], "router": weight[2:].reshape(self.routers, 5)}
        return {
            name: _scaled(jnp.where(legal[name], weights[name], 0.0), parts) for name, parts in _PARTS.items()
        }, legal

    def _show(self, state: Demands, reward: Any, over: Any) -> TimeStep:
        sizes, (index, there) = {"gate": slice(0, 1), "router": slice(1, 1 + self.routers)}, self._line
        going_on = jnp.where(over, 0.0, jnp.ones(1 + self.routers)).astype(jnp.float32)
        return TimeStep(
            obs=state.wanted,
            reward={name: reward[own] for name, own in sizes.items()},
            discount={name: going_on[own] for name, own in sizes.items()},
            alive={name: jnp.ones(own.stop - own.start, bool) for name, own in sizes.items()},
            last=over | (state.clock >= self.time_limit),
            legal=state.legal,
            state=jnp.concatenate([state.wanted["gate"].ravel(), state.wanted["router"].ravel()]),
            neighbors={name: (jnp.asarray(index[own]), jnp.asarray(there[own])) for name, own in sizes.items()},
        )


def graph(time_limit: int = 8, tolerance: float = 0.8, fixed: bool = False, routers: int = 3) -> GraphToy:
    """A gate and routers on a line split traffic as they are told.

    Args:
        time_limit: Length of an episode, in steps.
        tolerance: Mismatch of one agent (squared shares) beyond which the episode ends early.
        fixed: Make every episode the same, whatever the key.
        routers: How many routers stand behind the gate.
    """
    need_time(time_limit)
    if routers < 1:
        raise BadInput(f"`routers` is {routers}: a line needs at least one behind the gate.")
    if not tolerance > 0:
        raise BadInput(f"the tolerance is {tolerance}: without one, episodes end at once; make it above 0.")
    return GraphToy(tolerance, time_limit, fixed, routers)


def _scaled(weights: Any, parts: tuple[int, ...]) -> Any:
    """Weights [n, P] scaled so that each part sums to 1, or stays 0 where it has none."""
    pieces = jnp.split(weights, list(np.cumsum(parts)[:-1]), axis=1)
    return jnp.concatenate([x / jnp.maximum(x.sum(axis=1, keepdims=True), 1e-9) for x in pieces], axis=1)


@part
def _as_wanted(now: TimeStep, key: Any) -> Groups:
    return dict(now.obs)
