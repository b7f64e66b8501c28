"""Trees of arrays in a block of memory that several processes see. Plain Python: a worker has no use for JAX."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing.shared_memory import SharedMemory
from typing import Any, NamedTuple

import numpy as np

from covey.core.types import Groups

ALIGNMENT = 64  # bytes; every shared array begins on a cache line


class Views(NamedTuple):
    """What crosses the border at every step, as arrays in shared memory."""

    action: Groups
    then: Any
    now: Any


class Shape(NamedTuple):
    """What there is to know about an array before it exists."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def room(self) -> int:
        """Bytes, rounded up so that the next array is aligned."""
        size = int(np.prod(self.shape)) * self.dtype.itemsize
        return -(-size // ALIGNMENT) * ALIGNMENT


def leaves(tree: Any) -> Iterator[Any]:
    """The arrays of dicts (in name order), tuples and lists; None holds nothing."""
    if isinstance(tree, dict):
        tree = [tree[name] for name in sorted(tree)]
    if isinstance(tree, (tuple, list)) and not isinstance(tree, Shape):
        for item in tree:
            yield from leaves(item)
    elif tree is not None:
        yield tree


def rebuild(tree: Any, values: Iterator[Any]) -> Any:
    """`tree` with its leaves replaced, in the order of `leaves`."""
    if tree is None:
        return None
    if isinstance(tree, dict):
        return {name: rebuild(tree[name], values) for name in sorted(tree)}
    if isinstance(tree, Shape) or not isinstance(tree, (tuple, list)):
        return next(values)
    items = [rebuild(item, values) for item in tree]
    return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)


def shapes(tree: Any) -> Any:
    return rebuild(tree, (Shape(np.shape(x), np.asarray(x).dtype) for x in leaves(tree)))


def view(shared: Any, block: SharedMemory, begin: int, end: int) -> Any:
    """The arrays that a tree of shapes describes, inside `block`, lanes `begin` to `end` of each."""

    def inside() -> Iterator[np.ndarray]:
        offset = 0
        for array in leaves(shared):
            yield np.ndarray(array.shape, array.dtype, block.buf, offset)[begin:end]
            offset += array.room

    return rebuild(shared, inside())


def fill(mine: Any, given: Any) -> None:
    """Copy `given` into the shared arrays `mine`."""
    for ours, value in zip(leaves(mine), leaves(given), strict=True):
        ours[...] = value


def copied(tree: Any) -> Any:
    """A copy that the next step does not overwrite."""
    return rebuild(tree, (np.array(x) for x in leaves(tree)))
