"""Particle environments in which one or two agents go where they shall: simple, reference, speaker-listener."""

from __future__ import annotations

import equinox as eqx
import jax
import numpy as np

from covey.core.checks import contains
from covey.core.errors import BadInput
from covey.environments.particle.base import Particle, check_counts, row
from covey.environments.particle.physics import Kind, length


class Simple(Particle):
    """`particle/simple`: one agent goes to one landmark.

    Sees: its velocity, the landmark relative to itself. Earns minus the squared distance.
    """

    name = "particle/simple"

    @property
    def agents(self):
        return {"agent": Kind(1, collides=False)}

    @property
    def landmarks(self):
        return {"landmark": Kind(1, collides=False)}

    def spawn(self, key):
        return self.begin(key)

    def see(self, state):
        at = self.rows(state.position)
        return {"agent": {"velocity": state.velocity, "landmark": at["landmark"] - at["agent"]}}

    def pay(self, state):
        at = self.rows(state.position)
        return {"agent": -((at["agent"] - at["landmark"]) ** 2).sum(1)}


def simple(time_limit: int = 25, continuous: bool = False) -> Simple:
    """One agent goes to one landmark.

    Args:
        time_limit: Length of an episode, in steps.
        continuous: Push with any strength, instead of fully in one of four directions.
    """
    check_counts(time_limit)
    return Simple(time_limit, continuous, nearest=0)


# ---------------------------------------------------------------------------------------------------------------------
# Reference, and speaker and listener: who is told where to go

PRIMARY = np.eye(3, dtype=np.float32)  # red, green, blue


class ReferenceGame(Particle):
    """`particle/reference`: two agents go where only the other knows, and tell each other.

    Sees: its velocity, the three landmarks relative to itself, the color of the landmark to which the other shall go,
    and the word that the other said. Earns minus the distance of the other to that landmark (`local_ratio` of it, the
    rest the mean of both).
    """

    local_ratio: float = eqx.field(static=True)
    words: int = eqx.field(static=True, default=10, init=False)

    name = "particle/reference"

    @property
    def agents(self):
        return {"agent": Kind(2, collides=False, speaks=True)}

    @property
    def landmarks(self):
        return {"landmark": Kind(3, collides=False)}

    def spawn(self, key):
        key, k_goal = jax.random.split(key)
        return self.begin(key, jax.random.randint(k_goal, (2,), 0, 3))

    def see(self, state):
        at = self.rows(state.position)
        return {
            "agent": {
                "velocity": state.velocity,
                "landmarks": at["landmark"] - at["agent"][:, None],
                "goal_color": row(0.25 + 0.5 * PRIMARY, state.drawn),
                "word": state.word[::-1],
            }
        }

    def pay(self, state):
        at = self.rows(state.position)
        local = -length(at["agent"][::-1] - row(at["landmark"], state.drawn))
        return {"agent": local.mean() * (1.0 - self.local_ratio) + local * self.local_ratio}


def reference(
    local_ratio: float = 0.5, time_limit: int = 25, continuous: bool = False, nearest: int = 0
) -> ReferenceGame:
    """Two agents tell each other where to go.

    Args:
        local_ratio: Weight of the other's distance in the reward; the rest is the mean of both.
        time_limit: Length of an episode, in steps.
        continuous: Push and speak with any strength.
        nearest: How many of the nearest agents each agent lists as neighbors.
    """
    check_counts(time_limit)
    if not contains("[0, 1]", local_ratio):
        raise BadInput(f"`local_ratio` is {local_ratio}: a share lies between 0 and 1.")
    return ReferenceGame(time_limit, continuous, nearest, local_ratio)


class SpeakerListener(Particle):
    """`particle/speaker-listener`: one who cannot move tells one who cannot speak where to go.

    The speaker sees the color of the goal; the listener its velocity, the three landmarks relative to itself and the
    word. Both earn minus the squared distance of the listener to the goal.
    """

    words: int = eqx.field(static=True, default=3, init=False)

    name = "particle/speaker-listener"

    @property
    def agents(self):
        return {
            "speaker": Kind(1, radius=0.075, collides=False, moves=False, speaks=True),
            "listener": Kind(1, radius=0.075, collides=False),
        }

    @property
    def landmarks(self):
        return {"landmark": Kind(3, radius=0.04, collides=False)}

    def spawn(self, key):
        key, k_goal = jax.random.split(key)
        return self.begin(key, jax.random.randint(k_goal, (), 0, 3))

    def see(self, state):
        at = self.rows(state.position)
        return {
            "speaker": {"goal_color": row(0.15 + 0.5 * PRIMARY, state.drawn)[None]},
            "listener": {
                "velocity": state.velocity[1:],
                "landmarks": (at["landmark"] - at["listener"])[None],
                "word": state.word[:1],
            },
        }

    def pay(self, state):
        at = self.rows(state.position)
        reward = -((at["listener"] - row(at["landmark"], state.drawn)) ** 2).sum(1)
        return {"speaker": reward, "listener": reward}


def speaker_listener(time_limit: int = 25, continuous: bool = False, nearest: int = 0) -> SpeakerListener:
    """One agent tells another where to go.

    Args:
        time_limit: Length of an episode, in steps.
        continuous: Push and speak with any strength.
        nearest: How many of the nearest agents each agent lists as neighbors.
    """
    check_counts(time_limit)
    return SpeakerListener(time_limit, continuous, nearest)
