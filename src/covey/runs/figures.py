"""What all pictures share: figures without global state, colors, plain axes, pixels and files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from covey.core.errors import BadInput
from covey.environments.plane import FAINT, INK, PALETTE
from covey.runs.files import write_atomically, writing

GRID = "#E7E9EB"
SUFFIXES = (".png", ".svg", ".pdf")


def blank(width: float, height: float, dpi: float = 110.0) -> Figure:
    """An empty white figure, in inches, that belongs to no window."""
    figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def pixels(figure: Figure) -> np.ndarray:
    """The figure as RGB, uint8 [height, width, 3]."""
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def colors(count: int) -> list[Any]:
    """As many colors that can be told apart."""
    if count <= len(PALETTE):
        return list(PALETTE[:count])
    return [colormaps["turbo"](0.06 + 0.88 * i / (count - 1)) for i in range(count)]


def plain(axes: Any, title: str = "", x: str = "", y: str = "") -> None:
    """Quiet axes: no box, horizontal grid lines, a title on the left."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=FAINT, labelcolor=INK, labelsize=9, length=3)
    axes.set_title(title, loc="left", fontsize=11, weight="bold", color=INK)
    axes.set_xlabel(x, fontsize=9.5, color=INK)
    axes.set_ylabel(y, fontsize=9.5, color=INK)


def save(figure: Figure, path: Path, dpi: float = 160.0) -> Path:
    """Write a figure as `.png`, `.svg` or `.pdf`, wholly or not at all; the same figure gives the same file."""
    check_suffix(path, SUFFIXES)
    packed = io.BytesIO()
    stamp = {"Creator": None, "Date": None} if path.suffix == ".svg" else None
    stamp = {"Creator": None, "CreationDate": None} if path.suffix == ".pdf" else stamp
    with rc_context({"svg.hashsalt": "covey", "svg.fonttype": "none"}):
        figure.savefig(packed, format=path.suffix[1:], dpi=dpi, metadata=stamp)
    return put(path, packed.getvalue())


def put(path: Path, content: bytes) -> Path:
    """Write a file, and the folders above it; BadInput where that cannot be done."""
    with writing(f"the picture {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)
    return path


def check_suffix(path: Path, known: Sequence[str]) -> None:
    if path.suffix not in known:
        raise BadInput(f"a picture cannot be written as {path.suffix or path.name!r}: use {' or '.join(known)}.")
