"""Network files of other people: what they state is read for certain, or refused with file, place and remedy."""

from __future__ import annotations

import json

import numpy as np
import pytest

from covey.core.errors import BadInput
from covey.environments.routing.readers import read
from covey.environments.routing.readers.rates import Unclear, amounts, rate_in

# ---------------------------------------------------------------------------------------------------------------------
# Rates in words

CERTAIN = {
    "2x10 Gbps": 20_000,
    "2 x 155Mbps": 310,
    "1,000 Mbps": 1_000,
    "10GE": 10_000,
    "100GbE": 100_000,
    "E3": 34.368,
    "T1": 1.544,
    "OC-48": 2488.32,
    "STM-16": 2488.32,
    # several of one rate, and multipliers behind
    "4*10Gb/s": 40_000,
    "8*GbE": 8_000,
    "STM-64x2": 2 * 9953.28,
    "10GEx12": 120_000,
    "10 Gbps (x2)": 20_000,
    "4x1 Gbps + 2x STM-1": 4311.04,
    # thousands and fractions
    "1,000,000 kbps": 1_000,
    "1'000 Mbit/s": 1_000,
    "1\u202f000 Mbit/s": 1_000,
    "2,500 Mbps": 2_500,
    "1,234.5 Mbps": 1_234.5,
    "2,5 Gbps": 2_500,
    "2.488 Gbps": 2_488,
    # line rates by name
    "STM-0": 51.84,
    "OC-192c": 9953.28,
    "T3": 44.736,
    "DS3": 44.736,
    "4xE1": 8.192,
    "GigE": 1_000,
    "Fast Ethernet": 100,
    "40 Gigabit Ethernet": 40_000,
    "10GBASE-LR": 10_000,
    "100BASE-TX": 100,
    "OTU2": 10_709.225,
    "ODU4": 104_794.446,
    # one rate, said twice
    "OC192/STM64": 9953.28,
    "155 Mbps OC-3": 155,
    "2 x E3 (68Mbps)": 68.736,
    # units and words around them
    "9600 bit/s": 0.0096,
    "155 MBPS": 155,
    "10 GBit/s": 10_000,
    "3 Gigabits per second": 3_000,
    "1 MByte/s": 8,
    "Peering, 13 Gbps": 13_000,
    "KreoNet2  10Gbit/s": 10_000,
    "TAT-14 10G": 10_000,
    "bw=10 Gbps": 10_000,
}

UNCERTAIN = {
    "10/100 Mbps": (),
    "0.5-1 Gbps": (),
    "10\u201340 Gbps": (),
    "300M-1Gb/s": (),
    "155Mbs/1Gbps": (),
    "GigE/FE/ATM": (),
    "less than 100 Mbps": (),
    "<= 10 Mbps": (),
    "100 Mbps and more": (),
    "OC3 and below/STM1": (),
    "up to 10G": (),
    "10G each": (),
    "N*10Gbit/s": (),
    "dual 10G": (),
    "10 Gbps (2 circuits)": (),
    "2 10G": (),
    "1 000 Mbps": (),
    "-10 Gbps": (),
    "OC-5": (),
    "1,544 Mbps": (1.544, 1544),
    "10.000 Mbps": (10, 10_000),
    "1 GB/s": (1_000, 8_000),
    "24 Mb/s + Satellite": (24,),
    "10G+": (10_000,),
}

SILENT = ["fiber", "10 miles", "10 km", "5 ms", "100 m", "10 MHz", "1Q 2003", "ge-0/0/1", "GigabitEthernet0/1", "ODU2e"]


@pytest.mark.parametrize("words", CERTAIN)
def test_a_rate_in_words(words):
    assert rate_in(words) == pytest.approx(CERTAIN[words], rel=1e-7)


@pytest.mark.parametrize("words", UNCERTAIN)
def test_words_that_give_no_single_rate(words):
    rate = rate_in(words)
    assert isinstance(rate, Unclear)
    assert repr(words) in rate.why
    assert rate.maybe == pytest.approx(UNCERTAIN[words])


@pytest.mark.parametrize("words", SILENT)
def test_words_that_say_no_rate(words):
    assert rate_in(words) is None


def test_numbers_that_can_be_read_in_two_ways_are_both():
    assert amounts("34,368") == (34.368, 34_368)
    assert amounts("1.000") == (1, 1_000)
    assert amounts("1.234.567") == (1_234_567,)
    assert amounts(".5") == (0.5,)
    assert amounts("1.234,5") == ()


# ---------------------------------------------------------------------------------------------------------------------
# Files


def triangle(*attributes, head="directed 0"):
    """A GML file of three nodes, whose edges have the given attributes."""
    ends = [(0, 1), (1, 2), (0, 2)]
    edges = [f"  edge [ source {a} target {b} {more} ]" for (a, b), more in zip(ends, attributes, strict=True)]
    nodes = [f'  node [ id {i} label "{name}" ]' for i, name in enumerate(["Oslo", "Bergen", "Bodo"])]
    return "\n".join(["graph [", f"  {head}", *nodes, *edges, "]"])


def write(folder, name, text):
    path = folder / name
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return path


def capacities(path, **kw):
    """{(source name, target name): capacity}."""
    network, _, _ = read(path, **kw)
    ends = [(network.nodes[a], network.nodes[b]) for a, b in network.links]
    return dict(zip(ends, network.capacity.tolist(), strict=True))


def both(**links):
    """Capacities by two letters, for both directions."""
    return {key: capacity for (a, b), capacity in links.items() for key in ((a, b), (b, a))}


def test_labels_of_a_gml_file(tmp_path):
    labels = ["2x10 Gbps", "2 x 155Mbps", "1,000 Mbps"]
    path = write(tmp_path, "labels.gml", triangle(*[f'LinkLabel "{label}"' for label in labels]))
    assert list(capacities(path).values()) == [20_000, 20_000, 310, 310, 1_000, 1_000]
    assert read(path)[0].unit == "Mbit/s"


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ('LinkLabel "10/100 Mbps"', "says '10/100 Mbps', which is no single rate"),
        ('LinkLabel "1,544 Mbps"', "says '1,544 Mbps', which may be 1.544 or 1544 Mbit/s"),
        ('LinkSpeed "1-10" LinkSpeedUnits "G"', "says '1-10G', which is no single rate"),
        ('LinkSpeedRaw 1e10 LinkLabel "10GEx4"', "has linkspeedraw .* and linklabel '10GEx4', which do not agree"),
        ('LinkSpeedRaw 1e8 LinkLabel "less than 100 Mbps"', "has linkspeedraw .*, which do not agree"),
        ('label "E1"', "has the label 'E1', which may be its name or its line rate"),
        ('capacity "fast, 3 of 5"', "has capacity 'fast, 3 of 5', which is no certain number"),
        ("capacity 10 capacity 20", r"has capacity \[10, 20\], which is no certain number"),
        ("capacity 10 bandwidth 20", "has capacity 10 and bandwidth 20"),
        ("capacity NAN", "has capacity nan, which is no certain number"),
        ('LinkLabel "fiber"', "has no capacity; add one"),
    ],
)
def test_a_capacity_that_is_not_certain_names_the_link_and_the_remedy(attributes, reason, tmp_path):
    path = write(tmp_path, "net.gml", triangle(attributes, 'LinkLabel "1 Gbps"', 'LinkLabel "10G"'))
    with pytest.raises(BadInput, match=rf"net\.gml, line 6: the link Oslo→Bergen {reason}.*or pass capacity="):
        read(path)
    assert list(capacities(path, capacity=7).values())[:2] == [7, 7]  # the remedy


@pytest.mark.parametrize(
    ("attributes", "capacity"),
    [
        ("capacity 1e3", 1_000),
        ('capacity "1,000"', 1_000),
        ('bandwidth "2x10 Gbps"', 20_000),
        ('LinkSpeedRaw 1.0e9 LinkLabel "1 GB/s"', 1_000),  # the number says that bits are meant
        ('LinkSpeedRaw 24000000 LinkLabel "24 Mb/s + Satellite"', 24),
        ('LinkSpeedRaw 2048000.0 label "E1"', 2.048),
        ('capacity "unknown" LinkLabel "STM-16"', 2488.32),
    ],
)
def test_attributes_that_are_certain_together(attributes, capacity, tmp_path):
    unit = 'LinkLabel "1 Gbps"' if "Link" in attributes or "bps" in attributes else "capacity 1"
    path = write(tmp_path, "net.gml", triangle(attributes, unit, unit))
    assert next(iter(capacities(path).values())) == pytest.approx(capacity)


@pytest.mark.parametrize("key", ["weight", "dist"])
@pytest.mark.parametrize("value", ['"5 ms"', "-1", "NAN"])
def test_a_weight_or_length_that_is_no_number_is_refused(key, value, tmp_path):
    path = write(tmp_path, "net.gml", triangle(f"capacity 1 {key} {value}", "capacity 1", "capacity 1"))
    with pytest.raises(BadInput, match=rf"net\.gml, line 6: the link Oslo→Bergen has {key} .*make it a number"):
        read(path)


def test_gml_as_others_write_it(tmp_path):
    text = """# a comment [
Creator "someone"
Version 1
graph [
  comment "two
lines, a bracket ] and &quot;quotes&quot;"
  directed 1
  node [ id 10 label "S&#227;o Paulo" graphics [ x 1.0 y 2 ] ]
  node [ id 2 label "Recife" ]
  edge [ source 10 target 2 capacity +1.5E2 ]
  edge [ source 2 target 10 capacity 2e2 ]
]
"""
    network, _, _ = read(write(tmp_path, "net.gml", text))
    assert network.nodes == ("Recife", "São Paulo")
    assert capacities(tmp_path / "net.gml") == {("São Paulo", "Recife"): 150, ("Recife", "São Paulo"): 200}


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("id 1", "id 0", "line 4: the node 0 comes twice"),
        ("source 1", "", "line 7: the edge needs one source"),
        ("source 1", "source 1 source 2", "line 7: the edge needs one source"),
        ("target 2", "target 5", r"line 7: link 2 \(1→5\) is at 5, which is no node"),
        ("directed 0", "directed 2", "line 2: the graph needs one directed, 0 or 1"),
        ('label "Oslo"', "label Oslo", "line 3: label has no value"),
        ("graph [", "graph [ ] graph [", "there are 2 graphs"),
        ("graph [", "graph [ ;", "line 1: ';' is not GML"),
        ("directed 0", "0 directed", "line 2: '0' stands where a key should"),
    ],
)
def test_gml_that_is_wrong_names_the_line(old, new, complaint, tmp_path):
    text = triangle("", "", "").replace(old, new, 1)
    with pytest.raises(BadInput, match=rf"net\.gml(, |: ){complaint}"):
        read(write(tmp_path, "net.gml", text), capacity=1)


# ---------------------------------------------------------------------------------------------------------------------
# GraphML


def graphml(keys, *edges, nodes="abc", default="undirected"):
    """A GraphML file; an edge is its two ends and what is in it."""
    listed = "".join(f'<node id="{node}"/>\n' for node in nodes)
    listed += "".join(f'<edge source="{e[0]}" target="{e[1]}">{e[2:]}</edge>\n' for e in edges)
    head = '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
    return f'{head}\n{keys}\n<graph edgedefault="{default}">\n{listed}</graph></graphml>'


CAPACITY = '<key id="c" for="edge" attr.name="capacity" attr.type="double">{}</key>'


def test_the_default_of_an_edges_key_counts(tmp_path):
    text = graphml(CAPACITY.format("<default>40</default>"), "ab", 'bc<data key="c">10</data>', "ac")
    assert capacities(write(tmp_path, "net.graphml", text)) == both(ab=40, bc=10, ac=40)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        # one id for a key of the nodes and one of the edges, in either order
        (
            CAPACITY.format("") + '<key id="c" for="node" attr.name="label" attr.type="string"/>',
            both(ab=5, bc=10, ac=5),
        ),
        ('<key id="c" for="node" attr.name="label"/>' + CAPACITY.format(""), both(ab=5, bc=10, ac=5)),
        # a key of everything, one without a name, and a default in words
        ('<key id="c" for="all" attr.name="bandwidth"><default>8</default></key>', both(ab=8, bc=10, ac=8)),
        ('<key id="c" attr.name="capacity"/>', both(ab=5, bc=10, ac=5)),
        ('<key id="capacity" for="edge"><default>2x10</default></key>' + CAPACITY.format(""), None),
        (CAPACITY.format("<default> 6.5 </default>"), both(ab=6.5, bc=10, ac=6.5)),
    ],
)
def test_keys_of_graphml(keys, expected, tmp_path):
    path = write(tmp_path, "net.graphml", graphml(keys, "ab", 'bc<data key="c">10</data>', "ac"))
    if expected is None:
        with pytest.raises(BadInput, match=r"net\.graphml, line \d+: the edge has capacity twice|'2x10'"):
            read(path, capacity=None)
    else:
        assert capacities(path, capacity=5) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (graphml(CAPACITY.format(""), "ab", "bc", "at"), r"line 9: link 3 \(a→t\) is at 't', which is no node"),
        (graphml("", "ab", 'bc<data key="c">10</data>'), "line 8: no key 'c' is declared for the <edge>"),
        (graphml(2 * CAPACITY.format(""), "ab"), "line 2: the key 'c' for <edge> comes twice"),
        (graphml("", "ab", nodes="aab"), "line 5: the node 'a' comes twice"),
        (graphml("", "ab", default="both"), 'line 3: the graph needs edgedefault="directed" or "undirected"'),
        (graphml("", "ab").replace("<edge", '<edge directed="true"'), "line 7: an edge is directed and others are not"),
        (graphml("", "ab").replace("<edge source", "<edge from"), "line 7: the <edge> has no source"),
        (graphml("", "ab").replace("</graph>", "<hyperedge/></graph>"), "line 8: a hyperedge is no link"),
        (
            graphml("", "ab").replace('"a"/>', '"a"><graph edgedefault="directed"/></node>'),
            "line 4: there are 2 graphs",
        ),
    ],
)
def test_graphml_that_is_wrong_names_the_line(text, complaint, tmp_path):
    with pytest.raises(BadInput, match=rf"net\.graphml, {complaint}"):
        read(write(tmp_path, "net.graphml", text), capacity=1)


# ---------------------------------------------------------------------------------------------------------------------
# Node-link JSON


def node_link(*links, nodes=3, **more):
    """A node-link document; a link is (source, target, capacity) and further attributes."""
    edges = [{"source": a, "target": b, "capacity": c, **dict(rest)} for a, b, c, *rest in links]
    return {"nodes": [{"id": i} for i in range(nodes)], "links": edges, **more}


TURNED = [(0, 1, 10), (1, 0, 10), (1, 2, 10), (2, 1, 10)]
ONE_EACH = {("0", "1"): 10, ("1", "0"): 10, ("1", "2"): 10, ("2", "1"): 10}
RING = [(0, 1, 10), (1, 2, 10), (2, 0, 10)]
TWO = {("0", "1"): 20, ("1", "0"): 20}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (node_link(*TURNED, directed=False, multigraph=False), ONE_EACH),
        (node_link(*TURNED), ONE_EACH),  # says neither
        (node_link(*TURNED, directed=False), ONE_EACH),
        (node_link(*TURNED, directed=True), ONE_EACH),
        (node_link(*TURNED, directed=True, multigraph=True), ONE_EACH),
        (node_link(*TURNED[::2]), ONE_EACH),  # every link once: for both directions, as networkx reads it
        (node_link(*TURNED[:3], directed=False, multigraph=False), ONE_EACH),
        (node_link(*TURNED, *TURNED[:1], directed=True, multigraph=False), ONE_EACH),
        (node_link(*TURNED[:2], nodes=2, directed=False, multigraph=True), TWO),  # parallel, and it says so
        (node_link(TURNED[0], TURNED[0], nodes=2, directed=False), TWO),
        (node_link((0, 1, 10), (1, 0, 10), nodes=2, directed=True, multigraph=False), dict.fromkeys(TWO, 10)),
    ],
)
def test_links_that_are_listed_twice(document, expected, tmp_path):
    assert capacities(write(tmp_path, "net.json", document)) == expected


@pytest.mark.parametrize(
    ("head", "edges", "expected"),
    [
        ("directed 0", "01 10", [10, 10]),
        ("directed 0 multigraph 0", "01 10", [10, 10]),
        ("directed 0 multigraph 1", "01 10", [20, 20]),
        ("directed 0", "01 01", [20, 20]),
        ("directed 0 multigraph 0", "01 01", [10, 10]),
        ("directed 1", "01 10", [10, 10]),
        ("directed 1", "01 01 10", [20, 10]),
        ("directed 0", "01 10 10", None),
    ],
)
def test_links_that_a_gml_file_lists_twice(head, edges, expected, tmp_path):
    listed = "\n".join(f"edge [ source {a} target {b} capacity 10 ]" for a, b in edges.split())
    path = write(tmp_path, "net.gml", f"graph [\n{head} node [ id 0 ] node [ id 1 ]\n{listed}\n]")
    if expected:
        assert list(capacities(path).values()) == expected
    else:
        with pytest.raises(BadInput, match=r"net\.gml, line 4: the link 0→1 is listed 3 times"):
            read(path)


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        (node_link(*TURNED[:3]), "some links are listed in both directions and some in one"),
        (node_link(*TURNED[:3], directed=False), "the link 0→1 is listed 2 times, as one link or as parallel ones"),
        (node_link((0, 1, 10), (1, 0, 20), directed=False, multigraph=False), "the link 0→1 is listed 2 times"),
        (node_link((0, 1, 10), (0, 1, 20), directed=True, multigraph=False), "the link 0→1 is listed 2 times"),
        (node_link(*TURNED, TURNED[0], directed=False), "the link 0→1 is listed 3 times"),
        (node_link(*RING, directed="false"), "\"directed\" is 'false'; make it true or false"),
        (node_link(*RING, edges=[{"source": 0, "target": 1}]), 'there are "links" and "edges"'),
        (node_link((0, 1, True), *RING[1:]), "the link 0→1 has capacity True, which is no certain number"),
        (node_link((0, 1, [10, 20]), *RING[1:]), r"the link 0→1 has capacity \[10, 20\], which is no certain number"),
        (node_link(*RING, (2, 7, 10)), r"link 4 \(2→7\) is at 7, which is no node"),
        (node_link(*RING) | {"nodes": [{"id": 0}, {"id": "0"}]}, "the node '0' comes twice"),
        (node_link(*RING) | {"nodes": [{"id": [0, 1]}]}, r"\[0, 1\] is no id of a node"),
        ('{"nodes": [{"id": 0, "id": 1}]}', "an object has 'id' twice, 0 first"),
    ],
)
def test_json_that_is_not_certain_is_refused(document, complaint, tmp_path):
    with pytest.raises(BadInput, match=rf"net\.json: {complaint}"):
        read(write(tmp_path, "net.json", document))


def demand(*rows, **more):
    """A triangle with the demands of the given JSON rows."""
    return node_link(*RING, directed=False, multigraph=False, graph={"demands": dict(rows)}, **more)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (demand(("0", {"1": 3.0, "2": 5.0}), ("1", {"2": 2.0})), {(0, 1): 3, (0, 2): 5, (1, 2): 2}),
        (demand(("2", {"0": 4})), {(2, 0): 4}),
        (demand(("0", {"1": "1.5", "0": 9})), {(0, 1): 1.5}),  # what stays at a node is dropped
        (demand(("b", {"a": 1})) | {"nodes": [{"id": x} for x in "abc"], "links": []}, {(1, 0): 1}),
        (demand(("2", {"1": 1})) | {"nodes": [{"id": i} for i in (2, 0, 1)]}, {(2, 1): 1}),  # ordered by id
        (demand(), None),
        (node_link(*RING, graph=[["name", "old"]]), None),
    ],
)
def test_demands_in_json_are_the_matrix(document, expected, tmp_path):
    if not document["links"]:
        document["links"] = [{"source": a, "target": b, "capacity": 10} for a, b in ("ab", "bc", "ca")]
    _, matrices, _ = read(write(tmp_path, "net.json", document))
    if expected is None:
        assert matrices is None
    else:
        assert matrices is not None
        assert {(a, b): matrices.values[0, a, b] for a, b in np.argwhere(matrices.values[0]).tolist()} == expected


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([("0", {"7": 1})], "the demand 0→7 is at '7', which is no node"),
        ([("x", {"1": 1})], "the demand x→1 is at 'x', which is no node"),
        ([("0", {"1": -1})], "the demand -1 is negative"),
        ([("0", {"1": None})], "the demand 0→1 is None, which is no number"),
        ([("0", 5)], '"demands" should read {source: {target: demand}}'),
    ],
)
def test_demands_in_json_that_are_wrong_are_refused(rows, complaint, tmp_path):
    with pytest.raises(BadInput, match=rf"net\.json: {complaint}"):
        read(write(tmp_path, "net.json", demand(*rows)))


def test_matrices_in_a_topology_and_beside_it_are_not_mixed_up(tmp_path):
    path = write(tmp_path, "net.json", demand(("0", {"1": 3})))
    beside = write(tmp_path, "1.hist", "0 0 7 0 0 0 0 0 0\n")
    with pytest.raises(BadInput, match=r"net\.json holds demands, and 1\.hist lies beside it: pass one of the two"):
        read(path)
    assert read(path, matrices=None)[1] is None
    for file, pair, value in ((path, (0, 1), 3), (beside, (0, 2), 7)):
        _, matrices, _ = read(path, matrices=file)
        assert matrices is not None
        assert matrices.demands([pair]) == value


# ---------------------------------------------------------------------------------------------------------------------
# SNDlib


def sndlib(nodes, links="L1 ( A B ) 0 0 0 0 ( 40 1 ) L2 ( B C ) 40 0 0 0 ( )"):
    return f"?SNDlib native format; type: network; version: 1.0\nNODES (\n{nodes}\n)\nLINKS (\n{links}\n)\n"


@pytest.mark.parametrize(
    "nodes",
    [
        "A ( 9.9 53.5 ) () ()\nB ( 13.4 52.5 ) () ()\nC ( 11.5 48.1 ) () ()",
        "A ( 9.9 53.5 ) ( ) ( )\nB ( 13.4 52.5 )\nC ( 11.5 48.1 ) ()",
        "A (9.9 53.5)()() B (13.4 52.5)()() C (11.5 48.1)()()",
        "A ( 9.9 53.5 ) # a comment ( )\n()\n()\nB ( 13.4 52.5 ) C ( 11.5 48.1 )",
        "A\n(\n9.9\n53.5\n)\nB ( 13.4 52.5 ) () C ( 11.5 48.1 ) ( ) ( )",
        "A ( 9.9 53.5 )\nB ( 13.4 52.5 )\nC ( 11.5 48.1 )",
    ],
)
def test_nodes_of_sndlib_with_and_without_their_optional_lists(nodes, tmp_path):
    path = write(tmp_path, "net.txt", sndlib(nodes))
    assert capacities(path) == both(AB=40, BC=40)
    np.testing.assert_allclose(read(path)[0].coordinates, [[9.9, 53.5], [13.4, 52.5], [11.5, 48.1]])


PLACES = "A ( 1 1 )\nB ( 2 2 )\nC ( 3 3 )"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (sndlib("A ( 1 1 ) ( 5 ) ()\nB ( 2 2 )\nC ( 3 3 )"), "line 3: .* node A has no meaning here"),
        (sndlib("A ( 1 1 )\nB\nC ( 3 3 )"), "line 5: a row of NODES should be a name and its place"),
        (sndlib("( 1 1 )\nB ( 2 2 )"), "line 3: a row of NODES should be a name and its place"),
        (sndlib("A ( 1 1 ) () () ()\nB ( 2 2 )"), "line 3: a row of NODES should be a name and its place"),
        (sndlib("A ( 1 1 )\nB ( 2 2 )\nC"), "there is no section NODES, or its last row has no place"),
        (sndlib(PLACES, "L1 ( A B ) 1 0 0 ( )\nL2 ( B C ) 1 0 0 0 ( )"), "line 8: a row of LINKS should have 7 parts"),
        (sndlib(PLACES, "( A B ) 1 0 0 0 ( )"), "line 8: a row of LINKS should have 7 parts"),
        (sndlib(PLACES, "L1 ( A T ) 1 0 0 0 ( )"), r"line 8: `\( A T \)` should be two nodes"),
    ],
)
def test_sndlib_that_is_wrong_names_the_line(text, complaint, tmp_path):
    with pytest.raises(BadInput, match=rf"net\.txt(, |: ){complaint}"):
        read(write(tmp_path, "net.txt", text))
