"""Next hops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from networks import few, random_network, seeds

from covey.core.errors import BadInput
from covey.environments.routing.hops import _check_acyclic, downhill, equal_cost, every_path, next_hops
from covey.environments.routing.splits import (
    hop_to_path,
    link_fractions,
    loads,
    path_to_hop,
    routing_matrix,
)
from covey.environments.routing.topologies import abilene, large
from covey.environments.shares import normalize


def test_next_hops_of_large_are_those_of_the_demo():
    network, paths = large()
    hops = next_hops(paths)
    to_c = [network.nodes[network.links[link, 1]] for link in hops.choices[network.index("1"), 0] if link >= 0]
    assert to_c == ["6", "4"]
    choosing = {network.nodes[node] for node in np.flatnonzero((hops.valid.sum(-1) > 1).any(-1))}
    assert choosing == set("AB12345")
    assert (hops.valid.sum(-1) > 1).sum() == 10  # outputs 4 + 4 + 2 + 4 + 2 + 2 + 2, two a choice


def test_next_hops_with_a_cycle_are_refused_and_downhill_has_none():
    with pytest.raises(BadInput, match=r'form the cycle .*→.*control="path"'):
        next_hops(abilene().paths)
    _check_acyclic(downhill(abilene().network))
    _check_acyclic(equal_cost(abilene().network))


@few
@given(seed=seeds)
def test_both_ways_to_control_carry_the_same_load(seed):
    network = random_network(seed)
    hops = downhill(network)
    rng = np.random.default_rng(seed)
    ratios = normalize(rng.exponential(size=hops.choices.shape), hops.valid)
    paths = every_path(hops, network.all_pairs())
    splits = hop_to_path(paths, hops, ratios)
    np.testing.assert_allclose(splits.sum(-1), 1, rtol=1e-6)
    fractions = link_fractions(hops, ratios, paths.pairs)
    np.testing.assert_allclose(fractions, routing_matrix(paths, splits), atol=1e-12)

    demand = rng.exponential(size=len(paths.pairs))
    back = path_to_hop(paths, hops, splits, demand)
    np.testing.assert_allclose(
        demand @ link_fractions(hops, back, paths.pairs), loads(paths, splits, demand), rtol=1e-6
    )
    np.testing.assert_allclose(hops.gather(hops.spread(ratios)), ratios, rtol=1e-6)


def test_uneven_path_splits_as_hop_ratios_keep_the_loads_for_their_demand():
    _, paths = large()
    hops, rng = next_hops(paths), np.random.default_rng(0)
    splits = normalize(rng.exponential(size=paths.valid.shape), paths.valid)
    demand = np.array([1.0, 5.0, 2.0, 3.0])
    ratios = path_to_hop(paths, hops, splits, demand)
    np.testing.assert_allclose(
        demand @ link_fractions(hops, ratios, paths.pairs), loads(paths, splits, demand), rtol=1e-6
    )
    np.testing.assert_allclose(ratios.sum(-1), hops.valid.any(-1), rtol=1e-6)
