"""Small PettingZoo environments, each with one habit that real ones have: `parallel_env(kind)` makes one."""

from __future__ import annotations

import functools
import re

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv
from pettingzoo.utils import BaseParallelWrapper

F = np.float32
ACTIONS = 3


class Game(ParallelEnv):
    """Two agents, five steps, reward = the action. Subclasses change one thing."""

    metadata = {"name": "game_v0", "render_modes": ["rgb_array"]}  # noqa: RUF012
    names = ("a_0", "a_1")
    length = 5

    def __init__(self, render_mode=None):
        self.possible_agents = list(self.names)
        self.render_mode = render_mode

    @functools.cache  # noqa: B019
    def observation_space(self, agent):
        return self.sees(agent)

    @functools.cache  # noqa: B019
    def action_space(self, agent):
        return self.does(agent)

    def sees(self, agent):
        return spaces.Box(-100.0, 100.0, (2,), F)

    def does(self, agent):
        return spaces.Discrete(ACTIONS)

    def look(self, agent):
        return np.array([self.t, 1.0], F)

    def info(self, agent):
        return {}

    def pay(self, agent, action):
        return float(np.sum(action))

    def ends(self, agent):
        """(terminated, truncated)"""
        return False, self.t >= self.length

    def begin(self):
        """Before an episode."""

    def reset(self, seed=None, options=None):
        self.t, self.agents, self.rng = 0, list(self.possible_agents), np.random.default_rng(seed)
        self.begin()
        return {a: self.look(a) for a in self.agents}, {a: self.info(a) for a in self.agents}

    def step(self, actions):
        for agent, action in actions.items():
            assert self.action_space(agent).contains(action), f"{agent} got {action!r}"
        self.t += 1
        acted = list(self.agents)
        ends = {a: self.ends(a) for a in acted}
        self.agents = [a for a in acted if not any(ends[a])]
        return (
            {a: self.look(a) for a in acted},
            {a: self.pay(a, actions[a]) for a in acted},
            {a: e[0] for a, e in ends.items()},
            {a: e[1] for a, e in ends.items()},
            {a: self.info(a) for a in acted},
        )

    def render(self):
        return np.full((20, 30, 3), min(40 * self.t, 255), np.uint8)


# ---------------------------------------------------------------------------------------------------------------------
# Masks


class DictObs(Game):
    """A mask beside an observation of another name; further keys see the same."""

    keys = ("obs", "action_mask")

    def sees(self, agent):
        box, mask = super().sees(agent), spaces.Box(0, 1, (ACTIONS,), np.int8)
        return spaces.Dict({self.keys[0]: box, self.keys[1]: mask} | dict.fromkeys(self.keys[2:], box))  # type: ignore

    def look(self, agent):
        seen = super().look(agent)
        return {self.keys[0]: seen, self.keys[1]: np.array([1, 0, 1], np.int8)} | dict.fromkeys(self.keys[2:], seen)


class DictObsState(DictObs):
    keys = ("observation", "action_mask", "state")


class DictObsThird(DictObs):
    keys = ("vector", "action_mask", "goal")


class DictObsAvail(DictObs):
    keys = ("obs", "avail_actions")


class OwnState(DictObs):
    """Without a mask or an `observation`, `state` is the agent's own."""

    def sees(self, agent):
        box = Game.sees(self, agent)
        return spaces.Dict({"joints": box, "state": box})

    def look(self, agent):
        return {"joints": np.full(2, self.t, F), "state": np.full(2, self.possible_agents.index(agent), F)}


class StatesThatDiffer(DictObsState):
    """What is called `state` is not the same for both."""

    def look(self, agent):
        return super().look(agent) | {"state": np.full(2, self.possible_agents.index(agent), F)}


class InfoMask(Game):
    """The mask `masks[t]` (the last one from then on) is in the infos; None: not there."""

    masks = (np.array([0, 1, 1], np.int8),)

    def info(self, agent):
        mask = self.masks[min(self.t, len(self.masks) - 1)]
        return {} if mask is None else {"action_mask": mask}


class LateMask(InfoMask):
    masks = (None, np.array([0, 1, 1], np.int8))


class EmptyMask(InfoMask):
    masks = (np.ones(3, np.int8), np.ones(3, np.int8), np.zeros(3, np.int8))


class EmptyAtTheEnd(InfoMask):
    """Nothing is legal any more when the time is over, and nobody is asked."""

    masks = (*[np.ones(3, np.int8)] * 5, np.zeros(3, np.int8))


class AdditiveMask(InfoMask):
    masks = (np.array([0.0, -1e9, -1e9], F),)


class AdditiveInfinite(InfoMask):
    """Infinity for illegal; from step 1 on everything is legal."""

    masks = (np.array([-np.inf, 0.0, 0.0]), np.zeros(3))


class AdditiveEmpty(InfoMask):
    masks = (np.full(3, -1e9, F),)


class BoolMask(InfoMask):
    masks = (np.array([False, True, True]),)


class ListMask(InfoMask):
    masks = ([0, 1, 1],)


class ShortMask(InfoMask):
    masks = (np.ones(ACTIONS - 1, np.int8),)


class HalfMask(InfoMask):
    """Neither yes nor no."""

    masks = (np.array([0.5, 1.0, 0.0]),)


class NanMask(InfoMask):
    masks = (np.array([np.nan, 1.0, 0.0]),)


class TextMask(InfoMask):
    masks = (["no", "yes", "yes"],)


class NoInfo(Game):
    def info(self, agent):
        return None


class ListsOfMoves(Game):
    """Numbers of the legal actions are no mask."""

    def info(self, agent):
        return {"legal_moves": [0, 1, 2]}


class AvailInInfo(Game):
    def info(self, agent):
        return {"avail_actions": np.array([0, 1, 1])}


class PartMasks(Game):
    """One mask for each part of the choice, as gymnasium's `sample` takes them."""

    empty = False

    def does(self, agent):
        return spaces.MultiDiscrete([2, 3])

    def info(self, agent):
        second = np.zeros(3, np.int8) if self.empty and self.t == 1 else np.array([0, 0, 1], np.int8)
        return {"action_mask": (np.array([1, 0], np.int8), second)}


class PartWithoutChoice(PartMasks):
    empty = True


class BoxMask(Game):
    """A mask where nothing is chosen from a few."""

    def does(self, agent):
        return spaces.Box(-1.0, 1.0, (2,), F)

    def info(self, agent):
        return {"action_mask": np.ones(2, np.int8)}


# ---------------------------------------------------------------------------------------------------------------------
# Away


class Away(Game):
    """a_1 is away after step 1, until `back`; `paid` and `ended` {step: ...} say what happens to it meanwhile."""

    back = 3
    paid: dict = {}  # noqa: RUF012
    ended: dict = {}  # noqa: RUF012  (terminated, truncated)
    all_end = False  # the episode ends in death, and not in time

    def present(self):
        return [a for a in self.possible_agents if a == "a_0" or not 1 <= self.t < self.back]

    def step(self, actions):
        assert set(actions) == set(self.agents)
        acted = list(self.agents)
        self.t += 1
        over = self.t >= self.length
        ends = dict.fromkeys(acted, (over and self.all_end, over and not self.all_end))
        paid = {a: float(actions[a]) for a in acted}
        if self.t in self.paid:
            paid["a_1"] = self.paid[self.t]
        if self.t in self.ended:
            ends["a_1"] = self.ended[self.t]
        self.agents = [] if over else self.present()
        shown = {*acted, *self.agents, *paid}
        return (
            {a: self.look(a) for a in shown},
            paid,
            {a: e[0] for a, e in ends.items()},
            {a: e[1] for a, e in ends.items()},
            {a: {} for a in shown},
        )


class PaidWhileAway(Away):
    paid = {3: 5.0}  # noqa: RUF012


class PaidOften(Away):
    back = 9
    paid = {2: 1.0, 3: np.array([2.0]), 5: 4}  # noqa: RUF012


class PaidWithNothing(Away):
    paid = {2: None}  # noqa: RUF012


class EndedWhileAway(Away):
    back = 9
    ended = {3: (True, False)}  # noqa: RUF012


class CutWhileAway(Away):
    back = 9
    ended = {3: (False, True)}  # noqa: RUF012


class AwayAtTheLimit(Away):
    """Nobody says anything of a_1: time is up for everybody."""

    back = 9


class AwayAtTheDeath(Away):
    """Nobody says anything of a_1: the game is over for everybody."""

    back, all_end = 9, True


class PaidBeforeItCame(Away):
    """a_1 comes in step 3, and is paid before."""

    paid = {2: 5.0}  # noqa: RUF012

    def begin(self):
        self.agents = ["a_0"]


class AwayWithParts(AwayAtTheLimit):
    def does(self, agent):
        return spaces.MultiDiscrete([2, 3])

    def step(self, actions):
        return super().step({agent: np.sum(action) for agent, action in actions.items()})


# ---------------------------------------------------------------------------------------------------------------------
# Rewards and observations


class ArrayReward(Game):
    def pay(self, agent, action):
        return np.array([float(action)])


class TextReward(Game):
    def pay(self, agent, action):
        return "much"


class PairReward(Game):
    def pay(self, agent, action):
        return np.array([1.0, 2.0])


class BoolReward(Game):
    def pay(self, agent, action):
        return np.bool_(True)


class ReusedArray(Game):
    """The observation is one array that is changed in place."""

    def begin(self):
        self.own = {a: np.zeros(2, F) for a in self.possible_agents}

    def look(self, agent):
        self.own[agent][:] = (self.t, 1)
        return self.own[agent]


class Counts(Game):
    """Bytes that are no picture: 0 to 3 of something."""

    def sees(self, agent):
        return spaces.Box(0, 3, (2,), np.uint8)

    def look(self, agent):
        return np.array([self.t % 4, 1], np.uint8)


class Board(Counts):
    """Rows and columns of pieces: no picture either."""

    def sees(self, agent):
        return spaces.Box(0, 3, (2, 2), np.uint8)

    def look(self, agent):
        return np.full((2, 2), self.t % 4, np.uint8)


class Picture(Game):
    def sees(self, agent):
        return spaces.Dict({"camera": spaces.Box(0, 255, (4, 4, 3), np.uint8)})

    def look(self, agent):
        return {"camera": np.full((4, 4, 3), 51, np.uint8)}


class RawPicture(Game):
    def sees(self, agent):
        return spaces.Box(0, 255, (100, 100, 3), np.uint8)

    def look(self, agent):
        return np.zeros((100, 100, 3), np.uint8)


class RawState(Game):
    def state(self):
        return np.zeros((200, 200), np.uint8)


class PictureAndSpeed(Picture):
    def sees(self, agent):
        return spaces.Dict({**super().sees(agent).spaces, "speed": spaces.Box(-1.0, 1.0, (2,), F)})

    def look(self, agent):
        return super().look(agent) | {"speed": np.array([0.25, self.t], F)}


class Nested(Game):
    """Dictionaries in tuples in dictionaries."""

    def sees(self, agent):
        pair = spaces.Tuple([spaces.Discrete(3), spaces.Dict({"x": spaces.Box(-9, 9, (), F)})])
        return spaces.Dict({"pair": pair, "flags": spaces.MultiBinary(2)})

    def look(self, agent):
        return {"pair": (np.int64(self.t % 3), {"x": F(7)}), "flags": np.array([1, 0], np.int8)}


class Doubles(Game):
    def sees(self, agent):
        return spaces.Box(-np.inf, np.inf, (2, 3), np.float64)

    def look(self, agent):
        return np.full((2, 3), self.t, np.float64)


class NothingToSee(Game):
    def sees(self, agent):
        return spaces.Box(-1.0, 1.0, (0,), F)

    def look(self, agent):
        return np.zeros(0, F)


# ---------------------------------------------------------------------------------------------------------------------
# Names and actions


class StemCollision(Game):
    """cell_1 and cell_2 see differently; cell_1_1 is a part of cell_1, and sees differently again."""

    names = ("cell_1", "cell_2", "cell_1_1")

    def sees(self, agent):
        return spaces.Box(-10, 100.0, ({"cell_1": 2, "cell_2": 3, "cell_1_1": 4}[agent],), F)

    def look(self, agent):
        return np.full(self.observation_space(agent).shape, self.possible_agents.index(agent), F)


class StemCollisionSame(StemCollision):
    """cell_1 and cell_1_1 see alike, and act in different spaces."""

    def sees(self, agent):
        return spaces.Box(-10, 100.0, (2,), F)

    def does(self, agent):
        return spaces.Discrete({"cell_1": 2, "cell_2": 4, "cell_1_1": 3}[agent])


class Boxed(Game):
    """Both agents act in Box(low, high)."""

    low, high = np.array([-1.0, -1.0], F), np.array([1.0, 1.0], F)

    def does(self, agent):
        return spaces.Box(self.low, self.high)


class HugeBox(Boxed):
    low, high = np.full(2, np.finfo(F).min), np.full(2, np.finfo(F).max)


class HugeOnOneSide(Boxed):
    low, high = np.array([0.0, 0.0], F), np.array([1.0, 1e30], F)


class PointBox(Boxed):
    low, high = np.array([-1.0, 0.5], F), np.array([1.0, 0.5], F)


class PointsOnly(Boxed):
    low = high = np.array([0.25, 0.5], F)


class PointsThatDiffer(PointBox):
    """One fixed part, at another value for each agent."""

    def does(self, agent):
        fixed = 0.5 + self.possible_agents.index(agent)
        return spaces.Box(np.array([-1.0, fixed], F), np.array([1.0, fixed], F))


class BoxOfNothing(Boxed):
    low = high = np.zeros(0, F)


class Table(Game):
    """Choices in rows and columns."""

    def does(self, agent):
        return spaces.MultiDiscrete([[2, 3], [4, 5]])  # type: ignore


# ---------------------------------------------------------------------------------------------------------------------
# States and resets


class StateDict(Game):
    def state(self):
        return {"t": np.array([self.t], F), "grid": np.full((2, 2), 7.0, F)}


class StateBytes(Game):
    """Small counts."""

    def state(self):
        return np.array([self.t, 3], np.uint8)


class StatePicture(Game):
    def state(self):
        return np.full((2, 2), 51, np.uint8)


class StateBoard(StatePicture):
    """Its space says that it is no picture."""

    state_space = spaces.Box(0, 100, (2, 2), np.uint8)


class StateOfSpace(Game):
    """One of four, and a number."""

    state_space = spaces.Dict({"phase": spaces.Discrete(4), "x": spaces.Box(-9, 9, (1,), F)})

    def state(self):
        return {"phase": self.t % 4, "x": np.array([5.0], F)}


class StateOfLists(Game):
    def state(self):
        return [[self.t, 2.0], (np.ones(2), {"x": 4})]


class StateNumber(Game):
    def state(self):
        return float(self.t)


class StateText(Game):
    def state(self):
        return {"phase": "midgame"}


class StateNone(Game):
    def state(self):
        return None


class StateNan(Game):
    def state(self):
        return np.array([np.nan if self.t == 2 else 0.0])


class StateGrows(Game):
    """The state lists the agents that live."""

    def ends(self, agent):
        return agent == "a_1" and self.t == 2, self.t >= self.length

    def state(self):
        return np.concatenate([self.look(a) for a in self.agents] or [np.zeros(0, F)])


class NoSeed(Game):
    def reset(self, options=None):
        return super().reset()


class Seeded(Game):
    """What is seen and paid is decided by the seed."""

    def begin(self):
        self.luck = self.rng.uniform()

    def look(self, agent):
        return np.array([self.t, self.luck], F)

    def pay(self, agent, action):
        return float(action) + self.luck


class Undrawn(Game):
    def render(self):
        return None


class NoRenderMode(Game):
    def __init__(self):
        super().__init__()


class Forever(Game):
    """It ends never, and says no limit."""

    def ends(self, agent):
        return False, False


class Limited(Game):
    """It says how long an episode is, and ends in time."""

    max_cycles = Game.length


class black_death_par(BaseParallelWrapper):
    """As SuperSuit's wrapper of that name: the end is hidden, and takes one more step in which everybody has died."""

    def reset(self, seed=None, options=None):
        observations, infos = self.env.reset(seed=seed, options=options)
        self.agents = list(self.env.agents)
        return observations, infos

    def step(self, actions):
        observations, rewards, *_, infos = self.env.step({agent: actions[agent] for agent in self.env.agents})
        over = not rewards
        agents, none = list(self.agents), np.zeros(2, F)
        self.agents = [] if over else agents
        return (
            {agent: observations.get(agent, none) for agent in agents},
            {agent: rewards.get(agent, 0.0) for agent in agents},
            dict.fromkeys(agents, over),
            dict.fromkeys(agents, over),
            {agent: infos.get(agent, {}) for agent in agents},
        )


def kind_of(cls):
    return re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()


KINDS = {kind_of(c): c for c in list(globals().values()) if isinstance(c, type) and issubclass(c, Game)}


def parallel_env(kind="game", black_death=False, **settings):
    env = KINDS[kind](**settings)
    return black_death_par(env) if black_death else env
