"""Topologies, demand matrices and tunnels from files: `read(path)` recognizes the grammar.

| grammar | topology | matrices | found beside the topology |
|---|---|---|---|
| `sndlib` | native text | native text, a file each, or in the topology | - |
| `sndlib-xml` | XML | XML, a file each, or in the topology | - |
| `graphml` | GraphML (Topology Zoo, yEd) | plain | - |
| `gml` | GML (Topology Zoo, topohub) | plain | - |
| `json` | node-link JSON (FIGRET, DOTE, Teal, topohub) | plain `.hist`, or in the topology | `*.hist`, `tunnels.txt` |
| `repetita` | `.graph` | `.demands`, a file each | `<stem>.demands`, `<stem>.*.demands` |
| `cfr-rl` | text | plain, in units of 100 bytes in 5 minutes | `<name>TM*` |

Plain means one matrix a line. Files of undirected links give both directions. Whatever is wrong with a file raises
`BadInput` with its name and, where there is one, the line.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from covey.core.errors import BadInput, unknown
from covey.environments.routing.network import Network
from covey.environments.routing.readers import (
    cfrrl,
    figret,
    gml,
    graphml,
    node_link,
    repetita,
    sndlib,
    sndlib_xml,
)
from covey.environments.routing.readers.common import UNSTATED, Matrices, Parsed, Tunnels, natural, read_text, stack
from covey.environments.routing.readers.figret import read_optima, read_tunnels

__all__ = ["BESIDE", "GRAMMARS", "Matrices", "Tunnels", "read", "read_matrices", "read_optima", "read_tunnels"]


BESIDE = "beside"
"""Instead of a path: the matrices that lie beside a topology, or in it."""


def _nothing(path: Path) -> list[Path]:
    return []


class Grammar(NamedTuple):
    """How to recognize and read a kind of topology file, and where its matrices may lie."""

    recognizes: Callable[[Path, str], bool]
    read_network: Callable[[Path, str, float | None], Parsed]
    plain: Callable[[Path, str, tuple[str, ...]], Matrices] = figret.read_matrices
    beside: Callable[[Path], list[Path]] = _nothing


GRAMMARS = {
    "sndlib": Grammar(sndlib.recognizes, sndlib.read_network),
    "sndlib-xml": Grammar(sndlib_xml.recognizes, sndlib_xml.read_network),
    "graphml": Grammar(graphml.recognizes, graphml.read_network),
    "gml": Grammar(gml.recognizes, gml.read_network),
    "json": Grammar(node_link.recognizes, node_link.read_network, beside=figret.beside),
    "repetita": Grammar(repetita.recognizes, repetita.read_network, beside=repetita.beside),
    "cfr-rl": Grammar(cfrrl.recognizes, cfrrl.read_network, cfrrl.read_matrices, cfrrl.beside),
}


def read(
    path: str | Path,
    *,
    matrices: str | Path | Iterable[str | Path] | None = BESIDE,
    tunnels: str | Path | None = None,
    grammar: str | None = None,
    capacity: float | None = None,
) -> tuple[Network, Matrices | None, Tunnels | None]:
    """(network, matrices, tunnels) of a topology file and what belongs to it.

    `matrices` is a file, a folder, or several files; the topology itself stands for the matrix in it. `BESIDE` takes
    what lies beside the topology (stacked in natural order of the file names) or in it, None takes none. They come back
    in the unit of the network, where both state one. `capacity` is given to links for which the file states none for
    certain. `grammar` is a key of `GRAMMARS`, for files that are not recognized by themselves.
    """
    path = Path(path)
    text = read_text(path)
    name = _recognize(path, text) if grammar is None else grammar
    if name not in GRAMMARS:
        raise unknown("grammar", name, GRAMMARS)
    network, inside = GRAMMARS[name].read_network(path, text, capacity)
    demand = inside
    if matrices == BESIDE:
        found = GRAMMARS[name].beside(path)
        if found and inside is not None:
            what = f"holds demands, and {found[0].name} lies beside it"
            raise BadInput(f"{path} {what}: pass one of the two as matrices=, or move the other away.")
        demand = read_matrices(found, network, grammar=name) if found else inside
    elif matrices is None:
        demand = None
    elif inside is None or not isinstance(matrices, str | Path) or Path(matrices).resolve() != path.resolve():
        demand = read_matrices(matrices, network, grammar=name)
    if tunnels is None and name == "json" and (path.parent / "tunnels.txt").is_file():
        tunnels = path.parent / "tunnels.txt"
    listed = None if tunnels is None else read_tunnels(Path(tunnels), len(network.nodes))
    return *_one_unit(network, demand), listed


def read_matrices(
    files: str | Path | Iterable[str | Path], network: Network, *, grammar: str | None = None
) -> Matrices:
    """The matrices of a file, of a folder (its files in natural order), or of several files, one after the other.

    SNDlib and REPETITA files are recognized; others are plain, read as the topology's `grammar` has them.
    """
    plain = GRAMMARS[grammar].plain if grammar else figret.read_matrices
    parts = []
    for file in _listed(files):
        text = read_text(file)
        if sndlib.recognizes(file, text):
            reader = sndlib.read_matrices
        elif text.lstrip().startswith("<"):
            reader = sndlib_xml.read_matrices
        else:
            reader = repetita.read_matrices if repetita.recognizes_matrices(text) else plain
        parts.append(reader(file, text, network.nodes))
    return stack(parts)


def _recognize(path: Path, text: str) -> str:
    for name, grammar in GRAMMARS.items():
        if grammar.recognizes(path, text):
            return name
    raise BadInput(f"{path} is in no known grammar; if it is one of {', '.join(GRAMMARS)}, pass it as grammar=.")


def _listed(files: str | Path | Iterable[str | Path]) -> list[Path]:
    if not isinstance(files, str | Path):
        return [Path(file) for file in files]
    path = Path(files)
    if not path.is_dir():
        return [path]
    inside = sorted((file for file in path.iterdir() if file.is_file() and file.name[0] != "."), key=natural)
    if not inside:
        raise BadInput(f"{path} is an empty folder: put the matrix files there.")
    return inside


def _one_unit(network: Network, matrices: Matrices | None) -> tuple[Network, Matrices | None]:
    """Both in the network's unit; where only one states a unit, it counts for both."""
    if matrices is None:
        return network, None
    if network.unit == UNSTATED:
        return dataclasses.replace(network, unit=matrices.unit), matrices
    return network, matrices.to(network.unit)
