"""Runs that name what has moved since still open, are trusted as before, and go on to the same bits."""

from __future__ import annotations

import json

import pytest

import covey
from covey.core.moved import MOVED, now_at
from covey.core.registry import locate
from covey.runs.trust import comes_with_covey


@pytest.mark.parametrize("old", MOVED)
def test_what_has_moved_is_where_it_is_said_to_be(old):
    new = MOVED[old]
    found = locate(new, "type")
    assert f"{found.__module__}:{found.__qualname__}" == new
    assert comes_with_covey(now_at(old))
    assert now_at(new) == new not in MOVED


@pytest.mark.slow
def test_an_old_run_opens_and_goes_on(tmp_path):
    how = {
        "seeds": 1,
        "envs": 2,
        "episodes": 2,
        "quiet": True,
        "settings": {"warmup": 4, "replay.capacity": 64, "replay.batch": 8},
    }
    whole = covey.train("iddpg", "toy/discrete", steps=16, out=tmp_path / "whole", **how)
    folder = covey.train("iddpg", "toy/discrete", steps=8, out=tmp_path / "old", **how).folder
    (old, new), *_ = MOVED.items()
    config = folder / "config.yaml"
    assert new in config.read_text()
    config.write_text(config.read_text().replace(new, old))
    about = folder / "checkpoints" / "8" / "about.json"
    document = json.loads(about.read_text())
    document["identity"]["settings"]["algorithm.type"] = f'"{old}"'
    about.write_text(json.dumps(document))
    covey.load(folder, seed=0)  # another user's run that names nothing but covey's own needs no trust
    run = covey.train("iddpg", "toy/discrete", steps=16, out=folder, resume=True, **how)
    assert run.summary["evaluation"] == whole.summary["evaluation"]
