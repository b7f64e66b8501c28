"""The code of the two pages on building one's own runs as it stands, block after block, and does what it says."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import jax
import pytest

import covey
from covey.algorithms.random import random
from covey.runs.episode import record
from covey.runs.render import frames

DOCS = Path(covey.__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def played(page: str, monkeypatch, without: str = "covey.train(") -> types.ModuleType:
    """A page's Python blocks as one module; blocks that say `without` are left out."""
    module = types.ModuleType(page.replace("-", "_"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for text in BLOCK.findall((DOCS / f"{page}.md").read_text()):
        if without not in text:
            exec(compile(text, page, "exec", dont_inherit=True), vars(module))
    return module


def test_the_world_of_the_tutorial_passes_its_check(monkeypatch):
    module = played("your-environment", monkeypatch)
    assert module.make_env().spec.agents == 2


def test_the_world_of_the_tutorial_can_be_drawn(monkeypatch):
    env = played("your-environment", monkeypatch).make_env()
    happened = record(env, random(env.spec), (), jax.random.key(0))
    pictures = frames(env, happened)
    assert len(pictures) == happened.length + 1
    assert all(picture.shape == (220, 660, 3) and picture.std() > 0 for picture in pictures)


@pytest.mark.learn
def test_the_algorithm_of_the_tutorial_learns(monkeypatch, tmp_path):
    module = played("your-algorithm", monkeypatch)
    env = covey.make("toy/discrete")
    run = covey.train(module.reinforce(env.spec), env, steps=50_000, envs=16, seeds=4, out=tmp_path / "run", quiet=True)
    optimum = env.reference().value
    assert (run.evaluation.per_seed()["return/a/mean_agent"] > 0.95 * optimum).all()


@pytest.mark.learn
def test_the_algorithm_of_the_tutorial_keeps_the_laws(monkeypatch):
    module = played("your-algorithm", monkeypatch)
    assert module.reinforce(covey.make("toy/discrete").spec).plan.horizon == 8
