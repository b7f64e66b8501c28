"""Regions to fill: an outline becomes about 500 square cells on a lattice.

An outline is a picture, bool [H, W], with y upwards. Squares of s pixels are laid over it, and those that lie entirely
inside are cells. Their centers are moved so that their mean is 0, and scaled so that they span `HEIGHT` in y; the side
of a cell follows. s is chosen so that there are as near to `CELLS` cells as there can be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from covey.core.errors import BadInput, unknown
from covey.environments.assembly.pictures import is_file, read_outline

CELLS = 500  # how many cells a region should have
FEWEST_CELLS = 100  # with fewer it is no shape
HEIGHT = 2.2  # from the lowest to the highest center of a cell, plane units
WORD = 32  # regions are padded to a multiple of so many cells
FAR = 1e3  # where the cells are that pad a region, plane units: nobody gets there, and nobody sees so far


class Region(NamedTuple):
    """Square cells, NumPy or JAX arrays, of which the first `count` are real and the rest pad, `FAR` away.

    Lengths in plane units. A bank of regions has a leading [S].
    """

    cell: Any  # [C, 2]  float32, centers
    count: Any  # []  int32
    side: Any  # []  float32, of a cell

    @property
    def area(self) -> Any:
        return self.count * self.side**2


def bank(shapes: Sequence[str]) -> Region:
    """The regions of these shapes, names of `SHAPES` or files, around their means, padded to the size of the largest.

    BadInput where a name is unknown or a file cannot be used.
    """
    regions = [_named(shape) for shape in shapes]
    size = -(-max(int(region.count) for region in regions) // WORD) * WORD
    cells = np.full((len(regions), size, 2), FAR, np.float32)
    for row, region in zip(cells, regions, strict=True):
        row[: region.count] = region.cell
    return Region(cells, np.array([r.count for r in regions]), np.array([r.side for r in regions]))


def cut(outline: np.ndarray, name: str) -> Region:
    """The cells of an outline, bool [H, W] with y upwards, row by row; BadInput where they make no region."""
    rows, columns = (np.flatnonzero(outline.any(axis)) for axis in (1, 0))
    if not len(rows):
        raise BadInput(f"there is no shape in {name}: draw it dark on white, or true on false.")
    outline = outline[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    inside = np.pad(outline.cumsum(0, dtype=np.int32).cumsum(1, dtype=np.int32), ((1, 0), (1, 0)))
    widest = int(np.sqrt(outline.sum() / CELLS)) + 1
    corner, pixels = min(
        ((_squares(inside, pixels), pixels) for pixels in range(1, widest + 1)),
        key=lambda found: abs(len(found[0]) - CELLS),
    )
    if len(corner) < FEWEST_CELLS:
        raise BadInput(
            f"the shape in {name} has room for {len(corner)} cells, and a region needs {FEWEST_CELLS}: draw it larger, "
            "and in lines that are not thin."
        )
    extent = np.ptp(corner, axis=0) / max(np.ptp(corner[:, 1]), 1)  # in heights
    if extent[0] > WIDEST:
        raise BadInput(
            f"the shape in {name} is {extent[0]:.1f} times as wide as high, and it is made {HEIGHT:g} high: it fits "
            f"into the arena up to {WIDEST:g} times."
        )
    scale = HEIGHT / np.ptp(corner[:, 1])
    cell = scale * (corner - corner.mean(0))
    return Region(cell.astype(np.float32), np.int32(len(cell)), np.float32(scale * pixels))


WIDEST = 2.0
"""How many times as wide as high a region may be."""


def _squares(inside: np.ndarray, pixels: int) -> np.ndarray:
    """The lower left corners (x, y) of all squares of a centered lattice that are full, given the sums of the pixels
    below and left of every corner, [H + 1, W + 1]."""
    y, x = (np.arange((size - 1) % pixels // 2, size, pixels) for size in inside.shape)
    corner = inside[np.ix_(y, x)]
    full = corner[1:, 1:] - corner[:-1, 1:] - corner[1:, :-1] + corner[:-1, :-1] == pixels**2
    row, column = np.nonzero(full)
    return np.stack([x[column], y[row]], axis=1).astype(float)


@cache
def _drawn(name: str) -> Region:
    return cut(SHAPES[name](), name)


def _named(shape: str) -> Region:
    if is_file(shape):
        return cut(read_outline(shape), shape)
    if shape not in SHAPES:
        raise unknown("the shape", shape, SHAPES)
    return _drawn(shape)


# ---------------------------------------------------------------------------------------------------------------------
# Outlines that are drawn here: unions of simple figures on a canvas 1 high, from (0, 0) at the lower left

ROWS = 640  # pixels of the height of an outline


def _canvas(width: float) -> tuple[np.ndarray, np.ndarray]:
    """The pixels' centers, x and y."""
    x, y = (np.arange(round(size * ROWS)) + 0.5 for size in (width, 1.0))
    return np.meshgrid(x / ROWS, y / ROWS)


def _box(at: tuple, left: float, right: float, low: float, high: float) -> np.ndarray:
    x, y = at
    return (left <= x) & (x <= right) & (low <= y) & (y <= high)


def _disc(at: tuple, center: tuple[float, float], *radius: float) -> np.ndarray:
    """A disc, or an ellipse with two radii."""
    x, y = ((z - c) / r for z, c, r in zip(at, center, (radius * 2)[:2], strict=True))
    return x**2 + y**2 <= 1.0


def _polygon(at: tuple, *corners: tuple[float, float]) -> np.ndarray:
    """Where a ray to the right crosses the border an odd number of times."""
    x, y = at
    inside = np.zeros_like(x, bool)
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        if y0 != y1:
            inside ^= ((y0 <= y) != (y1 <= y)) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside


def _star() -> np.ndarray:
    angle = np.pi / 2 + np.pi / 5 * np.arange(10)
    radius = np.where(np.arange(10) % 2, 0.41, 1.0) / (1 + np.cos(np.pi / 5))
    middle = (np.cos(np.pi / 10) / (1 + np.cos(np.pi / 5)), np.cos(np.pi / 5) / (1 + np.cos(np.pi / 5)))
    corners = [(middle[0] + r * np.cos(a), middle[1] + r * np.sin(a)) for r, a in zip(radius, angle, strict=True)]
    return _polygon(_canvas(2 * middle[0]), *corners)


def _letter_l() -> np.ndarray:
    at = _canvas(0.68)
    return _box(at, 0, 0.26, 0, 1) | _box(at, 0, 0.68, 0, 0.26)


def _letter_t() -> np.ndarray:
    at = _canvas(0.76)
    return _box(at, 0, 0.76, 0.76, 1) | _box(at, 0.26, 0.5, 0, 1)


def _letter_e() -> np.ndarray:
    at = _canvas(0.7)
    bars = _box(at, 0, 0.7, 0, 0.19) | _box(at, 0, 0.62, 0.405, 0.595) | _box(at, 0, 0.7, 0.81, 1)
    return _box(at, 0, 0.19, 0, 1) | bars


def _letter_o() -> np.ndarray:
    at = _canvas(0.88)
    return _disc(at, (0.44, 0.5), 0.44, 0.5) & ~_disc(at, (0.44, 0.5), 0.24, 0.28)


def _letter_a() -> np.ndarray:
    at = _canvas(0.96)
    legs = _polygon(at, (0, 0), (0.22, 0), (0.48, 0.72), (0.74, 0), (0.96, 0), (0.6, 1), (0.36, 1))
    return legs | (_box(at, 0.2, 0.76, 0.22, 0.4) & _polygon(at, (0, 0), (0.96, 0), (0.48, 1.3)))


def _bowl(at: tuple, low: float, high: float, right: float, stroke: float) -> np.ndarray:
    """A half ring from the stem at the left, as of B and R."""
    radius = (high - low) / 2
    round_ = (right - radius, low + radius)
    outer = _disc(at, round_, radius) & (at[0] >= round_[0]) | _box(at, 0, round_[0], low, high)
    inner = _disc(at, round_, radius - stroke) & (at[0] >= round_[0])
    return outer & ~(inner | _box(at, stroke, round_[0], low + stroke, high - stroke))


def _letter_b() -> np.ndarray:
    at = _canvas(0.74)
    return _bowl(at, 0, 0.59, 0.74, 0.19) | _bowl(at, 0.41, 1, 0.7, 0.19) | _box(at, 0, 0.2, 0, 1)


def _letter_r() -> np.ndarray:
    at = _canvas(0.78)
    leg = _polygon(at, (0.26, 0.45), (0.54, 0), (0.78, 0), (0.5, 0.45))
    return _bowl(at, 0.4, 1, 0.72, 0.19) | _box(at, 0, 0.21, 0, 1) | leg


def _circle() -> np.ndarray:
    at = _canvas(1)
    return _disc(at, (0.5, 0.5), 0.5)


def _square() -> np.ndarray:
    return np.ones((ROWS, ROWS), bool)


SHAPES: dict[str, Callable[[], np.ndarray]] = {
    "star": _star,
    "L": _letter_l,
    "T": _letter_t,
    "R": _letter_r,
    "O": _letter_o,
    "A": _letter_a,
    "B": _letter_b,
    "E": _letter_e,
    "circle": _circle,
    "square": _square,
}
"""Shapes by name, drawn for covey."""

PAPER = ("star", "T", "R", "O", "A", "B", "E")
"""The shapes of the paper's code."""
