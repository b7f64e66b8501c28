"""Networks with few matrices of their own: played again and again, or with synthetic traffic instead."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import covey
from covey.core.errors import BadInput

NETWORK = """NODES 3
label x y
a 0 0
b 1 0
c 0 1

EDGES 6
label src dest weight bw delay
0 0 1 1 100 0
1 1 0 1 100 0
2 1 2 1 100 0
3 2 1 1 100 0
4 0 2 1 100 0
5 2 0 1 100 0
"""


@pytest.fixture
def network(tmp_path):
    """Writes matrices, given as the demands from a to c, beside a triangle; returns its id."""

    def write(*demands):
        (tmp_path / "net.graph").write_text(NETWORK)
        for i, demand in enumerate(demands):
            text = f"DEMANDS 1\nlabel src dest bw\nd 0 2 {demand}\n"
            (tmp_path / f"net.{i:04}.demands").write_text(text)
        return f"routing:{tmp_path / 'net.graph'}"

    return write


def spans(env):
    """Demands of training and of evaluation."""
    cut = env.bank.training
    return env.bank.mean[:cut, 0].tolist(), env.bank.mean[cut:, 0].tolist()


def play(env, steps):
    """MLU and its optimum of the equal split, step by step."""
    state, now = jax.jit(env.reset)(jax.random.key(0))
    rule, step, measured = env.rules()["equal"](), jax.jit(env.step), []
    for _ in range(steps):
        action, *_ = rule.act((), (), now, jax.random.key(0), 0, explore=False)
        state, now = step(jax.random.key(0), state, action)
        measured.append((float(state.mlu), float(state.optimum)))
    assert now.last
    return measured


def test_one_matrix_is_played_again_and_again(network):
    env = covey.make(network(40), history=3, time_limit=5)
    train, test = spans(env)
    assert set(train) == set(test) == {40}
    assert env.evaluation().spec.time_limit == 5
    for world in (env, env.evaluation()):
        np.testing.assert_allclose(play(world, 5), [(0.2, 0.2)] * 5, rtol=1e-6)


@pytest.mark.parametrize(
    ("demands", "share", "train", "test"),
    [
        ((10, 20), 0.75, [10], [20]),
        ((10, 20), 0.1, [10], [20]),
        ((10, 20, 30), 0.99, [10, 20], [30]),
        ((10, 20, 30, 40), 0.5, [10, 20], [30, 40]),
        ((10, 20, 30, 40, 50), 0.6, [10, 20, 30], [40, 50]),
        ((10,), 0.5, [10], [10]),
    ],
)
def test_few_matrices_take_turns_and_none_is_both_trained_on_and_held_out(demands, share, train, test, network):
    limit, history = 6, 4
    env = covey.make(network(*demands), history=history, time_limit=limit, train_share=share)
    trained, held_out = spans(env)
    assert trained == [train[i % len(train)] for i in range(len(train) + limit + history - 1)]
    played = held_out[history:]  # evaluation is one episode over all that has a history
    assert len(played) >= limit
    assert {value: played.count(value) for value in test} == dict.fromkeys(test, len(played) // len(test))


def test_many_matrices_are_each_played_once(network):
    env = covey.make(network(*range(1, 41)), history=4, time_limit=6)
    assert spans(env) == (list(range(1, 31)), list(range(31, 41)))


def test_a_first_matrix_without_demand_leaves_the_unit_finite(network):
    env = covey.make(network(0, 30), history=1, time_limit=2)
    _, now = env.evaluation().reset(jax.random.key(0))
    assert env.unit == 30
    assert np.isfinite(now.obs["router"]).all()


def test_synthetic_traffic_instead_of_the_matrices(network):
    id = network(40)
    for none in ("none", None):
        env = covey.make(id, matrices=none, history=1, time_limit=2)
        assert len(env.bank.mean) == 2016
        assert env.bank.mean.shape[1] == 6  # every pair
    assert covey.make(id, matrices="beside", history=1, time_limit=2).bank.mean.shape[1] == 1


def test_impossible_episodes_of_one_matrix_are_one_sentence(network):
    with pytest.raises(BadInput, match="at least one step and one step of history"):
        covey.make(network(40), history=0)
    with pytest.raises(BadInput, match="at least one step and one step of history"):
        covey.make(network(40), time_limit=0)
