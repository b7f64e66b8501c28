"""Networks are checked when they are made."""

from __future__ import annotations

import numpy as np
import pytest
from networks import diamond

from covey.core.errors import BadInput
from covey.environments.routing.network import check_pairs, make_network
from covey.environments.routing.topologies import abilene


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
        make_network("x", nodes, links, capacity)


def test_weights_and_delays_are_checked():
    with pytest.raises(BadInput, match="weight 0"):
        make_network("x", "AB", [("A", "B")], [1], weight=[0])
    with pytest.raises(BadInput, match="delay"):
        make_network("x", "AB", [("A", "B")], [1], delay=[-1])


def test_networks_are_values():
    a, b = diamond(), diamond()
    assert a == b
    assert hash(a) == hash(b)
    assert len({a, b, diamond(unit="Mbit/s")}) == 2
    with pytest.raises(ValueError, match="read-only"):
        a.capacity[0] = 1


def test_an_unreachable_pair_is_named():
    with pytest.raises(BadInput, match="from T to S in network 'diamond'"):
        check_pairs(diamond(), [(0, 3), (3, 0)])
    with pytest.raises(BadInput, match="listed twice"):
        check_pairs(diamond(), [(0, 3), (0, 3)])
    with pytest.raises(BadInput, match=r"\(0, 9\) is no demand pair"):
        check_pairs(diamond(), [(0, 9)])
    with pytest.raises(BadInput, match="did you mean"):
        abilene().network.index("CHING")
