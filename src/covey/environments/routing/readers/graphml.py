"""GraphML (graphml.graphdrawing.org), as the Internet Topology Zoo, topohub and yEd write it.

A key belongs to the nodes, the edges or all of them, and an id may serve both as a key of the nodes and as one of the
edges. Its `<default>` counts for every element that has no value of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

from covey.environments.routing.readers.common import Parsed, fail
from covey.environments.routing.readers.elements import line_of, parse_xml
from covey.environments.routing.readers.graphs import Edge, Graph, Node, network_of


class Key(NamedTuple):
    """An attribute that nodes or edges may have: its name, and what counts where it is not given."""

    name: str
    default: str | None


def recognizes(path: Path, text: str) -> bool:
    """Is there a `<graphml` near the top?"""
    return "<graphml" in text[:2000]


def read_network(path: Path, text: str, capacity: float | None = None) -> Parsed:
    """The network. Nested graphs, hyperedges and edges directed against the graph's default are refused."""
    root = parse_xml(path, text)
    graphs = list(root.iter("graph"))
    if len(graphs) != 1:
        raise fail(path, line_of(graphs[1]) if graphs else 0, f"there are {len(graphs)} graphs; keep one, ungrouped.")
    graph = graphs[0]
    for hyperedge in graph.iterfind("hyperedge"):
        raise fail(path, line_of(hyperedge), "a hyperedge is no link; replace it by edges.")
    directed = _default(path, graph)
    keys = {kind: _keys(path, root, kind) for kind in ("node", "edge")}
    nodes = [
        Node(_id(path, node, "id"), _facts(path, node, keys["node"]), line_of(node)) for node in graph.iterfind("node")
    ]
    edges = []
    for edge in graph.iterfind("edge"):
        if edge.get("directed", str(directed).lower()) != str(directed).lower():
            raise fail(path, line_of(edge), "an edge is directed and others are not; write every direction as an edge.")
        source, target = _id(path, edge, "source"), _id(path, edge, "target")
        edges.append(Edge(source, target, _facts(path, edge, keys["edge"]), line_of(edge)))
    return network_of(path, Graph(nodes, edges, directed), capacity)


def _default(path: Path, graph: Element) -> bool:
    """Are edges directed where they do not say?"""
    default = graph.get("edgedefault")
    if default not in ("directed", "undirected"):
        raise fail(path, line_of(graph), 'the graph needs edgedefault="directed" or "undirected".')
    return default == "directed"


def _keys(path: Path, root: Element, kind: str) -> dict[str, Key]:
    """The keys of the nodes or of the edges, by id."""
    keys: dict[str, Key] = {}
    for key in root.iterfind("key"):
        if key.get("for", "all") not in (kind, "all"):
            continue
        id = _id(path, key, "id")
        if id in keys:
            raise fail(path, line_of(key), f"the key {id!r} for <{kind}> comes twice; give each an id of its own.")
        default = key.findtext("default")
        keys[id] = Key(key.get("attr.name", id), default)
    return keys


def _facts(path: Path, owner: Element, keys: dict[str, Key]) -> dict[str, str]:
    """The attributes of a node or edge: the defaults of its keys, what yEd draws, and what is given."""
    given: dict[str, str] = {}
    drawn: dict[str, str] = {}
    for data in owner.iterfind("data"):
        id = data.get("key", "")
        if id not in keys:
            raise fail(
                path, line_of(data), f"no key {id!r} is declared for the <{owner.tag}>; declare it, or drop the data."
            )
        if keys[id].name in given:
            raise fail(path, line_of(data), f"the {owner.tag} has {keys[id].name} twice; keep one.")
        if len(data):
            drawn |= _drawn(data)
        else:
            given[keys[id].name] = data.text or ""
    return {key.name: key.default for key in keys.values() if key.default is not None} | drawn | given


def _drawn(data: Element) -> dict[str, str]:
    """The place and the label in a drawing of yEd."""
    geometry = next(data.iter("Geometry"), None)
    place = {} if geometry is None else {axis: geometry.get(axis, "") for axis in ("x", "y")}
    labels = [(label.text or "").strip() for tag in ("NodeLabel", "EdgeLabel") for label in data.iter(tag)]
    return place | ({"label": " ".join(filter(None, labels))} if any(labels) else {})


def _id(path: Path, element: Element, name: str) -> str:
    found = element.get(name)
    if found is None:
        raise fail(path, line_of(element), f"the <{element.tag}> has no {name}; add it.")
    return found
