"""Outlines from files: pictures (PNG, dark is inside) and masks (`.npy`, true is inside)."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from covey.core.errors import BadInput

MOST_PIXELS = 4_000_000
"""Larger files are refused before their pixels are decoded."""

DARK = 128
"""Gray levels below this one are inside; where a picture is transparent it is white."""


def is_file(shape: str) -> bool:
    """Does a shape name a file, and not one that is drawn here?"""
    return Path(shape).suffix.lower() in (".png", ".npy")


def read_outline(path: str) -> np.ndarray:
    """The outline in a file, bool [H, W] with y upwards; BadInput where it cannot be used."""
    if not Path(path).is_file():
        raise BadInput(f"the shape {path} is no file: give the path of a PNG picture or an `.npy` mask.")
    read = _mask if Path(path).suffix.lower() == ".npy" else _picture
    return np.flipud(read(path))


def _picture(path: str) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=["PNG"]) as picture:
                _demand_small(path, picture.height, picture.width)
                layers = picture.convert("RGBA")
    except Image.DecompressionBombError as error:
        raise _too_large(path) from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"the picture {path} cannot be read as PNG ({_reason(error)}): save it again.") from error
    white = Image.new("RGBA", layers.size, "white")
    return np.asarray(Image.alpha_composite(white, layers).convert("L")) < DARK


def _mask(path: str) -> np.ndarray:
    try:
        mask = np.load(path, mmap_mode="r", allow_pickle=False)  # reads the header only
    except (OSError, ValueError, EOFError) as error:
        raise BadInput(f"the mask {path} cannot be read ({_reason(error)}): save it with `numpy.save`.") from error
    if not isinstance(mask, np.ndarray) or mask.ndim != 2 or mask.dtype != bool:
        raise BadInput(f"the mask {path} is not of bool values in rows and columns: save an array bool [H, W].")
    _demand_small(path, *mask.shape)
    return np.array(mask)


def _demand_small(path: str, height: int, width: int) -> None:
    if height * width > MOST_PIXELS:
        raise _too_large(path, f" ({width} x {height})")


def _too_large(path: str, size: str = "") -> BadInput:
    return BadInput(f"the shape {path} is too large{size}: scale it down to {MOST_PIXELS:,} pixels at most.")


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
