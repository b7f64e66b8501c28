"""PettingZoo games side by side, one a lane, as a `HostEnvironment` that restarts what ended.

What PettingZoo says of agents by name in dictionaries, covey says of groups in arrays:

    in `env.agents`               alive
    terminated                    discount 0, for good
    truncated with everybody      the episode is `last`, the discount stays 1, and the observation is the true last one
    truncated alone               discount 0: what it would have earned is lost, because nobody sees it any more
    not there yet                 dead with discount 1
    away, and not over            it waits: alive, sees zeros, has one choice; so what it is paid meanwhile, and that
                                  its part ends meanwhile, belong to what it did last
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from covey.core.types import Box, Field, Group, Groups, Spec, Table, TimeStep, action_size
from covey.core.workers import copied, leaves, rebuild
from covey.environments.pettingzoo.game import Broken, Game, layers


class Lanes:
    """One game a lane; lane i's first episode after a `reset` is decided by seed i.

    `watch` is shown a picture of the first lane after every reset and step, before anything begins anew.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        seeds: Sequence[int],
        name: str,
        time_limit: int | None = None,
        state: bool = False,
        watch: Callable[[np.ndarray], None] | None = None,
    ):
        self.games = [Game(make(), name) for _ in seeds]
        self.seeds = list(seeds)
        self.watch = watch
        self.time_limit = time_limit or limit_of_black_death(self.games[0].env)
        observations, _ = self.games[0].reset(self.seeds[0])
        shared = self.games[0].state(observations) if state else None
        self.spec = spec_of(self.games[0], name, time_limit, shared)
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
        self._look()
        self._demand_finite(self.now)
        return copied(self.now)

    def step(self, action: Groups) -> tuple[TimeStep, TimeStep]:
        then = self._blank()
        quick = {name: np.asarray(x) for name, x in action.items()}
        quick = {name: x.tolist() if x.ndim == 2 else x for name, x in quick.items()}  # plain numbers, one an agent
        for lane in range(self.lanes):
            self._play(then, lane, {name: x[lane] for name, x in quick.items()})
        self._look()
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

    # ---------------------------------------------------------------------------------------- for a loop of one's own

    def time_step(self, observations: dict, infos: dict, agents: Sequence[Any]) -> TimeStep:
        """What `agents`, who act next, see and may do in an environment of the same kind, as ONE lane's time step."""
        now, game = self._blank(1), self.games[0]
        game.clock = None  # another environment's time is not known here
        game.demand(agents, {"observations": observations}, "this step")
        game.show(now, 0, observations, infos, agents)
        return rebuild(now, (x[0] for x in leaves(now)))

    # ------------------------------------------------------------------------------------------------------ by lanes

    def _begin(self, now: TimeStep, lane: int, seed: int | None) -> None:
        game = self.games[lane]
        observations, infos = game.reset(seed)
        game.show(now, lane, observations, infos, game.there)
        self._show_state(now, lane, observations)

    def _play(self, then: TimeStep, lane: int, action: dict[str, Any]) -> None:
        game = self.games[lane]
        acting, waiting = game.there, game.waiting()
        outcome = game.step(action)
        late = self.time_limit is not None and (game.clock or 0) >= self.time_limit
        last = late or not game.there
        game.end([*acting, *waiting], outcome, last, late)
        for agent in (*acting, *waiting):
            seat = game.seats[agent]
            paid = outcome.rewards.get(agent, 0.0)
            then.reward[seat.group][lane, seat.index] = paid if isinstance(paid, float) else game.number(agent, paid)
        for agent in game.over:
            seat = game.seats[agent]
            then.discount[seat.group][lane, seat.index] = 0.0
        cut = [agent for agent in acting if last and outcome.truncated[agent] and agent not in game.over]
        game.show(then, lane, outcome.observations, outcome.infos, [*game.there, *cut], acts=not last)
        game.wait(then, lane, [agent for agent in game.waiting() if agent not in cut])
        self._show_state(then, lane, outcome.observations)
        then.last[lane] = last

    def _show_state(self, now: TimeStep, lane: int, observations: dict) -> None:
        if now.state is None:
            return
        state, size = self.games[lane].state(observations), now.state.shape[1]
        if state.size != size:
            raise Broken(
                f"the global state of {self.spec.name} had {size} numbers at first and has {state.size}"
                f"{self.games[lane].moment()}: networks need arrays of one size, so fill it up, or leave out `state`."
            )
        now.state[lane] = state

    def _look(self) -> None:
        """Show the first lane to who watches, as the environment draws it."""
        if self.watch is None:
            return
        game = self.games[0]
        drawn = np.asarray(game.env.render())
        if drawn.dtype != np.uint8 or drawn.ndim != 3 or drawn.shape[2] not in (3, 4):
            raise Broken(
                f"{game.name} cannot be drawn: with `render_mode='rgb_array'` its `render` has to return bytes of the "
                "shape (height, width, 3)."
            )
        self.watch(drawn[..., :3].copy())

    def _demand_finite(self, now: TimeStep) -> None:
        """Everything was finite: looked at once for all lanes and agents, because that is quick."""
        for name, group in self.spec.groups.items():
            seen = now.obs[name].values() if isinstance(now.obs[name], dict) else [now.obs[name]]
            for what, x in (*(("an observation", x) for x in seen), ("a reward", now.reward[name])):
                fine = np.isfinite(x)
                if not fine.all():
                    agent = group.names[np.argwhere(~fine)[0][1]]
                    raise Broken(f"{self.spec.name} gave the agent {agent!r} {what} that is not finite.")
        if now.state is not None and not np.isfinite(now.state).all():
            raise Broken(f"{self.spec.name} has a global state that is not finite.")

    def _blank(self, lanes: int | None = None) -> TimeStep:
        """Time steps in which nobody is there."""
        lanes, groups = lanes or self.lanes, self.spec.groups
        return TimeStep(
            obs={name: group.blank(lanes) for name, group in groups.items()},
            reward={name: np.zeros((lanes, group.size), np.float32) for name, group in groups.items()},
            discount={name: np.ones((lanes, group.size), np.float32) for name, group in groups.items()},
            alive={name: np.zeros((lanes, group.size), bool) for name, group in groups.items()},
            last=np.zeros(lanes, bool),
            legal={  # always, because a mask may come at any step
                name: np.ones((lanes, group.size, action_size(group.action)), bool)
                for name, group in groups.items()
                if not isinstance(group.action, Box)
            },
            state=np.zeros((lanes, sum(field.size for field in self.spec.state)), np.float32)
            if self.spec.state
            else None,
        )


def spec_of(game: Game, name: str, time_limit: int | None, state: np.ndarray | None) -> Spec:
    """The spec of a game; `state` [G] is what its global state looks like, where critics are shown one."""
    groups: dict[str, list[Any]] = {}
    for agent, seat in game.seats.items():
        groups.setdefault(seat.group, []).append(agent)
    kinds = {}
    for group, members in groups.items():
        seat = game.seats[members[0]]
        kinds[group] = Group(tuple(map(str, members)), seat.seen.fields, seat.done.space)
    return Spec(
        name,
        Table(kinds),
        time_limit=time_limit or limit_of(game.env),
        state=() if state is None else (Field("state", state.shape),),
    )


def limit_of(env: Any) -> int | None:
    """The longest episode in steps, where the environment says it."""
    limit = getattr(env.unwrapped, "max_cycles", None)
    return limit if isinstance(limit, int) and limit > 0 else None


def limit_of_black_death(env: Any) -> int | None:
    """When to cut SuperSuit's `black_death` off: after a time limit it plays one step more, and calls that a death."""
    hides_the_end = any(type(layer).__name__ == "black_death_par" for layer in layers(env))
    return limit_of(env) if hides_the_end else None
