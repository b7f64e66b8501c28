"""What is said of a world model: predictions that know nothing of what comes, and what they are compared with."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matwm_cases import drawn, played, sequences, small

from covey.learning.buffer import Batch
from covey.studies.matwm.quality import _triples, foretold, guesses


@pytest.fixture(scope="module")
def algorithm():
    return small()


def test_a_prediction_knows_what_was_seen_up_to_its_beginning_and_the_actions_behind_it(algorithm):
    nets, own = drawn(algorithm), sequences(algorithm)
    look = jax.jit(lambda own: foretold(algorithm, nets, own, 1, 2, samples=3))
    usual = look(own)
    assert [x.shape for x in usual] == [(3, 2, algorithm.agents.obs_size), (3, 2), (3, 2)]
    later = own._replace(obs=own.obs.at[:, 2:].add(1.0), reward=own.reward + 1.0, action=own.action.at[:, 3:].set(0))
    for one, other in zip(usual, look(later), strict=True):
        np.testing.assert_array_equal(one, other)
    other = look(own._replace(action=own.action.at[:, 2].set(1 - own.action[:, 2])))
    np.testing.assert_array_equal(usual[1][:, 0], other[1][:, 0])  # the action of the second step
    assert np.abs(usual[1][:, 1] - other[1][:, 1]).max() > 1e-4
    for changed in (own._replace(obs=own.obs.at[:, 1].add(1.0)), own._replace(obs=own.obs.at[:, 0].add(1.0))):
        assert np.abs(look(changed)[1] - usual[1]).max() > 1e-4


def test_what_predictions_are_compared_with(algorithm):
    own = jax.tree.map(np.asarray, sequences(algorithm))
    seen, rest = np.zeros((3, 2, 2)), np.zeros((3, 2))
    found = _triples(own, 1, 2, (seen, rest, rest), np.array([True, False]))
    goes_on = [0]  # of the others one has two steps, and of one the end is not known
    np.testing.assert_array_equal(found["obs"][0], own.obs[goes_on, 3][:, :1])
    np.testing.assert_array_equal(found["obs"][2], own.obs[goes_on, 1][:, :1])
    np.testing.assert_array_equal(found["reward"][0], own.reward[[0, 2], 2])
    np.testing.assert_array_equal(found["reward"][2], own.reward[[0, 2], 0])
    np.testing.assert_array_equal(found["future"][0], [1.0, 0.0])


def test_guesses_are_compared_with_the_most_frequent_action(algorithm):
    """In these episodes x_i does (t + i) mod 2 and y_0 does t mod 3, for four steps."""
    rollout = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), played((4, True)))
    batch = Batch(rollout.now, rollout.action, rollout.then, rollout.action, jnp.ones((1, 4)))
    right, usual = guesses(algorithm, drawn(algorithm), batch)
    np.testing.assert_allclose(usual, [0.5, 0.5, 0.5])  # 2 of 4 of another x, 2 of 4 of y: it begins anew
    assert right.shape == (3,)
    assert ((right >= 0) & (right <= 1)).all()
    alone = dataclasses.replace(algorithm, model=dataclasses.replace(algorithm.model, teammates=False))
    np.testing.assert_array_equal(guesses(alone, drawn(alone), batch)[0], 0.0)
