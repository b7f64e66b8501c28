"""Which agents of another package's environment are of one kind, and what their group is called."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any


def group_agents(kinds: Mapping[Any, Hashable]) -> dict[str, list[Any]]:
    """The agents of each group, from what each agent sees and does.

    Agents sit together where that is equal, and where they have the same name but for a number at its end. Groups and
    their members come in the order of the agents.
    """
    found: dict[tuple[str, Hashable], list[Any]] = {}
    for agent, kind in kinds.items():
        found.setdefault((stem(agent), kind), []).append(agent)
    names = group_names([(name, [str(agent) for agent in members]) for (name, _), members in found.items()])
    return dict(zip(names, found.values(), strict=True))


def group_names(kinds: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """A name for each kind (stem, its members), no two the same.

    It is the stem, or the first member's name where several kinds have that stem, or an agent of another kind has
    it as its name.
    """
    stems = [name for name, _ in kinds]
    home = {member: number for number, (_, members) in enumerate(kinds) for member in members}
    names = [
        name if stems.count(name) == 1 and home.get(name, number) == number else members[0]
        for number, (name, members) in enumerate(kinds)
    ]
    assert len(set(names)) == len(kinds), f"groups share a name: {names}"
    return names


def stem(agent: Any) -> str:
    """The name of an agent without the number at its end."""
    return re.sub(r"[_\-]?\d+$", "", str(agent)) or "agent"
