"""`toy/discrete`: two kinds of agents that differ, die, and may not do everything; a global state."""

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
from covey.core.types import Discrete, Field, Group, Groups, Spec, Table, TimeStep, fields_in
from covey.environments.toy.chance import chance, need_time


class Signals(NamedTuple):
    """State of `toy/discrete`."""

    clock: Any  # []  int32, steps taken
    alive: Groups  # [n]  bool
    signal: Groups  # [n]  int32, the action that pays
    legal: Groups  # [n, A]  bool
    right: Groups  # [n]  bool, who did the right thing in the last step (for `measure`)


OBSERVED = {
    "a": (Field("signal", (3,), "one-hot"), Field("mates", (3,), "alive", valid=(1, 2))),
    "b": (Field("signal", (2,), "one-hot"),),
}


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
    Ending: the trap kills the agent (its discount is 0, it is not alive from then on), the others go on. The episode
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
        groups = {
            "a": Group(("a_0", "a_1"), OBSERVED["a"], Discrete(3)),
            "b": Group(("b_0",), OBSERVED["b"], Discrete(2)),
        }
        state = (Field("signals", (8,), "one-hot"), Field("alive", (3,), "alive"))
        return Spec("toy/discrete", Table(groups), self.time_limit, state=state)

    def reset(self, key: Any) -> tuple[Signals, TimeStep]:
        signal, legal = self._draw(chance(self.fixed, key, 0))
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
        signal, legal = self._draw(chance(self.fixed, key, clock))
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
    need_time(time_limit)
    if not 0 <= bonus < np.inf:
        raise BadInput(f"the bonus is {bonus}, and the known optimum needs it to be 0 or more.")
    return DiscreteToy(bonus, time_limit, fixed)


def _free_the_dead(legal: Groups, alive: Groups) -> Groups:
    return {name: mask | ~alive[name][:, None] for name, mask in legal.items()}


def _share(flags: Groups) -> Any:
    return jnp.concatenate([flags[name] for name in sorted(flags)]).astype(jnp.float32).mean()


@part
def _follow_signal(now: TimeStep, key: Any) -> Groups:
    signals = {name: fields_in(fields, now.obs[name])["signal"] for name, fields in OBSERVED.items()}
    return {name: jnp.argmax(signal, axis=-1).astype(jnp.int32) for name, signal in signals.items()}
