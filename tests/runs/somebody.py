"""Somebody else's run folder, and a module that shows whether it was imported: for the tests of what may be opened."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import yaml

import covey
from covey.core.errors import BadInput

WITNESS = """
import covey
from covey.algorithms.random import Random, random as mine

class Kind(Random):
    pass

class World:
    def __init__(self):
        self._inner = covey.make("toy/discrete", time_limit=4)
        self.spec, self.reset, self.step = self._inner.spec, self._inner.reset, self._inner.step

def make():
    return World()

def nothing():
    return None
"""
"""A module of somebody's; that it is in `sys.modules` shows that it was imported."""

UNUSED = ("witness", "colorsys", "calendar", "graphlib", "this_is_nowhere")
"""Modules that nothing here imports by itself."""


@pytest.fixture(scope="package")
def trained(tmp_path_factory):
    """A run of covey's own algorithm and environment. Do not write to its folder."""
    return covey.train(
        "random", "toy/discrete", options={"time_limit": 4}, steps=8, episodes=2, quiet=True,
        keep_every=4, chunk=4, out=tmp_path_factory.mktemp("theirs") / "run",
    ).folder  # fmt: skip


@pytest.fixture
def theirs(trained, tmp_path, monkeypatch):
    """The same run, as somebody else's: this user has another key. A witness lies beside it."""
    shutil.copytree(trained, tmp_path / "run")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "witness.py").write_text(WITNESS)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    for name in UNUSED:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield tmp_path / "run"
    for name in UNUSED:
        sys.modules.pop(name, None)


def rewrite(folder: Path, **entries) -> None:
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | entries))


def refused(attempt) -> str:
    """The one sentence that `attempt` ends with; nothing was imported for it."""
    with pytest.raises(BadInput) as error:
        attempt()
    sentence = str(error.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert len(sentence) < 1000
    assert not set(UNUSED) & set(sys.modules)
    return sentence
