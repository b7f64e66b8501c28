"""Groups of agents that other packages name."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey.environments.grouping import group_agents

NAMES = st.lists(st.from_regex(r"(a|b|a_1|b1|1)?([_-]?[12]){0,3}", fullmatch=True), min_size=1, max_size=6, unique=True)


@settings(max_examples=300, deadline=None)
@given(NAMES, st.data())
def test_groups_never_share_a_name(names, data):
    """Whatever agents are called, and however they differ: everybody has one seat, beside its like."""
    kinds = {name: data.draw(st.integers(0, 2)) for name in names}
    found = group_agents(kinds)
    assert sorted(agent for members in found.values() for agent in members) == sorted(names)
    assert all(len({kinds[agent] for agent in members}) == 1 for members in found.values())


@pytest.mark.parametrize(
    ("kinds", "groups"),
    [
        ({"ally_0": 0, "ally_1": 0, "enemy_0": 0}, {"ally": ["ally_0", "ally_1"], "enemy": ["enemy_0"]}),
        ({"0": 0, "1": 0}, {"agent": ["0", "1"]}),
        ({0: 0, 1: 1}, {"0": [0], "1": [1]}),
        ({"a_0": 0, "a_1": 1, "a_2": 0}, {"a_0": ["a_0", "a_2"], "a_1": ["a_1"]}),
        ({"a": 0, "a_1": 1}, {"a": ["a"], "a_1": ["a_1"]}),
    ],
)
def test_names_of_groups(kinds, groups):
    assert group_agents(kinds) == groups
