"""The critic of listed neighbors: what it sees, what it does not, and its values by NumPy."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.algorithms.critics import Neighbors, Scene
from covey.algorithms.ddpg import maddpg
from covey.core.errors import BadInput
from covey.core.types import Box, Discrete, Field, Group, Spec, Table

BATCH, SLOTS = 6, 3
SIZES = {"ant": (2, 3, 2), "bee": (3, 1, 4)}  # agents, numbers observed, numbers of an action
SPEC = Spec(
    "two kinds",
    Table(
        {
            "ant": Group(("a0", "a1"), (Field("o", (3,)),), Box((-1.0, -1.0), (1.0, 1.0))),
            "bee": Group(("b0", "b1", "b2"), (Field("o", (1,)),), Discrete(4)),
        }
    ),
    neighborhood=SLOTS,
)
POOLS = ["mean", "concat"]


def scene_of(name: str, seed: int = 0) -> Scene:
    """A batch in which some are dead, and some slots are empty."""
    draw = np.random.default_rng(seed)
    alive = {group: jnp.asarray(draw.random((BATCH, n)) < 0.8) for group, (n, _, _) in SIZES.items()}

    def some(place: int):
        shapes = {group: (BATCH, size[0], size[place]) for group, size in SIZES.items()}
        drawn = {group: jnp.asarray(draw.normal(size=shape), jnp.float32) for group, shape in shapes.items()}
        return {group: jnp.where(alive[group][..., None], x, 0.0) for group, x in drawn.items()}

    near = {}
    for first, (group, (n, _, _)) in zip((0, 2), SIZES.items(), strict=True):
        order = [[draw.permutation(np.delete(np.arange(5), first + i))[:SLOTS] for i in range(n)] for _ in range(BATCH)]
        near[group] = jnp.asarray(order, jnp.int32), jnp.asarray(draw.random((BATCH, n, SLOTS)) < 0.8)
    obs, action = some(1), some(2)
    return Scene(obs, action, action[name], alive, near)


def params_of(critic: Neighbors, spec: Spec = SPEC):
    """Parameters with biases that are not zero."""
    draw = np.random.default_rng(0)
    params = critic.init(jax.random.key(0), spec, tuple(spec.groups))
    return jax.tree.map(lambda x: x + 0.3 * draw.normal(size=x.shape).astype(np.float32), params)


def reference(pool: str, params, name: str, scene: Scene) -> np.ndarray:
    """Q [B, n], agent by agent and neighbor by neighbor, in float64."""
    net, scene = jax.tree.map(lambda x: np.asarray(x, np.float64 if x.dtype == np.float32 else None), (params, scene))
    net = net[name]
    who = [(group, i) for group, (n, _, _) in SIZES.items() for i in range(n)]
    width = {group: obs + act for group, (_, obs, act) in SIZES.items()}
    q = np.zeros((BATCH, SIZES[name][0]))
    for b, i in np.ndindex(*q.shape):
        own = np.concatenate([scene.obs[name][b, i], scene.own[b, i]])
        messages, rows = [], []
        for j, listed in zip(*(x[b, i] for x in scene.neighbors[name]), strict=True):
            group, k = who[j]
            if not (listed and scene.alive[group][b, k]):
                rows.append(np.zeros(2 + sum(width.values())))
                continue
            data = np.concatenate([scene.obs[group][b, k], scene.action[group][b, k]])
            kind = [1.0 * (group == other) for other in SIZES]
            row = np.concatenate([kind, *(data if group == other else np.zeros(width[other]) for other in SIZES)])
            rows.append(row)
            if pool == "mean":
                pre = net.message.weight @ np.concatenate([own, row]) + net.message.bias
                messages.append(np.maximum(pre, 0.0))
        if pool == "mean":
            around = np.mean(messages, 0) if messages else np.zeros(len(net.message.bias))
        else:
            around = np.concatenate(rows)
        x = np.concatenate([own, around])
        for layer in net.out.layers[:-1]:
            x = np.maximum(layer.weight @ x + layer.bias, 0.0)
        q[b, i] = (net.out.layers[-1].weight @ x + net.out.layers[-1].bias)[0]
    return q


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("name", SIZES)
def test_values_are_those_of_numpy(pool, name):
    critic = Neighbors(width=5, pool=pool)
    params, scene = params_of(critic), scene_of(name)
    found, attention = critic.values(params, SPEC, name, scene)
    assert attention == ()
    np.testing.assert_allclose(found, reference(pool, params, name, scene), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pool", POOLS)
def test_gradients_are_those_of_numpy(pool):
    """In the parameters and in the own action, by central differences of the reference."""
    critic, name = Neighbors(width=3, pool=pool), "ant"
    params, scene = params_of(critic), scene_of(name)
    pull = np.random.default_rng(5).normal(size=(BATCH, 2))

    def loss(params, own):
        return (pull * critic.values(params, SPEC, name, scene._replace(own=own))[0]).sum()

    of_params, of_own = jax.jit(jax.grad(loss, (0, 1)))(params, scene.own)

    def by_hand(params, own):
        return (pull * reference(pool, params, name, scene._replace(own=own))).sum()

    params, own = jax.tree.map(lambda x: np.asarray(x, np.float64), (params, scene.own))
    leaves, structure = jax.tree.flatten((params[name], own))
    for leaf, slope in zip(leaves, jax.tree.leaves((of_params[name], of_own)), strict=True):
        for place in list(np.ndindex(leaf.shape))[:: max(leaf.size // 12, 1)]:
            kept, ends = leaf[place], []
            for moved in (kept + 1e-6, kept - 1e-6):
                leaf[place] = moved
                net, acted = jax.tree.unflatten(structure, leaves)
                ends.append(by_hand(params | {name: net}, acted))
            leaf[place] = kept
            np.testing.assert_allclose(slope[place], (ends[0] - ends[1]) / 2e-6, rtol=1e-3, atol=1e-4)
    assert not any(bool(jnp.any(x != 0)) for x in jax.tree.leaves(of_params["bee"]))


def shuffled(scene: Scene, name: str) -> Scene:
    order = jnp.array([2, 0, 1])
    return scene._replace(neighbors=scene.neighbors | {name: tuple(x[..., order] for x in scene.neighbors[name])})


def test_the_order_of_neighbors_means_nothing_unless_asked():
    scene = scene_of("bee")
    for pool in POOLS:
        critic = Neighbors(width=5, pool=pool)  # type: ignore
        params = params_of(critic)
        one, other = (critic.values(params, SPEC, "bee", x)[0] for x in (scene, shuffled(scene, "bee")))
        assert np.allclose(one, other, rtol=1e-5, atol=1e-5) == (pool == "mean")


@pytest.mark.parametrize("pool", POOLS)
def test_only_living_neighbors_that_are_listed_count(pool):
    critic, name = Neighbors(width=5, pool=pool), "ant"
    params, scene = params_of(critic), scene_of(name)

    def value(scene):
        return np.asarray(critic.values(params, SPEC, name, scene)[0])

    index, mask = scene.neighbors[name]
    nobody = scene._replace(neighbors=scene.neighbors | {name: (jnp.where(mask, index, 77), mask)})
    np.testing.assert_array_equal(value(nobody), value(scene))  # what stands in an empty slot
    alive = jnp.concatenate([scene.alive[group] for group in SIZES], -1)
    dead = ~jnp.take_along_axis(alive[:, None], index, -1)
    assert bool((mask & dead).any())
    without = scene._replace(neighbors=scene.neighbors | {name: (index, mask & ~dead)})
    np.testing.assert_array_equal(value(without), value(scene))  # the dead, listed or not
    for j, (group, k) in enumerate([("ant", 0), ("ant", 1), ("bee", 0), ("bee", 1), ("bee", 2)]):
        moved = scene.action[group].at[:, k].add(scene.alive[group][:, k, None] * 1.0)
        changed = value(scene._replace(action=scene.action | {group: moved})) != value(scene)
        sees = np.asarray(((index == j) & mask & ~dead).any(-1))
        assert not changed[~sees].any()  # who is not listed
        assert changed[sees].mean() > 0.5


def test_whoever_has_no_neighbors_is_valued_alone():
    critic, name = Neighbors(width=5), "ant"
    params, scene = params_of(critic), scene_of(name)
    index, mask = scene.neighbors[name]
    alone = scene._replace(neighbors=scene.neighbors | {name: (index, jnp.zeros_like(mask))})
    own = jnp.concatenate([scene.obs[name], scene.own, jnp.zeros((BATCH, 2, 5))], -1)
    np.testing.assert_allclose(critic.values(params, SPEC, name, alone)[0], params[name].out(own)[..., 0], rtol=1e-6)


@pytest.mark.parametrize("pool", POOLS)
def test_weights_do_not_grow_with_the_number_of_agents(pool):
    def weights(n: int) -> int:
        group = Group(tuple(f"a{i}" for i in range(n)), (Field("o", (4,)),), Discrete(2))
        params = Neighbors(pool=pool).init(jax.random.key(0), Spec("many", Table({"a": group}), neighborhood=3), ("a",))
        return sum(x.size for x in jax.tree.leaves(params))

    assert weights(4) == weights(40)


def test_a_number_means_nothing():
    """Agents that see and do the same have the same value, and renumbering moves actors alone."""
    algorithm = dataclasses.replace(maddpg(SPEC, groups=("ant",)), critic=Neighbors(width=5))
    state = algorithm.init(jax.random.key(0), 1)
    turned = algorithm.rotate(state, 1)
    assert turned is not None
    same = jax.tree.map(lambda a, b: bool((a == b).all()), state.nets.critic, turned.nets.critic)
    assert all(jax.tree.leaves(same))
    actor, moved = (x.nets.actor["ant"].layers[0].weight for x in (state, turned))
    np.testing.assert_array_equal(moved, jnp.roll(actor, 1, 0))


def test_refuses_where_nobody_is_listed():
    with pytest.raises(BadInput, match="lists no neighbors"):
        Neighbors().init(jax.random.key(0), SPEC._replace(neighborhood=0), ("ant",))
