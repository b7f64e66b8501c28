"""The battle itself: two armies on a square map, step for step that of MAgent2.

A step is: attacks, in a random order; everybody alive heals a little; moves, in the order of soldiers; rewards. The
constants are those of Yang et al. 2018 and of MAgent2's `battle_v4`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from covey.core.algorithm import Scripted
from covey.core.environment import Reference
from covey.core.types import Discrete, Field, Group, Groups, Spec, Table, TimeStep
from covey.environments.battle.engagement import NOBODY, attacks, attacks_at_once, moves, moves_at_once
from covey.environments.battle.orders import (
    ARMIES,
    ATTACK,
    ATTACKS,
    CHOICES,
    DAMAGE,
    DEATH,
    HEALING,
    HEALTH,
    HIT,
    KILL,
    MOST_BLOWS,
    MOVES,
    STAY,
    STEP,
)
from covey.environments.battle.rules import Charge
from covey.environments.battle.sight import IDENTITY, SIDE, identities, small_map, surroundings, walls
from covey.environments.neighbors import nearest_others

Order = Literal["magent", "fair", "simultaneous"]


class Troops(NamedTuple):
    """State of a battle; soldiers [n] are the red ones, then the blue ones."""

    clock: Any  # []  int32
    position: Any  # [n, 2]  int32, (x, y)
    health: Any  # [n]  float32
    alive: Any  # [n]  bool
    acted: Any  # [n]  int32: the last action; CHOICES before the first
    earned: Any  # [n]  float32: by the last step
    kills: Any  # [2]  int32: of each army so far
    over: Any  # []  bool


class Battle(eqx.Module):
    """Two armies of equal strength. Groups `blue` and `red`.

    Observation, float32: the picture `view` [13, 13, C] of a disc around the soldier, then with `features` the vector
    `facts` [34]. C is 5: wall, own army, its health / 10, enemy, its health / 10; with `minimap` 7: after each health
    where that army is as a whole, and 1 more where the soldier itself is. Facts: its number in bits (10), its last
    action one-hot (21), what the last step earned, x and y as shares of the map.
    Action: Discrete(21): 13 moves of up to two cells, 8 attacks on the cells around.
    Reward, each: -0.005 a step, -0.1 an attack, 0.2 for hurting an enemy, 5 for killing one; who dies gets -0.1
    instead, and the 0.2 if it had hurt somebody.
    Ending: an army is gone (discount 0 for the rest), or the time limit.
    Global state, float32 [n, 3]: x, y and health of everybody, the red ones first; zeros for the dead.
    Neighbors, where asked for: the nearest living soldiers of the own army.
    """

    size: int = eqx.field(static=True)
    time_limit: int = eqx.field(static=True)
    minimap: bool = eqx.field(static=True)
    features: bool = eqx.field(static=True)
    order: Order = eqx.field(static=True)
    sides: bool = eqx.field(static=True)  # which army begins on the left is drawn
    nearest: int = eqx.field(static=True)

    @property
    def count(self) -> int:
        """Soldiers of an army."""
        return len(formation(self.size)[0])

    @property
    def spec(self) -> Spec:
        view = Field("view", (SIDE, SIDE, 7 if self.minimap else 5))
        facts = (Field("facts", (IDENTITY + CHOICES + 3,)),) if self.features else ()
        groups = {
            army: Group(tuple(f"{army}_{i}" for i in range(self.count)), (view, *facts), Discrete(CHOICES))
            for army in ARMIES
        }
        state = (Field("soldiers", (2 * self.count, 3), "cells, health"),)
        return Spec("battle", Table(groups), self.time_limit, state=state, neighborhood=self.nearest)

    def reset(self, key: Any) -> tuple[Troops, TimeStep]:
        left, right = formation(self.size)
        places = jnp.asarray(np.concatenate([left, right]))
        if self.sides:
            mirrored = jnp.asarray(np.concatenate([right, left]))
            places = jnp.where(jax.random.bernoulli(key), mirrored, places)
        n = len(places)
        state = Troops(
            clock=jnp.int32(0),
            position=places,
            health=jnp.full(n, HEALTH),
            alive=jnp.ones(n, bool),
            acted=jnp.full(n, CHOICES, jnp.int32),
            earned=jnp.zeros(n),
            kills=jnp.zeros(2, jnp.int32),
            over=jnp.bool_(False),
        )
        return state, self._show(state, state.alive, jnp.zeros(n))

    def step(self, key: Any, state: Troops, action: Groups) -> tuple[Troops, TimeStep]:
        n = len(state.health)
        k_attacks, k_moves = jax.random.split(key)
        first = jnp.arange(n) if self.order == "magent" else _shuffled(k_moves, n)
        return self.resolve(state, action, _shuffled(k_attacks, n), first)

    def resolve(self, state: Troops, action: Groups, attack_order: Any, move_order: Any) -> tuple[Troops, TimeStep]:
        """A step in which attacks and moves come in these orders: everybody's place in each, [n]."""
        together = self.order == "simultaneous"
        strike, go = (attacks_at_once, moves_at_once) if together else (attacks, moves)
        armies = jnp.arange(len(state.health)) // self.count
        chosen = jnp.where(state.alive, jnp.concatenate([action[army] for army in ARMIES]), STAY)
        fights = state.alive & (chosen >= len(MOVES))

        struck = state.position + jnp.asarray(ATTACKS)[jnp.maximum(chosen - len(MOVES), 0)]
        beside = self._occupants(state.position, state.alive)[self._cell(struck)]
        enemy = (beside >= 0) & (armies[jnp.maximum(beside, 0)] != armies)
        target = jnp.where(fights, jnp.where(enemy, beside, NOBODY), NOBODY - 1)
        blows = strike(attack_order, target, enough(state.health))

        health, alive = wounded(state.health, blows.taken), state.alive & ~blows.died
        health = jnp.where(alive, jnp.minimum(health + HEALING, HEALTH), health)

        aim = state.position + jnp.asarray(MOVES)[jnp.minimum(chosen, len(MOVES) - 1)]
        inside = ((aim > 0) & (aim < self.size - 1)).all(1)
        moving = alive & ~fights & (chosen != STAY) & inside
        cell = self._cell(jnp.clip(aim, 0, self.size - 1))
        occupant = self._occupants(state.position, alive)[cell]
        gets_there = go(move_order, moving, cell, occupant, self.size**2)
        position = jnp.where(gets_there[:, None], aim, state.position)

        earned = STEP + ATTACK * blows.acted + KILL * blows.killed
        earned = jnp.where(blows.died, DEATH, earned) + HIT * blows.hit
        earned = jnp.where(state.alive, earned, 0.0)
        clock = state.clock + 1
        gone = ~alive.reshape(2, -1).any(1).all()
        kills = state.kills + blows.killed.reshape(2, -1).sum(1, dtype=jnp.int32)
        over = gone | (clock >= self.time_limit)
        state = Troops(clock, position, health, alive, chosen.astype(jnp.int32), earned, kills, over)
        return state, self._show(state, alive & ~gone, earned)

    def measure(self, state: Troops) -> dict[str, Any]:
        """At the end of a battle: `won_red`, `won_blue` (more kills than the other), `kills_red` and `kills_blue`."""
        red, blue = state.kills[0], state.kills[1]
        found = {"won_red": red > blue, "won_blue": blue > red, "kills_red": red, "kills_blue": blue}
        return {name: jnp.where(state.over, x.astype(jnp.float32), jnp.nan) for name, x in found.items()}

    def reference(self) -> Reference:
        return Reference("rule", "charge", "Both armies charge: who is beside an enemy strikes, others close in.")

    def rules(self) -> dict[str, Callable[[], Scripted]]:
        def charge() -> Scripted:
            return Scripted(self.spec, tuple(sorted(ARMIES)), Charge(self.count), knows="everybody (centralized)")

        return {"charge": charge}

    def draw(self, axes: Any, state: Troops, now: TimeStep, action: Groups | None = None, history: Any = None) -> None:
        """The map on matplotlib `axes`; the fainter, the weaker, and the dead not at all."""
        axes.clear()
        position, health, alive = (
            np.asarray(x).reshape(2, self.count, -1) for x in (state.position, state.health, state.alive)
        )
        strength = np.where(alive, 0.25 + 0.75 * np.clip(health / HEALTH, 0, 1), 0.0)[..., 0]
        for place, fill, color in zip(position, strength, ("#c8443f", "#2f6db3"), strict=True):
            axes.scatter(*place.T, s=5000 / self.size**1.5, c=color, alpha=fill, linewidths=0)
        axes.set(xlim=(0, self.size - 1), ylim=(self.size - 1, 0), xticks=[], yticks=[], aspect="equal")
        axes.set_title(f"step {int(state.clock)}: red {alive[0].sum()}, blue {alive[1].sum()}")

    # ---------------------------------------------------------------------------------------------------------- pieces

    def _cell(self, position: Any) -> Any:
        return position[:, 1] * self.size + position[:, 0]

    def _occupants(self, position: Any, alive: Any) -> Any:
        """Who stands on every cell [size²]; `NOBODY` where it is free."""
        cells = self.size**2
        where = jnp.where(alive, self._cell(position), cells)  # the dead lie off the map
        return jnp.full(cells + 1, NOBODY).at[where].set(jnp.arange(len(alive)))[:cells]

    def _show(self, state: Troops, future: Any, earned: Any) -> TimeStep:
        def split(x: Any) -> Groups:
            return {army: x[i * self.count : (i + 1) * self.count] for i, army in enumerate(ARMIES)}

        facts = jnp.concatenate([state.position, state.health[:, None]], 1)
        return TimeStep(
            obs=self._seen(state),
            reward=split(earned),
            discount=split(jnp.where(future, 1.0, 0.0)),
            alive=split(state.alive),
            last=state.over,
            state=jnp.where(state.alive[:, None], facts, 0.0),
            neighbors=self._near(state) if self.nearest else {},
        )

    def _seen(self, state: Troops) -> Groups:
        """What everybody sees, the dead nothing."""
        where = jnp.where(state.alive, self._cell(state.position), self.size**2)
        armies = [slice(army * self.count, (army + 1) * self.count) for army in range(2)]

        def on_map(army: slice, x: Any) -> Any:
            return jnp.zeros(self.size**2 + 1).at[where[army]].set(x)[:-1].reshape(self.size, self.size)

        layers = [[on_map(army, 1.0), on_map(army, state.health[army] / HEALTH)] for army in armies]
        whole = [small_map(state.position[army], state.alive[army], self.size) for army in armies]
        seen = {}
        for us, them, name in ((0, 1, ARMIES[0]), (1, 0, ARMIES[1])):
            picture = jnp.stack([jnp.asarray(walls(self.size)), *layers[us], *layers[them]], -1)
            view = surroundings(picture, state.position[armies[us]])
            if self.minimap:
                own = whole[us][1]
                here = jnp.zeros((self.count, SIDE, SIDE)).at[jnp.arange(self.count), own[:, 0], own[:, 1]].set(1.0)
                ours, theirs = ((here + whole[army][0])[..., None] for army in (us, them))
                view = jnp.concatenate([view[..., :3], ours, view[..., 3:], theirs], -1)
            if self.features:
                view = jnp.concatenate([view.reshape(self.count, -1), self._facts(state)[armies[us]]], 1)
            alive = state.alive[armies[us]]
            seen[name] = jnp.where(alive.reshape(-1, *[1] * (view.ndim - 1)), view, 0.0)
        return seen

    def _facts(self, state: Troops) -> Any:
        last = jax.nn.one_hot(state.acted, CHOICES)
        number = jnp.asarray(identities(len(state.health)))
        return jnp.concatenate([number, last, state.earned[:, None], state.position / self.size], 1)

    def _near(self, state: Troops) -> Groups:
        """The `nearest` living soldiers of the own army, by their numbers over all groups in name order."""
        found = {}
        for army, name in enumerate(ARMIES):
            mine = slice(army * self.count, (army + 1) * self.count)
            place, first = state.position[mine].astype(jnp.float32), sorted(ARMIES).index(name) * self.count
            index, there = nearest_others(place, state.alive[mine], self.nearest)
            found[name] = index + first, there
        return found


def _shuffled(key: Any, count: int) -> Any:
    """Everybody's place in an order that is drawn (and compiles sooner than a `permutation`)."""
    return jnp.argsort(jax.random.bits(key, (count,)))


def enough(health: Any) -> Any:
    """Blows that kill, int32 [n], counted as the engine does, one by one in float32."""
    count = jnp.full(health.shape, MOST_BLOWS, jnp.int32)
    left = health
    for k in range(MOST_BLOWS):
        left = left - DAMAGE
        count = jnp.where(left < 0, jnp.minimum(count, k + 1), count)
    return count


def wounded(health: Any, blows: Any) -> Any:
    """Health [n] after so many blows [n]."""
    for k in range(MOST_BLOWS):
        health = jnp.where(blows > k, health - DAMAGE, health)
    return health


def formation(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the armies stand at the beginning, (x, y) [count, 2] each: every other cell of two blocks beside the
    middle, as MAgent2 places them."""
    side, gap = 2 * int(np.sqrt(size * size * 0.04)), 3
    rows = range((size - side) // 2, (size - side) // 2 + side, 2)
    blocks = [range(size // 2 - gap - side, size // 2 - gap, 2), range(size // 2 + gap, size // 2 + gap + side, 2)]
    left, right = (
        np.array([(x, y) for x in block for y in rows if 0 < x < size - 1 and 0 < y < size - 1], np.int32)
        for block in blocks
    )
    return left, right
