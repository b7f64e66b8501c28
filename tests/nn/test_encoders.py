"""Encoders: convolutions against loops in NumPy, fields by name, and what must not matter."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.algorithms import make as algorithm
from covey.core.errors import BadInput
from covey.core.types import Discrete, Field, Group, Spec, Table, TimeStep
from covey.nn import encoders
from covey.nn.encoders import Conv, Dense, Encoded, Encoders, Flat, Residual, Strided, convolved, encoder_for
from covey.nn.joint import fields, observations
from covey.nn.members import renumbered
from covey.nn.nets import Linear

KINDS = {
    "dense": Dense(width=5),
    "conv": Conv(width=5),
    "residual": Residual(width=5, channels=(3, 4)),
    "strided": Strided(width=5, channels=(3, 4)),
    "residual, and a layer for vectors": Residual(width=5, vector=6, channels=(3,)),
}
MIXED = Group(
    ("a", "b", "c"),
    (
        Field("code", (2,), dtype="int32"),
        Field("view", (6, 7, 2), dtype="uint8"),
        Field("speed", (3,), valid=(3, 1, 3)),
    ),
    Discrete(3),
)
GRAY = Group(("d",), (Field("view", (5, 5), dtype="uint8"),), Discrete(2))
PLAIN = Group(("e", "f"), (Field("place", (2,)), Field("goal", (2,))), Discrete(2))
SPEC = Spec("pictures", Table({"mixed": MIXED, "gray": GRAY, "plain": PLAIN}))


def time_step(seed: int = 0, **alive: Any) -> TimeStep:
    draw = np.random.default_rng(seed)
    speed = np.where(MIXED.obs_valid()["speed"], draw.normal(size=(3, 3)), 0.0)
    obs = {
        "mixed": {
            "code": draw.integers(0, 9, (3, 2)).astype(np.int32),
            "view": draw.integers(0, 256, (3, 6, 7, 2)).astype(np.uint8),
            "speed": speed.astype(np.float32),
        },
        "gray": draw.integers(0, 256, (1, 5, 5)).astype(np.uint8),
        "plain": draw.normal(size=(2, 4)).astype(np.float32),
    }
    living = {name: jnp.ones(group.size, bool) for name, group in SPEC.groups.items()} | alive
    return TimeStep(jax.tree.map(jnp.asarray, obs), {}, {}, living, jnp.bool_(False))


# ---------------------------------------------------------------------------------------------------------------------
# Convolutions


def by_hand(layer: Linear, picture: np.ndarray, stride: int, padding: str) -> np.ndarray:
    """Square filters as loops over the places and offsets; zeros outside, as many before as after or one fewer."""
    side = int((layer.weight.shape[1] / picture.shape[-1]) ** 0.5)
    weight = np.asarray(layer.weight, float).reshape(len(layer.bias), side, side, -1)
    height, across = picture.shape[1:3]
    if padding == "SAME":
        rows, columns = -(-height // stride), -(-across // stride)
        missing = [max((count - 1) * stride + side - size, 0) for count, size in ((rows, height), (columns, across))]
        edges = [(gap // 2, gap - gap // 2) for gap in missing]
    else:
        rows, columns, edges = (height - side) // stride + 1, (across - side) // stride + 1, [(0, 0), (0, 0)]
    padded = np.pad(np.asarray(picture, float), ((0, 0), *edges, (0, 0)))
    made = np.zeros((len(picture), rows, columns, len(weight)))
    for i in range(rows):
        for j in range(columns):
            patch = padded[:, i * stride : i * stride + side, j * stride : j * stride + side]
            made[:, i, j] = np.einsum("nhwc,ohwc->no", patch, weight) + np.asarray(layer.bias, float)
    return made


def a_layer(seed: int, out: int, channels: int) -> Linear:
    draw = np.random.default_rng(seed)
    return Linear(jnp.asarray(draw.normal(size=(out, 9 * channels)), jnp.float32), jnp.asarray(draw.normal(size=out)))


@pytest.mark.parametrize(("stride", "padding"), [(1, "SAME"), (2, "SAME"), (1, "VALID")])
@pytest.mark.parametrize("size", [(6, 7), (5, 5)])
def test_filters_are_those_of_loops(size, stride, padding):
    layer, picture = a_layer(0, 4, 3), np.random.default_rng(1).normal(size=(2, *size, 3))
    found = convolved(layer, jnp.asarray(picture, jnp.float32), stride, padding)
    np.testing.assert_allclose(found, by_hand(layer, picture, stride, padding), rtol=1e-4, atol=1e-4)


def test_gradients_of_filters_are_those_of_differences():
    """Along random directions, of the weights, the bias and the picture; the map is linear in each."""
    layer, picture = a_layer(0, 4, 3), np.random.default_rng(1).normal(size=(2, 5, 6, 3))
    aim = np.random.default_rng(2).normal(size=(2, 3, 3, 4))

    def loss(layer, picture):
        return (convolved(layer, picture, 2) * aim).sum()

    to_layer, to_picture = jax.grad(loss, (0, 1))(layer, jnp.asarray(picture, jnp.float32))
    for seed in range(3):
        other, moved = a_layer(seed + 5, 4, 3), np.random.default_rng(seed + 9).normal(size=picture.shape)
        none = layer._replace(bias=0.0 * layer.bias)
        slopes = {
            "weight": ((by_hand(other._replace(bias=none.bias), picture, 2, "SAME") * aim).sum(), other.weight),
            "bias": ((aim * np.asarray(other.bias)).sum(), other.bias),
        }
        for name, (slope, direction) in slopes.items():
            along = float((getattr(to_layer, name) * direction).sum())
            assert along == pytest.approx(slope, rel=1e-3, abs=1e-3), name
        slope = (by_hand(none, moved, 2, "SAME") * aim).sum()
        assert float((np.asarray(to_picture) * moved).sum()) == pytest.approx(slope, rel=1e-3, abs=1e-3)


def test_a_residual_network_is_its_stages_by_hand():
    encoder = Residual(width=5, channels=(3, 4))
    begun = encoder.draw(jax.random.key(0), (6, 7, 2))  # with biases of zero, and blocks that add nothing
    noise = jax.tree.map(lambda x: 0.3 * jax.random.normal(jax.random.key(x.size), x.shape), begun)
    *stages, _ = jax.tree.map(jnp.add, begun, noise)
    picture = np.random.default_rng(0).uniform(size=(2, 6, 7, 2))
    x = picture
    for stage in stages:
        x = by_hand(stage.halve, x, 2, "SAME")
        inner = by_hand(stage.first, np.maximum(x, 0), 1, "SAME")
        x = x + by_hand(stage.second, np.maximum(inner, 0), 1, "SAME")
    assert x.shape == (2, 2, 2, 4)
    found = encoder.look(tuple(stages), jnp.asarray(picture, jnp.float32))
    np.testing.assert_allclose(found, np.maximum(x, 0), rtol=1e-3, atol=1e-3)


def test_a_strided_network_is_its_layers_by_hand():
    *layers, _ = Strided(width=5, channels=(3, 4)).draw(jax.random.key(0), (6, 7, 2))
    picture = np.random.default_rng(0).uniform(size=(2, 6, 7, 2))
    x = picture
    for layer in layers:
        x = by_hand(layer.filters, x, 2, "SAME")
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        x = x / (1 + np.exp(-x))
    assert x.shape == (2, 2, 2, 4)
    found = Strided().look(tuple(layers), jnp.asarray(picture, jnp.float32))
    np.testing.assert_allclose(found, x, rtol=1e-3, atol=1e-3)


def test_blocks_begin_as_the_identity():
    *stages, _ = Residual().draw(jax.random.key(0), (16, 16, 3))
    assert all(not stage.second.weight.any() and stage.first.weight.any() for stage in stages)


def test_a_large_batch_is_encoded_piece_by_piece_to_the_same_effect(monkeypatch):
    encoder = Residual(width=5, channels=(3,))
    parameters = encoder.init(jax.random.key(0), GRAY)
    seen = {"view": jax.random.randint(jax.random.key(1), (7, 3, 1, 5, 5), 0, 256).astype(jnp.uint8)}

    def both(parameters):
        return jax.value_and_grad(lambda p: (encoder(p, GRAY, seen) ** 2).sum())(parameters)

    whole = both(parameters)
    monkeypatch.setattr(encoders, "PIXELS", 4 * 25)  # four pictures at a time: six pieces, the last with one
    assert "scan" in str(jax.make_jaxpr(both)(parameters))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), both(parameters), whole)


# ---------------------------------------------------------------------------------------------------------------------
# Fields


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("group", [MIXED, GRAY])
def test_features_are_as_many_as_announced_whatever_the_axes_in_front(kind, group):
    encoder, lead = KINDS[kind], (4, 2)
    parameters = encoder.init(jax.random.key(0), group)
    seen = group.fields_of(jax.tree.map(jnp.asarray, group.blank(*lead)))
    features = encoder(parameters, group, seen)
    assert features.shape == (*lead, group.size, encoder.features(group))
    assert features.dtype == jnp.float32


def test_every_field_counts_and_no_agent_sees_another():
    encoder, now = KINDS["residual"], time_step()
    parameters = encoder.init(jax.random.key(0), MIXED)
    seen = fields(SPEC, now, "mixed")
    before = encoder(parameters, MIXED, seen)
    for field in MIXED.obs:
        x = seen[field.name]
        after = encoder(parameters, MIXED, seen | {field.name: x.at[0].set(x[0] + jnp.ones_like(x[0]) * 40)})
        assert not np.allclose(after[0], before[0])
        np.testing.assert_array_equal(after[1:], before[1:])


def test_observations_are_one_vector_and_fields_keep_their_types():
    now = time_step(mixed=jnp.array([True, True, False]))
    flat, seen = observations(SPEC, now)["mixed"], fields(SPEC, now, "mixed")
    assert flat.shape == (3, 2 + 84 + 3)
    assert flat.dtype == jnp.float32
    obs = jax.tree.map(np.asarray, now.obs["mixed"])
    np.testing.assert_array_equal(flat[:2, :2], obs["code"][:2])
    np.testing.assert_allclose(flat[:2, 2:86], obs["view"][:2].reshape(2, -1) / 255.0, rtol=1e-6)
    np.testing.assert_array_equal(flat[:2, 86:], obs["speed"][:2])
    assert {name: x.dtype.name for name, x in seen.items()} == {"code": "int32", "view": "uint8", "speed": "float32"}
    np.testing.assert_array_equal(seen["view"][:2], obs["view"][:2])
    assert not flat[2].any()
    assert not any(np.asarray(x[2]).any() for x in seen.values())


def test_padding_is_never_seen():
    now = time_step()
    speed = now.obs["mixed"]["speed"].at[1, 1:].set(7.0)
    garbled = now._replace(obs=now.obs | {"mixed": now.obs["mixed"] | {"speed": speed}})
    for see in (observations, lambda spec, now: fields(spec, now, "mixed")):
        jax.tree.map(np.testing.assert_array_equal, see(SPEC, garbled), see(SPEC, now))


def test_only_pictures_of_bytes_are_scaled():
    group = Group(("x",), (Field("counts", (3,), dtype="uint8"),), Discrete(2))
    spec = Spec("counts", Table({"g": group}))
    now = TimeStep({"g": jnp.array([[1, 2, 250]], jnp.uint8)}, {}, {}, {"g": jnp.ones(1, bool)}, jnp.bool_(False))
    np.testing.assert_array_equal(observations(spec, now)["g"], [[1, 2, 250]])


# ---------------------------------------------------------------------------------------------------------------------
# Encoders of an environment


def test_where_nothing_is_encoded_everything_stays_what_it_was():
    plain, nets = Spec("plain", Table({"plain": PLAIN})), object()
    for encoder in (Flat(), Residual()):
        bound = Encoders(encoder, plain)
        assert bound.spec is plain
        assert bound.join(jax.random.key(0), nets, plain.groups) is nets
    now = time_step()
    assert Encoders(Flat(), SPEC).spec is SPEC
    jax.tree.map(np.testing.assert_array_equal, Encoders(Flat(), SPEC).inputs(now), observations(SPEC, now))


def test_only_groups_with_pictures_get_an_encoder():
    bound = Encoders(Residual(width=5, channels=(3,)), SPEC)
    assert bound.groups == ("gray", "mixed")
    assert {name: group.obs_size for name, group in bound.spec.groups.items()} == {"gray": 5, "mixed": 10, "plain": 4}
    nets = bound.join(jax.random.key(0), "networks", SPEC.groups)
    assert isinstance(nets, Encoded)
    behind, features = bound.enter(nets, bound.inputs(time_step()))
    assert behind == "networks"
    assert {name: x.shape for name, x in features.items()} == {"gray": (1, 5), "mixed": (3, 10), "plain": (2, 4)}


def test_who_chooses_nothing_gets_filters_for_pictures_alone():
    assert encoder_for(SPEC) == Residual()
    assert encoder_for(Spec("plain", Table({"plain": PLAIN}))) == Flat()
    camera = Group(("x",), (Field("view", (64, 64, 3), dtype="uint8"),), Discrete(2))
    made = jax.eval_shape(lambda: Residual().init(jax.random.key(0), camera))
    assert sum(x.size for x in jax.tree.leaves(made)) < 200_000  # a first layer of 64 units on raw dots has 786,000


def test_pictures_that_are_too_small_and_networks_without_filters_are_refused():
    with pytest.raises(BadInput, match="5 x 5 at least"):
        Conv().draw(jax.random.key(0), (4, 9, 1))
    with pytest.raises(BadInput, match="at least one filter"):
        Residual(channels=())
    with pytest.raises(BadInput, match="`width`"):
        Dense(width=0)


@pytest.mark.parametrize("id", [pytest.param("mappo", marks=pytest.mark.slow), "iddpg"])
def test_renumbering_agents_leaves_encoders_alone(id):
    rule: Any = algorithm(id, type("World", (), {"spec": SPEC})())
    settings = {"shared": False, "sees": "own"} if id == "mappo" else {}
    rule = dataclasses.replace(rule, encoder=Residual(width=5, channels=(3,)), **settings)
    nets = rule.init(jax.random.key(0), 2).nets
    turned = renumbered(nets, 1)
    jax.tree.map(np.testing.assert_array_equal, turned.actor.encoders, nets.actor.encoders)
    first, second = (jax.tree.leaves(x.actor.nets["mixed"])[0] for x in (nets, turned))
    np.testing.assert_array_equal(second[1], first[0])
