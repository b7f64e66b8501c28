"""`particle/collect-treasure`: collectors carry treasures to the banks that take them (Iqbal & Sha 2019)."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from covey.environments.particle.base import Particle, check_counts
from covey.environments.particle.physics import Kind, distances, length

NOWHERE = -999.0  # where a treasure is that was picked up
EDGE = 0.95  # treasures appear in [-EDGE, EDGE]²


class Treasures(NamedTuple):
    """What is where, and what the last step brought."""

    kind: Any  # [t]  int32
    there: Any  # [t]  bool
    holding: Any  # [c]  int32: kind of treasure; -1 with empty hands
    earned: Any  # []  float32, of everybody


class CollectTreasure(Particle):
    """Collectors pick treasures up by touching them and bring each to the deposit of its kind; both pay 5 to everybody.

    Sees: its position and velocity; (collectors: what it holds;) the other agents from near to far, each with relative
    position, velocity, kind of deposit and what it holds; the treasures from near to far, each with relative position
    and kind, zeros for those that are gone. Collectors pay 5 for each other collector that they touch, and 0.1 of the
    distance to the nearest treasure, or to the deposit of what they hold; deposits 0.1 of the distance to the nearest
    collector that brings them something, or else to the middle of all collectors. A treasure that was picked up appears
    somewhere else in the next step, as any kind. Nobody pushes anybody.
    """

    collectors: int = eqx.field(static=True)
    deposits: int = eqx.field(static=True)
    treasures: int = eqx.field(static=True)

    name = "particle/collect-treasure"

    @property
    def agents(self):
        ghost = Kind(self.collectors, collides=False, thrust=1.5, top_speed=1.0)
        return {"collector": ghost, "deposit": ghost._replace(count=self.deposits, radius=0.075, mass=2.25)}

    @property
    def landmarks(self):
        return {"treasure": Kind(self.treasures, radius=0.025, collides=False)}

    def spawn(self, key):
        k_place, k_kind = jax.random.split(key)
        kind = jax.random.randint(k_kind, (self.treasures,), 0, self.deposits)
        there = jnp.ones(self.treasures, bool)
        return self.begin(
            k_place, Treasures(kind, there, jnp.full(self.collectors, -1, jnp.int32), jnp.float32(0)), spread=EDGE
        )

    def appear(self, key: Any) -> tuple[Any, Any]:
        """Where treasures that were gone appear [t, 2], and of which kinds [t]."""
        k_place, k_kind = jax.random.split(key)
        place = jax.random.uniform(k_place, (self.treasures, 2), minval=-EDGE, maxval=EDGE)
        return place, jax.random.randint(k_kind, (self.treasures,), 0, self.deposits)

    def settle(self, key, state):
        at, treasures = self.rows(state.position), state.drawn
        near = distances(at["treasure"], at["collector"]) < 0.025 + 0.05  # [t, c]
        holding, taken = treasures.holding, []
        for t in range(self.treasures):  # in turn: who has something picks up nothing more
            free = near[t] & (holding < 0) & treasures.there[t]
            first = free & (jnp.cumsum(free) == 1)
            holding = jnp.where(first, treasures.kind[t], holding)
            taken.append(free.any())
        taken = jnp.stack(taken)
        place, kind = self.appear(key)
        place = jnp.where(treasures.there[:, None], at["treasure"], place)
        place = jnp.where(taken[:, None], NOWHERE, place)
        kind = jnp.where(treasures.there, treasures.kind, kind)
        wanted = (holding[:, None] == np.arange(self.deposits)) & self._at_deposit(at)
        brought = wanted.any(1)
        earned = 5.0 * (taken.sum() + brought.sum()).astype(jnp.float32)
        treasures = Treasures(kind, ~taken, jnp.where(brought, -1, holding), earned)
        return state._replace(position=jnp.concatenate([state.position[: self.count], place]), drawn=treasures)

    def see(self, state):
        at, treasures, kinds = self.rows(state.position), state.drawn, np.arange(self.deposits)
        mine, n = state.position[: self.count], self.collectors
        holds = (treasures.holding[:, None] == kinds).astype(jnp.float32)  # [c, k]
        blank = jnp.zeros((n, self.deposits))
        role = jnp.concatenate([jnp.concatenate([blank, holds], 1), np.eye(self.deposits, 2 * self.deposits)])
        offset = mine - mine[:, None]
        about = [jnp.broadcast_to(x, (self.count, *x.shape)) for x in (state.velocity, role)]
        others = nearest_first(length(offset).at[np.diag_indices(self.count)].set(-1.0), [offset, *about])[:, 1:]
        loot = at["treasure"] - mine[:, None]
        kind = jnp.broadcast_to(treasures.kind[:, None] == kinds, (self.count, self.treasures, self.deposits))
        found = [jnp.where(treasures.there[:, None], x, 0.0) for x in (loot, kind)]
        found = nearest_first(jnp.where(treasures.there, length(loot), 1e6), found)
        seen = self.each({"position": mine, "velocity": state.velocity})
        rest = self.each({"others_kind_and_holding": others, "treasure_kind": found})
        seen["collector"] |= {"holding": holds} | rest["collector"]
        seen["deposit"] |= rest["deposit"]
        return seen

    def pay(self, state):
        at, treasures = self.rows(state.position), state.drawn
        collector, deposit, holding = at["collector"], at["deposit"], treasures.holding
        bumps = (distances(collector, collector) < 0.1).sum(1) - 1
        loot = jnp.where(treasures.there, distances(collector, at["treasure"]), jnp.inf).min(1)
        loot = jnp.where(treasures.there.any(), loot, 0.0)
        apart = distances(collector, deposit)  # [c, d]
        home = jnp.take_along_axis(apart, jnp.maximum(holding, 0)[:, None], 1)[:, 0]
        bringing = holding[:, None] == np.arange(self.deposits)
        nearest = jnp.where(bringing, apart, jnp.inf).min(0)
        middle = length(collector.mean(0) - deposit)
        way = jnp.where(bringing.any(0), nearest, middle)
        return {
            "collector": treasures.earned - 5.0 * bumps - 0.1 * jnp.where(holding < 0, loot, home),
            "deposit": treasures.earned - 0.1 * way,
        }

    def measure(self, state):
        """Of one step: `earned`, what everybody got for treasures; `held`, collectors with full hands."""
        return {"earned": state.drawn.earned, "held": (state.drawn.holding >= 0).sum(dtype=jnp.float32)}

    def _at_deposit(self, at: dict[str, Any]) -> Any:
        return distances(at["collector"], at["deposit"]) < 0.05 + 0.075


def nearest_first(distance: Any, columns: list[Any]) -> Any:
    """Columns [n, m, ...] side by side, sorted by distance [n, m]."""
    table = jnp.concatenate(columns, axis=2)
    return jnp.take_along_axis(table, jnp.argsort(distance, axis=1)[..., None], axis=1)


def collect_treasure(
    collectors: int = 6,
    deposits: int = 2,
    treasures: int = 6,
    time_limit: int = 25,
    continuous: bool = False,
    nearest: int = 0,
) -> CollectTreasure:
    """Collectors bring treasures to the deposits that take them.

    Args:
        collectors: How many collectors.
        deposits: How many deposits, and kinds of treasure.
        treasures: How many treasures.
        time_limit: Length of an episode, in steps.
        continuous: Push with any strength, instead of fully in one of four directions.
        nearest: How many of the nearest agents each agent lists as neighbors.
    """
    check_counts(time_limit, collectors=collectors, deposits=deposits, treasures=treasures)
    return CollectTreasure(time_limit, continuous, nearest, collectors, deposits, treasures)
