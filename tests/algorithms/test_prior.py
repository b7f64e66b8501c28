"""Priors: nothing where their weights are nothing, and each way of guiding by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import covey
from covey.algorithms import ddpg, ppo
from covey.algorithms.critics import Independent, SharedIndependent
from covey.algorithms.prior import FusedPrior, Prior
from covey.algorithms.self_play import SelfPlay
from covey.core import loop
from covey.core.algorithm import Mixed, Scripted
from covey.core.errors import BadInput
from covey.core.settings import with_settings
from covey.core.types import Box, Discrete, Splits
from covey.environments import toy
from covey.learning.exploration import Gaussian
from covey.learning.replay import Replay, rollout_as_batch
from covey.learning.targets import Linear, constant
from covey.nn.heads import Head
from covey.nn.joint import actions
from covey.nn.policies import Policy
from covey.runs import config
from covey.testing.compare import difference

KEYS = jax.random.split(jax.random.key(0), 1)
WORLDS = {"discrete": toy.discrete, "continuous": toy.continuous, "graph": toy.graph}


def optimal(environment: Any) -> Any:
    return environment.rules()["optimal"]()


def small(environment: Any, **settings: Any) -> ddpg.DDPG:
    """DDPG with a critic of its own for each agent."""
    usual = {"critic": Independent(8), "replay": Replay(64, 8), "width": 8, "horizon": 2, "warmup": 0}
    return dataclasses.replace(ddpg.iddpg(environment.spec), **usual | settings)


def played(environment: Any, algorithm: Any, iterations: int = 6, lanes: int = 3) -> Any:
    begun = loop.start(environment, algorithm, KEYS, lanes)
    return jax.jit(lambda run: loop.chunk(environment, algorithm, run, iterations)[0])(begun)


def rollout(environment: Any, algorithm: Any, horizon: int = 5) -> Any:
    """Steps [T, E, ...] of one seed."""
    begun = loop.start(environment, algorithm, KEYS, 3)
    _, steps, _ = jax.jit(lambda run: loop.collect(environment, algorithm, run, KEYS, horizon))(begun)
    return jax.tree.map(lambda x: x[:, 0], steps)


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS)
def test_a_prior_of_no_weight_changes_no_bit_of_an_update(world):
    """Operation by operation: two programs may round differently."""
    environment = WORLDS[world]()
    steps = rollout(environment, small(environment))
    nets = small(environment).init(jax.random.key(0), 3).nets
    after = []
    for prior in (FusedPrior(), FusedPrior(alpha=constant(0.0), policy=optimal(environment))):
        algorithm = small(environment, prior=prior)
        batch = rollout_as_batch(steps, advised(environment, steps))
        after.append(algorithm.update(nets, batch, jax.random.key(1), 0, prior.alpha(0))[0])
    assert not difference(after[0], after[1])


def advised(environment: Any, steps: Any) -> Any:
    """The prior's actions in a rollout, [T, E, n, A]."""
    rule = optimal(environment).rule
    action = jax.vmap(jax.vmap(lambda now: rule(now, jax.random.key(0))))(steps.now)
    return jax.vmap(jax.vmap(lambda now, action: actions(environment.spec, now, action)))(steps.now, action)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["ddpg", "ppo"])
def test_a_prior_of_no_weight_changes_nothing(family):
    environment = toy.continuous()
    zero = {"alpha": constant(0.0), "policy": optimal(environment)}
    if family == "ddpg":
        made = [small(environment, prior=x) for x in (FusedPrior(), FusedPrior(**zero))]
    else:
        make = dataclasses.replace(ppo.mappo(environment.spec), width=8, horizon=4, epochs=2)
        made = [dataclasses.replace(make, prior=x) for x in (Prior(), Prior(**zero))]
    without, with_prior = (played(environment, algorithm, iterations=3).agent.nets for algorithm in made)
    assert not difference(with_prior, without, 1e-5)


@pytest.mark.parametrize(
    "world", ["graph", *(pytest.param(x, marks=pytest.mark.slow) for x in ("discrete", "continuous"))]
)
def test_what_the_prior_would_do_is_kept_beside_every_step(world):
    environment = WORLDS[world]()
    algorithm = small(environment, prior=FusedPrior(policy=optimal(environment)))
    steps = rollout(environment, algorithm)
    for name in environment.spec.groups:
        for t in range(2):
            now = jax.tree.map(lambda x, t=t: x[t, 0], steps.now)
            action = optimal(environment).rule(now, jax.random.key(0))[name]
            embedded = jax.vmap(algorithm.head(name).embed)(action)
            expected = np.where(now.alive[name][:, None], embedded, 0.0)
            np.testing.assert_allclose(steps.extra[name][t, 0], expected, atol=1e-6)


@pytest.mark.parametrize("world", ["continuous", "graph"])
def test_an_episode_of_the_prior_is_what_it_would_do(world):
    """Without noise, and up to the rounding of tanh and its inverse."""
    environment = WORLDS[world]()
    prior = FusedPrior(policy=optimal(environment), episodes=1.0)
    steps = rollout(environment, small(environment, prior=prior, exploration=Gaussian(constant(0.0))))
    for name, action in steps.action.items():
        done = jax.vmap(jax.vmap(jax.vmap(Head(environment.spec.groups[name].action).embed)))(action)
        alive = steps.now.alive[name][..., None]
        np.testing.assert_allclose(np.where(alive, done, 0.0), steps.extra[name], atol=2e-6)


@pytest.mark.parametrize(
    ("space", "raw", "other", "share", "expected"),
    [
        (Box((-1.0, -1.0), (1.0, 1.0)), [0.0, 0.5], [1.0, -1.0], 0.25, [0.25, 0.75 * np.tanh(0.5) - 0.25]),
        (Box((-1.0,), (1.0,)), [0.3], [1.0], 1.0, [1.0]),
        (Splits((3,)), [0.0, 0.0, 0.0], [1.0, 0.0, 0.0], 0.4, [0.6, 0.2, 0.2]),
        (Discrete(2), [0.0, 0.0], [0.0, 1.0], 0.5, [0.25, 0.75]),
    ],
)
def test_actions_are_mixed_by_their_shares(space, raw, other, share, expected):
    head = Head(space)
    mixed = head.mixed(jnp.asarray(raw), jnp.asarray(other), share)
    np.testing.assert_allclose(head.expected(mixed), expected, atol=2e-6)
    np.testing.assert_array_equal(head.mixed(jnp.asarray(raw), jnp.asarray(other), 0.0), np.float32(raw))


def test_a_share_of_the_episodes():
    environment = toy.continuous()
    prior = FusedPrior(policy=optimal(environment), episodes=0.25)
    plays = jax.vmap(lambda key: prior.memory(key).plays)(jax.random.split(jax.random.key(1), 4000))
    assert abs(plays.mean() - 0.25) < 0.03
    beta = FusedPrior(blend=Linear(0.5, 0.1, 100.0), blend_evaluation=0.2)
    guest, host = prior.memory(jax.random.key(0))._replace(plays=jnp.bool_(False)), jnp.bool_(True)
    assert beta.share(guest, 50, explore=True) == pytest.approx(0.3)
    assert beta.share(guest._replace(plays=host), 50, explore=True) == 1.0
    assert beta.share(guest._replace(plays=host), 50, explore=False) == pytest.approx(0.2)


def test_the_distance_by_hand():
    """Two rows of two agents; what the second one is told in the first row is too weak to count."""
    raw = jnp.array([[[0.1, -0.2], [0.0, 0.0]], [[0.5, 0.0], [1.0, 1.0]]])
    advice = jnp.array([[[1.0, 0.0], [0.005, 0.0]], [[0.0, 0.0], [0.0, -1.0]]])
    squares = (np.tanh(raw) - advice) ** 2
    head, legal, weight = Head(Box((-1.0, -1.0), (1.0, 1.0))), None, jnp.array([[1.0, 1.0], [0.0, 1.0]])
    masked = FusedPrior(ignore=0.01).pull(head, raw, advice, legal, weight)
    np.testing.assert_allclose(masked, [squares[0, 0].sum(), squares[1, 1].sum()], rtol=1e-6)
    plain = FusedPrior().pull(head, raw, advice, legal, weight)
    np.testing.assert_allclose(plain[1], squares[:, 1].sum() / 2, rtol=1e-6)
    np.testing.assert_allclose(FusedPrior(distance="mean").pull(head, raw, advice, legal, weight), plain / 2, rtol=1e-6)


def test_the_divergence_by_hand():
    box, choice = Policy(Box((-1.0,), (1.0,))), Policy(Discrete(3))
    raw, log_std, advice = jnp.array([0.3]), jnp.log(jnp.array([0.5])), jnp.array([0.6])
    expected = 0.5 * ((np.arctanh(0.6) - 0.3) / 0.5) ** 2
    assert box.divergence(raw, log_std, advice) == pytest.approx(expected, rel=1e-5)
    logits = jnp.array([0.0, 1.0, 2.0])
    expected = np.log(np.exp([0.0, 1.0, 2.0]).sum()) - 1.0
    assert choice.divergence(logits, jnp.zeros(0), jnp.array([0.0, 1.0, 0.0])) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["ddpg", "ppo"])
def test_a_heavy_prior_is_imitated(family):
    """Far from the prior's actions before learning, near them after."""
    environment = toy.continuous()
    weight = {"alpha": constant(100.0), "policy": optimal(environment)}
    rate = {"actor_lr": constant(3e-3), "critic_lr": constant(3e-3)}
    if family == "ddpg":
        algorithm = small(environment, prior=FusedPrior(**weight), updates=2, exploration=Gaussian(constant(0.1)))
    else:
        algorithm = dataclasses.replace(ppo.ippo(environment.spec), prior=Prior(**weight), horizon=8, **rate)

    def apart(run: Any) -> float:
        steps = rollout_of(environment, algorithm, run)
        name = next(iter(environment.spec.groups))
        done = jax.vmap(jax.vmap(jax.vmap(Head(environment.spec.groups[name].action).embed)))(steps.action[name])
        wanted = jax.vmap(jax.vmap(lambda now: optimal(environment).rule(now, KEYS[0])[name]))(steps.now)
        alive = steps.now.alive[name][..., None]
        return float(jnp.where(alive, (done - wanted) ** 2, 0.0).mean())

    before, after = (apart(played(environment, algorithm, iterations=k, lanes=8)) for k in (1, 400))
    assert after < 0.01 < before


def rollout_of(environment: Any, algorithm: Any, run: Any) -> Any:
    """Steps [T, E, ...] that the policy of a run plays without exploring."""
    _, steps, _ = jax.jit(lambda run: loop.collect(environment, algorithm, run, KEYS, 8, explore=False))(run)
    return jax.tree.map(lambda x: x[:, 0], steps)


# ---------------------------------------------------------------------------------------------------------------------
# Shared networks that are not told apart


def test_shared_networks_are_the_same_for_every_agent():
    environment = toy.continuous()
    alike = small(environment, critic=SharedIndependent(8), shared_actor=True, alike=True)
    nets = alike.init(jax.random.key(0), 1).nets
    name, group = next(iter(environment.spec.groups.items()))
    obs = jnp.broadcast_to(jnp.arange(group.obs_size) / 10, (group.size, group.obs_size))
    raw = alike.raw(nets.actor, {name: obs})[name]
    np.testing.assert_array_equal(raw, jnp.broadcast_to(raw[0], raw.shape))
    assert nets.critic[0][name].layers[0].weight.ndim == 2


# ---------------------------------------------------------------------------------------------------------------------
# Names


QUICK = {"steps": 8, "envs": 2, "episodes": 2, "quiet": True}
TINY = {"width": 8, "replay.capacity": 64, "replay.batch": 8, "warmup": 0, "horizon": 2}


def test_a_rule_by_name_and_again_from_the_file(tmp_path):
    environment = toy.continuous()
    settings = {"prior": "optimal", "prior.alpha": 0.3, "prior.episodes": 0.5}
    algorithm = with_settings(ddpg.iddpg(environment.spec), settings, "iddpg")
    made = config.Config(algorithm, environment, config.Origin("toy/continuous", {}, "iddpg"))
    config.write(made, tmp_path / "config.yaml")
    text = (tmp_path / "config.yaml").read_text()
    assert "name: optimal" in text
    assert "policy" not in text
    found: Any = config.read(tmp_path / "config.yaml").algorithm
    assert isinstance(found.prior.guide.inner, Scripted)
    assert (found.prior.alpha, found.prior.episodes) == (constant(0.3), 0.5)


@pytest.mark.slow
def test_a_run_as_the_prior(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    covey.train("iddpg", "toy/continuous", settings=TINY, out="first", **QUICK)
    covey.train("mappo", "toy/continuous", settings={"prior": "first", "horizon": 2}, out="second", **QUICK)
    again = covey.load("second")
    assert again.algorithm.prior.guide.inner.width == 8  # type: ignore
    with pytest.raises(BadInput, match="whose agents see or do other things"):
        covey.train("iddpg", "toy/graph", settings=TINY | {"prior": "first"}, **QUICK)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"prior": "optimum"}, "did you mean 'optimal'"),
        ({"prior": "optimal", "prior.alpha": -1.0}, "start"),
        ({"prior": "optimal", "prior.blend": 1.5}, "start"),
        ({"prior": "optimal", "prior.episodes": 2.0}, "`episodes`"),
        ({"prior.name": "optimal"}, "'prior.name'"),
    ],
)
def test_what_is_no_prior(settings, words, tmp_path):
    with pytest.raises(BadInput, match=words):
        covey.train("iddpg", "toy/continuous", settings=TINY | settings, out=tmp_path / "run", **QUICK)
    assert not (tmp_path / "run").exists()


def test_a_prior_for_some_of_the_agents_only():
    environment = toy.duel()
    left = dataclasses.replace(optimal(environment), groups=("left",))
    algorithm = ddpg.iddpg(environment.spec)
    with pytest.raises(BadInput, match="nobody guides \\['right'\\]"):
        dataclasses.replace(algorithm, prior=FusedPrior(name="left")).with_guides(lambda name: left)


def test_priors_inside_other_algorithms():
    """In self-play, and in a team of different algorithms."""
    environment = toy.duel()
    alone = {name: ddpg.iddpg(environment.spec, groups=(name,)) for name in ("left", "right")}
    named = {name: dataclasses.replace(x, prior=FusedPrior(name="optimal")) for name, x in alone.items()}
    found: Any = Mixed(named).with_guides(lambda name: optimal(environment))
    assert all(part.prior.policy is not None for part in found.parts)
    both: Any = SelfPlay(environment.spec, ("left", "right"), named["left"])
    assert both.with_guides(lambda name: optimal(environment)).inner.prior.policy is not None
    plain = Mixed(alone)
    assert plain.with_guides(lambda name: optimal(environment)) is plain


@pytest.mark.parametrize(("name", "guided"), [("none", False), ("optimal", True)])
def test_another_name_is_somebody_else(name, guided):
    """Whoever was looked up for the name before is forgotten, as where a file names one and a flag another."""
    environment = toy.continuous()
    before = dataclasses.replace(
        ddpg.iddpg(environment.spec), prior=FusedPrior(name="old", policy=optimal(environment))
    )
    after: Any = with_settings(before, {"prior": name}, "iddpg")
    assert after.prior.policy is None
    assert bool(after.prior) == guided
