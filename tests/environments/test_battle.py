"""The battle against MAgent2's engine, step for step, and against sequential rules written out."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure

from covey import algorithms
from covey.core.errors import BadInput
from covey.environments import make
from covey.environments.battle import formation
from covey.environments.battle.engagement import NOBODY, attacks, attacks_at_once, moves, moves_at_once
from covey.environments.battle.orders import ARMIES, ATTACKS, CHOICES, MOVES, STAY
from covey.testing import check_environment

OPTIONS = (
    {},
    {"minimap": True, "features": True, "order": "fair"},
    {"nearest": 1, "order": "simultaneous"},
)


@pytest.mark.parametrize("options", [*(pytest.param(x, marks=pytest.mark.slow) for x in OPTIONS[:2]), OPTIONS[2]])
def test_the_world_keeps_its_promises(options):
    assert check_environment(make("battle", size=12, time_limit=5, **options)) == []


# ---------------------------------------------------------------------------------------------------------------------
# In parallel as in sequence


def attacks_in_sequence(order, target, enough):
    """What the engine does: one attack after the other."""
    n = len(order)
    taken, died = np.zeros(n, int), np.zeros(n, bool)
    acted, hit, killed = np.zeros(n, bool), np.zeros(n, bool), np.zeros(n, bool)
    for i in np.argsort(order):
        if target[i] < NOBODY or died[i]:
            continue
        acted[i] = True
        v = target[i]
        if v >= 0 and not died[v]:
            taken[v] += 1
            died[v] = taken[v] == enough[v]
            hit[i], killed[i] = not died[v], died[v]
    return acted, hit, killed, taken, died


def test_attacks_in_parallel_are_attacks_in_sequence():
    resolved = jax.jit(attacks)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        n = 24
        armies = np.arange(n) < n // 2
        few = rng.integers(1, 5)  # many attack the same few
        target = np.where(armies, n // 2 + rng.integers(0, few, n), rng.integers(0, few, n))
        target = np.where(rng.random(n) < 0.2, NOBODY, target)
        target = np.where(rng.random(n) < 0.2, NOBODY - 1, target)
        order, enough = rng.permutation(n), rng.integers(1, 7, n)
        found = resolved(jnp.asarray(order), jnp.asarray(target), jnp.asarray(enough))
        for ours, theirs in zip(found, attacks_in_sequence(order, target, enough), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def moves_in_sequence(order, moving, place, cell):
    place = place.copy()
    gone = np.zeros(len(order), bool)
    for i in np.argsort(order):
        if moving[i] and cell[i] not in place:
            place[i], gone[i] = cell[i], True
    return gone


def test_moves_in_parallel_are_moves_in_sequence():
    resolved = jax.jit(moves, static_argnums=4)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        n, cells = 20, 30  # crowded
        place = rng.permutation(cells)[:n]
        cell = rng.integers(0, cells, n)
        moving = (cell != place) & (rng.random(n) < 0.9)
        occupant = np.full(cells, NOBODY)
        occupant[place] = np.arange(n)
        order = rng.permutation(n)
        found = resolved(*map(jnp.asarray, (order, moving, cell, occupant[cell])), cells)
        np.testing.assert_array_equal(found, moves_in_sequence(order, moving, place, cell))


def test_attacks_at_once():
    """0 and 1 strike 2, who dies of the second blow; 2 strikes back all the same; 3 strikes nobody, 4 does not."""
    target = jnp.array([2, 2, 0, NOBODY, NOBODY - 1])
    enough = jnp.array([1, 6, 2, 6, 6])
    found = attacks_at_once(jnp.array([3, 1, 4, 0, 2]), target, enough)
    assert found.acted.tolist() == [True, True, True, True, False]
    assert found.hit.tolist() == [False, True, False, False, False]
    assert found.killed.tolist() == [True, False, True, False, False], "1 came before 0, and was not enough"
    assert found.taken.tolist() == [1, 0, 2, 0, 0]
    assert found.died.tolist() == [True, False, True, False, False]


def test_moves_at_once():
    """0 and 1 want the free cell 7, 2 follows 0, 3 stays."""
    moving, cell = jnp.array([True, True, True, False]), jnp.array([7, 7, 0, 3])
    occupant = jnp.array([NOBODY, NOBODY, 0, 3])
    assert moves_at_once(jnp.array([1, 0, 2, 3]), moving, cell, occupant, 9).tolist() == [False, True, False, False]


# ---------------------------------------------------------------------------------------------------------------------
# Step for step with the engine


class Shuffle:
    """The order in which the engine carries attacks out: its generator, and its way of shuffling."""

    def __init__(self):
        self.state = 1

    def places(self, count: int) -> np.ndarray:
        """Which attack, in the order of soldiers, comes at each place [count]."""
        sequence = np.arange(count)
        for i in range(count):
            self.state = 16807 * self.state % 2147483647
            j = self.state % (i + 1)
            sequence[[i, j]] = sequence[[j, i]]
        return sequence


def in_order(fights: np.ndarray, shuffle: Shuffle) -> np.ndarray:
    """Everybody's place in the order of attacks [n]; those who do not fight come last."""
    fighting = np.flatnonzero(fights)
    sequence = np.concatenate([fighting[shuffle.places(len(fighting))], np.flatnonzero(~fights)])
    order = np.empty(len(fights), np.int32)
    order[sequence] = np.arange(len(fights))
    return order


def engine(size: int):
    magent2 = pytest.importorskip("magent2")
    from magent2.environments.battle.battle import default_reward_args, get_config

    env = magent2.GridWorld(get_config(size, True, 0, **default_reward_args), map_size=size)
    env.reset()
    handles = env.get_handles()
    for handle, block in zip(handles, formation(size), strict=True):
        env.add_agents(handle, method="custom", pos=[[x, y, 0] for x, y in block.tolist()])
    return env, handles


def aggressive(rng, position, alive, armies) -> np.ndarray:
    """Half of the actions strike an enemy that stands beside, where one does; the rest is anything."""
    chosen = rng.integers(0, CHOICES, len(alive)).astype(np.int32)
    for i in np.flatnonzero(alive):
        offset = position - position[i]
        beside = alive & (armies != armies[i]) & (np.abs(offset).max(1) <= 1)
        if beside.any() and rng.random() < 0.7:
            chosen[i] = len(MOVES) + np.flatnonzero((offset[np.flatnonzero(beside)[0]] == ATTACKS).all(1))[0]
        elif rng.random() < 0.5:  # towards the middle, where the others are
            chosen[i] = np.abs(position[i] + MOVES - position[alive & (armies != armies[i])].mean(0)).sum(1).argmin()
    return chosen


@pytest.mark.parametrize("size", [16, 20, 40])
def test_every_step_is_the_engines(size):
    """Positions, health, deaths, rewards and all that is seen, until an army is gone or for 150 steps."""
    env, handles = engine(size)
    world = make("battle", size=size, minimap=True, features=True, time_limit=1000)
    state, now = world.reset(jax.random.key(0))
    resolve, n = jax.jit(world.resolve), 2 * world.count
    rng, shuffle, armies = np.random.default_rng(size), Shuffle(), np.arange(n) // world.count
    deaths = 0
    for step in range(150):
        alive, position = np.asarray(state.alive), np.asarray(state.position)
        for army, handle in enumerate(handles):
            mine = np.flatnonzero(alive & (armies == army))
            np.testing.assert_array_equal(env.get_pos(handle), position[mine], err_msg=f"step {step}")
            view, facts = env.get_observation(handle)
            seen = np.asarray(now.obs[ARMIES[army]])[mine - army * world.count]
            np.testing.assert_allclose(seen[:, : 13 * 13 * 7].reshape(view.shape), view, atol=1e-6)
            np.testing.assert_allclose(seen[:, 13 * 13 * 7 :], facts, atol=1e-6)
        chosen = aggressive(rng, position, alive, armies)
        order = in_order(alive & (chosen >= len(MOVES)), shuffle)
        for army, handle in enumerate(handles):
            env.set_action(handle, chosen[alive & (armies == army)])
        done = env.step()
        action = {name: jnp.asarray(chosen[armies == army]) for army, name in enumerate(ARMIES)}
        state, now = resolve(state, action, jnp.asarray(order), jnp.arange(n))
        for army, handle in enumerate(handles):
            mine = alive[armies == army]
            paid = np.asarray(now.reward[ARMIES[army]])[mine]
            np.testing.assert_allclose(paid, env.get_reward(handle), atol=1e-6, err_msg=f"step {step}")
            np.testing.assert_array_equal(np.asarray(now.alive[ARMIES[army]])[mine], env.get_alive(handle))
        deaths += int(alive.sum() - np.asarray(state.alive).sum())
        assert bool(now.last) == done
        env.clear_dead()
        if done:
            break
    assert deaths > 3


@pytest.mark.parametrize("size", [16, 20, 40, 45])
def test_armies_stand_where_magent_places_them(size):
    battle_v4 = pytest.importorskip("magent2.environments.battle_v4")
    env = battle_v4.parallel_env(map_size=size)
    env.reset()
    engine = env.unwrapped.env
    for handle, places in zip(engine.get_handles(), formation(size), strict=True):
        np.testing.assert_array_equal(engine.get_pos(handle), places)


@pytest.mark.learn
def test_chance_earns_what_it_earns_in_the_engine():
    """64 v 64 for 400 steps: an army's agents earn about -1050 together, and few of them die."""
    from covey.runs.evaluate import evaluate

    world = make("battle")
    found = evaluate(world, algorithms.make("random", world), (), jax.random.key(0), 4, seeds=1).values
    for army in ARMIES:
        assert -1100 < 64 * found[f"return/{army}/mean_agent"].mean() < -1000
        assert found[f"world/kills_{army}"].mean() < 8


# ---------------------------------------------------------------------------------------------------------------------
# By hand


def fight(world, state, red, blue):
    """A step with these actions, red soldiers first in every order."""
    action = {"red": jnp.asarray(red, jnp.int32), "blue": jnp.asarray(blue, jnp.int32)}
    n = 2 * world.count
    return world.resolve(state, action, jnp.arange(n), jnp.arange(n))


def placed(world, red, blue):
    state, _ = world.reset(jax.random.key(0))
    return state._replace(position=jnp.asarray([*red, *blue], jnp.int32))


def test_six_blows_kill_and_health_shows_it():
    """As probed in the engine: what is left of the victim's health after each blow and a little healing."""
    world = make("battle", size=12)
    state = placed(world, [(3, 3), (8, 8)], [(4, 3), (8, 3)])
    right, left = len(MOVES) + 4, []
    for _ in range(6):
        state, then = fight(world, state, [right, STAY], [STAY, STAY])
        left.append((float(state.health[2]) / 10, float(then.reward["red"][0])))
    np.testing.assert_allclose([health for health, _ in left[:5]], [0.81, 0.62, 0.43, 0.24, 0.05], atol=1e-6)
    np.testing.assert_allclose([reward for _, reward in left], [0.095] * 5 + [4.895], atol=1e-6)
    assert not state.alive[2]
    assert float(then.reward["blue"][0]) == pytest.approx(-0.1)
    assert float(then.discount["blue"][0]) == 0
    assert int(state.kills[0]) == 1


def test_who_dies_may_have_hurt_somebody_before():
    world = make("battle", size=12)
    state = placed(world, [(3, 3), (8, 8)], [(4, 3), (8, 3)])
    state = state._replace(health=state.health.at[2].set(1.0))
    action = {"red": jnp.array([len(MOVES) + 4, STAY]), "blue": jnp.array([len(MOVES) + 3, STAY])}
    first, then = world.resolve(state, action, jnp.array([1, 2, 0, 3]), jnp.arange(4))
    assert float(then.reward["blue"][0]) == pytest.approx(0.1)
    second, then = world.resolve(state, action, jnp.array([0, 2, 1, 3]), jnp.arange(4))
    assert float(then.reward["blue"][0]) == pytest.approx(-0.1)
    assert float(first.health[0]) == pytest.approx(8.1)
    assert float(second.health[0]) == 10


def test_who_follows_needs_the_higher_number():
    """Moves are carried out in the order of soldiers: a place that is left later is still taken."""
    world = make("battle", size=12)
    right = 7
    for places, reached in (([(4, 3), (3, 3)], (4, 3)), ([(3, 3), (4, 3)], (4, 3))):
        state = placed(world, places, [(8, 8), (8, 3)])
        state, _ = fight(world, state, [right, right], [STAY, STAY])
        front, rear = (0, 1) if places[0] == (4, 3) else (1, 0)
        assert tuple(state.position[front].tolist()) == (5, 3)
        assert tuple(state.position[rear].tolist()) == (reached if rear == 1 else (3, 3))


def test_walls_stop_and_soldiers_are_jumped_over():
    world = make("battle", size=12)
    state = placed(world, [(3, 3), (4, 3)], [(10, 8), (8, 3)])
    state, _ = fight(world, state, [8, STAY], [8, STAY])  # two cells to the right
    assert tuple(state.position[0].tolist()) == (5, 3)
    assert tuple(state.position[2].tolist()) == (10, 8)


def test_the_order_of_moves_may_be_drawn():
    world = make("battle", size=12, order="fair")
    state = placed(world, [(3, 3), (8, 8)], [(5, 3), (8, 3)])
    step = jax.jit(world.step)
    action = {"red": jnp.array([7, STAY]), "blue": jnp.array([5, STAY])}  # both want (4, 3)
    winners = [bool(step(jax.random.key(k), state, action)[0].position[0, 0] == 4) for k in range(60)]
    assert 15 < sum(winners) < 45


def test_an_army_that_is_gone_is_drawn_too():
    """The last picture of a battle that is won."""
    world = make("battle", size=12)
    state = placed(world, [(3, 3), (8, 8)], [(5, 3), (8, 3)])
    won = state._replace(alive=jnp.array([True, False, False, False]))
    axes = Figure().add_subplot()
    world.draw(axes, won, None)
    red, blue = (np.asarray(drawn.get_alpha()).tolist() for drawn in axes.collections)
    assert axes.get_title() == "step 0: red 1, blue 0"
    assert [*red, *blue] == [1.0, 0.0, 0.0, 0.0]
    axes.figure.canvas.draw()


def test_comrades_are_listed_from_the_nearest_on():
    world = make("battle", size=16, nearest=2)
    _, now = world.reset(jax.random.key(0))
    left, _ = formation(16)
    index, there = now.neighbors["red"]
    assert bool(there.all())
    far = ((left[:, None] - left[None]) ** 2).sum(-1) + 1000 * np.eye(6, dtype=int)
    for i in range(6):  # red stands after blue in the order of names
        assert sorted(far[i][np.asarray(index[i]) - 6]) == sorted(np.sort(far[i])[:2])


@pytest.mark.slow
def test_a_charge_beats_chance():
    from covey.algorithms.part import Part
    from covey.core.algorithm import Mixed
    from covey.runs.evaluate import evaluate

    world = make("battle", size=16, time_limit=100)
    both = Mixed(
        {
            "red": algorithms.make("random", world, groups=("red",)),
            "blue": Part(world.spec, ("blue",), algorithms.make("charge", world)),
        }
    )
    found = evaluate(world, both, ((), ()), jax.random.key(0), 20, seeds=1)
    assert found.values["world/won_blue"].mean() > 0.95


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"size": 8}, "too small for its armies"),
        ({"size": 7}, "between 8 and 1000"),
        ({"size": 21}, "armies of 12 and 16"),
        ({"time_limit": 0}, "`time_limit` is 0"),
        ({"size": 12, "nearest": 2}, "1 comrades"),
        ({"order": "chaos"}, "order"),
    ],
)
def test_refuses(options, says):
    with pytest.raises(BadInput, match=says):
        make("battle", **options)
