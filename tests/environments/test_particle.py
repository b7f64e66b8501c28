"""The particle worlds are those of `mpe2`: the same observations, rewards and endings from the same states."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.core.algorithm import Scripted
from covey.core.errors import BadInput
from covey.core.types import Box
from covey.environments import make
from covey.environments.particle.base import ParticleState
from covey.environments.particle.physics import contact, distances
from covey.testing import check_environment
from covey.testing.rules import random_actions

TRANSITIONS = 1000
UNTIL = {"terminate_on_success": True}
SETTINGS = {  # id: (module of mpe2, [(covey's options, mpe2's options)])
    "simple": ("simple_v3", [({}, {})]),
    "spread": (
        "simple_spread_v3",
        [
            ({}, {}),
            (
                {"agents": 5, "local_ratio": 0.2, "seen_agents": 2, "seen_landmarks": 6, "until_covered": True},
                {
                    "N": 5,
                    "local_ratio": 0.2,
                    "num_agent_neighbors": 2,
                    "num_landmark_neighbors": 6,
                    "terminate_on_success": True,
                },
            ),
            ({"penalty": False}, {"curriculum": True}),
        ],
    ),
    "reference": ("simple_reference_v3", [({}, {}), ({"local_ratio": 0.9}, {"local_ratio": 0.9})]),
    "speaker-listener": ("simple_speaker_listener_v4", [({}, {})]),
    "formation": (
        "simple_formation_v1",
        [({}, {}), ({"agents": 1, "until_taken": True}, {"N": 1, "terminate_on_success": True})],
    ),
    "line": (
        "simple_line_v1",
        [({}, {}), ({"agents": 5, "until_taken": True}, {"N": 5} | UNTIL)],
    ),
    "adversary": (
        "simple_adversary_v3",
        [
            ({}, {}),
            (
                {"agents": 4, "seen_agents": 3, "seen_landmarks": 2},
                {"N": 4, "num_agent_neighbors": 3, "num_landmark_neighbors": 2},
            ),
        ],
    ),
    "push": ("simple_push_v3", [({}, {})]),
    "crypto": ("simple_crypto_v3", [({}, {})]),
    "tag": (
        "simple_tag_v3",
        [
            ({}, {}),
            (
                {"agents": 2, "adversaries": 4, "obstacles": 3, "seen_agents": 3, "seen_landmarks": 2},
                {
                    "num_good": 2,
                    "num_adversaries": 4,
                    "num_obstacles": 3,
                    "num_agent_neighbors": 3,
                    "num_landmark_neighbors": 2,
                },
            ),
            (
                {"agents": 2, "prey_speed": 0.5, "until_caught": True},
                {"num_good": 2, "curriculum": True, "terminate_on_success": True},
            ),
        ],
    ),
    "world-comm": (
        "simple_world_comm_v3",
        [
            ({}, {}),
            (
                {"agents": 3, "adversaries": 2, "obstacles": 2, "food": 1, "forests": 3},
                {"num_good": 3, "num_adversaries": 2, "num_obstacles": 2, "num_food": 1, "num_forests": 3},
            ),
        ],
    ),
    "collect-treasure": (
        "collect_treasure_v1",
        [({}, {}), ({"collectors": 3, "deposits": 3}, {"num_collectors": 3, "num_deposits": 3})],
    ),
}
CASES = [
    pytest.param(
        name,
        ours,
        theirs,
        continuous,
        id=f"{name}-{i}-{'continuous' if continuous else 'discrete'}",
        marks=[pytest.mark.learn] * (continuous and i > 0)  # other settings change nothing about what actions do
        + [pytest.mark.slow] * (continuous and i == 0 and name != "spread"),
    )
    for name, (_, options) in SETTINGS.items()
    for i, (ours, theirs) in enumerate(options)
    for continuous in (False, True)
]


def theirs_of(name: str, options: dict[str, Any]) -> Any:
    module = __import__(f"mpe2.{SETTINGS[name][0]}", fromlist=["parallel_env"])
    return module.parallel_env(**options)


class Fixed:
    """A generator of random numbers that gives what it is told (for treasures that appear)."""

    def __init__(self, place: Any, kind: Any):
        self.place, self.kind = list(place), list(kind)

    def uniform(self, *bounds: Any) -> Any:
        return self.place.pop(0) if bounds else 0.0

    def integers(self, *bounds: Any) -> Any:
        return self.kind.pop(0)


def crowded(key: Any, state: ParticleState) -> ParticleState:
    """A state in which bodies are near enough to touch, move and talk."""
    k_place, k_speed, k_word, k_scale = jax.random.split(key, 4)
    scale = jax.random.uniform(k_scale, minval=0.15, maxval=1.2)
    place = jax.random.uniform(k_place, state.position.shape, minval=-1.0) * scale
    word = jax.nn.one_hot(
        jax.random.randint(k_word, state.word.shape[:1], 0, max(state.word.shape[1], 1)), state.word.shape[1]
    )
    return state._replace(position=place, velocity=jax.random.normal(k_speed, state.velocity.shape), word=word)


def inject(name: str, env: Any, state: Any) -> None:
    """Put mpe2's environment into one of our states."""
    world, scenario = env.unwrapped.world, env.unwrapped.scenario
    for i, agent in enumerate(world.agents):
        agent.state.p_pos = np.array(state.position[i], np.float64)
        if agent.movable:
            agent.state.p_vel = np.array(state.velocity[i], np.float64)
        if not agent.silent:
            agent.state.c = np.array(state.word[i], np.float64)
    for i, landmark in enumerate(world.landmarks):
        landmark.state.p_pos = np.array(state.position[len(world.agents) + i], np.float64)
    if name in ("adversary", "push"):
        for agent in world.agents:
            agent.goal_a = world.landmarks[int(state.drawn)]
    if name == "push":
        world.agents[1].color = np.array([0.25, 0.25, 0.25])
        world.agents[1].color[int(state.drawn) + 1] += 0.5
    if name == "crypto":
        for agent in world.agents:
            agent.goal_a = world.landmarks[int(state.drawn[0])]
        world.agents[2].key = world.landmarks[int(state.drawn[1])].color
    if name == "reference":
        for agent, goal in zip(world.agents, state.drawn, strict=True):
            agent.goal_b = world.landmarks[int(goal)]
    if name == "speaker-listener":
        world.agents[0].goal_b = world.landmarks[int(state.drawn)]
    if name == "line":
        first, second = (landmark.state.p_pos for landmark in world.landmarks)
        shares = np.linspace(0, 1, len(world.agents))
        scenario._expected_positions = [first + share * (second - first) for share in shares]
    if name == "collect-treasure":
        for agent, held in zip(scenario.collectors(world), state.drawn.holding, strict=True):
            agent.holding = None if held < 0 else int(held)
        for landmark, kind, there in zip(world.landmarks, state.drawn.kind, state.drawn.there, strict=True):
            landmark.type, landmark.alive = int(kind), bool(there)


def begun(name: str, ours: Any, key: Any) -> Any:
    """One of our states, crowded; treasures gone and held as it may happen."""
    state = crowded(jax.random.fold_in(key, 1), ours.spawn(key))
    if name == "line":  # landmarks keep their distance
        state = state._replace(position=state.position.at[-2:].set(ours.spawn(key).position[-2:]))
    if name in ("spread", "line"):  # every now and then all is done
        at = ours.rows(state.position)
        goal = at["landmark"] if name == "spread" else ours.places(at)
        near = goal + 0.01 * jax.random.normal(key, goal.shape)
        there = jax.random.bernoulli(jax.random.fold_in(key, 3), 0.3)
        position = state.position.at[: ours.count].set(jnp.where(there, near, at["agent"]))
        state = state._replace(position=position, velocity=jnp.where(there, 0.0, state.velocity))
    if name == "collect-treasure":
        k_there, k_hold = jax.random.split(jax.random.fold_in(key, 2))
        there = jax.random.bernoulli(k_there, 0.7, state.drawn.there.shape)
        holding = jax.random.randint(k_hold, state.drawn.holding.shape, -1, ours.deposits)
        state = state._replace(drawn=state.drawn._replace(there=there, holding=holding))
    return state


@pytest.mark.parametrize(("name", "options", "theirs", "continuous"), CASES)
def test_step_for_step(name, options, theirs, continuous):
    ours = make(f"particle/{name}", continuous=continuous, **options)
    env = theirs_of(name, {**theirs, "continuous_actions": continuous})
    env.reset(seed=0)
    if name == "collect-treasure":
        env.unwrapped.world.np_random = None
    names = [f"{kind}_{i}" for kind, has in ours.agents.items() for i in range(has.count)]
    assert names == env.possible_agents
    count = TRANSITIONS if not theirs else TRANSITIONS // 5
    keys = jax.random.split(jax.random.key(sum(map(ord, name))), count)

    def draw(key, kind):
        space = ours.spec.groups[kind].action
        size = ours.agents[kind].count
        if isinstance(space, Box):
            return jax.random.uniform(key, (size, len(space.low)))
        return jax.random.randint(key, (size,), 0, space.n)

    @jax.jit
    @jax.vmap
    def play(key):
        state = begun(name, ours, key)
        action = {kind: draw(jax.random.fold_in(key, i), kind) for i, kind in enumerate(ours.agents)}
        k_step = jax.random.fold_in(key, 9)
        appear = ours.appear(k_step) if name == "collect-treasure" else ()
        return state, action, appear, ours.step(k_step, state, action)

    states, actions, appear, (after, then) = jax.device_get(play(keys))
    seen, paid, over = {}, {}, []
    for i in range(count):
        state, action = at(i, (states, actions))
        inject(name, env, state)
        if appear:
            gone = ~state.drawn.there
            env.unwrapped.world._np_random = Fixed(appear[0][i][gone], appear[1][i][gone])
        flat = [each for kind in ours.agents for each in action[kind]]
        obs, reward, terminated, truncated, _ = env.step(dict(zip(names, flat, strict=True)))
        assert not any(truncated.values())
        over.append(any(terminated.values()))
        for who in names:
            seen.setdefault(who, []).append(obs[who])
            paid.setdefault(who, []).append(reward[who])
        if over[-1]:
            env.reset()
        env.unwrapped.steps = 0
    for kind, has in ours.agents.items():
        np.testing.assert_array_equal(then.discount[kind], 1.0 - np.array(over)[:, None].repeat(has.count, 1))
        for j in range(has.count):
            who = f"{kind}_{j}"
            np.testing.assert_allclose(then.obs[kind][:, j], seen[who], 1e-5, 1e-5, err_msg=who)
            np.testing.assert_allclose(then.reward[kind][:, j], paid[who], 1e-5, 1e-5, err_msg=who)
    assert np.abs(after.velocity).any() or not any(kind.moves for kind in ours.agents.values())
    assert any(over) or not any("until" in option for option in options)


def at(i: int, tree: Any) -> Any:
    return jax.tree.map(lambda x: x[i], tree)


SLOW = ("collect-treasure", "world-comm")


def marked(*names: str) -> list[Any]:
    """Names of worlds; `make learn` plays those that compile long."""
    return [pytest.param(name, marks=pytest.mark.learn) if name in SLOW else name for name in names]


@pytest.mark.parametrize("name", marked(*SETTINGS))
def test_an_episode_ends_at_the_time_limit_with_its_future_open(name):
    world = make(f"particle/{name}", time_limit=2)
    state, now = world.reset(jax.random.key(0))
    for last in (False, True):
        nothing = {kind: jnp.zeros(has.count, jnp.int32) for kind, has in world.agents.items()}
        state, now = world.step(jax.random.key(1), state, nothing)
        assert bool(now.last) is last
        assert all(bool((x == 1).all()) for x in now.discount.values())


@pytest.mark.parametrize("name", marked("spread", "tag", *SLOW))
def test_the_world_keeps_its_promises(name):
    assert check_environment(make(f"particle/{name}")) == []


def returns(world: Any, rules: list[Scripted], kinds: list[str], episodes: int = 400) -> list[float]:
    """Mean returns of an agent of each kind; who follows no rule does anything."""

    @jax.jit
    @jax.vmap
    def play(key):
        def tick(carry, key):
            state, now = carry
            action = random_actions(world.spec, now, key)
            for rule in rules:
                action |= rule.rule(now, key)
            state, then = world.step(key, state, action)
            return (state, then), [then.reward[kind].mean() for kind in kinds]

        _, earned = jax.lax.scan(tick, world.reset(key), jax.random.split(key, world.time_limit))
        return [x.sum() for x in earned]

    return [float(x.mean()) for x in play(jax.random.split(jax.random.key(0), episodes))]


@pytest.mark.parametrize("lanes", [(), (2, 3)])
def test_physics_means_the_same_wherever_lanes_are(lanes):
    """One by one, or mapped twice; values, and derivatives, which leave the way that is mapped."""
    bodies = make("particle/tag").bodies
    position = jax.random.uniform(jax.random.key(0), (*lanes, 6, 2)) * 0.2  # in each other's way

    def moves(position):
        apart = distances(position[:4], position[4:])
        return jnp.concatenate([contact(bodies, position), apart], axis=1)

    every = moves
    for _ in lanes:
        every = jax.vmap(every)
    one = jax.jit(moves)
    one_by_one = np.stack([one(x) for x in position.reshape(-1, 6, 2)]).reshape(*lanes, 4, 4)
    np.testing.assert_allclose(jax.jit(every)(position), one_by_one, rtol=1e-5, atol=1e-6)
    slope = jax.jit(jax.grad(lambda x: every(x).sum()))(position)
    rise = jax.jit(lambda x: jax.jvp(every, (x,), (jnp.ones_like(x),))[1].sum())(position)
    np.testing.assert_allclose(slope.sum(), rise, rtol=1e-3, atol=1e-3)


def test_the_rules_of_tag_play_their_side():
    """Random against random earns 2.9 and -14.5, a greedy chase of random agents 64 and -81 (`mpe2`, 300 episodes)."""
    tag = make("particle/tag")
    kinds = ["adversary", "agent"]
    nobody = returns(tag, [], kinds)
    hunted, fled, both = (returns(tag, [tag.rules()[id]()], kinds) for id in ("chase", "flee", "chase-and-flee"))
    assert nobody == pytest.approx([2.9, -14.5], abs=4)
    assert hunted[0] > 50
    assert fled[1] > -4
    assert nobody[0] < both[0] < hunted[0] / 2


def test_assigned_landmarks_are_covered():
    """Random earns -27 per agent; one assignment for all with a proportional controller -8.4 (`mpe2`)."""
    spread = make("particle/spread")
    (earned,) = returns(spread, [spread.rules()["assigned-landmarks"]()], ["agent"])
    assert earned > -8.4


@pytest.mark.parametrize(
    ("id", "options", "says"),
    [
        ("spread", {"agents": 0}, "`agents` is 0"),
        ("spread", {"local_ratio": 1.5}, "a share lies between 0 and 1"),
        ("spread", {"seen_agents": 0}, "see at least one"),
        ("tag", {"obstacles": -1}, "`obstacles` is -1"),
        ("tag", {"prey_speed": 0.0}, "`prey_speed` is 0.0"),
        ("formation", {"agents": 13}, "up to 12 agents"),
        ("simple", {"time_limit": 0}, "at least one step"),
    ],
)
def test_refuses(id, options, says):
    with pytest.raises(BadInput, match=says):
        make(f"particle/{id}", **options)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_fields_of_an_observation_are_what_they_are_called(name):
    env = make(f"particle/{name}")
    state, now = env.reset(jax.random.key(3))
    for kind, seen in env.see(state).items():
        fields = env.spec.groups[kind].fields_of(now.obs[kind])
        assert set(fields) == set(seen)
        for field, values in seen.items():
            np.testing.assert_array_equal(fields[field], values.reshape(fields[field].shape), field)
