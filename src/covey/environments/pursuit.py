"""`pursuit`: predators chase a prey that runs at random (predator-prey of ATT-MADDPG, arXiv:1811.07029).

The paper gives the plane, the velocity control, "the negative proximity of any predator to the prey" and +10 for a
catch; speeds, radius, length and whether a catch ends the episode are choices of this environment, and are options.

The radius decides what there is to learn. A radius above the prey's speed (the default) lets a predator that reached
the prey hold it alone: greedy pursuit earns 4.2 a step, and nothing above 4.6 is possible. With a smaller one the prey
escapes from any single predator, and only a formation holds it: at 0.2, greedy pursuit earns -0.7, `surround` 1.5. (A
radius equal to the prey's speed would leave every contact to rounding.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from covey.core.algorithm import Scripted
from covey.core.environment import Reference
from covey.core.errors import BadInput
from covey.core.types import Box, Discrete, Field, Group, Groups, Spec, Table, TimeStep
from covey.environments import plane
from covey.environments.neighbors import check_nearest, nearest_neighbors


class PursuitState(NamedTuple):
    """State of `pursuit`, float32 but for counts; lengths in plane units."""

    clock: Any  # []  int32, steps taken
    position: Any  # [n, 2]  of the predators
    velocity: Any  # [n, 2]  the last step that was made
    prey: Any  # [2]
    prey_velocity: Any  # [2]
    start: Any  # [n, 2]  where the predators began (for the bound)
    caught_at: Any  # []  int32, the first step with contact; 0 before it


class Pursuit(eqx.Module):
    """Predators without inertia chase a prey that does not see them; they share what they earn.

    The plane is [0, size]². All positions are drawn uniformly at reset. In one step each predator moves by its action,
    shortened to `speed` where it is faster, and walls stop it; at the same time the prey moves by `prey_speed` in a
    direction that is drawn uniformly, and walls mirror it. There is contact where the nearest predator is within
    `radius` of the prey after the step.

    Group `predator`. Observation, float32 [6 + 4(n - 1)], positions in units of `unit` and velocities in top speeds
    of a predator: the own velocity (2); the prey's position (2) and velocity (2) relative to the own; each other
    predator's position (2(n - 1)) and velocity (2(n - 1)) relative to the own, in the order of their numbers. With
    `see_position` also the own position, relative to the center (2). Velocities are the steps that were made, 0 after
    a reset.
    Action: Box, float32 [2], the velocity in plane units per step, each coordinate in [-speed, speed]. With `discrete`
    Discrete(5): 0 nothing, 1 left, 2 right, 3 down, 4 up, at top speed.
    Reward, shared: minus the distance from the prey to the nearest predator, and `bonus` more in each step with
    contact. With `alone` a contact of one predator earns that instead of the bonus, which takes two.
    Ending: the time limit, which leaves the discount at 1. With `end_on_capture` also the first contact, with
    discount 0.
    Global state, float32 [5 + 4n]: the share of the episode that is left, then the predators' positions (relative to
    the center, in sides) and velocities (in top speeds), and the prey's.
    Neighbors, where asked for (`nearest`): the nearest predators, the nearest first.
    """

    size: float
    prey_speed: float
    radius: float
    bonus: float
    speed: float = eqx.field(static=True)  # static because it bounds the action space
    predators: int = eqx.field(static=True)
    time_limit: int = eqx.field(static=True)
    end_on_capture: bool = eqx.field(static=True)
    see_position: bool = eqx.field(static=True)
    unit: float = eqx.field(static=True)  # static because the spec names it
    discrete: bool = eqx.field(static=True, default=False)
    alone: float | None = None
    nearest: int = eqx.field(static=True, default=0)

    @property
    def spec(self) -> Spec:
        n = self.predators
        obs = plane.sight_fields("prey", 1, n, moving=True, see_position=self.see_position, unit=self.unit)
        names = tuple(f"predator_{i}" for i in range(n))
        space = Discrete(len(MOVES)) if self.discrete else Box((-self.speed,) * 2, (self.speed,) * 2)
        group = Group(names, obs, space)
        state = (
            Field("time_left", (1,), "share of the episode"),
            Field("positions", (n, 2), "sides"),
            Field("velocities", (n, 2), "top speeds"),
            Field("prey", (2,), "sides"),
            Field("prey_velocity", (2,), "top speeds"),
        )
        return Spec("pursuit", Table({"predator": group}), self.time_limit, True, state, self.nearest)

    def reset(self, key: Any) -> tuple[PursuitState, TimeStep]:
        position, prey = jnp.split(plane.scatter(key, self.predators + 1, self.size), [self.predators])
        still, never = jnp.zeros_like(position), jnp.int32(0)
        state = PursuitState(jnp.int32(0), position, still, prey[0], still[0], position, never)
        return state, self._show(state, jnp.float32(0), over=jnp.bool_(False))

    def step(self, key: Any, state: PursuitState, action: Groups) -> tuple[PursuitState, TimeStep]:
        wanted = self.speed * jnp.asarray(MOVES)[action["predator"]] if self.discrete else action["predator"]
        position, velocity = plane.moved(state.position, wanted, self.speed, self.size)
        angle = jax.random.uniform(key, maxval=2.0 * jnp.pi)
        run = self.prey_speed * jnp.stack([jnp.cos(angle), jnp.sin(angle)])
        prey = plane.reflected(state.prey + run, self.size)
        clock, distance = state.clock + 1, nearest_distance(position, prey)
        contact = distance <= self.radius
        state = state._replace(
            clock=clock,
            position=position,
            velocity=velocity,
            prey=prey,
            prey_velocity=prey - state.prey,
            caught_at=jnp.where(contact & (state.caught_at == 0), clock, state.caught_at),
        )
        return state, self._show(state, self._earned(position, prey), over=contact & self.end_on_capture)

    def measure(self, state: PursuitState) -> dict[str, Any]:
        """Of one step.

        `distance`: from the prey to the nearest predator, plane units. `contact`: is there contact. `captured`: was
        there any contact in the episode. `steps_to_capture`: steps until the first contact, the length of the episode
        where there was none. `bound`: the reward that no predators could have exceeded in this step, from where they
        began, had they known the prey's way (left out where a capture ends the episode).
        """
        distance = nearest_distance(state.position, state.prey)
        contact, captured = distance <= self.radius, state.caught_at > 0
        last = (state.clock >= self.time_limit) | (captured & self.end_on_capture)
        measured = {
            "distance": distance,
            "contact": contact.astype(jnp.float32),
            "captured": plane.at_end(captured, last),
            "steps_to_capture": plane.at_end(jnp.where(captured, state.caught_at, state.clock), last),
        }
        if not self.end_on_capture:
            reach = self.speed * state.clock
            measured["bound"] = self._pay(jnp.maximum(nearest_distance(state.start, state.prey) - reach, 0.0))
        return measured

    def reference(self) -> Reference:
        if self.radius >= self.prey_speed:
            how = (
                "Every predator heads for the prey, and one that stands where the prey was cannot lose it; a rule, "
                "because the way there could be guessed better. The measure `bound` is a true bound."
            )
            return Reference("rule", "greedy-pursuit", how)
        how = (
            "The predators keep a ring around the prey that meets its next step almost wherever it goes; a rule, "
            "because other formations may do better. The measure `bound` is a true bound."
        )
        return Reference("rule", "surround", how)

    def rules(self) -> dict[str, Callable[[], Scripted]]:
        greedy: Any = plane.GreedyPursuit(self.speed, self.unit, self.spec, "predator", "prey")
        ring: Any = Surround(self.speed, self.unit, self.prey_speed, self.radius, self.spec)
        if self.discrete:
            greedy, ring = InMoves(greedy, self.speed), InMoves(ring, self.speed)
        return {
            "greedy-pursuit": lambda: Scripted(self.spec, ("predator",), greedy),
            "surround": lambda: Scripted(self.spec, ("predator",), ring, knows="own observation and number"),
        }

    def draw(self, axes: Any, state: Any, now: TimeStep, action: Groups | None = None, history: Any = None) -> None:
        """One frame on matplotlib `axes`: predators and prey (with trails if `history` lists earlier states), the
        radius of contact, filled while there is contact, and dotted the distance that is paid for. `action` is shown
        instead of the last velocity where given."""
        clock = f"step {int(state.clock)} of {self.time_limit}"
        plane.canvas(axes, self.size, clock, plane.reward_text(now.reward["predator"]))
        position, prey = np.asarray(state.position), np.asarray(state.prey)
        arrows = np.asarray(state.velocity if action is None or self.discrete else action["predator"])
        distance = np.linalg.norm(position - prey, axis=-1)
        hunter, hunted = plane.PALETTE[0], plane.PALETTE[1]
        self._draw_prey(axes, prey, hunted, contact=bool(distance.min() <= self.radius))
        plane.draw_gap(axes, position[distance.argmin()], prey, plane.INK)
        if history:
            plane.draw_trail(axes, [earlier.prey for earlier in history] + [prey], hunted)
        for i in range(self.predators):
            if history:
                plane.draw_trail(axes, [earlier.position[i] for earlier in history] + [position[i]], hunter)
            plane.draw_agent(axes, position[i], arrows[i], self.size, hunter, str(i))

    def _draw_prey(self, axes: Any, prey: Any, color: str, contact: bool) -> None:
        from matplotlib.patches import Circle

        fill = 0.45 if contact else 0.12
        axes.add_patch(Circle(prey, self.radius, facecolor=color, edgecolor="none", alpha=fill, zorder=2))
        axes.add_patch(Circle(prey, self.radius, facecolor="none", edgecolor=color, linewidth=1.4, zorder=8))
        axes.scatter(*prey, s=60, color=color, edgecolors="white", linewidths=1.2, zorder=8)

    def _pay(self, distance: Any) -> Any:
        return -distance + self.bonus * (distance <= self.radius)

    def _earned(self, position: Any, prey: Any) -> Any:
        nearest = nearest_distance(position, prey)
        if self.alone is None:
            return self._pay(nearest)
        touching = (jnp.linalg.norm(position - prey, axis=-1) <= self.radius).sum()
        return -nearest + jnp.where(touching > 1, self.bonus, jnp.where(touching == 1, self.alone, 0.0))

    def _show(self, state: PursuitState, reward: Any, over: Any) -> TimeStep:
        n, going_on = self.predators, jnp.where(over, 0.0, 1.0)
        prey, prey_velocity = state.prey[None], state.prey_velocity[None]
        seen = plane.sight(
            state.position,
            state.velocity,
            prey,
            prey_velocity,
            speed=self.speed,
            size=self.size,
            unit=self.unit,
            see_position=self.see_position,
        )
        left = 1.0 - state.clock / self.time_limit
        world = [state.position / self.size - 0.5, state.velocity / self.speed]
        world += [prey / self.size - 0.5, prey_velocity / self.speed]
        alive = {"predator": jnp.ones(n, bool)}
        return TimeStep(
            obs={"predator": seen},
            reward={"predator": jnp.full(n, reward, jnp.float32)},
            discount={"predator": jnp.full(n, going_on, jnp.float32)},
            alive=alive,
            last=over | (state.clock >= self.time_limit),
            state=jnp.concatenate([left[None], *(x.ravel() for x in world)]).astype(jnp.float32),
            neighbors=nearest_neighbors({"predator": state.position}, alive, self.nearest),
        )


def pursuit(
    predators: int = 3,
    size: float = 10.0,
    speed: float = 0.25,
    prey_speed: float = 0.25,
    radius: float = 0.3,
    bonus: float = 10.0,
    time_limit: int = 25,
    end_on_capture: bool = False,
    see_position: bool = False,
    unit: float | None = None,
    discrete: bool = False,
    alone: float | None = None,
    nearest: int = 0,
) -> Pursuit:
    """Predators chase a prey that runs at random.

    Args:
        predators: How many predators.
        size: Side of the plane, in plane units.
        speed: Top speed of a predator, in plane units per step.
        prey_speed: Speed of the prey, in plane units per step.
        radius: Distance at which a predator touches the prey, in plane units.
        bonus: Reward of a step with contact.
        time_limit: Length of an episode, in steps.
        end_on_capture: End the episode at the first contact.
        see_position: Append the own position in the plane to what a predator sees.
        unit: The length in which positions are seen, in plane units; None: the side of the plane.
        discrete: Five moves at top speed instead of any velocity.
        alone: What a contact of one predator earns instead of the bonus, which then takes two; None: the bonus.
        nearest: How many of the nearest predators each predator lists as neighbors.
    """
    plane.check_plane(size, time_limit, predators=predators)
    plane.check_speed("speed", speed, size)
    plane.check_speed("prey_speed", prey_speed, size)
    if not radius > 0:
        raise BadInput(f"the radius is {radius}: a prey that nobody can touch cannot be caught; make it above 0.")
    unit = size if unit is None else unit
    plane.check_unit(unit)
    if alone is not None and (predators < 2 or not alone <= bonus):
        raise BadInput(
            f"a contact alone earns {alone:g} of a bonus of {bonus:g}, with {predators} predators: `alone` is about "
            "two predators at least, and must not exceed the bonus."
        )
    check_nearest(nearest, predators - 1)
    moves = discrete, alone, nearest
    return Pursuit(
        size, prey_speed, radius, bonus, speed, predators, time_limit, end_on_capture, see_position, unit, *moves
    )


MOVES = np.array([[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]], np.float32)
"""What the discrete actions do, in top speeds."""


class InMoves(eqx.Module):
    """A rule of velocities, in discrete moves: the one that is nearest."""

    rule: Callable[[TimeStep, Any], Groups]
    speed: float

    def __call__(self, now: TimeStep, key: Any) -> Groups:
        wanted = self.rule(now, key)["predator"]
        gap = jnp.linalg.norm(wanted[:, None] - self.speed * MOVES, axis=-1)
        return {"predator": gap.argmin(-1).astype(jnp.int32)}


def nearest_distance(position: Any, prey: Any) -> Any:
    """From the prey to the nearest predator: [n, 2], [2] -> []."""
    return jnp.linalg.norm(position - prey, axis=-1).min()


class Surround(eqx.Module):
    """Predator i of n takes place i of n on a ring around the prey, and so moves with it.

    The prey's next position lies on a circle of radius s, its speed. A predator at distance ρ from the center touches
    the arc |θ| ≤ arccos((s² + ρ² - r²) / 2sρ) of it, which is widest at ρ = √(s² - r²). Where r ≥ s nobody in the
    center can miss the prey, the ring shrinks to a point, and the rule is greedy pursuit.
    """

    speed: float
    unit: float
    prey_speed: float
    radius: float
    spec: Spec = eqx.field(static=True)

    def __call__(self, now: TimeStep, key: Any) -> Groups:
        offset = self.unit * self.spec.groups["predator"].fields_of(now.obs["predator"])["prey"][:, 0]
        n = offset.shape[0]
        ring = jnp.sqrt(jnp.maximum(self.prey_speed**2 - self.radius**2, 0.0))
        angle = 2.0 * np.pi * np.arange(n) / n
        place = ring * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        return {"predator": plane.limited(offset + place, self.speed)}
