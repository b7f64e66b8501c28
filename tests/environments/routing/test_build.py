"""From demands to a world: banks and optima, failures, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from networks import constant, contended, diamond

from covey.core.errors import BadInput
from covey.environments.routing import topologies
from covey.environments.routing.hops import downhill, next_hops
from covey.environments.routing.network import make_network
from covey.environments.routing.paths import make_paths


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"time_limit": 0}, "at least one step"),
        ({"history": 0}, "at least one step"),
        ({"failure_rate": 1.5}, "probability"),
        ({"failure_rate": float("nan")}, "probability"),
        ({"penalty": -1.0}, "`penalty`"),
        ({"bonus": float("inf")}, "`bonus`"),
        ({"time_limit": 31}, "needs 35"),  # an episode and the four steps that fill the pipes
        ({"history": 13, "ticks": 1}, "needs 33"),
    ],
)
def test_what_is_refused(options, words):
    with pytest.raises(BadInput, match=words):
        contended([60, 40], **options)


def test_a_network_that_no_failure_leaves_whole_is_refused():
    line = make_network("line", "ABC", [("A", "B"), ("B", "C")], [10, 10])
    with pytest.raises(BadInput, match="no link of line may fail"):
        constant(make_paths(line, [[(0, 1, 2)]]), [5], ticks=1, failure_rate=0.1)


def test_the_bank_has_the_optimum_of_every_failure():
    """60 and 40, with E-F shared: 1/3 with all links, and what is left when one is down."""
    world = contended([60, 40], ticks=1, failure_rate=0.5)
    labels = [world.paths.network.label(link) for link in np.argmin(world.failures.up[1:], 1)]
    optimum = dict(zip(labels, world.bank.optimum[1:, 0], strict=True))
    assert world.bank.optimum[0, 0] == pytest.approx(1 / 3)
    assert optimum["A→C"] == pytest.approx(0.6)  # all 60 over E-F, all 40 direct
    assert optimum["B→D"] == pytest.approx(0.5)  # 40 and 10 over E-F, 50 direct
    for link in ("E→F", "A→E", "F→C"):
        assert optimum[link] == pytest.approx(0.6)
    for link in ("B→E", "F→D"):
        assert optimum[link] == pytest.approx(0.4)  # 40 direct; A shares 60 between two ways


def test_a_failure_takes_the_components_over_that_link():
    world = contended([60, 40], ticks=1, failure_rate=0.5)
    links = [world.paths.network.label(link) for link in np.argmin(world.failures.up[1:], 1)]
    legal = dict(zip(links, world.failures.legal[1:], strict=True))
    np.testing.assert_array_equal(legal["A→C"], [[False, True], [True, True]])
    np.testing.assert_array_equal(legal["E→F"], [[True, False], [True, False]])


def test_hop_by_hop_a_hop_is_lost_with_the_only_way_behind_it():
    """S may send over M or N to T; without M-T and M-N nothing leads on from M."""
    paths = make_paths(diamond(), [[(0, 1, 3), (0, 2, 3), (0, 3)]])
    world = constant(paths, [10], ticks=1, control="hop", failure_rate=0.5)
    links = [world.paths.network.label(link) for link in np.argmin(world.failures.up[1:], 1)]
    legal = dict(zip(links, world.failures.legal[1:, 0], strict=True))
    np.testing.assert_array_equal(legal["M→T"], [False, True, True])
    np.testing.assert_array_equal(legal["S→T"], [True, True, False])
    np.testing.assert_array_equal(legal["N→T"], [True, False, True])


def test_candidates_with_a_cycle_become_all_that_leads_closer():
    paths = topologies.abilene().paths
    with pytest.raises(BadInput, match="form the cycle"):
        next_hops(paths)
    world = constant(paths, np.ones(len(paths.pairs)), ticks=1, control="hop")
    assert world.hops == downhill(paths.network)


def test_padding_is_declared():
    """Houston has three links, the first Atlanta router four: what a router lacks is no observation."""
    paths = topologies.abilene().paths
    world = constant(paths, np.ones(len(paths.pairs)), ticks=7, control="hop", time_limit=4)
    valid = np.asarray(world.spec.groups["router"].obs_valid())
    out = (world.out < len(world.wiring.capacity)).sum(1)
    links = dict(zip(world.spec.groups["router"].names, out.tolist(), strict=True))
    assert (links["router_HSTNng"], links["router_ATLAng"]) == (3, 4)
    begin, length = 2 * 12, world.out.shape[1] * 5 * 12
    np.testing.assert_array_equal(valid[:, begin : begin + length].sum(1), out * 5 * 12)
    np.testing.assert_array_equal(valid[:, -world.out.shape[1] :].sum(1), out)
