"""The text format of CFR-RL (Zhang et al., JSAC 2020): a topology, and one matrix a line.

    Node_num: 3<TAB>Edge_num: 4
    Link_index<TAB>Source<TAB>Destination<TAB>OSPF<TAB>Capacity(kbps)
    0<TAB>0<TAB>1<TAB>5<TAB>1000              directed, nodes counted from 0

A matrix counts units of 100 bytes in 5 minutes, so 1 is 100 · 8 / 300 / 1000 kbit/s. Its diagonal (traffic that never
enters the backbone) is not zero and is dropped.
"""

from __future__ import annotations

import re
from pathlib import Path

from covey.environments.routing.readers.common import (
    UNSTATED,
    Arc,
    Matrices,
    Parsed,
    assemble,
    fail,
    indices,
    natural,
    numbers,
    plain_matrices,
)

KBIT_PER_COUNT = 100 * 8 / 300 / 1000
HEADER = re.compile(r"Node_num:\s*(\d+)\s+Edge_num:\s*(\d+)\s*$")


def recognizes(path: Path, text: str) -> bool:
    """Does the text begin like a CFR-RL topology?"""
    return text.startswith("Node_num:")


def read_network(path: Path, text: str, capacity: float | None = None) -> Parsed:
    """The topology. Capacities are in kbit/s where the column says kbps."""
    lines = text.splitlines()
    header = HEADER.match(lines[0])
    if not header:
        raise fail(path, 1, "the first line should read `Node_num: N Edge_num: M`.")
    nodes, expected = int(header[1]), int(header[2])
    rows = [(line, row.split()) for line, row in enumerate(lines[2:], 3) if row.strip()]
    if len(rows) != expected:
        raise fail(path, len(lines), f"{len(rows)} links where line 1 announces {expected}; the file may be cut off.")
    arcs = [_arc(path, line, words, nodes) for line, words in rows]
    unit = "kbit/s" if "(kbps)" in "".join(lines[1:2]).lower() else UNSTATED
    names = [str(node) for node in range(nodes)]
    return Parsed(assemble(path, names, arcs, both=False, unit=unit, capacity=capacity))


def _arc(path: Path, line: int, words: list[str], nodes: int) -> Arc:
    _, _, _, weight, capacity = numbers(path, line, words, 5)
    source, target = indices(path, line, words[1:3], nodes)
    return Arc(source, target, float(capacity), float(weight), line=line)


def read_matrices(path: Path, text: str, nodes: tuple[str, ...]) -> Matrices:
    """One matrix a line, in kbit/s."""
    return plain_matrices(path, text, len(nodes), unit="kbit/s", scale=KBIT_PER_COUNT)


def beside(path: Path) -> list[Path]:
    """`<topology>TM*`, in natural order."""
    return sorted((file for file in path.parent.glob(f"{path.name}TM*") if file.is_file()), key=natural)
