"""A covey environment as a PettingZoo `ParallelEnv`, for everything that plays those."""

from __future__ import annotations

import operator
import secrets
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from covey.core.environment import Environment
from covey.core.errors import BadInput, unknown
from covey.core.types import Box, Discrete, Group, Groups, MultiDiscrete, Space, Splits, action_shape
from covey.environments.shares import normalize


class Outside(ParallelEnv):
    """One compiled environment, in this process."""

    def __init__(self, environment: Environment):
        spec = environment.spec
        self.environment = environment
        self.metadata = {"name": spec.name, "render_modes": [], "is_parallelizable": True}
        self.render_mode = None
        self._seats = {name: (group, i) for group, kind in spec.groups.items() for i, name in enumerate(kind.names)}
        if len(self._seats) < spec.agents:
            raise BadInput(f"agents of {spec.name!r} have the same name: PettingZoo tells agents apart by name.")
        self.possible_agents = list(self._seats)
        self.agents: list[str] = []
        self._reset = jax.jit(environment.reset)
        self._step = jax.jit(environment.step)
        self._key = jax.random.key(secrets.randbits(31))  # without a seed, no two are alike
        now = jax.eval_shape(environment.reset, self._key)[1]
        self._observation = {a: seen(spec.groups[g], i, g in now.legal) for a, (g, i) in self._seats.items()}
        self._action = {a: chosen(spec.groups[g].action) for a, (g, _) in self._seats.items()}
        if spec.state:
            size = sum(field.size for field in spec.state)
            self.state_space = spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self._world: Any = None
        self._now: Any = None

    def observation_space(self, agent: str) -> spaces.Space:
        return self._observation[agent]

    def action_space(self, agent: str) -> spaces.Space:
        return self._action[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict]:
        """Begin an episode; `seed` decides it and all that follow. Without one, the first is left to chance.

        `options` mean nothing to covey's environments.
        """
        if seed is not None:
            self._key = key_of(seed)
        self._world, now = self._reset(self._next_key())
        self._now = jax.device_get(now)
        self.agents = [agent for agent in self.possible_agents if self._of(self._now.alive, agent)]
        return self._observations(self.agents), self._infos(self.agents)

    def step(self, actions: dict[str, Any]) -> tuple[dict, dict, dict, dict, dict]:
        if not self.agents:
            raise BadInput("there is nobody to act: call `reset` first, and again when `agents` is empty.")
        acted, actions = list(self.agents), self._checked(actions)
        self._world, now = self._step(self._next_key(), self._world, self._taken(actions))
        self._now = now = jax.device_get(now)
        terminated = {agent: bool(self._of(now.discount, agent) == 0) for agent in acted}
        truncated = {agent: bool(now.last) and not terminated[agent] for agent in acted}
        rewards = {agent: float(self._of(now.reward, agent)) for agent in acted}
        came = [a for a in self.possible_agents if a not in acted and self._of(now.alive, a) and not now.last]
        returned = self._observations([*acted, *came]), rewards, terminated, truncated, self._infos([*acted, *came])
        over = [agent for agent in acted if terminated[agent] or now.last or not self._of(now.alive, agent)]
        self.agents = [agent for agent in self.possible_agents if agent in {*acted, *came} and agent not in over]
        return returned

    def state(self) -> np.ndarray:
        if not self.environment.spec.state:
            return super().state()
        return np.asarray(self._now.state, np.float32)

    def render(self) -> None:
        """Nothing: `covey render` draws episodes."""

    def close(self) -> None:
        self._world = None

    # -----------------------------------------------------------------------------------------------------------------

    def _next_key(self) -> Any:
        self._key, key = jax.random.split(self._key)
        return key

    def _of(self, groups: Groups, agent: str) -> Any:
        group, index = self._seats[agent]
        return groups[group][index]

    def _observations(self, agents: list[str]) -> dict[str, Any]:
        return {agent: self._observed(agent) for agent in agents}

    def _observed(self, agent: str) -> Any:
        group, index = self._seats[agent]
        kind = self.environment.spec.groups[group]
        obs = without_padding(kind, self._now.obs[group], index)
        if not isinstance(self._observation[agent], spaces.Dict):
            return obs
        return {"observation": obs, "action_mask": masked(kind.action, self._of(self._now.legal, agent))}

    def _infos(self, agents: list[str]) -> dict[str, dict]:
        def info(agent: str) -> dict:
            group, _ = self._seats[agent]
            split = isinstance(self.environment.spec.groups[group].action, Splits) and group in self._now.legal
            return {"legal": self._of(self._now.legal, agent)} if split else {}

        return {agent: info(agent) for agent in agents}

    def _checked(self, actions: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The actions of all who are there; BadInput where one is missing, or is none that its space has."""
        if not isinstance(actions, Mapping):
            raise BadInput(f"actions have to be a dict by agent, got a {type(actions).__name__}.")
        missing = [agent for agent in self.agents if agent not in actions]
        if missing:
            raise BadInput(f"the actions lack {missing}: give every agent of `agents` one.")
        stranger = next((agent for agent in actions if agent not in self._seats), None)
        if stranger is not None:
            raise unknown("the agent", str(stranger), self._seats)
        return {agent: checked(actions[agent], self._action[agent], agent) for agent in self.agents}

    def _taken(self, actions: dict[str, np.ndarray]) -> Groups:
        taken = {}
        for name, kind in self.environment.spec.groups.items():
            shape, dtype = action_shape(kind.action)
            taken[name] = np.zeros((kind.size, *shape), dtype)
            for index, agent in enumerate(kind.names):
                if agent in actions:
                    taken[name][index] = actions[agent]
            if isinstance(kind.action, Splits):
                taken[name] = shares(kind.action, taken[name], self._now.legal.get(name))
        return taken


def key_of(seed: Any) -> Any:
    """The random key of a seed; BadInput for what is no whole number of 64 bits."""
    try:
        return jax.random.key(operator.index(seed))
    except (TypeError, OverflowError) as error:
        raise BadInput(f"the seed has to be a whole number of at most 64 bits, got {seed!r}.") from error


def checked(action: Any, space: spaces.Space, agent: str) -> np.ndarray:
    """An action as numbers of its space; BadInput for any other. Whole floats serve as choices."""
    try:
        numbers = np.asarray(action, np.float64)
    except (TypeError, ValueError):
        numbers = np.array(np.nan)
    match space:
        case spaces.Discrete():
            low, high, whole = np.array(0.0), np.array(space.n - 1.0), True
        case spaces.MultiDiscrete():
            low, high, whole = np.zeros(space.shape), space.nvec - 1.0, True
        case _:
            low, high, whole = space.low.astype(float), space.high.astype(float), False  # type: ignore[attr-defined]
    numbers = numbers.reshape(low.shape) if numbers.size == low.size == 1 else numbers
    slack = 0.0 if whole else 1e-5 * (high - low)  # what rounding may have carried out of a box
    fits = numbers.shape == low.shape and ((numbers >= low - slack) & (numbers <= high + slack)).all()
    if not fits or (whole and (numbers != np.floor(numbers)).any()):
        raise BadInput(f"the agent {agent!r} cannot do {action!r}: its actions are {space}.")
    return np.clip(numbers, low, high)


def seen(group: Group, index: int, masked: bool) -> spaces.Space:
    """The observation space of one agent, without padding: a box, or a dictionary of named ones."""
    obs = without_padding(group, group.blank(), index)
    plain = spaces.Dict({name: box(x) for name, x in obs.items()}) if isinstance(obs, dict) else box(obs)
    if not masked or not isinstance(group.action, (Discrete, MultiDiscrete)):
        return plain
    masks = [spaces.Box(0, 1, (n,), np.int8) for n in group.action.parts]
    whole = masks[0] if isinstance(group.action, Discrete) else spaces.Tuple(masks)
    return spaces.Dict({"observation": plain, "action_mask": whole})


def without_padding(group: Group, obs: Any, index: int) -> Any:
    """What the agent number `index` sees of its group's observation [n, ...]; an array with padding becomes a vector of
    what is real in it."""
    own, valid = jax.tree.map(lambda x: x[index], obs), group.obs_valid()
    if valid is None:
        return own
    return jax.tree.map(lambda x, real: x if real.all() else x[real[index]], own, valid)


def box(like: np.ndarray) -> spaces.Box:
    """Everything in the shape and dtype of an array."""
    low, high = -np.inf, np.inf
    if not np.issubdtype(like.dtype, np.floating):
        low, high = np.iinfo(like.dtype).min, np.iinfo(like.dtype).max
    return spaces.Box(low, high, like.shape, like.dtype.type)  # type: ignore[arg-type]


def chosen(space: Space) -> spaces.Space:
    """The action space of one agent."""
    match space:
        case Discrete(n):
            return spaces.Discrete(n)
        case MultiDiscrete(ns):
            return spaces.MultiDiscrete(list(ns))
        case Box(low, high):
            return spaces.Box(np.array(low, np.float32), np.array(high, np.float32))
        case Splits(parts):
            return spaces.Box(0.0, 1.0, (sum(parts),), np.float32)


def masked(space: Space, legal: np.ndarray) -> Any:
    """A mask [A] as gymnasium's `sample` takes it."""
    mask = legal.astype(np.int8)
    return mask if isinstance(space, Discrete) else tuple(np.split(mask, np.cumsum(space.parts)[:-1]))  # type: ignore


def shares(space: Splits, given: np.ndarray, legal: np.ndarray | None) -> np.ndarray:
    """Shares [n, A] that sum to 1 over the legal components of each part; equal ones where all that was given is 0."""
    legal = np.ones(given.shape, bool) if legal is None else legal
    ends = np.cumsum(space.parts)[:-1]
    parts = zip(np.split(np.maximum(given, 0.0), ends, axis=1), np.split(legal, ends, axis=1), strict=True)
    return np.concatenate([normalize(part, may) for part, may in parts], axis=1).astype(np.float32)
