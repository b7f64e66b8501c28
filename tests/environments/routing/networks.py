"""Networks that several tests route over."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from covey.environments.routing import topologies
from covey.environments.routing.build import Options, build
from covey.environments.routing.environment import Routing
from covey.environments.routing.network import Network, make_network
from covey.environments.routing.paths import Paths

seeds = st.integers(0, 10_000)
few = settings(max_examples=15, deadline=None)


def diamond(**kw):
    """S reaches T over M (weights 1 + 1) or N (1 + 1), and directly (weight 3)."""
    links = [("S", "M"), ("S", "N"), ("M", "T"), ("N", "T"), ("S", "T"), ("M", "N")]
    return make_network("diamond", "SMNT", links, [10, 30, 20, 30, 40, 5], weight=[1, 1, 1, 1, 3, 1], **kw)


def random_network(seed: int, count: int = 7) -> Network:
    """A ring in both directions with random chords, so that every pair is reachable."""
    rng = np.random.default_rng(seed)
    ring = [(i, (i + 1) % count) for i in range(count)]
    chords = [(int(a), int(b)) for a, b in rng.integers(count, size=(count, 2)) if a != b]
    links = sorted({*ring, *((b, a) for a, b in ring), *chords})
    weight = rng.integers(1, 4, len(links))
    return make_network("random", [f"n{i}" for i in range(count)], links, rng.uniform(1, 5, len(links)), weight=weight)


def constant(paths: Paths, demand: Any, *, ticks: int = 7, **options: Any) -> Routing:
    """A world in which every pair always demands as much; with delays where a step has several ticks."""
    steps = np.broadcast_to(np.asarray(demand, float), (32, ticks, len(paths.pairs)))
    options = {"delays": ticks > 1} | options
    return build("constant", paths, steps, steps, Options(**options), whole_test=False)


def contended(demand: Any, **options: Any) -> Routing:
    """`small-contended` with constant demands: of A for C, and of B for D."""
    return constant(topologies.small_contended().paths, demand, **options)
