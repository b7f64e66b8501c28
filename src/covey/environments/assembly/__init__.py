"""`assembly`: robots spread evenly over a region of some shape (LAMARL, Zhu et al. 2025, arXiv:2506.01538).

shapes       regions: outlines that are drawn here or read from files, as square cells
pictures     outlines from PNG pictures and masks
physics      motion, contacts and walls
sensing      neighbors, the nearest cell, free cells; and all of it by name, for rules and rewards
rewards      what a robot earns
metrics      how well a region is filled
rules        the paper's prior policy, and mean-shift exploration
drawing      a frame of a film
memory       bytes of a step
environment  a step, and what everybody is shown
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from covey.core.errors import BadInput
from covey.environments.assembly.environment import Assembly, Layout, Placement
from covey.environments.assembly.rewards import Reward, Sharing
from covey.environments.assembly.sensing import Listing
from covey.environments.assembly.shapes import PAPER, Region, bank

__all__ = ["Assembly", "assembly"]

MOST_ROBOTS = 200


def assembly(
    robots: int = 30,
    time_limit: int = 200,
    shapes: str | tuple[str, ...] = PAPER,
    collision_radius: float | Literal["auto"] = 0.1,
    placement: Placement = "random",
    reward: Reward = "llm",
    sharing: Sharing = "individual",
    tolerance: float = 0.05,
    sensing_radius: float = 0.4,
    nearest: int = 6,
    cells: int = 80,
    listing: Listing = "thinned",
    layout: Layout = "code192",
) -> Assembly:
    """Robots spread evenly over a region of some shape.

    Args:
        robots: How many robots, from 2 to 200.
        time_limit: Length of an episode, in steps.
        shapes: One of these is drawn for each episode: names (star, L, T, R, O, A, B, E, circle, square), PNG files
            (dark is inside) or `.npy` files of bool [H, W].
        collision_radius: Robots collide within twice this distance, and occupy cells within it, in plane units. "auto":
            discs of this radius have the area of the smallest region together, as in the paper's code.
        placement: Turn and move the region at random, or leave it upright in the middle (`centered`).
        reward: Robots earn for standing in the mean of the free cells around them (`llm`), or in a mean in which nearer
            cells weigh more (`manual`).
        sharing: Robots earn their own reward, or all of them the `mean` or the `max` of the team.
        tolerance: How far from the middle of the free cells a robot earns, in plane units.
        sensing_radius: How far robots sense others and cells, in plane units.
        nearest: How many of the nearest robots each sees, and lists as neighbors.
        cells: How many of the cells that it senses each robot sees.
        listing: Which ones, where it senses more: evenly spread over their numbers (`thinned`), or the nearest.
        layout: Observations as in the paper's code, or without the target's velocity (`paper190`).
    """
    shapes = (shapes,) if isinstance(shapes, str) else shapes
    counts = {"time_limit": time_limit, "nearest": nearest, "cells": cells, "shapes": len(shapes)}
    for name, count in counts.items():
        if count < 1:
            raise BadInput(f"`{name}` is {count}: there has to be at least one.")
    if not 2 <= robots <= MOST_ROBOTS:
        raise BadInput(f"there are {robots} robots: choose from 2 to {MOST_ROBOTS}.")
    for name, length in {"sensing_radius": sensing_radius, "tolerance": tolerance}.items():
        if not 0 < length < np.inf:
            raise BadInput(f"`{name}` is {length}: make it a finite number above 0.")
    regions = bank(shapes)
    if cells > regions.cell.shape[1]:
        raise BadInput(f"`cells` is {cells}, and the largest region has {regions.count.max()}: see fewer cells.")
    radius = _radius(collision_radius, robots, shapes, regions)
    return Assembly(
        bank=regions,
        radius=radius,
        reach=sensing_radius,
        tolerance=tolerance,
        robots=robots,
        time_limit=time_limit,
        nearest=nearest,
        cells=cells,
        listing=listing,
        layout=layout,
        placement=placement,
        reward=reward,
        sharing=sharing,
    )


def _radius(asked: float | Literal["auto"], robots: int, shapes: tuple[str, ...], regions: Region) -> float:
    """The collision radius; BadInput where robots do not fit: each needs a square of side 2 r, 4 N r² ≤ C l²."""
    if asked == "auto":
        return auto_radius(robots, regions)
    if not 0 < asked < np.inf:
        raise BadInput(f"`collision_radius` is {asked}: make it a finite number above 0, or `auto`.")
    least = int(np.argmin(regions.area))
    area, needed = float(regions.area[least]), 4 * robots * asked**2
    if needed > area:
        raise BadInput(
            f"{robots} robots of collision radius {asked:g} do not fit into {shapes[least]}: they need 4 N r² = "
            f"{needed:.2f} of its area {area:.2f}; at most {int(area / (4 * asked**2))} robots fit, or a radius of "
            f"{np.floor(1e3 * np.sqrt(area / robots) / 2) / 1e3:g}."
        )
    return asked


def auto_radius(robots: int, regions: Region) -> float:
    """Half of sqrt(4 min C / (π N)) min l, rounded to hundredths, over all regions: the formula of the paper's code.

    Discs of this radius cover as much as a region of `min C` cells of side `min l`, so that they cannot all lie in it.
    """
    return round(float(np.sqrt(4.0 * regions.count.min() / (np.pi * robots)) * regions.side.min()), 2) / 2
