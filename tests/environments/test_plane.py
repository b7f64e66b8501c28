"""What the worlds in the plane share: arrays as specified, bounds that hold, motion, and pictures."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest

from covey import algorithms
from covey.core.environment import Environment
from covey.environments import plane
from covey.environments.navigation import navigation
from covey.environments.pursuit import pursuit

matplotlib.use("Agg")

WORLDS = {
    "navigation": navigation(),
    "uneven navigation": navigation(agents=2, landmarks=3, see_position=True),
    "lonely navigation": navigation(agents=1, landmarks=1),
    "pursuit": pursuit(),
    "short pursuit": pursuit(predators=2, radius=0.2, end_on_capture=True, see_position=True),
    "lonely pursuit": pursuit(predators=1),
}


def group_of(env):
    ((name, group),) = env.spec.groups.items()
    return name, group


@pytest.mark.parametrize("env", WORLDS.values(), ids=WORLDS)
def test_arrays_are_what_the_spec_says(env: Any):
    hash(env.spec)
    assert env.reference().algorithm in env.rules()
    name, group = group_of(env)
    key, action = jax.random.key(0), {name: jnp.zeros((group.size, 2))}
    state, now = jax.eval_shape(env.reset, key)
    after, then = jax.eval_shape(env.step, key, state, action)
    describe = partial(jax.tree.map, lambda x: (x.shape, x.dtype.name))
    assert describe((state, now)) == describe((after, then))
    assert describe(then.obs[name]) == describe(group.blank())
    assert describe((then.reward[name], then.discount[name])) == (((group.size,), "float32"),) * 2
    assert describe((then.alive[name], then.last)) == (((group.size,), "bool"), ((), "bool"))
    assert describe(then.state) == ((sum(field.size for field in env.spec.state),), "float32")
    assert set(describe(jax.eval_shape(env.measure, after)).values()) == {((), "float32")}
    assert isinstance(env, Environment)


@pytest.mark.parametrize("env", [WORLDS["navigation"], WORLDS["pursuit"]], ids=["navigation", "pursuit"])
def test_a_step_agrees_with_the_same_step_among_others(env: Any):
    @jax.jit
    def both(keys):
        states, nows = jax.vmap(env.reset)(keys)
        actions = jax.vmap(env.rules()["greedy-pursuit"]().rule)(nows, keys)
        one = jax.lax.optimization_barrier(jax.tree.map(lambda x: x[1], (states, actions)))
        return jax.vmap(env.step)(keys, states, actions), env.step(keys[1], *one)

    mapped, one = both(jax.random.split(jax.random.key(0), 3))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[1], b, rtol=1e-5, atol=1e-5), mapped, one)


def test_motion_by_hand():
    velocity = jnp.array([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0], [-9.0, 0.0]])
    np.testing.assert_allclose(plane.limited(velocity, 1.0), [[0.6, 0.8], [0.3, 0.4], [0, 0], [-1, 0]], rtol=1e-6)
    position, made = plane.moved(jnp.array([[9.9, 0.5]]), jnp.array([[0.6, -0.8]]), 1.0, 10.0)
    np.testing.assert_allclose(position, [[10.0, 0.0]], rtol=1e-6)  # stopped by two walls
    np.testing.assert_allclose(made, [[0.1, -0.5]], rtol=1e-5)
    np.testing.assert_allclose(plane.reflected(jnp.array([-0.2, 10.1]), 10.0), [0.2, 9.9], rtol=1e-6)


def test_sight_by_hand():
    position, velocity = jnp.array([[1.0, 1.0], [4.0, 5.0]]), jnp.array([[0.5, 0.0], [0.0, -0.5]])
    target, target_velocity = jnp.array([[1.0, 6.0]]), jnp.array([[0.0, 0.5]])
    see = partial(plane.sight, position, velocity, target, target_velocity, speed=0.5, size=10.0, see_position=True)
    first = [1, 0, 0, 0.5, -1, 1, 0.3, 0.4, -1, -1, -0.4, -0.4]
    second = [0, -1, -0.3, 0.1, 0, 2, -0.3, -0.4, 1, 1, -0.1, 0.0]
    np.testing.assert_allclose(see(unit=10.0), [first, second], atol=1e-6)
    lengths = np.array([0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1])
    finer = np.where(lengths, 4 * np.array([first, second]), [first, second])
    np.testing.assert_allclose(see(unit=2.5), finer, atol=1e-6)


@pytest.mark.parametrize("make", [navigation, pursuit])
def test_rules_do_not_depend_on_the_unit_of_sight(make):
    worlds = make(), make(unit=1.0)
    assert [world.spec.groups[name].obs[1].unit for world in worlds for name in world.spec.groups] == [
        "10 plane units",
        "1 plane units",
    ]
    for name in worlds[0].rules():
        first, second = (
            algorithms.make(name, world).act((), (), world.reset(jax.random.key(3))[1], None, 0, explore=False)[0]
            for world in worlds
        )
        jax.tree.map(partial(np.testing.assert_allclose, atol=1e-5), first, second)


@pytest.mark.parametrize("env", [WORLDS["uneven navigation"], WORLDS["pursuit"]], ids=["navigation", "pursuit"])
def test_frames_show_the_step_and_the_reward(env):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    name, group = group_of(env)
    state, now = jax.jit(env.reset)(jax.random.key(0))
    env.draw(axes, state, now)
    after, then = jax.jit(env.step)(jax.random.key(1), state, {name: jnp.full((group.size, 2), 0.1)})
    arrays = partial(jax.tree.map, np.asarray)
    env.draw(axes, arrays(after), arrays(then), {name: np.zeros((group.size, 2))}, [arrays(state)])
    figure.canvas.draw()
    written = {text.get_text() for text in axes.texts}
    assert {"step 1 of 25", *map(str, range(group.size))} <= written
    assert f"reward {float(then.reward[name][0]):.2f}".replace("-", "−") in written
    plt.close(figure)


@pytest.mark.parametrize("make", [navigation, pursuit])
def test_every_option_has_help(make):
    assert all(f"{name}: " in make.__doc__ for name in inspect.signature(make).parameters)
