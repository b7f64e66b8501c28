"""Assignments against SciPy's."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from covey.environments.assigning import assigned


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (4, 7), (7, 4), (10, 10)])
def test_assignments_cost_least(shape):
    costs = np.random.default_rng(0).uniform(size=(20, *shape)).astype(np.float32)
    for cost, place in zip(costs, np.asarray(jax.jit(jax.vmap(assigned))(costs)), strict=True):
        rows, columns = linear_sum_assignment(cost)
        expected = np.full(shape[0], -1)
        expected[rows] = columns
        assert place.tolist() == expected.tolist()
