"""MATWM in the environments of its paper, end to end: pictures of PettingZoo, reduced, and vectors."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import numpy as np
import pytest

import covey
from covey.environments import make
from covey.runs.train import train

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*calling render method:UserWarning")]  # Pong's own
pytest.importorskip("pettingzoo")

SMALL = {"warmup": 30, "horizon": 10, "replay.capacity": 500, "replay.length": 10, "imagination.horizon": 3}
GAMES = {
    "small_pong": {},
    "small_pistons": {},
    "pettingzoo.butterfly.knights_archers_zombies_v11": {"arguments": "max_cycles: 20"},
}


@pytest.mark.parametrize("game", GAMES)
def test_a_few_updates_of_the_smallest_preset(game, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    environment = make(f"pettingzoo:{game}", lanes=1, **GAMES[game])
    run = train(
        "matwm",
        environment,
        preset="tiny",
        settings=SMALL,
        steps=60,
        episodes=1,
        chunk=1,
        quiet=True,
        out=tmp_path / "r",
    )
    rows = [json.loads(line)["values"] for line in (tmp_path / "r" / "metrics.jsonl").read_text().splitlines()]
    losses = [row["shared_wm_recon_loss"][0] for row in rows if row.get("shared_wm_recon_loss", [None])[0] is not None]
    assert len(losses) >= 3  # rows before the first update hold none
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    returns = [x for name, x in run.evaluation.per_seed().items() if name.startswith("return/")]
    assert returns
    assert all(np.isfinite(x).all() for x in returns)
    policy = covey.load(tmp_path / "r", environment=environment)
    for field in policy.algorithm.agents.layout.obs:  # type: ignore[attr-defined]
        assert (field.dtype == "uint8") == bool(field.picture)
    jax.block_until_ready(policy.state)
