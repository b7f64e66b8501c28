"""Candidate paths."""

from __future__ import annotations

import itertools

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import diamond, few, random_network, seeds

from covey.core.errors import BadInput
from covey.environments.routing.network import make_network
from covey.environments.routing.paths import make_paths, shortest_paths, tunnel_paths
from covey.environments.routing.topologies import abilene


@few
@given(seed=seeds, k=st.integers(1, 6), by=st.sampled_from(["hops", "weight"]))
def test_shortest_paths_are_the_first_k_of_all_simple_paths_in_order(seed, k, by):
    network = random_network(seed)
    paths = shortest_paths(network, k, by=by)
    graph = nx.DiGraph(network.links.tolist())

    def order(path):
        weight = sum(network.weight[network.link_index[step]] for step in itertools.pairwise(path))
        return (weight if by == "weight" else 0, len(path), path)

    for (source, target), group in zip(paths.pairs.tolist(), paths.nodes, strict=True):
        assert list(group) == sorted(map(tuple, nx.all_simple_paths(graph, source, target)), key=order)[:k]


def test_paths_that_tie_at_the_last_place_are_chosen_by_their_nodes():
    """A 10 x 10 grid has 48620 shortest corner-to-corner paths; only the first two may cost time."""
    grid = nx.grid_2d_graph(10, 10)
    number = {node: i for i, node in enumerate(sorted(grid))}
    links = [(number[a], number[b]) for a, b in itertools.chain(grid.edges, ((b, a) for a, b in grid.edges))]
    network = make_network("grid", [str(i) for i in range(100)], links, np.ones(len(links)))
    first, second = shortest_paths(network, 2, pairs=[(0, 99)]).nodes[0]
    assert first == (*range(9), *range(9, 100, 10))
    assert second == (*range(9), 18, *range(19, 100, 10))


def test_disjoint_paths_share_no_link():
    paths = shortest_paths(abilene().network, 4, by="disjoint")
    assert paths.incidence.sum(1).max() == 1
    assert paths.valid.sum(1).max() == 3
    assert (paths.hops[:, 0] == shortest_paths(abilene().network, 1).hops[:, 0]).all()


def test_paths_arrays_agree_with_their_nodes():
    paths = shortest_paths(diamond(), 3, pairs=[(0, 3), (1, 3)])
    assert paths.nodes == (((0, 3), (0, 1, 3), (0, 2, 3)), ((1, 3), (1, 2, 3)))
    np.testing.assert_array_equal(paths.hops, [[1, 2, 2], [1, 2, 0]])
    np.testing.assert_array_equal(paths.valid, [[1, 1, 1], [1, 1, 0]])
    np.testing.assert_array_equal(paths.incidence[0, 1], [1, 0, 1, 0, 0, 0])
    np.testing.assert_array_equal(paths.bottleneck, [[40, 10, 30], [20, 5, np.inf]])


@pytest.mark.parametrize(
    ("groups", "complaint"),
    [
        ([[(0, 3)], []], "no candidate path"),
        ([[(0, 3), (0, 1)]], "under another pair"),
        ([[(3, 0)]], "T→S, which network"),
        ([[(0, 1, 0)]], "not simple"),
        ([[(0, 7)]], "not simple"),
        ([[(0, 3)], [(0, 1, 3)]], "listed twice"),
    ],
)
def test_impossible_paths_are_refused(groups, complaint):
    with pytest.raises(BadInput, match=complaint):
        make_paths(diamond(), groups)


def test_wrong_questions_are_refused():
    with pytest.raises(BadInput, match="k is 0"):
        shortest_paths(diamond(), 0, pairs=[(0, 3)])
    with pytest.raises(BadInput, match="path order 'hop' is unknown; did you mean 'hops'"):
        shortest_paths(diamond(), 1, pairs=[(0, 3)], by="hop")
    with pytest.raises(BadInput, match="has other ends"):
        tunnel_paths(diamond(), {(0, 3): [(0, 1)]})
