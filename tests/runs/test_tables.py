"""Tables stay readable: at 80 columns, at 40, in a pipe, and as JSON."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from covey.cli import main
from covey.cli.tables import comparison_table, evaluation_table, tournament_table
from covey.core.environment import Reference
from covey.runs.compare import Comparison, Row
from covey.runs.evaluate import Evaluation
from covey.runs.tables import GAP, Column, Table, lines, show
from covey.runs.tournament import Tournament
from covey.studies import bench, timing

REFERENCE = Reference(
    kind="bound",
    algorithm="optimal-routing",
    how="Solved for every demand matrix of the episode, by a linear program. " * 3,
)


def comparison() -> Table:
    rng = np.random.default_rng(0)
    labels = ("runs/att-maddpg-routing-small-20261130-101500-4242", "ecmp", "optimal-routing")
    rows = [
        Row(
            label,
            "every demand, of this step too",
            group,
            rng.normal(-1234.5, 99, 5),
            rng.normal(0, 1, 5),
            rng.normal(0, 1e-5, 5),
            None if label.startswith("runs") else rng.normal(0, 9, 5),
            "160 episodes",
        )
        for label in labels
        for group in ("ingress_routers", "core")
    ]
    return comparison_table(Comparison(rows, "routing/small-contended", REFERENCE, ()))


def evaluation() -> Table:
    class Seeds:
        seed, seeds = 0, 5

    names = (
        "return/router/mean_agent",
        "steps/episode",
        "world/maximum_link_utilization_of_the_busiest_hour",
        "ledger/router/together",
    )
    values = {name: np.random.default_rng(1).normal(0, 1e4, (5, 3)) for name in names}
    return evaluation_table(Evaluation(values, values, REFERENCE), Seeds())  # type: ignore[arg-type]


def tournament() -> Table:
    rng = np.random.default_rng(2)
    labels = tuple(f"runs/army-{i}@20000" for i in range(6))
    points = {(i, j): rng.integers(0, 2, (2, 2, 2, 4)) * 1.0 for j in range(6) for i in range(j)}
    return tournament_table(Tournament("battle", ("left", "right"), labels, (2,) * 6, points, ()))


def benches() -> Table:
    rows = [
        timing.Row("updates", "att-maddpg, 64 units, batch 1024", 1234.5, "updates/s", 1200, 1300),
        timing.Row(
            "torch",
            "maddpg, 64 units, batch 1024, PyTorch agent by agent, threads 2",
            12.3,
            "times PyTorch's speed",
            11,
            13,
        ),
        timing.Row(
            "seeds",
            "att-maddpg on routing/small-contended, 8 seeds as one program: gathers and scatters",
            1e7,
            "% of the time in kernels",
            9e6,
            2e7,
        ),
        timing.Row("memory", "mfq on squeeze, 4,096 agents", 1.5, "MB planned", 1.5, 1.5),
    ]
    return bench.table(rows, {"covey": "0.1.0", "device": "cpu", "date": "2026-11-30T10:00:00+00:00"})


def names() -> Table:
    rows = [("", "rules of routing", "equal, ecmp, " * 20), ("", "navigation", "A few agents cover a few landmarks.")]
    return Table((Column(""), Column(""), Column("", prose=True)), rows, "algorithms")


def problems() -> Table:
    rows = [("- the observation of group 'a' has shape (3,), and its spec says (4,) " * 3,)]
    return Table((Column("", prose=True),), rows)


def study() -> Table:
    columns = [
        Column("who"),
        *(Column(f"regret to {x} per step", right=True) for x in ("the optimum", "the best rule", "wcmp")),
    ]
    return Table(tuple(columns), [["att-maddpg", "0.123 ± 0.004", "-0.012 ± 0.003", ""]] * 3, "routing/large, 6 seeds")


EVERY = [comparison, evaluation, tournament, benches, names, problems, study]


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("make", EVERY)
def test_nothing_is_wider_than_a_terminal_and_nothing_is_lost(make, width):
    table = make()
    shown = lines(table, width)
    assert max(map(cell_len, shown)) <= width or width == 40
    words = " ".join(shown).split()
    for row in table.rows:
        for cell in row:
            assert set(cell.split()) <= set(words)


@pytest.mark.parametrize("make", EVERY)
def test_at_80_columns_a_cell_is_folded_over_three_lines_at_most(make):
    """But for sentences, which take as many as they need."""
    table = make()
    numbers = [column.right for column in table.columns]
    shown = lines(table, 80)
    for row in table.rows:
        for cell, is_number in zip(row, numbers, strict=True):
            assert not is_number or not cell or any(cell in line for line in shown), "a number is never broken"
    prose = sum(len(cell) for row in table.rows for cell, c in zip(row, table.columns, strict=True) if c.prose)
    assert len(shown) <= len(table.rows) * (len(table.columns) + 1) + prose / 20 + len(" ".join(table.notes)) / 60 + 2


@pytest.mark.parametrize("make", EVERY)
def test_in_a_pipe_a_row_is_a_line(make):
    table, file = make(), io.StringIO()
    show(table, Console(file=file, width=80))
    shown = file.getvalue().splitlines()
    heading = any(column.title for column in table.columns)
    assert len(shown) == bool(table.title) + heading + len(table.rows) + len(table.notes)
    for row, line in zip(table.rows, shown[bool(table.title) + heading :], strict=False):
        assert [cell for cell in row if cell] == [
            part.strip() for part in line.split(GAP) if part.strip()
        ] or "," in line
        assert all(cell.strip() in line for cell in row)


@pytest.mark.parametrize("make", EVERY)
def test_a_terminal_gets_its_own_width(make):
    file = io.StringIO()
    show(make(), Console(file=file, width=80, force_terminal=True, color_system=None))
    assert max(map(cell_len, file.getvalue().splitlines())) <= 80


def test_numbers_end_below_each_other():
    table = Table((Column("who"), Column("n", right=True)), [("a", "1"), ("b", "100")])
    assert lines(table) == ["who    n", "a      1", "b    100"]


def test_a_row_that_does_not_fit_names_its_values():
    table = Table((Column("who"), Column("steps", right=True), Column("over")), [("a", "1" * 20, "b" * 20)])
    assert lines(table, 40) == ["a", "    steps  " + "1" * 20, "    over   " + "b" * 20]


# ---------------------------------------------------------------------------------------------------------------------
# JSON


def printed(line: str, capsys) -> dict:
    assert main(line.split()) in (0, 1)
    return json.loads(capsys.readouterr().out)


def test_compare_as_json(capsys, tmp_path):
    line = "compare random optimal --environment toy/discrete --env.time-limit 4 --episodes 2"
    found = printed(f"{line} --json -", capsys)
    assert found["reference"]["algorithm"] == "optimal"
    assert [(row["label"], row["group"]) for row in found["rows"]] == [
        (x, g) for x in ("random", "optimal") for g in "ab"
    ]
    assert found["rows"][2]["return"]["mean"] == 6
    assert main(f"{line} --json {tmp_path / 'table.json'}".split()) == 0
    assert "regret per episode" in capsys.readouterr().out
    assert json.loads((tmp_path / "table.json").read_text()) == found


def test_list_and_check_as_json(capsys, tmp_path, monkeypatch):
    assert "navigation" in printed("list environments --json -", capsys)["environments"]
    assert printed("check toy/graph --env.time-limit 3 --json -", capsys) == {"object": "toy/graph", "problems": []}
    (tmp_path / "empty_one.py").write_text("class Bad:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert len(printed("check empty_one:Bad --json -", capsys)["problems"]) >= 1


def test_bench_as_json_says_what_it_does_elsewhere(capsys, monkeypatch):
    row = timing.Row("updates", "a case", 1.0, "updates/s", 1.0, 1.0)
    only = {"updates": bench.BENCHES["updates"]._replace(measure=lambda effort: iter([row]))}
    monkeypatch.setattr("covey.studies.bench.BENCHES", only)
    assert main(["bench", "--json", "-"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["rows"] == [row._asdict()]
    assert "updates: gradient updates" in said.err


def test_a_study_as_json(capsys, monkeypatch, tmp_path):
    def study(*, quick, seeds, out, say):
        from covey.studies.trials import Column, Outcome, table

        outcome = Outcome("us", "nothing", {"return/a/mean_agent": np.ones((2, 3))}, lambda seed: None)  # type: ignore
        table(
            "how much",
            {"us": outcome},
            [Column("who", lambda o: o.label), Column("return", lambda o: o.per_seed("return/a/mean_agent"))],
            out,
        )

    monkeypatch.setattr("covey.studies.reproduce.locate", lambda path, what: study)
    assert main(["reproduce", "credit/e1", "--out", str(tmp_path), "--json", "-"]) == 0
    said = capsys.readouterr()
    (found,) = json.loads(said.out)["tables"]
    assert found["values"] == [["us", {"mean": 1.0, "low": 1.0, "high": 1.0}]]
    assert "how much" in said.err
    assert Path(json.loads(said.out)["folder"]) == tmp_path
