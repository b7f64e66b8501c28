"""An environment outside JAX for tests of signals: it can be saved, takes its time, and plays in workers or here."""

from __future__ import annotations

import ctypes
import functools
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "core"))  # in workers, too

from walks import SavedWalk

from covey.core.workers import Workers, lane_seeds


class SlowWalk(SavedWalk):
    """Every step takes `pause` seconds; with `deaf` it holds the interpreter for a minute in its third step."""

    def __init__(self, seeds, pause, deaf):
        super().__init__(seeds)
        self.pause, self.deaf, self.steps = pause, deaf, 0

    def step(self, action):
        self.steps += 1
        if self.deaf and self.steps == 3:
            ctypes.PyDLL(None).sleep(60)
        time.sleep(self.pause)
        return super().step(action)


def make_env(lanes: int = 2, workers: int = 0, pause: float = 0.002, deaf: bool = False):
    make = functools.partial(SlowWalk, pause=pause, deaf=deaf)
    return Workers(make, lanes, workers) if workers else make(lane_seeds(0, lanes))
