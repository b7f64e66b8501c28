"""`particle/spread`: agents cover landmarks, and the rule that gives each of them one."""

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
from covey.core.types import Groups, Spec, TimeStep
from covey.environments.assigning import MOST_ASSIGNED, assigned
from covey.environments.particle.base import PUSHES, Particle, ParticleState, check_counts, check_seen
from covey.environments.particle.physics import DAMPING, DT, Kind, distances, length, nearest, others

REACHED = 0.1  # a landmark with an agent closer than that is occupied
DEPTH, AHEAD = 3, 6  # pushes that the rule tries, and steps that it looks ahead


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
                f"assignments are made for up to {MOST_ASSIGNED} agents and landmarks, and there are "
                f"{self.count_agents} and {self.count_landmarks}: use fewer."
            )
        if self.continuous or self.seen_agents is not None or self.seen_landmarks is not None:
            raise BadInput("the rule 'assigned-landmarks' needs discrete pushes and agents that see everything.")
        rule = AssignedLandmarks(self.spec)
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
    nearest: int = 0,
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
        nearest: How many of the nearest agents each agent lists as neighbors.
    """
    landmarks = agents if landmarks is None else landmarks
    check_counts(time_limit, agents=agents, landmarks=landmarks)
    check_seen(seen_agents=seen_agents, seen_landmarks=seen_landmarks)
    if not contains("[0, 1]", local_ratio):
        raise BadInput(f"`local_ratio` is {local_ratio}: a share lies between 0 and 1.")
    settings = (local_ratio, penalty, until_covered, seen_agents, seen_landmarks)
    return Spread(time_limit, continuous, nearest, agents, landmarks, *settings)


class AssignedLandmarks(eqx.Module):
    """Every agent heads for a landmark of its own, looking a few steps ahead with the discs' own motion.

    All sequences of `DEPTH` pushes are followed, and then the disc drifts; the one whose distances to the landmark
    sum to least over `AHEAD` steps begins now. Agents without a landmark of their own brake.
    """

    spec: Spec = eqx.field(static=True)

    def __call__(self, now: TimeStep, key: Any) -> Groups:
        seen = self.spec.groups["agent"].fields_of(now.obs["agent"])
        velocity, position = seen["velocity"], seen["position"]
        landmark = position[0] + seen["landmarks"][0]
        best = assigned(distances(position, landmark))
        goal = jnp.where((best >= 0)[:, None], landmark[best], position)
        return {"agent": jax.vmap(self.push)(position, velocity, goal)}

    @staticmethod
    def push(position: Any, velocity: Any, goal: Any) -> Any:
        """The first of the pushes that bring one disc nearest to its goal."""
        plans, (way, drift) = _plans(), _motion()
        cost = length(position + velocity * drift[:, None] + way - goal).sum(1)
        return jnp.asarray(plans)[cost.argmin(), 0]


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
