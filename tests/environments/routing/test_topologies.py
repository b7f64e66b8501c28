"""The built-in topologies, against the specification and (where it is present) the real Abilene file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from covey.core.errors import BadInput
from covey.environments.routing.readers import read
from covey.environments.routing.topologies import TOPOLOGIES, topology

DATA = os.environ.get("COVEY_DATA")


def words(paths):
    return ["".join(paths.network.nodes[node] for node in path) for group in paths.nodes for path in group]


@pytest.mark.parametrize(("name", "shared"), [("small", 200), ("small-contended", 100)])
def test_small(name, shared):
    network, paths = topology(name)
    assert words(paths) == ["AC", "AEFC", "BD", "BEFD"]
    assert (len(network.nodes), len(network.links)) == (6, 7)
    assert network.capacity[network.link_index[network.index("E"), network.index("F")]] == shared
    assert sorted(network.capacity)[:6] == [100] * 6


def test_large():
    network, paths = topology("large")
    assert (len(network.nodes), len(network.links), paths.valid.sum()) == (12, 18, 20)
    np.testing.assert_array_equal(paths.valid.sum(1), [6, 4, 4, 6])
    assert words(paths)[:6] == ["A16C", "A146C", "A147C", "A246C", "A247C", "A257C"]
    assert words(paths)[-1] == "B38D"
    links = [network.nodes[source] + network.nodes[target] for source, target in network.links]
    assert " ".join(links) == "A1 A2 B2 B3 16 14 24 25 35 38 46 47 57 58 6C 7C 7D 8D"
    hundreds = [4, 6, 6, 4, 1, 3, 6, 6, 3, 1, 3, 6, 6, 3, 4, 6, 6, 4]
    np.testing.assert_array_equal(network.capacity, 100.0 * np.array(hundreds))


@pytest.mark.skipif(DATA is None, reason="set COVEY_DATA to the folder of real routing data")
def test_abilene_is_the_network_of_the_public_data():
    network, _ = topology("abilene")
    real, _, _ = read(Path(DATA or "") / "abilene-cfrrl/Abilene", matrices=None)
    np.testing.assert_array_equal(network.links, real.links)
    np.testing.assert_array_equal(network.weight, real.weight)
    np.testing.assert_allclose(network.capacity, real.capacity / 1000, rtol=0.004)


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_every_topology_can_be_drawn(name):
    network, _ = topology(name)
    assert network.name == name
    assert len(np.unique(network.coordinates, axis=0)) == len(network.nodes)


def test_an_unknown_topology_names_its_neighbor():
    with pytest.raises(BadInput, match="did you mean 'abilene'"):
        topology("abilena")
