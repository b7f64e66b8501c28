"""Who learns in imagination: covey's PPO as it is, and the paper's actor-critic with squared errors."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matwm_cases import SPEC, small

from covey import environments
from covey.algorithms import make
from covey.algorithms.matwm.actor_critic import ActorCritic
from covey.algorithms.matwm.agents import agents_of
from covey.algorithms.matwm.ppo import ONE, Ppo, as_rollout, latent_spec
from covey.algorithms.matwm.records import Imagined
from covey.core.errors import BadInput
from covey.core.settings import with_settings
from covey.learning.two_hot import Squared

SIZE, HORIZON, LANES = 3, 4, 5
PPO = Ppo(width=8, layers=1, gamma=0.9)


def imagined(seed: int = 0) -> Imagined:
    """One agent's, with a part of three choices and one that it lacks; in the first lane the end comes at step 1."""
    draw = np.random.default_rng(seed)
    legal = np.zeros((HORIZON, LANES, 2, 3), bool)
    legal[:, :, 0] = True
    action = np.zeros((HORIZON, LANES, 2, 3), np.float32)
    action[..., 0, 1] = action[..., 1, 0] = 1.0
    discount = np.full((HORIZON, LANES), 0.75, np.float32)
    discount[1, 0] = 0.25
    found = Imagined(
        state=draw.normal(size=(HORIZON + 1, LANES, SIZE)).astype(np.float32),
        legal=legal,
        action=action,
        reward=draw.normal(size=(HORIZON, LANES)).astype(np.float32),
        discount=discount,
        extra=(action.reshape(HORIZON, LANES, 1, 6), np.full((HORIZON, LANES, 1), np.log(1 / 3), np.float32)),
    )
    return jax.tree.map(jnp.asarray, found)


def test_what_was_imagined_is_a_rollout_with_fractional_discounts():
    found = imagined()
    counts = jnp.ones((HORIZON, LANES), bool).at[2:, 0].set(False)
    rollout = as_rollout(found, counts, PPO.rule(latent_spec(SIZE, 2, 3), HORIZON))
    np.testing.assert_array_equal(rollout.now.obs[ONE][:, :, 0], found.state[:-1])
    np.testing.assert_array_equal(rollout.then.obs[ONE][:, :, 0], found.state[1:])
    np.testing.assert_array_equal(rollout.then.reward[ONE][..., 0], found.reward)
    np.testing.assert_array_equal(rollout.then.discount[ONE][..., 0], found.discount)
    np.testing.assert_array_equal(rollout.now.alive[ONE][..., 0], counts)
    np.testing.assert_array_equal(rollout.action[ONE][0, 0], [[1, 0]])
    np.testing.assert_array_equal(rollout.now.legal[ONE][0, 0, 0], [1, 1, 1, 1, 0, 0])  # the part that it lacks: 0
    assert not rollout.then.last.any()


@pytest.mark.slow
def test_an_update_is_one_of_the_rule_itself():
    """Step for step what `PPO.learn` makes of that rollout; and steps behind a probable end count for nothing."""
    found, weight = imagined(), jnp.ones(LANES)
    rule = PPO.rule(latent_spec(SIZE, 2, 3), HORIZON)
    begun = jax.jit(lambda key: rule.init(key, 1))(jax.random.key(0))
    learn = jax.jit(PPO.learn_alone)
    ours, told = learn(begun, found, weight, jax.random.key(1))
    counts = jnp.array([[0.75**t >= 0.5 for t in range(HORIZON)]] * LANES).T.at[2:, 0].set(False)
    theirs, _ = jax.jit(rule.learn)(begun, as_rollout(found, counts, rule), jax.random.key(1), jnp.int32(0))
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(told["mean_imagined_reward"], found.reward[counts].mean(), rtol=1e-5)


def test_every_agent_has_a_policy_of_its_own_and_does_what_is_legal():
    agents = agents_of(SPEC, ("x", "y"))
    learned = jax.jit(lambda key: PPO.init(key, agents, SIZE))(jax.random.key(0))
    assert {len(leaf) for leaf in jax.tree.leaves(learned)} == {3}
    legal = jnp.broadcast_to(jnp.array(agents.can)[:, None], (3, 20, 1, 3)).at[0, :, 0, 0].set(False)
    state = jax.random.normal(jax.random.key(1), (3, 20, SIZE))
    act = jax.jit(lambda key, state, legal: PPO.act(PPO.acting(learned), agents, state, legal, key))
    choice, (sample, log_prob) = act(jax.random.key(2), state, legal)
    assert (choice.shape, sample.shape, log_prob.shape) == ((3, 20, 1), (3, 20, 1, 3), (3, 20, 1))
    assert jnp.take_along_axis(legal[..., 0, :], choice, -1).all()
    np.testing.assert_array_equal(choice[0], 1)
    assert set(np.asarray(choice[2]).ravel()) == {0, 1, 2}
    calm = jax.jit(lambda state, legal: PPO.act(PPO.acting(learned), agents, state, legal, None)[0])
    np.testing.assert_array_equal(calm(state[:, 0], legal[:, 0]), calm(state, legal)[:, 0])


def test_who_learns_is_chosen_by_name_and_keeps_what_both_have():
    usual = make("matwm", environments.make("toy/discrete"), preset="tiny")
    other = with_settings(usual, {"inner": "ppo", "inner.epochs": 2}, "matwm")
    assert other.inner == Ppo(width=64, epochs=2, gamma=0.95, entropy=1e-2, lr=1e-3)  # type: ignore[attr-defined]
    with pytest.raises(BadInput, match="for --inner the choice 'mappo' is unknown; did you mean 'ppo'"):
        with_settings(usual, {"inner": "mappo"}, "matwm")
    with pytest.raises(BadInput, match="`clip` must be above 0"):
        Ppo(clip=0.0)


def test_squared_errors_are_of_the_numbers_that_critics_say():
    learner = ActorCritic(width=4, layers=1, critic_loss="mse")
    assert learner.values == Squared()
    said = jnp.array([[1.0], [-2.0]])
    np.testing.assert_array_equal(learner.values.decode(said), [1.0, -2.0])
    np.testing.assert_array_equal(learner.values.loss(said, jnp.array([0.0, 1.0])), [1.0, 9.0])
    agents = agents_of(SPEC, ("x", "y"))
    learned = jax.eval_shape(lambda key: learner.init(key, agents, SIZE), jax.random.key(0))
    assert learned.critic.layers[-1].weight.shape == (3, 1, 4)
    assert small(inner=dataclasses.replace(learner)).inner.values == Squared()  # type: ignore[attr-defined]
