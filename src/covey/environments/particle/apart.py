"""Particle environments with two sides: adversary, push, crypto."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from covey.environments.particle.base import Particle, check_counts, check_seen, row
from covey.environments.particle.physics import Kind, length, nearest, others


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
    nearest: int = 0,
) -> Adversary:
    """Good agents hide from an adversary which landmark is their goal.

    Args:
        agents: How many good agents, and landmarks.
        seen_agents: How many of the nearest agents are seen; None: all.
        seen_landmarks: How many of the nearest landmarks are seen; None: all.
        time_limit: Length of an episode, in steps.
        continuous: Push with any strength, instead of fully in one of four directions.
        nearest: How many of the nearest agents each agent lists as neighbors.
    """
    check_counts(time_limit, agents=agents)
    check_seen(seen_agents=seen_agents, seen_landmarks=seen_landmarks)
    return Adversary(time_limit, continuous, nearest, agents, seen_agents, seen_landmarks)


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


def push(time_limit: int = 25, continuous: bool = False, nearest: int = 0) -> Push:
    """An adversary keeps an agent away from its goal.

    Args:
        time_limit: Length of an episode, in steps.
        continuous: Push with any strength, instead of fully in one of four directions.
        nearest: How many of the nearest agents each agent lists as neighbors.
    """
    check_counts(time_limit)
    return Push(time_limit, continuous, nearest)


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


def crypto(time_limit: int = 25, continuous: bool = False, nearest: int = 0) -> Crypto:
    """Alice and Bob share a secret that Eve must not read.

    Args:
        time_limit: Length of an episode, in steps.
        continuous: Speak with any strength, instead of one word.
        nearest: How many of the nearest agents each agent lists as neighbors.
    """
    check_counts(time_limit)
    return Crypto(time_limit, continuous, nearest)
