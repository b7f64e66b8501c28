"""Where two trees of arrays differ, in words."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def difference(one: Any, other: Any, tolerance: float = 0.0) -> str | None:
    """The first place where the trees differ, or None.

    With a tolerance t, floats may differ by t·(1 + |value|), everything else must be equal; without one, every value
    has to be the same (NaN equals NaN).
    """
    ours, structure = jax.tree_util.tree_flatten_with_path(one)
    theirs, other_structure = jax.tree_util.tree_flatten_with_path(other)
    if structure != other_structure:
        return f"the structure: {structure} against {other_structure}"
    for (path, a), (_, b) in zip(ours, theirs, strict=True):
        found = _leaf_difference(plain(a), plain(b), tolerance)
        if found:
            return f"{jax.tree_util.keystr(path) or 'the array'}: {found}"
    return None


def plain(x: Any) -> np.ndarray:
    """A leaf as a NumPy array; random keys as their data."""
    if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        x = jax.random.key_data(x)
    return np.asarray(x)


def _leaf_difference(a: np.ndarray, b: np.ndarray, tolerance: float) -> str | None:
    if (a.shape, a.dtype) != (b.shape, b.dtype):
        return f"{a.dtype}{list(a.shape)} against {b.dtype}{list(b.shape)}"
    if a.tobytes() == b.tobytes():
        return None
    if not np.issubdtype(a.dtype, np.floating):
        return None if (a == b).all() else f"{_count(a != b)} values differ"
    wide = a.astype(np.float64), b.astype(np.float64)
    same = (wide[0] == wide[1]) | (np.isnan(wide[0]) & np.isnan(wide[1]))
    with np.errstate(invalid="ignore"):
        gap = np.where(same, 0.0, np.nan_to_num(np.abs(wide[0] - wide[1]), nan=np.inf))
        close = (gap <= tolerance * (1.0 + np.abs(wide[1]))) & np.isfinite(gap)
    return None if close.all() else f"{_count(~close)} values differ, by up to {gap.max():.3g}"


def _count(flags: np.ndarray) -> str:
    return f"{int(flags.sum())} of {flags.size}"
