"""Host worlds in NumPy alone, so that a worker process that plays them starts quickly."""

from __future__ import annotations

import os
import pickle

import numpy as np

from covey.core.errors import BadInput
from covey.core.types import Box, Field, Group, Spec, Table, TimeStep
from covey.core.workers import leaves, rebuild

LIMIT = 3
SPEC = Spec(
    "walk",
    Table(
        {
            "walker": Group(("w0", "w1"), (Field("place", (2,)),), Box((-1.0,), (1.0,))),
            "guard": Group(("g0",), (Field("seen", (1,)),), Box((-1.0, -1.0), (1.0, 1.0))),
        }
    ),
    time_limit=LIMIT,
    state=(Field("everything", (4,)),),
    neighborhood=1,
)


class Walk:
    """Agents drift at random in NumPy; each lane has a generator of its own, and episodes end after three steps."""

    def __init__(self, seeds):
        self.rngs = [np.random.default_rng(seed) for seed in seeds]
        self.spec, self.lanes, self.closed = SPEC, len(seeds), False

    def reset(self):
        self.clock = np.zeros(self.lanes, np.int32)
        self.place = np.zeros((self.lanes, 4), np.float32)
        for lane in range(self.lanes):
            self._restart(lane)
        return self._show(np.zeros(self.lanes))

    def _restart(self, lane):
        self.clock[lane] = 0
        self.place[lane] = self.rngs[lane].normal(size=4)

    def step(self, action):
        self.clock += 1
        noise = np.stack([rng.normal(size=4) for rng in self.rngs])
        pushed = np.concatenate([action["walker"].reshape(self.lanes, 2), action["guard"].reshape(self.lanes, 2)], 1)
        self.place = (self.place + pushed + noise).astype(np.float32)
        then = self._show(self.place.sum(1))
        for lane in np.flatnonzero(then.last):
            self._restart(lane)
        return then, where_ended(then, self._show(np.zeros(self.lanes)))

    def _show(self, reward):
        def per_agent(value, dtype: type = np.float32):
            return {
                name: np.broadcast_to(np.asarray(value, dtype).reshape(-1, 1), (self.lanes, group.size)).copy()
                for name, group in SPEC.groups.items()
            }

        neighbors = {
            name: (np.zeros((self.lanes, group.size, 1), np.int32), np.ones((self.lanes, group.size, 1), bool))
            for name, group in SPEC.groups.items()
        }
        return TimeStep(
            obs={
                "walker": np.stack([self.place[:, :2], self.place[:, 2:]], 1),
                "guard": self.place[:, None, :1].copy(),
            },
            reward=per_agent(reward),
            discount=per_agent(1.0),
            alive=per_agent(True, bool),
            last=self.clock >= LIMIT,
            state=self.place.copy(),
            neighbors=neighbors,
        )

    def close(self):
        self.closed = True


class SavedWalk(Walk):
    def save(self):
        return pickle.dumps((self.rngs, self.clock, self.place))

    def restore(self, saved):
        self.rngs, self.clock, self.place = pickle.loads(saved)


class Faulty(Walk):
    """Raises or dies in its second step, where the lane with the seed `where` is."""

    def __init__(self, seeds, fault, where):
        super().__init__(seeds)
        self.fault = fault if where in seeds else None
        self.steps = 0

    def step(self, action):
        self.steps += 1
        if self.steps == 2 and self.fault == "raise":
            raise RuntimeError("the floor gave way")
        if self.steps == 2 and self.fault == "die":
            os._exit(7)
        return super().step(action)


def one_lane_short(seeds):
    return Walk(seeds[1:])


def broken_from_the_start(seeds):
    raise BadInput("there is no such level: choose 1 or 2.")


def where_ended(then, fresh):
    """`fresh` in the lanes whose episode ended, `then` in the others."""
    pairs = zip(leaves(fresh), leaves(then), strict=True)
    return rebuild(then, (np.where(then.last.reshape((-1,) + (1,) * (new.ndim - 1)), new, old) for new, old in pairs))
