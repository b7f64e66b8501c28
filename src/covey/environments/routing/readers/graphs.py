"""Graph files: GML and GraphML (Internet Topology Zoo, topohub, yEd) and node-link JSON (FIGRET, Teal, topohub).

These grammars fix how a graph is written, not what its attributes are called. Capacity is looked for under `capacity`,
`bandwidth`, `bw` (a bare number has no stated unit), then `LinkSpeedRaw` (bit/s), then in words as the Topology Zoo has
them (`LinkSpeed` with `LinkSpeedUnits`, or labels such as "45 Mbps", "10G", "OC-48", "STM-16"). The length `dist` (km)
gives the delay at 200 km a millisecond. Where all ids are whole numbers, nodes are ordered by them, because that is the
order of the matrices that come with such files.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import networkx as nx

from covey.environments.routing.readers.common import UNSTATED, Arc, Parsed, assemble, fail, is_number

KM_PER_MS = 200.0  # light in fiber
OC_1 = 51.84  # Mbit/s; an STM-1 is an OC-3
PREFIX = {"k": 1e-3, "m": 1.0, "g": 1e3, "t": 1e6}
SPEED = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt])(?:b|bps|bit|bits|bit/s|b/s)?(?![a-z])", re.IGNORECASE)
SONET = re.compile(r"\b(OC|STM)-?(\d+)", re.IGNORECASE)
PLACES = (("longitude", "latitude"), ("lon", "lat"), ("x", "y"))


def recognizes_gml(path: Path, text: str) -> bool:
    """Is there a `graph [` near the top?"""
    return re.search(r"^\s*graph\s*\[", text[:2000], re.MULTILINE) is not None


def recognizes_graphml(path: Path, text: str) -> bool:
    """Is there a `<graphml` near the top?"""
    return "<graphml" in text[:2000]


def recognizes_json(path: Path, text: str) -> bool:
    """Is it a JSON object?"""
    return text.lstrip().startswith("{")


def read_gml(path: Path, text: str, capacity: float | None = None) -> Parsed:
    """A GML file; parallel edges are allowed whether or not the file says `multigraph`."""
    if not re.search(r"^\s*multigraph\s+1", text, re.MULTILINE):
        text = re.sub(r"^(\s*graph\s*\[)", r"\1 multigraph 1", text, count=1, flags=re.MULTILINE)
    try:
        graph = nx.parse_gml(text.splitlines(), label="id")
    except (nx.NetworkXException, KeyError, ValueError, TypeError, AttributeError) as error:
        raise fail(path, _line_in(error), f"this is not valid GML ({error}); the file may be cut off.") from None
    return _parsed(path, graph.nodes(data=True), graph.edges(data=True), graph.is_directed(), capacity)


def read_graphml(path: Path, text: str, capacity: float | None = None) -> Parsed:
    """A GraphML file, also as yEd writes it."""
    try:
        graph = nx.read_graphml(io.BytesIO(text.encode()), force_multigraph=True)
    except ParseError as error:
        raise fail(
            path, error.position[0], f"this is not well-formed XML ({error}); the file may be cut off."
        ) from None
    except (nx.NetworkXException, KeyError, ValueError, TypeError, AttributeError) as error:
        raise fail(path, 0, f"this is not valid GraphML ({error}); compare it with another file.") from None
    return _parsed(path, graph.nodes(data=True), graph.edges(data=True), graph.is_directed(), capacity)


def read_json(path: Path, text: str, capacity: float | None = None) -> Parsed:
    """Node-link JSON: {"directed": bool, "nodes": [{"id"}], "links" or "edges": [{"source", "target", "capacity"}]}."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise fail(path, error.lineno, f"this is not valid JSON ({error.msg}); the file may be cut off.") from None
    try:
        edges = data.get("links", data.get("edges"))
        nodes = [(node["id"], node) for node in data["nodes"]]
        ends = [(edge["source"], edge["target"], edge) for edge in edges]
    except (KeyError, TypeError, AttributeError):
        what = 'a graph needs "nodes" with an "id" and "links" or "edges" with "source" and "target".'
        raise fail(path, 0, what) from None
    return _parsed(path, nodes, ends, bool(data.get("directed")), capacity)


def _line_in(error: Exception) -> int:
    """networkx writes `at (line, column)`."""
    found = re.search(r"at \((\d+), \d+\)", str(error))
    return int(found[1]) if found else 0


# ----------------------------------------------------------------------------------------------------------- attributes
def _parsed(
    path: Path,
    nodes: Iterable[tuple[Any, Mapping[str, Any]]],
    edges: Iterable[tuple[Any, Any, Mapping[str, Any]]],
    directed: bool,
    capacity: float | None,
) -> Parsed:
    nodes = list(nodes)
    if all(str(key).isdigit() for key, _ in nodes):
        nodes.sort(key=lambda node: int(node[0]))
    position = {key: i for i, (key, _) in enumerate(nodes)}
    arcs, units = [], set()
    for number, (source, target, attributes) in enumerate(edges, 1):
        for end in (source, target):
            if end not in position:
                raise fail(path, 0, f"link {number} is at {end!r}, which is no node; correct it.")
        facts = {str(key).lower(): value for key, value in attributes.items()}
        value, unit = _capacity(facts)
        units.update([unit] if math.isfinite(value) else [])
        delay = _number(facts.get("dist"), 0.0) / KM_PER_MS
        arcs.append(Arc(position[source], position[target], value, _number(facts.get("weight"), 1.0), delay))
    if len(units) > 1:
        raise fail(path, 0, "some capacities state a unit and some do not; state all of them in one way.")
    names, places = _names(nodes), [_place(attributes) for _, attributes in nodes]
    coordinates = None if None in places else places
    unit = units.pop() if units else UNSTATED
    return Parsed(assemble(path, names, arcs, both=not directed, unit=unit, coordinates=coordinates, capacity=capacity))


def _number(value: Any, default: float) -> float:
    return float(value) if is_number(value) else default


def _capacity(facts: Mapping[str, Any]) -> tuple[float, str]:
    """(capacity, unit) of a link from its attributes (names in lower case), nan where none is stated."""
    for key in ("capacity", "bandwidth", "bw"):
        if is_number(facts.get(key)):
            return float(facts[key]), UNSTATED
    if is_number(facts.get("linkspeedraw")):
        return float(facts["linkspeedraw"]) / 1e6, "Mbit/s"
    together = f"{facts.get('linkspeed', '')}{facts.get('linkspeedunits', '')}"
    plain = [facts.get(key) for key in ("capacity", "bandwidth", "bw")]
    for words in (*plain, together, facts.get("linklabel"), facts.get("label")):
        speed = speed_in(str(words or ""))
        if speed is not None:
            return speed, "Mbit/s"
    return math.nan, UNSTATED


def speed_in(words: str) -> float | None:
    """A speed in Mbit/s found in words ("45 Mbps DS-3", "OC-48", "STM-16"), or None."""
    plain = SPEED.search(words)
    if plain:
        return float(plain[1]) * PREFIX[plain[2].lower()]
    sonet = SONET.search(words)
    return int(sonet[2]) * OC_1 * (3 if sonet[1].upper() == "STM" else 1) if sonet else None


def _names(nodes: list[tuple[Any, Mapping[str, Any]]]) -> list[str]:
    """`label` or `name` where they tell all nodes apart, else with the id."""
    names = [str(attributes.get("label") or attributes.get("name") or key) for key, attributes in nodes]
    if len(set(names)) == len(names):
        return names
    return [f"{name} ({key})" for name, (key, _) in zip(names, nodes, strict=True)]


def _place(attributes: Mapping[str, Any]) -> tuple[float, float] | None:
    facts = {str(key).lower(): value for key, value in attributes.items()}
    if isinstance(facts.get("pos"), (list, tuple)) and len(facts["pos"]) == 2:
        return float(facts["pos"][0]), float(facts["pos"][1])
    for x, y in PLACES:
        if is_number(facts.get(x)) and is_number(facts.get(y)):
            return float(facts[x]), float(facts[y])
    return None
