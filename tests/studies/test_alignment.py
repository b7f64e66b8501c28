"""The angle between a critic's gradient and the world's: 1 for a critic that is right, -1 for its opposite."""

from __future__ import annotations

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey import algorithms, environments
from covey.algorithms.critics import Critic
from covey.algorithms.ddpg import maddpg
from covey.core.errors import BadInput
from covey.environments.routing import topologies
from covey.environments.routing.build import Options, build
from covey.runs.episode import record
from covey.runs.policy import Policy
from covey.studies.alignment import alignment, foresight, of_logits

PARTS = (2, 3)


class Knows(Critic):
    """The reward of `small-contended` where both pairs demand 50 of 100, by hand; times `sign`."""

    width: int = eqx.field(static=True, default=1)
    sign: float = 1.0

    def init(self, key, spec, groups):
        return {name: jnp.zeros(spec.groups[name].size) for name in groups}

    def value(self, net, view):
        ours, theirs = view.own_action, view.action[0][0]
        links = jnp.stack([ours[0], theirs[0], ours[1] + theirs[1]])
        return self.sign * (1.0 - 0.5 * links.max()), ()


def policy_of(critic):
    _, paths = topologies.small_contended()
    steps = np.full((8, 1, 2), 50.0)
    world = build("even", paths, steps, steps, Options(time_limit=4), whole_test=False)
    algorithm = dataclasses.replace(maddpg(world.spec), critic=critic, last_scale=1.0)
    return Policy(world, algorithm, algorithm.init(jax.random.key(1), 1), 0)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_critic_that_is_right_and_its_opposite(sign):
    policy = policy_of(Knows(sign=sign))
    episode = record(policy.environment, policy.algorithm, policy.state, jax.random.key(0))
    np.testing.assert_allclose(alignment(policy, episode), sign, atol=1e-4)


def with_gamma(policy, gamma):
    return policy._replace(algorithm=dataclasses.replace(policy.algorithm, gamma=gamma))


def test_a_critic_that_is_right_promises_what_is_earned():
    fit = foresight(with_gamma(policy_of(Knows()), 0.0), jax.random.key(0), lanes=4)
    np.testing.assert_allclose(fit.bias, [0, 0], atol=1e-5)
    np.testing.assert_allclose(fit.explained, [1, 1], atol=1e-4)


def test_a_critic_that_is_wrong_promises_too_little_and_explains_nothing():
    fit = foresight(with_gamma(policy_of(Knows(sign=-1.0)), 0.0), jax.random.key(0), lanes=4)
    np.testing.assert_allclose(fit.bias, -1, atol=0.1)  # minus twice a reward of about a half
    assert (fit.explained < 0).all()


def test_a_critic_of_the_future_cannot_be_held_against_the_present():
    with pytest.raises(BadInput, match="γ = 0"):
        foresight(with_gamma(policy_of(Knows()), 0.5), jax.random.key(0))


def test_gradients_in_logits_by_the_chain_rule():
    weights = jnp.arange(1.0, 6.0)

    def shares(logits):
        return jnp.concatenate([jax.nn.softmax(logits[:2]), jax.nn.softmax(logits[2:])])

    logits = jnp.array([0.3, -1.0, 0.0, 2.0, 0.5])
    expected = jax.grad(lambda z: jnp.sum(weights * shares(z) ** 2))(logits)
    taken = shares(logits)
    gradient = (2 * weights * taken)[None, None]
    np.testing.assert_allclose(of_logits(gradient, taken[None, None], PARTS)[0], expected, rtol=1e-5)


def test_what_has_no_critic_is_refused():
    world = environments.make("routing/small-contended", steps=64)
    rule = algorithms.make("ecmp", world)
    with pytest.raises(BadInput, match="DDPG family"):
        alignment(Policy(world, rule, (), 0), record(world, rule, (), jax.random.key(0)))
