"""One PettingZoo environment: its agents' seats in covey's arrays, and the contract that it has to keep."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from pettingzoo.utils.conversions import (
    aec_to_parallel_wrapper,
    parallel_to_aec_wrapper,
    turn_based_aec_to_parallel_wrapper,
)
from pettingzoo.utils.wrappers import BaseParallelWrapper, BaseWrapper

from covey.core.errors import BadInput
from covey.core.types import TimeStep
from covey.environments.grouping import group_agents
from covey.environments.pettingzoo import masks
from covey.environments.pettingzoo.spaces import Done, Seen, done, seen
from covey.environments.pettingzoo.states import numbers, offers_state


class Seat(NamedTuple):
    """The place of an agent in covey's arrays, and how it sees and acts."""

    group: str
    index: int
    seen: Seen
    done: Done
    waits: np.ndarray | None  # bool [A]: what is legal while it waits; None of a box


class Outcome(NamedTuple):
    """What PettingZoo's `step` returns: dictionaries by agent."""

    observations: dict
    rewards: dict
    terminated: dict
    truncated: dict
    infos: dict


class Broken(BadInput):
    """An environment that does not keep PettingZoo's contract."""


class Game:
    """One PettingZoo environment, and who is where in its episode.

    there: who acts next. over: whose part has ended, for good. `waiting()`: who has acted, is away and may come back.
    """

    def __init__(self, env: Any, name: str):
        self.env, self.name = env, name
        agents = list(getattr(env, "possible_agents", None) or [])
        if not agents:
            raise Broken(f"{name} does not list its `possible_agents`: arrays need to know who may ever take part.")
        if len(set(map(str, agents))) < len(agents):
            raise Broken(f"{name} has agents that cannot be told apart: {agents}. Give each a name of its own.")
        for layer in layers(env):
            if not takes_seed(layer.reset):
                raise Broken(
                    f"`reset` of {name} takes no `seed`, and without one no episode can be played again: "
                    "give it the form `reset(self, seed=None, options=None)`."
                )
        self.seats = seats(env, agents)
        self.there: list[Any] = []  # `agents`, which costs something through PettingZoo's wrappers
        self.seen: set[Any] = set()
        self.over: set[Any] = set()
        self.clock: int | None = None
        self.additive = False  # its masks are to be added to logits
        self.has_state: bool | None = None  # it has a `state()`; None: not known before it was reset
        self.turns = next((e.aec_env for e in layers(env) if isinstance(e, turn_based_aec_to_parallel_wrapper)), None)

    # ------------------------------------------------------------------------------------------------------- episodes

    def reset(self, seed: int | None) -> tuple[dict, dict]:
        """Observations and infos of a new episode."""
        self.seen, self.over, self.clock = set(), set(), 0
        returned = self.env.reset(seed=seed)
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise Broken(f"`reset` of {self.name} has to return the pair (observations, infos).")
        observations, infos = returned
        self.there = list(self.env.agents)
        self.demand(self.there, {"observations": observations, "infos": infos}, "`reset`")
        if not self.there:
            raise Broken(f"{self.name} begins an episode without agents: `agents` is empty after `reset`.")
        self.seen.update(self.there)
        return observations, infos

    def step(self, action: dict[str, Any]) -> Outcome:
        """What follows from the actions [n] of every group; only those who are there act."""
        acting, self.clock = self.there, (self.clock or 0) + 1
        returned = self.env.step(self.named(action, acting))
        if not isinstance(returned, tuple) or len(returned) != 5:
            raise Broken(
                f"`step` of {self.name} has to return (observations, rewards, terminations, truncations, infos)."
            )
        outcome = Outcome(*returned)
        parts = {
            "observations": outcome.observations,
            "rewards": outcome.rewards,
            "terminations": outcome.terminated,
            "truncations": outcome.truncated,
        }
        self.there = list(self.env.agents)
        self.demand(acting, parts, "`step`")
        if not isinstance(outcome.infos, dict) or self.there != acting:
            self.demand(self.there, {"observations": outcome.observations}, "`step`")
            self.demand((), {"infos": outcome.infos}, "`step`")
        revived = self.over.intersection(self.there)
        if revived:
            raise Broken(
                f"{self.name} brought {sorted(map(str, revived))} back after the end of their part of the episode: who "
                "was terminated or truncated must not be in `agents` again before the next `reset`."
            )
        self.seen.update(self.there)
        return outcome

    def named(self, action: dict[str, Any], agents: Sequence[Any]) -> dict[Any, Any]:
        """Actions by agent, as the environment takes them, out of actions [n] by group."""
        seats = self.seats
        return {agent: seats[agent].done.given(action[seats[agent].group][seats[agent].index]) for agent in agents}

    def waiting(self) -> list[Any]:
        """Who has taken part in this episode, is not there now, and has not ended: it may still be paid, or return."""
        if len(self.seen) == len(self.there) + len(self.over):
            return []
        away = self.seen.difference(self.over, self.there)
        return [agent for agent in self.seats if agent in away]

    def end(self, before: Collection[Any], outcome: Outcome, last: bool, cut: bool) -> None:
        """Note whose part has ended in a step, of those who were there or waited `before` it.

        last: it ended the episode. cut: by a limit of ours, so that the environment itself would have gone on.
        """
        truncated = [agent for agent in before if outcome.truncated.get(agent)]
        if any(outcome.terminated.values()):
            self.over.update(agent for agent in before if outcome.terminated.get(agent))
        if not last:  # who is truncated alone is not seen again
            self.over.update(truncated)
        elif not cut and not truncated:  # nothing was cut short: there is nobody left to wait for
            self.over.update(self.waiting())

    def number(self, agent: Any, reward: Any) -> float:
        """What an agent was paid."""
        array = np.asarray(reward)
        if array.size != 1 or array.dtype.kind not in "biuf":
            raise Broken(
                f"{self.name} paid the agent {agent!r}{self.moment()} {reward!r}: a reward has to be one number."
            )
        return array.item()

    # ----------------------------------------------------------------------------------------------------- into arrays

    def show(
        self, now: TimeStep, lane: int, observations: dict, infos: dict, shown: Sequence[Any], acts: bool = True
    ) -> None:
        """Write what the agents `shown` see, and may do, into the arrays of lane `lane`.

        acts: they choose next; otherwise nothing follows, and a mask that allows nothing does no harm.
        """
        for agent in shown:
            seat = self.seats[agent]
            group, place = seat.group, (lane, seat.index)
            now.alive[group][place] = True
            try:
                seat.seen.write(now.obs[group], place, observations[agent])
            except (ValueError, TypeError, KeyError, IndexError) as error:
                raise Broken(f"{self.name} showed the agent {agent!r} what is not in its space: {error}.") from error
            info = infos.get(agent)
            if (info or seat.seen.mask or self.turns) and group in now.legal:
                allowed = self.legal(agent, observations[agent], info or {}, acts)
                if allowed is not None:
                    now.legal[group][place] = allowed

    def wait(self, now: TimeStep, lane: int, agents: Sequence[Any]) -> None:
        """Write that `agents` wait: they are alive, see nothing, and have one choice, which nobody hears of."""
        for agent in agents:
            seat = self.seats[agent]
            now.alive[seat.group][lane, seat.index] = True
            if seat.group in now.legal:
                now.legal[seat.group][lane, seat.index] = seat.waits

    def legal(self, agent: Any, observation: Any, info: dict, acts: bool) -> np.ndarray | None:
        """What an agent may do, bool [A]; None where nothing is said, so that everything is."""
        seat = self.seats[agent]
        turn = self.turns.agent_selection if self.turns is not None else info.get("active_agent", agent)
        if turn != agent and acts:
            return seat.waits
        mask = observation[seat.seen.mask] if seat.seen.mask else masks.mask_of(info, seat.done.space)
        if mask is None:
            return None
        try:
            allowed, self.additive = masks.read(mask, seat.done.space, self.additive)
        except ValueError as error:
            raise Broken(
                f"{self.name} gave the agent {agent!r}{self.moment()} {error}: a mask has a 1 for every legal action "
                "and a 0 for every other."
            ) from error
        if masks.something(allowed, seat.done.space):
            return allowed
        if acts:
            raise Broken(
                f"{self.name} leaves the agent {agent!r} no legal action{self.moment()}: whoever cannot act has to "
                "leave `agents`, or needs one action that does nothing."
            )
        return None

    def state(self, observations: dict) -> np.ndarray:
        """The global state [G]."""
        try:
            if self.has_state is None:
                self.has_state = offers_state(self.env)
            if self.has_state:
                return numbers(self.env.state(), space_of_state(self.env))
            shared = [
                numbers(observations[agent][seat.seen.state], self.env.observation_space(agent)[seat.seen.state])
                for agent, seat in self.seats.items()
                if seat.seen.state and agent in observations
            ]
        except (ValueError, TypeError, KeyError) as error:
            raise Broken(f"the global state of {self.name} cannot be made a vector: {error}.") from error
        if not shared:
            raise Broken(f"{self.name} has no global state (`state()`) to show to critics: leave out `state`.")
        if any(not np.array_equal(shared[0], other, equal_nan=True) for other in shared[1:]):
            raise Broken(
                f"{self.name} shows its agents different things under the key 'state', which stands for a state that "
                "all share: give the key another name, and it is part of the observation."
            )
        return shared[0]

    def moment(self) -> str:
        """When it is, in words."""
        return "" if self.clock is None else f" in step {self.clock}" if self.clock else " at the reset"

    def demand(self, agents: Sequence[Any], parts: dict[str, Any], where: str) -> None:
        """Everybody has a seat, and an entry in every part."""
        if not all(map(self.seats.__contains__, agents)):
            strangers = [agent for agent in agents if agent not in self.seats]
            raise Broken(f"{self.name} plays with {strangers}, who are not among its `possible_agents`.")
        for what, part in parts.items():
            if not isinstance(part, dict):
                raise Broken(
                    f"the {what} of {where} of {self.name} are a {type(part).__name__}: they have to be a dict."
                )
            if not all(map(part.__contains__, agents)):
                missing = [agent for agent in agents if agent not in part]
                raise Broken(f"the {what} of {where} of {self.name} lack {missing}, who took part.")


# ---------------------------------------------------------------------------------------------------------------------
# Environments


WRAPPERS = (BaseParallelWrapper, BaseWrapper, parallel_to_aec_wrapper)
CONVERSIONS = (aec_to_parallel_wrapper, turn_based_aec_to_parallel_wrapper)


def layers(env: Any) -> Iterator[Any]:
    """An environment and what it wraps, from the outside in."""
    yield env
    if isinstance(env, (*WRAPPERS, *CONVERSIONS)):
        yield from layers(env.aec_env if isinstance(env, CONVERSIONS) else env.env)


def takes_seed(reset: Any) -> bool:
    """Can `reset` be told a seed?"""
    parameters = inspect.signature(reset).parameters
    return "seed" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def space_of_state(env: Any) -> spaces.Space | None:
    """The space of the global state, where the environment says it."""
    space = getattr(env, "state_space", None)
    return space if isinstance(space, spaces.Space) else None


# ---------------------------------------------------------------------------------------------------------------------
# Groups


def seats(env: Any, agents: Sequence[Any]) -> dict[Any, Seat]:
    """Agents sit together where they see alike, act alike, and have the same name but for a number at its end."""
    does = {agent: done(env.action_space(agent), str(agent)) for agent in agents}
    sees = {agent: seen(env.observation_space(agent), does[agent].space, str(agent)) for agent in agents}
    groups = group_agents({agent: (sees[agent].fields, does[agent].space) for agent in agents})
    return {
        agent: Seat(group, index, sees[agent], does[agent], masks.first_choice(does[agent].space))
        for group, members in groups.items()
        for index, agent in enumerate(members)
    }
