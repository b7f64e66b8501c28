"""Networks, candidate paths, next hops, and the split rules."""

from __future__ import annotations

import itertools

import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey.core.errors import BadInput
from covey.environments.routing import network as net
from covey.environments.routing.topologies import abilene, large, small


def diamond(**kw):
    """S reaches T over M (weights 1 + 1) or N (1 + 1), and directly (weight 3)."""
    links = [("S", "M"), ("S", "N"), ("M", "T"), ("N", "T"), ("S", "T"), ("M", "N")]
    return net.make_network("diamond", "SMNT", links, [10, 30, 20, 30, 40, 5], weight=[1, 1, 1, 1, 3, 1], **kw)


def random_network(seed: int, count: int = 7) -> net.Network:
    """A ring in both directions with random chords, so that every pair is reachable."""
    rng = np.random.default_rng(seed)
    ring = [(i, (i + 1) % count) for i in range(count)]
    chords = [(int(a), int(b)) for a, b in rng.integers(count, size=(count, 2)) if a != b]
    links = sorted({*ring, *((b, a) for a, b in ring), *chords})
    weight = rng.integers(1, 4, len(links))
    return net.make_network(
        "random", [f"n{i}" for i in range(count)], links, rng.uniform(1, 5, len(links)), weight=weight
    )


seeds = st.integers(0, 10_000)
few = settings(max_examples=15, deadline=None)


# ------------------------------------------------------------------------------------------------------------- networks
@pytest.mark.parametrize(
    ("nodes", "links", "capacity", "complaint"),
    [
        ("ABA", [("A", "B")], [1], "names the node 'A' twice"),
        ("AB", [], [], "has no links"),
        ("AB", [("A", "C")], [1], "'C', which is no node"),
        ("AB", [(0, 2)], [1], "unknown node"),
        ("AB", [("A", "A")], [1], "from A to itself"),
        ("AB", [("A", "B"), ("A", "B")], [1, 1], "A→B twice"),
        ("AB", [("A", "B")], [np.nan], "A→B of network 'x' has no capacity"),
        ("AB", [("A", "B")], [0], "has capacity 0"),
        ("AB", [("A", "B")], [-3], "has capacity -3"),
        ("AB", [("A", "B")], [np.inf], "has capacity inf"),
        ("AB", [("A", "B")], [1, 2], "one capacity"),
    ],
)
def test_impossible_networks_are_refused(nodes, links, capacity, complaint):
    with pytest.raises(BadInput, match=complaint):
        net.make_network("x", nodes, links, capacity)


def test_weights_and_delays_are_checked():
    with pytest.raises(BadInput, match="weight 0"):
        net.make_network("x", "AB", [("A", "B")], [1], weight=[0])
    with pytest.raises(BadInput, match="delay"):
        net.make_network("x", "AB", [("A", "B")], [1], delay=[-1])


def test_networks_are_values():
    a, b = diamond(), diamond()
    assert a == b
    assert hash(a) == hash(b)
    assert len({a, b, diamond(unit="Mbit/s")}) == 2
    with pytest.raises(ValueError, match="read-only"):
        a.capacity[0] = 1


def test_an_unreachable_pair_is_named():
    with pytest.raises(BadInput, match="from T to S in network 'diamond'"):
        net.check_pairs(diamond(), [(0, 3), (3, 0)])
    with pytest.raises(BadInput, match="listed twice"):
        net.check_pairs(diamond(), [(0, 3), (0, 3)])
    with pytest.raises(BadInput, match=r"\(0, 9\) is no demand pair"):
        net.check_pairs(diamond(), [(0, 9)])
    with pytest.raises(BadInput, match="did you mean"):
        abilene().network.index("CHING")


# ---------------------------------------------------------------------------------------------------------------- paths
@few
@given(seed=seeds, k=st.integers(1, 6), by=st.sampled_from(["hops", "weight"]))
def test_shortest_paths_are_the_first_k_of_all_simple_paths_in_order(seed, k, by):
    network = random_network(seed)
    paths = net.shortest_paths(network, k, by=by)
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
    network = net.make_network("grid", [str(i) for i in range(100)], links, np.ones(len(links)))
    first, second = net.shortest_paths(network, 2, pairs=[(0, 99)]).nodes[0]
    assert first == (*range(9), *range(9, 100, 10))
    assert second == (*range(9), 18, *range(19, 100, 10))


def test_disjoint_paths_share_no_link():
    paths = net.shortest_paths(abilene().network, 4, by="disjoint")
    assert paths.incidence.sum(1).max() == 1
    assert paths.valid.sum(1).max() == 3
    assert (paths.hops[:, 0] == net.shortest_paths(abilene().network, 1).hops[:, 0]).all()


def test_paths_arrays_agree_with_their_nodes():
    paths = net.shortest_paths(diamond(), 3, pairs=[(0, 3), (1, 3)])
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
        net.make_paths(diamond(), groups)


def test_wrong_questions_are_refused():
    with pytest.raises(BadInput, match="k is 0"):
        net.shortest_paths(diamond(), 0, pairs=[(0, 3)])
    with pytest.raises(BadInput, match="path order 'hop' is unknown; did you mean 'hops'"):
        net.shortest_paths(diamond(), 1, pairs=[(0, 3)], by="hop")
    with pytest.raises(BadInput, match="has other ends"):
        net.tunnel_paths(diamond(), {(0, 3): [(0, 1)]})


# ------------------------------------------------------------------------------------------------------------ next hops
def test_next_hops_of_large_are_those_of_the_demo():
    network, paths = large()
    hops = net.next_hops(paths)
    to_c = [network.nodes[network.links[link, 1]] for link in hops.choices[network.index("1"), 0] if link >= 0]
    assert to_c == ["6", "4"]
    choosing = {network.nodes[node] for node in np.flatnonzero((hops.valid.sum(-1) > 1).any(-1))}
    assert choosing == set("AB12345")
    assert (hops.valid.sum(-1) > 1).sum() == 10  # outputs 4 + 4 + 2 + 4 + 2 + 2 + 2, two a choice


def test_next_hops_with_a_cycle_are_refused_and_downhill_has_none():
    with pytest.raises(BadInput, match=r'form the cycle .*→.*control="path"'):
        net.next_hops(abilene().paths)
    net._check_acyclic(net.downhill(abilene().network))
    net._check_acyclic(net.equal_cost(abilene().network))


@few
@given(seed=seeds)
def test_both_ways_to_control_carry_the_same_load(seed):
    network = random_network(seed)
    hops = net.downhill(network)
    rng = np.random.default_rng(seed)
    ratios = net.normalize(rng.exponential(size=hops.choices.shape), hops.valid)
    paths = net.every_path(hops, network.all_pairs())
    splits = net.hop_to_path(paths, hops, ratios)
    np.testing.assert_allclose(splits.sum(-1), 1)
    fractions = net.link_fractions(hops, ratios, paths.pairs)
    np.testing.assert_allclose(fractions, net.routing_matrix(paths, splits), atol=1e-12)

    demand = rng.exponential(size=len(paths.pairs))
    back = net.path_to_hop(paths, hops, splits, demand)
    np.testing.assert_allclose(demand @ net.link_fractions(hops, back, paths.pairs), net.loads(paths, splits, demand))
    np.testing.assert_allclose(hops.gather(hops.spread(ratios)), ratios)


def test_uneven_path_splits_as_hop_ratios_keep_the_loads_for_their_demand():
    _, paths = large()
    hops, rng = net.next_hops(paths), np.random.default_rng(0)
    splits = net.normalize(rng.exponential(size=paths.valid.shape), paths.valid)
    demand = np.array([1.0, 5.0, 2.0, 3.0])
    ratios = net.path_to_hop(paths, hops, splits, demand)
    np.testing.assert_allclose(
        demand @ net.link_fractions(hops, ratios, paths.pairs), net.loads(paths, splits, demand), rtol=1e-6
    )
    np.testing.assert_allclose(ratios.sum(-1), hops.valid.any(-1))


# --------------------------------------------------------------------------------------------------------- loads, rules
def test_loads_by_hand():
    network, paths = small()
    load = net.loads(paths, np.array([[0.75, 0.25], [0.5, 0.5]]), np.array([[40.0, 60.0], [0.0, 80.0]]))
    np.testing.assert_allclose(load, [[30, 10, 30, 30, 40, 10, 30], [0, 0, 40, 40, 40, 0, 40]])
    np.testing.assert_allclose(net.max_utilization(network, load), [0.3, 0.4])


def test_ecmp_by_hand():
    network = diamond()
    hops, ratios, paths, splits = net.ecmp(network, [(0, 3)])
    assert paths.nodes == (((0, 1, 3), (0, 2, 3)),)
    np.testing.assert_allclose(splits, [[0.5, 0.5]])
    np.testing.assert_allclose(net.link_fractions(hops, ratios, [(0, 3)]), [[0.5, 0.5, 0.5, 0.5, 0, 0]])
    np.testing.assert_allclose(net.ecmp_splits(net.shortest_paths(network, 3, pairs=[(0, 3)])), [[0, 0.5, 0.5]])


def test_ecmp_says_where_the_candidates_lack_its_paths():
    with pytest.raises(BadInput, match=r"ECMP uses a path from .* no candidate"):
        net.ecmp_splits(abilene().paths)
    by_weight = net.shortest_paths(abilene().network, 1, by="weight")
    np.testing.assert_array_equal(net.ecmp_splits(by_weight), np.ones((132, 1)))
    lightest = net.lightest_splits(abilene().paths)
    np.testing.assert_allclose(lightest.sum(-1), 1)


def test_wcmp_by_hand():
    paths = net.shortest_paths(diamond(), 4, pairs=[(0, 3)])  # S-T, S-M-T, S-N-T, S-M-N-T
    np.testing.assert_allclose(net.wcmp_path_splits(paths), [np.array([40, 10, 30, 5]) / 85])
    # At S the links have 40, 10 and 30; at M the pair's paths go on over 20 and 5.
    np.testing.assert_allclose(net.wcmp_link_splits(paths), [[40 / 80, 10 / 80 * 20 / 25, 30 / 80, 10 / 80 * 5 / 25]])
    hops = net.next_hops(paths)
    np.testing.assert_allclose(net.hop_to_path(paths, hops, net.wcmp_link_ratios(hops)), net.wcmp_link_splits(paths))


@pytest.mark.parametrize("xp", [np, jnp])
def test_residual_wcmp_by_hand_with_numpy_and_jax(xp):
    _, paths = small()
    load = xp.asarray([90.0, 0, 0, 0, 150, 0, 120])  # A-C is nearly full, E-F has 50 left, F-D is over
    splits = net.residual_splits(
        xp.asarray(paths.incidence), xp.asarray(paths.valid), xp.asarray(paths.network.capacity), load, xp=xp
    )
    np.testing.assert_allclose(splits, [[10 / 60, 50 / 60], [100 / 100.2, 0.2 / 100.2]], rtol=1e-6)


@few
@given(seed=seeds)
def test_every_rule_is_a_split(seed):
    paths = net.shortest_paths(random_network(seed), 3)
    network = paths.network
    load = np.random.default_rng(seed).exponential(5, len(network.links))
    rules = [net.equal_splits, net.lightest_splits, net.wcmp_link_splits, net.wcmp_path_splits]
    splits = [rule(paths) for rule in rules]
    splits.append(net.residual_splits(paths.incidence, paths.valid, network.capacity, load))
    for split in splits:
        np.testing.assert_allclose(split.sum(-1), 1)
        assert (split[~paths.valid] == 0).all()
        assert (split >= 0).all()
