"""Credit as a part of PPO: without it MAPPO, unbiased with it, and a model that learns what members bring."""

from __future__ import annotations

import dataclasses
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.algorithms import credit, ppo
from covey.core import loop
from covey.core.errors import BadInput
from covey.environments import make
from covey.learning.credit import Moments
from covey.learning.targets import constant
from covey.nn import mixers
from covey.nn.members import with_identity
from covey.testing.compare import difference

KEYS = jax.random.split(jax.random.key(0), 2)
KINDS = (credit.Baseline, credit.Trajectory, credit.Marginal, credit.Blend, credit.Coma, credit.Slope)
MIXERS = (mixers.Sum, mixers.Pair, mixers.Monotone, mixers.Free, mixers.Attention, mixers.Weighted)


def small(spec, kind, **settings):
    settings = {"width": 8, "horizon": 4, "epochs": 2, "minibatches": 2, "credit": kind} | settings
    return dataclasses.replace(ppo.credit_mappo(spec), **settings)


def played(world, algorithm, iterations=4, lanes=4):
    run = jax.jit(lambda keys: loop.start(world, algorithm, keys, lanes))(KEYS)
    return loop.compiled(world, algorithm)(run, iterations)


def test_without_credit_it_is_mappo():
    spec = make("matrix/anova").spec
    plain = dataclasses.replace(ppo.credit_mappo(spec), credit=credit.Team(), team_reward=False)
    assert eqx.tree_equal(plain, ppo.mappo(spec))


@functools.cache
def anova(kind):
    """What a few iterations with a kind of credit lead to."""
    world = make("matrix/anova")
    return played(world, small(world.spec, kind))[0]


@pytest.mark.slow
def test_a_baseline_that_is_not_relied_on_is_mappo():
    """The same numbers to the last bit to learn from (see below), in another program, which may round otherwise."""
    run, plain = anova(credit.Trajectory(eta=0.0, width=8)), anova(credit.Team())
    ours, theirs = ((x.agent.nets.actor, x.agent.nets.critic, x.now, x.score) for x in (run, plain))
    assert difference(ours, theirs, 1e-6) is None
    assert run.agent.credit
    assert not jax.tree.leaves(plain.agent.credit)


@pytest.mark.slow
def test_a_baseline_that_is_relied_on_is_not():
    run, plain = anova(credit.Baseline(eta=1.0, width=8)), anova(credit.Team())
    assert difference(run.agent.nets.actor, plain.agent.nets.actor)


@pytest.mark.slow
def test_the_first_writing_runs_and_learns_something():
    """`--credit seed`, where agents are paid apart and die."""
    world = make("toy/discrete")
    kind = credit.Seed(width=8, own=True, network=True)
    run, _ = played(world, small(world.spec, kind, minibatches=1, layers=1), iterations=2)
    assert all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(run.agent))
    with pytest.raises(BadInput, match="more of a member than its value"):
        credit.Seed(mixer=mixers.Pair())


def test_the_first_writing_by_hand():
    """A^i, the targets and the losses of one step of two agents, with the network's own word."""
    kind = credit.Seed(mixer=mixers.Sum(), width=4)
    model = kind.init(jax.random.key(0), 2, 3, 2)
    view, later = jax.random.normal(jax.random.key(1), (2, 1, 1, 2, 3))
    taken = jnp.eye(2)[None, None]
    shown = credit.Shown(view, credit.Choices(taken, None, None), jnp.ones((1, 1, 2), bool))
    one = jnp.ones((1, 1))
    facts = credit.Facts(
        reward=jnp.array([[[3.0, 3.0]]]),
        advantage=None,
        gain=jnp.full((1, 1, 2), 2.0),
        value=5.0 * one,
        later=later,
        discount=one,
        last=jnp.zeros((1, 1), bool),
        unit=2.0,
        gamma=0.9,
        lam=1.0,
    )
    psi, (joint, own), _, _ = kind.assigned(model, Moments.none(), shown, facts, jax.random.key(0))
    now, then, q = kind.values(model, view), kind.values(model, later), kind.worth(model, view, taken)
    np.testing.assert_allclose(psi, 2.0 * (3.0 / 2 / 2 + 0.9 * then - now), rtol=1e-5)
    np.testing.assert_allclose(joint, 7.0, rtol=1e-6)
    np.testing.assert_allclose(own, 2.0 * (3.0 / 2 / 2 + 0.9 * then), rtol=1e-5)
    lesson = jax.tree.map(lambda x: x[0], shown._replace(aim=(joint / 2.0, own / 2.0)))
    loss, _ = kind.loss(model, lesson)
    expected = (3.5 - q.sum()) ** 2 + ((3.5 - now) ** 2 + (own / 2.0 - q) ** 2).mean()
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.learn
def test_a_world_with_deaths():
    world = make("toy/discrete")
    run, metrics = played(world, small(world.spec, credit.Trajectory(width=8), minibatches=1, layers=1))
    assert all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(run.agent))
    assert {f"credit/{g}/explained" for g in ("a", "b")} <= set(metrics)
    assert all(bool((x >= 0).all() and (x <= 1).all()) for x in (metrics[f"credit/{g}/reliance"] for g in ("a", "b")))


@pytest.mark.parametrize(
    ("mixer", "kind"),
    [*((mixer, credit.Shapley) for mixer in MIXERS), *((mixers.Sum, kind) for kind in KINDS)],
    ids=lambda part: part.__name__,
)
def test_every_mixer_gives_every_member_something(mixer, kind):
    """One rollout of three members with five choices, of which one is dead in the first step."""
    steps, lanes, n, choices = 3, 2, 3, 5
    kind = kind(mixer=mixer(), width=8, samples=2)
    keys = jax.random.split(jax.random.key(0), 4)
    model = kind.init(keys[0], n, 4, choices)
    taken = jax.nn.one_hot(jax.random.randint(keys[1], (steps, lanes, n), 0, choices), choices)
    instead = jnp.broadcast_to(jnp.eye(choices), (steps, lanes, n, choices, choices))
    weight = jnp.full((steps, lanes, n, choices), 1 / choices)
    view = jax.random.normal(keys[2], (steps, lanes, n, 4))
    alive = jnp.ones((steps, lanes, n), bool).at[0, 0, 0].set(False)
    aim = jax.random.normal(keys[3], (steps, lanes))
    shown = credit.Shown(view, credit.Choices(taken, instead, weight), alive)
    none = jnp.zeros((steps, lanes))
    trust = Moments(jnp.float32(1e6), jnp.float32(1e6))  # it always paid
    advantage = aim[..., None] * alive
    facts = credit.Facts(
        advantage,
        advantage,
        2.0 * jnp.broadcast_to(aim[..., None], alive.shape),
        none,
        view,
        none + 1,
        none.astype(bool),
        2.0,
        0.9,
        1.0,
    )
    psi, found, trust, told = jax.jit(lambda model: kind.assigned(model, trust, shown, facts, keys[0]))(model)
    saved = 1.0 - np.var(np.asarray(psi)[alive]) / np.var(np.asarray(advantage)[alive])
    assert float(told["saved"]) == pytest.approx(saved, abs=1e-4)
    np.testing.assert_allclose(found[..., 0], 2.0 * (aim - aim.mean()), atol=1e-5)
    assert psi.shape == (steps, lanes, n)
    assert jnp.isfinite(psi).all()
    assert psi.std() > 0
    assert trust.along < 1e6
    if isinstance(kind, credit.Baseline) and not isinstance(kind, credit.Blend):
        unmoved, *_ = dataclasses.replace(kind, eta=0.0).assigned(model, trust, shown, facts, keys[0])
        np.testing.assert_array_equal(unmoved, advantage)
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), shown._replace(aim=found))
    gradient = jax.jit(jax.grad(lambda model: kind.loss(model, flat)[0]))(model)
    assert all(bool((x != 0).any()) for x in jax.tree.leaves(gradient._replace(mix=())))


def told(algorithm, world, run, lanes=64):
    """The model's word on one fresh step of the first seed, and the joint actions."""
    one = jax.tree.map(lambda x: x[:1], run._replace(step=()))._replace(step=run.step)
    _, rollout, _ = loop.collect(world, algorithm, one, KEYS[:1], 4)
    rollout = jax.tree.map(lambda x: x[:, 0], rollout)
    agent = jax.tree.map(lambda x: x[0], one.agent)
    ready = jax.jit(algorithm.prepare)(agent, rollout, jax.random.key(0))
    data, lessons = ready.data, ready.lessons
    (name,) = data
    view, alive = (jnp.moveaxis(x[:, 0], 1, 0) for x in (data[name].view, data[name].alive))  # in one sequence a lane
    word = jax.vmap(lambda v, c, a: algorithm.credit.told(agent.credit.model[name], v, c, a)._replace(mix=()))
    steps = with_identity(view), lessons[name].choices, alive
    view, choices, alive = (jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), part) for part in steps)
    return word(view, choices, alive), choices


def test_streams_of_rewards_add_up_to_the_team():
    """What agents learn from is the mean of all streams' advantages, and the model is fitted to each stream alone."""
    world = make("particle/spread", time_limit=4)
    settings = {"team_reward": False, "credit": credit.Baseline(eta=0.0, width=8, streams=True)}
    algorithm = small(world.spec, settings.pop("credit"), **settings)
    run = jax.jit(lambda keys: loop.start(world, algorithm, keys, 4))(KEYS[:1])
    _, rollout, _ = loop.collect(world, algorithm, run, KEYS[:1], 4)
    agent, rollout = jax.tree.map(lambda x: x[0], run.agent), jax.tree.map(lambda x: x[:, 0], rollout)
    ready = jax.jit(algorithm.prepare)(agent, rollout, KEYS[0])
    plain = dataclasses.replace(algorithm, credit=credit.Team())
    own = jax.jit(plain.prepare)(agent, rollout, KEYS[0]).data["agent"].advantage
    aim, advantage = ready.lessons["agent"].aim, ready.data["agent"].advantage
    assert aim.shape == (4, 4, 3)
    assert float(jnp.abs(aim[..., 0] - aim[..., 1]).max()) > 0
    np.testing.assert_array_equal(advantage[..., 0], advantage[..., 1])  # η = 0: the team's, for everybody
    assert float(jnp.abs(own[..., 0] - own[..., 1]).max()) > 0
    model = agent.credit.model["agent"]
    assert model.leave.shape[0] == 3
    with pytest.raises(BadInput, match="turn one off"):
        dataclasses.replace(algorithm, team_reward=True)


def test_what_members_bring_is_centered_and_the_dead_bring_nothing():
    kind = credit.Baseline(mixer=mixers.Pair(), width=8)
    model = kind.init(jax.random.key(0), 2, 5, 3)
    weight = jax.nn.softmax(jax.random.normal(jax.random.key(1), (2, 3)))
    choices = credit.Choices(jnp.eye(3)[:2], jnp.broadcast_to(jnp.eye(3), (2, 3, 3)), weight)
    view = jax.random.normal(jax.random.key(2), (2, 5))
    taken, instead = kind.brought(model, view, choices, jnp.array([True, False]))
    np.testing.assert_allclose((weight[..., None] * instead).sum(1), 0, atol=1e-6)
    np.testing.assert_allclose(taken[0], instead[0, 0], rtol=1e-5, atol=1e-6)
    assert not taken[1].any()
    assert not instead[1].any()
    few = kind.brought(model, view, choices._replace(instead=None), jnp.array([True, False]))
    for one, other in zip(few, (taken, instead), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.learn
def test_the_model_finds_what_players_bring():
    """In an additive game M has to become the sum of what each choice earns beyond the mean."""
    world = make("matrix/additive", players=4, choices=3, noise=0.0)
    algorithm = dataclasses.replace(
        ppo.credit_mappo(world.spec),
        width=8,
        horizon=4,
        epochs=2,
        actor_lr=constant(0.0),
        credit=credit.Baseline(width=32, lr=1e-2, decay=0.0),
    )
    run, _ = played(world, algorithm, iterations=200, lanes=16)
    word, choices = told(algorithm, world, run)
    chosen = choices.taken.argmax(-1)
    payoff = np.asarray(world.payoff)
    bring = payoff[np.arange(4), chosen] - payoff.mean(1)  # in units of the returns' deviation, which is 1
    found = np.asarray(word.taken[..., 0])
    assert np.corrcoef(found.ravel(), bring.ravel())[0, 1] > 0.95
    others = bring.sum(1, keepdims=True) - bring
    assert np.corrcoef(np.asarray(word.others).ravel(), others.ravel())[0, 1] > 0.95


def test_refuses():
    with pytest.raises(BadInput, match="samples"):
        credit.Baseline(samples=0)
    with pytest.raises(BadInput, match="kappa"):
        credit.Blend(kappa=2.0)
    with pytest.raises(BadInput, match="eta"):
        credit.Baseline(eta=-1.0)
