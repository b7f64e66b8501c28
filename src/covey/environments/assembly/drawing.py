"""A frame of `assembly`: the region, which cells are covered, robots with their collision radius, and the walls."""

from __future__ import annotations

from typing import Any

import numpy as np

from covey.core.types import TimeStep
from covey.environments import plane
from covey.environments.assembly.physics import BODY, WALL

EMPTY, COVERED, INSIDE, OUTSIDE, BAD = "#E3E0D6", "#9CC3E6", "#2F6DB5", "#6B7A8F", "#C4475A"
TRAIL = 20  # steps


def draw(axes: Any, state: Any, now: TimeStep, radius: float, time_limit: int, history: Any = None) -> None:
    """Paint one frame on matplotlib `axes`; robots are red where another is within two collision radii."""
    from matplotlib.collections import EllipseCollection, LineCollection, PolyCollection

    position, count = np.asarray(state.position), int(state.region.count)
    cell, side = np.asarray(state.region.cell)[:count], float(state.region.side)
    far = np.linalg.norm(cell[:, None] - position, axis=-1).min(1)
    apart = np.linalg.norm(position[:, None] - position, axis=-1) + 1e3 * np.eye(len(position))
    collided, inside = apart.min(1) < 2 * radius, np.asarray(state.inside)
    color = np.where(collided, BAD, np.where(inside, INSIDE, OUTSIDE))

    earning = int((np.asarray(now.reward["robot"]) > 0).sum())
    shares = f"covered {(far < radius).mean():.0%}, in the region {inside.mean():.0%}"
    plane.canvas(axes, 1.0, f"step {int(state.clock)} of {time_limit}", f"{shares}, {earning} earn")
    for drawn in [*axes.patches, *axes.collections]:
        drawn.remove()
    room = 1.01 * max(WALL, np.abs(cell).max() + side)
    axes.set(xlim=(-room, room), ylim=(-room, room))
    square = WALL * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    axes.fill(*square.T, facecolor=plane.PAPER, edgecolor=plane.INK, linewidth=1.6, zorder=0)
    turned = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) @ _turn(np.asarray(state.heading)) * side / 2 * 0.94
    axes.add_collection(
        PolyCollection(list(cell[:, None] + turned), facecolors=np.where(far < radius, COVERED, EMPTY), zorder=1)
    )
    if history:
        path = np.stack([np.asarray(earlier.position) for earlier in history[-TRAIL:]] + [position], axis=1)
        axes.add_collection(LineCollection(list(path), colors=plane.FAINT, alpha=0.4, linewidths=1.0, zorder=3))
    ring = {"facecolors": "none", "edgecolors": color, "linewidths": 0.9, "zorder": 4}
    body = {"facecolors": color, "edgecolors": "white", "linewidths": 0.5, "zorder": 5}
    for of, style in ((radius, ring), (BODY, body)):
        width, place = np.full(len(position), 2 * of), {"offsets": position, "offset_transform": axes.transData}
        axes.add_collection(EllipseCollection(width, width, 0 * width, units="xy", **place, **style))


def _turn(heading: np.ndarray) -> np.ndarray:
    """The matrix that turns row vectors as the region is turned, of (cos, sin)."""
    cos, sin = heading
    return np.array([[cos, sin], [-sin, cos]])
