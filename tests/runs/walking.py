"""An environment outside JAX for tests of signals: it can be saved, takes its time, and plays in workers or here."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "core"))  # in workers, too

import walks  # type: ignore

from covey.core.workers import Workers, lane_seeds


class SlowWalk(walks.SavedWalk):
    """A step takes `pause` seconds. deaf: the third says so, and holds the interpreter for
    a minute. endless: no episode ends."""

    def __init__(self, seeds, pause, deaf, endless):
        super().__init__(seeds)
        self.limit = 10**9 if endless else walks.LIMIT
        self.spec = self.spec._replace(time_limit=None if endless else walks.LIMIT)
        self.pause, self.deaf, self.steps = pause, deaf, 0

    def step(self, action):
        self.steps += 1
        if self.deaf and self.steps == 3:
            os.write(2, b"deaf\n")
            ctypes.PyDLL(None).sleep(60)
        time.sleep(self.pause)
        return super().step(action)

    def _show(self, reward):
        return super()._show(reward)._replace(last=self.clock >= self.limit)


def make_env(lanes: int = 2, workers: int = 0, pause: float = 0.002, deaf: bool = False, endless: bool = False):
    make = functools.partial(SlowWalk, pause=pause, deaf=deaf, endless=endless)
    return Workers(make, lanes, workers) if workers else make(lane_seeds(0, lanes))
