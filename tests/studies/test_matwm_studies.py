"""The studies of MATWM: their verdicts, and that every one of them runs."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey import algorithms, environments
from covey.cli import main
from covey.nn.nets import Linear
from covey.nn.transformer import Transformer
from covey.studies.bench_matwm import attention, flops, through
from covey.studies.matwm.spread import judge_model
from covey.studies.reproduce import STUDIES, tables_of


def test_operations_of_one_row_by_hand():
    nets = [Linear(jnp.zeros((3, 5)), jnp.zeros(3)), {"x": Linear(jnp.zeros((2, 3)), jnp.zeros(2))}, jnp.zeros((9, 9))]
    assert through(nets) == 2 * (15 + 6)
    block = None
    two = Transformer(jnp.zeros((7, 8)), None, (block, block), heads=2)  # type: ignore[arg-type]
    assert attention(two, queries=3, slots=5) == 2 * (3 * 5 * 8) * 2 * 2  # scores and values, two layers


def test_operations_of_an_update():
    """Beside a count by sizes: encoder 84 k products a row, sequence model 262 k, actor 100 k, critic 108 k."""
    environment = environments.make("particle/spread")
    algorithm = algorithms.make("matwm", environment, preset="cpu")
    nets = jax.eval_shape(lambda key: algorithm.init(key, 1), jax.random.key(0)).nets
    found = flops(algorithm, nets)  # type: ignore[arg-type]
    rows = {"world model": 3 * 16 * 25 * 753e3, "contexts": 96 * (9 * 84e3 + 8 * 330e3 + 9 * 66e3)}
    rows |= {"imagination": 96 * 10 * 685e3, "agents": 96 * 10 * (2 * 108e3 + 3 * 208e3 - 166e3)}
    for name, products in rows.items():
        assert found[name] == pytest.approx(2 * products, rel=0.06)
    assert found["update"] == pytest.approx(sum(found[name] for name in rows))


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
