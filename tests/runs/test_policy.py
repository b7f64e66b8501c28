"""Loading a policy and acting with it."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import covey
from covey.core.errors import BadInput


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
