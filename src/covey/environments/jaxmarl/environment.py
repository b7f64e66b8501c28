"""An environment of JaxMARL as one of covey's: dictionaries by agent become arrays by group, nothing resets itself."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from covey.core.errors import BadInput
from covey.core.types import Box, Discrete, Group, Groups, Space, Spec, Table, TimeStep
from covey.environments.grouping import group_agents
from covey.environments.jaxmarl.families import Family


class State(NamedTuple):
    """State of an episode: JaxMARL's own, and what its flags do not keep. `n` counts agents in JaxMARL's order."""

    inner: Any
    clock: Any  # []  int32, steps taken
    alive: Any  # [n]  bool
    last: Any  # []  bool


class JaxMARL:
    """A `MultiAgentEnv` of JaxMARL, compiled with the learner. covey calls `step_env`, which never resets.

    Agents sit together in a group where they see alike, act alike, and have the same name but for a number at its end.
    Observation: float32, in the shape that JaxMARL returns, whatever its space says; counts and flags stay as they are.
    Action: Discrete, or Box with finite bounds. Reward: JaxMARL's, and 0 for whoever was dead before the step.
    Ending: `dones["__all__"]`, or `time_limit`; the discount is 0 for the dead, and for everybody where nothing is left
    to come. What that means differs from family to family (`covey.environments.jaxmarl.families`).
    """

    def __init__(self, env: Any, name: str, family: Family, time_limit: int | None = None, shaped_reward: float = 0.0):
        """env: a `MultiAgentEnv`. name: of the spec. family: what is known of it. time_limit: steps after which an
        episode is cut. shaped_reward: how much of the reward for steps on the way is added to the reward."""
        self.env, self._name, self._family = env, name, family
        self._time_limit, self._shaped = time_limit, shaped_reward
        own = family.limit(env)
        if time_limit is not None and not 1 <= time_limit <= (own or time_limit):
            range_ = f"from 1 to {own}, where {name} ends by itself" if own else "at least 1"
            raise BadInput(f"`time_limit` has to be {range_}, got {time_limit}.")
        seen = jax.eval_shape(env.reset, jax.random.key(0))[0]
        if not isinstance(seen, Mapping) or not all(agent in seen for agent in env.agents):
            raise BadInput(f"{name} does not show its observations by agent, as JaxMARL's interface says.")
        fields = {agent: family.fields(env, agent, seen[agent].shape) for agent in env.agents}
        space = {agent: space_of(env.action_space(agent), f"the agent {agent!r} of {name}") for agent in env.agents}
        self._members = group_agents({agent: (fields[agent], space[agent]) for agent in env.agents})
        order = {agent: row for row, agent in enumerate(env.agents)}
        self._rows = {group: np.array([order[agent] for agent in them]) for group, them in self._members.items()}
        groups = {
            group: Group(tuple(map(str, them)), fields[them[0]], space[them[0]])
            for group, them in self._members.items()
        }
        shared = family.is_shared(env) and not shaped_reward
        self._spec = Spec(name, Table(groups), time_limit or own, shared, family.state_fields(env))

    @property
    def spec(self) -> Spec:
        return self._spec

    @property
    def draw(self) -> Callable[..., None] | None:
        """`draw(axes, state, now, action=None, history=None)`; None where nobody knows what is in a state."""
        return None if self._family.draw is None else self._draw

    def reset(self, key: Any) -> tuple[State, TimeStep]:
        obs, inner = self.env.reset(key)
        alive = jnp.ones(len(self.env.agents), bool)
        state = State(jax.tree.map(jnp.asarray, inner), jnp.int32(0), alive, jnp.bool_(False))
        return state, self._show(obs, state, jnp.zeros(len(alive)), alive)

    def step(self, key: Any, state: State, action: Groups) -> tuple[State, TimeStep]:
        agents = self.env.agents
        given = {agent: action[name][i] for name, them in self._members.items() for i, agent in enumerate(them)}
        obs, inner, rewards, dones, infos = self.env.step_env(key, state.inner, given)
        inner = jax.tree.map(lambda before, after: jnp.asarray(after, before.dtype), state.inner, inner)
        ended = jnp.asarray(dones["__all__"], bool)
        alive = state.alive & ~self._family.died(self.env, inner, dones)
        finished = ended & self._family.finished(self.env, state.inner, [given[agent] for agent in agents], inner)
        earned = stacked(rewards, agents)
        if self._shaped:
            earned = earned + self._shaped * stacked(infos["shaped_reward"], agents)
        clock = state.clock + 1
        last = ended if self._time_limit is None else ended | (clock >= self._time_limit)
        after = State(inner, clock, alive, last)
        return after, self._show(obs, after, jnp.where(state.alive, earned, 0.0), alive & ~finished)

    def measure(self, state: State) -> dict[str, Any]:
        """What the family measures: of SMAX `won`, which battles were won."""
        return self._family.measure(self.env, state.inner, state.last)

    def evaluation(self) -> JaxMARL:
        """The same without the reward for steps on the way."""
        return self._unshaped if self._shaped else self

    @functools.cached_property
    def _unshaped(self) -> JaxMARL:
        return JaxMARL(self.env, self._name, self._family, self._time_limit)

    def _show(self, obs: dict[Any, Any], state: State, earned: Any, future: Any) -> TimeStep:
        def split(values: Any) -> Groups:
            return {name: values[rows] for name, rows in self._rows.items()}

        legal, groups = self._family.legal(self.env, state.inner), self._spec.groups
        return TimeStep(
            obs={name: stacked(obs, them).reshape(groups[name].blank().shape) for name, them in self._members.items()},
            reward=split(earned),
            discount=split(future.astype(jnp.float32)),
            alive=split(state.alive),
            last=state.last,
            legal={} if legal is None else {name: stacked(legal, them, bool) for name, them in self._members.items()},
            state=self._family.state(obs),
        )

    def _draw(self, axes: Any, state: State, now: TimeStep, action: Groups | None = None, history: Any = None) -> None:
        self._family.draw(self.env, axes, state.inner, now, int(state.clock))


def stacked(values: Mapping[Any, Any], agents: Sequence[Any], dtype: Any = jnp.float32) -> Any:
    """What JaxMARL says of each of `agents`, [n, ...]. Totals and global states beside them are left out."""
    return jnp.stack([jnp.asarray(values[agent], dtype) for agent in agents])


def space_of(space: Any, whose: str) -> Space:
    """JaxMARL's space as covey's. BadInput where nobody can learn to act in it."""
    match type(space).__name__:
        case "Discrete":
            return Discrete(int(space.n))
        case "Box":
            low, high = (np.broadcast_to(np.asarray(x, float), space.shape).ravel() for x in (space.low, space.high))
            if all(map(math.isfinite, (*low, *high))):
                return Box(tuple(low.tolist()), tuple(high.tolist()))
    raise BadInput(f"{whose} acts in a {type(space).__name__}: covey takes Discrete and bounded Box.")
