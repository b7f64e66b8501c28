"""What the world model and the actors learn from: terms, floors, and which gradient goes where."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matwm_cases import INNER, drawn, noisy, sequences, small

from covey.algorithms.matwm.losses import divergences, world_model_loss
from covey.algorithms.matwm.records import Imagined
from covey.learning.descent import descended

ALGORITHM = small()
AGENTS, KEY = ALGORITHM.agents, jax.random.key(0)


@pytest.fixture(scope="module")
def nets():
    return drawn(ALGORITHM)


@jax.jit
def loss_of(nets, batch):
    return world_model_loss(nets, ALGORITHM.model, AGENTS, batch, KEY)


@jax.jit
def slope_in_what_is_seen(nets, obs, reward, batch):
    def loss(obs, reward):
        return world_model_loss(nets, ALGORITHM.model, AGENTS, batch._replace(obs=obs, reward=reward), KEY)[0]

    return jax.grad(loss, (0, 1))(obs, reward)


# ---------------------------------------------------------------------------------------------------------------------
# The floor


def chances(*rows):
    return jnp.log(jnp.array(rows, jnp.float32))[None]  # [1, K, C]


def test_below_one_nat_a_divergence_sends_no_gradient_and_above_it_only_the_side_that_learns_gets_one():
    @jax.jit
    def slopes(p, q):
        def term(which):
            return jax.grad(lambda p, q: divergences(p, q, 1.0)[which].sum(), (0, 1))(p, q)

        return divergences(p, q, 1.0), term(1), term(2)

    near = chances([0.5, 0.5], [0.4, 0.6]), chances([0.6, 0.4], [0.5, 0.5])
    far = chances([0.99, 0.01], [0.01, 0.99]), chances([0.1, 0.9], [0.5, 0.5])
    (raw, dynamics, representation), *gradients = slopes(*near)
    assert 0 < raw[0] < 1
    assert dynamics[0] == representation[0] == 1.0
    for gradient in jax.tree.leaves(gradients):
        np.testing.assert_array_equal(gradient, 0.0)
    (raw, dynamics, representation), (dyn_p, dyn_q), (rep_p, rep_q) = slopes(*far)
    by_hand = 0.99 * np.log(0.99 / 0.1) + 0.01 * np.log(0.01 / 0.9) + 0.01 * np.log(0.02) + 0.99 * np.log(1.98)
    np.testing.assert_allclose([raw[0], dynamics[0], representation[0]], by_hand, rtol=1e-5)
    np.testing.assert_array_equal(dyn_p, 0.0)
    np.testing.assert_array_equal(rep_q, 0.0)
    assert jnp.abs(dyn_q).max() > 0.1
    assert jnp.abs(rep_p).max() > 0.1


def test_the_floor_is_held_at_each_step_and_not_by_the_mean():
    p = jnp.concatenate([chances([0.99, 0.01], [0.01, 0.99]), chances([0.5, 0.5], [0.5, 0.5])])
    q = jnp.concatenate([chances([0.1, 0.9], [0.5, 0.5]), chances([0.5, 0.5], [0.5, 0.5])])
    raw, dynamics, _ = divergences(p, q, 1.0)
    np.testing.assert_allclose(dynamics, [raw[0], 1.0])


# ---------------------------------------------------------------------------------------------------------------------
# Boundaries


def test_what_is_behind_the_end_of_a_sequence_changes_nothing_by_value_or_by_gradient(nets):
    batch = sequences(ALGORITHM)
    behind, after = ~np.asarray(batch.alive), ~np.asarray(batch.steps)
    garbage = batch._replace(
        obs=batch.obs + 7.0 * behind[..., None],
        action=jnp.where(after[..., None], 1, batch.action),
        others=jnp.where(after[..., None, None], 1, batch.others),
        others_alive=batch.others_alive | after[..., None],
    )
    assert loss_of(nets, garbage)[0] == loss_of(nets, batch)[0]
    obs, reward = slope_in_what_is_seen(nets, batch.obs, batch.reward, batch)
    felt = np.abs(np.asarray(obs)).max(-1)
    np.testing.assert_array_equal(felt > 0, ~behind)  # what was seen last of all is a target, and is learned from
    np.testing.assert_array_equal(np.asarray(reward)[after], 0.0)


def test_a_death_teaches_that_nothing_follows_and_a_time_limit_that_something_does(nets):
    """Both end a sequence; the targets of the continuation differ."""
    batch = sequences(ALGORITHM)

    @jax.jit
    def push(discount):
        def loss(bias):
            final = nets.continuation.layers[-1]._replace(bias=bias)
            head = dataclasses.replace(nets.continuation, layers=(*nets.continuation.layers[:-1], final))
            shown = batch._replace(discount=discount)
            return world_model_loss(nets._replace(continuation=head), ALGORITHM.model, AGENTS, shown, KEY)[0]

        return jax.grad(loss)(nets.continuation.layers[-1].bias)[0]

    cut = push(jnp.ones_like(batch.discount))
    died = push(batch.discount.at[1, 1].set(0.0).at[2, 2].set(0.0))
    np.testing.assert_allclose(died - cut, 2 / 9, rtol=1e-4)  # two targets of nine are 0 instead of 1


# ---------------------------------------------------------------------------------------------------------------------
# Which gradient goes where


def moved(gradient) -> set[str]:
    """The networks that a gradient of the world model reaches."""
    return {
        name for name, part in gradient._asdict().items() if any(jnp.abs(x).max() > 0 for x in jax.tree.leaves(part))
    }


def test_the_teammates_loss_moves_the_predictor_alone(nets):
    batch = sequences(ALGORITHM)

    @jax.jit
    def slope(nets):
        return jax.grad(
            lambda n: world_model_loss(n, ALGORITHM.model, AGENTS, batch, KEY)[1]["shared_wm_teammate_loss"]
        )(nets)

    gradient = slope(nets)
    assert moved(gradient) == {"teammates"}


def test_everything_of_the_world_model_learns(nets):
    gradient = jax.jit(jax.grad(lambda n: loss_of(n, sequences(ALGORITHM))[0]))(nets)
    assert moved(gradient) == set(nets._fields)
    still = [path for path, x in jax.tree_util.tree_leaves_with_path(gradient) if not jnp.abs(x).max() > 0]
    assert not still


def test_dead_teammates_teach_nothing(nets):
    batch = sequences(ALGORITHM)
    dead = ~batch.others_alive
    assert dead.any()
    other = batch._replace(others=jnp.where(dead[..., None], 1 - batch.others, batch.others))
    assert loss_of(nets, other)[0] == loss_of(nets, batch)[0]


def imagined_by(inner, agents, seed=0):
    """Something imagined [N, H, B, ...], with the states that `inner` is given."""
    rng, lead = np.random.default_rng(seed), (agents.count, 3, 4)
    size = ALGORITHM.model.state_size(agents)
    legal = np.broadcast_to(agents.can[:, None, None], (*lead, *agents.can.shape[1:]))
    return jax.tree.map(
        jnp.asarray,
        Imagined(
            state=rng.normal(size=(agents.count, 4, 4, size)).astype(np.float32),
            legal=legal,
            action=np.eye(agents.choices, dtype=np.float32)[rng.integers(0, 2, (*lead, agents.parts))],
            reward=rng.normal(size=lead).astype(np.float32),
            discount=rng.random(lead).astype(np.float32),
        ),
    )


@pytest.fixture(scope="module")
def actors():
    init = jax.jit(lambda key: ALGORITHM.inner.init(key, AGENTS, ALGORITHM.model.state_size(AGENTS)))
    learned = init(KEY)
    return learned._replace(actor=noisy(learned.actor), critic=noisy(learned.critic, 2), slow=noisy(learned.slow, 3))


def test_agents_learn_alone(actors):
    """What one agent imagined changes nobody else's networks; without weight there is nothing to learn."""
    learn = jax.jit(functools.partial(ALGORITHM.inner.learn, key=KEY))
    imagined, weight = imagined_by(ALGORITHM.inner, AGENTS), jnp.ones((3, 4))
    usual, metrics = learn(actors, imagined, weight)
    other, _ = learn(actors, imagined._replace(reward=imagined.reward.at[1].add(1.0)), weight)
    for a, b in zip(
        jax.tree.leaves((usual.actor, usual.critic)), jax.tree.leaves((other.actor, other.critic)), strict=True
    ):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[2], b[2])
    assert all(x.shape == (3,) for x in metrics.values())
    none, _ = learn(actors, imagined, weight.at[1].set(0.0))
    np.testing.assert_array_equal(none.actor.layers[0].weight[1], actors.actor.layers[0].weight[1])
    assert jnp.abs(none.actor.layers[0].weight[0] - actors.actor.layers[0].weight[0]).max() > 0


def test_the_slow_critic_follows(actors):
    learn = jax.jit(functools.partial(ALGORITHM.inner.learn, key=KEY))
    after, _ = learn(actors, imagined_by(ALGORITHM.inner, AGENTS), jnp.ones((3, 4)))
    old, new, critic = (x.layers[0].weight for x in (actors.slow, after.slow, after.critic))
    np.testing.assert_allclose(new, old + 0.02 * (critic - old), atol=1e-6)


def test_the_advantage_is_divided_by_the_range_of_returns_where_that_is_above_one(actors):
    """Rewards that are ten times as large give the same actor loss; values are zero here."""
    one = jax.tree.map(lambda x: x[0], (actors, imagined_by(ALGORITHM.inner, AGENTS)))
    imagined = one[1]._replace(discount=jnp.zeros((3, 4)))
    inner = dataclasses.replace(INNER, entropy=0.0)
    zero = jax.tree.map(jnp.zeros_like, one[0].critic)  # even chances, whose mean is 0

    def actor_loss(scale):
        shown = imagined._replace(reward=scale * imagined.reward)
        target = inner.returns(zero, shown)
        spread = one[0].returns.update(target, 0.99).scale
        return inner.loss((one[0].actor, zero), shown, target, jnp.zeros((3, 4)), spread, jnp.ones(4))[1]["actor_loss"]

    large, larger, little, less = (jax.jit(actor_loss)(x) for x in (10.0, 100.0, 0.01, 0.001))
    np.testing.assert_allclose(large, larger, rtol=1e-4)
    np.testing.assert_allclose(less, little / 10, rtol=1e-3)


def test_the_world_model_is_learned(nets):
    """A few steps down the gradient on one batch lower its loss."""
    model, batch = ALGORITHM.model, sequences(ALGORITHM)

    @jax.jit
    def descend(nets, opt):
        return descended(model.optimizer, world_model_loss, nets, opt, model, AGENTS, batch, KEY)

    opt, first = model.optimizer.init(nets), None
    for _ in range(60):
        nets, opt, metrics = descend(nets, opt)
        first = metrics if first is None else first
    for name in ("total", "recon", "reward", "teammate"):
        assert metrics[f"shared_wm_{name}_loss"] < first[f"shared_wm_{name}_loss"]  # type: ignore[index]


def test_the_reconstruction_loss_counts_by_its_weight(nets):
    heavy, batch = dataclasses.replace(ALGORITHM.model, beta_reconstruction=10.0), sequences(ALGORITHM)
    total, metrics = loss_of(nets, batch)
    more, _ = world_model_loss(nets, heavy, AGENTS, batch, KEY)
    np.testing.assert_allclose(more - total, 9.0 * metrics["shared_wm_recon_loss"], rtol=1e-4)
