"""What robots sense: their nearest neighbors, the cell of the region they head for, and free cells around them.

Cells are occupied where a robot is within the collision radius r of them. The paper's code removes from what robot i
senses, within a radius R, the cells that are occupied by robots j within R + r of it. Those are all occupied cells
that i could sense, since |p_j - p_i| ≤ |c_k - p_j| + |c_k - p_i|. So one row [C] says for everybody which cells are
occupied, and nothing here grows with N² C.

Arrays of cells and robots are [C, n]. Robots are innermost, because processors work on many of them at once there, and
they are taken `PIECE` at a time, so that no array grows with N C either.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from covey.environments.assembly.physics import length
from covey.environments.assembly.shapes import WORD, Region
from covey.environments.neighbors import nearest_others

Listing = Literal["thinned", "nearest"]
PIECE = 64  # robots whose distances from all cells are in memory at a time
EQUAL = 1.0 + 1e-6  # squared distances that differ by less are equal: two programs may round one differently


def neighbors(position: Any, count: int, reach: Any) -> tuple[Any, Any]:
    """Of robots at `position` [N, 2], the `count` that are nearest to each and nearer than `reach`, the nearest first:
    index [N, M], int32, and which entries are somebody [N, M]."""
    index, there = nearest_others(position, jnp.ones(len(position), bool), count)
    gap = position[index] - position[:, None]
    return index, there & (length(gap[..., 0], gap[..., 1]) < reach)


class Sensed(NamedTuple):
    """What robots sense of the region."""

    nearest: Any  # [N]  int32, the cell whose center is nearest
    inside: Any  # [N]  bool, is the robot in the region
    cell: Any  # [N, K]  int32, cells that it may go to
    there: Any  # [N, K]  bool, which entries of `cell` count


@partial(jax.jit, static_argnames=("most", "listing"), inline=True)  # one program also where a step is not compiled
def sense(position: Any, region: Region, radius: Any, reach: Any, most: int, listing: Listing) -> Sensed:
    """What robots at `position` [N, 2] sense within `reach`, if they occupy the cells within `radius` of them.

    A robot is inside the region where the center of a cell is nearer than half a diagonal. It senses all cells in
    reach from outside, and the free ones from inside. Where they are more than `most`, K, it lists some of them:
    evenly spread over their numbers ("thinned"), or the nearest ones.
    """
    free = ~occupied(position, region.cell, radius)[:, None]
    choose = thinned if listing == "thinned" else closest

    def of(robot: Any) -> Any:  # [n, 2]
        square = squares(region.cell, robot)  # [C, n]
        least = square.min(0)
        nearest = nth_true(square <= least * EQUAL, np.zeros((1, 1), np.int32))[0]
        inside = jnp.sqrt(least) < region.side * np.sqrt(0.5)
        cell, there = choose((square < reach**2) & (free | ~inside), square, most)
        return nearest, inside, cell.T, there.T

    found = jax.lax.map(of, in_pieces(position, PIECE))
    return Sensed(*(x.reshape(-1, *x.shape[2:])[: len(position)] for x in found))


def squares(a: Any, b: Any) -> Any:
    """Squared distances between points [n, 2] and [m, 2]: [n, m]."""
    return sum(jnp.square(x[:, None] - y) for x, y in zip(a.T, b.T, strict=True))


def occupied(position: Any, cell: Any, radius: Any) -> Any:
    """Which cells have a robot within `radius`: [N, 2], [C, 2] -> bool [C]."""
    return least_squares(position, cell) <= radius**2


def least_squares(position: Any, cell: Any) -> Any:
    """Squared distance of every cell from the nearest robot: [N, 2], [C, 2] -> [C]."""
    return jax.lax.map(lambda robots: squares(robots, cell).min(0), in_pieces(position, PIECE)).min(0)


def in_pieces(rows: Any, most: int) -> Any:
    """Rows [N, ...] in pieces of the same length, `most` rows or fewer: [P, L, ...]. The last is filled up with rows of
    the first."""
    pieces = -(-len(rows) // most)
    each = -(-len(rows) // pieces)
    return jnp.concatenate([rows, rows[: pieces * each - len(rows)]]).reshape(pieces, each, *rows.shape[1:])


# ---------------------------------------------------------------------------------------------------------------------
# Which cells to list, of those that are sensed [C, n]: index [K, n], and which entries count [K, n]


def thinned(sensed: Any, square: Any, most: int) -> tuple[Any, Any]:
    """Of s > K cells the round(q (s - 1) / (K - 1))-th, q = 0 … K - 1; otherwise all, in the order of their numbers."""
    q = np.arange(most, dtype=np.int32)[:, None]
    count = sensed.sum(0, dtype=jnp.int32)
    spread = (2 * q * (count - 1) + most - 1) // max(2 * (most - 1), 1)
    return nth_true(sensed, jnp.where(count > most, spread, q)), q < count


def closest(sensed: Any, square: Any, most: int) -> tuple[Any, Any]:
    """The nearest, by the `square` of their distance [C, n], the nearest first."""
    far, cell = jax.lax.top_k(jnp.where(sensed, -square, -jnp.inf).T, most)
    return cell.T, jnp.isfinite(far.T)


def nth_true(mask: Any, rank: Any) -> Any:
    """Where columns of a mask [C, n] are true for the rank-th time, counted from 0: rank [K, n or 1] -> int32 [K, n];
    any place where they never are.

    The mask is packed into words of 32 bits, so that no array [C, K, n] is needed: count the words that end before the
    rank, then halve the word that holds it five times.
    """
    bits = mask.reshape(-1, WORD, mask.shape[1]).astype(jnp.uint32) << np.arange(WORD, dtype=np.uint32)[:, None]
    words = bits.sum(1, dtype=jnp.uint32)  # [W, n]
    ones = _ones(words)
    before = (np.tri(len(words), k=-1, dtype=np.int32)[:, :, None] * ones).sum(1)  # [W, n]: in words before each
    at = ((before + ones)[:, None] <= rank).sum(0, dtype=jnp.int32)
    at = jnp.minimum(at, len(words) - 1)
    word, left = _rows(words, at), rank - _rows(before, at)
    place = jnp.zeros_like(at)
    for half in (16, 8, 4, 2, 1):
        low = _ones((word >> place.astype(jnp.uint32)) & np.uint32(2**half - 1))
        above = left >= low
        left, place = left - jnp.where(above, low, 0), place + jnp.where(above, half, 0)
    return jnp.minimum(WORD * at + place, len(mask) - 1)


def _ones(word: Any) -> Any:
    return jax.lax.population_count(word).astype(jnp.int32)


def _rows(table: Any, at: Any) -> Any:
    return jnp.take_along_axis(table, at, 0, mode="promise_in_bounds")


# ---------------------------------------------------------------------------------------------------------------------
# What one robot sees


class View(NamedTuple):
    """What one robot sees, by name: all that rules and rewards may use. Positions in plane units, velocities in plane
    units per second; of neighbors, cells and the target relative to the own."""

    position: Any  # [2]
    velocity: Any  # [2]
    neighbor_position: Any  # [M, 2]  the nearest first; zero where nobody is
    neighbor_velocity: Any  # [M, 2]
    neighbor_there: Any  # [M]  bool
    target_position: Any  # [2]  of the nearest cell; exactly 0 inside the region
    in_region: Any  # []  bool
    cell_position: Any  # [K, 2]  zero where there is none
    cell_there: Any  # [K]  bool


def views(fields: dict[str, Any]) -> View:
    """The views of robots, [..., N] each, whose observations have these `fields` by name (`Group.fields_of`)."""
    neighbor, cell, target = fields["neighbors"], fields["cells"], fields["target_position"]
    return View(
        position=fields["position"],
        velocity=fields["velocity"],
        neighbor_position=neighbor[..., :2],
        neighbor_velocity=neighbor[..., 2:],
        neighbor_there=(neighbor != 0).any(-1),
        target_position=target,
        in_region=(target == 0).all(-1),
        cell_position=cell,
        cell_there=(cell != 0).any(-1),
    )
