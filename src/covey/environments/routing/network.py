"""Networks: nodes, directed links, capacities. NumPy, on the host, checked when they are made.

Axes, here and in `paths`, `hops` and `splits`: V nodes, L directed links, D demand pairs, K candidate paths of a pair,
G destinations, N next hops of a node.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import networkx as nx
import numpy as np

from covey.core.errors import BadInput, unknown

Pairs = Iterable[Sequence[int]] | np.ndarray


@dataclass(frozen=True, eq=False)
class Network:
    """A directed network. Build one with `make_network`, which fills in what is left out. Equal content, equal hash.

    Raises `BadInput` for duplicate nodes, no links, unknown nodes, self loops, parallel links, or a capacity or weight
    that is not a positive finite number.
    """

    name: str
    nodes: tuple[str, ...]  #                 V names
    links: np.ndarray  #       [L, 2] int32   (source, target), indices into `nodes`
    capacity: np.ndarray  #    [L] float64    in `unit`
    weight: np.ndarray  #      [L] float64    cost for shortest paths (OSPF weight)
    delay: np.ndarray  #       [L] float64    propagation delay in milliseconds, 0 where unknown
    coordinates: np.ndarray  # [V, 2] float64 (x, y) for drawing; (longitude, latitude) where the network has a place
    unit: str = "unit"  #                     unit of capacity and demand: "bit/s", "kbit/s", ... or "unit" if unstated

    def __post_init__(self) -> None:
        dtypes = {"links": np.int32, "capacity": float, "weight": float, "delay": float, "coordinates": float}
        for field, dtype in dtypes.items():
            object.__setattr__(self, field, frozen_array(getattr(self, field), dtype))
        _check_network(self)

    @cached_property
    def digest(self) -> str:
        """sha256 over everything but the name."""
        return digest(self.nodes, self.unit, self.links, self.capacity, self.weight, self.delay, self.coordinates)

    @cached_property
    def link_index(self) -> dict[tuple[int, int], int]:
        """(source, target) -> link."""
        return {(int(a), int(b)): link for link, (a, b) in enumerate(self.links)}

    def index(self, node: str) -> int:
        """The index of a node, by name."""
        if node not in self.nodes:
            raise unknown(f"node of network {self.name!r}", node, self.nodes)
        return self.nodes.index(node)

    def label(self, link: int | np.integer) -> str:
        """`source→target` of a link, for messages."""
        source, target = self.links[link]
        return f"{self.nodes[source]}→{self.nodes[target]}"

    def all_pairs(self) -> np.ndarray:
        """[V (V-1), 2] every ordered pair of different nodes, by source, then target."""
        return np.array(list(itertools.permutations(range(len(self.nodes)), 2)), np.int32)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Network) and self.digest == other.digest


def make_network(
    name: str,
    nodes: Sequence[str],
    links: Iterable[tuple[str | int, str | int]],
    capacity: Any,
    *,
    weight: Any = None,
    delay: Any = None,
    coordinates: Any = None,
    unit: str = "unit",
) -> Network:
    """A `Network` from node names (or indices) with defaults: weight 1, delay 0, coordinates on the unit circle."""
    position = {node: i for i, node in enumerate(nodes)}
    links = list(links)
    for end in itertools.chain.from_iterable(links):
        if isinstance(end, str) and end not in position:
            raise BadInput(f"network {name!r} has a link at {end!r}, which is no node of it: add the node or fix it.")
    ends = [[position[end] if isinstance(end, str) else int(end) for end in link] for link in links]
    angle = 2 * np.pi * np.arange(len(nodes)) / max(len(nodes), 1)
    return Network(
        name=name,
        nodes=tuple(nodes),
        links=np.array(ends, np.int32).reshape(-1, 2),
        capacity=np.asarray(capacity, float),
        weight=np.ones(len(links)) if weight is None else np.asarray(weight, float),
        delay=np.zeros(len(links)) if delay is None else np.asarray(delay, float),
        coordinates=np.stack([np.cos(angle), np.sin(angle)], -1) if coordinates is None else coordinates,
        unit=unit,
    )


def _check_network(network: Network) -> None:
    name, nodes, links = network.name, network.nodes, network.links
    if len(set(nodes)) != len(nodes):
        twice = next(node for node in nodes if nodes.count(node) > 1)
        raise BadInput(f"network {name!r} names the node {twice!r} twice: give every node its own name.")
    if not len(links):
        raise BadInput(f"network {name!r} has no links: add at least one.")
    if links.ndim != 2 or links.shape[1] != 2 or links.min() < 0 or links.max() >= len(nodes):
        raise BadInput(f"network {name!r} has a link to an unknown node: use pairs of indices below {len(nodes)}.")
    if len(network.coordinates) != len(nodes) or any(
        array.shape != (len(links),) for array in (network.capacity, network.weight, network.delay)
    ):
        raise BadInput(f"network {name!r} needs one capacity, weight and delay a link and one coordinate pair a node.")
    for link, (source, target) in enumerate(links):
        if source == target:
            raise BadInput(f"network {name!r} has a link from {nodes[source]} to itself: remove it.")
        if network.link_index[int(source), int(target)] != link:
            raise BadInput(f"network {name!r} lists the link {network.label(link)} twice: merge the two capacities.")
        if np.isnan(network.capacity[link]):
            raise BadInput(f"link {network.label(link)} of network {name!r} has no capacity: state one for every link.")
    for what, values in (("capacity", network.capacity), ("weight", network.weight)):
        bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
        if len(bad):
            where = network.label(bad[0])
            raise BadInput(f"link {where} of network {name!r} has {what} {values[bad[0]]:g}: make it positive, finite.")
    if not (np.isfinite(network.delay).all() and (network.delay >= 0).all()):
        raise BadInput(f"network {name!r} has a delay that is negative or not finite: state it in milliseconds, or 0.")


def check_pairs(network: Network, pairs: Pairs) -> np.ndarray:
    """The pairs as [D, 2] int32; `BadInput` naming the first that is no pair, comes twice or cannot be reached."""
    array = np.asarray(list(pairs), np.int32).reshape(-1, 2)
    if len(np.unique(array, axis=0)) != len(array):
        raise BadInput(f"a demand pair of network {network.name!r} is listed twice: add the two demands.")
    reach: dict[int, Collection[int]] = {}
    graph = nx.DiGraph(network.links.tolist())
    for source, target in array.tolist():
        if source == target or min(source, target) < 0 or max(source, target) >= len(network.nodes):
            raise BadInput(f"({source}, {target}) is no demand pair of {network.name!r}: name two different nodes.")
        if source not in reach:
            reach[source] = nx.descendants(graph, source) if source in graph else ()
        if target not in reach[source]:
            ends = f"{network.nodes[source]} to {network.nodes[target]}"
            raise BadInput(f"no path leads from {ends} in network {network.name!r}: add links or drop this pair.")
    return array


# ------------------------------------------------------------------------------------------------------------- helpers
def frozen_array(values: Any, dtype: Any) -> np.ndarray:
    """A read-only copy."""
    array = np.array(values, dtype)
    array.setflags(write=False)
    return array


def digest(*parts: Any) -> str:
    """sha256 over arrays (dtype, shape, bytes) and anything else by its `repr`."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            total.update(f"{part.dtype}{part.shape}".encode())
            total.update(np.ascontiguousarray(part).tobytes())
        else:
            total.update(repr(part).encode())
    return total.hexdigest()
