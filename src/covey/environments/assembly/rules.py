"""What a practitioner would do: forces between robots, each written for one robot and mapped over all."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from covey.core.types import Groups, Spec, TimeStep, fields_in
from covey.environments.assembly.physics import direction
from covey.environments.assembly.rewards import distance, middle_of, nearness
from covey.environments.assembly.sensing import View, views


def prior(view: View, avoid: Any) -> Any:
    """The prior policy that a language model wrote for the paper, with the constants of its training: [2].

    2 u(target) + Σ_j 3 (avoid / d_j - 1) u(p_i - p_j) + 2 (mean_j v_j - v_i), over listed neighbors j, the second sum
    over those nearer than `avoid`; u is the direction. In the region the target is where the robot is.
    """
    there = view.neighbor_there
    push = 3.0 * strength(view.neighbor_position, there, avoid)[:, None] * -direction(view.neighbor_position)
    force = 2.0 * direction(view.target_position) + push.sum(0) + 2.0 * mean(view.neighbor_velocity, there)
    return jnp.clip(force, -1.0, 1.0)


def mean_shift(view: View, gap: Any, motion: Any, there: Any, avoid: Any, reach: Any) -> Any:
    """Mean-shift exploration of Sun et al. (2023), as the paper's code has it for a baseline and an expert: [2].

    e + 15 Σ_k ψ_k c_k / Σ_k ψ_k + Σ_j 17 (avoid / d_j - 1) (p_i - p_j) + 5 mean_j (v_j - v_i), over listed cells k and
    all robots j within reach, which have positions `gap` and velocities `motion` [N, 2] relative to the own. e is the
    direction of the target minus the own velocity; 0 in the region.
    """
    enter = jnp.where(view.in_region, 0.0, direction(view.target_position) - view.velocity)
    _, middle = middle_of(view, nearness(view.cell_position, reach))
    push = 17.0 * strength(gap, there, avoid)[:, None] * -gap
    return jnp.clip(enter + 15.0 * middle + push.sum(0) + 5.0 * mean(motion, there), -1.0, 1.0)


def strength(gap: Any, there: Any, avoid: Any) -> Any:
    """avoid / d - 1 of robots at offsets `gap` [M, 2] that are `there`, d away, and nearer than `avoid`; else 0. Robots
    in the very same place do not push."""
    far = distance(gap)
    near = there & (far > 0) & (far < avoid)
    return jnp.where(near, avoid / jnp.where(near, far, 1.0) - 1.0, 0.0)


def mean(x: Any, there: Any) -> Any:
    """The mean of the rows [M, 2] that are `there`, [2]; 0 where none is."""
    return jnp.where(there[:, None], x, 0.0).sum(0) / jnp.maximum(there.sum(), 1)


class Prior(eqx.Module):
    """`prior` for every robot."""

    avoid: Any
    spec: Spec = eqx.field(static=True)

    def __call__(self, now: TimeStep, key: Any) -> Groups:
        view = views(self.spec.groups["robot"].fields_of(now.obs["robot"]))
        return {"robot": jax.vmap(prior, (0, None))(view, self.avoid)}


class MeanShift(eqx.Module):
    """`mean_shift` for every robot. It knows all robots within reach, more than observations list."""

    avoid: Any
    reach: Any
    spec: Spec = eqx.field(static=True)

    def __call__(self, now: TimeStep, key: Any) -> Groups:
        view = views(self.spec.groups["robot"].fields_of(now.obs["robot"]))
        known = fields_in(self.spec.state, now.state)
        gap, motion = (x - x[:, None] for x in (known["positions"], known["velocities"]))
        there = (distance(gap) < self.reach) & ~np.eye(len(gap), dtype=bool)
        go = jax.vmap(mean_shift, (0, 0, 0, 0, None, None))
        return {"robot": go(view, gap, motion, there, self.avoid, self.reach)}
