"""Particle worlds with two sides: adversary, push, crypto, tag, world-comm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from covey.core.algorithm import Scripted
from covey.core.environment import Reference
from covey.core.errors import BadInput
from covey.core.types import Groups, TimeStep
from covey.environments.particle.base import PUSHES, Particle, ParticleState, check_counts, check_seen, row
from covey.environments.particle.physics import Kind, distances, length, nearest, others


class Adversary(Particle):
    """`particle/adversary`: good agents go to a goal that an adversary, who does not know which landmark it is, must
    not find.

    Sees: (good agents: the goal,) the landmarks and the other agents relative to itself, all or the nearest. The
    adversary earns minus its distance to the goal; good agents earn that distance, minus that of the nearest of them.
    """

    count_good: int = eqx.field(static=True)
    seen_agents: int | None = eqx.field(static=True)
    seen_landmarks: int | None = eqx.field(static=True)

    name = "particle/adversary"

    @property
    def agents(self):
        return {
            "adversary": Kind(1, radius=0.15, collides=False),
            "agent": Kind(self.count_good, radius=0.15, collides=False),
        }

    @property
    def landmarks(self):
        return {"landmark": Kind(self.count_good, radius=0.08, collides=False)}

    def spawn(self, key):
        key, k_goal = jax.random.split(key)
        return self.begin(key, jax.random.randint(k_goal, (), 0, self.count_good))

    def see(self, state):
        at = self.rows(state.position)
        mine = state.position[: self.count]
        landmarks, mates = at["landmark"] - mine[:, None], others(mine - mine[:, None])
        if self.seen_landmarks is not None:
            (landmarks,) = nearest(self.seen_landmarks, length(landmarks), landmarks)
        if self.seen_agents is not None:
            (mates,) = nearest(self.seen_agents, length(mates), mates)
        seen = self.each({"landmarks": landmarks, "others": mates})
        seen["agent"] = {"goal": row(at["landmark"], state.drawn) - at["agent"]} | seen["agent"]
        return seen

    def pay(self, state):
        at = self.rows(state.position)
        goal = row(at["landmark"], state.drawn)
        theirs, ours = length(at["adversary"] - goal), length(at["agent"] - goal).min()
        return {"adversary": -theirs, "agent": jnp.full(self.count_good, theirs[0] - ours)}

    def measure(self, state):
        """Of one step: how far the adversary and the nearest good agent are from the goal, plane units."""
        at = self.rows(state.position)
        goal = row(at["landmark"], state.drawn)
        return {"adversary_distance": length(at["adversary"] - goal)[0], "distance": length(at["agent"] - goal).min()}


def adversary(
    agents: int = 2,
    seen_agents: int | None = None,
    seen_landmarks: int | None = None,
    time_limit: int = 25,
    continuous: bool = False,
) -> Adversary:
    """Good agents hide from an adversary which landmark is their goal.

    Args:
        agents: How many good agents, and landmarks.
        seen_agents: How many of the nearest agents are seen; None: all.
        seen_landmarks: How many of the nearest landmarks are seen; None: all.
        time_limit: Length of an episode, in steps.
        continuous: Push with any strength, instead of fully in one of four directions.
    """
    check_counts(time_limit, agents=agents)
    check_seen(seen_agents=seen_agents, seen_landmarks=seen_landmarks)
    return Adversary(time_limit, continuous, agents, seen_agents, seen_landmarks)


class Push(Particle):
    """`particle/push`: an agent goes to one of two landmarks, and an adversary, who is not told which, keeps it away.

    The agent sees its velocity, the goal, its color (which tells the goal), the landmarks and their colors, and the
    adversary; the adversary its velocity, the landmarks and the agent; places relative to oneself. The agent earns
    minus its distance to the goal, the adversary that distance minus its own.
    """

    name = "particle/push"

    @property
    def agents(self):
        return {"adversary": Kind(1), "agent": Kind(1)}

    @property
    def landmarks(self):
        return {"landmark": Kind(2, collides=False)}

    def spawn(self, key):
        key, k_goal = jax.random.split(key)
        return self.begin(key, jax.random.randint(k_goal, (), 0, 2))

    def see(self, state):
        at = self.rows(state.position)
        hue = np.array([[0, 1, 0], [0, 0, 1]], np.float32)
        they, we = at["adversary"], at["agent"]
        return {
            "adversary": {
                "velocity": state.velocity[:1],
                "landmarks": (at["landmark"] - they)[None],
                "others": (we - they)[None],
            },
            "agent": {
                "velocity": state.velocity[1:],
                "goal": row(at["landmark"], state.drawn) - we,
                "color": row(0.25 + 0.5 * hue, state.drawn)[None],
                "landmarks": (at["landmark"] - we)[None],
                "landmark_colors": (0.1 + 0.8 * hue)[None],
                "others": (they - we)[None],
            },
        }

    def pay(self, state):
        at = self.rows(state.position)
        goal = row(at["landmark"], state.drawn)
        theirs, ours = length(at["adversary"] - goal), length(at["agent"] - goal)
        return {"adversary": ours - theirs, "agent": -ours}


def push(time_limit: int = 25, continuous: bool = False) -> Push:
    """An adversary keeps an agent away from its goal.

    Args:
        time_limit: Length of an episode, in steps.
        continuous: Push with any strength, instead of fully in one of four directions.
    """
    check_counts(time_limit)
    return Push(time_limit, continuous)


class Crypto(Particle):
    """`particle/crypto`: Alice tells Bob a color by a word that Eve reads too, but without the key.

    Nobody moves. Alice sees the goal's color and the key, Bob the key and Alice's word, Eve Alice's word; colors, keys
    and words have four entries. With b and e the squared errors of Bob's and Eve's words (0 where they are silent):
    Alice and Bob earn e - b, Eve earns -e.
    """

    words: int = eqx.field(static=True, default=4, init=False)

    name = "particle/crypto"

    @property
    def agents(self):
        return {name: Kind(1, collides=False, moves=False, speaks=True) for name in ("eve", "bob", "alice")}

    @property
    def landmarks(self):
        return {"landmark": Kind(2, collides=False)}

    def spawn(self, key):
        """`drawn`: the numbers of the goal and of the key."""
        key, k_goal = jax.random.split(key)
        return self.begin(key, jax.random.randint(k_goal, (2,), 0, 2))

    def see(self, state):
        color, key = jax.nn.one_hot(state.drawn, 4)[:, None]
        word = self.rows(state.word)["alice"]
        return {
            "eve": {"word": word},
            "bob": {"key": key, "word": word},
            "alice": {"goal_color": color, "key": key},
        }

    def pay(self, state):
        goal, said = jax.nn.one_hot(state.drawn[0], 4), self.rows(state.word)

        def error(name: str) -> Any:
            word = said[name]
            return jnp.where((word == 0).all(1), 0.0, ((word - goal) ** 2).sum(1))

        ours = error("eve") - error("bob")
        return {"eve": -error("eve"), "bob": ours, "alice": ours}


def crypto(time_limit: int = 25, continuous: bool = False) -> Crypto:
    """Alice and Bob share a secret that Eve must not read.

    Args:
        time_limit: Length of an episode, in steps.
        continuous: Speak with any strength, instead of one word.
    """
    check_counts(time_limit)
    return Crypto(time_limit, continuous)


# ---------------------------------------------------------------------------------------------------------------------
# Tag


def strayed(position: Any) -> Any:
    """What it costs to be at `position` [n, 2]: nothing inside of 0.9, then more and more, 10 a coordinate at most."""
    x = jnp.abs(position)
    far = jnp.minimum(jnp.exp(2.0 * x - 2.0), 10.0)
    return jnp.where(x < 0.9, 0.0, jnp.where(x < 1.0, 10.0 * (x - 0.9), far)).sum(1)


class Tag(Particle):
    """`particle/tag`: slow adversaries chase fast agents around obstacles.

    Sees: its velocity and position, obstacles and other agents relative to itself, velocities of the other good agents
    (with `seen_agents`: of the nearest, zeros for adversaries). Adversaries earn 10 for every touch of anybody's by
    any of them; a good agent pays 10 for each adversary that touches it, and for straying.
    """

    count_good: int = eqx.field(static=True)
    count_adversaries: int = eqx.field(static=True)
    obstacles: int = eqx.field(static=True)
    prey_speed: float = eqx.field(static=True)
    until_caught: bool = eqx.field(static=True)
    seen_agents: int | None = eqx.field(static=True)
    seen_landmarks: int | None = eqx.field(static=True)

    name = "particle/tag"

    @property
    def agents(self):
        return {
            "adversary": Kind(self.count_adversaries, radius=0.075, thrust=3.0, top_speed=1.0),
            "agent": Kind(self.count_good, radius=0.05, thrust=4.0 * self.prey_speed, top_speed=1.3 * self.prey_speed),
        }

    @property
    def landmarks(self):
        return {"obstacle": Kind(self.obstacles, radius=0.2)}

    def spawn(self, key):
        return self.begin(key, spread=0.9)

    def see(self, state):
        at, n = self.rows(state.position), self.count_adversaries
        mine = state.position[: self.count]
        landmarks, mates = at["obstacle"] - mine[:, None], others(mine - mine[:, None])
        moving = others(jnp.broadcast_to(state.velocity, (self.count, *state.velocity.shape)))
        if self.seen_landmarks is not None:
            (landmarks,) = nearest(self.seen_landmarks, length(landmarks), landmarks)
        if self.seen_agents is not None:
            good = others(np.broadcast_to(np.arange(self.count) >= n, (self.count, self.count)))
            mates, moving = nearest(self.seen_agents, length(mates), mates, jnp.where(good[..., None], moving, 0.0))
            velocities = moving[:n], moving[n:]
        else:  # of the good ones, who come last
            velocities = moving[:n, n - 1 :], moving[n:, n:]
        seen = self.each({"velocity": state.velocity, "position": mine, "obstacles": landmarks, "others": mates})
        for name, theirs in zip(self.agents, velocities, strict=True):
            seen[name] |= {"prey_velocity": theirs} if theirs.size else {}
        return seen

    def pay(self, state):
        touching = self._touching(state)
        return {
            "adversary": jnp.full(self.count_adversaries, 10.0 * touching.sum()),
            "agent": -10.0 * touching.sum(0) - strayed(self.rows(state.position)["agent"]),
        }

    def done(self, state):
        return self._touching(state).any(0).all() & self.until_caught

    def measure(self, state):
        """Of one step: `touches`, pairs of an adversary and a good agent that touch; `distance` from an agent to the
        nearest adversary, mean over agents, plane units."""
        at = self.rows(state.position)
        return {
            "touches": self._touching(state).sum(dtype=jnp.float32),
            "distance": distances(at["adversary"], at["agent"]).min(0).mean(),
        }

    def reference(self):
        how = (
            "Adversaries push towards the nearest agent, agents away from the nearest adversary and from the edge; a "
            "rule for both sides, to play against."
        )
        return Reference("rule", "chase-and-flee", how)

    def rules(self) -> dict[str, Callable[[], Scripted]]:
        """Both sides by rule, or one of them, and then the other at random."""
        chase, flee = Chase(self.count_good), Flee(self.count_adversaries)
        return {
            "chase-and-flee": lambda: self._rule(chase, flee),
            "chase": lambda: self._rule(chase),
            "flee": lambda: self._rule(flee),
        }

    def _rule(self, *sides: Callable[[TimeStep, Any], Groups]) -> Scripted:
        if self.continuous or self.seen_agents is not None or self.seen_landmarks is not None:
            raise BadInput("the rules of `particle/tag` need discrete pushes and agents that see everything.")

        def play(now: TimeStep, key: Any) -> Groups:
            pushes = jax.random.randint(key, (self.count,), 0, len(PUSHES))
            action = {name: self.rows(pushes)[name] for name in self.agents}
            for side in sides:
                action |= side(now, key)
            return action

        return Scripted(self.spec, tuple(self.spec.groups), play)

    def _touching(self, state: ParticleState) -> Any:
        """Which adversary touches which good agent, [k, n]."""
        at = self.rows(state.position)
        return distances(at["adversary"], at["agent"]) < 0.075 + 0.05


def tag(
    agents: int = 1,
    adversaries: int = 3,
    obstacles: int = 2,
    prey_speed: float = 1.0,
    until_caught: bool = False,
    seen_agents: int | None = None,
    seen_landmarks: int | None = None,
    time_limit: int = 25,
    continuous: bool = False,
) -> Tag:
    """Slow adversaries chase fast agents around obstacles.

    Args:
        agents: How many good agents.
        adversaries: How many adversaries.
        obstacles: How many obstacles.
        prey_speed: Speed and thrust of good agents, as a share of the usual (mpe2's curriculum: 0.5, 0.75, 1).
        until_caught: End the episode when every good agent is touched at once (`terminate_on_success`).
        seen_agents: How many of the nearest agents are seen; None: all.
        seen_landmarks: How many of the nearest obstacles are seen; None: all.
        time_limit: Length of an episode, in steps.
        continuous: Push with any strength, instead of fully in one of four directions.
    """
    check_counts(time_limit, agents=agents, adversaries=adversaries)
    check_seen(seen_agents=seen_agents, seen_landmarks=seen_landmarks)
    if obstacles < 0:
        raise BadInput(f"`obstacles` is {obstacles}: there are none, or some.")
    if not 0 < prey_speed < np.inf:
        raise BadInput(f"`prey_speed` is {prey_speed}: make it a finite share above 0.")
    settings = (prey_speed, until_caught, seen_agents, seen_landmarks)
    return Tag(time_limit, continuous, agents, adversaries, obstacles, *settings)


class WorldComm(Particle):
    """`particle/world-comm`: tag with food to eat, forests to hide in, and a leader who tells the others what it sees.

    Sees: its velocity and position; obstacles, food and forests relative to itself; other agents relative to itself
    and the velocities of the other good ones, zeros where a forest hides them (those inside see each other, those
    outside see those outside, and the leader sees all); in which forests it is (1 or -1); and, adversaries, the
    leader's word. Good agents pay 5 for each adversary that touches them, double for straying, and 0.05 of the distance
    to the nearest food; touched food earns 2. Adversaries earn 5 for every touch of anybody's, minus 0.1 of the
    distance to the nearest good agent.
    """

    count_good: int = eqx.field(static=True)
    count_adversaries: int = eqx.field(static=True)
    obstacles: int = eqx.field(static=True)
    food: int = eqx.field(static=True)
    forests: int = eqx.field(static=True)
    words: int = eqx.field(static=True, default=4, init=False)

    name = "particle/world-comm"

    @property
    def agents(self):
        hunter = Kind(self.count_adversaries - 1, radius=0.075, thrust=3.0, top_speed=1.0)
        kinds = {
            "leadadversary": hunter._replace(count=1, speaks=True),
            "adversary": hunter,
            "agent": Kind(self.count_good, radius=0.045, thrust=4.0, top_speed=1.3),
        }
        return {name: kind for name, kind in kinds.items() if kind.count}

    @property
    def landmarks(self):
        return {
            "obstacle": Kind(self.obstacles, radius=0.2),
            "food": Kind(self.food, radius=0.03, collides=False),
            "forest": Kind(self.forests, radius=0.3, collides=False),
        }

    def spawn(self, key):
        return self.begin(key, spread=0.9)

    def see(self, state):
        at, n = self.rows(state.position), self.count_adversaries
        mine = state.position[: self.count]
        inside = distances(mine, at["forest"]) < self.bodies.radius[: self.count, None] + 0.3  # [a, forests]
        together, outside = (inside[:, None] & inside).any(2), ~inside.any(1)
        visible = together | (outside[:, None] & outside) | (np.arange(self.count) == 0)[:, None]
        mates = others(jnp.where(visible[..., None], mine - mine[:, None], 0.0))
        moving = others(jnp.where(visible[..., None], state.velocity, 0.0))
        around = {
            "velocity": state.velocity,
            "position": mine,
            "landmarks": state.position[self.count :] - mine[:, None],
            "others": mates,
        }
        seen, forests = self.each(around), self.each({"in_forest": 2.0 * inside - 1.0})
        heard = self.each({"word": jnp.broadcast_to(state.word[0], (self.count, self.words))})
        hunters, prey = self.rows(moving[:, n - 1 :]), moving[n:, n:]
        for name in self.agents:
            if name == "agent":
                seen[name] |= forests[name] | ({"prey_velocity": prey} if prey.size else {})
            else:
                seen[name] |= {"prey_velocity": hunters[name]} | forests[name] | heard[name]
        return seen

    def pay(self, state):
        at, n = self.rows(state.position), self.count_adversaries
        hunters, prey = state.position[:n], at["agent"]
        apart, hungry = distances(hunters, prey), distances(prey, at["food"])
        touching = apart < 0.075 + 0.045
        hunted = 5.0 * touching.sum() - 0.1 * apart.min(1)
        reward = {name: x for name, x in self.rows(jnp.pad(hunted, (0, self.count - n))).items() if name in self.agents}
        eaten = 2.0 * (hungry < 0.045 + 0.03).sum(1) - 0.05 * hungry.min(1)
        return reward | {"agent": eaten - 5.0 * touching.sum(0) - 2.0 * strayed(prey)}

    def measure(self, state):
        """Of one step: `touches`, pairs of an adversary and a good agent that touch; `eaten`, touched food."""
        at = self.rows(state.position)
        hunted = distances(state.position[: self.count_adversaries], at["agent"]) < 0.075 + 0.045
        eaten = distances(at["agent"], at["food"]) < 0.045 + 0.03
        return {"touches": hunted.sum(dtype=jnp.float32), "eaten": eaten.sum(dtype=jnp.float32)}


def world_comm(
    agents: int = 2,
    adversaries: int = 4,
    obstacles: int = 1,
    food: int = 2,
    forests: int = 2,
    time_limit: int = 25,
    continuous: bool = False,
) -> WorldComm:
    """Tag with food, forests to hide in, and a leader who sees all and speaks.

    Args:
        agents: How many good agents.
        adversaries: How many adversaries, with the leader.
        obstacles: How many obstacles.
        food: How many pieces of food.
        forests: How many forests.
        time_limit: Length of an episode, in steps.
        continuous: Push and speak with any strength.
    """
    check_counts(time_limit, agents=agents, adversaries=adversaries, food=food, forests=forests)
    if obstacles < 0:
        raise BadInput(f"`obstacles` is {obstacles}: there are none, or some.")
    return WorldComm(time_limit, continuous, agents, adversaries, obstacles, food, forests)


# ---------------------------------------------------------------------------------------------------------------------
# Rules of tag


class Chase(eqx.Module):
    """Every adversary pushes, along the axis that is farther, to where the nearest good agent will be."""

    prey: int = eqx.field(static=True)

    def __call__(self, now: TimeStep, key: Any) -> Groups:
        obs = now.obs["adversary"]
        velocity, prey_velocity = obs[:, :2], obs[:, -2 * self.prey :].reshape(-1, self.prey, 2)
        offset = obs[:, : -2 * self.prey][:, -2 * self.prey :].reshape(-1, self.prey, 2)
        closest = length(offset).argmin(1)
        rows = np.arange(len(obs))
        return {"adversary": towards(offset[rows, closest] + 0.2 * (prey_velocity[rows, closest] - velocity))}


class Flee(eqx.Module):
    """Every good agent pushes away from the adversaries, the more the nearer they are, and from the edge."""

    hunters: int = eqx.field(static=True)

    def __call__(self, now: TimeStep, key: Any) -> Groups:
        obs = now.obs["agent"]
        agents = len(obs)
        velocity, position = obs[:, :2], obs[:, 2:4]
        rest = obs.shape[1] - 4 - 2 * (agents - 1)  # obstacles and others
        begin = 4 + rest - 2 * (self.hunters + agents - 1)
        offset = obs[:, begin : begin + 2 * self.hunters].reshape(agents, self.hunters, 2)
        away = -(offset / jnp.maximum(length(offset), 1e-3)[..., None] ** 3).sum(1)
        ahead = position + 0.2 * velocity
        edge = -jnp.sign(ahead) * 50.0 * jnp.maximum(jnp.abs(ahead) - 0.75, 0.0)
        return {"agent": towards(away + edge)}


def towards(direction: Any) -> Any:
    """The push [n] that is nearest to a direction [n, 2]."""
    return (direction @ PUSHES.T).argmax(1).astype(jnp.int32)
