"""Linear programs: hand-made cases, order relations, the cache, and published optima."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey.core.errors import BadInput
from covey.environments.routing import programs
from covey.environments.routing.hops import next_hops
from covey.environments.routing.network import make_network
from covey.environments.routing.paths import shortest_paths, tunnel_paths
from covey.environments.routing.readers import read, read_optima
from covey.environments.routing.splits import (
    ecmp,
    equal_splits,
    link_fractions,
    loads,
    max_utilization,
    path_to_hop,
    wcmp_path_splits,
)
from covey.environments.routing.topologies import abilene, large, small, small_contended
from covey.environments.routing.traffic import moments
from covey.environments.shares import normalize

DATA = os.environ.get("COVEY_DATA")
real_data = pytest.mark.skipif(DATA is None, reason="set COVEY_DATA to the folder of real routing data")


def demand_like_the_demo(steps, series=("AC", "BD"), scale=1.0):
    """[steps, D]: means over the 7 ticks of a control step."""
    return moments(7 * steps, seed=1, series=series, scale=scale).reshape(steps, 7, -1).mean(1)


# -------------------------------------------------------------------------------------------------------------- by hand
@given(a=st.floats(1, 200), b=st.floats(1, 200))
@settings(max_examples=20, deadline=None)
def test_the_equal_split_is_optimal_on_small(a, b):
    solution = programs.path_optimum(small().paths, np.array([[a, b]]), cache=False)
    np.testing.assert_allclose(solution.optimum, max(a, b) / 200, rtol=1e-6)
    np.testing.assert_allclose(solution.optimum, equal_mlu(small(), np.array([[a, b]])), rtol=1e-6)


def equal_mlu(topology, demands):
    load = loads(topology.paths, equal_splits(topology.paths), demands)
    return max_utilization(topology.network, load)


def test_a_contended_optimum_by_hand():
    """Demands 80 and 40: u = .4 is ruled out by E-F; the three links are filled equally at u = 120 / 300."""
    solution = programs.path_optimum(small_contended().paths, np.array([[80.0, 40.0]]), cache=False)
    np.testing.assert_allclose(solution.optimum, 0.4, rtol=1e-6)
    np.testing.assert_allclose(solution.splits, [[[0.5, 0.5], [1, 0]]], atol=1e-6)


def test_ties_go_to_the_least_load_and_no_demand_to_equal_shares():
    """Demand 30 alone on A-C: u = .15 needs both paths; a demand that matters to no bottleneck takes its short path."""
    solution = programs.path_optimum(small().paths, np.array([[100.0, 10.0], [30.0, 0.0], [0.0, 0.0]]), cache=False)
    np.testing.assert_allclose(solution.optimum, [0.5, 0.15, 0], atol=1e-7)
    np.testing.assert_allclose(solution.splits[0], [[0.5, 0.5], [1, 0]], atol=1e-6)
    np.testing.assert_allclose(solution.splits[1:, 1], [[0.5, 0.5], [0.5, 0.5]])


# ------------------------------------------------------------------------------------------------------------ relations
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_edge_optimum_is_below_path_optimum_is_below_any_split(seed):
    rng = np.random.default_rng(seed)
    links = sorted({(i, (i + step) % 6) for i in range(6) for step in (1, 5)} | {(0, 3), (2, 5)})
    network = make_network("ring", "abcdef", links, rng.uniform(1, 5, len(links)))
    paths = shortest_paths(network, 2)
    demands = rng.exponential(size=(3, len(paths.pairs))) * rng.integers(0, 2, (3, len(paths.pairs)))
    by_path = programs.path_optimum(paths, demands, cache=False)
    by_edge = programs.edge_optimum(network, demands, cache=False)
    splits = normalize(rng.exponential(size=by_path.splits.shape), paths.valid)
    assert (by_edge.optimum <= by_path.optimum * (1 + 1e-6)).all()
    assert (by_path.optimum <= max_utilization(network, loads(paths, splits, demands)) * (1 + 1e-6)).all()
    np.testing.assert_allclose(by_path.splits.sum(-1), 1)
    attained = [
        max_utilization(network, demand @ link_fractions(by_edge.hops, ratios, paths.pairs))
        for demand, ratios in zip(demands, by_edge.ratios, strict=True)
    ]
    np.testing.assert_allclose(attained, by_edge.optimum, rtol=1e-6, atol=1e-9)


def test_blocks_do_not_mix_matrices(monkeypatch):
    demands = demand_like_the_demo(30, ("AC", "AD", "BC", "BD"), 4.0)
    together = programs.path_optimum(large().paths, demands, cache=False)
    monkeypatch.setattr(programs, "BLOCK", 1)
    alone = programs.path_optimum(large().paths, demands, cache=False)
    np.testing.assert_allclose(together.optimum, alone.optimum, rtol=1e-6)


def test_on_large_both_controls_have_one_optimum():
    network, paths = large()
    demands = demand_like_the_demo(40, ("AC", "AD", "BC", "BD"), 4.0)
    by_path = programs.path_optimum(paths, demands, cache=False).optimum
    hops = next_hops(paths)
    by_hop = programs.edge_optimum(network, demands, pairs=paths.pairs, hops=hops, cache=False).optimum
    free = programs.edge_optimum(network, demands, pairs=paths.pairs, cache=False).optimum
    np.testing.assert_allclose(by_hop, by_path, rtol=1e-6)
    np.testing.assert_allclose(free, by_path, rtol=1e-6)


def test_the_best_constant_split_beats_every_other_constant_and_loses_to_the_optimum():
    network, paths = small_contended()
    demands = demand_like_the_demo(200)
    best = programs.best_constant_split(paths, demands, cache=False)
    mean = max_utilization(network, loads(paths, best, demands)).mean()
    assert mean >= programs.path_optimum(paths, demands, cache=False).optimum.mean()
    share = np.linspace(0, 1, 21)
    for x in share:
        splits = np.stack([np.stack([np.full(21, x), share]), 1 - np.stack([np.full(21, x), share])], -1)
        load = np.array([loads(paths, split, demands) for split in splits.transpose(1, 0, 2)])
        assert (max_utilization(network, load).mean(-1) >= mean - 1e-9).all()


# --------------------------------------------------------------------------------- the calibration of the specification
def test_rewards_of_small_contended():
    """Static rewards 1 - MLU: equal split .525, optimum .675 (section 3.7), constant .62 (section 9), about."""
    network, paths = small_contended()
    demands = demand_like_the_demo(3000)
    best = programs.best_constant_split(paths, demands[:500], cache=False)
    constant = max_utilization(network, loads(paths, best, demands)).mean()
    assert 1 - equal_mlu(small_contended(), demands).mean() == pytest.approx(0.525, abs=0.01)
    assert 1 - programs.path_optimum(paths, demands, cache=False).optimum.mean() == pytest.approx(0.675, abs=0.01)
    assert 1 - constant == pytest.approx(0.62, abs=0.02)


def test_rewards_of_large():
    """Static rewards: optimum .542, best rule .423, path-equal split as hop ratios .514 (section 9)."""
    network, paths = large()
    demands = demand_like_the_demo(600, ("AC", "AD", "BC", "BD"), 4.0)
    hops = next_hops(paths)
    ratios = path_to_hop(paths, hops, equal_splits(paths))
    as_hops = max_utilization(network, demands @ link_fractions(hops, ratios, paths.pairs)).mean()
    bottleneck = loads(paths, wcmp_path_splits(paths), demands)
    assert 1 - programs.path_optimum(paths, demands, cache=False).optimum.mean() == pytest.approx(0.542, abs=0.01)
    assert 1 - as_hops == pytest.approx(0.514, abs=0.02)
    assert 1 - max_utilization(network, bottleneck).mean() == pytest.approx(0.423, abs=0.02)


# --------------------------------------------------------------------------------------------------- cache, wrong input
def test_the_cache_is_used_and_survives_corruption(monkeypatch, tmp_path):
    monkeypatch.setenv("COVEY_CACHE", str(tmp_path / "cache"))
    demands = np.array([[80.0, 40.0], [30.0, 90.0]])
    first = programs.path_optimum(small_contended().paths, demands)
    (file,) = (tmp_path / "cache").iterdir()

    calls = []
    monkeypatch.setattr(
        programs, "linprog", lambda *a, solve=programs.linprog, **kw: calls.append(1) or solve(*a, **kw)
    )
    again = programs.path_optimum(small_contended().paths, demands)
    assert not calls
    np.testing.assert_array_equal(again.splits, first.splits)

    for junk in (b"", b"junk", file.read_bytes()[:100]):
        file.write_bytes(junk)
        np.testing.assert_array_equal(programs.path_optimum(small_contended().paths, demands).splits, first.splits)
    assert len(calls) == 3
    programs.path_optimum(small().paths, demands)  # another topology is another key
    programs.path_optimum(small_contended().paths, demands + 1)
    assert len(calls) == 5
    assert not list((tmp_path / "cache").glob("*.tmp"))


def test_a_cache_that_cannot_be_written_is_as_good_as_none(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("COVEY_CACHE", str(tmp_path / "file"))
    assert programs.path_optimum(small().paths, np.array([[50.0, 50.0]])).optimum == pytest.approx(0.25)


@pytest.mark.parametrize("demands", [[[1.0]], [1.0, 2.0], [[1.0, -1.0]], [[1.0, np.nan]], np.zeros((0, 2))])
def test_impossible_demands_are_refused(demands):
    with pytest.raises(BadInput):
        programs.path_optimum(small().paths, np.array(demands))


# ------------------------------------------------------------------------------------------------------------ real data
@real_data
def test_the_path_program_reproduces_published_optima():
    folder = Path(DATA or "") / "figret-pod-a"
    network, matrices, tunnels = read(folder / "Facebook_pod_a.json")
    assert matrices is not None
    paths = tunnel_paths(network, tunnels or {})
    solved = programs.path_optimum(paths, matrices.demands(paths.pairs)[:50], cache=False).optimum
    np.testing.assert_allclose(solved, read_optima(folder / "6.opt")[:50], rtol=1e-6)


@real_data
def test_reference_answers_on_abilene():
    """The answers in the README of the data: optimum, ECMP, 4 hop-shortest paths; the previous matrix is near 1.1."""
    folder = Path(DATA or "") / "abilene-cfrrl"
    network, matrices, _ = read(folder / "Abilene", matrices=folder / "AbileneTM_week1_first288.txt")
    assert matrices is not None
    paths = shortest_paths(network, 4)
    demands = matrices.demands(paths.pairs)
    best = programs.edge_optimum(network, demands, cache=False).optimum
    np.testing.assert_allclose([best.mean(), np.percentile(best, 95), best.max()], [0.0498, 0.0698, 0.1322], atol=6e-5)

    hops, ratios, _, _ = ecmp(network)
    ratio = max_utilization(network, demands @ link_fractions(hops, ratios, paths.pairs)) / best
    np.testing.assert_allclose([ratio.mean(), np.percentile(ratio, 95), ratio.max()], [1.487, 1.644, 1.804], atol=6e-4)

    solution = programs.path_optimum(paths, demands, cache=False)
    np.testing.assert_allclose(solution.optimum, best, rtol=1e-6)
    stale = max_utilization(network, loads(paths, solution.splits[:-1], demands[1:])) / best[1:]
    assert 1.05 < stale.mean() < 1.13
    np.testing.assert_allclose(abilene().paths.incidence, paths.incidence)
