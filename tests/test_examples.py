"""Every script in `examples/` is short, runs as it stands, and prints a result."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

import covey

EXAMPLES = sorted((Path(covey.__file__).parents[2] / "examples").glob("*.py"))


def test_there_are_six():
    assert len(EXAMPLES) == 6


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short_and_says_what_it_shows(path):
    lines = path.read_text().splitlines()
    assert len(lines) <= 40
    assert lines[0].startswith('"""')
    assert lines[0].endswith('"""')


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out.splitlines()[-1].strip()
