"""The environment itself: what happens in a step, and what everybody is shown. The parts are in modules beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.core.algorithm import Scripted
from covey.core.environment import Demands, Reference
from covey.core.types import Box, Field, Group, Groups, Spec, Table, TimeStep
from covey.environments import plane
from covey.environments.assembly import drawing, rewards
from covey.environments.assembly.memory import StepMemory, step_memory
from covey.environments.assembly.metrics import FINAL, measures
from covey.environments.assembly.physics import WALL, moved
from covey.environments.assembly.rules import MeanShift, Prior
from covey.environments.assembly.sensing import Listing, neighbors, sense, views
from covey.environments.assembly.shapes import Region

Layout = Literal["code192", "paper190"]
Placement = Literal["random", "centered"]
USUAL_LENGTH = 200  # of an episode, in steps
START_SPEED = 0.5  # of each coordinate at reset, at most, plane units per second


class AssemblyState(NamedTuple):
    """State of `assembly`, float32 but where marked; lengths in plane units, times in seconds."""

    clock: Any  # []  int32, steps taken
    position: Any  # [N, 2]
    velocity: Any  # [N, 2]
    inside: Any  # [N]  bool, who is in the region
    shape: Any  # []  int32, which of the bank's shapes is to be filled
    heading: Any  # [2]  cosine and sine of the angle by which it is turned
    center: Any  # [2]  where the mean of its cells is
    region: Region  # its cells, turned and in place


class Assembly(eqx.Module):
    """Robots without numbers spread evenly over a region (LAMARL, Zhu et al. 2025, arXiv:2506.01538).

    The arena is [-2.4, 2.4]², with walls. N robots, discs that push each other where they overlap, choose accelerations
    (`physics`). A region is one of `bank`, about 500 square cells, turned by any angle and moved by up to 1.4 in each
    coordinate (so it may reach beyond the walls), or with `placement` "centered" neither. Robots begin anywhere in the
    arena or, every other time, in a square of side 2 around a point in [-1.4, 1.4]², with velocities in [-0.5, 0.5]².

    Group `robot`. Observation, float32 [4 + 4 M + 4 + 2 K], 192 numbers with M = 6 neighbors and K = 80 cells, in plane
    units and seconds: the own position and velocity (2 + 2); of the nearest neighbors within `reach` the position and
    velocity relative to the own, the nearest first, zeros for those who are not there (4 M); the position of the
    nearest cell and minus the own velocity, zeros inside the region (2 + 2; with `layout` "paper190" without the
    velocity); the positions of sensed cells relative to the own, zeros where there are fewer (2 K, see `sensing`).
    Action: Box, float32 [2], the acceleration, each coordinate in [-1, 1].
    Reward, each: 1 where the robot is in the region, away from neighbors and in the middle of the free cells around it,
    else 0 (`rewards`); with `sharing` the team's mean or maximum of that.
    Ending: the time limit only; the discount is always 1.
    Global state, float32 [5 + 4 N + S]: the share of the episode that is left, positions and velocities, then which of
    the S shapes it is (one-hot), the cosine and sine of its angle, and its center.
    Neighbors: those that are observed.
    """

    bank: Region  # [S, C, ...]  the shapes
    radius: float  # of collision: robots collide within twice this, and occupy the cells within it
    reach: float  # of sensing
    tolerance: float  # how far from the middle of free cells a robot may be
    robots: int = eqx.field(static=True)
    time_limit: int = eqx.field(static=True)
    nearest: int = eqx.field(static=True)
    cells: int = eqx.field(static=True)
    listing: Listing = eqx.field(static=True)
    layout: Layout = eqx.field(static=True)
    placement: Placement = eqx.field(static=True)
    reward: rewards.Reward = eqx.field(static=True)
    sharing: rewards.Sharing = eqx.field(static=True)

    # An environment is itself and no other: so its methods can be given to `jax.jit`, which hashes them.
    __hash__ = object.__hash__
    __eq__ = object.__eq__

    @property
    def spec(self) -> Spec:
        length, speed = "plane units", "plane units per second"
        target_velocity = (Field("target_velocity", (2,), speed),) if self.layout == "code192" else ()
        obs = (
            Field("position", (2,), length),
            Field("velocity", (2,), speed),
            Field("neighbors", (self.nearest, 4), f"{length}, {speed}", listed=True),
            Field("target_position", (2,), length),
            *target_velocity,
            Field("cells", (self.cells, 2), length, listed=True),
        )
        state = (
            Field("time_left", (1,), "share of the episode"),
            Field("positions", (self.robots, 2), length),
            Field("velocities", (self.robots, 2), speed),
            Field("shape", (len(self.bank.count),), "one-hot"),
            Field("heading", (2,), "cosine, sine"),
            Field("center", (2,), length),
        )
        group = Group(tuple(f"robot_{i}" for i in range(self.robots)), obs, Box((-1.0, -1.0), (1.0, 1.0)))
        shared = self.sharing != "individual"
        return Spec("assembly", Table({"robot": group}), self.time_limit, shared, state, self._listed)

    def reset(self, key: Any) -> tuple[AssemblyState, TimeStep]:
        k_region, k_robots, k_velocity = jax.random.split(key, 3)
        shape, heading, center, region = self._place(k_region)
        position = scatter(k_robots, self.robots)
        velocity = jax.random.uniform(k_velocity, (self.robots, 2), minval=-START_SPEED, maxval=START_SPEED)
        nobody = jnp.zeros(self.robots, bool)
        state = AssemblyState(
            clock=jnp.int32(0),
            position=position,
            velocity=velocity,
            inside=nobody,
            shape=shape,
            heading=heading,
            center=center,
            region=region,
        )
        return self._show(state)

    def step(self, key: Any, state: AssemblyState, action: Groups) -> tuple[AssemblyState, TimeStep]:
        position, velocity = moved(state.position, state.velocity, action["robot"])
        return self._show(state._replace(clock=state.clock + 1, position=position, velocity=velocity))

    def measure(self, state: AssemblyState) -> dict[str, Any]:
        """Of one step.

        `coverage` (M1): share of the cells with a robot within the collision radius. `coverage_share`: over what it
        could be if discs of that radius did not overlap. `unevenness` (M2): variance over robots of the number of
        cells that each is nearest to. `entered`: share of robots in the region. `collided`: share with another robot
        within two collision radii. `speed`: mean over robots, plane units per second. `touching`: share whose body
        overlaps another's. `final_...`: all but the last at the end of an episode; and `final_unevenness_code`,
        `final_spacing_code`, as the paper's code has uniformity.
        """
        found = measures(state.position, state.inside, state.region, self.radius)
        found |= {"speed": jnp.linalg.norm(state.velocity, axis=-1).mean()}
        last = state.clock >= self.time_limit
        code = {name: found.pop(name) for name in ("unevenness_code", "spacing_code")}
        at_end = {name: found[name] for name in FINAL} | code
        return found | {f"final_{name}": plane.at_end(value, last) for name, value in at_end.items()}

    def reference(self) -> Reference:
        how = (
            "Mean-shift exploration of Sun et al. 2023 with the constants of the paper's code; a rule: it knows all "
            "robots within reach, and nothing says that others cannot earn more."
        )
        return Reference("rule", "mean-shift", how)

    def rules(self) -> dict[str, Callable[[], Scripted]]:
        avoid, spec = 2.0 * self.radius, self.spec
        shift = MeanShift(avoid, self.reach, spec)
        return {
            "prior": lambda: Scripted(spec, ("robot",), Prior(avoid, spec)),
            "mean-shift": lambda: Scripted(spec, ("robot",), shift, knows="all robots within reach"),
        }

    def constants(self) -> dict[str, float]:
        """For functions that are written for this environment, in plane units. avoid: robots collide within it. reach:
        of sensing. tolerance: how far from the middle of free cells a robot may be."""
        return {"avoid": 2.0 * self.radius, "reach": self.reach, "tolerance": self.tolerance}

    def demands(self) -> Demands | None:
        """Of functions that are written for this environment, after episodes of the usual length or longer: robots are
        in the region, slow, mostly apart, and spread better than chance does; the reward is rare at random, and tells
        mean-shift exploration from it."""
        if self.time_limit < USUAL_LENGTH:
            return None
        return Demands(
            least={"final_entered": 0.9},
            most={"final_speed": 0.1, "final_collided": 0.5},
            below=("final_unevenness",),
            rule="mean-shift",
            preferred=0.9,
            random_reward=0.1,
        )

    def draw(self, axes: Any, state: Any, now: TimeStep, action: Groups | None = None, history: Any = None) -> None:
        """One frame on matplotlib `axes`: cells, those that are covered, robots and walls, with short trails where
        `history` lists earlier states."""
        drawing.draw(axes, state, now, self.radius, self.time_limit, history)

    def memory_plan(self) -> StepMemory:
        """Bytes that a step takes in each lane."""
        return step_memory(self.robots, self.bank.cell.shape[-2], self.spec)

    @property
    def _listed(self) -> int:
        """How many neighbors there can be."""
        return min(self.nearest, self.robots - 1)

    def _place(self, key: Any) -> tuple[Any, Any, Any, Region]:
        """A shape, its heading and center, and its cells there."""
        k_shape, k_angle, k_center = jax.random.split(key, 3)
        shape = jax.random.randint(k_shape, (), 0, len(self.bank.count))
        region = jax.tree.map(lambda x: jnp.asarray(x)[shape], self.bank)
        if self.placement == "centered":
            return shape, jnp.array([1.0, 0.0]), jnp.zeros(2), region
        angle = jax.random.uniform(k_angle, minval=-jnp.pi, maxval=jnp.pi)
        center = jax.random.uniform(k_center, (2,), minval=1.0 - WALL, maxval=WALL - 1.0)
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        x, y = region.cell.T
        turned = jnp.stack([cos * x - sin * y, sin * x + cos * y], axis=1)
        return shape, jnp.stack([cos, sin]), center, region._replace(cell=turned + center)

    def _show(self, state: AssemblyState) -> tuple[AssemblyState, TimeStep]:
        """The state with who is inside, and what everybody sees and earned; nobody earns anything at a reset."""
        index, there = neighbors(state.position, self._listed, self.reach)
        sensed = sense(state.position, state.region, self.radius, self.reach, self.cells, self.listing)
        state = state._replace(inside=sensed.inside)
        fields = self._fields(state, index, there, sensed)
        avoid, n = 2.0 * self.radius, self.robots
        earned = jax.vmap(rewards.reward, (0, None, None, None, None))(
            views(fields), avoid, self.reach, self.tolerance, self.reward
        )
        last = state.clock >= self.time_limit
        left = 1.0 - state.clock / self.time_limit
        kind = jax.nn.one_hot(state.shape, len(self.bank.count))
        known = [left[None], state.position, state.velocity, kind, state.heading, state.center]
        return state, TimeStep(
            obs={"robot": jnp.concatenate([x.reshape(n, -1) for x in fields.values()], axis=1)},
            reward={"robot": jnp.where(state.clock > 0, rewards.shared(earned, self.sharing), 0.0)},
            discount={"robot": jnp.ones(n, jnp.float32)},
            alive={"robot": jnp.ones(n, bool)},
            last=last,
            state=jnp.concatenate([x.ravel() for x in known]).astype(jnp.float32),
            neighbors={"robot": (index, there)},
        )

    def _fields(self, state: AssemblyState, index: Any, there: Any, sensed: Any) -> dict[str, Any]:
        """The fields of the observation, [N, ...] each, in the order of the spec."""
        position, velocity, outside = state.position, state.velocity, ~sensed.inside[:, None]
        both = jnp.concatenate([position, velocity], axis=1)
        about = jnp.where(there[..., None], both[index] - both[:, None], 0.0)
        cell = state.region.cell
        target_velocity = {"target_velocity": jnp.where(outside, -velocity, 0.0)}
        return {
            "position": position,
            "velocity": velocity,
            "neighbors": jnp.pad(about, [(0, 0), (0, self.nearest - self._listed), (0, 0)]),
            "target_position": jnp.where(outside, cell[sensed.nearest] - position, 0.0),
            **(target_velocity if self.layout == "code192" else {}),
            "cells": jnp.where(sensed.there[..., None], cell[sensed.cell] - position[:, None], 0.0),
        }


def scatter(key: Any, count: int) -> Any:
    """Where robots begin, [count, 2]: anywhere in the arena, or together in a square of side 2."""
    k_together, k_center, k_place = jax.random.split(key, 3)
    place = jax.random.uniform(k_place, (count, 2), minval=-1.0)
    center = jax.random.uniform(k_center, (2,), minval=1.0 - WALL, maxval=WALL - 1.0)
    return jnp.where(jax.random.bernoulli(k_together), center + place, WALL * place)
