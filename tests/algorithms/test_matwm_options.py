"""Smaller options of MATWM: each changes what it should."""

from __future__ import annotations

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matwm_cases import MODEL, contexts, drawn, played, sequences, small

from covey.algorithms.matwm.imagination import Learned
from covey.algorithms.matwm.losses import world_model_loss
from covey.algorithms.matwm.records import Nets
from covey.algorithms.matwm.rule import Imagination

pytestmark = pytest.mark.slow

SIZE = MODEL.latent_size + MODEL.width
"""Where the prediction of the others begins in a state."""


@functools.cache
def usual():
    algorithm = small()
    return algorithm, drawn(algorithm)


def views(algorithm, nets, context, start="posterior"):
    dynamics = Learned(algorithm.model, nets, algorithm.agents)
    return jax.jit(lambda key: dynamics.view(dynamics.begin(context, 1, key, start))[0])(jax.random.key(0))


def test_imagination_begins_with_the_prior_where_there_are_steps_before():
    algorithm, nets = usual()
    context = contexts(algorithm)
    changed = context._replace(obs=context.obs.at[:, -1].add(3.0))
    seen, other = (views(algorithm, nets, x) for x in (context, changed))
    guessed, still = (views(algorithm, nets, x, "prior") for x in (context, changed))
    latent = slice(0, MODEL.latent_size)
    assert (jnp.abs(seen - other)[:, latent].max(-1) > 0).any()
    np.testing.assert_array_equal(guessed[:2], still[:2])  # what is seen at last is nothing to the prior
    np.testing.assert_array_equal(guessed[2], seen[2])  # but all there is where there is no step before
    np.testing.assert_array_equal(guessed[:, latent].sum(-1), MODEL.latents)


def test_ends_that_are_thresholded_are_there_or_not():
    algorithm, nets = usual()
    sharp = small(imagination=Imagination(batch=4, horizon=3, context=2, ends="threshold"))
    inner = jax.jit(lambda key: algorithm.inner.init(key, algorithm.agents, SIZE + 6))(jax.random.key(0))
    context = jax.tree.map(lambda x: jnp.repeat(x, 4, 0), contexts(algorithm))

    def imagined(rule):
        return jax.jit(lambda key: rule.imagined(Nets(nets, (), inner), context, key))(jax.random.key(3))

    soft, hard = imagined(algorithm), imagined(sharp)
    assert ((soft.discount > 0) & (soft.discount < 1)).all()
    np.testing.assert_array_equal(hard.discount, soft.discount > 0.5)
    np.testing.assert_array_equal(hard.state, soft.state)


def test_policies_may_be_given_logits_of_what_the_others_do():
    algorithm, nets = usual()
    raw = small(model=dataclasses.replace(MODEL, teammate_view="logits"))
    chances, logits = (views(rule, nets, contexts(rule)) for rule in (algorithm, raw))
    np.testing.assert_allclose(chances[:, :SIZE], logits[:, :SIZE], rtol=1e-5)  # two programs of the same arithmetic
    chances, logits = (x[:, SIZE:].reshape(3, 2, 3) for x in (chances, logits))
    possible = np.array(algorithm.agents.possible[algorithm.agents.others])[:, :, 0]
    np.testing.assert_array_equal(logits[~possible], 0.0)
    np.testing.assert_allclose(jax.nn.softmax(jnp.where(possible, logits, -1e9)), chances, rtol=1e-5)
    assert jnp.abs(logits).max() > 0


def test_the_teammate_predictor_may_be_told_whose_latent_states_it_is_given():
    """Agents x_0 and x_1 are alike; where they see the same, only this tells them apart."""
    for told in (False, True):
        algorithm = small(model=dataclasses.replace(MODEL, teammate_agent=told))
        nets, agents = drawn(algorithm), algorithm.agents
        latent = jnp.ones((2, 1, MODEL.latent_size))
        cache = nets.teammates.history.empty(2, 1)
        there = jnp.ones((2, 1), bool)
        _, logits = algorithm.model.foretell(nets, agents, cache, latent, there, 0, jnp.array([0, 1]))
        first = logits[:, 0, :2]  # of the other x, which both of them see first
        assert (jnp.abs(first[0] - first[1]).max() > 1e-4) == told
        assert nets.teammates.enter.weight.shape[1] == MODEL.latent_size + 3 * told


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_layers_that_are_computed_again_have_the_same_gradients(dropout):
    found, programs = [], []
    for recompute in (False, True):
        model = dataclasses.replace(MODEL, recompute=recompute, dropout=dropout)
        algorithm = small(model=model)
        nets, batch = drawn(algorithm), sequences(algorithm)
        slope = jax.grad(lambda nets, m=model, a=algorithm, b=batch: world_model_loss(nets, m, a.agents, b, KEY)[0])
        programs.append(str(jax.make_jaxpr(slope)(nets)))
        found.append(jax.tree.leaves(jax.jit(slope)(nets)))
    assert ["checkpoint" in text or "remat" in text for text in programs] == [False, True]
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


KEY = jax.random.key(5)


def test_products_of_sixteen_bits_leave_what_is_learned_as_it_is():
    """Every matrix product of an update has factors of 16 bits and sums of 32; parameters and moments are float32."""
    algorithm = small(precision="bfloat16")
    state = jax.eval_shape(functools.partial(algorithm.init, lanes=1), jax.random.key(0))

    def learn(state, rollout, key):
        return algorithm.learn(state, rollout, key, jnp.int32(40))[0].nets

    rollout = played((2, False))
    text = str(jax.make_jaxpr(learn)(state, rollout, jax.random.key(0)))
    products = re.findall(r"dot_general\[.*?precision=(\w+)", text, re.DOTALL)
    assert products
    assert set(products) == {"BF16_BF16_F32"}
    after = jax.eval_shape(learn, state, rollout, jax.random.key(0))
    floats = [x.dtype for x in jax.tree.leaves(after) if jnp.issubdtype(x.dtype, jnp.floating)]
    assert set(floats) == {jnp.dtype("float32")}
    plain = str(
        jax.make_jaxpr(lambda state, rollout, key: small().learn(state, rollout, key, jnp.int32(40)))(
            state, rollout, jax.random.key(0)
        )
    )
    assert "BF16" not in plain
