"""The causal transformer: its cache, its mask, and what a query sees that may look at nothing."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matwm_cases import noisy

from covey.nn.nets import linears
from covey.nn.transformer import Transformer, attend

ROWS, TOKENS, WIDTH = 2, 5, 6


@pytest.fixture(scope="module")
def transformer():
    @jax.jit
    def drawn():
        shapes = Transformer.shapes(WIDTH, 7, 2, TOKENS + 2)
        return Transformer.take(iter(linears(jax.random.key(0), *shapes)), layers=2, heads=3)

    return noisy(drawn())


@jax.jit
def whole(net: Transformer, x, exists):
    return net(x, exists)


@jax.jit
def extended(net: Transformer, cache, x, exists, slot):
    return net.extend(cache, x, exists, slot)


@pytest.fixture(scope="module")
def tokens():
    return jax.random.normal(jax.random.key(2), (ROWS, TOKENS, WIDTH))


ALL = np.ones((ROWS, TOKENS), bool)
GAPS = np.array([[False, True, True, True, True], [True, True, False, True, True]])


def by_hand(net: Transformer, x, exists):
    """The same for one row, token by token and head by head, out of the definition."""

    def norm(norm, x):
        return norm.scale * (x - x.mean()) / np.sqrt(x.var() + 1e-5) + norm.shift

    net, size = jax.tree.map(np.asarray, net), WIDTH // net.heads
    there = [t for t in range(len(x)) if exists[t]]
    rows = {t: norm(net.entered, x[t] + net.positions[k]) for k, t in enumerate(there)}
    for block in net.blocks:
        made = {t: np.asarray(block.enter(row)).reshape(3, net.heads, size) for t, row in rows.items()}
        after = {}
        for t in there:
            seen = []
            for head in range(net.heads):
                before = [s for s in there if s <= t]
                scores = np.array([made[t][0, head] @ made[s][1, head] / np.sqrt(size) for s in before])
                shares = np.exp(scores - scores.max())
                seen.append(sum(p * made[s][2, head] for p, s in zip(shares / shares.sum(), before, strict=True)))
            row = norm(block.attended, rows[t] + block.leave(np.concatenate(seen)))
            after[t] = norm(block.fed, row + block.down(np.maximum(block.up(row), 0.0)))
        rows = after
    return rows


def test_it_is_what_it_says(transformer, tokens):
    found = np.asarray(whole(transformer, tokens, GAPS))
    for row in range(ROWS):
        for t, expected in by_hand(transformer, np.asarray(tokens[row]), np.asarray(GAPS[row])).items():
            np.testing.assert_allclose(found[row, t], expected, atol=1e-5)


@pytest.mark.parametrize("exists", [ALL, GAPS], ids=["all", "gaps"])
def test_step_by_step_with_the_cache_is_everything_at_once(transformer, tokens, exists):
    at_once, cache = np.asarray(whole(transformer, tokens, exists)), transformer.empty(ROWS, TOKENS + 2)
    x, there = np.asarray(tokens), np.asarray(exists)
    for t in range(TOKENS):
        cache, out = extended(transformer, cache, x[:, t : t + 1], there[:, t : t + 1], jnp.int32(t))
        np.testing.assert_allclose(np.asarray(out)[there[:, t], 0], at_once[there[:, t], t], atol=1e-5)


def test_a_context_and_then_step_by_step_is_everything_at_once(transformer, tokens):
    at_once, cache = np.asarray(whole(transformer, tokens, GAPS)), transformer.empty(ROWS, TOKENS)
    x, there = np.asarray(tokens), np.asarray(GAPS)
    cache, _ = extended(transformer, cache, x[:, :3], there[:, :3], jnp.int32(0))
    for t in (3, 4):
        cache, out = extended(transformer, cache, x[:, t : t + 1], there[:, t : t + 1], jnp.int32(t))
        np.testing.assert_allclose(np.asarray(out)[:, 0], at_once[:, t], atol=1e-5)


def test_padding_on_the_left_is_no_padding(transformer, tokens):
    padded = np.concatenate([1e3 * tokens[:, :2], tokens], 1)
    exists = np.arange(TOKENS + 2) >= np.array([[2], [2]])
    found = np.asarray(whole(transformer, padded, exists))
    np.testing.assert_allclose(found[:, 2:], whole(transformer, tokens, ALL), atol=1e-5)


@pytest.mark.parametrize("exists", [ALL, GAPS], ids=["all", "gaps"])
def test_an_output_depends_on_the_tokens_up_to_its_own_by_value_and_by_gradient(transformer, tokens, exists):
    slope = jax.jit(jax.grad(lambda x, b, t: (transformer(x, exists)[b, t] ** 2).sum()))
    x, there, before = np.asarray(tokens), np.asarray(exists), np.asarray(whole(transformer, tokens, exists))
    for b, t in np.argwhere(there):
        felt = np.abs(np.asarray(slope(x, b, t))).max(-1)
        wanted = np.zeros((ROWS, TOKENS), bool)
        wanted[b, : t + 1] = there[b, : t + 1]
        np.testing.assert_array_equal(felt > 0, wanted)
        changed = x.copy()
        changed[b, t] += np.arange(WIDTH)
        after = np.asarray(whole(transformer, changed, exists))
        np.testing.assert_array_equal(after[b, :t][there[b, :t]], before[b, :t][there[b, :t]])
        np.testing.assert_array_equal(after[1 - b], before[1 - b])
        assert np.abs(after[b, t] - before[b, t]).max() > 1e-3


def test_a_query_that_may_look_at_nothing_gets_zeros_and_sends_no_gradient():
    query, key, value = jax.random.normal(jax.random.key(0), (3, 1, 1, 2, 4))
    visible = np.array([[[True, True], [False, False]]])
    seen = np.asarray(jax.jit(attend)(query, key, value, visible))
    np.testing.assert_array_equal(seen[0, 0, 1], 0.0)
    assert np.abs(seen[0, 0, 0]).min() > 0
    slopes = jax.jit(jax.grad(lambda q, k, v: attend(q, k, v, visible)[0, 0, 1].sum(), (0, 1, 2)))(query, key, value)
    for slope in slopes:
        np.testing.assert_array_equal(slope, 0.0)


def test_dropout_is_of_learning_alone(transformer, tokens):
    dropping = dataclasses.replace(transformer, dropout=0.5)
    np.testing.assert_array_equal(whole(dropping, tokens, ALL), whole(transformer, tokens, ALL))
    dropped = jax.jit(lambda key: dropping(tokens, ALL, key))
    one, other = (np.asarray(dropped(jax.random.key(seed))) for seed in (0, 1))
    assert np.abs(one - other).max() > 0.1
