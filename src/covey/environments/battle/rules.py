"""What a practitioner would let soldiers do without learning."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp

from covey.core.types import Groups, TimeStep
from covey.environments.battle.orders import ARMIES, ATTACKS, MOVES


class Charge(eqx.Module):
    """Everybody goes for the nearest enemy, and strikes the weakest of those within reach. Sees everybody."""

    count: int = eqx.field(static=True)

    def __call__(self, now: TimeStep, key: Any) -> Groups:
        soldiers = now.state.reshape(2, self.count, 3)
        action = {}
        for army, name in enumerate(ARMIES):
            place, enemy = soldiers[army, :, :2], soldiers[1 - army]
            living = now.alive[ARMIES[1 - army]]
            offset = enemy[None, :, :2] - place[:, None]  # [count, enemies, 2]
            distance = jnp.where(living, jnp.abs(offset).max(-1), jnp.inf)
            nearest = offset[jnp.arange(self.count), distance.argmin(1)]
            weakness = jnp.where(living & (distance <= 1), enemy[None, :, 2], jnp.inf)
            weakest = offset[jnp.arange(self.count), weakness.argmin(1)]
            strike = len(MOVES) + (jnp.asarray(ATTACKS)[None] == weakest[:, None]).all(-1).argmax(1)
            left = ((nearest[:, None] - jnp.asarray(MOVES)[None]) ** 2).sum(-1)
            action[name] = jnp.where(jnp.isfinite(weakness.min(1)), strike, left.argmin(1)).astype(jnp.int32)
        return action
