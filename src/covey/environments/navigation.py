"""`navigation`: a few agents cover a few landmarks (cooperative navigation of ATT-MADDPG, arXiv:1811.07029).

The paper gives the plane, the velocity control and "the negative proximity of any agent to each landmark", and leaves
speed and length open. With the defaults here random agents earn -3.2 a step, greedy ones -1.92 and assigned ones
-1.28, which is the range of the paper's table 2 (-2.1 for greedy pursuit, -1.27 for its best method).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from covey.core.algorithm import Scripted
from covey.core.environment import Reference
from covey.core.errors import BadInput
from covey.core.registry import part
from covey.core.types import Box, Field, Group, Groups, Spec, Table, TimeStep, fields_in
from covey.environments import plane
from covey.environments.neighbors import check_nearest, nearest_neighbors

MOST_ASSIGNED = 6  # agents or landmarks whose assignments are enumerated: 6! = 720
MOST_CHOICES = 1024  # ways to give each landmark an agent that the bound enumerates


class NavigationState(NamedTuple):
    """State of `navigation`, float32 but for the clock; lengths in plane units."""

    clock: Any  # []  int32, steps taken
    position: Any  # [n, 2]
    velocity: Any  # [n, 2]  the last step that was made
    landmark: Any  # [L, 2]  drawn at reset
    start: Any  # [n, 2]  where the agents began (for the bound)


class Navigation(eqx.Module):
    """Agents without inertia cover landmarks; they share what they earn.

    The plane is [0, size]². Agents and landmarks are drawn uniformly at reset; landmarks stay. In one step an agent
    moves by its action, shortened to `speed` where it is faster; walls stop it; agents pass through each other.

    Group `agent`. Observation, float32 [2 + 2L + 4(n - 1)], positions in units of `unit` (by default the side of the
    plane, so that all but rare entries lie in [-1, 1]) and velocities in top speeds: the own velocity (2); each
    landmark's position relative to the own (2L); each other agent's position (2(n - 1)) and velocity (2(n - 1))
    relative to the own, in the order of their numbers. With `see_position` also the own position, relative to the
    center (2). Velocities are the steps that were made, 0 after a reset.
    Action: Box, float32 [2], the velocity in plane units per step, each coordinate in [-speed, speed].
    Reward, shared: minus the distance from a landmark to its nearest agent, averaged over the landmarks, in plane
    units, after the step.
    Ending: the time limit only; the discount is always 1.
    Global state, float32 [1 + 4n + 2L]: the share of the episode that is left, then positions (relative to the center,
    in sides), velocities (in top speeds) and landmarks (as positions).
    Neighbors, where asked for (`nearest`): the nearest agents, the nearest first.
    """

    size: float
    speed: float = eqx.field(static=True)  # static because it bounds the action space
    agents: int = eqx.field(static=True)
    landmarks: int = eqx.field(static=True)
    time_limit: int = eqx.field(static=True)
    see_position: bool = eqx.field(static=True)
    unit: float = eqx.field(static=True)  # static because the spec names it
    nearest: int = eqx.field(static=True, default=0)

    @property
    def spec(self) -> Spec:
        n, count = self.agents, self.landmarks
        obs = plane.sight_fields("landmarks", count, n, moving=False, see_position=self.see_position, unit=self.unit)
        names = tuple(f"agent_{i}" for i in range(n))
        group = Group(names, obs, Box((-self.speed,) * 2, (self.speed,) * 2))
        state = (
            Field("time_left", (1,), "share of the episode"),
            Field("positions", (n, 2), "sides"),
            Field("velocities", (n, 2), "top speeds"),
            Field("landmarks", (count, 2), "sides"),
        )
        return Spec("navigation", Table({"agent": group}), self.time_limit, True, state, self.nearest)

    def reset(self, key: Any) -> tuple[NavigationState, TimeStep]:
        position, landmark = jnp.split(plane.scatter(key, self.agents + self.landmarks, self.size), [self.agents])
        state = NavigationState(jnp.int32(0), position, jnp.zeros_like(position), landmark, position)
        return state, self._show(state, jnp.float32(0))

    def step(self, key: Any, state: NavigationState, action: Groups) -> tuple[NavigationState, TimeStep]:
        position, velocity = plane.moved(state.position, action["agent"], self.speed, self.size)
        state = state._replace(clock=state.clock + 1, position=position, velocity=velocity)
        return state, self._show(state, -mean_distance(position, state.landmark))

    def measure(self, state: NavigationState) -> dict[str, Any]:
        """Of one step.

        `distance`: from a landmark to its nearest agent, mean over landmarks, plane units; `final_distance`: the same
        at the end of the episode. `covered`: share of landmarks with an agent within one step of travel. `bound`: the
        reward that no team could have exceeded in this step from where it began (left out of large environments).
        """
        nearest = plane.distances(state.position, state.landmark).min(axis=0)
        measured = {
            "distance": nearest.mean(),
            "final_distance": plane.at_end(nearest.mean(), state.clock >= self.time_limit),
            "covered": (nearest <= self.speed).mean(dtype=jnp.float32),
        }
        if self.agents**self.landmarks <= MOST_CHOICES:
            measured["bound"] = -least_distance(state.start, state.landmark, self.speed * state.clock)
        return measured

    def reference(self) -> Reference:
        if max(self.agents, self.landmarks) > MOST_ASSIGNED:
            return Reference("rule", "greedy-pursuit", "Every agent heads for its nearest landmark.")
        how = (
            "The assignment of agents to landmarks whose straight lines earn most until the time limit, chosen anew at "
            "each step; a rule, because leaving the straight line may earn more. The measure `bound` is a true bound."
        )
        return Reference("rule", "best-assignment", how)

    def rules(self) -> dict[str, Callable[[], Scripted]]:
        greedy = plane.GreedyPursuit(self.speed, self.unit, self.spec, "agent", "landmarks")
        return {
            "greedy-pursuit": lambda: Scripted(self.spec, ("agent",), greedy),
            "assignment": lambda: self._assigned(least_travel),
            "best-assignment": lambda: self._assigned(partial(most_earned, horizon=self.time_limit)),
        }

    def constants(self) -> dict[str, float]:
        """For functions that are written for this environment, in plane units. speed: the way that an agent goes in a
        step, at most. unit: the length in which positions are seen."""
        return {"speed": self.speed, "unit": self.unit}

    def draw(self, axes: Any, state: Any, now: TimeStep, action: Groups | None = None, history: Any = None) -> None:
        """One frame on matplotlib `axes`: agents (with trails if `history` lists earlier states), landmarks, and dotted
        the distances that are paid for. `action` is shown instead of the last velocity where given."""
        clock = f"step {int(state.clock)} of {self.time_limit}"
        plane.canvas(axes, self.size, clock, plane.reward_text(now.reward["agent"]))
        position, landmark = np.asarray(state.position), np.asarray(state.landmark)
        arrows = np.asarray(state.velocity if action is None else action["agent"])
        colors = [plane.PALETTE[i % len(plane.PALETTE)] for i in range(self.agents)]
        for mark in landmark:
            owner = int(np.linalg.norm(position - mark, axis=-1).argmin())
            plane.draw_gap(axes, position[owner], mark, colors[owner])
            axes.scatter(*mark, s=330, facecolor="white", edgecolor=colors[owner], linewidth=1.2, zorder=4)
            axes.scatter(*mark, s=75, marker="x", color=plane.INK, linewidth=2.0, zorder=4)
        for i, color in enumerate(colors):
            if history:
                plane.draw_trail(axes, [earlier.position[i] for earlier in history] + [position[i]], color)
            plane.draw_agent(axes, position[i], arrows[i], self.size, color, str(i))

    def _show(self, state: NavigationState, reward: Any) -> TimeStep:
        n = self.agents
        seen = plane.sight(
            state.position,
            state.velocity,
            state.landmark,
            None,
            speed=self.speed,
            size=self.size,
            unit=self.unit,
            see_position=self.see_position,
        )
        centered = [state.position / self.size - 0.5, state.velocity / self.speed, state.landmark / self.size - 0.5]
        left = 1.0 - state.clock / self.time_limit
        alive = {"agent": jnp.ones(n, bool)}
        return TimeStep(
            obs={"agent": seen},
            reward={"agent": jnp.full(n, reward, jnp.float32)},
            discount={"agent": jnp.ones(n, jnp.float32)},
            alive=alive,
            last=state.clock >= self.time_limit,
            neighbors=nearest_neighbors({"agent": state.position}, alive, self.nearest),
            state=jnp.concatenate([left[None], *(x.ravel() for x in centered)]).astype(jnp.float32),
        )

    def _assigned(self, cost: Callable[..., Any]) -> Scripted:
        if max(self.agents, self.landmarks) > MOST_ASSIGNED:
            raise BadInput(
                f"assignments are enumerated for up to {MOST_ASSIGNED} agents and landmarks, and there are "
                f"{self.agents} and {self.landmarks}: use fewer, or the rule 'greedy-pursuit'."
            )
        rule = Assignment(self.size, self.speed, self.spec, self.agents, self.landmarks, self.time_limit, cost)
        return Scripted(self.spec, ("agent",), rule, knows="everything (centralized)")


def navigation(
    agents: int = 3,
    landmarks: int = 3,
    size: float = 10.0,
    speed: float = 0.25,
    time_limit: int = 25,
    see_position: bool = False,
    unit: float | None = None,
    nearest: int = 0,
) -> Navigation:
    """A few agents cover a few landmarks in a plane.

    Args:
        agents: How many agents.
        landmarks: How many landmarks.
        size: Side of the plane, in plane units.
        speed: Top speed of an agent, in plane units per step.
        time_limit: Length of an episode, in steps.
        see_position: Append the own position in the plane to what an agent sees.
        unit: The length in which positions are seen, in plane units; None: the side of the plane.
        nearest: How many of the nearest agents each agent lists as neighbors.
    """
    plane.check_plane(size, time_limit, agents=agents, landmarks=landmarks)
    plane.check_speed("speed", speed, size)
    unit = size if unit is None else unit
    plane.check_unit(unit)
    check_nearest(nearest, agents - 1)
    return Navigation(size, speed, agents, landmarks, time_limit, see_position, unit, nearest)


def mean_distance(position: Any, landmark: Any) -> Any:
    """From a landmark to its nearest agent, mean over the landmarks: [n, 2], [L, 2] -> []."""
    return plane.distances(position, landmark).min(axis=0).mean()


# ---------------------------------------------------------------------------------------------------------------------
# Rules


@cache
def assignments(agents: int, landmarks: int) -> np.ndarray:
    """Every way to give as many agents as possible a landmark of their own: [P, n], -1 for an agent without."""
    if agents <= landmarks:
        return np.array(list(itertools.permutations(range(landmarks), agents)))
    table = []
    for owners in itertools.permutations(range(agents), landmarks):
        row = [-1] * agents
        for landmark, owner in enumerate(owners):
            row[owner] = landmark
        table.append(row)
    return np.array(table)


class Assignment(eqx.Module):
    """Every agent heads straight for a landmark of its own, by the assignment that costs least now.

    The rule has no memory: it assigns anew at each step. By `least_travel` it keeps its first choice. In one step the
    chosen assignment gets shorter by all the way that the team went, and no other gets shorter by more, because a
    distance shrinks at most by the way that its agent went. By `most_earned` it may change its mind, where that earns
    more than any assignment that is kept.
    """

    size: float
    speed: float
    spec: Spec = eqx.field(static=True)
    agents: int = eqx.field(static=True)
    landmarks: int = eqx.field(static=True)
    time_limit: int = eqx.field(static=True)
    cost: Callable[..., Any] = eqx.field(static=True)

    def __call__(self, now: TimeStep, key: Any) -> Groups:
        known = fields_in(self.spec.state, now.state)
        position, landmark = (self.size * (known[name] + 0.5) for name in ("positions", "landmarks"))
        choice = assignments(self.agents, self.landmarks)
        goal = jnp.where((choice >= 0)[..., None], landmark[choice], position)  # [P, n, 2]
        steps_left = jnp.round(known["time_left"][0] * self.time_limit)
        best = self.cost(position, goal, landmark, self.speed, steps_left).argmin()
        return {"agent": plane.limited(goal[best] - position, self.speed)}


@part
def least_travel(position: Any, goal: Any, landmark: Any, speed: Any, steps_left: Any) -> Any:
    """The way to go, summed over the agents: goals [P, n, 2] -> [P]."""
    return jnp.linalg.norm(goal - position, axis=-1).sum(axis=-1)


@part
def most_earned(position: Any, goal: Any, landmark: Any, speed: Any, steps_left: Any, *, horizon: int) -> Any:
    """Minus what straight lines to the goals earn in the steps that are left: goals [P, n, 2] -> [P]."""

    def cost(goal):
        def after(step):
            there = position + plane.limited(goal - position, speed * step)
            return jnp.where(step <= steps_left, mean_distance(there, landmark), 0.0)

        return jax.vmap(after)(jnp.arange(1, horizon + 1)).sum()

    return jax.lax.map(cost, goal)


# ---------------------------------------------------------------------------------------------------------------------
# The bound


def least_distance(start: Any, landmark: Any, reach: Any) -> Any:
    """A lower bound on `mean_distance` for agents that began at `start` and have gone at most `reach` each.

    Some agent is the nearest to each landmark. If it serves the set S alone, the distances it leaves sum to at least
    Σ_{l∈S} max(|start - l| - reach, 0), and, by the triangle inequality over the pairs of S, to at least
    Σ_{pairs} |l - m| / (|S| - 1). The larger of the two is added up over the agents, and the best way to give each
    landmark an agent is taken.
    """
    served, members = _services(start.shape[0], landmark.shape[0])
    gap = jnp.maximum(plane.distances(start, landmark) - reach, 0.0)  # [n, L]
    # A product and a sum in its place are miscompiled under two vmaps by XLA's CPU compiler (jaxlib 0.10.2).
    one_by_one = gap @ members.T  # [n, sets]
    pairs = (members[:, :, None] * members[:, None] * plane.distances(landmark, landmark)).sum(axis=(1, 2)) / 2.0
    cost = jnp.maximum(one_by_one, pairs / np.maximum(members.sum(axis=1) - 1.0, 1.0))
    return cost[np.arange(start.shape[0]), served].sum(axis=1).min() / landmark.shape[0]


@cache
def _services(agents: int, landmarks: int) -> tuple[np.ndarray, np.ndarray]:
    """Who may serve what: sets of landmarks by number [choices, n], and the members of each set [2^L, L]."""
    owner = np.array(list(itertools.product(range(agents), repeat=landmarks)))  # [choices, L]
    bit = 1 << np.arange(landmarks)
    served = np.where(owner[:, None] == np.arange(agents)[:, None], bit, 0).sum(axis=-1)
    members = (np.arange(2**landmarks)[:, None] & bit > 0).astype(np.float32)
    return served, members
