"""Every command on every page is carried out: cut short where it trains, up to the study itself where that takes hours.

The commands of a page are carried out in order, in one folder, so that what one trains the next can evaluate. Steps,
lanes, episodes and games are cut; nothing else of a command is changed. Files and modules that pages speak of come from
the pages: the networks of `docs/environments/routing.md`, and `my_package.my_module` from the two tutorials.
"""

from __future__ import annotations

import inspect
import itertools
import json
import shlex
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import covey
from covey import cli
from covey.core.registry import locate
from covey.studies import bench, reproduce
from test_docs import BLOCK, PAGES, commands, grammar_sections, title

SHELL = ("bash", "sh", "console")
CUT = {"steps": 1, "seeds": 2, "envs": 4, "episodes": 2, "games": 2, "keep-every": 1, "env.lanes": 4}
NEEDED = {"train": ("steps", "episodes"), "compare": ("episodes",), "tournament": ("games",), "evaluate": ()}
"""What is cut though a command does not say it."""
OTHER = {"docs/environments/jaxmarl.md": "jaxmarl"}
"""Pages that need a package which tests do not install."""
QUICK = ("docs/reproduce.md",)
"""Pages whose commands `make test` carries out; those of all others `make test-slow`."""


def page_commands(text: str) -> list[str]:
    """The commands in a page's blocks, in order."""
    return [command for kind, block in BLOCK.findall(text) if kind in SHELL for command in commands(block)]


def cut(args: list[str]) -> list[str]:
    """The arguments of a command, with small numbers."""
    words = [word for arg in args for word in (arg.split("=", 1) if arg.startswith("--") else [arg])]
    for name, most in CUT.items():
        flag = f"--{name}"
        if flag in words:
            at = words.index(flag) + 1
            words[at] = str(min(int(float(words[at])), most))
        elif name in NEEDED.get(words[0], ()):
            words += [flag, str(most)]
    if "--resume" in words and "--steps" in words:  # a run that is done goes on
        summary = Path(words[words.index("--out") + 1]) / "summary.json"
        words[words.index("--steps") + 1] = str(json.loads(summary.read_text())["steps"] + 1)
    return [_kept(word) for word in words]


def _kept(word: str) -> str:
    """RUN@STEP with a step that was kept."""
    run, at, _ = word.partition("@")
    kept = sorted(int(folder.name) for folder in (Path(run) / "policies").glob("*")) if at else []
    return f"{run}@{kept[0]}" if kept else word


def carry_out(command: str, patch: pytest.MonkeyPatch) -> None:
    """Do what a command says, cut short; anything but success fails."""
    _, *args = shlex.split(command, comments=True)
    for sign in ("|", ">", "&", "&&"):
        args = args[: args.index(sign)] if sign in args else args
    begun: list[str] = []
    _stop_before_studies(patch, begun)
    assert cli.main(cut(args)) == 0, command
    assert bool(begun) == (args[0] in ("reproduce", "bench"))


def _stop_before_studies(patch: pytest.MonkeyPatch, begun: list[str]) -> None:
    """Studies and benchmarks are found and called with what they take, and then do nothing."""

    def found(path: str, what: str):
        study = locate(path, what)

        def stand_in(**given):
            inspect.signature(study).bind(**given)
            begun.append(path)

        return stand_in

    def measure(effort) -> Iterator:
        begun.append("bench")
        return iter(())

    patch.setattr(reproduce, "locate", found)
    for name, entry in bench.BENCHES.items():
        patch.setitem(bench.BENCHES, name, entry._replace(measure=measure))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with the files and the package that pages speak of."""
    for name, content in itertools.chain(*grammar_sections().values()):
        (tmp_path / name).write_text(content)
    package = tmp_path / "my_package"
    package.mkdir()
    (package / "__init__.py").touch()
    docs = Path(covey.__file__).parents[2] / "docs"
    blocks = []
    for page in ("your-environment.md", "your-algorithm.md"):
        found = BLOCK.findall((docs / page).read_text())
        blocks += [block for kind, block in found if kind == "python" and "covey.train(" not in block]
    (package / "my_module.py").write_text("\n".join(blocks))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_package"]:
        del sys.modules[name]


def tier(page: Path) -> Any:
    """A page with commands, and when they are carried out."""
    return pytest.param(page, marks=() if title(page) in QUICK else pytest.mark.slow, id=title(page))


@pytest.mark.parametrize("page", [tier(page) for page in PAGES if page_commands(page.read_text())])
def test_commands_do_what_the_page_says(page, folder, monkeypatch):
    needed = OTHER.get(title(page))
    if needed is not None and find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed: `make test-{needed}`")
    for command in page_commands(page.read_text()):
        carry_out(command, monkeypatch)


def test_the_numbers_of_a_command_are_cut_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cut(["train", "mappo", "x", "--steps", "1e6", "--envs=64", "--actor-lr.steps", "1e6"]) == [
        *["train", "mappo", "x", "--steps", "1", "--envs", "4", "--actor-lr.steps", "1e6"],
        *["--episodes", "2"],
    ]
    (tmp_path / "runs/a/policies/00064").mkdir(parents=True)
    assert cut(["tournament", "runs/a@20000", "charge", "--games", "200"])[1:3] == ["runs/a@64", "charge"]
    (tmp_path / "runs/a/summary.json").write_text('{"steps": 128}')
    assert cut(["train", "--resume", "--out", "runs/a", "--steps", "5000"])[5] == "129"


@pytest.mark.parametrize(
    "command",
    ["covey train maddpg routing:none.graph", "covey evaluate runs/none", "covey list agents", "covey reproduce a/b"],
)
def test_a_command_that_fails_is_seen(command, folder, monkeypatch):
    with pytest.raises(AssertionError):
        carry_out(command, monkeypatch)
