"""The clipped objective, worked by hand."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from covey.learning.surrogate import clipped_loss, standardized


def test_a_clipped_loss_by_hand():
    """Ratios 1.5 and 0.5 leave [0.8, 1.2]: only where that would gain more does the bound count; the third is dead."""
    log_prob, before = jnp.log(jnp.array([0.6, 0.2, 0.5])), jnp.log(jnp.array([0.4, 0.4, 0.1]))
    advantage, entropy = jnp.array([2.0, 1.0, 99.0]), jnp.array([0.5, 0.7, 99.0])
    weight = jnp.array([True, True, False])
    loss, told = clipped_loss("a", log_prob, before, advantage, entropy, weight, 0.2, 0.1)
    gain = (1.2 * 2.0 + 0.5 * 1.0) / 2
    assert float(loss) == pytest.approx(-gain - 0.1 * 0.6)
    assert {what: float(x) for what, x in told.items()} == pytest.approx(
        {
            "loss/actor/a": -gain,
            "entropy/a": 0.6,
            "clipped/a": 1.0,
            "divergence/a": ((0.5 - np.log(1.5)) + (-0.5 - np.log(0.5))) / 2,
        }
    )


def test_standardized_advantages_of_the_living():
    found = standardized(jnp.array([1.0, 3.0, 50.0]), jnp.array([True, True, False]))
    np.testing.assert_allclose(found, [-1.0, 1.0, 0.0], atol=1e-4)
