"""Three tiny worlds with known optima: they compile in a second and carry the tests of every algorithm.

    toy/discrete     two kinds of agents that differ, die, and may not do everything; a global state
    toy/continuous   three agents move their centroid onto a target; a shared reward; only a time limit ends it
    toy/graph        splits of traffic on a line of four agents with neighbors; a bad split ends the world early

Each has the rule `optimal`, whose return is known exactly. With `fixed` every episode of a world is the same: chance
is drawn from the clock instead of the key, so that two programs that step it can be compared bit by bit.
"""

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
from covey.core.types import Box, Discrete, Field, Group, Groups, Spec, Splits, Table, TimeStep


def _chance(fixed: bool, key: Any, clock: Any) -> Any:
    """The key to draw from at time `clock`: the given one, or one that depends on the clock alone."""
    return jax.random.fold_in(jax.random.key(0), clock) if fixed else key


def _need_time(time_limit: int) -> None:
    if time_limit < 1:
        raise BadInput(f"an episode needs at least one step: time_limit is {time_limit}, make it 1 or more.")


# ---------------------------------------------------------------------------------------------------------------------
# toy/discrete


class Signals(NamedTuple):
    """State of `toy/discrete`."""

    clock: Any  # []  int32, steps taken
    alive: Groups  # [n]  bool
    signal: Groups  # [n]  int32, the action that pays
    legal: Groups  # [n, A]  bool
    right: Groups  # [n]  bool, who did the right thing in the last step (for `measure`)


class DiscreteToy(eqx.Module):
    """Follow your signal; a wrong turn is the last one.

    Groups: `a` has two agents with three actions, `b` one agent with two. At each step every agent has a signal, drawn
    uniformly from its actions. An agent has two legal actions or one: of group `a`, the signaled action s, and either
    s + 1, the trap, or s + 2, a rest (both modulo 3, with equal odds); of group `b`, the signaled action, and the other
    one, a trap, in half of the steps.

    Observation, float32, zeros for the dead. Of `a` [6]: the own signal (one-hot, 3), then "mates" (3), who else is
    alive: `a_0` sees only `a_1`; `a_1` sees `a_0` and `b_0`. The rest of `mates` is padding. Of `b` [2]: the signal.
    Action: int32. An illegal action counts as the trap.
    Reward, per agent: 1 for following the signal, 0 for a rest, 0 for the trap. In group `a` following pays `bonus`
    more in a step in which `b_0` is alive and follows its own signal.
    Ending: the trap kills the agent (its discount is 0, it is not alive from then on), the others go on. The world
    ends when all of group `a` are dead, with discount 0 for `b` too; the time limit leaves the living at 1. The dead
    may do everything (a mask that is never empty), and it changes nothing.
    Global state, float32 [11]: signals one-hot, `a_0`, `a_1` (3 each), `b_0` (2), then who is alive (3). Signals of
    the dead are zeros.
    """

    bonus: float
    time_limit: int = eqx.field(static=True)
    fixed: bool = eqx.field(static=True)

    @property
    def spec(self) -> Spec:
        signal, mates = Field("signal", (3,), "one-hot"), Field("mates", (3,), "alive", valid=(1, 2))
        groups = {
            "a": Group(("a_0", "a_1"), (signal, mates), Discrete(3)),
            "b": Group(("b_0",), (Field("signal", (2,), "one-hot"),), Discrete(2)),
        }
        state = (Field("signals", (8,), "one-hot"), Field("alive", (3,), "alive"))
        return Spec("toy/discrete", Table(groups), self.time_limit, state=state)

    def reset(self, key: Any) -> tuple[Signals, TimeStep]:
        signal, legal = self._draw(_chance(self.fixed, key, 0))
        alive = {"a": jnp.ones(2, bool), "b": jnp.ones(1, bool)}
        right = {name: jnp.zeros(x.shape, bool) for name, x in alive.items()}
        state = Signals(jnp.int32(0), alive, signal, _free_the_dead(legal, alive), right)
        nothing = {name: jnp.zeros(x.shape, jnp.float32) for name, x in alive.items()}
        return state, self._show(state, nothing, over=jnp.bool_(False))

    def step(self, key: Any, state: Signals, action: Groups) -> tuple[Signals, TimeStep]:
        right = {name: state.alive[name] & (action[name] == state.signal[name]) for name in state.alive}
        rest = (action["a"] == (state.signal["a"] + 2) % 3) & state.legal["a"][jnp.arange(2), action["a"]]
        alive = {"a": state.alive["a"] & (right["a"] | rest), "b": right["b"]}
        reward = {
            "a": jnp.where(right["a"], 1.0 + self.bonus * right["b"], 0.0).astype(jnp.float32),
            "b": right["b"].astype(jnp.float32),
        }
        clock = state.clock + 1
        signal, legal = self._draw(_chance(self.fixed, key, clock))
        state = Signals(clock, alive, signal, _free_the_dead(legal, alive), right)
        return state, self._show(state, reward, over=~alive["a"].any())

    def measure(self, state: Signals) -> dict[str, Any]:
        """`alive`: share of the agents that live. `right`: share that just followed its signal."""
        return {"alive": _share(state.alive), "right": _share(state.right)}

    def reference(self) -> Reference:
        return Reference(
            "optimum",
            "optimal",
            "Following the signal pays most in every step and never kills, so agents of `a` earn (1 + bonus) and `b` "
            "earns 1 per step until the time limit; the value is group `a`'s.",
            value=self.time_limit * (1.0 + float(self.bonus)),
        )

    def rules(self) -> dict[str, Callable[[], Scripted]]:
        return {"optimal": lambda: Scripted(self.spec, ("a", "b"), _follow_signal)}

    def _draw(self, key: Any) -> tuple[Groups, Groups]:
        """Signals and legal actions of one step."""
        draw = jax.random.uniform(key, (6,))  # one draw, because compiling several takes longer than the rest
        signal = {
            "a": jnp.floor(3 * draw[:2]).astype(jnp.int32),
            "b": jnp.floor(2 * draw[2:3]).astype(jnp.int32),
        }
        trap_a, trap_b = draw[3:5] < 0.5, draw[5:] < 0.5
        after = (jnp.arange(3) - signal["a"][:, None]) % 3  # 0: the signal, 1: the trap, 2: the rest
        legal_a = (after == 0) | jnp.where(trap_a[:, None], after == 1, after == 2)
        legal_b = (jnp.arange(2) == signal["b"][:, None]) | trap_b[:, None]
        return signal, {"a": legal_a, "b": legal_b}

    def _show(self, state: Signals, reward: Groups, over: Any) -> TimeStep:
        signal = {
            name: jax.nn.one_hot(state.signal[name], size) * state.alive[name][:, None]
            for name, size in (("a", 3), ("b", 2))
        }
        (a_0, a_1), (b_0,) = state.alive["a"].astype(jnp.float32), state.alive["b"].astype(jnp.float32)
        mates = jnp.stack([jnp.stack([a_1, a_1 * 0, a_1 * 0]) * a_0, jnp.stack([a_0, b_0, b_0 * 0]) * a_1])
        return TimeStep(
            obs={"a": jnp.concatenate([signal["a"], mates], axis=1), "b": signal["b"]},
            reward=reward,
            discount={name: jnp.where(over, 0.0, alive).astype(jnp.float32) for name, alive in state.alive.items()},
            alive=state.alive,
            last=over | (state.clock >= self.time_limit),
            legal=state.legal,
            state=jnp.concatenate([signal["a"].ravel(), signal["b"].ravel(), jnp.stack([a_0, a_1, b_0])]),
        )


def discrete(time_limit: int = 8, bonus: float = 0.5, fixed: bool = False) -> DiscreteToy:
    """Two kinds of agents follow signals; the wrong turn kills.

    Args:
        time_limit: Length of an episode, in steps.
        bonus: What group `a` earns more per right step while `b` is right too.
        fixed: Make every episode the same, whatever the key.
    """
    _need_time(time_limit)
    if not 0 <= bonus < np.inf:
        raise BadInput(f"the bonus is {bonus}, and the known optimum needs it to be 0 or more.")
    return DiscreteToy(bonus, time_limit, fixed)


def _free_the_dead(legal: Groups, alive: Groups) -> Groups:
    return {name: mask | ~alive[name][:, None] for name, mask in legal.items()}


def _share(flags: Groups) -> Any:
    return jnp.concatenate([flags[name] for name in sorted(flags)]).astype(jnp.float32).mean()


def _follow_signal(now: TimeStep, key: Any) -> Groups:
    signals = {"a": now.obs["a"][:, :3], "b": now.obs["b"]}
    return {name: jnp.argmax(signal, axis=-1).astype(jnp.int32) for name, signal in signals.items()}


# ---------------------------------------------------------------------------------------------------------------------
# toy/continuous


class Movers(NamedTuple):
    """State of `toy/continuous`."""

    clock: Any  # []  int32, steps taken
    position: Any  # [n, 2]
    target: Any  # [2]


class ContinuousToy(eqx.Module):
    """Three agents move so that their centroid lies on a target.

    Group: `mover`, three agents. They start uniformly in [-1, 1]²; the target is the centroid plus an offset that is
    uniform in [-1, 1]². A step moves an agent by `stride` times its action, and nothing else changes: the world is
    deterministic but for the reset. The plane has no walls.

    Observation, float32 [4]: the offset from the centroid to the target (2), the own position relative to the centroid
    (2), in plane units.
    Action: Box [-1, 1]², in strides; actions beyond are clipped.
    Reward, shared: minus the squared distance from the centroid to the target, after the move.
    Ending: the time limit only; the discount is always 1. There is no global state.
    """

    stride: float
    time_limit: int = eqx.field(static=True)
    fixed: bool = eqx.field(static=True)

    @property
    def spec(self) -> Spec:
        obs = (Field("offset", (2,), "plane units"), Field("position", (2,), "plane units"))
        mover = Group(("mover_0", "mover_1", "mover_2"), obs, Box((-1.0, -1.0), (1.0, 1.0)))
        return Spec("toy/continuous", Table({"mover": mover}), self.time_limit, shared_reward=True)

    def reset(self, key: Any) -> tuple[Movers, TimeStep]:
        draw = jax.random.uniform(_chance(self.fixed, key, 0), (4, 2), minval=-1.0)
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
        offset = jnp.broadcast_to(_offset(state), (3, 2))
        return TimeStep(
            obs={"mover": jnp.concatenate([offset, state.position - state.position.mean(axis=0)], axis=1)},
            reward={"mover": jnp.full(3, reward, jnp.float32)},
            discount={"mover": jnp.ones(3, jnp.float32)},
            alive={"mover": jnp.ones(3, bool)},
            last=state.clock >= self.time_limit,
        )


class CloseOffset(eqx.Module):
    """The optimal rule of `toy/continuous`: every agent takes the whole remaining offset, as far as a stride goes."""

    stride: float

    def __call__(self, now: TimeStep, key: Any) -> Groups:
        return {"mover": jnp.clip(now.obs["mover"][:, :2] / self.stride, -1.0, 1.0)}


def continuous(time_limit: int = 8, stride: float = 0.5, fixed: bool = False) -> ContinuousToy:
    """Three agents move their centroid onto a target.

    Args:
        time_limit: Length of an episode, in steps.
        stride: How far an action of 1 moves an agent, in plane units.
        fixed: Make every episode the same, whatever the key.
    """
    _need_time(time_limit)
    if not stride > 0:
        raise BadInput(f"the stride is {stride}: agents that cannot move need a stride above 0.")
    return ContinuousToy(stride, time_limit, fixed)


def _offset(state: Movers) -> Any:
    return state.target - state.position.mean(axis=0)


# ---------------------------------------------------------------------------------------------------------------------
# toy/graph


class Demands(NamedTuple):
    """State of `toy/graph`."""

    clock: Any  # []  int32, steps taken
    wanted: Groups  # [n, P]  the split that is wanted, summed over each part 1, or 0 where the part is absent
    legal: Groups  # [n, P]  bool
    mismatch: Any  # [4]  of the last step, agents in global order


_PARTS = {"gate": (2,), "router": (3, 2)}
_PRESENT = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)  # the parts that routers have
_ORDER = ("gate_0", "router_0", "router_1", "router_2")
_NEIGHBORS = np.array([[1, 0], [0, 2], [1, 3], [2, 0]], np.int32)  # [agents, M], on the line in global order
_NEIGHBOR_MASK = np.array([[1, 0], [1, 1], [1, 1], [1, 0]], bool)


class GraphToy(eqx.Module):
    """Four agents on a line split what they carry, as they are told.

    Groups: `gate`, one agent with one part of 2 components; `router`, three agents with parts of 3 and 2 components.
    The line is gate_0 - router_0 - router_1 - router_2. `router_2` has no second part: none of its components is ever
    legal. The third component of a first part is illegal in half of the steps, agent by agent. At each step the wanted
    split of each part is drawn: uniform weights in [0.2, 1] on the legal components, scaled to sum to 1.

    Observation, float32 [P]: the wanted split, P = 2 for the gate and 5 for routers; the last 2 of `router_2` are
    padding.
    Action: Splits, float32 [P]. Shares of illegal components are dropped; the world does not rescale what is left.
    Reward, per agent: 1 - the mean mismatch of the agent and its neighbors. An agent's mismatch is the squared
    distance from its action to the wanted split, averaged over the parts that it has; it is at most 2 on a simplex.
    Ending: an overload, where any agent's mismatch exceeds `tolerance`, ends the world with discount 0 for all; the
    time limit leaves the discount at 1.
    Neighbors: 2 each, with a mask. Global state, float32 [17]: the wanted splits in global order.
    """

    tolerance: float
    time_limit: int = eqx.field(static=True)
    fixed: bool = eqx.field(static=True)

    @property
    def spec(self) -> Spec:
        groups = {
            "gate": Group(_ORDER[:1], (Field("wanted", (2,), "share"),), Splits(_PARTS["gate"])),
            "router": Group(_ORDER[1:], (Field("wanted", (5,), "share", valid=(5, 5, 3)),), Splits(_PARTS["router"])),
        }
        state = (Field("wanted", (17,), "share"),)
        return Spec("toy/graph", Table(groups), self.time_limit, state=state, neighborhood=2)

    def reset(self, key: Any) -> tuple[Demands, TimeStep]:
        wanted, legal = self._draw(_chance(self.fixed, key, 0))
        state = Demands(jnp.int32(0), wanted, legal, jnp.zeros(4, jnp.float32))
        return state, self._show(state, jnp.zeros(4, jnp.float32), over=jnp.bool_(False))

    def step(self, key: Any, state: Demands, action: Groups) -> tuple[Demands, TimeStep]:
        errors = [
            jnp.square(jnp.where(state.legal[name], action[name], 0.0) - state.wanted[name]).sum(axis=1)
            for name in ("gate", "router")
        ]
        mismatch = jnp.concatenate(errors) / jnp.array([1.0, 2.0, 2.0, 1.0])  # over the parts that each agent has
        around = jnp.where(_NEIGHBOR_MASK, mismatch[_NEIGHBORS], 0.0).sum(axis=1) + mismatch
        reward = 1.0 - around / (1.0 + _NEIGHBOR_MASK.sum(axis=1))
        clock = state.clock + 1
        wanted, legal = self._draw(_chance(self.fixed, key, clock))
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

    def _draw(self, key: Any) -> tuple[Groups, Groups]:
        """Wanted splits and legal components of one step."""
        draw = jax.random.uniform(key, (20,))
        narrow = np.array([[0, 0, 1, 0, 0]], bool) & (draw[:3, None] < 0.5)
        legal = {"gate": jnp.ones((1, 2), bool), "router": _PRESENT & ~narrow}
        weight = 0.2 + 0.8 * draw[3:]
        weights = {"gate": weight[None, :2], "router": weight[2:].reshape(3, 5)}
        return {
            name: _scaled(jnp.where(legal[name], weights[name], 0.0), parts) for name, parts in _PARTS.items()
        }, legal

    def _show(self, state: Demands, reward: Any, over: Any) -> TimeStep:
        sizes = {"gate": slice(0, 1), "router": slice(1, 4)}
        going_on = jnp.where(over, 0.0, jnp.ones(4)).astype(jnp.float32)
        return TimeStep(
            obs=state.wanted,
            reward={name: reward[own] for name, own in sizes.items()},
            discount={name: going_on[own] for name, own in sizes.items()},
            alive={name: jnp.ones(own.stop - own.start, bool) for name, own in sizes.items()},
            last=over | (state.clock >= self.time_limit),
            legal=state.legal,
            state=jnp.concatenate([state.wanted["gate"].ravel(), state.wanted["router"].ravel()]),
            neighbors={
                name: (jnp.asarray(_NEIGHBORS[own]), jnp.asarray(_NEIGHBOR_MASK[own])) for name, own in sizes.items()
            },
        )


def graph(time_limit: int = 8, tolerance: float = 0.8, fixed: bool = False) -> GraphToy:
    """Four agents on a line split traffic as they are told.

    Args:
        time_limit: Length of an episode, in steps.
        tolerance: Mismatch of one agent (squared shares) beyond which the world ends early.
        fixed: Make every episode the same, whatever the key.
    """
    _need_time(time_limit)
    if not tolerance > 0:
        raise BadInput(f"the tolerance is {tolerance}: a world that forgives nothing never goes on; make it above 0.")
    return GraphToy(tolerance, time_limit, fixed)


def _scaled(weights: Any, parts: tuple[int, ...]) -> Any:
    """Weights [n, P] scaled so that each part sums to 1, or stays 0 where it has none."""
    pieces = jnp.split(weights, list(np.cumsum(parts)[:-1]), axis=1)
    return jnp.concatenate([x / jnp.maximum(x.sum(axis=1, keepdims=True), 1e-9) for x in pieces], axis=1)


def _as_wanted(now: TimeStep, key: Any) -> Groups:
    return dict(now.obs)
