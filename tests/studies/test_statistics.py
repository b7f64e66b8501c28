"""Intervals, differences, gaps and orders, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from covey.core.errors import BadInput
from covey.studies.statistics import difference, gap_closed, mean, order

T_3 = 4.302653  # 97.5 % quantile of Student's t with 2 degrees of freedom


def test_an_interval_by_hand():
    """1, 2, 3: mean 2, standard error 1/√3."""
    about = mean(np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(about, [2, 2 - T_3 / 3**0.5, 2 + T_3 / 3**0.5], rtol=1e-5)
    assert about.text(2) == "2.00 ± 2.48"
    assert mean(np.array([1.0])).text() == "1.000"


def test_differences_are_in_pairs():
    """Seeds differ a lot and both follow them: the difference is sharp."""
    apart = difference(np.array([11.0, 21.0, 32.0]), np.array([10.0, 20.0, 30.0]))
    np.testing.assert_allclose(apart, [4 / 3, 4 / 3 - T_3 / 3, 4 / 3 + T_3 / 3], rtol=1e-5)
    with pytest.raises(BadInput, match="as many seeds"):
        difference(np.zeros(3), np.zeros(2))


def test_the_gap_that_is_closed():
    rule, bound = np.array([1.0, 3.0]), np.array([5.0, 7.0])
    assert gap_closed(bound, rule, bound).mean == 1
    assert gap_closed(rule, rule, bound).mean == 0
    assert gap_closed(np.array([4.0, 6.0]), rule, bound).mean == 0.75
    assert gap_closed(np.array([0.0, 2.0]), rule, bound).mean == -0.25


def test_an_order_claims_no_more_than_the_seeds_do():
    values = {
        "good": np.array([3.0, 3.1, 3.2]),
        "same": np.array([3.1, 3.0, 3.1]),
        "bad": np.array([1.0, 1.1, 1.2]),
    }
    assert order(["bad", "same", "good"], values) == "good ≈ same > bad"
