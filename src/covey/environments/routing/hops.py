"""Next hops: every router splits the traffic of each destination over allowed links, `ratios[V, G, N]`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import networkx as nx
import numpy as np

from covey.core.errors import BadInput
from covey.environments.routing.network import Network, Pairs, check_pairs, digest, frozen_array
from covey.environments.routing.paths import Paths, arcs, make_paths, to_target


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
    _, incoming = arcs(network, network.weight)
    out = np.full((len(destinations), len(network.nodes)), np.inf)
    for goal, destination in enumerate(destinations.tolist()):
        for node, (cost, _) in to_target(incoming, destination).items():
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
