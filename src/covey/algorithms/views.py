"""What the critics of policy gradient algorithms see of one time step."""

from __future__ import annotations

from typing import Any, Literal

import jax.numpy as jnp

from covey.core.types import Groups, Spec, TimeStep
from covey.nn.joint import observations, others
from covey.nn.neighbors import gathered, neighborhood, row_size, slots, table

Sees = Literal["own", "team", "agent", "neighbors"]
"""The agent's own observation; the team's (the global state where the world offers one, else everybody's observation);
both, everybody's from the agent's side; or its own and those of the neighbors that the environment lists for it."""


def view_size(spec: Spec, name: str, sees: Sees) -> int:
    """Numbers that a critic of group `name` sees."""
    own = spec.groups[name].obs_size
    if sees == "own":
        return own
    if sees == "neighbors":
        return own + neighborhood(spec) * row_size(spec, {kind: group.obs_size for kind, group in spec.groups.items()})
    everybody = sum(group.size * group.obs_size for group in spec.groups.values())
    state = sum(field.size for field in spec.state)
    return (state or everybody) if sees == "team" else everybody + state


def views(spec: Spec, groups: tuple[str, ...], sees: Sees, now: TimeStep) -> Groups:
    """What every agent's critic sees, [n, G] per group."""
    obs = observations(spec, now)
    return {name: _view(spec, name, sees, obs, now) for name in groups}


def _view(spec: Spec, name: str, sees: Sees, obs: Groups, now: TimeStep) -> Any:
    size = spec.groups[name].size
    state = [now.state.reshape(-1)] if spec.state else []
    if sees == "own":
        return obs[name]
    if sees == "neighbors":
        around = gathered(table(spec, now.alive, obs), slots(spec, now.alive, now.neighbors[name]))
        return jnp.concatenate([obs[name], around.reshape(size, -1)], 1)
    if sees == "team":
        team = state or [x.reshape(-1) for x in obs.values()]
        return jnp.broadcast_to(jnp.concatenate(team), (size, sum(map(len, team))))
    rest = [x.reshape(size, -1) for x in others(spec, name, obs)]
    return jnp.concatenate([obs[name], *rest, *(jnp.broadcast_to(x, (size, len(x))) for x in state)], 1)
