"""`jaxmarl:NAME`, held against JaxMARL itself: the same keys and the same actions give the same episodes.

JaxMARL is not among the packages that tests install (see `make test-jaxmarl`), and takes ten seconds to import.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.core.environment import evaluation_world
from covey.core.errors import BadInput
from covey.core.types import Box, Discrete
from covey.environments import make
from covey.runs.render import check_drawable
from covey.testing import check_environment
from covey.testing.rules import random_actions

MISSING = pytest.mark.skipif(find_spec("jaxmarl") is None, reason="JaxMARL is not installed: `make test-jaxmarl`")
pytestmark = [pytest.mark.slow, MISSING]

LANES = 16

make = cache(make)  # programs are kept with the environment


@cache
def episodes(id: str, steps: int, lanes: int = LANES):
    """Random episodes in covey, and what JaxMARL makes of each of their states: [lanes, T, ...].

    Every step is taken twice from the same state, so that rounding does not pile up. Lanes go on after their ends, and
    what comes then is not to be compared.
    """
    environment = make(id)
    env = environment.env

    def play(key):
        k_reset, k_play = jax.random.split(key)
        state, now = environment.reset(k_reset)
        first, _ = env.reset(k_reset)

        def tick(carry, k):
            state, now = carry
            k_action, k_step = jax.random.split(k)
            action = random_actions(environment.spec, now, k_action)
            given = {
                agent: action[name][i]
                for name, group in environment.spec.groups.items()
                for i, agent in enumerate(group.names)
            }
            obs, inner, rewards, dones, _ = env.step_env(k_step, state.inner, given)
            state, then = environment.step(k_step, state, action)
            legal = env.get_avail_actions(inner) if "SMAX" in type(env).__name__ else {}
            return (state, then), (now, then, (obs, rewards, dones, legal), environment.measure(state))

        _, found = jax.lax.scan(tick, (state, now), jax.random.split(k_play, steps))
        return (now, first), found

    return jax.tree.map(np.asarray, jax.jit(jax.vmap(play))(jax.random.split(jax.random.key(0), lanes)))


def ends(id: str, steps: int) -> np.ndarray:
    """The index of the last step of every lane."""
    _, (_, then, _, _) = episodes(id, steps)
    assert then.last.any(1).all(), "an episode has not ended"
    return then.last.argmax(1)


def until(values, last: np.ndarray):
    """`values` [lanes, T, ...] of the steps up to the lanes' ends, one after the other."""
    return np.concatenate([values[lane, : end + 1] for lane, end in enumerate(last)])


def close(ours, theirs) -> None:
    """Equal, but for what another program may round otherwise."""
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


PLAYED = [
    ("jaxmarl:smax/3m", 101),
    ("jaxmarl:SMAX/3m", 101),
    ("jaxmarl:smax/2s3z", 101),
    ("jaxmarl:MPE_simple_spread_v3", 26),
    ("jaxmarl:MPE_simple_tag_v3", 26),
    ("jaxmarl:overcooked", 400),
    ("jaxmarl:overcooked_v2/cramped_room", 400),
    ("jaxmarl:hanabi", 99),
    ("jaxmarl:switch_riddle", 6),
    ("jaxmarl:coin_game", 100),
]


@pytest.mark.parametrize(("id", "steps"), PLAYED)
def test_same_episodes(id, steps):
    """Observations, rewards of the living, ends and global states, in every step of whole episodes."""
    (now, first), (before, then, (obs, rewards, dones, _), _) = episodes(id, steps)
    last = ends(id, steps)
    np.testing.assert_array_equal(then.last, dones["__all__"])
    for name, group in make(id).spec.groups.items():
        for i, agent in enumerate(group.names):
            blank = group.blank()[i]
            close(now.obs[name][:, i], first[agent])
            seen = until(then.obs[name], last)[:, i]
            assert (seen.shape[1:], seen.dtype) == (blank.shape, blank.dtype)
            close(seen, until(obs[agent], last))
            paid = np.where(until(before.alive[name], last)[:, i], until(rewards[agent], last), 0.0)
            close(until(then.reward[name], last)[:, i], paid)
    if then.state is not None:
        close(then.state, obs["world_state"])


@pytest.mark.parametrize("id", ["jaxmarl:smax/3m", "jaxmarl:SMAX/3m", "jaxmarl:smax/2s3z"])
def test_units(id):
    """Legal actions are JaxMARL's; the dead are dead for good, are not paid, and may only stop."""
    _, (before, then, (_, rewards, dones, legal), _) = episodes(id, 101)
    last, died, unpaid = ends(id, 101), 0, 0
    for name, group in make(id).spec.groups.items():
        alive, lived = until(then.alive[name], last), until(before.alive[name], last)
        may = until(then.legal[name], last)
        for i, agent in enumerate(group.names):
            np.testing.assert_array_equal(may[:, i], until(legal[agent], last).astype(bool))
            np.testing.assert_array_equal(alive[:, i], ~until(dones[agent], last))
        assert not (alive & ~lived).any()
        assert (until(then.discount[name], last)[~alive] == 0).all()
        assert (until(then.reward[name], last)[~lived] == 0).all()
        assert (may[~alive].sum(1) == 1).all()
        assert may[~alive][:, 4].all()
        died += (lived & ~alive).sum()
        theirs = np.stack([until(rewards[agent], last) for agent in group.names], 1)
        unpaid += (theirs[~lived] != 0).sum()
    assert died, "nobody has died"
    assert unpaid, "JaxMARL has paid nobody who was dead"


@pytest.mark.parametrize("id", ["jaxmarl:smax/3m", "jaxmarl:SMAX/3m"])
def test_dead_units_do_nothing(id):
    """What the action of a dead unit is changes nothing."""
    environment = make(id)

    @jax.jit
    def play(key):
        k_reset, k_play = jax.random.split(key)

        def tick(carry, k):
            state, now = carry
            k_action, k_other, k_step = jax.random.split(k, 3)
            action = random_actions(environment.spec, now, k_action)
            other = {
                name: jnp.where(now.alive[name], x, jax.random.randint(k_other, x.shape, 0, group.action.n))
                for (name, group), x in zip(environment.spec.groups.items(), action.values(), strict=True)
            }
            state, then = environment.step(k_step, state, action)
            _, also = environment.step(k_step, carry[0], other)
            off = jax.tree.map(lambda a, b: jnp.abs(a.astype(float) - b.astype(float)).max(), then, also)
            same = jnp.stack(jax.tree.leaves(off)).max() < 1e-5  # the two may be rounded differently
            dead = jnp.stack([(~now.alive[name]).any() for name in now.alive]).any()
            return (state, then), (same, dead & ~now.last)

        return jax.lax.scan(tick, environment.reset(k_reset), jax.random.split(k_play, 60))[1]

    same, dead = jax.vmap(play)(jax.random.split(jax.random.key(3), LANES))
    assert dead.any()
    assert same[dead].all()


def test_battles_end():
    """A lost or won battle has no future, one that is cut has one, and `won` is what JaxMARL calls won."""
    id = "jaxmarl:smax/3m"
    _, (_, then, (_, rewards, _, _), measured) = episodes(id, 101)
    last = ends(id, 101)
    rows = np.arange(LANES), last
    assert (then.discount["ally"][rows][last < 100] == 0).all()
    won = measured["won"]
    assert np.isnan(won[~then.last]).all()
    np.testing.assert_array_equal(won[rows] == 1, rewards["ally_0"][rows] >= 1.0)


def test_a_battle_that_nobody_wins_is_cut_after_101_steps():
    environment = make("jaxmarl:smax/3m", enemy_shoots=False)
    stop = {"ally": jnp.full(3, 4)}

    @jax.jit
    def play(key):
        begun = environment.reset(key)
        return jax.lax.scan(
            lambda c, k: (lambda s, t: ((s, t), (t, environment.measure(s))))(*environment.step(k, c[0], stop)),
            begun,
            jax.random.split(key, 101),
        )[1]

    then, measured = play(jax.random.key(0))
    assert then.last.nonzero()[0].tolist() == [100]
    assert (then.discount["ally"] == 1).all()
    assert measured["won"][100] == 0


@pytest.mark.parametrize(
    ("id", "length", "discount"),
    [
        ("jaxmarl:MPE_simple_spread_v3", 26, 1.0),
        ("jaxmarl:MPE_simple_tag_v3", 26, 1.0),
        ("jaxmarl:overcooked", 400, 1.0),
        ("jaxmarl:overcooked_v2/cramped_room", 400, 1.0),
        ("jaxmarl:coin_game", 100, 1.0),
    ],
)
def test_limits_leave_a_future(id, length, discount):
    _, (_, then, _, _) = episodes(id, length)
    assert (ends(id, length) == length - 1).all()
    assert make(id).spec.time_limit == length
    assert all((x == discount).all() for x in then.discount.values())


def test_hanabi_has_turns():
    """One player moves at a time, the other may only wait; games are over, and what is lost is taken back."""
    _, (before, then, _, measured) = episodes("jaxmarl:hanabi", 99)
    last = ends("jaxmarl:hanabi", 99)
    may = until(before.legal["agent"], last)
    waits = may[..., :-1].sum(-1) == 0
    assert (waits.sum(1) == 1).all()
    assert may[..., -1][waits].all()
    assert not may[..., -1][~waits].any()
    rows = np.arange(LANES), last
    assert (then.discount["agent"][rows] == 0).all()
    earned = [then.reward["agent"][lane, : end + 1, 0].sum() for lane, end in enumerate(last)]
    np.testing.assert_array_equal(measured["score"][rows], earned)


def test_the_riddle_ends_by_telling_or_by_the_limit():
    _, (_, then, (_, rewards, _, _), _) = episodes("jaxmarl:switch_riddle", 6)
    rows = np.arange(LANES), ends("jaxmarl:switch_riddle", 6)
    told = rewards["agent_0"][rows] != 0
    assert told.any()
    np.testing.assert_array_equal(then.discount["agent"][rows].max(1), np.where(told, 0.0, 1.0))


def test_time_limit():
    environment = make("jaxmarl:MPE_simple_spread_v3", time_limit=25)
    assert environment.spec.time_limit == 25
    assert check_environment(environment) == []
    with pytest.raises(BadInput, match=r"`time_limit` has to be from 1 to 26, where .* ends by itself, got 27"):
        make("jaxmarl:MPE_simple_spread_v3", time_limit=27)


def test_shaped_reward_in_training_alone():
    shaped = make("jaxmarl:overcooked", shaped_reward=0.5)
    plain, key = make("jaxmarl:overcooked"), jax.random.key(1)
    assert not shaped.spec.shared_reward
    assert evaluation_world(shaped).spec == plain.spec
    assert evaluation_world(shaped) is evaluation_world(shaped)

    @jax.jit
    def play(key):
        def tick(state, k):
            k_action, k_step = jax.random.split(k)
            action = {"agent": jax.random.randint(k_action, (2,), 0, 6)}
            given = {"agent_0": action["agent"][0], "agent_1": action["agent"][1]}
            _, _, reward, _, infos = plain.env.step_env(k_step, state.inner, given)
            _, with_it = shaped.step(k_step, state, action)
            after, without = plain.step(k_step, state, action)
            way = jnp.stack(list(infos["shaped_reward"].values()))
            return after, (with_it.reward["agent"], without.reward["agent"], way, reward["agent_0"])

        return jax.lax.scan(tick, plain.reset(key)[0], jax.random.split(key, 300))[1]

    with_it, without, way, reward = play(key)
    assert way.any()
    np.testing.assert_allclose(with_it, without + 0.5 * way)
    np.testing.assert_array_equal(without, jnp.stack([reward, reward], 1))


CHECKED = [
    *(
        "smax/3m",
        "SMAX/2s3z",
        "smax/smacv2_5_units",
        "MPE_simple_spread_v3",
        "MPE_simple_tag_v3",
        "MPE_simple_crypto_v3",
    ),
    *("MPE_simple_world_comm_v3", "MPE_simple_speaker_listener_v4", "MPE_simple_reference_v3", "MPE_simple_facmac_v1"),
    *("overcooked/coord_ring", "overcooked_v2", "hanabi", "switch_riddle", "coin_game", "jaxnav"),
]


@pytest.mark.parametrize("name", CHECKED)
@pytest.mark.filterwarnings("ignore:scatter inputs:FutureWarning")
def test_keeps_the_rules(name):
    """What `covey check` asks of every environment."""
    assert check_environment(make(f"jaxmarl:{name}")) == []


@pytest.mark.filterwarnings("ignore:scatter inputs:FutureWarning")
def test_robots_that_are_gone():
    """With `evaporating`, who arrives or collides is dead; without it, all go on to the end."""
    for evaporating in (True, False):
        environment = make("jaxmarl:jaxnav", evaporating=evaporating, num_agents=4, max_steps=60)
        assert check_environment(environment) == []


@pytest.mark.parametrize("observation_type", ["unit_list", "conic"])
def test_fields_of_units(observation_type):
    """What a unit sees, by name, lies where JaxMARL puts it."""
    environment = make("jaxmarl:SMAX/5m_vs_6m", observation_type=observation_type)
    for name, group in environment.spec.groups.items():
        others = {"ally": (4, 6), "enemy": (5, 5)}[name]
        fields = {field.name: field.shape for field in group.obs}
        if observation_type == "conic":
            assert list(fields) == ["observation"]
        else:
            assert fields == {"comrades": (others[0], 13), "enemies": (others[1], 13), "own": (10,)}


def test_continuous_actions():
    box = make("jaxmarl:MPE_simple_spread_v3", action_type="Continuous").spec.groups["agent"].action
    assert box == Box((0.0,) * 5, (1.0,) * 5)
    assert make("jaxmarl:MPE_simple_spread_v3").spec.groups["agent"].action == Discrete(5)


@pytest.mark.parametrize("id", ["jaxmarl:smax/2s3z", "jaxmarl:SMAX/3m", "jaxmarl:MPE_simple_tag_v3"])
def test_drawing(id):
    from matplotlib.figure import Figure

    environment = make(id)
    state, now = jax.tree.map(np.asarray, jax.jit(environment.reset)(jax.random.key(0)))
    axes = Figure().add_subplot()
    environment.draw(axes, state, now)
    assert len(axes.patches) >= environment.spec.agents


def test_what_cannot_be_drawn():
    with pytest.raises(BadInput, match="cannot be drawn"):
        check_drawable(make("jaxmarl:hanabi"))
