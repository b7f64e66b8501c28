"""Advantages, worked by hand."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from covey.learning.returns import gae, lambda_returns

REWARD, VALUE = np.array([1.0, 2.0, 3.0]), np.array([0.5, 1.0, 1.5])
FUTURE = np.array([1.0, 1.5, 2.0])


def advantages(discount, last, lam=0.5, reward=REWARD):
    return np.asarray(gae(reward, VALUE, FUTURE, np.array(discount), np.array(last), 0.5, lam))


def test_a_terminal_step_has_no_future():
    """δ = 1, 1.75, 1.5 and γλ = 1/4."""
    assert advantages([1, 1, 0], [False, False, True]) == pytest.approx([1.53125, 2.125, 1.5])


def test_a_time_limit_bootstraps():
    """δ of the last step is 3 + 2/2 - 1.5."""
    assert advantages([1, 1, 1], [False, False, True])[2] == pytest.approx(2.5)


def test_nothing_flows_back_over_the_end_of_an_episode():
    short = advantages([1, 1, 1], [True, False, True])
    assert short[0] == pytest.approx(1.0)
    assert advantages([1, 1, 1], [True, False, True], reward=REWARD + np.array([0.0, 9.0, 9.0]))[0] == short[0]


def test_nothing_flows_back_over_a_death_though_the_episode_goes_on():
    dead = advantages([0, 1, 1], [False, False, True])
    assert dead[0] == pytest.approx(0.5)


def test_with_lambda_one_advantage_and_value_are_the_discounted_return():
    """Values telescope where the successor's value is the next step's."""
    chained, last = np.append(VALUE[1:], 0.0), np.array([False, False, True])
    found = np.asarray(gae(REWARD, VALUE, chained, np.ones(3), last, 0.9, 1.0))
    assert (found + VALUE)[0] == pytest.approx(1 + 0.9 * 2 + 0.81 * 3)


def test_with_lambda_zero_it_is_the_error_of_one_step():
    assert advantages([1, 1, 0], [False, False, True], lam=0.0) == pytest.approx([1.0, 1.75, 1.5])


def test_agents_of_a_lane_have_their_own_futures():
    discount = np.array([[[1.0, 0.0]]] * 3)  # [T, E, n]
    wide = [np.broadcast_to(x[:, None, None], (3, 1, 2)) for x in (REWARD, VALUE, FUTURE)]
    last = np.array([False, False, True])[:, None, None]
    both = np.asarray(gae(wide[0], wide[1], wide[2], discount, last, 0.5, 0.5))[:, 0]
    assert both[:, 0] == pytest.approx(advantages([1, 1, 1], [False, False, True]))
    assert both[:, 1] == pytest.approx(REWARD - VALUE)


def test_lambda_returns_are_the_naive_loop():
    rng = np.random.default_rng(0)
    reward, future = rng.normal(size=(2, 6)).astype(np.float32)
    discount = 0.9 * np.array([1, 0.7, 0, 1, 1, 0.5], np.float32)  # the third step ends everything
    for lam in (0.0, 0.6, 1.0):
        expected, later = np.zeros(6), future[-1]
        for t in reversed(range(6)):
            expected[t] = later = reward[t] + discount[t] * ((1 - lam) * future[t] + lam * later)
        found = lambda_returns(jnp.asarray(reward), jnp.asarray(discount), jnp.asarray(future), lam)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        assert found[2] == reward[2]
