"""MATWM where agents see pictures: how observations are laid out, that bytes stay bytes, and what is reconstructed."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matwm_cases import MODEL, small
from matwm_cases import SPEC as NUMBERED

from covey.algorithms.matwm.imagination import Learned
from covey.algorithms.matwm.losses import reconstruction_error
from covey.algorithms.matwm.pictures import PictureDecoder, PictureEncoder
from covey.algorithms.matwm.records import Context
from covey.core.types import Discrete, Field, Group, Spec, Table, TimeStep
from covey.nn.decoders import Transposed
from covey.nn.encoders import Flat, Residual, Strided

SPEC = Spec(
    "cameras",
    Table(
        {
            "camera": Group(
                ("camera_0", "camera_1"),
                (Field("view", (6, 7, 2), dtype="uint8"), Field("speed", (2,), valid=(1, 2))),
                Discrete(2),
            ),
            "gray": Group(
                ("gray_0",),
                (Field("view", (8, 5), dtype="uint8"), Field("map", (3, 3, 1), dtype="uint8"), Field("turn", (3,))),
                Discrete(3),
            ),
            "plain": Group(("plain_0",), (Field("place", (1,)),), Discrete(2)),
        }
    ),
    time_limit=9,
)
"""Two cameras with pictures in two colors and numbers, one with two gray pictures, and one agent that sees a number."""

SMALL = dataclasses.replace(
    MODEL, encoder=Strided(width=4, channels=(3, 4)), decoder=Transposed(width=5, channels=(4, 3))
)


def seen(seed: int = 0) -> TimeStep:
    draw = np.random.default_rng(seed)

    def dots(*shape):
        return jnp.asarray(draw.integers(1, 256, shape), jnp.uint8)

    obs = {
        "camera": {"view": dots(2, 6, 7, 2), "speed": jnp.asarray(draw.normal(size=(2, 2)), jnp.float32)},
        "gray": {"view": dots(1, 8, 5), "map": dots(1, 3, 3, 1), "turn": jnp.asarray(draw.normal(size=(1, 3)), "f4")},
        "plain": jnp.asarray(draw.normal(size=(1, 1)), jnp.float32),
    }
    alive = {"camera": jnp.array([True, True]), "gray": jnp.array([True]), "plain": jnp.array([True])}
    return TimeStep(obs, {}, {}, alive, jnp.bool_(False))


@pytest.fixture(scope="module")
def algorithm():
    return small(SPEC, model=SMALL)


@pytest.fixture(scope="module")
def nets(algorithm):
    return jax.jit(lambda key: algorithm.model.init(key, algorithm.agents, 5))(jax.random.key(0))


def test_pictures_of_all_groups_have_one_size_and_what_is_padding_is_known(algorithm):
    agents, now = algorithm.agents, seen()
    found = agents.observe(now).obs
    assert {name: (x.shape, x.dtype.name) for name, x in found.items()} == {
        "picture_0": ((4, 8, 7, 2), "uint8"),
        "picture_1": ((4, 3, 3, 1), "uint8"),
        "numbers": ((4, 3), "float32"),
    }
    np.testing.assert_array_equal(found["picture_0"][1, :6], now.obs["camera"]["view"][1])
    np.testing.assert_array_equal(found["picture_0"][2, :, :5, 0], now.obs["gray"]["view"][0])
    np.testing.assert_array_equal(found["picture_1"][2], now.obs["gray"]["map"][0])
    np.testing.assert_array_equal(found["numbers"][3], [now.obs["plain"][0, 0], 0.0, 0.0])
    np.testing.assert_array_equal(found["numbers"][0], [now.obs["camera"]["speed"][0, 0], 0.0, 0.0])  # one is valid
    for name, mask in agents.seen.items():  # every dot of `seen` is above 0, and so no dot of a picture is 0
        if name != "numbers":
            np.testing.assert_array_equal(np.asarray(found[name]) > 0, mask)
    np.testing.assert_array_equal(agents.seen["numbers"].sum(-1), [1, 2, 3, 1])


def test_who_is_dead_sees_a_black_picture(algorithm):
    now = seen()
    now = now._replace(alive=now.alive | {"camera": jnp.array([False, True])})
    found = algorithm.agents.observe(now).obs
    assert not found["picture_0"][0].any()
    assert found["picture_0"][1].any()


def test_numbers_in_rows_and_columns_stay_numbers_from_0_to_1_where_bytes_join_them():
    """Pictures of floats keep their scale, and bytes beside them become what networks see."""
    groups = {
        "bytes": Group(("b",), (Field("view", (4, 4, 1), dtype="uint8"),), Discrete(2)),
        "floats": Group(("f",), (Field("view", (4, 4, 1)),), Discrete(2)),
    }
    agents = small(Spec("both", Table(groups), 9), model=SMALL).agents
    obs = {"bytes": jnp.full((1, 4, 4, 1), 255, jnp.uint8), "floats": jnp.full((1, 4, 4, 1), 3.0)}
    alive = {name: jnp.ones(1, bool) for name in groups}
    found = agents.observe(TimeStep(obs, {}, {}, alive, jnp.bool_(False))).obs
    assert list(found) == ["picture_0"]
    assert found["picture_0"].dtype == jnp.float32
    np.testing.assert_array_equal(found["picture_0"][:, 0, 0, 0], [1.0, 3.0])


def test_what_is_kept_of_pictures_is_bytes(algorithm):
    """In the replay, in the memory of acting, in sequences and in contexts."""
    buffer = jax.eval_shape(functools.partial(algorithm.replay.init, SPEC, 1, 2))
    for kept in (buffer.steps.now.obs, buffer.finals.seen.obs):
        assert {kept["camera"]["view"].dtype, kept["gray"]["view"].dtype} == {jnp.dtype("uint8")}
    memory = jax.eval_shape(algorithm.memory, jax.random.key(0))

    def drawn(buffer, key):
        context, _ = algorithm.replay.contexts(algorithm.agents, buffer, 5, 2, key, jnp.int32(9))
        return context.obs, algorithm.replay.draw(algorithm.agents, buffer, key, jnp.int32(0), jnp.int32(9)).obs

    context, sequence = jax.eval_shape(drawn, buffer, jax.random.key(0))
    for obs, lead in ((memory.obs, (3, 4)), (context, (20, 3)), (sequence, (4, 5))):
        assert obs["picture_0"].shape == (*lead, 8, 7, 2)
        assert obs["picture_0"].dtype == jnp.uint8
        assert obs["numbers"].dtype == jnp.float32


def test_squared_errors_are_summed_over_dots_from_0_to_1_and_padding_counts_for_nothing(algorithm, nets):
    agents = algorithm.agents
    assert isinstance(nets.encoder, PictureEncoder)
    assert isinstance(nets.decoder, PictureDecoder)
    obs = agents.observe(seen()).obs
    latent = jax.nn.one_hot(jnp.arange(4), algorithm.model.latent_size)
    said = jax.jit(lambda latent: nets.decoder(latent))(latent)
    assert {name: x.shape for name, x in said.items()} == {name: x.shape for name, x in obs.items()}
    found = jax.jit(lambda nets: reconstruction_error(nets, agents, latent, obs, jnp.arange(4)))(nets)
    expected = np.zeros(4)
    for name, x in obs.items():
        aim = np.asarray(x, float) / (255.0 if x.dtype == jnp.uint8 else 1.0)
        expected += ((np.asarray(said[name]) - aim) ** 2 * agents.seen[name]).reshape(4, -1).sum(-1)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_every_field_reaches_the_latent_state(algorithm, nets):
    obs = algorithm.agents.observe(seen()).obs
    posterior = jax.jit(lambda obs: algorithm.model.posterior(nets, obs))
    before = posterior(obs)
    for name, x in obs.items():
        other = obs | {name: x.at[2].set(x[2] + jnp.ones_like(x[2]) * 60)}
        moved = jnp.abs(posterior(other) - before).reshape(4, -1).max(-1)
        np.testing.assert_array_equal(moved > 0, [False, False, True, False])


@pytest.mark.parametrize("encoder", [Flat(), Residual(width=4, channels=(2,)), Strided(width=4, vector=3)])
@pytest.mark.parametrize("spec", [SPEC, NUMBERED])
def test_every_encoder_may_stand_there_with_and_without_pictures(encoder, spec):
    algorithm = small(spec, model=dataclasses.replace(SMALL, encoder=encoder))
    agents = algorithm.agents

    def posterior(key):
        nets = algorithm.model.init(key, agents, 5)
        return algorithm.model.posterior(nets, agents.blank(2)), nets

    found, nets = jax.eval_shape(posterior, jax.random.key(0))
    assert found.shape == (2, agents.count, MODEL.latents, MODEL.classes)
    if spec is NUMBERED:  # a layer for numbers where it was asked for, and else none
        assert isinstance(nets.encoder, PictureEncoder) == (encoder == Strided(width=4, vector=3))


def test_nothing_of_another_episode_is_seen_in_a_context(algorithm, nets):
    agents = algorithm.agents
    dynamics = Learned(algorithm.model, nets, agents)
    obs = jax.tree.map(lambda x: jnp.stack([x] * 3, 1), agents.observe(seen()).obs)  # [4, 3, ...]
    exists = jnp.array([[False, True, True]] * 4)
    context = Context(jnp.arange(4), obs, jnp.zeros((4, 2, 1), jnp.int32), exists)
    other = context._replace(obs=jax.tree.map(lambda x: x.at[:, 0].set(0), obs))
    view = jax.jit(lambda context: dynamics.view(dynamics.begin(context, 1, None))[0])
    one, two = view(context), view(other)
    np.testing.assert_array_equal(one, two)
