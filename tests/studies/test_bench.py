"""`covey bench`, on tiny sizes: that it measures, not what."""

from __future__ import annotations

import json
import math

import pytest

from covey.cli.studies import BenchArguments
from covey.core.errors import BadInput
from covey.studies.bench import BENCHES, bench, kind, number
from covey.studies.timing import in_turns

UNITS = {
    "stepping": {"environment steps/s", "s to compile"},
    "updates": {"updates/s"},
    "torch": {"updates/s of PyTorch", "times PyTorch's speed"},
    "seeds": {"times one seed's time", "% of the time in kernels"},
    "training": {"environment steps/s", "s to compile", "MB"},
    "ppo": {"environment steps/s", "s to compile"},
    "jaxmarl": {"environment steps/s", "times their speed", "s to compile"},
    "workers": {"environment steps/s", "times one process without covey"},
    "battle": {"environment steps/s", "times their speed", "s to compile"},
    "soldiers": {"soldier steps/s"},
    "population": {"updates/s", "exponent"},
    "neighbors": {"MB of weights", "ms an update", "s to compile", "times the weights", "times as fast"},
    "swarm": {
        *("GFLOP/s", "updates/s", "% of products of its size", "% of large products", "s to compile"),
        *("environment steps/s", "minutes"),
    },
    "swarm-torch": {"updates/s", "updates/s of PyTorch", "times PyTorch's speed"},
    "matwm": {
        *("GFLOP", "GFLOP/s", "updates/s", "% of large products", "% of an update's time"),
        *("environment steps/s", "minutes", "s to compile", "MB"),
    },
    "matwm-torch": {"updates/s", "updates/s of PyTorch", "times PyTorch's speed"},
    "memory": {"MB planned", "MB measured"},
}


QUICK = ("stepping", "workers", "battle")
NEEDS = {
    "torch": "torch",
    "swarm-torch": "torch",
    "matwm-torch": "torch",
    "jaxmarl": "jaxmarl",
    "workers": "mpe2",
    "battle": "magent2",
}


@pytest.mark.parametrize("name", [pytest.param(x, marks=[pytest.mark.slow] * (x not in QUICK)) for x in BENCHES])
def test_quick(name, tmp_path):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    file = tmp_path / "bench.json"
    rows = bench([name], json_file=file, quick=True)
    assert {row.unit for row in rows} == UNITS[name]
    for row in rows:
        assert row.bench == name
        assert row.low <= row.value <= row.high
        assert math.isfinite(row.value)
        assert row.value > 0 or row.unit in ("MB measured", "exponent")
    written = json.loads(file.read_text())
    assert {"covey", "jax", "python", "device", "cores", "load", "date"} <= set(written)
    assert [row["unit"] for row in written["rows"]] == [row.unit for row in rows]


def test_every_bench_says_what_it_measures():
    assert set(UNITS) == set(BENCHES)
    assert all(entry.summary.endswith(".") for entry in BENCHES.values())


def test_unknown():
    with pytest.raises(BadInput, match="the benchmark 'updatse' is unknown; did you mean 'updates'"):
        bench(["updatse"])


def test_one_missing_package_does_not_stop_the_others(monkeypatch, capsys):
    def missing(effort):
        raise BadInput("it needs a package")

    only = {"torch": BENCHES["torch"]._replace(measure=missing)}
    monkeypatch.setattr("covey.studies.bench.BENCHES", only)
    assert bench() == []
    assert "left out: it needs a package" in capsys.readouterr().out
    with pytest.raises(BadInput, match="it needs a package"):
        bench(["torch"])


def test_calls_take_turns():
    calls = []
    seconds = in_turns([lambda: calls.append("a"), lambda: calls.append("b")], 3)
    assert "".join(calls) == "ababab"
    assert [len(times) for times in seconds] == [3, 3]


def test_words():
    assert [kind(name) for name in ("dot.3", "ynn_fusion", "bitcast_gather_fusion.1", "copy.2", "add_fusion")] == [
        "matrix products",
        "matrix products",
        "gathers and scatters",
        "copies and transpositions",
        "everything else",
    ]
    assert [number(x) for x in (12345.6, 12.3456, 0.001234)] == ["12,346", "12.3", "0.00123"]


def test_the_help_names_every_benchmark():
    assert " ".join(str(BenchArguments.__doc__).split()).split("Benchmarks: ")[1].split(".")[0].split(", ") == list(
        BENCHES
    )
