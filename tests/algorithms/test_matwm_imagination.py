"""Imagination is right: in a chain of which everything is known, and step for step in a learned world model."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matwm_cases import contexts, drawn, small

from covey.algorithms.matwm.actor_critic import ActorCritic
from covey.algorithms.matwm.imagination import Learned, imagine
from covey.algorithms.matwm.inner import reached
from covey.algorithms.matwm.records import Imagined
from covey.learning.two_hot import TwoHot
from covey.nn.nets import Linear

# ---------------------------------------------------------------------------------------------------------------------
# The truth: a chain 0 - 1 - 2 - end. Action 1 goes on, action 0 stays; leaving state 2 pays 1 and is the end.

GAMMA = 0.9
TRUE_VALUE = jnp.array([GAMMA**2, GAMMA, 1.0])


class Chain(NamedTuple):
    """The chain, as dynamics that are known. After its end it is in state 0, where it would be if states were
    shifted by one against rewards."""

    def view(self, moment):
        return jax.nn.one_hot(moment, 3), jnp.ones((*moment.shape, 1, 2), bool)

    def advance(self, moment, action, key):
        goes = action[:, 0, 1] > 0
        ends = goes & (moment == 2)
        after = jnp.where(goes, (moment + 1) % 3, moment)
        return after, ends.astype(jnp.float32), 1.0 - ends


def go_on(state, legal, key):
    return jnp.broadcast_to(jnp.array([[0.0, 1.0]]), (len(state), 1, 2)), ()


def stay_once(state, legal, key):
    """Goes on, but in state 1 tosses a coin."""
    goes = jax.random.bernoulli(key, 0.5, (len(state),)) | (state[:, 1] == 0)
    return jax.nn.one_hot(goes.astype(jnp.int32), 2)[:, None], ()


def imagined(act=go_on, begin=(0, 1, 2), horizon=5, seed=0) -> Imagined:
    return imagine(Chain(), act, jnp.array(begin), horizon, jax.random.key(seed))


LEARNER = ActorCritic(width=8, bins=401, bound=2.0, gamma=GAMMA)


def critic_that_says(value):
    """A critic whose logits decode to `value` [3] in the three states."""
    table = jnp.log(TwoHot(LEARNER.bins, LEARNER.bound).encode(jnp.asarray(value)) + 1e-30)
    return lambda state: state @ table


def test_the_state_of_a_row_is_where_its_action_was_taken_and_its_reward_is_what_that_earned():
    found = imagined()
    for row in range(3):
        states = jnp.argmax(found.state[:, row], -1)
        end = 2 - row  # the step in which state 2 is left
        np.testing.assert_array_equal(states[: end + 1], range(row, 3))
        np.testing.assert_array_equal(found.reward[: end + 1, row], [0.0] * end + [1.0])
        np.testing.assert_array_equal(found.discount[: end + 1, row], [1.0] * end + [0.0])
    assert found.state.shape == (6, 3, 3)
    assert found.action.shape == (5, 3, 1, 2)


def test_the_step_that_ends_the_episode_keeps_its_weight_and_those_behind_it_have_none():
    np.testing.assert_array_equal(reached(imagined().discount)[:, 0], [1, 1, 1, 0, 0])
    np.testing.assert_array_equal(reached(imagined().discount)[:, 2], [1, 0, 0, 0, 0])


@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
def test_returns_are_the_exact_ones_where_the_critic_is_the_truth(lam):
    learner = ActorCritic(bins=401, bound=2.0, gamma=GAMMA, lam=lam)
    for act, horizon in ((go_on, 5), (go_on, 2), (stay_once, 6)):
        found = imagined(act, horizon=horizon)
        target = learner.returns(critic_that_says(TRUE_VALUE), found)  # type: ignore[arg-type]
        states, went = jnp.argmax(found.state, -1), found.action[:, :, 0, 1] > 0
        stayed = ~went & (reached(found.discount) > 0)
        exact = TRUE_VALUE[states[:-1]]
        if act is go_on:  # also where the horizon cuts the episode, by the critic's word
            counts = reached(found.discount) > 0
            np.testing.assert_allclose(jnp.where(counts, target, 0), jnp.where(counts, exact, 0), atol=1e-4)
        else:
            assert stayed.any()
        if lam == 0.0:  # a step that stays is worth γ V(s): one step is exact
            np.testing.assert_allclose(target[stayed], GAMMA * exact[stayed], atol=1e-4)


def test_without_a_critic_the_whole_return_of_an_episode_that_ends_is_exact():
    learner = ActorCritic(bins=401, bound=2.0, gamma=GAMMA, lam=1.0)
    target = learner.returns(critic_that_says(jnp.full(3, 7.0)), imagined())  # type: ignore[arg-type]
    np.testing.assert_allclose(target[:3, 0], TRUE_VALUE, atol=1e-5)


def test_actions_are_scored_at_the_state_they_were_taken_in():
    """One step alone has an advantage: the gradient raises its action's chance in its state, and touches no other."""
    found = imagined(begin=(0,), horizon=3)
    table = jnp.zeros((2, 3))

    def loss(table, target):
        nets = Linear(table, jnp.zeros(2)), critic_that_says(jnp.zeros(3))
        one = jnp.ones(1)
        learner = ActorCritic(bins=401, bound=2.0, gamma=GAMMA, entropy=0.0)
        return learner.loss(nets, found, target, jnp.zeros((3, 1)), 1.0, one)[1]["actor_loss"]  # type: ignore[arg-type]

    for t in range(3):
        slope = jax.grad(loss)(table, jnp.zeros((3, 1)).at[t, 0].set(1.0))
        expected = np.zeros((2, 3))
        expected[:, t] = [0.5 / 3, -0.5 / 3]  # downhill: action 1, which was taken in state t
        np.testing.assert_allclose(slope, expected, atol=1e-4)


def test_what_comes_after_an_imagined_end_changes_nothing():
    """By gradient: of the loss in what was imagined behind the end."""
    found = imagined(begin=(2, 1))

    def loss(reward, state):
        shown = found._replace(reward=reward, state=state)
        critic = critic_that_says(TRUE_VALUE)
        nets = Linear(jnp.eye(3)[:2], jnp.zeros(2)), critic
        target = LEARNER.returns(critic, shown)  # type: ignore[arg-type]
        value = LEARNER.values.decode(critic(shown.state[:-1]))
        return LEARNER.loss(nets, shown, target, value, 1.0, jnp.ones(2))[0]  # type: ignore[arg-type]

    of_reward, of_state = jax.grad(loss, (0, 1))(found.reward, found.state)
    behind = reached(found.discount) == 0
    np.testing.assert_array_equal(of_reward[behind], 0.0)
    np.testing.assert_array_equal(of_state[:-1][behind], 0.0)
    assert jnp.abs(of_state[0]).max() > 0


# ---------------------------------------------------------------------------------------------------------------------
# A learned world model


@pytest.fixture(scope="module")
def algorithm():
    return small()


@pytest.fixture(scope="module")
def dynamics(algorithm):
    return Learned(algorithm.model, drawn(algorithm), algorithm.agents)


def any_action(agents):
    def act(state, legal, key):
        noise = jax.random.gumbel(key, legal.shape)
        return agents.one_hot(jnp.argmax(jnp.where(legal, noise, -1e9), -1)), ()

    return act


def test_imagined_steps_are_those_of_the_whole_sequence_at_once(algorithm, dynamics):
    """Summaries, rewards, ends and teammates' actions out of the caches are those of all tokens in one pass: so h_t
    summarizes exactly the tokens up to t, and the reward of a row is of its own action."""
    model, nets, agents = algorithm.model, dynamics.nets, algorithm.agents
    context, horizon = contexts(algorithm), 4
    moment = dynamics.begin(context, horizon, None)
    found = jax.jit(lambda m, k: imagine(dynamics, any_action(agents), m, horizon, k))(moment, jax.random.key(1))
    size = model.latent_size
    latents = jnp.moveaxis(found.state[..., :size], 0, 1)  # [R, H + 1, Z]
    before = model.sample(model.posterior(nets, context.obs), None)
    shown = jnp.concatenate([before[:, :2], latents], 1)
    np.testing.assert_allclose(before[:, 2], latents[:, 0])
    chosen = jnp.concatenate([agents.one_hot(context.action), jnp.moveaxis(found.action, 0, 1)], 1)
    exists = jnp.concatenate([context.exists[:, :2], jnp.ones((3, horizon), bool)], 1)
    focal = jnp.broadcast_to(jnp.arange(3)[:, None], (3, 2 + horizon))
    tokens = model.tokens(nets, agents, shown[:, :-1], chosen, focal)
    summary = nets.sequence(tokens, exists)
    np.testing.assert_allclose(
        jnp.moveaxis(found.state[1:, :, size : size + model.width], 0, 1), summary[:, 2:], atol=1e-4
    )
    np.testing.assert_allclose(found.reward.T, model.reward_bins.decode(nets.reward(summary[:, 2:])), atol=1e-4)
    ends = jax.nn.sigmoid(nets.continuation(summary[:, 2:])[..., 0])
    np.testing.assert_allclose(found.discount.T, ends, atol=1e-5)

    seen = jnp.concatenate([context.exists[:, :2], jnp.ones((3, horizon + 1), bool)], 1)
    _, logits = nets.teammates.extend(nets.teammates.history.empty(*seen.shape), shown, seen, 0)
    wide = jnp.broadcast_to(jnp.arange(3)[:, None], seen.shape)
    others = jnp.exp(model.others(agents, logits, wide))[:, 2:].reshape(3, horizon + 1, -1)
    np.testing.assert_allclose(jnp.moveaxis(found.state[..., size + model.width :], 0, 1), others, atol=1e-5)


def test_the_first_summary_is_of_the_steps_before_and_zero_where_there_are_none(algorithm, dynamics):
    moment = dynamics.begin(contexts(algorithm), 1, None)
    np.testing.assert_array_equal(jnp.abs(moment.summary).max(-1) > 0, [True, True, False])


def test_nothing_crosses_the_beginning_of_an_episode_by_value_or_by_gradient(algorithm, dynamics):
    """What is in a context where no step exists is of another episode."""
    context = contexts(algorithm)
    beyond = ~context.exists

    @jax.jit
    def view(obs):
        return dynamics.view(dynamics.begin(context._replace(obs=obs), 1, jax.random.key(0)))[0]

    changed = view(context.obs + 5.0 * beyond[..., None])
    np.testing.assert_array_equal(changed, view(context.obs))
    slope = jnp.abs(jax.grad(lambda obs: (view(obs) ** 2).sum())(context.obs)).max(-1)
    np.testing.assert_array_equal(slope[beyond], 0.0)
    assert (slope[context.exists] > 0).all()


def test_agents_keep_to_what_they_could_do_and_to_what_is_said_to_be_legal(algorithm, dynamics):
    moment = dynamics.begin(contexts(algorithm), 3, None)
    agents = algorithm.agents
    found = imagine(dynamics, any_action(agents), moment, 3, jax.random.key(2))
    assert found.legal.any(-1).all()
    assert not (found.legal & ~jnp.array(agents.can)).any()
    assert (found.action <= found.legal).all()


def test_a_part_in_which_nothing_is_said_to_be_legal_is_free(algorithm):
    can = jnp.array([[True, True, False]])
    nothing = jnp.zeros((1, 3), bool)
    np.testing.assert_array_equal(algorithm.agents.allowed(nothing, can), can)
    np.testing.assert_array_equal(algorithm.agents.allowed(nothing.at[0, 1].set(True), can), [[False, True, False]])
