"""Node-link JSON (networkx, FIGRET, DOTE, Teal, topohub).

    {"directed": true, "nodes": [{"id": 0}, {"id": 1}], "links": [{"source": 0, "target": 1, "capacity": 10}]}

Links may be called `edges`. `graph.demands`, as in topohub's SNDlib files, is one matrix: demand by source and target.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from covey.environments.routing.readers.common import UNSTATED, Matrices, Parsed, fail, from_demands, is_number
from covey.environments.routing.readers.graphs import Edge, Graph, Node, network_of, order


def recognizes(path: Path, text: str) -> bool:
    """Is it a JSON object?"""
    return text.lstrip().startswith("{")


def read_network(path: Path, text: str, capacity: float | None = None) -> Parsed:
    """The network, with `graph.demands` as one matrix where there are any."""
    data = _load(path, text)
    listed = [data[key] for key in ("links", "edges") if data.get(key)]
    if len(listed) > 1:
        raise fail(path, 0, 'there are "links" and "edges"; keep one of them.')
    try:
        nodes = [Node(_id(path, node["id"]), node) for node in data["nodes"]]
        edges = [Edge(_id(path, edge["source"]), _id(path, edge["target"]), edge) for edge in listed[0]]
    except (KeyError, TypeError, AttributeError, IndexError):
        what = 'a graph needs "nodes" with an "id" and "links" or "edges" with "source" and "target".'
        raise fail(path, 0, what) from None
    graph = Graph(nodes, edges, _flag(path, data, "directed"), _flag(path, data, "multigraph"))
    return network_of(path, graph, capacity)._replace(matrices=_demands(path, data, order(path, nodes)))


def _load(path: Path, text: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise fail(path, 0, f"an object has {twice!r} twice, {dict(pairs[::-1])[twice]!r} first; keep one.")
        return found

    try:
        return json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise fail(path, error.lineno, f"this is not valid JSON ({error.msg}); the file may be cut off.") from None


def _id(path: Path, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise fail(path, 0, f"{value!r} is no id of a node; use text or whole numbers.")
    return value


def _flag(path: Path, data: dict[str, Any], key: str) -> bool | None:
    value = data.get(key)
    if value is not None and not isinstance(value, bool):
        raise fail(path, 0, f'"{key}" is {value!r}; make it true or false.')
    return value


def _demands(path: Path, data: dict[str, Any], nodes: list[Node]) -> Matrices | None:
    """The matrix in `graph.demands`, whose keys are ids as text; None where there are none."""
    graph = data.get("graph")
    stated = graph.get("demands") if isinstance(graph, Mapping) else None
    if not stated:
        return None
    position = {str(node.id): i for i, node in enumerate(nodes)}
    demands = []
    for source, row in stated.items() if isinstance(stated, Mapping) else [("?", None)]:
        if not isinstance(row, Mapping):
            raise fail(path, 0, '"demands" should read {source: {target: demand}}; correct it.')
        for target, value in row.items():
            for end in (source, target):
                if end not in position:
                    raise fail(path, 0, f"the demand {source}→{target} is at {end!r}, which is no node; correct it.")
            if not is_number(value):
                raise fail(path, 0, f"the demand {source}→{target} is {value!r}, which is no number; correct it.")
            demands.append((position[source], position[target], float(value), 0))
    return from_demands(path, len(nodes), demands, UNSTATED)
