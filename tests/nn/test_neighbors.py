"""Rows of listed neighbors: worked by hand, and beside the plain formula."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.algorithms.views import view_size, views
from covey.core.errors import BadInput
from covey.core.types import Discrete, Field, Group, Spec, Table, TimeStep
from covey.nn.neighbors import gathered, neighborhood, products, row_size, slots, table

SPEC = Spec(
    "two kinds",
    Table(
        {
            "ant": Group(("ant",), (Field("o", (2,)),), Discrete(2)),
            "bee": Group(("bee_0", "bee_1"), (Field("o", (1,)),), Discrete(2)),
        }
    ),
    neighborhood=2,
)
ALIVE = {"ant": jnp.array([True]), "bee": jnp.array([True, False])}
DATA = {"ant": jnp.array([[5.0, 6.0]]), "bee": jnp.array([[7.0], [0.0]])}
NEAR = {
    "ant": (jnp.array([[1, 2]]), jnp.array([[True, True]])),  # the second one is dead
    "bee": (jnp.array([[0, 99], [1, 0]]), jnp.array([[True, False], [True, True]])),  # 99: nobody is there
}


def test_everybody_has_a_row_and_every_group_columns_of_its_own():
    rows = table(SPEC, ALIVE, DATA)
    assert rows.tolist() == [[1, 0, 5, 6, 0], [0, 1, 0, 0, 7], [0, 0, 0, 0, 0]]
    assert row_size(SPEC, {"ant": 2, "bee": 1}) == 5


def test_rows_of_those_who_are_there():
    rows = table(SPEC, ALIVE, DATA)
    ant, bee = (slots(SPEC, ALIVE, NEAR[name]) for name in ("ant", "bee"))
    assert ant.there.tolist() == [[True, False]]
    assert bee.there.tolist() == [[True, False], [True, True]]
    assert gathered(rows, ant).tolist() == [[[0, 1, 0, 0, 7], [0] * 5]]
    assert gathered(rows, bee).tolist() == [
        [[1, 0, 5, 6, 0], [0] * 5],
        [[0, 1, 0, 0, 7], [1, 0, 5, 6, 0]],
    ]


def batch() -> tuple[dict, dict, dict]:
    """Four moments in which different agents live and are listed, as [2, 2, ...]."""
    draw = np.random.default_rng(0)
    sizes = {"ant": (1, 2), "bee": (2, 1)}
    data = {name: jnp.asarray(draw.normal(size=(2, 2, *shape)), jnp.float32) for name, shape in sizes.items()}
    alive = {name: jnp.asarray(draw.random((2, 2, n)) < 0.7) for name, (n, _) in sizes.items()}
    near = {
        name: (jnp.asarray(draw.integers(0, 3, (2, 2, n, 2)), jnp.int32), jnp.asarray(draw.random((2, 2, n, 2)) < 0.7))
        for name, (n, _) in sizes.items()
    }
    return data, alive, near


def test_a_batch_is_its_moments():
    data, alive, near = batch()
    for name in SPEC.groups:
        together = gathered(table(SPEC, alive, data), slots(SPEC, alive, near[name]))
        for at in np.ndindex(2, 2):
            one = jax.tree.map(lambda x, at=at: x[at], (data, alive, near[name]))
            alone = gathered(table(SPEC, one[1], one[0]), slots(SPEC, one[1], one[2]))
            np.testing.assert_array_equal(together[at], alone)


def test_products_and_their_gradients_are_those_of_the_rows():
    data, alive, near = batch()
    rows, where = table(SPEC, alive, data), slots(SPEC, alive, near["bee"])
    draw = np.random.default_rng(1)
    weight = jnp.asarray(draw.normal(size=(4, 5)), jnp.float32)
    pull = jnp.where(where.there[..., None], jnp.asarray(draw.normal(size=(2, 2, 2, 2, 4)), jnp.float32), 0.0)

    def ours(rows, weight):
        return (pull * products(rows, weight, where)).sum()

    def plain(rows, weight):
        return (pull * (gathered(rows, where) @ weight.T)).sum()

    one, other = (jax.value_and_grad(f, (0, 1))(rows, weight) for f in (ours, plain))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), one, other)


def test_memory_does_not_grow_with_the_square_of_the_number_of_agents():
    """The largest array between a table and the neighbors' products, for 8 and 80 agents."""

    def largest(n: int) -> int:
        group = Group(tuple(f"a{i}" for i in range(n)), (Field("o", (4,)),), Discrete(2))
        spec = Spec("many", Table({"a": group}), neighborhood=3)
        alive, data = {"a": jnp.ones((5, n), bool)}, {"a": jnp.ones((5, n, 4))}
        near = jnp.zeros((5, n, 3), jnp.int32), jnp.ones((5, n, 3), bool)

        def loss(weight):
            return products(table(spec, alive, data), weight, slots(spec, alive, near)).sum()

        jaxpr = jax.make_jaxpr(jax.grad(loss))(jnp.ones((6, 5)))
        return max(np.prod(v.aval.shape, dtype=int) for eqn in jaxpr.eqns for v in eqn.outvars)

    assert largest(80) == 10 * largest(8)


def test_a_critic_of_ppo_sees_its_neighbors_observations():
    now = TimeStep(
        obs={"ant": jnp.array([[5.0, 6.0]]), "bee": jnp.array([[7.0], [8.0]])},
        reward={},
        discount={},
        alive=ALIVE,
        last=jnp.bool_(False),
        neighbors=NEAR,
    )
    seen = views(SPEC, ("ant", "bee"), "neighbors", now)
    assert seen["ant"].tolist() == [[5, 6, 0, 1, 0, 0, 7, 0, 0, 0, 0, 0]]
    assert seen["bee"].tolist() == [
        [7, 1, 0, 5, 6, 0, 0, 0, 0, 0, 0],
        [0, 0, 1, 0, 0, 7, 1, 0, 5, 6, 0],
    ]
    assert [view_size(SPEC, name, "neighbors") for name in ("ant", "bee")] == [12, 11]


def test_where_nobody_is_listed_there_is_nothing_to_see():
    with pytest.raises(BadInput, match=r"two kinds lists no neighbors.*--env\.nearest"):
        neighborhood(SPEC._replace(neighborhood=0))
