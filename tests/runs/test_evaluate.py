"""Evaluation: whole first episodes, the same for everybody, in pairs with the reference."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from tiny import HostToy, tiny

from covey import algorithms, environments
from covey.algorithms.random import Random
from covey.core.environment import Reference
from covey.core.errors import BadInput
from covey.runs import evaluate as module
from covey.runs.evaluate import Evaluation, describe, evaluate, interval

KEY = jax.random.key(11)


def test_interval_is_students():
    x = np.array([1.0, 2.0, 4.0, np.nan])
    low, high = stats.t.interval(0.95, 2, loc=x[:3].mean(), scale=stats.sem(x[:3]))
    np.testing.assert_allclose(interval(x), (x[:3].mean(), low, high))
    assert describe(np.array([2.0])) == {"mean": 2.0, "low": None, "high": None, "seeds": [2.0]}
    assert describe(np.array([np.nan])) == {"mean": None, "low": None, "high": None, "seeds": [None]}


def test_the_reference_has_no_regret(world):
    played = evaluate(world, algorithms.make("optimal", world), (), KEY, 5, seeds=2)
    assert {x.shape for x in played.values.values()} == {(2, 5)}
    for name in ("regret/a/mean_agent", "regret/b/mean_agent", "regret/team_sum"):
        np.testing.assert_array_equal(played.values[name], 0.0)
    assert played.values["return/a/mean_agent"].mean() == world.reference().value
    np.testing.assert_array_equal(played.values["world/right"], 1.0)


def test_first_episodes_only(world):
    """Trained on nothing, some die early: their episode counts once, and is not padded with the next."""
    algorithm = tiny(world.spec)
    states = jax.vmap(lambda k: algorithm.init(k, 1))(jax.random.split(jax.random.key(0), 2))
    played = evaluate(world, algorithm, states, KEY, 20)
    length = played.values["steps/episode"]
    assert length.min() >= 1
    assert length.max() <= 4
    assert len(np.unique(length)) > 1
    np.testing.assert_allclose(
        played.values["regret/team_sum"], played.reference["return/team_sum"] - played.values["return/team_sum"]
    )
    again = evaluate(world, algorithm, states, KEY, 20)
    np.testing.assert_equal(again.values, played.values)


def test_first_of_several():
    nan = np.nan
    summary = {
        "steps/episode": jnp.array([[[nan, 1.0]], [[2.0, nan]], [[nan, 2.0]]]),
        "world/x": jnp.array([[[nan, nan]], [[5.0, nan]], [[nan, 7.0]]]),  # NaN is what this world measured
    }
    first = module._first(summary)
    np.testing.assert_array_equal(first["steps/episode"], [[2.0, 1.0]])
    np.testing.assert_array_equal(first["world/x"], [[5.0, nan]])


def test_known_value_stands_in_for_a_reference_that_is_not_played():
    values = {"return/a/mean_agent": np.array([[1.0, 2.0]]), "return/team_sum": np.array([[2.0, 4.0]])}
    about = Reference("bound", "", "said so", value=3.0)
    assert module._regret(values, {}, about)["regret/a/mean_agent"].tolist() == [[2.0, 1.0]]
    assert module._regret(values, {}, None) == {}
    evaluation = Evaluation(values, {}, None)
    assert evaluation.summary()["return/a/mean_agent"]["seeds"] == [1.5]


def test_a_reference_whose_rule_refuses_is_not_played():
    env = environments.make("particle/spread", continuous=True, time_limit=2)
    played = evaluate(env, Random(env.spec, ("agent",)), (), KEY, 1)
    assert played.reference == {}
    assert played.about is not None
    assert "not played: the rule 'assigned-landmarks' needs discrete pushes" in played.about.how
    assert not any(name.startswith("regret/") for name in played.values)


def test_host_world():
    world = HostToy(lanes=4)
    algorithm = tiny(world.spec)
    states = jax.vmap(lambda k: algorithm.init(k, 2))(jax.random.split(jax.random.key(0), 2))
    played = evaluate(world, algorithm, states, KEY, 3)
    assert {x.shape for x in played.values.values()} == {(2, 3)}
    assert not np.isnan(played.values["return/a/mean_agent"]).any()
    with pytest.raises(BadInput, match="4 lanes cannot be shared by 3 seeds"):
        evaluate(world, algorithm, states, KEY, 3, seeds=3)


def test_refuses(world):
    algorithm = tiny(world.spec)
    with pytest.raises(BadInput, match="at least one episode"):
        evaluate(world, algorithm, (), KEY, 0)

    class Endless(type(world)):
        @property
        def spec(self):
            return super().spec._replace(time_limit=None)

    with pytest.raises(BadInput, match="does not say how long its episodes can be"):
        evaluate(Endless(0.5, 4, False), algorithm, (), KEY, 1)
