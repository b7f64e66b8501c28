"""Mean actions worked out by hand, and the two rules against what they are equal to."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.algorithms.mean_field import ac, q
from covey.algorithms.mean_field.choosing import Boltzmann, EpsilonGreedy
from covey.algorithms.mean_field.field import Alone, Field
from covey.algorithms.mean_field.means import Dirichlet, Everybody, Exact, Near, number, unknown_mean
from covey.algorithms.mean_field.networks import Network, Shape, Tabular
from covey.core import loop
from covey.core.errors import BadInput
from covey.core.types import Box, Discrete, Group, Spec, Table, TimeStep
from covey.core.types import Field as Part
from covey.environments import make
from covey.learning.replay import Replay
from covey.learning.targets import constant
from covey.nn.heads import Parts

TWO = Spec(
    "two kinds",
    Table(
        {
            "cat": Group(("cat_0", "cat_1", "cat_2"), (Part("x"),), Discrete(2)),
            "dog": Group(("dog_0", "dog_1"), (Part("x"),), Discrete(3)),
        }
    ),
    neighborhood=2,
)
DONE = {"cat": jnp.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), "dog": jnp.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])}
"""cat_0 did 0, cat_1 did 1, cat_2 is dead; dog_0 did 2, dog_1 did 0."""


def seen(**changes: Any) -> TimeStep:
    shown = {
        "alive": {"cat": jnp.array([True, True, False]), "dog": jnp.ones(2, bool)},
        "neighbors": {
            # cat_0 is beside cat_1 and dog_0, cat_1 beside cat_0 alone, cat_2 beside cat_0 and cat_1
            "cat": (jnp.array([[1, 3], [0, 0], [0, 1]]), jnp.array([[True, True], [True, False], [True, True]])),
            # dog_0 is beside the dead cat_2 and dog_1, dog_1 beside nobody
            "dog": (jnp.array([[2, 4], [0, 0]]), jnp.array([[True, True], [False, False]])),
        },
    }
    return SimpleNamespace(**(shown | changes))  # type: ignore[return-value]


def mean_of(scope, name: str) -> np.ndarray:
    total, count = scope.sums(TWO, name, seen(), DONE)
    return np.asarray(Exact()((), total, count, jnp.zeros((len(total), 0)), jax.random.key(0))[0])


def test_the_mean_of_everybody_else():
    np.testing.assert_allclose(mean_of(Everybody(), "cat"), [[0, 1], [1, 0], [0.5, 0.5]], rtol=1e-6)


def test_the_mean_of_everybody():
    np.testing.assert_allclose(mean_of(Everybody(with_self=True), "cat"), [[0.5, 0.5]] * 3, rtol=1e-6)


def test_one_mean_for_each_kind():
    np.testing.assert_allclose(
        mean_of(Everybody(types="all"), "dog"), [[0.5, 0.5, 1, 0, 0], [0.5, 0.5, 0, 0, 1]], rtol=1e-6
    )


def test_the_mean_of_neighbors():
    """The dead count for nothing, other kinds neither; nobody's mean is zero."""
    np.testing.assert_allclose(mean_of(Near(), "cat"), [[0, 1], [1, 0], [0.5, 0.5]], rtol=1e-6)
    np.testing.assert_allclose(mean_of(Near(), "dog"), [[1, 0, 0], [0, 0, 0]], rtol=1e-6)
    np.testing.assert_allclose(mean_of(Near(with_self=True), "dog"), [[0.5, 0, 0.5], [1, 0, 0]], rtol=1e-6)


def test_neighbors_of_each_kind():
    np.testing.assert_allclose(mean_of(Near(types="all"), "cat")[0], [0, 1, 0, 0, 1], rtol=1e-6)
    np.testing.assert_allclose(mean_of(Near(types="all"), "dog")[0], [0, 0, 1, 0, 0], rtol=1e-6)


def test_a_belief_comes_to_what_was_seen():
    """3 and 1 seen, with a prior of 1 each: 4/6 and 2/6 on average over many draws."""
    belief = Dirichlet(draws=20_000)
    total = jnp.array([[3.0, 1.0]])
    mean, kept = belief((Discrete(2),), total, total.sum(1, keepdims=True), jnp.zeros((1, 2)), jax.random.key(0))
    np.testing.assert_allclose(mean, [[4 / 6, 2 / 6]], atol=0.01)
    np.testing.assert_allclose(kept, total, rtol=1e-6)
    _, later = dataclasses.replace(belief, keep=0.5)((Discrete(2),), total, total, kept, jax.random.key(0))
    np.testing.assert_allclose(later, 1.5 * total, rtol=1e-6)


def test_what_is_not_known_is_even():
    np.testing.assert_allclose(unknown_mean((Discrete(2), Box((0.0,), (1.0,)))), [0.5, 0.5, 0.0], rtol=1e-6)
    assert float(number(Discrete(5), jnp.array([0, 0, 0, 0.5, 0.5]))) == pytest.approx(3.5 / 4)


# ---------------------------------------------------------------------------------------------------------------------
# Choosing


def test_boltzmann_and_epsilon_greedy_as_computed():
    parts, legal = Parts((3,)), jnp.array([True, True, False])
    values = jnp.array([1.0, 0.0, 9.0])
    soft = Boltzmann(constant(0.5)).chances(parts, values, legal, 0)
    np.testing.assert_allclose(soft, [np.exp(2) / (1 + np.exp(2)), 1 / (1 + np.exp(2)), 0], rtol=1e-6)
    np.testing.assert_allclose(EpsilonGreedy(constant(0.2)).chances(parts, values, legal, 0), [0.9, 0.1, 0], rtol=1e-6)


@pytest.mark.parametrize("choosing", [Boltzmann(constant(0.7)), EpsilonGreedy(constant(0.4))])
def test_draws_have_these_chances(choosing):
    parts, values = Parts((3,)), jnp.array([1.0, 0.0, 0.5])
    legal = jnp.ones((20_000, 3), bool)
    drawn = choosing.draw(parts, jnp.tile(values, (20_000, 1)), legal, jax.random.key(0), 0)
    np.testing.assert_allclose(drawn.mean(0), choosing.chances(parts, values, legal[0], 0), atol=0.015)


def test_a_group_may_throw_one_coin():
    choosing, parts = EpsilonGreedy(constant(0.5), together=True), Parts((2,))
    values, legal = jnp.tile(jnp.array([1.0, 0.0]), (40, 1)), jnp.ones((40, 2), bool)
    drawn = [choosing.draw(parts, values, legal, jax.random.key(k), 0)[:, 1].mean() for k in range(40)]
    best = sum(float(x) == 0.0 for x in drawn)
    assert 8 < best < 32  # all do what is best, or everybody anything
    assert all(float(x) == 0.0 or 0.1 < float(x) < 0.9 for x in drawn)


# ---------------------------------------------------------------------------------------------------------------------
# Functions


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (False, [[[0.0, 2.5], [1.0, 0.0]]]),  # the first choice at level 1 is met twice, with targets 1 and 3
        (True, [[[0.0, 2.5], [0.5, 0.0]], [[0.0, 0.0], [1.5, 0.0]]]),  # or once by each agent
    ],
)
def test_a_table_goes_to_the_mean_of_the_targets_of_each_entry(own, expected):
    """Two agents, two levels, two joint steps: the first is at level 1, the second at 0, where one does not count."""
    table, shape = Tabular(levels=2, own=own, lr=0.5), Shape(Group(("a", "b"), (Part("x"),), Discrete(2)), 2, 2)
    values = table.init(jax.random.key(0), shape)
    mean = jnp.array([[[0.0, 1.0], [0.1, 0.9]], [[1.0, 0.0], [0.9, 0.1]]])  # [B, n, M]
    taken = jnp.array([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]]])
    target, weight = jnp.array([[1.0, 3.0], [5.0, 7.0]]), jnp.array([[1.0, 1.0], [1.0, 0.0]])

    def loss(values):
        said = (jax.vmap(lambda mean: table(shape, values, None, mean))(mean) * taken).sum(-1)
        return table.loss(shape, (target - said) ** 2, mean, taken, weight)

    change, _ = table.optimizer.update(jax.grad(loss)(values), table.optimizer.init(values))
    np.testing.assert_allclose(jax.tree.map(jnp.add, values, change), expected, rtol=1e-6)


def test_pictures_and_the_rest_of_an_observation_meet():
    group = Group(("a", "b"), (Part("view", (6, 6, 2)), Part("speed", (3,))), Discrete(4))
    for view in ("dense", "conv", "residual"):
        network, shape = Network(width=8, view=view), Shape(group, 5, 4)
        parameters = network.init(jax.random.key(0), shape)
        obs, mean = jax.random.normal(jax.random.key(1), (2, 75)), jax.random.uniform(jax.random.key(2), (2, 5))

        def of(obs, mean, network=network, shape=shape, parameters=parameters):
            return network(shape, parameters, group.fields_of(obs), mean)

        out = of(obs, mean)
        assert out.shape == (2, 4)
        for changed in (obs.at[0, 0].add(1.0), obs.at[0, 73].add(1.0)):
            assert not np.allclose(out[0], of(changed, mean)[0])
        assert not np.allclose(out[1], of(obs, mean.at[1, 0].add(1.0))[1])


# ---------------------------------------------------------------------------------------------------------------------
# The rules


def test_renumbering_agents_renumbers_what_they_do():
    """Agents are told apart by what they see alone: values of a group in another order are the same values."""
    world = make("squeeze", agents=6, domains=3)
    rule = q.mfq(world.spec)
    state = rule.init(jax.random.key(0), 1)
    _, now = world.reset(jax.random.key(1))
    mean = {"agent": jax.random.uniform(jax.random.key(2), (6, 10))}
    order = jnp.array([3, 1, 5, 0, 2, 4])
    values = rule.valued(state.nets.online, now, mean)["agent"]
    turned = now._replace(obs={"agent": now.obs["agent"][order]})
    np.testing.assert_allclose(
        rule.valued(state.nets.online, turned, {"agent": mean["agent"][order]})["agent"], values[order], rtol=1e-5
    )


def test_foresight_settles_where_policies_answer_themselves():
    """Two choices, of which each is worth more the rarer it is: in the end both are as frequent."""
    field = Field(Everybody(with_self=True), iterations=200)
    world = make("squeeze", agents=4)
    spec = world.spec._replace(groups=Table({"agent": world.spec.groups["agent"]._replace(action=Discrete(2))}))
    _, now = world.reset(jax.random.key(0))

    def respond(mean):
        return {"agent": jax.nn.softmax(-20.0 * mean["agent"])}  # steeper than what plain iteration can bear

    mean = field.foreseen(spec, now, {"agent": jnp.tile(jnp.array([0.9, 0.1]), (4, 1))}, respond)
    np.testing.assert_allclose(mean["agent"], 0.5, atol=0.02)


def small(rule: Any, **settings: Any) -> Any:
    if isinstance(rule, q.MeanFieldQ):
        settings |= {"replay": Replay(capacity=64, batch=4), "warmup": 0, "horizon": 2}
    return dataclasses.replace(rule, **settings)


@pytest.mark.slow
def test_learning_from_memory_is_learning_from_what_was_there():
    """The mean actions in a replay are those that agents believed in and that came about."""
    world = make("ising", size=3, time_limit=6)
    rule = small(q.mfq(world.spec))
    keys = jax.vmap(jax.random.key)(jnp.arange(1))
    run = jax.jit(lambda keys: loop.start(world, rule, keys, 2))(keys)
    buffer = []
    for _ in range(4):
        run, _ = loop.compiled(world, rule)(run, 1)
    buffer = jax.tree.map(lambda x: np.asarray(x)[0], run.agent.buffer.steps)  # [C, E, ...]
    index, _ = jax.tree.map(np.asarray, world.reset(jax.random.key(0))[1].neighbors["spin"])
    for t in range(8):
        for lane in range(2):
            up = buffer.action["spin"][t, lane]
            happened = np.stack([1 - up[index].mean(1), up[index].mean(1)], 1)
            np.testing.assert_allclose(buffer.extra.happened["spin"][t, lane], happened, atol=1e-6)
            begins = t == 0 or buffer.last[t - 1, lane]
            before = np.full((9, 2), 0.5) if begins else buffer.extra.happened["spin"][t - 1, lane]
            np.testing.assert_allclose(buffer.extra.believed["spin"][t, lane], before, atol=1e-6)


def test_a_spin_learns_what_agreeing_is_worth():
    """Values about the same joint action go to what r says: Σ of neighbors times the own spin over 2."""
    world = make("ising", size=4, time_limit=3000)
    rule = q.mfq(world.spec, preset="table")
    keys = jax.vmap(jax.random.key)(jnp.arange(1))
    run = jax.jit(lambda keys: loop.start(world, rule, keys, 4))(keys)
    run, _ = loop.compiled(world, rule)(run, 3000)
    table = np.median(np.asarray(run.agent.nets.online["spin"])[0], 0)
    np.testing.assert_allclose(table, [[2, -2], [1, -1], [0, 0], [-1, 1], [-2, 2]], atol=0.05)


def test_without_a_mean_nothing_is_remembered():
    world = make("toy/discrete")
    for rule in (q.iql(world.spec), ac.ac(world.spec)):
        assert isinstance(rule.field, Alone)
        assert all(x.size == 0 for x in jax.tree.leaves(rule.memory(jax.random.key(0))))


def test_more_epochs_make_mf_ppo():
    spec = make("toy/discrete").spec
    assert dataclasses.replace(ac.mf_ppo(spec), epochs=1) == ac.mfac(spec)


@pytest.mark.parametrize("preset", ["tuned", "paper", "legacy"])
def test_no_preset_shows_actors_the_mean_action(preset):
    """Neither the printed policy gradient nor the authors' code does."""
    rule = ac.mfac(make("toy/discrete").spec, preset=preset)
    shapes = {name: rule.actor_shape(name) for name in rule.groups}
    assert all(shape.mean == 0 for shape in shapes.values())
    assert all(rule.critic_shape(name).mean > 0 for name in rule.groups)


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: q.mfq(make("toy/continuous").spec), "use 'mfac'"),
        (lambda: q.mfq(TWO, groups=("bird",)), "bird"),
        (lambda: q.MeanFieldQ(TWO, ("cat",), Field(Everybody(types="all"))), r"means of all groups need to know.*dog"),
        (lambda: q.MeanFieldQ(make("squeeze").spec, ("agent",), Field(Near())), "has no neighborhood"),
        (lambda: q.mfq(TWO, preset="best"), "preset 'best'"),
        (lambda: ac.mfac(TWO, preset="table"), "preset 'table'"),
        (lambda: Boltzmann(constant(0.0)), "start"),
        (lambda: ac.MeanFieldAC(make("toy/graph").spec, ("gate", "router"), critic="action"), "critic='value'"),
        (
            lambda: ac.MeanFieldAC(
                make("toy/continuous").spec, ("mover",), Field(estimate=Dirichlet()), critic="value"
            ),
            "a Box has none",
        ),
        (lambda: q.MeanFieldQ(TWO, ("dog",), Field(Everybody(types="all")), Tabular()), "means of all groups"),
        (lambda: Network(width=8, view="conv").init(jax.random.key(0), Shape(tiny(), 0, 2)), "5 x 5 at least"),
    ],
)
def test_refuses(build, says):
    with pytest.raises(BadInput, match=says):
        build()


def tiny() -> Group:
    return Group(("a",), (Part("view", (3, 3, 1)),), Discrete(2))
