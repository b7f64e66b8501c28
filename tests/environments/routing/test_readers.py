"""Readers: a tiny file of our own in every grammar, every way a file can be wrong, and the real data where it is."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from covey.core.errors import BadInput
from covey.environments.routing.paths import shortest_paths, tunnel_paths
from covey.environments.routing.readers import read, read_matrices, read_optima
from covey.environments.routing.readers.rates import rate_in

FIXTURES = Path(__file__).parent / "fixtures"
DATA = os.environ.get("COVEY_DATA")
real_data = pytest.mark.skipif(DATA is None, reason="set COVEY_DATA to the folder of real routing data")

TOPOLOGIES = {
    "sndlib/ring.txt": {},
    "sndlib-xml/ring.xml": {},
    "graphs/square.gml": {},
    "graphs/square.graphml": {},
    "graphs/yed.graphml": {},
    "graphs/hub.json": {"capacity": 7.0},
    "figret/net.json": {},
    "repetita/line.graph": {},
    "cfrrl/Tiny": {},
}


def read_both(file, **kw):
    """(network, matrices) of a fixture that has matrices."""
    network, matrices, _ = read(FIXTURES / file, **kw)
    assert matrices is not None
    return network, matrices


def links_of(network):
    """{(source name, target name): capacity}."""
    return {
        (network.nodes[source], network.nodes[target]): pytest.approx(capacity)
        for (source, target), capacity in zip(network.links, network.capacity, strict=True)
    }


def both(*links):
    return {key: capacity for a, b, capacity in links for key in ((a, b), (b, a))}


# ------------------------------------------------------------------------------------------------------------- grammars
@pytest.mark.parametrize("file", ["sndlib/ring.txt", "sndlib-xml/ring.xml"])
def test_sndlib(file):
    network, matrices = read_both(file)
    assert network.nodes == ("North", "East", "South")
    assert network.unit == "Mbit/s"  # taken from the demand
    assert links_of(network) == both(("North", "East", 400), ("East", "South", 155), ("South", "North", 250))
    np.testing.assert_allclose(network.coordinates, [[10, 53.5], [13.5, 52.5], [11.5, 48]])
    np.testing.assert_allclose(matrices.values, [[[0, 0, 12.5], [0, 0, 0], [0, 40, 0]]])  # 40 = routing unit 2 x 20
    assert matrices.labels == ("20300101-0000",)


def test_sndlib_takes_opposite_links_as_directed(tmp_path):
    text = (FIXTURES / "sndlib/ring.txt").read_text().replace("L2 ( East South )", "L2 ( East North )")
    (tmp_path / "ring.txt").write_text(text)
    network, _, _ = read(tmp_path / "ring.txt")
    assert links_of(network) == {("North", "East"): 400, ("East", "North"): 155, ("South", "North"): 250}


@pytest.mark.parametrize("topology", ["sndlib/ring.txt", "sndlib-xml/ring.xml"])
def test_a_folder_of_sndlib_matrices_is_read_in_order(topology):
    _, matrices = read_both(topology, matrices=FIXTURES / "sndlib-xml/matrices")
    assert matrices.labels == ("20300101-0000", "20300101-0005")
    np.testing.assert_allclose(matrices.demands([(0, 2), (1, 0)]), [[1.5, 2.5], [3.5, 4.5]])


def test_gml_reads_speeds_merges_parallel_links_and_tells_equal_labels_apart():
    network, matrices, _ = read(FIXTURES / "graphs/square.gml")
    assert network.nodes == ("West (0)", "None (1)", "None (2)")
    assert network.unit == "Mbit/s"
    parallel = 48 * 51.84 + 622
    assert links_of(network) == both(("West (0)", "None (1)", 10000), ("None (1)", "None (2)", parallel))
    assert network.delay[network.link_index[0, 1]] == pytest.approx(2.0)  # 400 km
    np.testing.assert_allclose(network.coordinates[2], [6, 49])
    assert matrices is None


def test_graphml_directed_with_weights():
    network, _, _ = read(FIXTURES / "graphs/square.graphml")
    assert links_of(network) == {("Alpha", "Beta"): 40, ("Beta", "Gamma"): 50, ("Gamma", "Alpha"): 60}
    np.testing.assert_allclose(network.weight, [3, 2, 1])
    assert network.unit == "unit"


def test_graphml_of_yed():
    network, _, _ = read(FIXTURES / "graphs/yed.graphml")
    assert links_of(network) == both(("Left", "Right", 45))
    np.testing.assert_allclose(network.coordinates, [[20, 30], [90, 35]])


def test_a_missing_capacity_is_an_error_unless_one_is_passed():
    with pytest.raises(BadInput, match=r"hub\.json: the link Inner→Outer has no capacity; .*capacity="):
        read(FIXTURES / "graphs/hub.json")
    network, _, _ = read(FIXTURES / "graphs/hub.json", capacity=7)
    assert links_of(network) == both(("Inner", "Outer", 7))
    np.testing.assert_allclose(network.coordinates, [[1, 2], [3, 4]])


def test_figret_with_all_that_lies_beside_it():
    network, matrices = read_both("figret/net.json")
    assert network.nodes == ("0", "1", "2")  # in the order of the ids, not of the file
    assert links_of(network) == {("0", "1"): 10, ("1", "2"): 20, ("0", "2"): 30}
    assert matrices.labels == ("2.hist:1", "2.hist:2", "10.hist:1")
    np.testing.assert_allclose(matrices.demands([(0, 2), (1, 2)]), [[40, 0], [16, 8], [0, 4]])
    assert np.trace(matrices.values.sum(0)) == 0
    assert read(FIXTURES / "figret/net.json")[2] == {(0, 2): ((0, 2), (0, 1, 2)), (1, 2): ((1, 2),)}
    np.testing.assert_allclose(read_optima(FIXTURES / "figret/2.opt"), [1, 0.48, 0.2])


def test_repetita():
    network, matrices = read_both("repetita/line.graph")
    assert network.unit == matrices.unit == "kbit/s"
    assert links_of(network) == {("a", "b"): 10000, ("b", "a"): 10000, ("b", "c"): 7500}  # two parallel links
    np.testing.assert_allclose(network.weight, [10, 10, 15])
    np.testing.assert_allclose(network.delay, [1.9, 1.9, 0.7])
    np.testing.assert_allclose(matrices.demands([(0, 1), (0, 2), (1, 2)]), [[250, 125, 0], [0, 0, 75]])


def test_cfr_rl_converts_counts_and_drops_the_diagonal():
    network, matrices = read_both("cfrrl/Tiny")
    assert network.unit == matrices.unit == "kbit/s"
    assert links_of(network) == {("0", "1"): 1000, ("1", "0"): 1000, ("1", "2"): 2000, ("2", "0"): 3000}
    np.testing.assert_allclose(matrices.values[0], [[0, 1, 2], [0, 0, 0], [0, 0, 0]])  # 375 x 800 bit / 300 s
    np.testing.assert_allclose(matrices.values[1], [[0, 0, 0], [0, 0, 4], [0, 0, 0]])


def test_matrices_come_in_the_unit_of_the_network():
    _, matrices, _ = read(FIXTURES / "repetita/line.graph", matrices=None)
    assert matrices is None
    network, _, _ = read(FIXTURES / "sndlib/ring.txt")
    in_kbit = read_matrices(FIXTURES / "repetita/line.0000.demands", network)
    np.testing.assert_allclose(in_kbit.to("Mbit/s").values[0, 0, 1], 0.25)
    _, converted = read_both("repetita/line.graph", matrices=FIXTURES / "repetita/line.0001.demands")
    assert converted.labels == ("line.0001.demands",)


@pytest.mark.parametrize(
    ("words", "speed"),
    [
        ("45 Mbps DS-3", 45),
        ("10G", 1e4),
        ("2.5Gbit/s", 2500),
        ("64 kbps", 0.064),
        ("OC-192c", 192 * 51.84),
        ("STM-16", 2488.32),
        ("fiber", None),
        ("10 miles", None),
    ],
)
def test_speed_in_words(words, speed):
    assert rate_in(words) == (None if speed is None else pytest.approx(speed))


# ---------------------------------------------------------------------------------------------------------- wrong files
@pytest.mark.parametrize("file", TOPOLOGIES)
def test_a_topology_cut_off_anywhere_is_refused(file, tmp_path):
    text = (FIXTURES / file).read_text()
    target = tmp_path / Path(file).name
    for share in (0.3, 0.5, 0.7):
        target.write_text(text[: int(len(text) * share)])
        with pytest.raises(BadInput, match=target.name):
            read(target, **TOPOLOGIES[file])


@pytest.mark.parametrize("file", TOPOLOGIES)
def test_a_topology_that_is_empty_binary_missing_or_a_folder_is_refused(file, tmp_path):
    target = tmp_path / Path(file).name
    with pytest.raises(BadInput, match="cannot be read"):
        read(target)
    target.write_text(" \n")
    with pytest.raises(BadInput, match="is empty"):
        read(target)
    target.write_bytes((FIXTURES / file).read_bytes()[:40] + b"\x00\xff\xfe\x01")
    with pytest.raises(BadInput, match="not a text file"):
        read(target)
    with pytest.raises(BadInput, match="cannot be read"):
        read(tmp_path)


WRONG = [  # file, what to replace, by what, the complaint
    ("sndlib/ring.txt", "( North East )", "( North Paris )", r"ring\.txt, line 18: .*North Paris"),
    ("sndlib/ring.txt", "400.00", "much", r"ring\.txt, line 18: 'much' is not a number"),
    ("sndlib/ring.txt", "1 12.50", "1 -12.50", r"ring\.txt, line 25: the demand -12.5"),
    ("sndlib/ring.txt", "250.00", "0.00", r"ring\.txt, line 20: .*no capacity"),
    ("sndlib/ring.txt", "250.00", "-250.00", r"ring\.txt, line 20: .*capacity -250"),
    ("sndlib/ring.txt", "DEMANDS (", "DEMANDS ) (", r"ring\.txt, line 24: a parenthesis"),
    ("sndlib-xml/ring.xml", "<target>East", "<target>Paris", r"ring\.xml, line 31: 'Paris' is no node"),
    ("sndlib-xml/ring.xml", "> 12.5 <", "> nan <", r"ring\.xml, line \d+: 'nan' is not finite"),
    ("sndlib-xml/ring.xml", "> 12.5 <", "> -1 <", r"ring\.xml, line \d+: the demand -1"),
    ("sndlib-xml/ring.xml", "</nodes>", "</nudes>", r"ring\.xml, line \d+: .*well-formed"),
    ("graphs/square.gml", "target 1\n", "target 0\n", r"square\.gml, line 23: the link West \(0\)→West \(0\)"),
    ("graphs/square.graphml", ">40<", ">-40<", r"square\.graphml, line 11: the link Alpha→Beta has capacity -40"),
    ("graphs/square.graphml", ">3<", ">0<", r"square\.graphml, line 11: the link Alpha→Beta has weight 0"),
    ("figret/net.json", '"source": 1, "target": 2', '"source": 1, "target": 5', r"net\.json: link 2 \(1→5\) is at 5"),
    ("figret/net.json", '"nodes"', '"knots"', r'net\.json: a graph needs "nodes"'),
    ("figret/net.json", ": true", "= true", r"net\.json, line 1: this is not valid JSON"),
    ("figret/net.json", '"capacity": 20.0', '"capacity": "20 Mbps"', "some capacities state a unit"),
    ("repetita/line.graph", "edge_2 1 2", "edge_2 1 3", r"line\.graph, line 11: '3' is no node"),
    ("repetita/line.graph", "EDGES 4", "EDGES 5", r"line\.graph, line 12: 4 rows where EDGES announces 5"),
    ("repetita/line.graph", "15 2500 900", "15 2500", r"line\.graph, line 12: 5 columns where 6"),
    ("cfrrl/Tiny", "Edge_num: 4", "Edge_num: 5", r"Tiny, line 6: 4 links where line 1 announces 5"),
    ("cfrrl/Tiny", "1\t5\t1000", "1\t5\tinf", r"Tiny, line 3: 'inf' is not finite"),
    ("cfrrl/Tiny", "1\t2\t7", "1\t1\t7", r"Tiny, line 5: .*own node"),
]


@pytest.mark.parametrize(("file", "old", "new", "complaint"), WRONG)
def test_a_wrong_topology_names_the_place(file, old, new, complaint, tmp_path):
    text = (FIXTURES / file).read_text()
    assert old in text
    target = tmp_path / Path(file).name
    target.write_text(text.replace(old, new, 1))
    with pytest.raises(BadInput, match=complaint):
        read(target)


@pytest.mark.parametrize(
    ("topology", "name", "content", "complaint"),
    [
        ("cfrrl/Tiny", "TM", "0 1 2 0 0 0 0 0 0\n0 1 2 0 0\n", "TM, line 2: 5 values where 9"),
        ("cfrrl/Tiny", "TM", "0 1 2 0 0 0 0 -3 0\n", "TM, line 1: the demand -3 is negative"),
        ("figret/net.json", "1.hist", "0 1 2 0 0 0 0 inf 0\n", r"1\.hist, line 1: 'inf' is not finite"),
        ("figret/net.json", "1.hist", "0 1 2 0 0 0 0 x 0\n", r"1\.hist, line 1: 'x' is not a number"),
        ("figret/net.json", "1.hist", "", r"1\.hist is empty"),
        ("repetita/line.graph", "a.demands", "DEMANDS 2\nlabel src dest bw\nd 0 1 5\n", r"a\.demands, line 3: 1 rows"),
        ("repetita/line.graph", "a.demands", "DEMANDS 1\nlabel src dest bw\nd 0 1 -5\n", r"line 3: the demand -5"),
        ("sndlib-xml/ring.xml", "m.xml", "<network><demands><demand>", r"m\.xml, line 1: .*well-formed"),
        ("sndlib-xml/ring.xml", "m.xml", "<network></network>", r"m\.xml: there are no <demands>"),
        ("sndlib/ring.txt", "m.txt", "?SNDlib native format\nNODES ( )\n", r"m\.txt: there is no section DEMANDS"),
    ],
)
def test_a_wrong_matrix_names_the_place(topology, name, content, complaint, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(BadInput, match=complaint):
        read(FIXTURES / topology, matrices=tmp_path / name)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("0 2:0-2,0-1\n", "line 1: a tunnel does not lead from 0 to 2"),
        ("0 2:0-2\n1 2\n", "line 2: a row should read"),
        ("0 2:0-9-2\n", "line 1: '9' is no node"),
        ("0 2:0-2\n0 2:0-1-2\n", "line 2: the pair 0 2 comes twice"),
    ],
)
def test_wrong_tunnels_name_the_place(content, complaint, tmp_path):
    (tmp_path / "t.txt").write_text(content)
    with pytest.raises(BadInput, match=complaint):
        read(FIXTURES / "figret/net.json", tunnels=tmp_path / "t.txt")


def test_unknown_grammars_and_empty_folders(tmp_path):
    (tmp_path / "page.html").write_text("<html>not found</html>")
    with pytest.raises(BadInput, match="in no known grammar"):
        read(tmp_path / "page.html")
    with pytest.raises(BadInput, match="grammar 'repetitia' is unknown; did you mean 'repetita'"):
        read(FIXTURES / "repetita/line.graph", grammar="repetitia")
    (tmp_path / "none").mkdir()
    with pytest.raises(BadInput, match="empty folder"):
        read(FIXTURES / "cfrrl/Tiny", matrices=tmp_path / "none")


# ------------------------------------------------------------------------------------------------------------ real data
@real_data
@pytest.mark.parametrize(
    ("file", "nodes", "links", "matrices"),
    [
        ("abilene-cfrrl/Abilene", 12, 30, 576),
        ("rocketfuel-cfrrl/Ebone", 23, 76, None),
        ("rocketfuel-cfrrl/Sprintlink", 44, 166, None),
        ("rocketfuel-cfrrl/Tiscali", 49, 172, None),
        ("figret-pod-a/Facebook_pod_a.json", 4, 12, 477),
        ("b4-teal/B4.json", 12, 38, None),
        ("topohub/Abilene.topohub.gml", 11, 28, None),
        ("topohub/Abilene.topohub.json", 11, 28, None),
    ],
)
def test_real_files(file, nodes, links, matrices):
    network, demand, tunnels = read(Path(DATA or "") / file, capacity=1000.0)
    assert (len(network.nodes), len(network.links)) == (nodes, links)
    assert (demand and len(demand.values)) == matrices
    paths = tunnel_paths(network, tunnels) if tunnels else shortest_paths(network, 2, pairs=network.all_pairs()[:50])
    assert paths.valid[:, 0].all()
