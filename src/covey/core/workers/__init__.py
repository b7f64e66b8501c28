"""Environments outside JAX in several processes: `Workers` looks like one `HostEnvironment` and runs many.

    parent (pool)                 worker w (process)
      action -> shared memory ->    its lanes' actions
      "step" -> pipe          ->    environment.step
      then, now <- shared memory <- its lanes' time steps

Commands and everything rare (resets, saves, errors) go through a pipe; what is exchanged at every step lies in one
block of memory (`shared`) that each worker sees its own lanes of.
"""

from covey.core.workers.pool import WorkerFailed, Workers, cut, join, lane_seeds
from covey.core.workers.process import Make
from covey.core.workers.shared import copied, leaves, rebuild

__all__ = ["Make", "WorkerFailed", "Workers", "copied", "cut", "join", "lane_seeds", "leaves", "rebuild"]
