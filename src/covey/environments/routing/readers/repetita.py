"""REPETITA (Gay et al., arXiv:1710.08665): `.graph` topologies and `.demands` matrices.

    NODES 3            EDGES 4                                    DEMANDS 2
    label x y          label src dest weight bw delay             label src dest bw
    a 1.5 2.5          edge_0 0 1 10 10000 1900                   demand_0 0 1 250

Links are directed, bandwidth is in kbit/s, delay in microseconds. Each `.demands` file is one matrix.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from covey.environments.routing.readers.common import (
    Arc,
    Matrices,
    Parsed,
    assemble,
    fail,
    from_demands,
    indices,
    natural,
    numbers,
)


def recognizes(path: Path, text: str) -> bool:
    """Does the text begin like a REPETITA topology?"""
    return text.split(maxsplit=1)[0] == "NODES"


def recognizes_matrices(text: str) -> bool:
    """Does the text begin like a REPETITA matrix?"""
    return text.split(maxsplit=1)[0] == "DEMANDS"


def read_network(path: Path, text: str, capacity: float | None = None) -> Parsed:
    """The topology, in kbit/s and milliseconds."""
    lines = list(enumerate(text.splitlines(), 1))
    nodes = list(_section(path, lines, "NODES", 3))
    names = [words[0] for _, words in nodes]
    coordinates = [numbers(path, line, words[1:], 2) for line, words in nodes]
    arcs = []
    for line, words in _section(path, lines, "EDGES", 6):
        source, target = indices(path, line, words[1:3], len(names))
        weight, bandwidth, delay = map(float, numbers(path, line, words[3:], 3))
        arcs.append(Arc(source, target, bandwidth, weight, delay / 1000, line))
    return Parsed(assemble(path, names, arcs, both=False, unit="kbit/s", coordinates=coordinates, capacity=capacity))


def read_matrices(path: Path, text: str, nodes: tuple[str, ...]) -> Matrices:
    """The one matrix of a `.demands` file, in kbit/s."""
    demands = []
    for line, words in _section(path, list(enumerate(text.splitlines(), 1)), "DEMANDS", 4):
        source, target = indices(path, line, words[1:3], len(nodes))
        demands.append((source, target, float(numbers(path, line, words[3:], 1)[0]), line))
    return from_demands(path, len(nodes), demands, "kbit/s")


def _section(path: Path, lines: list[tuple[int, str]], title: str, columns: int) -> Iterator[tuple[int, list[str]]]:
    """(line, words) of each row of the section `title COUNT`, below its line of column names."""
    start = next((i for i, (_, row) in enumerate(lines) if row.split()[:1] == [title]), None)
    if start is None:
        raise fail(path, len(lines), f"there is no section {title}; the file may be cut off.")
    words = lines[start][1].split()
    if len(words) != 2 or not words[1].isdigit():
        raise fail(path, start + 1, f"the section should begin with `{title} COUNT`.")
    rows = lines[start + 2 : start + 2 + int(words[1])]
    for line, row in rows:
        if len(row.split()) != columns:
            raise fail(path, line, f"{len(row.split())} columns where {columns} are expected; the file may be cut off.")
        yield line, row.split()
    if len(rows) != int(words[1]):
        raise fail(path, len(lines), f"{len(rows)} rows where {title} announces {words[1]}; the file may be cut off.")


def beside(path: Path) -> list[Path]:
    """`<topology>.demands` and `<topology>.*.demands`, in natural order."""
    files = {*path.parent.glob(f"{path.stem}.demands"), *path.parent.glob(f"{path.stem}.*.demands")}
    return sorted(files, key=natural)
