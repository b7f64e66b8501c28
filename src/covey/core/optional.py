"""What environments and algorithms may offer beyond their interface. Each is used where it is there, missed nowhere.

The interfaces are in `covey.core.environment` and `covey.core.algorithm`. Nothing else is looked for by name.
"""

from __future__ import annotations

from typing import Any

ENVIRONMENT = {
    "measure": "measure(state) -> dict of scalars: numbers of the step that led to `state`, averaged over an episode",
    "reference": "reference() -> Reference or None: what returns are compared with",
    "rules": "rules() -> dict: by name, functions that make a scripted algorithm for this environment",
    "evaluation": "evaluation() -> environment: the one to evaluate in (held-out data, no training bonus)",
    "constants": "constants() -> dict of floats: by name, numbers that functions written for this environment may use",
    "demands": "demands() -> Demands or None: what functions written for this environment have to reach at play",
    "draw": "draw(axes, state, now, action=None, history=None): one frame, on new matplotlib axes",
    "picture": "(width, height): inches of a frame",
}
"""Of an environment in JAX. `reference`, `rules` and `evaluation` count for host environments too."""

HOST = {
    "save": "save() -> bytes: everything that `restore` needs, so that a resumed run goes on to the bit",
    "restore": "restore(bytes): go on where `save` was called",
    "reseed": "reseed(seeds): one seed per lane, which decide what the next `reset` begins",
    "camera": "camera(watch) -> host environment of one lane, whose time steps are shown to `watch` as pictures",
    "time_step": "time_step(observations, infos, agents) -> time step of one environment, out of dictionaries by agent",
    "named": "named(action, agents) -> dict: the actions of one environment by agent",
}
"""Of a host environment."""

ALGORITHM = {
    "ledgers": "ledgers(state, rollout) -> dict: per group, who earned what in the first episode of each lane",
    "dream": "dream(state, steps, actions, agent, start, key) -> Dream: what an agent imagines in an episode",
    "rotate": "rotate(state, shift): the state with what is agent i's at agent i + shift; None where agents share it",
    "workspace": "workspace() -> int: bytes that an update takes besides what is learned and kept, about",
    "parts": "the algorithms that this one is made of, one per group",
}
"""Of an algorithm."""

STATE = {"lane_axis": "of a record in an algorithm's state: the axis that counts lanes, along which it can be sharded"}
"""Of records in states."""

KNOWN = {**ENVIRONMENT, **HOST, **ALGORITHM, **STATE}


def offered(owner: Any, name: str) -> Any:
    """`owner.name`, or None where it is not offered. `name` has to be listed above."""
    assert name in KNOWN, f"{name!r} is not listed in {__name__}"
    return getattr(owner, name, None)
