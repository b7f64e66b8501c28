"""Loads, translations between paths and hops, and the split rules."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from networks import diamond, few, random_network, seeds

from covey.core.errors import BadInput
from covey.environments.routing.hops import next_hops
from covey.environments.routing.paths import shortest_paths
from covey.environments.routing.splits import (
    ecmp,
    ecmp_splits,
    equal_splits,
    hop_to_path,
    link_fractions,
    loads,
    max_utilization,
    wcmp_link_ratios,
    wcmp_link_splits,
    wcmp_path_splits,
)
from covey.environments.routing.topologies import abilene, small


def test_loads_by_hand():
    network, paths = small()
    load = loads(paths, np.array([[0.75, 0.25], [0.5, 0.5]]), np.array([[40.0, 60.0], [0.0, 80.0]]))
    np.testing.assert_allclose(load, [[30, 10, 30, 30, 40, 10, 30], [0, 0, 40, 40, 40, 0, 40]])
    np.testing.assert_allclose(max_utilization(network, load), [0.3, 0.4])


def test_ecmp_by_hand():
    network = diamond()
    hops, ratios, paths, splits = ecmp(network, [(0, 3)])
    assert paths.nodes == (((0, 1, 3), (0, 2, 3)),)
    np.testing.assert_allclose(splits, [[0.5, 0.5]])
    np.testing.assert_allclose(link_fractions(hops, ratios, [(0, 3)]), [[0.5, 0.5, 0.5, 0.5, 0, 0]])
    np.testing.assert_allclose(ecmp_splits(shortest_paths(network, 3, pairs=[(0, 3)])), [[0, 0.5, 0.5]])


def test_ecmp_says_where_the_candidates_lack_its_paths():
    with pytest.raises(BadInput, match=r"ECMP uses a path from .* no candidate"):
        ecmp_splits(abilene().paths)
    by_weight = shortest_paths(abilene().network, 1, by="weight")
    np.testing.assert_array_equal(ecmp_splits(by_weight), np.ones((132, 1)))


def test_wcmp_by_hand():
    paths = shortest_paths(diamond(), 4, pairs=[(0, 3)])  # S-T, S-M-T, S-N-T, S-M-N-T
    np.testing.assert_allclose(wcmp_path_splits(paths), [np.array([40, 10, 30, 5]) / 85])
    # At S the links have 40, 10 and 30; at M the pair's paths go on over 20 and 5.
    np.testing.assert_allclose(wcmp_link_splits(paths), [[40 / 80, 10 / 80 * 20 / 25, 30 / 80, 10 / 80 * 5 / 25]])
    hops = next_hops(paths)
    np.testing.assert_allclose(hop_to_path(paths, hops, wcmp_link_ratios(hops)), wcmp_link_splits(paths))


@few
@given(seed=seeds)
def test_every_rule_is_a_split(seed):
    paths = shortest_paths(random_network(seed), 3)
    for rule in (equal_splits, wcmp_link_splits, wcmp_path_splits):
        split = rule(paths)
        np.testing.assert_allclose(split.sum(-1), 1)
        assert (split[~paths.valid] == 0).all()
        assert (split >= 0).all()
