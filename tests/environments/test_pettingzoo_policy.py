"""A policy that was trained in PettingZoo, in somebody's own loop."""

from __future__ import annotations

import dataclasses

import games
import jax
import numpy as np
import pytest
from mpe2 import simple_speaker_listener_v4

import covey
from covey import algorithms, environments
from covey.algorithms import ppo
from covey.core.errors import BadInput
from covey.runs.policy import Policy

SPEAKERS = "pettingzoo:mpe2.simple_speaker_listener_v4"


@pytest.fixture(scope="module")
def speakers(tmp_path_factory):
    """The policy of two kinds of agents with memory, trained in a PettingZoo environment in a worker process."""
    environment = environments.make(SPEAKERS, arguments="max_cycles: 6", lanes=2, workers=1)
    learner = dataclasses.replace(ppo.ippo(environment.spec), units=8, horizon=4, width=8, minibatches=1)
    options = {"steps": 16, "envs": 2, "episodes": 2, "quiet": True}
    run = covey.train(learner, environment, out=tmp_path_factory.mktemp("speakers") / "run", **options)
    yield covey.load(run.folder, environment=environment)
    environment.close()


def own_loop(policy, env, seed):
    """An episode as the documentation writes it: what was done in every step, and what it earned."""
    key = jax.random.key(0)
    observations, infos = env.reset(seed=seed)
    memory, done, earned = policy.memory(key), [], []
    while env.agents:
        actions, memory = policy.actions(observations, infos, env.agents, memory, key)
        observations, rewards, _, _, infos = env.step(actions)
        done.append(actions)
        earned.append(dict(rewards))
    return done, earned


@pytest.mark.slow
def test_a_loop_of_ones_own_is_the_episode_that_covey_plays(speakers):
    done, earned = own_loop(speakers, simple_speaker_listener_v4.parallel_env(max_cycles=6), seed=7)
    assert len(done) == 6
    assert all(type(action) is int for action in done[0].values())
    key, environment = jax.random.key(0), speakers.environment
    environment.reseed([7, 8])
    now, memory = environment.reset(), speakers.memory(key)
    for actions, rewards in zip(done, earned, strict=True):
        first = jax.tree.map(lambda x: x[0], now)
        action, memory = speakers.act(first, memory, key)
        assert {"speaker_0": int(action["speaker"][0]), "listener_0": int(action["listener"][0])} == actions
        then, now = environment.step(jax.tree.map(lambda x: np.stack([x, x]), action))
        assert then.reward["speaker"][0, 0] == pytest.approx(rewards["speaker_0"])


@pytest.mark.slow
def test_exploring_is_asked_for(speakers):
    env = simple_speaker_listener_v4.parallel_env()
    observations, infos = env.reset(seed=0)
    memory = speakers.memory(jax.random.key(0))
    tried = {
        tuple(speakers.actions(observations, infos, env.agents, memory, jax.random.key(i), explore=True)[0].values())
        for i in range(20)
    }
    assert len(tried) > 1


@pytest.mark.slow
def test_what_does_not_belong_together_is_one_sentence(speakers):
    key = jax.random.key(0)
    memory = speakers.memory(key)
    env = simple_speaker_listener_v4.parallel_env()
    observations, infos = env.reset(seed=0)
    with pytest.raises(BadInput, match=r"plays with \['knight_0'\], who are not among its `possible_agents`"):
        speakers.actions({"knight_0": np.zeros(3)}, {}, ["knight_0"], memory, key)
    with pytest.raises(BadInput, match=r"the observations of this step .* lack \['listener_0'\]"):
        speakers.actions({"speaker_0": observations["speaker_0"]}, infos, env.agents, memory, key)
    with pytest.raises(BadInput, match="showed the agent 'speaker_0' what is not in its space"):
        speakers.actions(observations | {"speaker_0": np.zeros(5)}, infos, env.agents, memory, key)


@pytest.mark.slow
def test_a_key_for_a_reset_outside_jax_is_one_sentence(speakers):
    with pytest.raises(BadInput, match="see `policy\\.actions`"):
        speakers.environment.reset(jax.random.key(0))


@pytest.fixture
def compiled():
    """A policy in a compiled environment."""
    environment = environments.make("toy/discrete")
    return Policy(environment, algorithms.make("random", environment), (), 0)


@pytest.mark.slow
def test_a_batched_time_step_is_one_sentence(speakers, compiled):
    key = jax.random.key(0)
    now = speakers.environment.reset()
    with pytest.raises(BadInput, match="the time step is of 2 environments") as raised:
        speakers.act(now, speakers.memory(key), key)
    assert "\n" not in str(raised.value)
    _, batch = jax.vmap(compiled.environment.reset)(jax.random.split(key, 3))
    with pytest.raises(BadInput, match="of 3 environments"):
        compiled.act(batch, compiled.memory(key), key)
    actions, _ = jax.vmap(compiled.act, (0, None, None))(batch, compiled.memory(key), key)
    assert actions["a"].shape == (3, 2)


def test_a_policy_of_a_compiled_environment_takes_time_steps(compiled):
    with pytest.raises(BadInput, match="'toy/discrete', which is not PettingZoo's"):
        compiled.actions({}, {}, [], compiled.memory(jax.random.key(0)), jax.random.key(0))


def test_agents_that_come_and_go():
    """Whoever is not in `agents` is not asked; masks count."""
    environment = environments.make("pettingzoo:games", lanes=1)
    policy = Policy(environment, algorithms.make("random", environment), (), 0)
    env = games.parallel_env()
    done, _ = own_loop(policy, env, seed=1)
    environment.close()
    assert [sorted(actions) for actions in done] == [
        ["painter_0", "walker_0", "walker_1"],
        ["walker_0", "walker_1"],
        ["late_0", "walker_1"],
        ["late_0", "painter_0", "walker_1"],
        ["late_0", "painter_0", "walker_1"],
    ]
    assert {actions["late_0"] for actions in done[2:]} <= {10, 12}  # the mask forbids 11
    assert env.taken == done
