"""From a graph with attributes to a network: what `gml`, `graphml` and `node_link` have in common.

These grammars fix how a graph is written, not what its attributes are called. Capacity is looked for under `capacity`,
`bandwidth`, `bw` (a bare number has no stated unit), then `LinkSpeedRaw` (bit/s), then in words as the Topology Zoo has
them (`LinkSpeed` with `LinkSpeedUnits`, `LinkLabel`, `label`; `rates` says what is understood). Where several state
one, they have to agree. The length `dist` (km) gives the delay at 200 km a millisecond. Where all ids are whole
numbers, nodes are ordered by them, because that is the order of the matrices that come with such files.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from covey.environments.routing.readers.common import UNSTATED, Arc, Parsed, assemble, fail, is_number
from covey.environments.routing.readers.rates import Unclear, agree, amounts, rate_in

KM_PER_MS = 200.0  # light in fiber
PLACES = (("longitude", "latitude"), ("lon", "lat"), ("x", "y"))
BARE = ("capacity", "bandwidth", "bw")
WORDS = ("linklabel", "label")

Facts = Mapping[str, Any]


class Node(NamedTuple):
    """A node as a file states it; `facts` are its attributes."""

    id: Any
    facts: Facts
    line: int = 0  # 0: unknown


class Edge(NamedTuple):
    """An edge between two node ids."""

    source: Any
    target: Any
    facts: Facts
    line: int = 0


class Graph(NamedTuple):
    """A graph as a file states it; None where the file does not say."""

    nodes: list[Node]
    edges: list[Edge]
    directed: bool | None
    multigraph: bool | None = None


def order(path: Path, nodes: list[Node]) -> list[Node]:
    """Nodes by number where all ids are whole numbers, else as in the file; `BadInput` where an id comes twice."""
    seen = set()
    for node in nodes:
        if str(node.id) in seen:
            raise fail(path, node.line, f"the node {node.id!r} comes twice; give every node an id of its own.")
        seen.add(str(node.id))
    return sorted(nodes, key=lambda node: int(node.id)) if all(str(node.id).isdecimal() for node in nodes) else nodes


def network_of(path: Path, graph: Graph, capacity: float | None) -> Parsed:
    """The network of a graph. `capacity` stands in for what no attribute states for certain."""
    nodes = order(path, graph.nodes)
    names = _names(nodes)
    position = {node.id: i for i, node in enumerate(nodes)}
    arcs, units = [], set()
    for number, edge in enumerate(graph.edges, 1):
        for end in (edge.source, edge.target):
            if end not in position:
                ends = f"link {number} ({edge.source}→{edge.target}) is at {end!r}"
                raise fail(path, edge.line, f"{ends}, which is no node; declare the node or correct the link.")
        source, target = position[edge.source], position[edge.target]
        arc, unit = _arc(path, f"{names[source]}→{names[target]}", Arc(source, target, line=edge.line), edge.facts)
        units.update([unit] if math.isfinite(arc.capacity) else [])
        arcs.append(arc)
    if len(units) > 1:
        raise fail(path, 0, "some capacities state a unit and some do not; state all of them in one way.")
    places = [_place(node.facts) for node in nodes]
    arcs, directed = _once(path, names, graph, arcs)
    network = assemble(
        path,
        names,
        arcs,
        both=not directed,
        unit=units.pop() if units else UNSTATED,
        coordinates=None if None in places else places,
        capacity=capacity,
    )
    return Parsed(network)


# ----------------------------------------------------------------------------------------------------------- attributes
def _arc(path: Path, ends: str, arc: Arc, stated: Facts) -> tuple[Arc, str]:
    """`arc` with the numbers of the attributes, and the unit of its capacity."""
    facts = _lower(path, f"the link {ends}", arc.line, stated)
    numbers = {}
    for key, default in (("weight", 1.0), ("dist", 0.0)):
        given = facts.get(key, default)
        if not is_number(given) or not math.isfinite(float(given)) or float(given) < 0:
            raise fail(path, arc.line, f"the link {ends} has {key} {given!r}; make it a number of at least 0.")
        numbers[key] = float(given)
    arc = arc._replace(weight=numbers["weight"], delay=numbers["dist"] / KM_PER_MS)
    value, unit = capacity_of(facts)
    return arc._replace(doubt=value.why) if isinstance(value, Unclear) else arc._replace(capacity=value), unit


def _lower(path: Path, owner: str, line: int, stated: Facts) -> dict[str, Any]:
    """Attributes with names in lower case; `BadInput` where two of one name differ."""
    facts: dict[str, Any] = {}
    for key, value in stated.items():
        other = facts.setdefault(str(key).lower(), value)
        if other is not value and other != value:
            raise fail(path, line, f"{owner} has {key} twice, {other!r} and {value!r}; keep one.")
    return facts


def capacity_of(facts: Facts) -> tuple[float | Unclear, str]:
    """(capacity, unit) of a link from its attributes (names in lower case), nan where none is stated."""
    bare = {key: _bare(key, facts[key]) for key in BARE if _stated(facts.get(key), digits=True)}
    if bare:
        (first, value), *others = bare.items()
        for key, other in others:
            if other != value:
                return Unclear(f"has {first} {facts[first]!r} and {key} {facts[key]!r}"), UNSTATED
        return value
    said = {key: _rate(key, facts) for key in ("linkspeedraw", "linkspeed", *WORDS) if _stated(facts.get(key))}
    said = {key: rate for key, rate in said.items() if rate is not None}
    sure = {key: rate for key, rate in said.items() if isinstance(rate, float)}
    if not sure:
        return next(iter(said.values()), math.nan), UNSTATED
    first, value = next(iter(sure.items()))
    for key, rate in said.items():
        if not any(agree(value, may) for may in (rate.maybe if isinstance(rate, Unclear) else [rate])):
            return Unclear(f"has {first} {facts[first]!r} and {key} {facts[key]!r}, which do not agree"), UNSTATED
    return value, "Mbit/s"


def _stated(value: Any, digits: bool = False) -> bool:
    """Does an attribute say anything? `digits`: text such as "unknown" does not."""
    return value is not None and not (isinstance(value, str) and not re.search(r"\d" if digits else r"\S", value))


def _bare(key: str, value: Any) -> tuple[float | Unclear, str]:
    """(capacity, unit) of an attribute that holds a number, or a rate in words."""
    if is_number(value) and not math.isnan(float(value)):
        return float(value), UNSTATED
    if isinstance(value, str):
        readings, rate = amounts(value), rate_in(value)
        if rate is not None:
            return rate, "Mbit/s"
        if len(readings) == 1:
            return readings[0], UNSTATED
    return Unclear(f"has {key} {value!r}, which is no certain number"), UNSTATED


def _rate(key: str, facts: Facts) -> float | Unclear | None:
    """What an attribute says in Mbit/s."""
    value = facts[key]
    if key == "linkspeedraw" and is_number(value):
        return float(value) / 1e6
    if key == "linkspeed":
        return rate_in(f"{value}{facts.get('linkspeedunits') or ''}")
    rate = rate_in(str(value))
    if key == "label" and isinstance(rate, float) and re.fullmatch(r"[ETJ]-?\d", str(value).strip()):
        return Unclear(f"has the label {value!r}, which may be its name or its line rate", (rate,))
    return rate


def _names(nodes: list[Node]) -> list[str]:
    """`label` or `name` where they tell all nodes apart, else with the id."""
    names = [str(node.facts.get("label") or node.facts.get("name") or node.id) for node in nodes]
    if len(set(names)) == len(names):
        return names
    return [f"{name} ({node.id})" for name, node in zip(names, nodes, strict=True)]


def _place(stated: Facts) -> tuple[float, float] | None:
    facts = {str(key).lower(): value for key, value in stated.items()}
    pairs: list[Any] = [(facts.get(x), facts.get(y)) for x, y in PLACES]
    if isinstance(facts.get("pos"), (list, tuple)) and len(facts["pos"]) == 2:
        pairs.insert(0, facts["pos"])
    return next(((float(x), float(y)) for x, y in pairs if is_number(x) and is_number(y)), None)


# --------------------------------------------------------------------------------------------------- links listed twice
def _once(path: Path, names: list[str], graph: Graph, arcs: list[Arc]) -> tuple[list[Arc], bool]:
    """(arcs, directed), each link as often as it exists; `BadInput` where that is not certain.

    Opposite links of an undirected graph are one link where every link has its opposite, and the two are alike. In a
    graph that is said to be no multigraph, links that are listed again are one link where they are alike.
    """
    ends = {(arc.source, arc.target) for arc in arcs if arc.source != arc.target}
    opposite = {pair for pair in ends if pair[::-1] in ends}
    if graph.directed is None and opposite and opposite != ends:
        raise fail(
            path, 0, "some links are listed in both directions and some in one; say whether the graph is directed."
        )
    directed = bool(opposite) if graph.directed is None else graph.directed
    if graph.multigraph:
        return arcs, directed
    listed: dict[tuple[int, ...], list[Arc]] = {}
    for arc in arcs:
        pair = (arc.source, arc.target)
        listed.setdefault(pair if directed else tuple(sorted(pair)), []).append(arc)
    kept = []
    for first, *again in listed.values():
        turned = any(arc.source != first.source for arc in again)
        if not again or (graph.multigraph is None and not turned):  # parallel links
            kept += [first, *again]
            continue
        habit = graph.multigraph is False or (opposite == ends and len(again) == 1)
        if not habit or any(_alike(arc) != _alike(first) for arc in again):
            what = f"the link {names[first.source]}→{names[first.target]} is listed {1 + len(again)} times"
            raise fail(
                path, again[0].line, f"{what}, as one link or as parallel ones; list it once, with its capacity."
            )
        kept.append(first)
    return kept, directed


def _alike(arc: Arc) -> tuple[str, float, float]:
    """What links have in common that are one; `str` makes a capacity that is not stated equal to another."""
    return str(arc.capacity), arc.weight, arc.delay
