"""SNDlib's XML format: networks, and dynamic demand matrices (one file a matrix). For its meaning see `sndlib`.

<network><networkStructure>
  <nodes><node id="A"><coordinates><x>9.99</x><y>53.55</y></coordinates></node> ... </nodes>
  <links><link id="L1"><source>A</source><target>B</target>
    <preInstalledModule><capacity>622.0</capacity></preInstalledModule>
    <additionalModules><addModule><capacity>155.0</capacity></addModule></additionalModules></link> ... </links>
</networkStructure>
<demands><demand id="D1"><source>A</source><target>B</target><demandValue>12.5</demandValue></demand> ... </demands>
</network>
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from covey.environments.routing.readers.common import (
    UNSTATED,
    Arc,
    Matrices,
    Parsed,
    assemble,
    fail,
    from_demands,
    numbers,
)
from covey.environments.routing.readers.elements import line_of, parse_xml
from covey.environments.routing.readers.sndlib import UNITS, undirected, usable


def recognizes(path: Path, text: str) -> bool:
    """Is it XML whose first element is `network`?"""
    return text.lstrip().startswith("<") and "<network" in text[:2000] and "<graphml" not in text[:2000]


def read_network(path: Path, text: str, capacity: float | None = None) -> Parsed:
    """The network, with the demands of the file as one matrix where there are any."""
    root = parse_xml(path, text)
    names, coordinates = [], []
    for node in root.iterfind("networkStructure/nodes/node"):
        names.append(node.get("id", ""))
        coordinates.append([_number(path, node, "coordinates/x"), _number(path, node, "coordinates/y")])
    arcs = []
    for link in root.iterfind("networkStructure/links/link"):
        source, target = _ends(path, link, names)
        installed = _number(path, link, "preInstalledModule/capacity", 0.0)
        modules = [_number(path, m, "capacity") for m in link.iterfind("additionalModules/addModule")]
        arcs.append(Arc(source, target, usable(installed, modules), line=line_of(link)))
    network = assemble(path, names, arcs, both=undirected(arcs), coordinates=coordinates, capacity=capacity)
    return Parsed(network, _matrix(path, root, names) if root.find("demands/demand") is not None else None)


def read_matrices(path: Path, text: str, nodes: tuple[str, ...]) -> Matrices:
    """The one matrix of a file."""
    return _matrix(path, parse_xml(path, text), nodes)


def _matrix(path: Path, root: Element, names: Sequence[str]) -> Matrices:
    if root.find("demands") is None:
        raise fail(path, 0, "there are no <demands>; the file may be cut off.")
    demands = []
    for demand in root.iterfind("demands/demand"):
        source, target = _ends(path, demand, names)
        value = _number(path, demand, "demandValue") * _number(path, demand, "routingUnit", 1.0)
        demands.append((source, target, value, line_of(demand)))
    unit = UNITS.get((root.findtext("meta/unit") or "").strip(), UNSTATED)
    return from_demands(path, len(names), demands, unit, (root.findtext("meta/time") or "").strip() or None)


# -------------------------------------------------------------------------------------------------------------- parsing
def _number(path: Path, element: Element, where: str, default: float | None = None) -> float:
    found = element.find(where)
    if found is None:
        if default is None:
            raise fail(path, line_of(element), f"the <{element.tag}> has no {where}; add it.")
        return default
    return float(numbers(path, line_of(found), (found.text or "").split(), 1)[0])


def _ends(path: Path, element: Element, names: Sequence[str]) -> tuple[int, int]:
    ends = [(element.findtext(end) or "").strip() for end in ("source", "target")]
    for end in ends:
        if end not in names:
            raise fail(path, line_of(element), f"{end!r} is no node of the network; correct it.")
    return names.index(ends[0]), names.index(ends[1])
