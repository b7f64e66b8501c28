"""GML (Himsolt 1997), as the Internet Topology Zoo, topohub and yEd write it: `key value` pairs, `[ ]` around records.

graph [
  directed 0
  node [ id 0 label "West" ]
  edge [ source 0 target 1 LinkLabel "2x10 Gbps" ]
]
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from covey.environments.routing.readers.common import Parsed, fail
from covey.environments.routing.readers.graphs import Edge, Graph, Node, network_of

TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
    | (?P<real>[+-]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<whole>[+-]?\d+(?![\w.]))
    | (?P<key>[A-Za-z_][\w.-]*)
    | (?P<text>"[^"]*")
    | (?P<open>\[) | (?P<close>\])""",
    re.VERBOSE,
)


class Pair(NamedTuple):
    """A key with its value: a number, text, or a record as a list of pairs."""

    key: str
    value: Any
    line: int


def recognizes(path: Path, text: str) -> bool:
    """Is there a `graph [` near the top?"""
    return re.search(r"^\s*graph\s*\[", text[:2000], re.MULTILINE) is not None


def read_network(path: Path, text: str, capacity: float | None = None) -> Parsed:
    """The network. Parallel edges need no `multigraph 1`."""
    graphs = [pair for pair in _records(path, _tokens(path, text), 0) if pair.key == "graph"]
    if len(graphs) != 1 or not isinstance(graphs[0].value, list):
        raise fail(path, 0, f"there are {len(graphs)} graphs; keep one.")
    whole = graphs[0].value
    nodes = [Node(_one(path, pair, "id"), _facts(path, pair), pair.line) for pair in whole if pair.key == "node"]
    edges = [
        Edge(_one(path, pair, "source"), _one(path, pair, "target"), _facts(path, pair), pair.line)
        for pair in whole
        if pair.key == "edge"
    ]
    return network_of(
        path, Graph(nodes, edges, bool(_flag(path, whole, "directed")), _flag(path, whole, "multigraph")), capacity
    )


def _tokens(path: Path, text: str) -> Iterator[tuple[str, str, int]]:
    """(kind, text, line) of everything but space and comments."""
    at, line = 0, 1
    while at < len(text):
        found = TOKEN.match(text, at)
        if not found:
            what = text[at:].split(maxsplit=1)[0][:40]
            raise fail(path, line, f"{what!r} is not GML; the file may be cut off.")
        if found.lastgroup != "space":
            yield str(found.lastgroup), found[0], line
        line += found[0].count("\n")
        at = found.end()


def _records(path: Path, tokens: Iterator[tuple[str, str, int]], opened: int) -> list[Pair]:
    """The pairs up to the bracket that closes the one of line `opened`, or (0) to the end."""
    pairs = []
    for kind, key, line in tokens:
        if kind == "close" and opened:
            return pairs
        if kind != "key":
            raise fail(path, line, f"{key!r} stands where a key should; the file may be cut off.")
        kind, text, _ = next(tokens, ("end", "", line))
        match kind:
            case "whole":
                value = int(text)
            case "real":
                value = float(text)
            case "text":
                value = html.unescape(text[1:-1])
            case "open":
                value = _records(path, tokens, line)
            case "key" if text.upper().strip("+-") in ("NAN", "INF"):
                value = float(text)
            case _:
                raise fail(path, line, f"{key} has no value; the file may be cut off.")
        pairs.append(Pair(key, value, line))
    if opened:
        raise fail(path, opened, "a bracket is opened that is never closed; the file may be cut off.")
    return pairs


def _facts(path: Path, owner: Pair) -> dict[str, Any]:
    """The plain attributes of a node or edge; several of one name are a list."""
    values: dict[str, list] = {}
    for pair in owner.value if isinstance(owner.value, list) else ():
        if not isinstance(pair.value, list):
            values.setdefault(pair.key, []).append(pair.value)
    return {key: found[0] if len(found) == 1 else found for key, found in values.items()}


def _one(path: Path, owner: Pair, key: str) -> Any:
    """The attribute that a node or an edge has to have, once."""
    value = _facts(path, owner).get(key)
    if value is None or isinstance(value, list):
        raise fail(path, owner.line, f"the {owner.key} needs one {key}; the file may be cut off.")
    return value


def _flag(path: Path, graph: list[Pair], key: str) -> bool | None:
    """A 0 or 1 of the graph; None where there is none."""
    found = [pair for pair in graph if pair.key == key]
    if not found:
        return None
    if len(found) > 1 or found[0].value not in (0, 1):
        raise fail(path, found[-1].line, f"the graph needs one {key}, 0 or 1.")
    return bool(found[0].value)
