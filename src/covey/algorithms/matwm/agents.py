"""The agents of all groups on one axis, so that one world model serves them.

Observations are padded to the longest. Where somebody sees pictures, they are fields by name: the first pictures of all
groups in one, padded to the largest, and so on, and in one vector all that is no picture. Pictures of bytes stay bytes.

Actions are padded to the most parts P and the most choices C of a part: an agent's choices are [P, C], of which those
are `possible` that its own space has. N agents learn; M are in the environment.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Collection
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from covey.core.errors import BadInput
from covey.core.types import Discrete, Field, Fields, Group, Groups, MultiDiscrete, Spec, Table, TimeStep, unobserved
from covey.nn.encoders import inputs, numbers, rest_size
from covey.nn.joint import brightest, legal

NUMBERS = "numbers"
"""The field of all that is no picture."""


class Seen(NamedTuple):
    """What N agents of one environment see."""

    obs: Any  # [N, D], or by field [N, ...] where somebody sees pictures; zero where padded or dead
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
        self.everybody = tuple(group.names[who] for _, group, who in members)
        self.names = tuple(self.everybody[k] for k in self.own)
        self.layout = Group(self.names, _common(self.spec.groups.values()), Discrete(self.choices))
        with jax.ensure_compile_time_eval():
            self.seen = jax.tree.map(lambda x: np.asarray(x) > 0, self._observation(_ones(self.spec)))
        places = np.arange(len(members))
        self.others = np.array([places[places != k] for k in self.own], int)

    @property
    def count(self) -> int:
        """N: agents that learn."""
        return len(self.own)

    @property
    def pictures(self) -> tuple[Field, ...]:
        """The pictures in an observation."""
        return tuple(field for field in self.layout.obs if field.picture)

    @property
    def obs_size(self) -> int:
        """Numbers in an observation, besides pictures."""
        return rest_size(self.layout)

    def blank(self, *lead: int) -> Any:
        """Observations of all agents in zeros, [*lead, N, ...]."""
        blank = {x.name: jnp.zeros((*lead, self.count, *x.shape), x.dtype) for x in self.layout.obs}
        return blank if self.pictures else blank[NUMBERS]

    @property
    def can(self) -> np.ndarray:
        """What the agents that learn could do, bool [N, P, C]."""
        return self.possible[self.own]

    # ------------------------------------------------------------------------------------------- one environment

    def observe(self, now: TimeStep) -> Seen:
        """What the agents see in one environment."""
        masks, alive = legal(self.spec, now), [now.alive[name] for name in self.spec.groups]
        masks = [self._by_part(name, masks[name]) for name in self.spec.groups]
        allowed = self.allowed(jnp.concatenate(masks), self.can)
        return Seen(self._observation(now), jnp.concatenate(alive), allowed)

    def _observation(self, now: TimeStep) -> Any:
        """What all agents see, laid out alike."""
        seen = inputs(self.spec, now)
        rows = [self._laid_out(group, seen[name]) for name, group in self.spec.groups.items()]
        return jax.tree.map(lambda *x: jnp.concatenate(x), *rows)

    def _laid_out(self, group: Group, seen: Any) -> Any:
        """What a group sees, [n, D] or by field [n, ...], with zeros where others see more."""
        if not self.pictures:
            return _padded(seen, (self.obs_size,))
        own, rest = [], seen
        if isinstance(seen, dict):
            own = [field for field in group.obs if field.picture]
            flat = [numbers(x, seen[x.name]).reshape(group.size, -1) for x in group.obs if not x.picture]
            rest = jnp.concatenate([jnp.zeros((group.size, 0)), *flat], 1)
        found = {}
        for field, mine in itertools.zip_longest(self.pictures, own):
            x = jnp.zeros((group.size, 0, 0, 0)) if mine is None else seen[mine.name].reshape(-1, *mine.picture)
            x = x if mine is None or mine.dtype == field.dtype else numbers(mine, x)
            found[field.name] = _padded(x.astype(field.dtype), field.shape)
        return found | ({NUMBERS: _padded(rest, (self.obs_size,))} if self.obs_size else {})

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

    def fields_of(self, who: int, obs: Any) -> dict[str, Any]:
        """What of observations [..., D] or by field, in float32, is the agent `who`'s own, by the fields of its group,
        in their own units."""
        group = next(group for group in self.spec.groups.values() if self.names[who] in group.names)
        rest, views = obs[NUMBERS] if self.pictures and self.obs_size else obs, iter(self.pictures)
        found, begin = {}, 0
        for field in group.obs:
            if field.picture:
                height, across, channels = field.picture
                own = obs[next(views).name][..., :height, :across, :channels] * brightest(field)
                found[field.name] = own.reshape(*own.shape[:-3], *field.shape)
            else:
                own, begin = rest[..., begin : begin + field.size], begin + field.size
                found[field.name] = own.reshape(*own.shape[:-1], *field.shape)
        return found

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


def _common(groups: Collection[Group]) -> Fields:
    """Fields that have room for what any of the groups sees."""
    seen = [[field for field in group.obs if field.picture] for group in groups]
    fields = []
    for k in range(max(map(len, seen))):
        alike = [own[k] for own in seen if k < len(own)]
        shape = tuple(np.max([field.picture for field in alike], 0).tolist())
        dtypes = {field.dtype for field in alike}
        fields.append(Field(f"picture_{k}", shape, dtype="uint8" if dtypes == {"uint8"} else "float32"))
    most = max(map(rest_size, groups))
    return *fields, *([Field(NUMBERS, (most,))] if most else [])


def _ones(spec: Spec) -> TimeStep:
    """A time step in which everybody sees ones."""
    nothing = unobserved(spec)
    return jax.tree.map(np.ones_like, nothing)


def _padded(x: Any, shape: tuple[int, ...]) -> Any:
    """[n, ...] with zeros behind, up to [n, *shape]."""
    return jnp.pad(x, [(0, 0), *((0, most - size) for most, size in zip(shape, x.shape[1:], strict=True))])


def _parts(group: Group) -> tuple[int, ...]:
    """Choices of every part of an action."""
    assert isinstance(group.action, (Discrete, MultiDiscrete))
    return group.action.parts


@functools.lru_cache(maxsize=16)
def agents_of(spec: Spec, groups: tuple[str, ...]) -> Agents:
    """The agents of `groups`; BadInput where actions are continuous."""
    for name, group in spec.groups.items():
        if not isinstance(group.action, (Discrete, MultiDiscrete)):
            raise BadInput(
                f"the group {name!r} of {spec.name} has continuous actions, and matwm learns discrete ones: use "
                "'mappo' or 'maddpg'."
            )
    return Agents(spec, groups)
