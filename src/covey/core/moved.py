"""Where covey's records were in earlier versions, so that runs which name them there still open and go on."""

from __future__ import annotations

MOVED = {
    "covey.algorithms.ddpg:DDPG": "covey.algorithms.ddpg.rule:DDPG",
    "covey.environments.battle.world:Battle": "covey.environments.battle.environment:Battle",
    "covey.environments.routing.world:Bank": "covey.environments.routing.records:Bank",
    "covey.environments.routing.world:Failures": "covey.environments.routing.records:Failures",
    "covey.environments.routing.world:Routing": "covey.environments.routing.environment:Routing",
    "covey.environments.routing.world:Sketch": "covey.environments.routing.records:Sketch",
}
"""By the `package.module:name` that a run may hold: where it is now."""


def now_at(path: str) -> str:
    """Where something is that was at `package.module:name`, or still is."""
    return MOVED.get(path, path)
