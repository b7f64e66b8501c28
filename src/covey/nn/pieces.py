"""Large batches, piece by piece."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def in_pieces(function: Callable[..., Any], most: int, *batch: Any) -> Any:
    """`function(*batch)` of arrays [N, ...], computed for at most `most` of the N at a time.

    The gradient computes each piece again, so its memory is that of one piece. `function` has to treat them one by one,
    and returns an array [N, ...]. A batch of at most `most` is computed at once.
    """
    count, most = len(batch[0]), max(most, 1)
    if count <= most:
        return function(*batch)
    again, whole = jax.checkpoint(function), count // most * most
    pieces = [x[:whole].reshape(-1, most, *x.shape[1:]) for x in batch]
    found = jax.lax.map(lambda piece: again(*piece), pieces)
    found = found.reshape(whole, *found.shape[2:])
    return found if whole == count else jnp.concatenate([found, again(*(x[whole:] for x in batch))])
