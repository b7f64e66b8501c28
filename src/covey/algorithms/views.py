"""What the critics of policy gradient algorithms see of one time step."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from covey.core.types import Groups, Spec, TimeStep
from covey.nn.encoders import Encoded, Encoders
from covey.nn.joint import observations, others
from covey.nn.neighbors import gathered, neighborhood, row_size, slots, table

Sees = Literal["own", "team", "agent", "neighbors"]
"""The agent's own observation; the team's (the global state where the environment offers one, else everybody's
observation); both, everybody's from the agent's side; or its own and those of the neighbors that the environment lists
for it."""


class Sight(NamedTuple):
    """What views are made of where encoders come first."""

    obs: Groups  # [n, ...]  as encoders take it, or [n, D]
    state: Any  # [G], or () where the environment offers none
    alive: Groups = {}  # noqa: RUF012  [n]  where critics see neighbors, as the next
    neighbors: Groups = {}  # noqa: RUF012  [n, M]  (index, mask)


class Views(NamedTuple):
    """What the critics of `groups` see, behind their encoders.

    Every observation is encoded once, and then arranged for each of the agents that see it. Where nothing is encoded,
    views are arranged as soon as there is something to see.
    """

    encoders: Encoders
    groups: tuple[str, ...]
    sees: Sees

    @property
    def watched(self) -> tuple[str, ...]:
        """Groups whose observations are seen."""
        spec = self.encoders.observed
        if self.sees == "own":
            return self.groups
        return () if self.sees == "team" and spec.state else tuple(spec.groups)

    def size(self, name: str) -> int:
        """Numbers in the view of an agent of a group."""
        return view_size(self.encoders.spec, name, self.sees)

    def sights(self, now: TimeStep) -> Groups:
        """What is seen of one step, as far as it does not depend on what is learned: views [n, G], or a `Sight`."""
        spec = self.encoders.observed
        if not set(self.watched) & set(self.encoders.groups):
            return views(spec, self.groups, self.sees, now)
        seen = self.encoders.inputs(now)
        if self.sees == "own":
            return {name: Sight({name: seen[name]}, ()) for name in self.groups}
        return dict.fromkeys(self.groups, sight_of(spec, self.sees, seen, now))

    def look(self, critics: Any, name: str, sight: Any) -> tuple[Any, Any]:
        """The critic of a group, and the views [..., n, G] that it gets of a sight."""
        if not isinstance(critics, Encoded):
            return critics[name], sight
        nets, features = self.encoders.enter(critics, sight.obs)
        arrange = partial(view_of, self.encoders.spec, name, self.sees)
        for _ in range(features[name].ndim - 2):
            arrange = jax.vmap(arrange)
        return nets[name], arrange(sight._replace(obs=features))


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
    sight = sight_of(spec, sees, observations(spec, now), now)
    return {name: view_of(spec, name, sees, sight) for name in groups}


def view_of(spec: Spec, name: str, sees: Sees, sight: Sight) -> Any:
    """What the critics of a group see [n, G], out of vectors [n, D] and the state."""
    size, obs = spec.groups[name].size, sight.obs
    state = [sight.state] if spec.state else []
    if sees == "own":
        return obs[name]
    if sees == "neighbors":
        where = slots(spec, sight.alive, sight.neighbors[name])
        around = gathered(table(spec, sight.alive, obs), where)
        return jnp.concatenate([obs[name], around.reshape(size, -1)], 1)
    if sees == "team":
        team = state or [x.reshape(-1) for x in obs.values()]
        return jnp.broadcast_to(jnp.concatenate(team), (size, sum(map(len, team))))
    rest = [x.reshape(size, -1) for x in others(spec, name, obs)]
    return jnp.concatenate([obs[name], *rest, *(jnp.broadcast_to(x, (size, len(x))) for x in state)], 1)


def sight_of(spec: Spec, sees: Sees, obs: Groups, now: TimeStep) -> Sight:
    """What views are made of, where agents observe `obs`."""
    sight = Sight(obs, now.state.reshape(-1) if spec.state else ())
    return sight._replace(alive=now.alive, neighbors=now.neighbors) if sees == "neighbors" else sight
