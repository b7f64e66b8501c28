"""Where covey's records were in earlier versions, so that runs which name them there still open and go on."""

from __future__ import annotations

MOVED = {
    "covey.algorithms.ddpg:DDPG": "covey.algorithms.ddpg.rule:DDPG",
}
"""By the `package.module:name` that a run may hold: where it is now."""


def now_at(path: str) -> str:
    """Where something is that was at `package.module:name`, or still is."""
    return MOVED.get(path, path)
