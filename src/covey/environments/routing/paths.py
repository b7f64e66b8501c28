"""Candidate paths: every ingress splits each of its pairs over K listed paths, `splits[D, K]`. NumPy, on the host."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from covey.core.errors import BadInput, unknown
from covey.environments.routing.network import Network, Pairs, check_pairs, digest, frozen_array

# ------------------------------------------------------------------------------------------------- shortest paths
Cost = tuple[float, int]  # (sum of link costs, hops)
Arcs = dict[int, list[tuple[int, float]]]  # node -> [(other end, link cost)]


def arcs(network: Network, cost: np.ndarray, closed: Collection[int] = ()) -> tuple[Arcs, Arcs]:
    """Outgoing and incoming arcs of every node, without the links in `closed`."""
    outgoing: Arcs = {node: [] for node in range(len(network.nodes))}
    incoming: Arcs = {node: [] for node in range(len(network.nodes))}
    for link, (source, target) in enumerate(network.links.tolist()):
        if link not in closed:
            outgoing[source].append((target, float(cost[link])))
            incoming[target].append((source, float(cost[link])))
    return outgoing, incoming


def _extend(cost: Cost, arc: float) -> Cost:
    """Costs are rounded so that sums in any order tie exactly."""
    return round(cost[0] + arc, 9), cost[1] + 1


def to_target(incoming: Arcs, target: int, closed: Collection[int] = ()) -> dict[int, Cost]:
    """Least cost from every node to `target` that avoids the nodes in `closed` (Dijkstra, backwards)."""
    best: dict[int, Cost] = {}
    heap: list[tuple[Cost, int]] = [((0.0, 0), target)]
    while heap:
        cost, node = heapq.heappop(heap)
        if node in best:
            continue
        best[node] = cost
        for source, arc in incoming[node]:
            if source not in best and source not in closed:
                heapq.heappush(heap, (_extend(cost, arc), source))
    return best


def _simple_paths(both: tuple[Arcs, Arcs], source: int, target: int) -> Iterator[tuple[int, ...]]:
    """Simple paths in the order (cost, hops, node indices), one at a time.

    Best-first search whose estimate is exact: the rest of a path is priced on the graph without the nodes already on
    it. Every expansion thus lies on a path that will be returned, ties come out in lexicographic order, and no set of
    equally long paths has to be collected and sorted (in a grid it is exponential).
    """
    outgoing, incoming = both
    heap: list[tuple[Cost, tuple[int, ...], Cost]] = [((0.0, 0), (source,), (0.0, 0))]
    while heap:
        _, nodes, spent = heapq.heappop(heap)
        if nodes[-1] == target:
            yield nodes
            continue
        rest = to_target(incoming, target, closed=nodes)
        for following, arc in outgoing[nodes[-1]]:
            if following in rest:
                cost = _extend(spent, arc)
                total = (round(cost[0] + rest[following][0], 9), cost[1] + rest[following][1])
                heapq.heappush(heap, (total, (*nodes, following), cost))


# ------------------------------------------------------------------------------------------------ candidate paths
@dataclass(frozen=True, eq=False)
class Paths:
    """Candidate paths of every demand pair, padded to K. Build with `make_paths`, `shortest_paths`, `tunnel_paths`."""

    network: Network
    pairs: np.ndarray  #     [D, 2] int32    (source, target)
    nodes: tuple[tuple[tuple[int, ...], ...], ...]  # D pairs, up to K paths, the nodes of each
    incidence: np.ndarray  # [D, K, L] float32  1 where the path uses the link
    valid: np.ndarray  #     [D, K] bool     False on padding
    hops: np.ndarray  #      [D, K] int32    links of the path, 0 on padding

    @cached_property
    def digest(self) -> str:
        """sha256 over the network and the paths."""
        return digest(self.network.digest, self.nodes)

    @cached_property
    def bottleneck(self) -> np.ndarray:
        """[D, K] least capacity along the path, in the network's unit; infinite on padding."""
        return np.where(self.incidence > 0, self.network.capacity, np.inf).min(-1)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Paths) and self.digest == other.digest


def make_paths(network: Network, paths: Iterable[Iterable[Sequence[int]]]) -> Paths:
    """`Paths` from node lists, one group a pair; the ends of a group's first path name the pair."""
    nodes = tuple(tuple(tuple(int(node) for node in path) for path in group) for group in paths)
    if not nodes or not all(nodes):
        raise BadInput(f"a demand pair of network {network.name!r} has no candidate path: list at least one.")
    pairs = np.array([(group[0][0], group[0][-1]) for group in nodes], np.int32)
    shape = len(nodes), max(map(len, nodes))
    incidence = np.zeros((*shape, len(network.links)), np.float32)
    for d, group in enumerate(nodes):
        for k, path in enumerate(group):
            incidence[d, k, _path_links(network, path, group[0])] = 1
    if len(np.unique(pairs, axis=0)) != len(pairs):
        raise BadInput(f"a demand pair of network {network.name!r} is listed twice: put its paths in one group.")
    hops = frozen_array(incidence.sum(-1), np.int32)
    valid = frozen_array(hops > 0, bool)
    return Paths(network, frozen_array(pairs, np.int32), nodes, frozen_array(incidence, np.float32), valid, hops)


def _path_links(network: Network, path: tuple[int, ...], first: tuple[int, ...]) -> list[int]:
    """The links of a path, which must be simple, exist, and have the ends of `first`."""
    known = [node for node in path if 0 <= node < len(network.nodes)]
    shown = "-".join(network.nodes[node] for node in known)
    if len(known) != len(path) or len(path) < 2 or len(set(path)) != len(path):
        raise BadInput(f"the path {shown or path} of network {network.name!r} is not simple: visit each node once.")
    if (path[0], path[-1]) != (first[0], first[-1]):
        raise BadInput(f"the path {shown} of network {network.name!r} is listed under another pair: move it.")
    steps = list(itertools.pairwise(path))
    missing = [step for step in steps if step not in network.link_index]
    if missing:
        ends = "→".join(network.nodes[node] for node in missing[0])
        raise BadInput(f"the path {shown} uses the link {ends}, which network {network.name!r} lacks: fix the path.")
    return [network.link_index[step] for step in steps]


def shortest_paths(network: Network, k: int = 4, *, pairs: Pairs | None = None, by: str = "hops") -> Paths:
    """Up to `k` simple paths a pair, in a deterministic order.

    `by="hops"` orders by (hops, node indices); `"weight"` by (weight, hops, node indices); `"disjoint"` takes the
    hop-shortest path, closes its links, and repeats, so that the paths of a pair share no directed link.
    `pairs` defaults to every ordered pair.
    """
    if k < 1:
        raise BadInput(f"k is {k}: ask for at least one candidate path.")
    if by not in ("hops", "weight", "disjoint"):
        raise unknown("path order", by, ("hops", "weight", "disjoint"))
    pairs = check_pairs(network, network.all_pairs() if pairs is None else pairs)
    if by == "disjoint":
        return make_paths(network, [_disjoint_paths(network, int(s), int(t), k) for s, t in pairs])
    both = arcs(network, network.weight if by == "weight" else np.ones(len(network.links)))
    return make_paths(network, [itertools.islice(_simple_paths(both, int(s), int(t)), k) for s, t in pairs])


def _disjoint_paths(network: Network, source: int, target: int, k: int) -> Iterator[tuple[int, ...]]:
    closed: set[int] = set()
    for _ in range(k):
        path = next(_simple_paths(arcs(network, np.ones(len(network.links)), closed), source, target), None)
        if path is None:
            return
        yield path
        closed.update(network.link_index[step] for step in itertools.pairwise(path))


def tunnel_paths(network: Network, tunnels: Mapping[tuple[int, int], Sequence[Sequence[int]]]) -> Paths:
    """`Paths` from tunnels as `readers.read` returns them: {(source, target): node lists}."""
    for (source, target), group in tunnels.items():
        if any((path[0], path[-1]) != (source, target) for path in group):
            raise BadInput(f"a tunnel of ({source}, {target}) has other ends: start at {source} and end at {target}.")
    return make_paths(network, tunnels.values())


def without(paths: Paths, link: int) -> Paths:
    """The candidates that do not use `link`, in the same order."""
    kept = paths.valid & (paths.incidence[..., link] == 0)
    groups = [
        [path for path, keep in zip(group, keeps, strict=False) if keep]
        for group, keeps in zip(paths.nodes, kept, strict=True)
    ]
    return make_paths(paths.network, groups)
