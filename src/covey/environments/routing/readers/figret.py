"""What FIGRET and DOTE keep beside a node-link JSON topology (`graphs.read_json`).

1.hist        one matrix a line, V x V numbers with the diagonal, in the unit of the capacities
1.opt         one number a line: the published least MLU of each matrix over the tunnels
tunnels.txt   `0 2:0-2,0-1-2`   the candidate paths of a pair, as node indices
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from covey.environments.routing.readers.common import (
    Matrices,
    Tunnels,
    fail,
    indices,
    natural,
    numbers,
    plain_matrices,
    read_text,
)


def read_matrices(path: Path, text: str, nodes: tuple[str, ...]) -> Matrices:
    """One matrix a line."""
    return plain_matrices(path, text, len(nodes))


def beside(path: Path) -> list[Path]:
    """`*.hist`, in natural order."""
    return sorted(path.parent.glob("*.hist"), key=natural)


def read_tunnels(path: Path, nodes: int) -> Tunnels:
    """{(source, target): paths as node indices}."""
    tunnels: Tunnels = {}
    for line, row in enumerate(read_text(path).splitlines(), 1):
        if not row.strip():
            continue
        pair, colon, listed = row.partition(":")
        ends = indices(path, line, pair.split(), nodes)
        if not colon or len(ends) != 2:
            raise fail(path, line, "a row should read `source target:v0-v1-..-vn,..`.")
        paths = tuple(tuple(indices(path, line, words.strip().split("-"), nodes)) for words in listed.split(","))
        if any((steps[0], steps[-1]) != tuple(ends) for steps in paths):
            raise fail(path, line, f"a tunnel does not lead from {ends[0]} to {ends[1]}; the line may be cut off.")
        if (ends[0], ends[1]) in tunnels:
            raise fail(path, line, f"the pair {ends[0]} {ends[1]} comes twice; put its tunnels on one line.")
        tunnels[ends[0], ends[1]] = paths
    return tunnels


def read_optima(path: str | Path) -> np.ndarray:
    """[T] the published optimal MLU of each matrix."""
    path = Path(path)
    rows = enumerate(read_text(path).splitlines(), 1)
    return np.array([numbers(path, line, row.split(), 1)[0] for line, row in rows if row.strip()])
