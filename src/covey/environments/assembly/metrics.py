"""How well a region is filled: the metrics of the paper, and of Sun et al. (2023)."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from covey.environments.assembly.physics import BODY
from covey.environments.assembly.sensing import EQUAL, PIECE, in_pieces, least_squares, squares
from covey.environments.assembly.shapes import Region

FINAL = ("coverage", "coverage_share", "unevenness", "entered", "collided", "speed")
"""Measures that are also reported at the end of an episode, as `final_...`."""


class Filling(NamedTuple):
    """How robots lie in a region after a step."""

    coverage: Any  # []  M1: share of the cells with a robot nearer than the collision radius
    bound: Any  # []  what M1 could be, if the discs of that radius did not overlap
    cells: Any  # [N]  int32, cells whose nearest robot it is
    spacing: Any  # [N]  distance to the nearest other robot, plane units


def filling(position: Any, region: Region, radius: Any) -> Filling:
    """Of robots at `position` [N, 2]. A cell between two robots that are equally near counts for both."""
    count, real = len(position), np.arange(len(region.cell)) < region.count
    least = least_squares(position, region.cell)
    limit = jnp.where(real, least * EQUAL, -1.0)[:, None]  # [C, 1]
    own = jax.lax.map(
        lambda robots: (squares(region.cell, robots) <= limit).sum(0, dtype=jnp.int32), in_pieces(position, PIECE)
    )
    apart = jnp.where(np.eye(count, dtype=bool), jnp.inf, squares(position, position))
    return Filling(
        coverage=((least < radius**2) & real).sum() / region.count,
        bound=jnp.minimum(1.0, count * np.pi * radius**2 / region.area),
        cells=own.reshape(-1)[:count],
        spacing=jnp.sqrt(apart.min(0)),
    )


def measures(position: Any, inside: Any, region: Region, radius: Any) -> dict[str, Any]:
    """Numbers of one step: robots at `position` [N, 2], of which some are `inside` [N] the region."""
    found = filling(position, region, radius)
    return {
        "coverage": found.coverage,
        "coverage_share": found.coverage / found.bound,
        "unevenness": found.cells.astype(jnp.float32).var(),
        "entered": inside.mean(dtype=jnp.float32),
        "collided": (found.spacing < 2.0 * radius).mean(dtype=jnp.float32),
        "touching": (found.spacing < 2.0 * BODY).mean(dtype=jnp.float32),
        "unevenness_code": _as_in_code(found.cells.astype(jnp.float32)),
        "spacing_code": _as_in_code(found.spacing),
    }


def _as_in_code(x: Any) -> Any:
    """(variance - least) / (largest - least), what the paper's code reports as uniformity; NaN where all are equal. It
    mixes units, and is there for comparison only."""
    span = x.max() - x.min()
    return jnp.where(span > 0, (x.var() - x.min()) / jnp.where(span > 0, span, 1.0), jnp.nan)
