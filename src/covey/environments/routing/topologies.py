"""Networks that covey brings along: `small`, `small-contended`, `large`, `abilene`.

`small` and `large` are figures 4a and 4b of Mao et al. (arXiv:1811.07029) with the capacities of the first author's
later public demo; the paper states none. `abilene` is written from public facts about the Internet2 backbone of 2004.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from covey.core.errors import unknown
from covey.environments.routing.network import Network, make_network
from covey.environments.routing.paths import Paths, make_paths, shortest_paths

OC_48, OC_192 = 2488.32, 9953.28  # SONET line rates, Mbit/s


class Topology(NamedTuple):
    """A network and the candidate paths that go with it."""

    network: Network
    paths: Paths


def topology(name: str) -> Topology:
    """A built-in topology by name; `BadInput` with the nearest name for any other."""
    if name not in TOPOLOGIES:
        raise unknown("topology", name, TOPOLOGIES)
    return TOPOLOGIES[name]()


def small() -> Topology:
    """A to C and B to D, each directly or over the shared link E→F of capacity 200: 6 nodes, 7 links, 2 x 2 paths.

    An equal split is optimal for every demand (a, b): it halves the load of the two links of capacity 100 that each
    pair must use, max(a, b) / 200, and the shared link then carries only (a + b) / 2 of 200. So this environment shows
    that code works, not which algorithm is better.
    """
    return _small("small", shared=200)


def small_contended() -> Topology:
    """`small` with a shared link of 100: the optimum depends on both demands, so the two routers have to coordinate."""
    return _small("small-contended", shared=100)


def _small(name: str, shared: float) -> Topology:
    capacity = {"AC": 100, "AE": 100, "BE": 100, "BD": 100, "EF": shared, "FC": 100, "FD": 100}
    place = {"A": (0, 1), "B": (0, 0), "C": (3, 1), "D": (3, 0), "E": (1, 0.5), "F": (2, 0.5)}
    return _lettered(name, capacity, place, ["AC AEFC", "BD BEFD"])


def large() -> Topology:
    """A, B to C, D over routers 1 to 8: 12 nodes, 18 links, 4 pairs, 20 paths (the demo's 12v20)."""
    capacity = {
        "A1": 400, "A2": 600, "B2": 600, "B3": 400, "16": 100, "14": 300, "24": 600, "25": 600, "35": 300,
        "38": 100, "46": 300, "47": 600, "57": 600, "58": 300, "6C": 400, "7C": 600, "7D": 600, "8D": 400,
    }  # fmt: skip
    place = {
        "A": (0, 2), "B": (0, 1), "1": (1, 3), "2": (1, 1.5), "3": (1, 0), "4": (2, 2), "5": (2, 1),
        "6": (3, 3), "7": (3, 1.5), "8": (3, 0), "C": (4, 2), "D": (4, 1),
    }  # fmt: skip
    paths = [
        "A16C A146C A147C A246C A247C A257C",
        "A147D A247D A257D A258D",
        "B246C B247C B257C B357C",
        "B247D B257D B258D B357D B358D B38D",
    ]
    return _lettered("large", capacity, place, paths)


def _lettered(
    name: str, capacity: Mapping[str, float], place: dict[str, tuple[float, float]], paths: Sequence[str]
) -> Topology:
    """A topology whose nodes are single letters, links two letters, and paths words."""
    nodes = list(place)
    network = make_network(
        name,
        nodes,
        [(link[0], link[1]) for link in capacity],
        list(capacity.values()),
        coordinates=list(place.values()),
    )
    return Topology(network, make_paths(network, [[list(map(nodes.index, p)) for p in row.split()] for row in paths]))


def abilene() -> Topology:
    """The Abilene backbone of 2004: 12 routers, 15 links each way, all 132 pairs, 4 hop-shortest paths a pair.

    All links are OC-192 but Atlanta to Indianapolis (OC-48). Weights are the routing metrics that Internet2 published;
    the access link of the second Atlanta router has weight 1. Capacities are line rates in Mbit/s; public data sets
    round both rates down by the same 0.3 % (9920 and 2480), which leaves ratios to the optimum as they are.
    """
    place = {  # city centers (longitude, latitude); the second Atlanta router is set beside the first, for drawing
        "ATLAM5": (-83.4, 32.6), "ATLAng": (-84.39, 33.75), "CHINng": (-87.63, 41.88), "DNVRng": (-104.99, 39.74),
        "HSTNng": (-95.37, 29.76), "IPLSng": (-86.16, 39.77), "KSCYng": (-94.58, 39.10), "LOSAng": (-118.24, 34.05),
        "NYCMng": (-74.01, 40.71), "SNVAng": (-122.04, 37.37), "STTLng": (-122.33, 47.61), "WASHng": (-77.04, 38.91),
    }  # fmt: skip
    weight = {
        ("ATLAM5", "ATLAng"): 1, ("ATLAng", "HSTNng"): 1176, ("ATLAng", "IPLSng"): 587, ("ATLAng", "WASHng"): 846,
        ("CHINng", "IPLSng"): 260, ("CHINng", "NYCMng"): 700, ("DNVRng", "KSCYng"): 639, ("DNVRng", "SNVAng"): 1295,
        ("DNVRng", "STTLng"): 2095, ("HSTNng", "KSCYng"): 902, ("HSTNng", "LOSAng"): 1893, ("IPLSng", "KSCYng"): 548,
        ("LOSAng", "SNVAng"): 366, ("NYCMng", "WASHng"): 233, ("SNVAng", "STTLng"): 861,
    }  # fmt: skip
    both = {link: value for (a, b), value in weight.items() for link, value in (((a, b), value), ((b, a), value))}
    links = sorted(both)
    network = make_network(
        "abilene",
        list(place),
        links,
        [OC_48 if set(link) == {"ATLAng", "IPLSng"} else OC_192 for link in links],
        weight=[both[link] for link in links],
        coordinates=np.array(list(place.values())),
        unit="Mbit/s",
    )
    return Topology(network, shortest_paths(network, 4))


TOPOLOGIES: dict[str, Callable[[], Topology]] = {
    "small": small,
    "small-contended": small_contended,
    "large": large,
    "abilene": abilene,
}
