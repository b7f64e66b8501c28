"""Worlds by name."""

from __future__ import annotations

import pytest

import covey
from covey.core.environment import Environment
from covey.core.errors import BadInput
from covey.environments import WORLDS, make


def my_world(time_limit: int = 3):
    return make("toy/discrete", time_limit=time_limit)


@pytest.mark.parametrize("id", ["toy/discrete", "toy/continuous", "toy/graph"])
def test_make(id):
    world = covey.make(id, time_limit=5)
    assert isinstance(world, Environment)
    assert (world.spec.name, world.spec.time_limit) == (id, 5)


def test_own_world():
    assert make(f"{__name__}:my_world", time_limit=2).spec.time_limit == 2


def test_every_world_has_a_summary():
    assert all(world.summary.endswith(".") and world.path.startswith("covey.") for world in WORLDS.values())


@pytest.mark.parametrize(
    ("id", "options", "words"),
    [
        ("toy/discret", {}, "the environment 'toy/discret' is unknown; did you mean 'toy/discrete'"),
        ("toy/discrete", {"time_limt": 3}, "the option 'time_limt' is unknown; did you mean 'time_limit'"),
        ("toy/discrete", {"time_limit": "long"}, "must be a whole number, got 'long'"),
        ("toy/discrete", {"time_limit": 0}, "an episode needs at least one step"),
        ("routing:", {}, "not of the form"),
        ("no_such_package:world", {}, "there is no module 'no_such_package'"),
        ("covey.environments.toy:discret", {}, "did you mean 'discrete'"),
    ],
)
def test_refuses(id, options, words):
    with pytest.raises(BadInput, match=words):
        make(id, **options)
