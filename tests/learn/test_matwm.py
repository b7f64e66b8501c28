"""MATWM learns `toy/discrete` with few steps, and its world model knows more than what is trivial."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import covey
from covey.algorithms.matwm.records import Sequences
from covey.algorithms.matwm.replay import focal_sequences
from covey.algorithms.matwm.rule import MATWM
from covey.core import loop
from covey.learning.buffer import Batch
from covey.runs.train import train

pytestmark = pytest.mark.learn

SETTINGS = {"updates": 8}
STEPS, ENVS = 8000, 4  # an update for every four steps
SEEDS = (0, 1)


def held_out(algorithm: MATWM, state: Any, environment: Any, lanes: int = 128) -> Batch:
    """The first episode of every lane, [E, T, ...], played at random."""
    algorithm = dataclasses.replace(algorithm, warmup=10**9)
    run = loop.start(environment, algorithm, jax.random.split(jax.random.key(7), 1), lanes)
    run = run._replace(agent=jax.tree.map(lambda x: x[None], state), step=jnp.int32(0))
    length = environment.spec.time_limit
    _, rollout, _ = loop.collect(environment, algorithm, run, jax.random.split(jax.random.key(8), 1), length)
    rollout = jax.tree.map(lambda x: jnp.swapaxes(x[:, 0], 0, 1), rollout)
    last = rollout.then.last
    first = jnp.cumsum(last, 1) - last == 0
    return Batch(rollout.now, rollout.action, rollout.then, rollout.action, first.astype(jnp.float32))


def predictions(algorithm: MATWM, nets: Any, own: Sequences, samples: int = 32) -> tuple[Any, Any]:
    """The world model's means of what is seen next [Q, L, D], over samples of the prior, and of rewards [Q, L]."""
    agents, model = algorithm.agents, algorithm.model
    latent = model.sample(model.posterior(nets, own.obs), jax.random.key(0))[:, :-1]
    focal = jnp.broadcast_to(own.focal[:, None], own.steps.shape)
    tokens = model.tokens(nets, agents, latent, agents.one_hot(own.action), focal)
    summary = nets.sequence(tokens, own.steps)
    prior = model.prior(nets, summary)
    keys = jax.random.split(jax.random.key(1), samples)
    seen = jax.lax.map(lambda key: nets.decoder(model.sample(prior, key)), keys)
    return seen.mean(0), model.reward_bins.decode(nets.reward(summary))


def errors(algorithm: MATWM, nets: Any, batch: Batch) -> dict[str, dict[str, float]]:
    """Mean squared errors of one-step predictions, of observations (per number) and of rewards: the world model's, and
    those of "nothing changes" and of the mean of these very episodes, for every agent and number."""
    agents = algorithm.agents
    found: dict[tuple[str, str], list] = {}

    @jax.jit
    def look(nets, batch, who):
        own = focal_sequences(agents, batch, jnp.full(len(batch.weight), who))
        return own, predictions(algorithm, nets, own)

    for who in range(agents.count):
        own, (seen, earned) = jax.tree.map(np.asarray, look(nets, batch, who))
        there, real = own.follows, agents.seen[who]
        before = np.pad(own.reward, ((0, 0), (1, 0)))[:, :-1]
        cases = {
            "obs": (own.obs[:, 1:][there][:, real], seen[there][:, real], own.obs[:, :-1][there][:, real]),
            "reward": (own.reward[own.steps], earned[own.steps], before[own.steps]),
        }
        for what, (target, model, same) in cases.items():
            for name, said in {"model": model, "nothing changes": same, "mean": target.mean(0)}.items():
                found.setdefault((what, name), []).extend(((said - target) ** 2).ravel())
    names = ("model", "nothing changes", "mean")
    return {what: {name: float(np.mean(found[what, name])) for name in names} for what in ("obs", "reward")}


@pytest.fixture(scope="module", params=SEEDS)
def run(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("matwm") / "run"
    return train(
        "matwm",
        "toy/discrete",
        preset="tiny",
        settings=SETTINGS,
        steps=STEPS,
        envs=ENVS,
        seed=request.param,
        episodes=128,
        quiet=True,
        out=out,
    )


def test_the_tiny_preset_learns_far_above_random_play(run):
    """The table of docs/algorithms/matwm.md, with room; random play earns a fifth and a third of the optimum."""
    values = run.evaluation.per_seed()
    assert values["return/a/mean_agent"][0] > 9.0
    assert values["return/b/mean_agent"][0] > 7.0


def test_the_world_model_beats_nothing_changes_and_the_mean(run):
    """Next signals are drawn anew, so that their mean is the best there is; who lives can be foretold."""
    policy = covey.load(run.folder, seed=0)
    algorithm: Any = policy.algorithm
    batch = held_out(algorithm, policy.state, policy.environment)
    found = errors(algorithm, policy.state.nets.model, batch)
    for of in found.values():
        assert of["model"] < of["mean"] < of["nothing changes"]
    assert found["reward"]["model"] < 0.5 * found["reward"]["mean"]
