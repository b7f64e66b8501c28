"""What splits do to links, and the split rules that need no learning. NumPy, on the host.

`path_to_hop` and `hop_to_path` translate between path splits [D, K] and hop ratios [V, G, N]; `routing_matrix` and
`link_fractions` turn either into [D, L], the fraction of each demand that each link carries, so that the load of a link
is one matrix product.
"""

from __future__ import annotations

import numpy as np

from covey.core.errors import BadInput
from covey.environments.routing.hops import NextHops, equal_cost, every_path
from covey.environments.routing.network import Network, Pairs, check_pairs
from covey.environments.routing.paths import Paths
from covey.environments.shares import normalize


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


# ----------------------------------------------------------------------------------------------------------- the rules
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
    of 1.49 into 1.38. Then use `ecmp`, which brings its own paths.
    """
    hops = equal_cost(paths.network, paths.pairs[:, 1])
    splits = hop_to_path(paths, hops, equal_ratios(hops))
    short = np.flatnonzero(splits.sum(-1) < 1 - 1e-9)
    if len(short):
        ends = " to ".join(paths.network.nodes[node] for node in paths.pairs[short[0]])
        raise BadInput(f'ECMP uses a path from {ends} that is no candidate: list it, for instance by="weight".')
    return splits


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
