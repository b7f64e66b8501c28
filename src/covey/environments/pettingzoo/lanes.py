"""PettingZoo games side by side, one a lane, as a `HostEnvironment` that restarts what ended.

What PettingZoo says of agents by name in dictionaries, covey says of groups in arrays:

    in `env.agents`               alive
    terminated                    discount 0, for good
    truncated with everybody      the episode is `last`, the discount stays 1, and the observation is the true last one
    truncated alone               discount 0: what it would have earned is lost, because nobody sees it any more
    not there, and not over       dead with discount 1: it may come, or come back
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from covey.core.errors import BadInput
from covey.core.types import Field, Group, Groups, Spec, Table, TimeStep, action_size
from covey.core.workers import copied, leaves
from covey.environments.pettingzoo.spaces import Done, Seen, done, seen


class Seat(NamedTuple):
    """The place of an agent in covey's arrays, and how it sees and acts."""

    group: str
    index: int
    seen: Seen
    done: Done


class Broken(BadInput):
    """An environment that does not keep PettingZoo's contract."""


class Game:
    """One PettingZoo environment: its agents' seats, and what it has to keep to."""

    def __init__(self, env: Any, name: str):
        self.env, self.name = env, name
        agents = list(getattr(env, "possible_agents", None) or [])
        if not agents:
            raise Broken(f"{name} does not list its `possible_agents`: arrays need to know who may ever take part.")
        if len(set(map(str, agents))) < len(agents):
            raise Broken(f"{name} has agents that cannot be told apart: {agents}. Give each a name of its own.")
        self.seats = seats(env, agents)
        self.there: list[Any] = []  # who is there now: `agents`, which costs something through PettingZoo's wrappers
        self.over: set[Any] = set()
        self.clock = 0

    def reset(self, seed: int | None) -> tuple[dict, dict]:
        """Observations and infos of a new episode."""
        self.over, self.clock = set(), 0
        returned = self.env.reset(seed=seed)
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise Broken(f"`reset` of {self.name} has to return the pair (observations, infos).")
        observations, infos = returned
        self.there = list(self.env.agents)
        self._demand(self.there, {"observations": observations, "infos": infos}, "`reset`")
        if not self.there:
            raise Broken(f"{self.name} begins an episode without agents: `agents` is empty after `reset`.")
        return observations, infos

    def step(self, action: dict[str, Any]) -> tuple[dict, dict, dict, dict, dict]:
        """What PettingZoo's `step` returns, for those who acted; `action` [n] of every group."""
        acting, self.clock = self.there, self.clock + 1
        seats = self.seats
        given = {agent: seats[agent].done.given(action[seats[agent].group][seats[agent].index]) for agent in acting}
        returned = self.env.step(given)
        if not isinstance(returned, tuple) or len(returned) != 5:
            raise Broken(
                f"`step` of {self.name} has to return (observations, rewards, terminations, truncations, infos)."
            )
        observations, rewards, terminated, truncated, _ = returned
        parts = {"rewards": rewards, "terminations": terminated, "truncations": truncated}
        self.there = list(self.env.agents)
        self._demand(acting, {"observations": observations, **parts}, "`step`")
        self._demand(self.there, {"observations": observations}, "`step`")
        revived = self.over.intersection(self.there)
        if revived:
            raise Broken(
                f"{self.name} brought {sorted(map(str, revived))} back after the end of their part of the episode: who "
                "was terminated or truncated must not be in `agents` again before the next `reset`."
            )
        return returned

    def show(self, now: TimeStep, lane: int, observations: dict, infos: dict, shown: Sequence[Any]) -> None:
        """Write what the agents `shown` see, and may do, into the arrays of lane `lane`."""
        for agent in shown:
            seat = self.seats[agent]
            group, place = seat.group, (lane, seat.index)
            now.alive[group][place] = True
            try:
                now.obs[group][place] = seat.seen.array(observations[agent])
            except (ValueError, TypeError, KeyError, IndexError) as error:
                raise Broken(f"{self.name} showed the agent {agent!r} what is not in its space: {error}.") from error
            if group in now.legal:
                mask = legal(seat, observations[agent], infos.get(agent, {}))
                if mask is not None:
                    now.legal[group][place] = mask
        if now.state is not None:
            now.state[lane] = state_of(self.env)

    def _demand(self, agents: Sequence[Any], parts: dict[str, Any], where: str) -> None:
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


def legal(seat: Seat, observation: Any, info: dict) -> np.ndarray | None:
    """The mask of legal actions that comes with the observation, or in the infos."""
    mask = observation["action_mask"] if seat.seen.masked else info.get("action_mask")
    if mask is None:
        return None
    return np.concatenate([np.ravel(part) for part in (mask if isinstance(mask, tuple) else (mask,))]).astype(bool)


# ---------------------------------------------------------------------------------------------------------------------
# Groups


def seats(env: Any, agents: Sequence[Any]) -> dict[Any, Seat]:
    """Agents sit together where they see alike, act alike, and have the same name but for a number at its end."""
    kinds: dict[tuple, list[tuple[Any, Seen, Done]]] = {}
    for agent in agents:
        sees, does = seen(env.observation_space(agent), str(agent)), done(env.action_space(agent), str(agent))
        kinds.setdefault((prefix(agent), sees.field, does.space), []).append((agent, sees, does))
    prefixes = [kind[0] for kind in kinds]
    found = {}
    for (name, *_), members in kinds.items():
        group = name if prefixes.count(name) == 1 else str(members[0][0])  # told apart by their first member
        found |= {agent: Seat(group, index, sees, does) for index, (agent, sees, does) in enumerate(members)}
    return found


def prefix(agent: Any) -> str:
    """The name of an agent without the number at its end."""
    return re.sub(r"[_\-]?\d+$", "", str(agent)) or "agent"


def spec_of(game: Game, name: str, time_limit: int | None, with_state: bool) -> Spec:
    """The spec of a game that has been reset."""
    groups: dict[str, list[Any]] = {}
    for agent, seat in game.seats.items():
        groups.setdefault(seat.group, []).append(agent)
    kinds = {}
    for group, members in groups.items():
        seat = game.seats[members[0]]
        kinds[group] = Group(tuple(map(str, members)), (seat.seen.field,), seat.done.space)
    limit = time_limit or getattr(game.env.unwrapped, "max_cycles", None)
    state = state_of(game.env) if with_state else None
    return Spec(
        name,
        Table(kinds),
        time_limit=limit if isinstance(limit, int) and limit > 0 else None,
        state=() if state is None else (Field("state", state.shape),),
    )


def state_of(env: Any) -> np.ndarray | None:
    """The global state [G], where the environment has one that is no picture."""
    try:
        state = np.asarray(env.state())
    except (NotImplementedError, AttributeError):
        return None
    return None if state.dtype == np.uint8 else state.astype(np.float32).ravel()


# ---------------------------------------------------------------------------------------------------------------------
# The world


class Lanes:
    """One game a lane; lane i's first episode after a `reset` is decided by seed i."""

    def __init__(
        self,
        make: Callable[[], Any],
        seeds: Sequence[int],
        name: str,
        time_limit: int | None = None,
        state: bool = False,
    ):
        self.games = [Game(make(), name) for _ in seeds]
        self.seeds = list(seeds)
        self.time_limit = time_limit
        _, infos = self.games[0].reset(self.seeds[0])
        self.spec = spec_of(self.games[0], name, time_limit, state)
        self.masked = {
            seat.group
            for agent, seat in self.games[0].seats.items()
            if seat.seen.masked or "action_mask" in infos.get(agent, {})
        }
        self.now = self._blank()

    @property
    def lanes(self) -> int:
        return len(self.games)

    def reseed(self, seeds: Sequence[int]) -> None:
        """What the next `reset` begins is decided by these, one a lane."""
        self.seeds = list(seeds)

    def reset(self) -> TimeStep:
        self.now = self._blank()
        for lane, seed in enumerate(self.seeds):
            self._begin(self.now, lane, seed)
        self._demand_finite(self.now)
        return copied(self.now)

    def step(self, action: Groups) -> tuple[TimeStep, TimeStep]:
        then = self._blank()
        quick = {name: np.asarray(x) for name, x in action.items()}
        quick = {name: x.tolist() if x.ndim == 2 else x for name, x in quick.items()}  # plain numbers, one an agent
        for lane in range(self.lanes):
            self._play(then, lane, {name: x[lane] for name, x in quick.items()})
        self._demand_finite(then)
        self.now, blank = copied(then), self._blank(1)
        for lane in np.flatnonzero(then.last):
            for mine, zero in zip(leaves(self.now), leaves(blank), strict=True):
                mine[lane] = zero[0]
            self._begin(self.now, int(lane), None)
        return then, copied(self.now)

    def close(self) -> None:
        for game in self.games:
            game.env.close()

    def _begin(self, now: TimeStep, lane: int, seed: int | None) -> None:
        game = self.games[lane]
        observations, infos = game.reset(seed)
        game.show(now, lane, observations, infos, game.there)

    def _play(self, then: TimeStep, lane: int, action: dict[str, Any]) -> None:
        game = self.games[lane]
        acting = game.there
        observations, rewards, terminated, truncated, infos = game.step(action)
        late = self.time_limit is not None and game.clock >= self.time_limit
        last = late or not game.there
        for agent in acting:
            seat = game.seats[agent]
            then.reward[seat.group][lane, seat.index] = rewards[agent]
            if terminated[agent] or (truncated[agent] and not last):
                game.over.add(agent)
        for agent in game.over:
            seat = game.seats[agent]
            then.discount[seat.group][lane, seat.index] = 0.0
        cut = [agent for agent in acting if last and truncated[agent] and agent not in game.over]
        game.show(then, lane, observations, infos, [*game.there, *cut])
        then.last[lane] = last

    def _demand_finite(self, now: TimeStep) -> None:
        """Everything was finite: looked at once for all lanes and agents, because that is quick."""
        for what, groups in (("an observation", now.obs), ("a reward", now.reward)):
            for name, x in groups.items():
                fine = np.isfinite(x)
                if not fine.all():
                    agent = self.spec.groups[name].names[np.argwhere(~fine)[0][1]]
                    raise Broken(f"{self.spec.name} gave the agent {agent!r} {what} that is not finite.")

    def _blank(self, lanes: int | None = None) -> TimeStep:
        """Time steps in which nobody is there."""
        lanes, groups = lanes or self.lanes, self.spec.groups
        return TimeStep(
            obs={name: group.blank(lanes) for name, group in groups.items()},
            reward={name: np.zeros((lanes, group.size), np.float32) for name, group in groups.items()},
            discount={name: np.ones((lanes, group.size), np.float32) for name, group in groups.items()},
            alive={name: np.zeros((lanes, group.size), bool) for name, group in groups.items()},
            last=np.zeros(lanes, bool),
            legal={
                name: np.ones((lanes, groups[name].size, action_size(groups[name].action)), bool)
                for name in self.masked
            },
            state=np.zeros((lanes, sum(field.size for field in self.spec.state)), np.float32)
            if self.spec.state
            else None,
        )
