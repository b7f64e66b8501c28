"""SNDlib's native format (Orlowski et al., Networks 2010): networks, and dynamic demand matrices.

    ?SNDlib native format; type: network; version: 1.0
    META  ( unit = MBITPERSEC )
    NODES ( A ( 9.99 53.55 ) B ( 13.41 52.52 ) )         id ( longitude latitude )
    LINKS ( L1 ( A B ) 0.00 0.00 0.00 0.00 ( 155.00 10.00 622.00 30.00 ) )
    DEMANDS ( D1 ( A B ) 1 12.5 UNLIMITED )              id ( source target ) routing_unit value longest_path

The numbers of a link are preinstalled capacity, its cost, routing cost, setup cost, and a list of modules (capacity,
cost) that a network designer may buy. Here the capacity is the preinstalled one where it is positive, else that of the
smallest module. The format does not say whether links are directed: they are taken as such if any two are opposite, and
for both directions, with the full capacity each way, if none are. A demand is value times routing unit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

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

UNITS = {"KBITPERSEC": "kbit/s", "MBITPERSEC": "Mbit/s", "GBITPERSEC": "Gbit/s"}


class Word(NamedTuple):
    text: str
    line: int


class Enclosed(list):
    """What stands in parentheses, with the line where they open."""

    line = 0


Item = Word | Enclosed


def recognizes(path: Path, text: str) -> bool:
    """Does the text begin like SNDlib's native format?"""
    return text.lstrip().startswith("?SNDlib native format")


def read_network(path: Path, text: str, capacity: float | None = None) -> Parsed:
    """The network, with the demands of the file as one matrix where there are any."""
    sections = _sections(path, text)
    names, coordinates = [], []
    for name, place, *options in _nodes(path, sections):
        if any(options):
            raise fail(
                path, name.line, f"what stands behind the place of node {name.text} has no meaning here; drop it."
            )
        names.append(name.text)
        coordinates.append(_numbers(path, place, 2, name.line))
    arcs = []
    for _, ends, preinstalled, *_, modules in _rows(path, sections, "LINKS", [Word, Enclosed, *[Word] * 4, Enclosed]):
        source, target, line = _ends(path, names, ends)
        installed = float(_numbers(path, [preinstalled], 1, line)[0])
        arcs.append(Arc(source, target, usable(installed, _numbers(path, modules, None, line)[::2]), line=line))
    network = assemble(path, names, arcs, both=undirected(arcs), coordinates=coordinates, capacity=capacity)
    return Parsed(network, _matrix(path, sections, names) if sections.get("DEMANDS") else None)


def read_matrices(path: Path, text: str, nodes: tuple[str, ...]) -> Matrices:
    """The one matrix of a file."""
    return _matrix(path, _sections(path, text), nodes)


def usable(preinstalled: float, modules: Iterable[float]) -> float:
    """The capacity of a link: preinstalled, else the smallest module, else none stated (nan)."""
    return preinstalled or min((float(module) for module in modules), default=math.nan)


def undirected(arcs: list[Arc]) -> bool:
    """Are no two links opposite?"""
    ends = {(arc.source, arc.target) for arc in arcs}
    return not any((target, source) in ends for source, target in ends)


# -------------------------------------------------------------------------------------------------------------- parsing
def _sections(path: Path, text: str) -> dict[str, list[Item]]:
    """The content of each section, parentheses as nested lists."""
    stack = [Enclosed()]
    line = 1
    for line, row in enumerate(text.splitlines(), 1):
        for word in re.findall(r"[()]|[^\s()]+", "" if row.startswith("?") else row.partition("#")[0]):
            if word == "(":
                stack.append(Enclosed())
                stack[-1].line = line
            elif word != ")":
                stack[-1].append(Word(word, line))
            elif len(stack) > 1:
                stack[-2].append(stack.pop())
            else:
                raise fail(path, line, "a parenthesis closes that was never opened; correct it.")
    if len(stack) > 1:
        raise fail(path, stack[-1].line, "a parenthesis is opened that is never closed; the file may be cut off.")
    top = stack[0]
    return {
        name.text: content
        for name, content in zip(top[::2], top[1::2], strict=False)
        if isinstance(name, Word) and isinstance(content, Enclosed)
    }


def _nodes(path: Path, sections: dict[str, list[Item]]) -> Iterable[list]:
    """The rows of NODES: a name, a place, and up to two optional lists."""
    rows: list[list[Item]] = []
    for item in sections.get("NODES", []):
        if isinstance(item, Word):
            rows.append([item])
        elif rows:
            rows[-1].append(item)
        if not rows or len(rows[-1]) > 4 or (isinstance(item, Word) and len(rows) > 1 and len(rows[-2]) < 2):
            raise fail(path, item.line, "a row of NODES should be a name and its place; compare it with the others.")
    if not rows or len(rows[-1]) < 2:
        raise fail(path, 0, "there is no section NODES, or its last row has no place; the file may be cut off.")
    return rows


def _rows(path: Path, sections: dict[str, list[Item]], title: str, kinds: list[type]) -> Iterable[tuple]:
    """The rows of a section, each of the given kinds of items."""
    if title not in sections:
        raise fail(path, 0, f"there is no section {title}; the file may be cut off.")
    items = sections[title]
    for start in range(0, len(items), len(kinds)):
        row = items[start : start + len(kinds)]
        if len(row) != len(kinds) or not all(map(isinstance, row, kinds)):
            raise fail(
                path, row[0].line, f"a row of {title} should have {len(kinds)} parts; compare it with the others."
            )
        yield tuple(row)


def _numbers(path: Path, words: list, count: int | None, line: int) -> list[float]:
    texts = [word.text for word in words if isinstance(word, Word)]
    return [float(value) for value in numbers(path, line, texts, len(words) if count is None else count)]


def _ends(path: Path, names: Iterable[str], ends: list) -> tuple[int, int, int]:
    """(source, target, line) of `( A B )`."""
    position = {name: i for i, name in enumerate(names)}
    line = ends[0].line if ends and isinstance(ends[0], Word) else 0
    known = [position[end.text] for end in ends if isinstance(end, Word) and end.text in position]
    if len(ends) != 2 or len(known) != 2:
        shown = " ".join(end.text for end in ends if isinstance(end, Word))
        raise fail(path, line, f"`( {shown} )` should be two nodes of the network.")
    return known[0], known[1], line


def _matrix(path: Path, sections: dict[str, list[Item]], names: Iterable[str]) -> Matrices:
    names = tuple(names)
    demands = []
    for _, ends, unit, value, _ in _rows(path, sections, "DEMANDS", [Word, Enclosed, Word, Word, Word]):
        source, target, line = _ends(path, names, ends)
        demands.append((source, target, math.prod(_numbers(path, [unit, value], 2, line)), line))
    meta = [word.text for word in sections.get("META", []) if isinstance(word, Word)]
    facts = {key: value for key, equals, value in zip(meta, meta[1:], meta[2:], strict=False) if equals == "="}
    return from_demands(path, len(names), demands, UNITS.get(facts.get("unit", ""), UNSTATED), facts.get("time"))
