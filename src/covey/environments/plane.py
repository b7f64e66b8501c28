"""What the environments of points in a square share: motion by velocity, what agents see, the chasing rule, and
pictures.

Points live in [0, size]². An agent's action is its velocity: it moves by it, without inertia, at no more than its top
speed in any direction, and walls stop it.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from covey.core.errors import BadInput
from covey.core.types import Field, Groups, Spec, TimeStep


def check_plane(size: float, time_limit: int, **counts: int) -> None:
    """Refuse sizes and counts that make no world."""
    if not 0 < size < np.inf:
        raise BadInput(f"the side of the plane is {size}: make `size` a finite number above 0.")
    if time_limit < 1:
        raise BadInput(f"an episode needs at least one step: time_limit is {time_limit}, make it 1 or more.")
    for name, count in counts.items():
        if count < 1:
            raise BadInput(f"there are {count} {name}: the environment needs at least one.")


def check_unit(unit: float) -> None:
    """Refuse a unit of sight in which nothing can be measured."""
    if not 0 < unit < np.inf:
        raise BadInput(f"`unit` is {unit}: positions can be seen in units of a finite length above 0 only.")


def check_speed(name: str, speed: float, size: float) -> None:
    """Refuse speeds that stand still or cross the plane in one step."""
    if not 0 < speed <= size:
        raise BadInput(f"{name} is {speed}: it must lie above 0 and not exceed the side of the plane, {size}.")


# ---------------------------------------------------------------------------------------------------------------------
# Motion


def scatter(key: Any, count: int, size: Any) -> Any:
    """Points uniform in the plane, [count, 2]."""
    return jax.random.uniform(key, (count, 2), maxval=size)


def limited(velocity: Any, speed: Any) -> Any:
    """Velocities [n, 2], those faster than `speed` shortened to it."""
    length = jnp.linalg.norm(velocity, axis=-1, keepdims=True)
    return velocity * jnp.minimum(1.0, speed / jnp.maximum(length, 1e-12))


def moved(position: Any, velocity: Any, speed: Any, size: Any) -> tuple[Any, Any]:
    """Positions [n, 2] after one step that walls may stop, and the step that was made of it."""
    after = jnp.clip(position + limited(velocity, speed), 0.0, size)
    return after, after - position


def reflected(position: Any, size: Any) -> Any:
    """Positions that left the plane, mirrored at the wall they crossed."""
    position = jnp.abs(position)
    return size - jnp.abs(size - position)


def distances(a: Any, b: Any) -> Any:
    """Points [n, 2] and [m, 2] -> [n, m]."""
    return jnp.linalg.norm(a[:, None] - b[None], axis=-1)


# ---------------------------------------------------------------------------------------------------------------------
# Seeing


def mates(x: Any) -> Any:
    """What the others have more than I: vectors [n, 2] -> [n, n - 1, 2], others in the order of their numbers."""
    n = x.shape[0]
    others = np.array([[j for j in range(n) if j != i] for i in range(n)], int).reshape(n, n - 1)
    return x[others] - x[:, None]


def sight_fields(
    targets: str, count: int, agents: int, moving: bool, see_position: bool, unit: float
) -> tuple[Field, ...]:
    """The fields of `sight`, in its order: positions in units of sight, velocities in top speeds."""
    length = f"{unit:g} plane units"
    fields = [Field("velocity", (2,), "top speeds"), Field(targets, (count, 2), length)]
    if moving:
        fields.append(Field(f"{targets}_velocity", (count, 2), "top speeds"))
    if agents > 1:
        fields += [Field("mates", (agents - 1, 2), length), Field("mates_velocity", (agents - 1, 2), "top speeds")]
    if see_position:
        fields.append(Field("position", (2,), length))
    return tuple(fields)


def sight(
    position: Any,
    velocity: Any,
    target: Any,
    target_velocity: Any | None,
    *,
    speed: Any,
    size: Any,
    unit: float,
    see_position: bool,
) -> Any:
    """What agents at `position` [n, 2] see, [n, D]; everything but the own velocity and position is relative.

    Velocities are seen in units of `speed`, positions in units of `unit`: the smaller it is, the finer they are told
    apart close by.
    """
    n = position.shape[0]
    parts = [velocity / speed, (target[None] - position[:, None]) / unit]
    if target_velocity is not None:
        parts.append((target_velocity[None] - velocity[:, None]) / speed)
    if n > 1:
        parts += [mates(position) / unit, mates(velocity) / speed]
    if see_position:
        parts.append((position - 0.5 * size) / unit)
    return jnp.concatenate([part.reshape(n, -1) for part in parts], axis=1).astype(jnp.float32)


# ---------------------------------------------------------------------------------------------------------------------
# Chasing


class GreedyPursuit(eqx.Module):
    """Every agent heads for the nearest target it sees (of equals the first) and stops on it."""

    speed: float
    unit: float
    spec: Spec = eqx.field(static=True)
    group: str = eqx.field(static=True)
    targets: str = eqx.field(static=True)  # the field of the observation that holds them

    def __call__(self, now: TimeStep, key: Any) -> Groups:
        seen = self.spec.groups[self.group].fields_of(now.obs[self.group])
        offset = self.unit * seen[self.targets]
        nearest = jnp.linalg.norm(offset, axis=-1).argmin(axis=1)
        return {self.group: limited(offset[jnp.arange(offset.shape[0]), nearest], self.speed)}


# ---------------------------------------------------------------------------------------------------------------------
# Numbers


def at_end(value: Any, last: Any) -> Any:
    """A measure that is made at the end of an episode only, and not (NaN) in the steps before."""
    return jnp.where(last, jnp.asarray(value, jnp.float32), jnp.nan)


# ---------------------------------------------------------------------------------------------------------------------
# Pictures (NumPy and matplotlib; never compiled)

PALETTE = ("#2F6DB5", "#D9793A", "#3B9C74", "#8B5FBF", "#C4475A", "#6B7A8F")
INK, FAINT, PAPER, GRID = "#22303C", "#8A97A3", "#FBFAF7", "#ECE9E2"


def canvas(axes: Any, size: float, left: str, right: str) -> None:
    """Clear `axes` and set up an empty plane with one line of text above it."""
    axes.clear()
    axes.set(xlim=(-0.02 * size, 1.02 * size), ylim=(-0.02 * size, 1.02 * size), aspect="equal", xticks=[], yticks=[])
    axes.set_facecolor("none")
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.fill([0, size, size, 0], [0, 0, size, size], facecolor=PAPER, edgecolor=FAINT, linewidth=1.0, zorder=0)
    lines = np.linspace(0, size, 11)[1:-1]
    axes.hlines(lines, 0, size, color=GRID, linewidth=0.8, zorder=1)
    axes.vlines(lines, 0, size, color=GRID, linewidth=0.8, zorder=1)
    style = {"transform": axes.transAxes, "va": "bottom", "fontsize": 10, "color": INK}
    axes.text(0.02, 1.0, left, ha="left", **style)
    axes.text(0.98, 1.0, right, ha="right", **style)


def draw_trail(axes: Any, path: Any, color: str) -> None:
    """Where one point has been, oldest first [t, 2], fading into the past."""
    from matplotlib.collections import LineCollection

    path = np.asarray(path, float)
    segments = np.stack([path[:-1], path[1:]], axis=1)
    fade = np.linspace(0.05, 0.75, len(segments))
    axes.add_collection(
        LineCollection(list(segments), colors=color, alpha=list(fade), linewidths=2.2, capstyle="butt", zorder=3)
    )


def draw_agent(axes: Any, position: Any, velocity: Any, size: float, color: str, label: str) -> None:
    """A numbered disc and an arrow along its velocity, four steps long."""
    x, y = (float(v) for v in position)
    dx, dy = (4.0 * float(v) for v in velocity)
    if np.hypot(dx, dy) > 0.01 * size:
        arrow = {"arrowstyle": "-|>,head_width=0.22,head_length=0.4", "color": color, "linewidth": 1.6}
        axes.annotate("", (x + dx, y + dy), (x, y), arrowprops=arrow | {"shrinkA": 0, "shrinkB": 0}, zorder=5)
    axes.scatter([x], [y], s=190, color=color, edgecolors="white", linewidths=1.6, zorder=6)
    axes.text(x, y, label, color="white", fontsize=8, fontweight="bold", ha="center", va="center_baseline", zorder=7)


def draw_gap(axes: Any, a: Any, b: Any, color: str) -> None:
    """A dotted line between two points: a distance that somebody pays for."""
    axes.plot([a[0], b[0]], [a[1], b[1]], color=color, alpha=0.7, linewidth=1.2, linestyle=(0, (1.5, 2.5)), zorder=2)


def reward_text(reward: Any) -> str:
    """The reward that a group shares, with a proper minus sign."""
    return f"reward {round(float(reward[0]), 2) + 0.0:.2f}".replace("-", "−")
