"""Particle environments of places that nobody owns: formation and line."""

from __future__ import annotations

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from covey.core.errors import BadInput
from covey.environments.assigning import MOST_ASSIGNED, assigned
from covey.environments.particle.base import Particle, ParticleState, check_counts
from covey.environments.particle.physics import Kind, distances


class Places(Particle):
    """Agents take places, whoever takes which. All earn minus their mean distance (2 at most each) to the places, by
    the assignment that is shortest. Sees: its velocity and position, the landmarks relative to itself.
    """

    count_agents: int = eqx.field(static=True)
    until_taken: bool = eqx.field(static=True)

    @abc.abstractmethod
    def places(self, at: dict[str, Any]) -> Any:
        """Where agents shall be, [n, 2]."""

    def see(self, state):
        at = self.rows(state.position)
        mine = at["agent"]
        return {
            "agent": {"velocity": state.velocity, "position": mine, "landmarks": at["landmark"] - mine[:, None]},
        }

    def pay(self, state):
        return {"agent": jnp.full(self.count, -jnp.minimum(self._gaps(state), 2.0).mean())}

    def done(self, state):
        return (self._gaps(state) < 0.05).all() & self.until_taken

    def measure(self, state):
        """Of one step: `distance` from an agent to its place, mean over agents, plane units."""
        return {"distance": self._gaps(state).mean()}

    def _gaps(self, state: ParticleState) -> Any:
        at = self.rows(state.position)
        apart = distances(at["agent"], self.places(at))
        return apart[np.arange(self.count), assigned(apart)]


class Formation(Places):
    """`particle/formation`: agents stand evenly on a circle of radius 0.5 around a landmark. The circle is turned such
    that one place lies in the direction of the agent with the smallest angle. See `Places` for the rest.
    """

    name = "particle/formation"

    @property
    def agents(self):
        return {"agent": Kind(self.count_agents)}

    @property
    def landmarks(self):
        return {"landmark": Kind(1, radius=0.03, collides=False)}

    def spawn(self, key):
        return self.begin(key, spread=0.5)

    def places(self, at):
        offset = at["agent"] - at["landmark"]
        angle = jnp.arctan2(offset[:, 1], offset[:, 0])
        first = jnp.where(angle < 0, angle + 2 * jnp.pi, angle).min()
        angle = first + 2 * jnp.pi / self.count * jnp.arange(self.count)
        return at["landmark"] + 0.5 * jnp.stack([jnp.cos(angle), jnp.sin(angle)], 1)


class Line(Places):
    """`particle/line`: agents stand evenly between two landmarks that are 1.25 apart. See `Places` for the rest."""

    name = "particle/line"

    @property
    def agents(self):
        return {"agent": Kind(self.count_agents, radius=0.03)}

    @property
    def landmarks(self):
        return {"landmark": Kind(2, radius=0.02, collides=False)}

    def spawn(self, key):
        """The second landmark lies in a random direction, turned by steps of 5° until it is in the plane."""
        key, k_turn = jax.random.split(key)
        state = self.begin(key, spread=0.25)
        turn = jax.random.uniform(k_turn, maxval=2 * jnp.pi) + np.radians(5 * np.arange(72))
        there = state.position[-2] + 1.25 * jnp.stack([jnp.cos(turn), jnp.sin(turn)], 1)
        return state._replace(position=state.position.at[-1].set(there[(jnp.abs(there) < 1.0).all(1).argmax()]))

    def places(self, at):
        first, second = at["landmark"]
        share = np.linspace(0.0, 1.0, self.count)[:, None]
        return first + share * (second - first)


def _places(world: type, agents: int, until_taken: bool, time_limit: int, continuous: bool, nearest: int) -> Any:
    check_counts(time_limit, agents=agents)
    if agents > MOST_ASSIGNED:
        raise BadInput(f"assignments are made for up to {MOST_ASSIGNED} agents, and there are {agents}.")
    return world(time_limit, continuous, nearest, agents, until_taken)


def formation(
    agents: int = 4, until_taken: bool = False, time_limit: int = 25, continuous: bool = False, nearest: int = 0
) -> Formation:
    """Agents stand evenly around a landmark.

    Args:
        agents: How many agents.
        until_taken: End the episode when every agent is within 0.05 of its place (`terminate_on_success`).
        time_limit: Length of an episode, in steps.
        continuous: Push with any strength, instead of fully in one of four directions.
        nearest: How many of the nearest agents each agent lists as neighbors.
    """
    return _places(Formation, agents, until_taken, time_limit, continuous, nearest)


def line(
    agents: int = 4, until_taken: bool = False, time_limit: int = 25, continuous: bool = False, nearest: int = 0
) -> Line:
    """Agents stand evenly between two landmarks.

    Args:
        agents: How many agents.
        until_taken: End the episode when every agent is within 0.05 of its place (`terminate_on_success`).
        time_limit: Length of an episode, in steps.
        continuous: Push with any strength, instead of fully in one of four directions.
        nearest: How many of the nearest agents each agent lists as neighbors.
    """
    return _places(Line, agents, until_taken, time_limit, continuous, nearest)
