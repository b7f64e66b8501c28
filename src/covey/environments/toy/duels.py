"""`toy/duel`: two sides that are alike, of two agents each; who follows its signal strikes whom it faces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.core.algorithm import Scripted
from covey.core.environment import Reference
from covey.core.errors import BadInput
from covey.core.registry import part
from covey.core.types import Discrete, Field, Group, Groups, Spec, Table, TimeStep, fields_in
from covey.environments.toy.chance import chance, need_time

SIDES = ("left", "right")
OBSERVED = (Field("signal", (3,), "one-hot"), Field("lives", (2,), "share"))


class Duels(NamedTuple):
    """State of `toy/duel`."""

    clock: Any  # []  int32, steps taken
    lives: Groups  # [2]  int32, that agents have left
    signal: Groups  # [2]  int32, the action that strikes
    over: Any  # []  bool


class DuelToy(eqx.Module):
    """Follow your signal, and whom you face loses a life.

    Groups: `left` and `right`, two agents each with three actions; left_0 faces right_0, left_1 faces right_1. At each
    step every agent has a signal, drawn uniformly from its actions.

    Observation, float32 [5], zeros for the dead: the own signal (one-hot, 3), then the own lives and those of whom it
    faces, as shares of all.
    Action: int32.
    Reward, per agent: 1 for a strike (following the signal while whom it faces lives), -1 for being struck.
    Ending: who has lost its lives is dead (discount 0), the others go on. The episode ends when a side is gone, with
    discount 0 for all; the time limit leaves the living at 1.
    Neighbors: the other agent of the own side, while it lives. No global state.
    """

    lives: int = eqx.field(static=True)
    time_limit: int = eqx.field(static=True)
    fixed: bool = eqx.field(static=True)

    @property
    def spec(self) -> Spec:
        groups = {side: Group((f"{side}_0", f"{side}_1"), OBSERVED, Discrete(3)) for side in SIDES}
        return Spec("toy/duel", Table(groups), self.time_limit, neighborhood=1)

    def reset(self, key: Any) -> tuple[Duels, TimeStep]:
        lives = {side: jnp.full(2, self.lives, jnp.int32) for side in SIDES}
        state = Duels(jnp.int32(0), lives, self._signals(chance(self.fixed, key, 0)), jnp.bool_(False))
        return state, self._show(state, {side: jnp.zeros(2) for side in SIDES}, gone=jnp.bool_(False))

    def step(self, key: Any, state: Duels, action: Groups) -> tuple[Duels, TimeStep]:
        alive = {side: state.lives[side] > 0 for side in SIDES}
        facing = alive["left"] & alive["right"]
        strikes = {side: facing & (action[side] == state.signal[side]) for side in SIDES}
        struck = {"left": strikes["right"], "right": strikes["left"]}
        lives = {side: state.lives[side] - struck[side] for side in SIDES}
        reward = {side: strikes[side].astype(jnp.float32) - struck[side] for side in SIDES}
        clock = state.clock + 1
        gone = jnp.stack([(lives[side] == 0).all() for side in SIDES]).any()
        over = gone | (clock >= self.time_limit)
        state = Duels(clock, lives, self._signals(chance(self.fixed, key, clock)), over)
        return state, self._show(state, reward, gone)

    def measure(self, state: Duels) -> dict[str, Any]:
        """At the end of an episode: `won_left`, `won_right` (more lives left than the other side)."""
        left, right = (state.lives[side].sum() for side in SIDES)
        found = {"won_left": left > right, "won_right": right > left}
        return {name: jnp.where(state.over, x.astype(jnp.float32), jnp.nan) for name, x in found.items()}

    def reference(self) -> Reference:
        return Reference(
            "optimum",
            "optimal",
            "Following the signal is best whatever the other side does; where both do, both strike as often as they "
            "are struck.",
        )

    def rules(self) -> dict[str, Callable[[], Scripted]]:
        return {"optimal": lambda: Scripted(self.spec, SIDES, _follow_signal)}

    def _signals(self, key: Any) -> Groups:
        drawn = jnp.floor(3 * jax.random.uniform(key, (4,))).astype(jnp.int32)
        return {"left": drawn[:2], "right": drawn[2:]}

    def _show(self, state: Duels, reward: Groups, gone: Any) -> TimeStep:
        alive = {side: state.lives[side] > 0 for side in SIDES}
        obs, near = {}, {}
        for number, (side, other) in enumerate((SIDES, SIDES[::-1])):
            lives = jnp.stack([state.lives[side], state.lives[other]], 1) / self.lives
            seen = jnp.concatenate([jax.nn.one_hot(state.signal[side], 3), lives], 1)
            obs[side] = seen * alive[side][:, None]
            near[side] = jnp.array([[1], [0]]) + 2 * number, alive[side][::-1, None]
        discount = {side: jnp.where(gone, 0.0, x).astype(jnp.float32) for side, x in alive.items()}
        return TimeStep(obs, reward, discount, alive, state.over, neighbors=near)


def duel(lives: int = 3, time_limit: int = 8, fixed: bool = False) -> DuelToy:
    """Two sides that are alike, of two agents each; who follows its signal strikes whom it faces.

    Args:
        lives: Strikes that kill an agent.
        time_limit: Length of an episode, in steps.
        fixed: Make every episode the same, whatever the key.
    """
    need_time(time_limit)
    if lives < 1:
        raise BadInput(f"an agent needs at least one life, got {lives}.")
    return DuelToy(lives, time_limit, fixed)


@part
def _follow_signal(now: TimeStep, key: Any) -> Groups:
    signals = {side: fields_in(OBSERVED, now.obs[side])["signal"] for side in SIDES}
    return {side: jnp.argmax(signal, axis=-1).astype(jnp.int32) for side, signal in signals.items()}
