"""`assembly`: forces and rewards by hand, and everything step for step against a slow reference with loops."""

from __future__ import annotations

import dataclasses
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import slow_assembly as slow

from covey.environments.assembly import assembly
from covey.environments.assembly.metrics import filling, measures
from covey.environments.assembly.physics import moved
from covey.environments.assembly.rewards import reward, shared
from covey.environments.assembly.sensing import View, closest, in_pieces, sense, thinned, views
from covey.environments.assembly.shapes import FAR, Region
from covey.testing import check_environment

ROBOTS, NEAREST, CELLS, RADIUS, REACH = 9, 3, 20, 0.1, 0.4
STEPS = 4


@cache
def small():
    return assembly(robots=ROBOTS, time_limit=STEPS, nearest=NEAREST, cells=CELLS, shapes=("star", "T"), tolerance=0.2)


@cache
def played():
    """The states, time steps and actions of two lanes of an episode: robots in a crowd, and moved to the region."""
    env = small()

    def one(key):
        k_reset, k_near, k_play = jax.random.split(key, 3)
        state, _ = env.reset(k_reset)
        crowd = state.center + 0.35 * jax.random.normal(k_near, (ROBOTS, 2))
        state = state._replace(position=crowd.at[1].set(crowd[0] + 0.03))  # two of them overlap

        def tick(state, key):
            action = {"robot": jax.random.uniform(key, (ROBOTS, 2), minval=-1.0)}
            after, then = env.step(key, state, action)
            return after, (state, action["robot"], after, then, env.measure(after))

        return jax.lax.scan(tick, state, jax.random.split(k_play, STEPS))[1]

    return jax.tree.map(np.asarray, jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(4), 2)))


def moments():
    """(state, action, state after, time step, measures) of every step of every lane."""
    found = played()
    for lane in range(2):
        for t in range(STEPS):
            yield jax.tree.map(lambda x, at=(lane, t): x[at], found)


def region_of(state) -> tuple[np.ndarray, float]:
    count = int(state.region.count)
    return state.region.cell[:count].astype(float), float(state.region.side)


def test_every_step_is_that_of_the_reference():
    thin = 0
    for before, action, after, then, _ in moments():
        position, velocity = slow.step(before.position.astype(float), before.velocity.astype(float), action)
        np.testing.assert_allclose(after.position, position, atol=1e-5)
        np.testing.assert_allclose(after.velocity, velocity, atol=1e-5)
        cell, side = region_of(after)
        known = cell, side, RADIUS, REACH
        p, v = after.position.astype(float), after.velocity.astype(float)
        for i in range(ROBOTS):
            expected = slow.observation(p, v, i, *known, NEAREST, CELLS)
            np.testing.assert_allclose(then.obs["robot"][i], expected, atol=1e-5)
            earned = slow.reward(p, i, *known, NEAREST, CELLS, 0.2, weighted=False)
            assert then.reward["robot"][i] == earned
            there = slow.near(p, i, REACH)[:NEAREST]
            index, mask = (x[i] for x in then.neighbors["robot"])
            assert index[mask].tolist() == there
            thin += len(slow.free(p, i, *known)) > CELLS
    assert thin > 10  # lists that were thinned


def test_states_hold_what_is_true_of_them():
    for _, _, after, then, _ in moments():
        known = small().spec.state
        ends = np.cumsum([field.size for field in known])
        left, position, velocity, kind, heading, center = np.split(then.state, ends[:-1])
        assert left == pytest.approx(1 - after.clock / STEPS)
        np.testing.assert_array_equal(position.reshape(-1, 2), after.position)
        np.testing.assert_array_equal(velocity.reshape(-1, 2), after.velocity)
        assert kind.tolist() == np.eye(2)[after.shape].tolist()
        cos, sin = heading
        own = small().bank.cell[after.shape][: after.region.count]
        turned = own @ np.array([[cos, sin], [-sin, cos]]) + center
        np.testing.assert_allclose(after.region.cell[: after.region.count], turned, atol=1e-5)
        assert np.abs(after.region.cell[after.region.count :]).max(1).min() > FAR / 2  # padding is out of sight
        assert bool(then.last) == (after.clock == STEPS)
        assert (then.discount["robot"] == 1).all()


def test_measures_by_brute_force():
    entered = 0
    for _, _, after, _, found in moments():
        cell, side = region_of(after)
        far = np.linalg.norm(cell[:, None] - after.position, axis=-1)
        apart = np.linalg.norm(after.position[:, None] - after.position, axis=-1) + 9 * np.eye(ROBOTS)
        covered = (far.min(1) < RADIUS).mean()
        bound = ROBOTS * np.pi * RADIUS**2 / (len(cell) * side**2)
        assert found["coverage"] == pytest.approx(covered, abs=1e-6)
        assert found["coverage_share"] == pytest.approx(covered / bound, abs=1e-5)
        assert covered <= bound * 1.2  # but for cells that lie half inside a disc
        owned = np.bincount(far.argmin(1), minlength=ROBOTS)
        assert found["unevenness"] == pytest.approx(owned.var(), rel=1e-4)
        assert found["entered"] == pytest.approx((far.min(0) < side * np.sqrt(0.5)).mean())
        assert found["collided"] == pytest.approx((apart.min(1) < 2 * RADIUS).mean())
        assert found["speed"] == pytest.approx(np.linalg.norm(after.velocity, axis=-1).mean(), rel=1e-5)
        assert found["touching"] == pytest.approx((apart.min(1) < 0.07).mean())
        code = (owned.var() - owned.min()) / (owned.max() - owned.min())
        if after.clock == STEPS:
            assert found["final_unevenness"] == found["unevenness"]
            assert found["final_unevenness_code"] == pytest.approx(code, rel=1e-4)
        else:
            assert np.isnan([x for name, x in found.items() if name.startswith("final_")]).all()
        entered += found["entered"]
    assert entered > 1


# ---------------------------------------------------------------------------------------------------------------------
# Forces


def force(position, velocity=None):
    """What changed velocities in one step without actions, over the time and the mass."""
    velocity = np.zeros_like(position) if velocity is None else velocity
    return (np.asarray(jax.jit(moved)(position, velocity, np.zeros_like(position))[1]) - velocity) / 0.1


def test_contact_by_hand():
    """Two robots 0.05 apart overlap by 0.02: 30 · 0.02 = 0.6 each, along (0.6, 0.8)."""
    pair = np.array([[0.0, 0.0], [0.03, 0.04], [1.0, 1.0]], np.float32)
    np.testing.assert_allclose(force(pair), [[-0.36, -0.48], [0.36, 0.48], [0, 0]], atol=1e-5)


def test_walls_by_hand():
    """0.015 deep in the wall at the right: 100 · 0.015 = 1.5 back, and 5 · 0.2 = 1 against the speed, in x alone."""
    at = np.array([[2.38, 0.0], [-2.39, 2.4], [0.0, 0.0]], np.float32)
    speed = np.array([[0.2, 0.3], [0.0, 0.1], [0.5, 0.5]], np.float32)
    np.testing.assert_allclose(force(at, speed), [[-2.5, 0.0], [2.5, -4.0], [0, 0]], atol=1e-4)


def test_speeds_are_limited_by_coordinate_and_move_before_positions():
    at, speed = np.zeros((1, 2), np.float32), np.array([[0.75, -0.2]], np.float32)
    position, velocity = moved(at, speed, np.array([[1.0, 1.0]], np.float32))
    np.testing.assert_allclose(velocity, [[0.8, -0.1]], atol=1e-6)
    np.testing.assert_allclose(position, [[0.08, -0.01]], atol=1e-6)


def test_robots_in_one_place_are_finite_and_so_are_derivatives():
    env = small()
    state = jax.tree.map(lambda x: jnp.asarray(x[0, 0]), played()[0])
    state = state._replace(position=jnp.zeros((ROBOTS, 2)), velocity=jnp.zeros((ROBOTS, 2)))

    def seen(position, action):
        _, then = env.step(jax.random.key(0), state._replace(position=position), {"robot": action})
        rule = env.rules()["mean-shift"]().rule(then, None)["robot"]
        return then.obs["robot"].sum() + rule.sum() + env.rules()["prior"]().rule(then, None)["robot"].sum()

    value, slopes = jax.jit(jax.value_and_grad(seen, (0, 1)))(state.position, jnp.zeros((ROBOTS, 2)))
    assert np.isfinite(value)
    assert all(np.isfinite(slope).all() for slope in slopes)


# ---------------------------------------------------------------------------------------------------------------------
# Sensing


def row_of_cells(count: int, side: float) -> Region:
    """Cells in a row along x, from 0 on, padded to 32."""
    cell = np.full((32, 2), FAR, np.float32)
    cell[:count] = np.stack([side * np.arange(count), np.zeros(count)], axis=1)
    return Region(cell, np.int32(count), np.float32(side))


@pytest.mark.parametrize(("off", "inside"), [(0.0706, True), (0.0708, False)])
def test_in_the_region_is_within_half_a_diagonal_of_a_center(off, inside):
    region = row_of_cells(9, 0.1)
    found = sense(np.array([[0.4, off]], np.float32), region, 0.0, 0.4, 8, "thinned")
    assert bool(found.inside[0]) == inside
    assert int(found.nearest[0]) == 4


def test_from_inside_occupied_cells_are_not_sensed_also_by_oneself():
    region = row_of_cells(9, 0.1)
    at = np.array([[0.4, 0.0], [0.6, 0.0], [0.45, 0.3], [2.0, 2.0]], np.float32)
    found = sense(at, region, 0.05, 0.36, 8, "thinned")
    listed = [cell[there].tolist() for cell, there in zip(*map(np.asarray, (found.cell, found.there)), strict=True)]
    assert listed[0] == [1, 2, 3, 5, 7]  # not 4, where it is itself, nor 6
    assert listed[1] == [3, 5, 7, 8]
    assert listed[2] == [3, 4, 5, 6]  # from outside all of them
    assert listed[3] == []
    assert found.inside.tolist() == [True, True, False, False]


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 20, 61, 96])
def test_thinning(count):
    """A mask with so many cells, at random places."""
    mask = np.zeros((96, 2), bool)
    mask[np.random.default_rng(count).permutation(96)[:count]] = True
    index, there = jax.jit(thinned, static_argnums=2)(mask, None, 8)
    at = np.flatnonzero(mask[:, 0])
    expected = at if count <= 8 else at[[round(q * (count - 1) / 7) for q in range(8)]]
    for column in range(2):
        assert np.asarray(index)[np.asarray(there)[:, column], column].tolist() == expected.tolist()


def test_the_nearest_cells():
    square = np.random.default_rng(0).random((64, 3)).astype(np.float32)
    sensed = square < 0.3
    index, there = (np.asarray(x) for x in closest(sensed, square, 40))
    for robot in range(3):
        expected = [k for k in np.argsort(square[:, robot]) if sensed[k, robot]]
        assert index[there[:, robot], robot].tolist() == expected


def test_many_robots_are_sensed_in_pieces():
    region = jax.tree.map(lambda x: x[0], small().bank)
    at = np.random.default_rng(1).uniform(-1.2, 1.2, (70, 2)).astype(np.float32)
    assert in_pieces(at, 64).shape == (2, 35, 2)
    assert in_pieces(at[:69], 64)[1, -1].tolist() == at[0].tolist()  # filled up
    together = sense(at[:69], region, RADIUS, REACH, 8, "thinned")
    free = jax.tree.map(np.asarray, together)
    cell = region.cell[: region.count].astype(float)
    for i in (0, 34, 35, 68):
        expected = slow.listed(slow.free(at[:69].astype(float), i, cell, float(region.side), RADIUS, REACH), 8)
        assert free.cell[i][free.there[i]].tolist() == expected


def test_observations_in_the_order_of_the_papers_code():
    env = assembly(robots=3)
    fields = env.spec.groups["robot"].fields_of(np.arange(192))
    starts = {name: int(x.ravel()[0]) for name, x in fields.items()}
    assert starts == {
        "position": 0,
        "velocity": 2,
        "neighbors": 4,
        "target_position": 28,
        "target_velocity": 30,
        "cells": 32,
    }
    assert fields["neighbors"][0].tolist() == [4, 5, 6, 7]
    assert env.spec.groups["robot"].obs_size == 192
    short = dataclasses.replace(env, layout="paper190").spec.groups["robot"]
    assert short.obs_size == 190
    assert "target_velocity" not in short.fields_of(np.arange(190))


def test_the_shorter_layout_leaves_out_the_targets_velocity():
    env = assembly(robots=3, shapes="T")
    both = [dataclasses.replace(env, layout=layout) for layout in ("code192", "paper190")]
    seen = [np.asarray(jax.jit(one.reset)(jax.random.key(0))[1].obs["robot"]) for one in both]
    np.testing.assert_array_equal(np.delete(seen[0], [30, 31], axis=1), seen[1])


# ---------------------------------------------------------------------------------------------------------------------
# Rewards


def view(inside=True, neighbor=0.3, cells=((0.2, 0.0), (-0.2, 0.0))) -> View:
    """A robot with one neighbor at that distance and these free cells."""
    slots = np.zeros((4, 2), np.float32)
    slots[: len(cells)] = np.reshape(cells, (-1, 2))
    gap = np.array([[neighbor, 0.0], [0.0, 0.0]], np.float32)
    there = np.array([neighbor > 0, False])
    target = np.zeros(2, np.float32) if inside else np.array([0.1, 0.0], np.float32)
    free = np.arange(4) < len(cells)
    return View(np.zeros(2), np.zeros(2), gap, 0 * gap, there, target, np.bool_(inside), slots, free)


@pytest.mark.parametrize(
    ("seen", "llm", "manual"),
    [
        (view(), 1, 1),
        (view(inside=False), 0, 0),
        (view(neighbor=0.19), 0, 0),
        (view(neighbor=0.21), 1, 1),
        (view(cells=()), 0, 0),
        (view(cells=((0.2, 0.0),)), 0, 0),
        (view(cells=((0.1, 0.0), (-0.02, 0.0))), 1, 1),  # mean 0.04; weighted nearer to 0
        (view(cells=((0.14, 0.0), (-0.02, 0.0))), 0, 1),  # mean 0.06; weighted 0.049
        (view(cells=((0.05, 0.0), (0.05, 0.0), (-0.3, 0.0))), 0, 1),  # mean -0.067, weighted 0.024
        (view(cells=((0.06, 0.0), (0.06, 0.0), (-0.1, 0.0))), 1, 1),
        (view(cells=((0.1, 0.0), (0.1, 0.0), (-0.35, 0.0))), 1, 0),  # mean -0.05 + rounding, weighted 0.09
    ],
)
def test_truth_table(seen, llm, manual):
    assert float(reward(seen, 0.2, 0.4, 0.0501, "llm")) == llm
    assert float(reward(seen, 0.2, 0.4, 0.0501, "manual")) == manual


def test_sharing():
    own = jnp.array([0.0, 1.0, 0.0, 0.0])
    assert shared(own, "individual").tolist() == [0, 1, 0, 0]
    assert shared(own, "mean").tolist() == [0.25] * 4
    assert shared(own, "max").tolist() == [1] * 4
    env = assembly(robots=2)
    assert not env.spec.shared_reward
    assert dataclasses.replace(env, sharing="max").spec.shared_reward


def test_what_robots_see_is_all_that_rewards_need():
    """The weighted reward too, from observations alone."""
    env = small()
    for _, _, after, then, _ in moments():
        seen = views(env.spec.groups["robot"].fields_of(then.obs["robot"]))
        earned = np.asarray(jax.vmap(partial(reward, avoid=0.2, reach=REACH, tolerance=0.2, kind="manual"))(seen))
        cell, side = region_of(after)
        p = after.position.astype(float)
        known = cell, side, RADIUS, REACH, NEAREST, CELLS, 0.2
        assert earned.tolist() == [slow.reward(p, i, *known, weighted=True) for i in range(ROBOTS)]


# ---------------------------------------------------------------------------------------------------------------------
# Metrics, memory, promises


def test_coverage_cannot_exceed_its_bound():
    """Four robots whose discs do not overlap, on a fine lattice: M1 is its bound, but for whole cells."""
    x, y = np.meshgrid(np.linspace(-1, 1, 64), np.linspace(-1, 1, 64))
    cell = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
    region = Region(cell, np.int32(len(cell)), np.float32(2 / 63))
    at = np.array([[-0.5, -0.5], [-0.5, 0.5], [0.5, -0.5], [0.5, 0.5]], np.float32)
    found = filling(at, region, 0.4)
    assert float(found.bound) == pytest.approx(4 * np.pi * 0.16 / (2 / 63 * 64) ** 2, rel=1e-5)
    assert float(found.coverage) == pytest.approx(float(found.bound), rel=0.02)
    assert found.cells.tolist() == [1024] * 4
    measured = measures(at, np.ones(4, bool), region, 0.4)
    assert float(measured["unevenness"]) == 0
    assert np.isnan(measured["unevenness_code"])


@pytest.mark.parametrize("robots", [30, 150])
def test_the_memory_plan_holds(robots):
    """What the compiler sets aside for a step of 16 lanes, beside what goes in and out."""
    env, lanes = assembly(robots=robots, collision_radius=0.04), 16
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), lanes))
    state, _ = jax.eval_shape(jax.vmap(env.reset), keys)
    action = {"robot": jax.ShapeDtypeStruct((lanes, robots, 2), "float32")}
    analysis = jax.jit(jax.vmap(env.step)).lower(keys, state, action).compile().memory_analysis()
    assert analysis is not None
    needed = analysis.temp_size_in_bytes
    assert 0.4 < needed / lanes / env.memory_plan().peak < 1.1


def test_no_step_needs_the_distances_of_all_robots_from_all_cells():
    env = assembly(robots=200, collision_radius=0.04)
    assert env.memory_plan().distances <= 2 * 4 * 64 * env.bank.cell.shape[1]


def test_it_keeps_its_promises():
    assert check_environment(small()) == []


def test_two_robots_have_one_neighbor_and_empty_slots():
    env = assembly(robots=2, shapes="L")
    assert (env.spec.neighborhood, env.spec.groups["robot"].obs_size) == (1, 192)
    state, now = jax.jit(env.reset)(jax.random.key(0))
    assert now.neighbors["robot"][0].tolist() == [[1], [0]]
    fields = env.spec.groups["robot"].fields_of(np.asarray(now.obs["robot"]))
    assert not fields["neighbors"][:, 1:].any()
    assert state.region.cell.shape == env.bank.cell[0].shape


def test_the_placement_of_the_papers_evaluation():
    env = assembly(robots=2, shapes="L", placement="centered")
    state, now = jax.jit(env.reset)(jax.random.key(1))
    np.testing.assert_array_equal(state.region.cell, env.bank.cell[0])
    assert now.state[-4:].tolist() == [1, 0, 0, 0]
