"""Particle worlds in which everybody is on one side: simple, spread, reference, speaker-listener, formation, line."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from covey.core.algorithm import Scripted
from covey.core.checks import contains
from covey.core.environment import Reference
from covey.core.errors import BadInput
from covey.core.types import Groups, TimeStep
from covey.environments.particle.base import PUSHES, Particle, ParticleState, check_counts, check_seen, row
from covey.environments.particle.physics import DAMPING, DT, Kind, distances, length, nearest, others

MOST_ASSIGNED = 7  # agents whose assignments are enumerated: 7! = 5040
REACHED = 0.1  # a landmark with an agent closer than that is occupied


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
    return Simple(time_limit, continuous)


# ---------------------------------------------------------------------------------------------------------------------
# Spread


class Spread(Particle):
    """`particle/spread`: agents cover landmarks and keep out of each other's way (cooperative navigation).

    Sees: its velocity and position, landmarks and other agents relative to itself (all, or the nearest), and what the
    others say (nobody speaks: zeros). Earns `1 - local_ratio` of minus the distances from each landmark to its nearest
    agent, and `local_ratio` of minus the number of agents that it touches.
    """

    count_agents: int = eqx.field(static=True)
    count_landmarks: int = eqx.field(static=True)
    local_ratio: float = eqx.field(static=True)
    penalty: bool = eqx.field(static=True)
    until_covered: bool = eqx.field(static=True)
    seen_agents: int | None = eqx.field(static=True)
    seen_landmarks: int | None = eqx.field(static=True)
    words: int = eqx.field(static=True, default=2, init=False)

    name = "particle/spread"

    @property
    def agents(self):
        return {"agent": Kind(self.count_agents, radius=0.15)}

    @property
    def landmarks(self):
        return {"landmark": Kind(self.count_landmarks, collides=False)}

    def spawn(self, key):
        return self.begin(key)

    def see(self, state):
        at = self.rows(state.position)
        mine, word = at["agent"], jnp.broadcast_to(state.word, (self.count, *state.word.shape))
        landmarks, mates, said = at["landmark"] - mine[:, None], others(mine - mine[:, None]), others(word)
        if self.seen_landmarks is not None:
            (landmarks,) = nearest(self.seen_landmarks, length(landmarks), landmarks)
        if self.seen_agents is not None:
            mates, said = nearest(self.seen_agents, length(mates), mates, said)
        fields = {"velocity": state.velocity, "position": mine, "landmarks": landmarks, "mates": mates, "words": said}
        return {"agent": {name: x for name, x in fields.items() if x.size}}

    def pay(self, state):
        gap, touching = self._gaps(state)
        local = -touching.sum(1) if self.penalty else jnp.zeros(self.count)
        return {"agent": -gap.sum() * (1.0 - self.local_ratio) + local * self.local_ratio}

    def done(self, state):
        gap, _ = self._gaps(state)
        return (gap < REACHED).all() & self.until_covered

    def measure(self, state):
        """Of one step: `distance` from a landmark to its nearest agent, summed over landmarks, plane units;
        `collisions`, ordered pairs of agents that touch; `occupied`, landmarks with an agent within 0.1."""
        gap, touching = self._gaps(state)
        return {
            "distance": gap.sum(),
            "collisions": touching.sum(dtype=jnp.float32),
            "occupied": (gap < REACHED).sum(dtype=jnp.float32),
        }

    def reference(self):
        how = (
            "Every agent heads for a landmark of its own, by the assignment that is shortest now and the pushes that "
            "come nearest to it within the next steps; a rule, which does not plan around collisions."
        )
        return Reference("rule", "assigned-landmarks", how)

    def rules(self) -> dict[str, Callable[[], Scripted]]:
        return {"assigned-landmarks": self._assigned}

    def _assigned(self) -> Scripted:
        if max(self.count_agents, self.count_landmarks) > MOST_ASSIGNED:
            raise BadInput(
                f"assignments are enumerated for up to {MOST_ASSIGNED} agents and landmarks, and there are "
                f"{self.count_agents} and {self.count_landmarks}: use fewer."
            )
        if self.continuous or self.seen_agents is not None or self.seen_landmarks is not None:
            raise BadInput("the rule 'assigned-landmarks' needs discrete pushes and agents that see everything.")
        rule = AssignedLandmarks(self.count_agents, self.count_landmarks)
        return Scripted(self.spec, ("agent",), rule, knows="everything (centralized)")

    def _gaps(self, state: ParticleState) -> tuple[Any, Any]:
        """Distances from landmarks to their nearest agents [l], and who touches whom [n, n - 1]."""
        at = self.rows(state.position)
        apart = others(distances(at["agent"], at["agent"]))
        return distances(at["agent"], at["landmark"]).min(0), apart < 2 * 0.15


def spread(
    agents: int = 3,
    landmarks: int | None = None,
    local_ratio: float = 0.5,
    penalty: bool = True,
    until_covered: bool = False,
    seen_agents: int | None = None,
    seen_landmarks: int | None = None,
    time_limit: int = 25,
    continuous: bool = False,
) -> Spread:
    """Agents cover landmarks without touching each other.

    Args:
        agents: How many agents.
        landmarks: How many landmarks; None: as many as agents.
        local_ratio: Weight of the own collisions in the reward; the rest is the team's distances.
        penalty: Collisions cost (the second stage of mpe2's curriculum; without, the first).
        until_covered: End the episode when every landmark is occupied (`terminate_on_success`).
        seen_agents: How many of the nearest agents are seen; None: all.
        seen_landmarks: How many of the nearest landmarks are seen; None: all.
        time_limit: Length of an episode, in steps.
        continuous: Push with any strength, instead of fully in one of four directions.
    """
    landmarks = agents if landmarks is None else landmarks
    check_counts(time_limit, agents=agents, landmarks=landmarks)
    check_seen(seen_agents=seen_agents, seen_landmarks=seen_landmarks)
    if not contains("[0, 1]", local_ratio):
        raise BadInput(f"`local_ratio` is {local_ratio}: a share lies between 0 and 1.")
    settings = (local_ratio, penalty, until_covered, seen_agents, seen_landmarks)
    return Spread(time_limit, continuous, agents, landmarks, *settings)


class AssignedLandmarks(eqx.Module):
    """Every agent heads for a landmark of its own, looking a few steps ahead with the discs' own motion.

    All sequences of `DEPTH` pushes are followed, and then the disc drifts; the one whose distances to the landmark
    sum to least over `AHEAD` steps begins now. Agents without a landmark of their own brake.
    """

    agents: int = eqx.field(static=True)
    landmarks: int = eqx.field(static=True)

    def __call__(self, now: TimeStep, key: Any) -> Groups:
        obs = now.obs["agent"]
        velocity, position = obs[:, :2], obs[:, 2:4]
        landmark = position[0] + obs[0, 4 : 4 + 2 * self.landmarks].reshape(-1, 2)
        choice = permutations(self.agents, self.landmarks)
        apart = jnp.concatenate([distances(position, landmark), jnp.zeros((self.agents, 1))], 1)
        best = jnp.asarray(choice)[apart[np.arange(self.agents), choice].sum(1).argmin()]
        goal = jnp.where((best >= 0)[:, None], landmark[best], position)
        return {"agent": jax.vmap(self.push)(position, velocity, goal)}

    @staticmethod
    def push(position: Any, velocity: Any, goal: Any) -> Any:
        """The first of the pushes that bring one disc nearest to its goal."""
        plans, (way, drift) = _plans(), _motion()
        cost = length(position + velocity * drift[:, None] + way - goal).sum(1)
        return jnp.asarray(plans)[cost.argmin(), 0]


DEPTH, AHEAD = 3, 6


@cache
def _plans() -> np.ndarray:
    """Every sequence of pushes, [P, DEPTH]."""
    return np.array(list(itertools.product(range(5), repeat=DEPTH)), np.int32)


@cache
def _motion() -> tuple[np.ndarray, np.ndarray]:
    """Where a disc gets by each plan from rest [P, AHEAD, 2], and by a velocity of 1 without pushing [AHEAD]."""
    keep = 1.0 - DAMPING
    push = np.concatenate([PUSHES[_plans()], np.zeros((len(_plans()), AHEAD - DEPTH, 2), np.float32)], 1)
    way, speed, drift, left = np.zeros((len(push), AHEAD, 2)), np.zeros((len(push), 2)), np.zeros(AHEAD), 1.0
    for t in range(AHEAD):
        way[:, t] = (way[:, t - 1] if t else 0.0) + DT * speed
        drift[t] = (drift[t - 1] if t else 0.0) + DT * left
        speed, left = keep * speed + DT * 5.0 * push[:, t], keep * left
    return way.astype(np.float32), drift.astype(np.float32)


@cache
def permutations(agents: int, landmarks: int) -> np.ndarray:
    """Every way to give as many agents as possible a landmark of their own: [P, n], -1 for an agent without."""
    if agents <= landmarks:
        return np.array(list(itertools.permutations(range(landmarks), agents)))
    owners = np.array(list(itertools.permutations(range(agents), landmarks)))
    table = np.full((len(owners), agents), -1)
    table[np.arange(len(owners))[:, None], owners] = np.arange(landmarks)
    return table


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


def reference(local_ratio: float = 0.5, time_limit: int = 25, continuous: bool = False) -> ReferenceGame:
    """Two agents tell each other where to go.

    Args:
        local_ratio: Weight of the other's distance in the reward; the rest is the mean of both.
        time_limit: Length of an episode, in steps.
        continuous: Push and speak with any strength.
    """
    check_counts(time_limit)
    if not contains("[0, 1]", local_ratio):
        raise BadInput(f"`local_ratio` is {local_ratio}: a share lies between 0 and 1.")
    return ReferenceGame(time_limit, continuous, local_ratio)


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


def speaker_listener(time_limit: int = 25, continuous: bool = False) -> SpeakerListener:
    """One agent tells another where to go.

    Args:
        time_limit: Length of an episode, in steps.
        continuous: Push and speak with any strength.
    """
    check_counts(time_limit)
    return SpeakerListener(time_limit, continuous)


# ---------------------------------------------------------------------------------------------------------------------
# Formation and line: places that nobody owns


class Places(Particle):
    """Agents take places, whoever takes which. All earn minus their mean distance (2 at most each) to the places, by
    the assignment that is shortest. Sees: its velocity and position, the landmarks relative to itself.
    """

    count_agents: int = eqx.field(static=True)
    until_taken: bool = eqx.field(static=True)

    def places(self, at: dict[str, Any]) -> Any:
        """Where agents shall be, [n, 2]."""
        raise NotImplementedError

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
        choice = permutations(self.count, self.count)
        each = apart[np.arange(self.count), choice]
        return each[each.sum(1).argmin()]


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


def _places(world: type, agents: int, until_taken: bool, time_limit: int, continuous: bool) -> Any:
    check_counts(time_limit, agents=agents)
    if agents > MOST_ASSIGNED:
        raise BadInput(f"assignments are enumerated for up to {MOST_ASSIGNED} agents, and there are {agents}.")
    return world(time_limit, continuous, agents, until_taken)


def formation(agents: int = 4, until_taken: bool = False, time_limit: int = 25, continuous: bool = False) -> Formation:
    """Agents stand evenly around a landmark.

    Args:
        agents: How many agents.
        until_taken: End the episode when every agent is within 0.05 of its place (`terminate_on_success`).
        time_limit: Length of an episode, in steps.
        continuous: Push with any strength, instead of fully in one of four directions.
    """
    return _places(Formation, agents, until_taken, time_limit, continuous)


def line(agents: int = 4, until_taken: bool = False, time_limit: int = 25, continuous: bool = False) -> Line:
    """Agents stand evenly between two landmarks.

    Args:
        agents: How many agents.
        until_taken: End the episode when every agent is within 0.05 of its place (`terminate_on_success`).
        time_limit: Length of an episode, in steps.
        continuous: Push with any strength, instead of fully in one of four directions.
    """
    return _places(Line, agents, until_taken, time_limit, continuous)
