"""The agents of all groups on one axis, so that one world model serves them.

Observations are padded to the longest, actions to the most parts P and the most choices C of a part: an agent's choices
are [P, C], of which those are `possible` that its own space has. N agents learn; M are in the environment.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from covey.core.errors import BadInput
from covey.core.types import Discrete, Group, Groups, MultiDiscrete, Spec, Table, TimeStep
from covey.nn.joint import legal, observations


class Seen(NamedTuple):
    """What N agents of one environment see."""

    obs: Any  # [N, D]  zero where padded or dead
    alive: Any  # [N]  bool
    legal: Any  # [N, P, C]  bool


class Agents:
    """Who learns, who else is there, and how their observations and actions are laid out. Hold arrays of NumPy."""

    def __init__(self, spec: Spec, groups: tuple[str, ...]):
        self.spec = spec._replace(groups=Table({name: spec.groups[name] for name in groups}))
        members = [(name, group, who) for name, group in spec.groups.items() for who in range(group.size)]
        self.own = np.array([k for k, (name, _, _) in enumerate(members) if name in groups])
        parts = [_parts(group) for _, group, _ in members]
        self.parts, self.choices = max(map(len, parts)), max(map(max, parts))
        self.possible = np.zeros((len(members), self.parts, self.choices), bool)
        for k, sizes in enumerate(parts):
            for part, size in enumerate(sizes):
                self.possible[k, part, :size] = True
        self.names = tuple(spec.groups[name].names[who] for name, _, who in (members[k] for k in self.own))
        self.obs_size = max(group.obs_size for group in self.spec.groups.values())
        self.seen = np.zeros((len(self.own), self.obs_size), bool)
        for row, k in enumerate(self.own):
            _, group, who = members[k]
            valid = group.obs_valid()
            flat = [np.ones(group.obs_size, bool)] if valid is None else self._flat(group, valid, who)
            self.seen[row, : group.obs_size] = np.concatenate(flat)
        everybody = np.arange(len(members))
        self.others = np.array([everybody[everybody != k] for k in self.own], int)

    @staticmethod
    def _flat(group: Any, valid: Any, who: int) -> list[np.ndarray]:
        return [np.asarray(x)[who].ravel() for x in group.fields_of(valid).values()]

    @property
    def count(self) -> int:
        """N: agents that learn."""
        return len(self.own)

    @property
    def can(self) -> np.ndarray:
        """What the agents that learn could do, bool [N, P, C]."""
        return self.possible[self.own]

    # ------------------------------------------------------------------------------------------- one environment

    def observe(self, now: TimeStep) -> Seen:
        """What the agents see in one environment."""
        seen, masks = observations(self.spec, now), legal(self.spec, now)
        obs = [jnp.pad(x, ((0, 0), (0, self.obs_size - x.shape[1]))) for x in seen.values()]
        alive = [now.alive[name] for name in self.spec.groups]
        masks = [self._by_part(name, masks[name]) for name in self.spec.groups]
        return Seen(jnp.concatenate(obs), jnp.concatenate(alive), self.allowed(jnp.concatenate(masks), self.can))

    def _by_part(self, name: str, mask: Any) -> Any:
        """Masks [n, A] of a group's choices as [n, P, C]."""
        sizes = _parts(self.spec.groups[name])
        pieces = jnp.split(mask, np.cumsum(sizes)[:-1], -1)
        padded = [jnp.pad(x, ((0, 0), (0, self.choices - x.shape[1]))) for x in pieces]
        rest = [jnp.zeros_like(padded[0])] * (self.parts - len(padded))
        return jnp.stack([*padded, *rest], 1)

    @staticmethod
    def allowed(mask: Any, possible: Any) -> Any:
        """What of `possible` [..., P, C] is legal; all of it in parts where nothing is."""
        mask = mask & possible
        return jnp.where(mask.any(-1, keepdims=True), mask, possible)

    def earned(self, then: TimeStep) -> tuple[Any, Any]:
        """Rewards and discounts [N] of a step in one environment."""
        reward, discount = (
            jnp.concatenate([x[name] for name in self.spec.groups]) for x in (then.reward, then.discount)
        )
        return reward, discount

    @staticmethod
    def living(now: TimeStep) -> Any:
        """Who of everybody is alive in one environment, bool [M]."""
        return jnp.concatenate([now.alive[name] for name in sorted(now.alive)])

    def chosen(self, action: Groups) -> Any:
        """What everybody chose in one environment, int32 [M, P]."""
        rows = [action[name].reshape(len(action[name]), -1) for name in sorted(action)]
        return jnp.concatenate([jnp.pad(x, ((0, 0), (0, self.parts - x.shape[1]))) for x in rows])

    def actions(self, choice: Any) -> Groups:
        """The environment's actions of choices [N, P]."""
        ends = np.cumsum([group.size for group in self.spec.groups.values()])[:-1]
        action = {}
        for (name, group), x in zip(self.spec.groups.items(), jnp.split(choice, ends), strict=True):
            action[name] = x[:, 0] if isinstance(group.action, Discrete) else x[:, : len(_parts(group))]
        return action

    # ------------------------------------------------------------------------------------------ the world model's side

    def one_hot(self, choice: Any) -> Any:
        """Choices [..., P] as [..., P, C]."""
        return jax.nn.one_hot(choice, self.choices)

    def action_size(self, scaled: bool) -> int:
        """Numbers of an action as the action mixer takes it."""
        return int(self.possible.sum()) if scaled else self.parts * self.choices

    def scaled(self, chosen: Any, focal: Any) -> Any:
        """One-hot choices [..., P, C] of agents `focal` [...] in the place of all agents' actions, [..., ΣA].

        Agent j's action a is at a + A_0 + ... + A_{j-1}: this tells the world model whose the action is.
        """
        who, *place = np.nonzero(self.possible)  # of every component: whose it is, and where that has it
        flat = chosen.reshape(*chosen.shape[:-2], -1)[..., np.ravel_multi_index(tuple(place), self.possible.shape[1:])]
        return flat * jnp.array(self.own[:, None] == who)[focal]


def _parts(group: Group) -> tuple[int, ...]:
    """Choices of every part of an action."""
    assert isinstance(group.action, (Discrete, MultiDiscrete))
    return group.action.parts


@functools.lru_cache(maxsize=16)
def agents_of(spec: Spec, groups: tuple[str, ...]) -> Agents:
    """The agents of `groups`; BadInput where actions are continuous, or where agents see pictures."""
    for name, group in spec.groups.items():
        if not isinstance(group.action, (Discrete, MultiDiscrete)):
            raise BadInput(
                f"the group {name!r} of {spec.name} has continuous actions, and matwm learns discrete ones: use "
                "'mappo' or 'maddpg'."
            )
    for name in groups:
        if any(field.picture for field in spec.groups[name].obs):
            raise BadInput(f"the group {name!r} of {spec.name} sees pictures, and matwm takes vectors: use 'mappo'.")
    return Agents(spec, groups)
