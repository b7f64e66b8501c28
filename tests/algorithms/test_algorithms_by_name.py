"""Algorithms by name, and the random one."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey import algorithms, environments
from covey.algorithms import ALIASES, RULES, make
from covey.algorithms.random import draw, random
from covey.core.algorithm import Algorithm, Mixed
from covey.core.errors import BadInput
from covey.core.types import Box, Discrete, MultiDiscrete, Splits


@pytest.fixture(scope="module")
def world():
    return environments.make("toy/discrete")


def test_every_alias_in_every_preset(world):
    for id, alias in ALIASES.items():
        assert alias.summary.endswith(".")
        for preset in alias.presets:
            algorithm = make(id, world, preset=preset)
            assert isinstance(algorithm, Algorithm)
            assert set(algorithm.groups) == {"a", "b"}
    assert make("att_maddpg", world) == make("att-maddpg", world)


def test_groups(world):
    assert make("maddpg", world, groups=("b",)).groups == ("b",)
    now = world.reset(jax.random.key(0))[1]
    rule = make("optimal", world, groups=("b",))
    assert set(rule.act((), (), now, jax.random.key(1), 0, explore=False)[0]) == {"b"}
    team = Mixed({"a": make("random", world, groups=("a",)), "b": rule})
    assert set(team.act(((), ()), ((), ()), now, jax.random.key(1), 0, explore=False)[0]) == {"a", "b"}


def test_own_algorithm(world):
    assert make("covey.algorithms.random:random", world) == random(world.spec)


@pytest.mark.parametrize(
    ("id", "options", "words"),
    [
        ("madpg", {}, "the algorithm 'madpg' is unknown; did you mean 'maddpg'"),
        ("optima", {}, "did you mean 'optimal'"),
        ("greedy-pursuit", {}, "is a rule of navigation and pursuit, and this environment is 'toy/discrete'"),
        ("maddpg", {"preset": "papers"}, "the preset 'papers' is unknown; did you mean 'paper'"),
        ("optimal", {"preset": "paper"}, "has no presets"),
        ("maddpg", {"groups": ("c",)}, "the group 'c' is unknown"),
        ("no_such_package:x", {}, "there is no module"),
    ],
)
def test_refuses(world, id, options, words):
    with pytest.raises(BadInput, match=words):
        make(id, world, **options)


WORLDS = {"toy/discrete": {}, "toy/graph": {}, "navigation": {}, "pursuit": {}, "routing/small": {"steps": 64}}


@pytest.mark.parametrize("id", WORLDS)
def test_rules_are_where_the_table_says(id):
    promised = next(names for home, names in RULES.items() if id.startswith(home))
    assert set(algorithms.rules(environments.make(id, **WORLDS[id]))) == set(promised)


# ---------------------------------------------------------------------------------------------------------------------
# random


def drawn(space, legal=None, count=4000):
    legal = None if legal is None else jnp.tile(legal, (count, 1))
    return np.asarray(draw(space, count, jax.random.key(0), legal))


def test_discrete_is_uniform_over_legal():
    shares = np.bincount(drawn(Discrete(4), jnp.array([True, False, True, True])), minlength=4) / 4000
    np.testing.assert_allclose(shares, [1 / 3, 0, 1 / 3, 1 / 3], atol=0.03)


def test_choices_are_uniform_where_all_is_legal():
    np.testing.assert_allclose(np.bincount(drawn(Discrete(4))) / 4000, 0.25, atol=0.03)
    actions = drawn(MultiDiscrete((2, 3)))
    assert actions.shape == (4000, 2)
    for part, size in enumerate((2, 3)):
        np.testing.assert_allclose(np.bincount(actions[:, part]) / 4000, 1 / size, atol=0.03)


def test_multi_discrete_is_uniform_part_by_part():
    actions = drawn(MultiDiscrete((2, 3)), jnp.array([True, True, True, False, True]))
    np.testing.assert_allclose(np.bincount(actions[:, 0]) / 4000, [0.5, 0.5], atol=0.03)
    np.testing.assert_allclose(np.bincount(actions[:, 1]) / 4000, [0.5, 0, 0.5], atol=0.03)


def test_splits_are_dirichlet():
    shares = drawn(Splits((3, 2)), jnp.array([True, True, True, False, False]))
    np.testing.assert_allclose(shares[:, :3].sum(1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(shares[:, 3:], 0.0)
    np.testing.assert_allclose(shares[:, :3].mean(0), 1 / 3, atol=0.02)
    np.testing.assert_allclose(shares[:, :3].var(0), 1 / 18, atol=0.01)  # of Dirichlet(1, 1, 1)


def test_box_is_uniform():
    actions = drawn(Box((-1.0, 0.0), (1.0, 4.0)))
    np.testing.assert_allclose(actions.mean(0), [0.0, 2.0], atol=0.1)
    np.testing.assert_allclose(actions.min(0), [-1.0, 0.0], atol=0.02)
    np.testing.assert_allclose(actions.max(0), [1.0, 4.0], atol=0.02)
