"""Who is listed as a neighbor: the k nearest living agents, of any group, by distance."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.environments import make
from covey.environments.neighbors import nearest_neighbors, nearest_others
from covey.testing import check_environment

LISTING = [
    ("navigation", {"agents": 5}),
    ("pursuit", {"predators": 4}),
    ("toy/continuous", {}),
    ("particle/spread", {"agents": 4}),
    ("particle/reference", {}),
    ("particle/speaker-listener", {}),
    ("particle/formation", {}),
    ("particle/line", {}),
    ("particle/adversary", {}),
    ("particle/push", {}),
    ("particle/crypto", {}),
    ("particle/tag", {"agents": 2}),
    ("particle/world-comm", {}),
    ("particle/collect-treasure", {}),
]


def test_the_nearest_come_first_and_the_dead_are_nobodys_neighbors():
    place = jnp.array([[0.0, 0.0], [1.0, 0.0], [3.0, 0.0], [3.5, 0.0]])
    index, there = nearest_others(place, jnp.array([True, True, True, True]), 2)
    assert index.tolist() == [[1, 2], [0, 2], [3, 1], [2, 1]]
    assert bool(there.all())
    index, there = nearest_others(place, jnp.array([True, False, True, True]), 3)
    assert there.tolist() == [[True, True, False], [True, True, True], [True, True, False], [True, True, False]]
    assert index[0, :2].tolist() == [2, 3]
    assert index[2, :2].tolist() == [3, 0]


def test_of_equals_the_lower_number_comes_first():
    place = jnp.array([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    assert nearest_others(place, jnp.ones(4, bool), 3)[0][0].tolist() == [1, 2, 3]


def test_groups_are_numbered_in_the_order_of_their_names():
    """Not in the order in which they are given."""
    place = {"wolf": jnp.array([[0.0, 0.0], [9.0, 0.0]]), "deer": jnp.array([[1.0, 0.0]])}
    alive = {"wolf": jnp.ones(2, bool), "deer": jnp.ones(1, bool)}
    found = nearest_neighbors(place, alive, 1)
    assert list(found) == ["deer", "wolf"]
    assert found["deer"][0].tolist() == [[1]]
    assert found["wolf"][0].tolist() == [[0], [0]]
    assert nearest_neighbors(place, alive, 0) == {}


def places(env, state) -> dict[str, np.ndarray]:
    """Where the agents of every group are."""
    position = np.asarray(state.position)
    if not hasattr(env, "rows"):
        return dict.fromkeys(env.spec.groups, position)
    at = env.rows(position)
    return {name: at[name] for name in env.spec.groups}


@pytest.mark.parametrize(("name", "options"), LISTING, ids=[name for name, _ in LISTING])
def test_environments_list_the_nearest_and_nothing_else_changes(name, options):
    plain, near = make(name, **options), make(name, **options, nearest=1)
    assert plain.spec.neighborhood == 0
    assert near.spec == plain.spec._replace(neighborhood=1)
    key = jax.random.key(3)
    (_, without), (state, now) = plain.reset(key), near.reset(key)
    assert without.neighbors == {}
    for name in plain.spec.groups:
        np.testing.assert_array_equal(without.obs[name], now.obs[name])
    everybody = np.concatenate(list(places(near, state).values()))  # groups in the order of their names
    far = np.linalg.norm(everybody[:, None] - everybody, axis=-1) + 100.0 * np.eye(len(everybody))
    index = np.concatenate([now.neighbors[name][0][:, 0] for name in near.spec.groups])
    np.testing.assert_array_equal(index, far.argmin(1))
    assert all(bool(now.neighbors[name][1].all()) for name in near.spec.groups)


@pytest.mark.parametrize(
    "name", ["navigation", "pursuit", pytest.param("particle/world-comm", marks=pytest.mark.slow), "toy/graph"]
)
def test_what_is_listed_is_sound(name):
    env = make(name, routers=19) if name == "toy/graph" else make(name, nearest=2)
    assert check_environment(env) == []


def test_a_long_line_of_routers():
    env = make("toy/graph", routers=19)
    assert env.spec.agents == 20
    assert env.spec.groups["router"].obs_valid()[:, 3:].sum(0).tolist() == [18, 18]
    state, now = env.reset(jax.random.key(0))
    index, there = (np.concatenate([now.neighbors[g][i] for g in ("gate", "router")]) for i in (0, 1))
    listed = {(i, int(j)) for i in range(20) for j in index[i][there[i]]}
    assert listed == {(i, j) for i in range(20) for j in (i - 1, i + 1) if 0 <= j < 20}
    _, then = env.step(jax.random.key(1), state, now.obs)
    assert all(bool((reward == 1.0).all()) for reward in then.reward.values())
    wrong = now.obs | {"router": now.obs["router"].at[9].set(0.0)}
    _, then = env.step(jax.random.key(1), state, wrong)
    assert np.flatnonzero(then.reward["router"] < 1.0).tolist() == [8, 9, 10]
