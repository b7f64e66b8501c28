"""The studies of MATWM: their verdicts, and that every one of them runs."""

from __future__ import annotations

import numpy as np
import pytest

from covey.cli import main
from covey.studies.matwm.spread import judge_model
from covey.studies.reproduce import STUDIES, tables_of


def test_verdicts_on_a_model():
    near = np.array([0.010, 0.011, 0.012])
    found = {(what, k, "model"): near for what in ("obs", "reward") for k in (1, 12)}
    found |= {(what, k, "mean"): near + 1.0 for what in ("obs", "reward") for k in (1, 12)}
    found |= {(what, k, "nothing changes"): near[::-1] for what in ("obs", "reward") for k in (1, 12)}
    said: list[str] = []
    judge_model(found, np.array([[0.5, 0.3], [0.51, 0.3], [0.52, 0.31]]), said.append)
    words = [line.split(":")[0] for line in said]
    assert words == ["OPEN", "CONFIRMED"] * 4 + ["CONFIRMED"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in STUDIES if name.startswith("matwm/")])
def test_every_study_runs(name, tmp_path, capsys):
    assert main(["reproduce", name, "--quick", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("Predictions", "plan:"))
    assert any(word in said for word in ("CONFIRMED", "REFUTED", "OPEN"))
    assert tables_of(tmp_path)
