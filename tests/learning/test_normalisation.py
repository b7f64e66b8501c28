"""Scales that follow what they see."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from covey.learning.normalisation import no_percentiles, unscaled

SEEN = jnp.array([1.0, 3.0, 5.0, 100.0])
COUNTS = jnp.array([True, True, True, False])


def test_nothing_seen_changes_nothing():
    assert np.asarray(unscaled().normalize(SEEN)) == pytest.approx(np.asarray(SEEN))


def test_the_first_batch_alone_decides_whatever_the_rate():
    for rate in (0.01, 0.5, 1.0):
        mean, spread = unscaled().update(SEEN, COUNTS, rate).moments
        assert mean == pytest.approx(3.0, rel=1e-4)
        assert spread == pytest.approx(np.std([1, 3, 5]), rel=1e-3)


def test_two_batches_are_weighed_by_what_is_left_of_them():
    """With a rate of 1/2 the first weighs 1/4 and the second 1/2."""
    scale = unscaled().update(jnp.array([0.0]), jnp.array([True]), 0.5).update(jnp.array([3.0]), jnp.array([True]), 0.5)
    mean, spread = scale.moments
    assert mean == pytest.approx(2.0)
    assert spread == pytest.approx(np.sqrt(3.0 * 2 - 4.0))


def test_what_does_not_count_is_not_seen():
    nobody = jnp.zeros(4, bool)
    scale = unscaled().update(SEEN, COUNTS, 0.1)
    assert scale.update(SEEN * 7, nobody, 0.1) == scale


def test_a_rate_of_zero_never_scales():
    assert unscaled().update(SEEN, COUNTS, 0.0).moments == (0.0, 1.0)


def test_back_and_forth():
    scale = unscaled().update(SEEN, COUNTS, 0.1)
    assert np.asarray(scale.denormalize(scale.normalize(SEEN))) == pytest.approx(np.asarray(SEEN), rel=1e-5)


def test_a_constant_does_not_blow_up():
    scale = unscaled().update(jnp.full(4, 2.0), COUNTS, 0.1)
    assert np.isfinite(np.asarray(scale.normalize(SEEN))).all()


def test_percentiles_follow_the_range_of_what_they_see():
    x = jnp.linspace(0.0, 100.0, 101)
    first = no_percentiles().update(x, 0.99)
    assert no_percentiles().scale == 1.0
    np.testing.assert_allclose((first.low, first.high, first.scale), (5.0, 95.0, 90.0), rtol=1e-5)
    second = first.update(2.0 * x, 0.99)
    np.testing.assert_allclose((second.low, second.high), (5.05, 95.95), rtol=1e-5)
    assert no_percentiles().update(x / 1000.0, 0.99).scale == 1.0  # small returns are not blown up
