"""Stochastic heads against scipy, and against what they draw."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from covey.core.types import Box, Discrete, MultiDiscrete, Splits
from covey.nn.policies import Policy

RAW = jnp.array([0.3, -1.0, 0.8, 0.1, 2.0])
LEGAL = jnp.array([True, False, True, True, True])
LOG_STD = jnp.log(jnp.array([0.5, 1.0, 2.0, 0.3, 0.7]))
NONE = jnp.zeros(0)


def shares(logits):
    return np.exp(logits) / np.exp(logits).sum()


def draws(policy, log_std, legal=None, count=4000):
    keys = jax.random.split(jax.random.key(0), count)
    return jax.jit(jax.vmap(lambda key: policy.sample(RAW, log_std, key, legal)))(keys)


def test_choices_come_as_often_as_their_probability_says_and_never_illegally():
    found = np.asarray(draws(Policy(Discrete(5)), NONE, LEGAL)).mean(0)
    expected = np.zeros(5)
    expected[[0, 2, 3, 4]] = shares(np.asarray(RAW)[[0, 2, 3, 4]])
    assert found == pytest.approx(expected, abs=0.03)
    assert found[1] == 0


def test_log_probability_and_entropy_of_choices():
    policy = Policy(MultiDiscrete((2, 3)))
    sample = jnp.array([1.0, 0, 0, 0, 1])
    first, second = shares(np.asarray(RAW)[:2]), shares(np.asarray(RAW)[2:])
    assert policy.log_prob(RAW, NONE, sample) == pytest.approx(np.log(first[0] * second[2]), rel=1e-5)
    both = scipy.stats.entropy(first) + scipy.stats.entropy(second)
    assert policy.entropy(RAW, NONE) == pytest.approx(both, rel=1e-5)


def test_what_is_illegal_has_no_entropy():
    policy = Policy(Discrete(5))
    expected = scipy.stats.entropy(shares(np.asarray(RAW)[[0, 2, 3, 4]]))
    assert policy.entropy(RAW, NONE, LEGAL) == pytest.approx(expected, rel=1e-5)
    only = jnp.array([False, False, True, False, False])
    assert policy.entropy(RAW, NONE, only) == pytest.approx(0.0, abs=1e-6)
    assert policy.log_prob(RAW, NONE, only.astype(jnp.float32), only) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("squash", ["tanh", "clip"])
def test_boxes_are_normal_before_they_are_squashed(squash):
    policy = Policy(Box((-2.0,) * 5, (2.0,) * 5), squash)
    sample = draws(policy, LOG_STD)
    std = np.exp(np.asarray(LOG_STD))
    assert np.asarray(sample).mean(0) == pytest.approx(np.asarray(RAW), abs=0.1)
    assert np.asarray(sample).std(0) == pytest.approx(std, rel=0.1)
    expected = scipy.stats.norm.logpdf(np.asarray(sample[0]), np.asarray(RAW), std).sum()
    assert policy.log_prob(RAW, LOG_STD, sample[0]) == pytest.approx(expected, rel=1e-4)
    assert policy.entropy(RAW, LOG_STD) == pytest.approx(scipy.stats.norm.entropy(0, std).sum(), rel=1e-5)
    bounds = np.asarray(jax.vmap(policy.action)(sample))
    assert np.abs(bounds).max() <= 2.0
    squashed = np.tanh(sample[0]) if squash == "tanh" else np.clip(sample[0], -1, 1)
    assert bounds[0] == pytest.approx(2 * np.asarray(squashed), rel=1e-5)


def test_splits_are_shares_and_illegal_ones_count_for_nothing():
    policy = Policy(Splits((2, 3)))
    sample = draws(policy, LOG_STD, LEGAL)[0]
    action = np.asarray(policy.action(sample, LEGAL))
    assert action[1] == 0
    assert action[0] == pytest.approx(1.0)
    assert action[2:].sum() == pytest.approx(1.0)
    density = policy.log_prob(RAW, LOG_STD, sample, LEGAL)
    assert policy.log_prob(RAW, LOG_STD, sample.at[1].set(99.0), LEGAL) == density


def test_the_mode_is_the_likeliest():
    discrete, box = Policy(Discrete(5)), Policy(Box((-1.0,) * 5, (1.0,) * 5))
    assert np.asarray(discrete.mode(RAW, LEGAL)) == pytest.approx([0, 0, 0, 0, 1])
    assert np.asarray(box.mode(RAW)) == pytest.approx(np.asarray(RAW))
    assert (discrete.spread, box.spread) == (0, 5)
