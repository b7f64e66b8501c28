"""Loading a policy and acting with it."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import covey
from covey import algorithms
from covey.core.algorithm import Mixed
from covey.core.errors import BadInput
from covey.core.settings import with_settings
from covey.runs.policy import Policy, transferred


def test_five_lines(finished):
    key = jax.random.key(0)
    policy = covey.load(finished.folder, seed=1)
    state, now = policy.environment.reset(key)
    memory = policy.memory(key)
    actions, memory = policy.act(now, memory, key)
    _, then = policy.environment.step(key, state, actions)
    assert {name: x.shape for name, x in actions.items()} == {"a": (2,), "b": (1,)}
    assert then.reward["a"].shape == (2,)
    again, _ = policy.act(now, policy.memory(key), jax.random.key(9))
    np.testing.assert_equal(jax.device_get(again), jax.device_get(actions))  # greedy: the key changes nothing
    tried = {tuple(policy.act(now, memory, jax.random.key(i), explore=True)[0]["a"].tolist()) for i in range(20)}
    assert len(tried) > 1
    assert int(policy.step) == 48


def test_seeds_are_different_policies(finished):
    one, two = covey.load(finished.folder), covey.load(finished.folder, seed=1)
    assert not np.array_equal(one.state.weights["a"], two.state.weights["a"])


def test_refuses(finished, tmp_path):
    with pytest.raises(BadInput, match="seed 2 was asked for"):
        covey.load(finished.folder, seed=2)
    with pytest.raises(BadInput, match="is not a run folder"):
        covey.load(tmp_path)
    for name in ("config.yaml", "config.seal"):
        (tmp_path / name).write_text((finished.folder / name).read_text())
    with pytest.raises(BadInput, match="has no checkpoint yet"):
        covey.load(tmp_path)


def untrained(id, environment, **settings) -> Policy:
    """A policy before it has learned anything."""
    algorithm = with_settings(algorithms.make(id, environment), {"width": 4, "critic.width": 4} | settings, id)
    return Policy(environment, algorithm, algorithm.acting(algorithm.init(jax.random.key(0), 1)), jnp.int32(0))


def robots(count):
    return covey.make("assembly", robots=count, shapes="star", time_limit=4)


def test_a_policy_of_alike_agents_acts_with_more_of_them():
    few = untrained("lamarl", robots(2), prior="none")
    many = few.transferred(robots(4))
    assert many.environment.spec.agents == 4
    key = jax.random.key(1)
    _, now = many.environment.reset(key)
    action, _ = many.act(now, many.memory(key), key)
    assert action["robot"].shape == (4, 2)
    _, other = few.environment.reset(key)
    shown = other._replace(obs={"robot": now.obs["robot"][2:]})
    np.testing.assert_allclose(few.act(shown, few.memory(key), key)[0]["robot"], action["robot"][2:], rtol=1e-6)


def test_a_transferred_prior_is_looked_up_anew():
    policy = untrained("lamarl", robots(2))
    known = dataclasses.replace(policy.environment, radius=0.01)
    first: Any = transferred(policy.algorithm, known)
    again: Any = transferred(first, robots(4))
    assert float(first.prior.guide.inner.rule.avoid) == pytest.approx(0.02)
    assert float(again.prior.guide.inner.rule.avoid) == pytest.approx(0.2)
    assert again.prior.guide.spec.agents == 4


def test_what_cannot_be_transferred():
    with pytest.raises(BadInput, match="depends on its 2 agents, and there are 4: train with one actor"):
        untrained("maddpg", robots(2)).transferred(robots(4))
    lamarl = untrained("lamarl", robots(2), prior="none")
    with pytest.raises(BadInput, match="'robot' see or do other things in 'navigation' than in 'assembly'"):
        lamarl.transferred(covey.make("navigation"))
    with pytest.raises(BadInput, match="Mixed is made of other algorithms"):
        transferred(Mixed({"robot": lamarl.algorithm}), robots(4))
