"""The toy worlds: their arrays, their rules worked by hand, and their optima."""

from __future__ import annotations

import inspect
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.core.environment import Environment
from covey.core.errors import BadInput
from covey.core.types import Box, Groups, TimeStep, action_size
from covey.environments import toy
from covey.environments.toy import line, movers, signals

MAKERS = {"discrete": toy.discrete, "continuous": toy.continuous, "graph": toy.graph}
EPISODES = 1000


def anything(now: TimeStep, key: jax.Array) -> Groups:
    """Uniformly random legal actions in any of the toy worlds."""
    draw = jax.random.uniform(key, (20,))
    if "mover" in now.obs:
        return {"mover": 2.0 * draw[:6].reshape(3, 2) - 1.0}
    (first, second), cut = now.legal, next(iter(now.legal.values())).size
    weight = {first: draw[:cut], second: draw[cut : cut + now.legal[second].size]}
    weight = {name: x.reshape(now.legal[name].shape) * now.legal[name] for name, x in weight.items()}
    if "a" in now.obs:
        return {name: x.argmax(axis=-1).astype(jnp.int32) for name, x in weight.items()}
    return {name: line._scaled(x, line._PARTS[name]) for name, x in weight.items()}


class Episodes(NamedTuple):
    """What happened in `EPISODES` episodes, [E, T]; `going` is False where an episode was already over."""

    key: Any
    state: Any
    now: TimeStep
    action: Groups
    after: Any
    then: TimeStep
    going: Any

    def returns(self, group):
        return (self.then.reward[group] * self.going[..., None]).sum(axis=1).mean(axis=1)  # [E]


@cache
def play(name):
    """Episodes of the rules `optimal` and `anything` in a toy world."""
    env = MAKERS[name]()
    rules = (env.rules()["optimal"]().rule, anything)

    def one(which, key):
        k_reset, k_play = jax.random.split(key)

        def tick(carry, key):
            state, now, going = carry
            k_act, k_step = jax.random.split(key)
            action = jax.lax.switch(which, [lambda now, key, f=f: f(now, key) for f in rules], now, k_act)
            after, then = env.step(k_step, state, action)
            return (after, then, going & ~then.last), Episodes(
                jax.random.key_data(k_step), state, now, action, after, then, going
            )

        begun = (*env.reset(k_reset), jnp.bool_(True))
        return jax.lax.scan(tick, begun, jax.random.split(k_play, env.time_limit))[1]

    keys = jax.random.split(jax.random.key(0), EPISODES)
    many = jax.jit(jax.vmap(one, (None, 0)))
    return {rule: jax.tree.map(np.asarray, many(i, keys)) for i, rule in enumerate(("optimal", "anything"))}


@cache
def step_of(name):
    return jax.jit(MAKERS[name]().step)


@pytest.mark.parametrize("name", MAKERS)
def test_arrays_are_what_the_spec_says(name):
    env, key = MAKERS[name](), jax.random.key(0)
    assert isinstance(env, Environment)
    assert hash(env.spec) == hash(MAKERS[name]().spec)
    state, now = jax.eval_shape(env.reset, key)
    after, then = jax.eval_shape(env.step, key, state, jax.eval_shape(anything, now, key))
    describe = partial(jax.tree.map, lambda x: (x.shape, x.dtype.name))
    assert describe((state, now)) == describe((after, then))
    assert describe(then.last) == ((), "bool")
    for group, kind in env.spec.groups.items():
        n = kind.size
        assert describe(then.obs[group]) == describe(kind.blank())
        assert describe((then.reward[group], then.discount[group])) == (((n,), "float32"),) * 2
        assert describe(then.alive[group]) == ((n,), "bool")
        assert bool(then.legal) != isinstance(kind.action, Box)
        if then.legal:
            assert describe(then.legal[group]) == ((n, action_size(kind.action)), "bool")
        if env.spec.neighborhood:
            assert describe(then.neighbors[group]) == (((n, 2), "int32"), ((n, 2), "bool"))
    if env.spec.state:
        assert describe(then.state) == ((sum(field.size for field in env.spec.state),), "float32")
    assert set(describe(jax.eval_shape(env.measure, after)).values()) == {((), "float32")}


@pytest.mark.parametrize("name", MAKERS)
def test_padding_is_zero_and_agents_differ(name):
    spec, seen = MAKERS[name]().spec, play(name)["anything"].now.obs
    for group, kind in spec.groups.items():
        valid = kind.obs_valid()
        if valid is not None:
            assert not seen[group][..., ~valid].any()
            assert (seen[group] != 0).any(axis=(0, 1))[valid].all()
    assert any(kind.obs_valid() is not None for kind in spec.groups.values()) == (name != "continuous")


@pytest.mark.parametrize("name", MAKERS)
def test_a_step_agrees_with_the_same_step_among_others(name):
    episodes = play(name)["anything"]
    for t in (0, 4):
        step = jax.tree.map(lambda x, t=t: x[3, t], episodes)
        after, then = step_of(name)(jax.random.wrap_key_data(step.key), step.state, step.action)
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-6), (after, then), (step.after, step.then))


@pytest.mark.parametrize("name", MAKERS)
def test_fixed_worlds_ignore_the_key(name):
    env = MAKERS[name](fixed=True)

    @jax.jit
    def two_steps(keys):
        state, now = env.reset(keys[0])
        state, then = env.step(keys[1], state, env.rules()["optimal"]().rule(now, None))
        return now, then, state

    first, second = (two_steps(jax.random.split(jax.random.key(seed))) for seed in (0, 1))
    jax.tree.map(np.testing.assert_array_equal, first, second)


@pytest.mark.parametrize("name", MAKERS)
def test_the_optimal_rule_earns_the_optimum_and_chance_earns_less(name):
    env = MAKERS[name]()
    best, group = env.reference(), next(iter(env.spec.groups))
    assert (best.kind, best.algorithm) == ("optimum", "optimal")
    earned, by_chance = (play(name)[rule].returns(group) for rule in ("optimal", "anything"))
    if name == "continuous":
        assert best.value == pytest.approx(-1 / 12)
        assert abs(earned.mean() - best.value) < 4 * earned.std() / np.sqrt(EPISODES)
    else:
        np.testing.assert_allclose(earned, best.value, rtol=1e-6)
    assert by_chance.mean() < best.value - 1.0


@pytest.mark.parametrize(("name", "early"), [("discrete", True), ("continuous", False), ("graph", True)])
def test_both_endings_occur(name, early):
    episodes = play(name)["anything"]
    last = episodes.then.last & episodes.going
    future = np.concatenate(list(episodes.then.discount.values()), axis=-1).any(axis=-1)
    assert (last & ~future).any() == early
    assert (last & future).any()
    assert (last & future)[:, :-1].sum() == 0  # only the time limit leaves a future
    np.testing.assert_array_equal(last.sum(axis=1), 1)


def test_the_dead_see_earn_and_become_nothing():
    episodes = play("discrete")["anything"]
    now, then = (jax.tree.map(lambda x: x[episodes.going], x) for x in (episodes.now, episodes.then))
    for group in ("a", "b"):
        dead = ~now.alive[group]
        assert dead.any()
        assert (~dead).any()
        assert not now.obs[group][dead].any()
        assert not then.reward[group][dead].any()
        assert not then.alive[group][dead].any()
        assert not then.discount[group][~then.alive[group]].any()
        assert now.legal[group].any(axis=-1).all()


def discrete_state(clock=0):
    """Signals 0, 2 and 1; a_0 may also walk into the trap, a_1 also rest, b_0 also into the trap."""
    return signals.Signals(
        clock=jnp.int32(clock),
        alive={"a": jnp.ones(2, bool), "b": jnp.ones(1, bool)},
        signal={"a": jnp.array([0, 2]), "b": jnp.array([1])},
        legal={"a": jnp.array([[True, True, False], [False, True, True]]), "b": jnp.array([[True, True]])},
        right={"a": jnp.zeros(2, bool), "b": jnp.zeros(1, bool)},
    )


@pytest.mark.parametrize(
    ("actions", "rewards", "alive", "over"),
    [
        (([0, 2], [1]), ([1.5, 1.5], [1.0]), ([True, True], [True]), False),  # all follow their signals
        (([0, 2], [0]), ([1.0, 1.0], [0.0]), ([True, True], [False]), False),  # b_0 is trapped: no bonus
        (([1, 2], [1]), ([0.0, 1.5], [1.0]), ([False, True], [True]), False),  # a_0 is trapped
        (([0, 1], [1]), ([1.5, 0.0], [1.0]), ([True, True], [True]), False),  # a_1 rests
        (([2, 2], [1]), ([0.0, 1.5], [1.0]), ([False, True], [True]), False),  # a_0 rests, which is illegal
        (([1, 0], [1]), ([0.0, 0.0], [1.0]), ([False, False], [True]), True),  # nobody of a is left
    ],
)
def test_discrete_by_hand(actions, rewards, alive, over):
    action = {"a": jnp.array(actions[0], jnp.int32), "b": jnp.array(actions[1], jnp.int32)}
    state, then = step_of("discrete")(jax.random.key(1), discrete_state(), action)
    for group, reward, living in zip(("a", "b"), rewards, alive, strict=True):
        np.testing.assert_array_equal(then.reward[group], reward)
        np.testing.assert_array_equal(then.alive[group], living)
        np.testing.assert_array_equal(then.discount[group], np.array(living) & (not over))
    assert bool(then.last) == over
    assert float(toy.discrete().measure(state)["alive"]) == pytest.approx(np.mean(alive[0] + alive[1]))


def test_discrete_sight():
    action = {"a": jnp.array([0, 2], jnp.int32), "b": jnp.array([0], jnp.int32)}
    _, then = step_of("discrete")(jax.random.key(1), discrete_state(clock=7), action)
    np.testing.assert_array_equal(then.obs["a"][:, 3:], [[1, 0, 0], [1, 0, 0]])  # b_0 is dead
    np.testing.assert_array_equal(then.obs["a"][:, :3].sum(axis=1), 1)
    np.testing.assert_array_equal(then.state[-3:], [1, 1, 0])
    assert bool(then.last)
    np.testing.assert_array_equal(then.discount["a"], 1)  # a time limit is no death


def test_continuous_by_hand():
    state = movers.Movers(jnp.int32(0), jnp.array([[0.0, 0.0], [1.0, 0.0], [2.0, 3.0]]), jnp.array([2.0, 1.0]))
    state, then = step_of("continuous")(
        jax.random.key(0), state, {"mover": jnp.array([[1.0, 0.0], [0.5, -1.0], [9.0, 0.0]])}
    )
    np.testing.assert_allclose(state.position, [[0.5, 0.0], [1.25, -0.5], [2.5, 3.0]], rtol=1e-6)
    centroid = np.array([4.25 / 3, 2.5 / 3])
    np.testing.assert_allclose(then.reward["mover"], -np.square([2, 1] - centroid).sum(), rtol=1e-6)
    np.testing.assert_allclose(then.obs["mover"][0], [*([2, 1] - centroid), *([0.5, 0.0] - centroid)], rtol=1e-6)


def test_graph_by_hand():
    first = [0.2, 0.2, 0.6]
    wanted = {"gate": jnp.array([[0.5, 0.5]]), "router": jnp.array([[*first, 0.5, 0.5]] * 2 + [[*first, 0, 0]])}
    legal = {"gate": jnp.ones((1, 2), bool), "router": jnp.ones((3, 5), bool).at[2, 3:].set(False)}
    state = line.Demands(jnp.int32(0), wanted, legal, jnp.zeros(4))
    action = {"gate": jnp.array([[1.0, 0.0]]), "router": wanted["router"].at[2, 3].set(1.0)}
    after, then = step_of("graph")(jax.random.key(1), state, action)
    np.testing.assert_allclose(after.mismatch, [0.5, 0, 0, 0], atol=1e-6)  # 0.5² + 0.5²; the illegal share is dropped
    np.testing.assert_allclose(then.reward["gate"], [1 - 0.5 / 2], atol=1e-6)
    np.testing.assert_allclose(then.reward["router"], [1 - 0.5 / 3, 1, 1], atol=1e-6)
    assert not bool(then.last)

    action["router"] = wanted["router"].at[2].set(jnp.array([1.0, 0.0, 0.0, 0.0, 0.0]))
    after, then = step_of("graph")(jax.random.key(1), state, action)
    np.testing.assert_allclose(after.mismatch[3], 0.64 + 0.04 + 0.36, rtol=1e-6)  # beyond 0.8: an overload
    assert bool(then.last)
    assert not then.discount["gate"].any()
    assert not then.discount["router"].any()


def test_graph_splits_and_neighbors():
    now = play("graph")["anything"].now
    seen, legal = now.obs["router"], now.legal["router"]
    np.testing.assert_allclose(seen[..., :3].sum(axis=-1), 1, rtol=1e-6)
    np.testing.assert_allclose(seen[..., 3:].sum(axis=-1)[..., :2], 1, rtol=1e-6)
    assert not seen[~legal].any()
    assert 0.3 < legal[..., 2].mean() < 0.7
    index, mask = (np.concatenate([now.neighbors[g][i][0, 0] for g in ("gate", "router")]) for i in (0, 1))
    listed = {(i, int(j)) for i in range(4) for j in index[i][mask[i]]}
    assert listed == {(0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (3, 2)}


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (toy.discrete, {"time_limit": 0}),
        (toy.discrete, {"bonus": -1.0}),
        (toy.continuous, {"stride": 0.0}),
        (toy.graph, {"tolerance": 0.0}),
        (toy.graph, {"time_limit": -3}),
    ],
)
def test_impossible_options_are_refused_in_one_sentence(make, options):
    with pytest.raises(BadInput) as refusal:
        make(**options)
    assert str(refusal.value).count("\n") == 0


@pytest.mark.parametrize("make", MAKERS.values())
def test_every_option_has_help(make):
    assert all(f"{name}: " in make.__doc__ for name in inspect.signature(make).parameters)
