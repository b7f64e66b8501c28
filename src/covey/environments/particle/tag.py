"""Particle environments of chasing: tag, and environment-comm, which has food, forests and a leader; the rules of
tag."""

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
from covey.core.types import Groups, Spec, TimeStep
from covey.environments.particle.base import PUSHES, Particle, ParticleState, check_counts, check_seen
from covey.environments.particle.physics import Kind, distances, length, nearest, others


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
        chase, flee = Chase(self.spec), Flee(self.spec)
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
    nearest: int = 0,
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
        nearest: How many of the nearest agents each agent lists as neighbors.
    """
    check_counts(time_limit, agents=agents, adversaries=adversaries)
    check_seen(seen_agents=seen_agents, seen_landmarks=seen_landmarks)
    if obstacles < 0:
        raise BadInput(f"`obstacles` is {obstacles}: there are none, or some.")
    if not 0 < prey_speed < np.inf:
        raise BadInput(f"`prey_speed` is {prey_speed}: make it a finite share above 0.")
    settings = (prey_speed, until_caught, seen_agents, seen_landmarks)
    return Tag(time_limit, continuous, nearest, agents, adversaries, obstacles, *settings)


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
    nearest: int = 0,
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
        nearest: How many of the nearest agents each agent lists as neighbors.
    """
    check_counts(time_limit, agents=agents, adversaries=adversaries, food=food, forests=forests)
    if obstacles < 0:
        raise BadInput(f"`obstacles` is {obstacles}: there are none, or some.")
    return WorldComm(time_limit, continuous, nearest, agents, adversaries, obstacles, food, forests)


# ---------------------------------------------------------------------------------------------------------------------
# Rules of tag


class Chase(eqx.Module):
    """Every adversary pushes, along the axis that is farther, to where the nearest good agent will be."""

    spec: Spec = eqx.field(static=True)

    def __call__(self, now: TimeStep, key: Any) -> Groups:
        group = self.spec.groups["adversary"]
        seen = group.fields_of(now.obs["adversary"])
        velocity, prey_velocity = seen["velocity"], seen["prey_velocity"]
        offset = seen["others"][:, group.size - 1 :]  # the good ones come last
        closest = length(offset).argmin(1)
        rows = np.arange(group.size)
        return {"adversary": towards(offset[rows, closest] + 0.2 * (prey_velocity[rows, closest] - velocity))}


class Flee(eqx.Module):
    """Every good agent pushes away from the adversaries, the more the nearer they are, and from the edge."""

    spec: Spec = eqx.field(static=True)

    def __call__(self, now: TimeStep, key: Any) -> Groups:
        seen = self.spec.groups["agent"].fields_of(now.obs["agent"])
        velocity, position = seen["velocity"], seen["position"]
        offset = seen["others"][:, : self.spec.groups["adversary"].size]  # they come first
        away = -(offset / jnp.maximum(length(offset), 1e-3)[..., None] ** 3).sum(1)
        ahead = position + 0.2 * velocity
        edge = -jnp.sign(ahead) * 50.0 * jnp.maximum(jnp.abs(ahead) - 0.75, 0.0)
        return {"agent": towards(away + edge)}


def towards(direction: Any) -> Any:
    """The push [n] that is nearest to a direction [n, 2]."""
    return (direction @ PUSHES.T).argmax(1).astype(jnp.int32)
