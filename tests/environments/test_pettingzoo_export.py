"""Exported environments: what `ParallelEnv`s of covey take, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

import covey
from covey.core.errors import BadInput
from covey.environments import make
from covey.environments.pettingzoo.outside import checked


@pytest.fixture(scope="module")
def exported():
    """`exported(id)` is one `ParallelEnv` of each, to be reset by who uses it."""
    made = {}

    def exported(id):
        if id not in made:
            made[id] = covey.to_pettingzoo(make(id))
        return made[id]

    return exported


SPREAD, CONTINUOUS, SPLITS = "particle/spread", "toy/continuous", "toy/graph"


def some(env):
    """A possible action of everybody."""
    return {agent: env.action_space(agent).sample() for agent in env.agents}


@pytest.mark.parametrize(
    ("id", "action"),
    [
        (SPREAD, 99),
        (SPREAD, 1.7),
        (SPREAD, -1),
        (SPREAD, "left"),
        (SPREAD, None),
        (SPREAD, np.nan),
        (SPREAD, [0, 1]),
        (SPREAD, [[0], [1, 2]]),
        (CONTINUOUS, [0.0]),
        (CONTINUOUS, [np.nan, 0.0]),
        (CONTINUOUS, [7.0, 0.0]),
        (CONTINUOUS, [[0.0, 0.0]]),
        (SPLITS, [-0.5, 1.5]),
        (SPLITS, [np.inf, 0.0]),
    ],
)
def test_an_impossible_action_is_one_sentence(exported, id, action):
    env = exported(id)
    env.reset(seed=0)
    agent = env.agents[-1]
    with pytest.raises(BadInput, match=f"the agent '{agent}' cannot do") as raised:
        env.step(some(env) | {agent: action})
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("action", [1, 1.0, np.int64(1), np.array(1), np.array([1]), True, np.float32(1)])
def test_the_number_of_an_action_in_any_type(exported, action):
    env = exported(SPREAD)
    env.reset(seed=0)
    expected = env.step(dict.fromkeys(env.agents, 1))[0]
    env.reset(seed=0)
    found = env.step(dict.fromkeys(env.agents, action))[0]
    for agent, observation in expected.items():
        np.testing.assert_array_equal(found[agent], observation)


def test_rounding_is_no_fault(exported):
    env = exported(CONTINUOUS)
    env.reset(seed=0)
    low, high = (getattr(env.action_space(env.agents[0]), bound).astype(float) for bound in ("low", "high"))
    env.step(dict.fromkeys(env.agents, np.where([True, False], low - 1e-7, high + 1e-7)))


def test_choices_of_several_parts():
    space = spaces.MultiDiscrete([2, 3])
    assert checked([1, 2], space, "a").tolist() == [1, 2]
    for impossible in ([2, 0], [0, 3], [0, -1], [0.5, 1], [1], 1, [[0, 0]]):
        with pytest.raises(BadInput, match="the agent 'a' cannot do"):
            checked(impossible, space, "a")


def test_everybody_acts_and_nobody_else(exported):
    env = exported(SPREAD)
    env.reset(seed=0)
    actions = dict.fromkeys(env.agents, 0)
    with pytest.raises(BadInput, match=r"the actions lack \['agent_1', 'agent_2'\]"):
        env.step({"agent_0": 0})
    with pytest.raises(BadInput, match="the agent 'agent_7' is unknown; did you mean"):
        env.step(actions | {"agent_7": 0})
    with pytest.raises(BadInput, match="have to be a dict by agent, got a list"):
        env.step([0, 0, 0])
    env.step(actions)


def test_after_the_end_nobody_acts():
    env = covey.to_pettingzoo(make("matrix/climbing"))
    with pytest.raises(BadInput, match="there is nobody to act"):
        env.step({})
    env.reset(seed=0)
    env.step(some(env))
    assert env.agents == []
    with pytest.raises(BadInput, match="there is nobody to act"):
        env.step({})


@pytest.mark.parametrize("seed", ["x", 1.5, [1], 2**70, np.array([1, 2])])
def test_a_seed_is_a_whole_number(exported, seed):
    with pytest.raises(BadInput, match="the seed has to be a whole number") as raised:
        exported(SPREAD).reset(seed=seed)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("seed", [3, np.int32(3), np.uint8(3), np.array(3)])
def test_a_seed_of_any_whole_type(exported, seed):
    env = exported(SPREAD)
    first = env.reset(seed=3)[0]
    np.testing.assert_array_equal(env.reset(seed=seed)[0]["agent_0"], first["agent_0"])


def test_unseeded_exports_differ():
    environment = make(SPREAD)
    first, second = (covey.to_pettingzoo(environment).reset()[0]["agent_0"] for _ in range(2))
    assert not np.array_equal(first, second)


def test_episodes_of_one_export_differ(exported):
    env = exported(SPREAD)
    first, second = env.reset(seed=0)[0], env.reset()[0]
    assert not np.array_equal(first["agent_0"], second["agent_0"])
