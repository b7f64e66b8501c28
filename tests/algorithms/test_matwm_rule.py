"""MATWM as an algorithm: what an update is made of, what it reports, acting, switches and what it refuses."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from matwm_cases import MODEL, SPEC, drawn, played, small

from covey import environments
from covey.algorithms import make
from covey.algorithms.matwm import matwm
from covey.algorithms.matwm.imagination import Learned
from covey.algorithms.matwm.records import Context
from covey.algorithms.matwm.rule import Imagination
from covey.core.errors import BadInput
from covey.core.settings import with_settings
from covey.core.types import Discrete, Field, Group, Spec, Table, TimeStep
from covey.learning.samplers import Recency, Uniform

AGENTS = 3


# ---------------------------------------------------------------------------------------------------------------------
# Presets and sizes


def test_the_paper_in_its_numbers():
    tag = matwm(environments.make("particle/tag").spec, preset="paper")
    assert tag.agents.names == ("adversary_0", "adversary_1", "adversary_2", "agent_0")
    assert tag.model.state_size(tag.agents) == 1551  # 32 · 32 + 512 + 3 · 5
    assert (tag.replay.sequences, tag.replay.length, tag.replay.capacity) == (16, 64, 50_000)
    assert (tag.imagination.batch, tag.imagination.horizon, tag.imagination.context) == (768, 12, 8)
    assert tag.plan == (1, 1000, 1, 1)  # one update per environment step of one lane, after 1000 random steps
    assert tag.replay.ages == Recency(0.9998)
    spread = matwm(environments.make("particle/spread").spec, preset="paper")
    assert spread.model.state_size(spread.agents) == 1546
    assert (spread.imagination.batch, spread.imagination.horizon) == (512, 16)


def test_the_paper_has_shorter_and_more_imagined_episodes_for_many_agents():
    many = Spec("many", Table({"m": Group(tuple(f"m_{i}" for i in range(7)), (Field("o"),), Discrete(2))}))
    assert matwm(many, preset="paper").imagination == Imagination(1024, 8)


def test_what_is_imagined_may_be_counted_per_agent_or_in_all():
    assert Imagination(batch=768).of_agent(4) == 768
    assert Imagination(batch=768, share="total").of_agent(4) == 192
    assert Imagination(batch=10, share="total").of_agent(3) == 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda: make("matwm", environments.make("toy/continuous")),
            r"has continuous actions.*use 'mappo' or 'maddpg'",
        ),
        (lambda: make("matwm", environments.make("toy/graph")), "has continuous actions"),
        (lambda: make("matwm", environments.make("toy/discrete"), preset="big"), "the preset 'big' is unknown"),
        (lambda: dataclasses.replace(MODEL, heads=3), "3 heads do not divide the `width` 8"),
        (lambda: small(history=0), "`history` must be at least 1"),
    ],
)
def test_what_cannot_be_is_one_sentence(change, words):
    with pytest.raises(BadInput, match=words):
        change()


# ---------------------------------------------------------------------------------------------------------------------
# An update


class Updated:
    """An algorithm with a buffer of 36 steps, and what one update makes of it."""

    def __init__(self, **settings):
        self.algorithm = small(**settings)
        self.state = jax.jit(functools.partial(self.algorithm.init, lanes=1))(jax.random.key(0))
        rollout = played((9, False), (6, True), (9, False), (8, True))
        buffer = self.algorithm.replay.init(SPEC, 1, 32)
        self.buffer = jax.jit(functools.partial(self.algorithm.replay.add, SPEC))(buffer, rollout, jnp.int32(0))
        self.update = jax.jit(self.algorithm.update)
        self.nets, self.metrics = self(self.state.nets)

    def __call__(self, nets, seed=1):
        return self.update(nets, self.buffer, jax.random.key(seed), jnp.int32(0), jnp.int32(32))


@functools.cache
def usual() -> Updated:
    return Updated()


@pytest.mark.slow
class TestAnUpdate:
    def test_is_one_step_of_the_world_model_and_one_of_every_agent(self):
        counts = optax.tree_utils.tree_get_all_with_path(usual().nets.model_opt, "count")
        assert [int(count) for _, count in counts] == [1]
        agents = optax.tree_utils.tree_get_all_with_path(usual().nets.inner.opt, "count")
        assert [count.tolist() for _, count in agents] == [[1, 1, 1]]

    def test_reports_the_world_model_once_and_every_agent(self):
        names = set(usual().metrics)
        world = ("total", "recon", "reward", "cont", "teammate", "dynamics", "representation", "legal")
        assert {f"shared_wm_{name}_loss" for name in world} <= names
        for who in ("x_0", "x_1", "y_0"):
            for what in ("actor_loss", "critic_loss", "critic_loss_lambda", "critic_loss_ema", "mean_entropy"):
                assert f"{who}_{what}" in names
            for what in ("mean_imagined_reward", "mean_value", "normalization_S"):
                assert f"{who}_{what}" in names
        assert not [name for name in names if "wm" in name and not name.startswith("shared_wm_")]
        assert all(np.isfinite(x) and x.shape == () for x in usual().metrics.values())

    def test_imagines_so_many_steps_of_every_agent(self):
        algorithm, case = usual().algorithm, usual()

        def imagined_in_an_update(key):
            context, _ = algorithm.replay.contexts(algorithm.agents, case.buffer, 4, 2, key, jnp.int32(32))
            return algorithm.imagined(case.state.nets, context, key)

        imagined = jax.eval_shape(imagined_in_an_update, jax.random.key(0))
        assert imagined.reward.shape == (AGENTS, 3, 4)  # agents, horizon, batch
        assert imagined.state.shape[:3] == (AGENTS, 4, 4)

    def test_of_the_world_model_is_not_moved_by_what_actors_and_critics_learn(self):
        """Other actors, critics and optimizers give the same world model, to the bit."""
        nets = usual().state.nets
        other = nets._replace(inner=jax.tree.map(lambda x: x + 1 if x.dtype == jnp.float32 else x, nets.inner))
        found, _ = usual()(other)
        for a, b in zip(jax.tree.leaves(found.model), jax.tree.leaves(usual().nets.model), strict=True):
            np.testing.assert_array_equal(a, b)
        ours, theirs = (x.inner.actor.layers[0].weight for x in (usual().nets, found))
        assert jnp.abs(ours - theirs).max() > 0.1


@pytest.mark.slow
def test_without_teammates_their_place_in_the_state_is_zero_and_the_rest_stays():
    """The same draw of everything else, no loss of teammates, and states of the same size."""
    without = Updated(model=dataclasses.replace(MODEL, teammates=False))
    assert not [name for name in without.metrics if "teammate" in name]
    terms = ("recon", "reward", "cont", "legal", "dynamics", "representation")
    for name in terms:
        np.testing.assert_allclose(
            without.metrics[f"shared_wm_{name}_loss"], usual().metrics[f"shared_wm_{name}_loss"], rtol=1e-4
        )
    total = without.metrics["shared_wm_total_loss"] + usual().metrics["shared_wm_teammate_loss"]
    np.testing.assert_allclose(total, usual().metrics["shared_wm_total_loss"], rtol=1e-4)
    algorithm = without.algorithm
    assert algorithm.model.state_size(algorithm.agents) == usual().algorithm.model.state_size(algorithm.agents)


# ---------------------------------------------------------------------------------------------------------------------
# Switches


def test_without_action_scaling_the_mixer_cannot_tell_agents_apart():
    for scaling in (True, False):
        algorithm = small(model=dataclasses.replace(MODEL, action_scaling=scaling))
        nets, agents = drawn(algorithm), algorithm.agents
        assert nets.mixer.weight.shape[1] == 12 + (7 if scaling else 3)
        chosen = jnp.broadcast_to(agents.one_hot(jnp.array([1])), (3, 1, 3))
        tokens = algorithm.model.tokens(nets, agents, jnp.zeros((3, 12)), chosen, jnp.arange(3))
        assert (jnp.abs(tokens - tokens[0]).max() > 0) == scaling


def test_without_teammates_policies_are_given_zeros():
    context = Context(jnp.arange(3), jnp.ones((3, 2, 2)), jnp.zeros((3, 1, 1), jnp.int32), jnp.ones((3, 2), bool))
    views = {}
    for teammates in (True, False):
        algorithm = small(model=dataclasses.replace(MODEL, teammates=teammates))
        init = jax.jit(lambda key, a=algorithm: a.model.init(key, a.agents, a.positions))
        dynamics = Learned(algorithm.model, init(jax.random.key(0)), algorithm.agents)
        views[teammates] = jax.jit(lambda d=dynamics: d.view(d.begin(context, 1, None))[0])()
    size = MODEL.latent_size + MODEL.width
    np.testing.assert_allclose(views[True][:, :size], views[False][:, :size], atol=1e-6)
    np.testing.assert_array_equal(views[False][:, size:], 0.0)
    np.testing.assert_allclose(views[True][:, size:].sum(-1), 2.0, rtol=1e-5)  # chances of two others


def test_recency_is_chosen_by_name():
    usual = make("matwm", environments.make("toy/discrete"))
    alike = with_settings(usual, {"replay.ages": "uniform"}, "matwm")
    assert alike.replay == dataclasses.replace(usual.replay, ages=Uniform())  # type: ignore[attr-defined]
    assert dataclasses.replace(alike, replay=usual.replay) == usual  # type: ignore[attr-defined]


# ---------------------------------------------------------------------------------------------------------------------
# Acting


def step_at(number, alive=(True, True)):
    return TimeStep(
        obs={"x": jnp.array([[number, 0.0], [number, 1.0]]), "y": jnp.array([[number]])},
        reward={},
        discount={},
        alive={"x": jnp.array(alive), "y": jnp.array([True])},
        last=jnp.bool_(False),
        legal={"x": jnp.array([[True, False], [False, True]]), "y": jnp.array([[False, True, True]])},
    )


@pytest.fixture(scope="module")
def acting():
    algorithm = small(warmup=5)
    state = jax.jit(functools.partial(algorithm.init, lanes=1))(jax.random.key(0))
    state = state._replace(nets=state.nets._replace(model=drawn(algorithm)))
    act = {explore: jax.jit(functools.partial(algorithm.act, explore=explore)) for explore in (True, False)}
    return algorithm, algorithm.acting(state), act


def test_acting_remembers_the_last_steps_and_does_what_is_legal(acting):
    algorithm, state, act = acting
    memory = algorithm.memory(jax.random.key(0))
    assert not memory.exists.any()
    for number in range(5):
        action, memory, _ = act[True](state, memory, step_at(float(number)), jax.random.key(number), jnp.int32(9))
        np.testing.assert_array_equal(action["x"], [0, 1])
        assert action["y"][0] in (1, 2)
        assert memory.exists[-1].all()
        np.testing.assert_array_equal(memory.obs[:, 0, 0], np.maximum(number + np.arange(-2, 1), 0))
        np.testing.assert_array_equal(memory.exists[:, 0], number + np.arange(-2, 1) >= 0)
        np.testing.assert_array_equal(memory.action[-1, :, 0], [0, 1, action["y"][0]])


def test_what_is_done_depends_on_what_was_seen_before_in_the_episode(acting):
    algorithm, state, _ = acting
    context = Context(
        jnp.arange(3), jnp.ones((3, 4, 2)).at[:, 0].set(3.0), jnp.zeros((3, 3, 1), jnp.int32), jnp.ones((3, 4), bool)
    )
    dynamics = Learned(algorithm.model, state.nets.model, algorithm.agents)
    view = jax.jit(lambda context: dynamics.view(dynamics.begin(context, 0, None))[0])
    other = view(context._replace(obs=context.obs.at[:, 0].set(-3.0)))
    forgotten = view(context._replace(exists=context.exists.at[:, :3].set(False)))
    assert (jnp.abs(other - view(context)).max(-1) > 1e-4).all()
    np.testing.assert_array_equal(forgotten[:, MODEL.latent_size : MODEL.latent_size + MODEL.width], 0.0)


def test_before_the_first_update_actions_are_uniform_and_without_exploring_they_are_always_the_same(acting):
    algorithm, state, act = acting
    memory, now = algorithm.memory(jax.random.key(0)), step_at(1.0)
    loud = state._replace(nets=state.nets._replace(inner=jax.tree.map(lambda x: 100.0 * x, state.nets.inner)))
    keys = jax.random.split(jax.random.key(1), 400)
    many = jax.jit(jax.vmap(lambda key, step: act[True](loud, memory, now, key, step)[0]["y"][0], (0, None)))
    early, late = (np.bincount(many(keys, jnp.int32(step)), minlength=3) / 400 for step in (4, 5))
    np.testing.assert_allclose(early, [0, 0.5, 0.5], atol=0.1)
    assert late.max() > 0.9
    done = {int(act[False](loud, memory, now, key, jnp.int32(9))[0]["y"][0]) for key in keys[:5]}
    assert len(done) == 1
