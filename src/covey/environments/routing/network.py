"""Networks, candidate paths, next hops and the split rules that need no learning: NumPy, on the host.

Axes: V nodes, L directed links, D demand pairs, K candidate paths of a pair, G destinations, N next hops of a node.

Two ways to control a network, and two arrays that say how:

- `Paths`: every ingress splits each of its pairs over K listed paths, `splits[D, K]`.
- `NextHops`: every router splits the traffic of each destination over allowed links, `ratios[V, G, N]`.

`path_to_hop` and `hop_to_path` translate between them; `routing_matrix` and `link_fractions` turn either into `[D, L]`,
the fraction of each demand that each link carries, so that the load of a link is one matrix product.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import networkx as nx
import numpy as np

from covey.core.errors import BadInput, unknown

Pairs = Iterable[Sequence[int]] | np.ndarray


# ---------------------------------------------------------------------------------------------------------- networks
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


# ------------------------------------------------------------------------------------------------- shortest paths
Cost = tuple[float, int]  # (sum of link costs, hops)
Arcs = dict[int, list[tuple[int, float]]]  # node -> [(other end, link cost)]


def _arcs(network: Network, cost: np.ndarray, closed: Collection[int] = ()) -> tuple[Arcs, Arcs]:
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


def _to_target(incoming: Arcs, target: int, closed: Collection[int] = ()) -> dict[int, Cost]:
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


def _simple_paths(arcs: tuple[Arcs, Arcs], source: int, target: int) -> Iterator[tuple[int, ...]]:
    """Simple paths in the order (cost, hops, node indices), one at a time.

    Best-first search whose estimate is exact: the rest of a path is priced on the graph without the nodes already on
    it. Every expansion thus lies on a path that will be returned, ties come out in lexicographic order, and no set of
    equally long paths has to be collected and sorted (in a grid it is exponential).
    """
    outgoing, incoming = arcs
    heap: list[tuple[Cost, tuple[int, ...], Cost]] = [((0.0, 0), (source,), (0.0, 0))]
    while heap:
        _, nodes, spent = heapq.heappop(heap)
        if nodes[-1] == target:
            yield nodes
            continue
        rest = _to_target(incoming, target, closed=nodes)
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
    arcs = _arcs(network, network.weight if by == "weight" else np.ones(len(network.links)))
    return make_paths(network, [itertools.islice(_simple_paths(arcs, int(s), int(t)), k) for s, t in pairs])


def _disjoint_paths(network: Network, source: int, target: int, k: int) -> Iterator[tuple[int, ...]]:
    closed: set[int] = set()
    for _ in range(k):
        path = next(_simple_paths(_arcs(network, np.ones(len(network.links)), closed), source, target), None)
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


# ------------------------------------------------------------------------------------------------------- next hops
@dataclass(frozen=True, eq=False)
class NextHops:
    """The links over which each node may send the traffic of each destination.

    Build with `next_hops`, `downhill`, `equal_cost` (all without cycles) or `every_link` (for the linear program).
    """

    network: Network
    destinations: np.ndarray  # [G] int32        node indices, ascending
    choices: np.ndarray  #      [V, G, N] int32  link index, -1 on padding

    @property
    def valid(self) -> np.ndarray:
        """[V, G, N] bool."""
        return self.choices >= 0

    @cached_property
    def allowed(self) -> np.ndarray:
        """[G, L] bool: may traffic of the destination use the link?"""
        return self.spread(np.ones(self.choices.shape)) > 0

    @cached_property
    def digest(self) -> str:
        """sha256 over the network and the choices."""
        return digest(self.network.digest, self.destinations, self.choices)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NextHops) and self.digest == other.digest

    def goal_of(self, pairs: np.ndarray) -> np.ndarray:
        """[D] index into `destinations` of each pair's target."""
        return np.searchsorted(self.destinations, np.asarray(pairs)[:, 1])

    def spread(self, ratios: np.ndarray) -> np.ndarray:
        """[..., V, G, N] values of the choices as [..., G, L] values of the links, 0 where not allowed."""
        node, goal, hop = np.nonzero(self.valid)
        out = np.zeros((*ratios.shape[:-3], len(self.destinations), len(self.network.links)))
        out[..., goal, self.choices[node, goal, hop]] = ratios[..., node, goal, hop]
        return out

    def gather(self, values: np.ndarray) -> np.ndarray:
        """[..., G, L] values of the links as [..., V, G, N] values of the choices, 0 on padding (`spread` undone)."""
        goal = np.arange(len(self.destinations))[None, :, None]
        return np.where(self.valid, values[..., goal, self.choices], 0.0)


def _from_allowed(network: Network, destinations: np.ndarray, allowed: np.ndarray) -> NextHops:
    """`NextHops` from allowed[G, L]."""
    sources = network.links[:, 0]
    lists = [
        [np.flatnonzero(allowed[goal] & (sources == node)) for goal in range(len(destinations))]
        for node in range(len(network.nodes))
    ]
    width = max(len(links) for row in lists for links in row)
    choices = np.full((len(network.nodes), len(destinations), width), -1, np.int32)
    for node, row in enumerate(lists):
        for goal, links in enumerate(row):
            choices[node, goal, : len(links)] = links
    return NextHops(network, frozen_array(destinations, np.int32), frozen_array(choices, np.int32))


def next_hops(paths: Paths) -> NextHops:
    """The union of the candidate paths of all sources, per destination; `BadInput` where it has a cycle."""
    destinations, goals = np.unique(paths.pairs[:, 1], return_inverse=True)
    allowed = np.zeros((len(destinations), len(paths.network.links)), bool)
    np.logical_or.at(allowed, goals, paths.incidence.any(1))
    hops = _from_allowed(paths.network, destinations, allowed)
    _check_acyclic(hops)
    return hops


def _check_acyclic(hops: NextHops) -> None:
    network = hops.network
    for goal, allowed in zip(hops.destinations, hops.allowed, strict=True):
        graph = nx.DiGraph(network.links[allowed].tolist())
        if not nx.is_directed_acyclic_graph(graph):
            edges = nx.find_cycle(graph)
            cycle = "→".join(network.nodes[edge[0]] for edge in [*edges, edges[0]])
            raise BadInput(
                f"the candidate paths to {network.nodes[goal]} in network {network.name!r} form the cycle {cycle}, on "
                'which hop-by-hop traffic could circle: use control="path", or next hops that go downhill.'
            )


def _distances(network: Network, destinations: np.ndarray) -> np.ndarray:
    """[G, V] least weight from each node to each destination, infinite where there is no path."""
    _, incoming = _arcs(network, network.weight)
    out = np.full((len(destinations), len(network.nodes)), np.inf)
    for goal, destination in enumerate(destinations.tolist()):
        for node, (cost, _) in _to_target(incoming, destination).items():
            out[goal, node] = cost
    return out


def _goals(network: Network, destinations: Sequence[int] | np.ndarray | None) -> np.ndarray:
    return np.arange(len(network.nodes)) if destinations is None else np.unique(np.asarray(destinations))


def downhill(network: Network, destinations: Sequence[int] | np.ndarray | None = None) -> NextHops:
    """Every link whose far end is nearer (by weight) to the destination than its near end: never a cycle."""
    goals = _goals(network, destinations)
    distance = _distances(network, goals)
    source, target = network.links.T
    return _from_allowed(network, goals, distance[:, target] < distance[:, source])


def equal_cost(network: Network, destinations: Sequence[int] | np.ndarray | None = None) -> NextHops:
    """Every link on some shortest path (by weight) to the destination: the multipath group of ECMP."""
    goals = _goals(network, destinations)
    distance = _distances(network, goals)
    source, target = network.links.T
    near, far = distance[:, source], distance[:, target]
    return _from_allowed(network, goals, np.isfinite(far) & (np.round(far + network.weight, 9) == near))


def every_link(network: Network, destinations: Sequence[int] | np.ndarray | None = None) -> NextHops:
    """Every link that does not leave the destination: the widest choice, with cycles; for `programs.edge_optimum`."""
    goals = _goals(network, destinations)
    return _from_allowed(network, goals, network.links[:, 0] != goals[:, None])


# ---------------------------------------------------------------------------------------- loads and translations
def routing_matrix(paths: Paths, splits: np.ndarray) -> np.ndarray:
    """[..., D, L] fraction of each demand on each link, from path splits [..., D, K]."""
    return np.einsum("...dk,dkl->...dl", splits, paths.incidence)


def link_fractions(hops: NextHops, ratios: np.ndarray, pairs: Pairs) -> np.ndarray:
    """[D, L] fraction of each demand on each link, from hop ratios [V, G, N] (traffic balance, solved exactly)."""
    pairs = np.asarray(pairs)
    network, by_link, goal = hops.network, hops.spread(ratios), hops.goal_of(pairs)
    source, target = network.links.T
    count = len(network.nodes)
    forward = np.zeros((len(hops.destinations), count, count))  # [G, to, from]
    forward[:, target, source] = by_link
    through = np.linalg.inv(np.eye(count) - forward)  # [G, node, source]: what passes a node of 1 unit sent
    return through[goal[:, None], source, pairs[:, :1]] * by_link[goal]


def loads(paths: Paths, splits: np.ndarray, demand: np.ndarray) -> np.ndarray:
    """[..., L] load of each link in the demand's unit, from splits [..., D, K] and demand [..., D]."""
    return np.einsum("...d,...dl->...l", demand, routing_matrix(paths, splits))


def max_utilization(network: Network, load: np.ndarray) -> np.ndarray:
    """[...] the largest load over capacity (MLU), from load [..., L]."""
    return (load / network.capacity).max(-1)


def path_to_hop(paths: Paths, hops: NextHops, splits: np.ndarray, demand: np.ndarray | None = None) -> np.ndarray:
    """[..., V, G, N] hop ratios that carry path splits [..., D, K], sources weighed by `demand` [..., D] (or equally).

    Loads are reproduced exactly for a demand proportional to `demand`. Nodes that the splits never reach share equally.
    """
    weight = np.ones(len(paths.pairs)) if demand is None else np.asarray(demand, float)
    to_goal = np.eye(len(hops.destinations))[hops.goal_of(paths.pairs)]  # [D, G]
    flow = np.einsum("...dl,...dg->...gl", routing_matrix(paths, splits), weight[..., None] * to_goal, optimize=True)
    return normalize(hops.gather(flow), hops.valid)


def hop_to_path(paths: Paths, hops: NextHops, ratios: np.ndarray) -> np.ndarray:
    """[D, K] product of the hop ratios along each path. Sums to 1 where `paths` lists every path of the next hops."""
    by_link = hops.spread(ratios)[hops.goal_of(paths.pairs)]
    product = np.where(paths.incidence > 0, by_link[:, None], 1.0).prod(-1)
    return np.where(paths.valid, product, 0.0)


def every_path(hops: NextHops, pairs: Pairs, limit: int = 256) -> Paths:
    """All the paths that the (acyclic) next hops allow each pair; `BadInput` above `limit` paths a pair."""
    network = hops.network
    pairs = check_pairs(network, pairs)
    groups = []
    for (source, target), goal in zip(pairs.tolist(), hops.goal_of(pairs), strict=True):
        graph = nx.DiGraph(network.links[hops.allowed[goal]].tolist())
        group = sorted(map(tuple, itertools.islice(nx.all_simple_paths(graph, source, target), limit + 1)))
        if len(group) > limit:
            ends = f"{network.nodes[source]} to {network.nodes[target]}"
            raise BadInput(f'more than {limit} paths lead from {ends}: use control="hop", or raise the limit.')
        groups.append(group)
    return make_paths(network, groups)


# ----------------------------------------------------------------------------------------------------------- the rules
def normalize(weights: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Weights over the last axis as shares that sum to 1; equal shares of the valid ones where all weights are 0."""
    weights = np.where(valid, weights, 0.0)
    weights = np.where(weights.sum(-1, keepdims=True) > 0, weights, valid)
    return weights / np.maximum(weights.sum(-1, keepdims=True), np.finfo(float).tiny)


def equal_splits(paths: Paths) -> np.ndarray:
    """[D, K] the same share for every candidate path."""
    return normalize(paths.valid, paths.valid)


def equal_ratios(hops: NextHops) -> np.ndarray:
    """[V, G, N] the same share for every next hop. With `equal_cost` next hops this is ECMP."""
    return normalize(hops.valid, hops.valid)


def ecmp(network: Network, pairs: Pairs | None = None) -> tuple[NextHops, np.ndarray, Paths, np.ndarray]:
    """ECMP by weight: (next hops, ratios [V, G, N], the paths it uses, its splits [D, K] over them)."""
    pairs = check_pairs(network, network.all_pairs() if pairs is None else pairs)
    hops = equal_cost(network, pairs[:, 1])
    ratios, paths = equal_ratios(hops), every_path(hops, pairs)
    return hops, ratios, paths, hop_to_path(paths, hops, ratios)


def ecmp_splits(paths: Paths) -> np.ndarray:
    """[D, K] ECMP by weight on given candidates; `BadInput` where a path that ECMP uses is not among them.

    Leaving such a path out changes the rule: on Abilene with 4 hop-shortest paths it turns a mean ratio to the optimum
    of 1.49 into 1.38. Then use `ecmp`, which brings its own paths, or call what you have `lightest_splits`.
    """
    hops = equal_cost(paths.network, paths.pairs[:, 1])
    splits = hop_to_path(paths, hops, equal_ratios(hops))
    short = np.flatnonzero(splits.sum(-1) < 1 - 1e-9)
    if len(short):
        ends = " to ".join(paths.network.nodes[node] for node in paths.pairs[short[0]])
        raise BadInput(f'ECMP uses a path from {ends} that is no candidate: list it, for instance by="weight".')
    return splits


def lightest_splits(paths: Paths) -> np.ndarray:
    """[D, K] equal shares of the candidates of least weight: as near to ECMP as the candidates allow."""
    weight = np.where(paths.valid, np.round(paths.incidence @ paths.network.weight, 9), np.inf)
    return normalize(weight == weight.min(-1, keepdims=True), paths.valid)


def wcmp_link_ratios(hops: NextHops) -> np.ndarray:
    """[V, G, N] WCMP, hop-wise: in proportion to the capacity of the outgoing link (Zhou et al., EuroSys 2014)."""
    return normalize(hops.network.capacity[hops.choices], hops.valid)


def wcmp_link_splits(paths: Paths) -> np.ndarray:
    """[D, K] the hop-wise rule on candidate paths: at each fork of a pair's paths, in proportion to the outgoing links.

    The forks are those of the pair's own paths (a prefix tree), so the rule needs no order among the nodes.
    """
    network, splits = paths.network, np.zeros(paths.valid.shape)
    for d, group in enumerate(paths.nodes):
        for k, path in enumerate(group):
            share = 1.0
            for i in range(1, len(path)):
                forks = {other[i] for other in group if other[:i] == path[:i]}
                room = {node: network.capacity[network.link_index[path[i - 1], node]] for node in forks}
                share *= room[path[i]] / sum(room.values())
            splits[d, k] = share
    return splits


def wcmp_path_splits(paths: Paths) -> np.ndarray:
    """[D, K] WCMP, path-wise: in proportion to the bottleneck capacity of the path."""
    return normalize(np.where(paths.valid, paths.bottleneck, 0.0), paths.valid)


def residual_splits(incidence: Any, valid: Any, capacity: Any, load: Any, *, floor: float = 1e-3, xp: Any = np) -> Any:
    """[D, K] WCMP, residual: in proportion to the least free capacity along the path, given the load [L] now.

    Free capacity below `floor` times the largest capacity counts as that, so that shares stay defined under overload.
    `xp` is the array library (`numpy` or `jax.numpy`): the formula can run inside a compiled program.
    """
    free = xp.where(incidence > 0, capacity - load, xp.inf).min(-1)
    weights = xp.where(valid, xp.maximum(free, floor * capacity.max()), 0.0)
    return weights / weights.sum(-1, keepdims=True)


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
