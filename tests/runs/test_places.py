"""Where runs are found: a step of a run, folders that cannot be read, modules and files beside which training began."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import yaml

import covey
from covey.cli import main
from covey.core import modules
from covey.core.errors import BadInput
from covey.runs import files
from covey.runs.compare import compare
from covey.runs.policy import evaluate_run, open_run, place_of
from covey.runs.render import render

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that learns, with policies of steps 640 and 1280. Do not write to its folder."""
    out = tmp_path_factory.mktemp("places") / "run"
    line = "train vdn toy/discrete --env.time-limit 4 --steps 1280 --keep-every 640 --episodes 2 --warmup 100 --quiet"
    assert main([*line.split(), "--out", str(out)]) == 0
    return out


# ------------------------------------------------------------------------------------------------------------ RUN@STEP
def test_a_step_of_a_run_in_python(run):
    early, late = covey.load(run, step=640), covey.load(run)
    assert (int(early.step), int(late.step)) == (640, 1280)
    again = covey.load(f"{run}@640")
    first, second, last = (
        np.concatenate([np.ravel(x) for x in jax.tree.leaves(p.state)]) for p in (early, again, late)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, last)
    assert evaluate_run(f"{run}@640").values.keys() == evaluate_run(run, step=640).values.keys()


@pytest.mark.parametrize(
    "line", ["evaluate {run}@640", "compare {run}@640 {run} optimal", "compare {run}@640 {run}@1280"]
)
def test_a_step_of_a_run_on_the_command_line(run, line, capsys):
    assert main(line.format(run=run).split()) == 0
    shown = capsys.readouterr()
    assert "return" in shown.out
    assert shown.err == ""


def test_a_step_of_a_run_is_rendered(tmp_path):
    line = "train random navigation --env.agents 2 --env.landmarks 1 --env.time-limit 2 --steps 8 --episodes 1 --quiet"
    assert main([*line.split(), "--keep-every", "4", "--chunk", "2", "--out", str(tmp_path / "run")]) == 0
    assert main(["render", f"{tmp_path / 'run'}@4", "--seed", "0"]) == 0
    assert {path.stem for path in (tmp_path / "run" / "episodes").iterdir()} == {"step-4-seed-0-episode-0"}
    (film,) = render(tmp_path / "run", tmp_path / "film.gif", step=4)
    assert film.exists()


@pytest.mark.parametrize("command", ["evaluate", "render", "compare"])
@pytest.mark.parametrize("step", ["641", "0", "9" * 30])
def test_a_step_that_was_not_kept(run, command, step, capsys):
    assert main([command, f"{run}@{step}"]) == 2
    assert f"has no checkpoint of step {step}; those that it has: 640, 1280" in capsys.readouterr().err


def test_what_names_a_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "me@1").mkdir()
    assert place_of("runs/a@640") == (Path("runs/a"), 640)
    assert place_of("me@1") == (Path("me@1"), None)  # a folder that is called so
    assert place_of("me@1@2") == (Path("me@1"), 2)
    assert place_of("a@b") == (Path("a@b"), None)
    assert place_of("a@²") == (Path("a@²"), None)
    assert place_of("@3") == (Path("."), 3)


# --------------------------------------------------------------------------------------------------- cannot be read
COMMANDS = ["evaluate run", "render run", "compare run random", "tournament run random", "train --resume --out run"]


def deny(monkeypatch, path: Path) -> None:
    """Let the system refuse whatever is below `path`, as it does for all but root."""
    real_stat, real_scandir, real_listdir, real_open = os.stat, os.scandir, os.listdir, os.open

    def refusing(call):
        def guarded(place=".", *args, **how):
            if isinstance(place, (str, os.PathLike)) and Path(place).absolute().is_relative_to(path):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))
            return call(place, *args, **how)

        return guarded

    for name, real in {"stat": real_stat, "scandir": real_scandir, "listdir": real_listdir, "open": real_open}.items():
        monkeypatch.setattr(os, name, refusing(real))


@pytest.mark.parametrize("line", COMMANDS)
def test_a_folder_without_permission(run, tmp_path, monkeypatch, capsys, line):
    shutil.copytree(run, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        deny(patch, tmp_path / "run")
        assert main(line.split()) == 2
    assert "cannot be read: permission denied" in capsys.readouterr().err


@pytest.mark.parametrize("line", COMMANDS)
@pytest.mark.parametrize("harm", ["a file", "below a file", "config is a folder", "checkpoints is a file", "no end"])
def test_a_folder_that_is_none(run, tmp_path, monkeypatch, capsys, line, harm):
    monkeypatch.chdir(tmp_path)
    match harm:
        case "a file":
            (tmp_path / "run").write_text("not a folder")
        case "below a file":
            (tmp_path / "file").write_text("")
            line = line.replace("run", "file/run", 1) if "resume" not in line else line.replace("run", "file/run")
        case "no end":
            (tmp_path / "run").symlink_to("run")
        case _:
            shutil.copytree(run, tmp_path / "run")
            place = tmp_path / "run" / ("config.yaml" if harm.startswith("config") else "checkpoints")
            place.unlink() if place.is_file() else shutil.rmtree(place)
            place.mkdir() if harm.startswith("config") else place.write_text("")
            shutil.rmtree(tmp_path / "run" / "policies")
    assert main(line.split()) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_reading_says_why():
    with pytest.raises(BadInput, match=r"the run x cannot be read: not a directory\."), files.reading("the run x"):
        raise NotADirectoryError(errno.ENOTDIR, "whatever")
    with pytest.raises(OSError, match="about no file"), files.reading("the run x"):
        raise OSError("about no file")


# ------------------------------------------------------------------------------------ modules and files of training's
CARRY = """
import helper_of_carry
from covey.environments.toy import discrete

def make_env(time_limit: int = 4):
    return discrete(time_limit=time_limit)
"""
OWN = "from covey.algorithms.random import random as my_algorithm\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The folder of somebody who writes an environment, and is there."""
    folder = tmp_path / "project"
    (folder / "kit").mkdir(parents=True)
    (folder / "carry.py").write_text(CARRY)
    (folder / "helper_of_carry.py").write_text("")
    shutil.copy(Path(__file__).parents[1] / "environments" / "games.py", folder / "parade_of_mine.py")
    (folder / "kit" / "mine.py").write_text(CARRY + OWN)  # a package without __init__
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield folder
    elsewhere()


def elsewhere() -> None:
    """As a new process in another folder."""
    for name in ("carry", "helper_of_carry", "kit", "kit.mine", "parade_of_mine"):
        sys.modules.pop(name, None)


def train(line: str) -> int:
    return main(f"train {line} --steps 8 --episodes 2 --chunk 4 --quiet --out run".split())


@pytest.mark.parametrize(
    ("algorithm", "environment"),
    [
        pytest.param("random", "carry:make_env", marks=pytest.mark.slow),
        pytest.param("random", "kit.mine:make_env --env.time-limit 3", marks=pytest.mark.slow),
        ("kit.mine:my_algorithm", "kit.mine:make_env"),
        pytest.param("kit.mine:my_algorithm", "toy/discrete --env.time-limit 4", marks=pytest.mark.slow),
        ("random", "pettingzoo:parade_of_mine --env.lanes 1"),
    ],
)
def test_beside_the_file_and_then_from_anywhere(project, tmp_path, monkeypatch, capsys, algorithm, environment):
    before = list(sys.path)
    assert train(f"{algorithm} {environment}") == 0
    monkeypatch.chdir(tmp_path)
    for line in ("evaluate project/run", "compare project/run random", "train --resume --out project/run --steps 12"):
        sys.path[:] = before
        elsewhere()
        assert main([*line.split()]) == 0
    assert capsys.readouterr().err == ""


def test_check_beside_the_file(project, capsys):
    assert main(["check", "carry:make_env"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["check", "kerry:make_env"]) == 2
    assert "there is no module 'kerry'" in capsys.readouterr().err


@pytest.mark.slow
def test_in_processes_of_their_own(project, tmp_path):
    """What the tests above imitate, once for real."""
    env = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}  # JAX set it here
    covey = [sys.executable, "-P", "-m", "covey"]  # -P: as the script `covey`, which does not look in its folder
    training = "train random carry:make_env --steps 8 --episodes 2 --quiet --out run"
    for line, folder in ((training, project), ("evaluate project/run", tmp_path)):
        done = subprocess.run([*covey, *line.split()], cwd=folder, env=env, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


def test_only_a_module_that_is_there_opens_the_folder(project):
    before = list(sys.path)
    for name in ("json", "no_such_module", "yaml.nodes", ""):
        modules.find(name, [project])
    assert sys.path == before
    assert modules.find("carry", [project])
    assert sys.path[0] == str(project)


def test_homes(project):
    for name in ("carry", "kit.mine"):
        modules.import_named(name)
        assert modules.home(name) == project
    assert modules.home("yaml") is None
    assert modules.home("sys") is None
    assert modules.home("never_imported") is None


NETWORK = {
    "directed": False,
    "multigraph": False,
    "nodes": [{"id": x} for x in "abc"],
    "links": [{"source": s, "target": t, "capacity": 10} for s, t in ("ab", "bc", "ac")],
}


@pytest.mark.slow
def test_a_network_file_with_a_relative_path(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "nets"
    folder.mkdir()
    (folder / "net.json").write_text(json.dumps(NETWORK))
    rows = np.random.default_rng(0).uniform(0.1, 1.0, (120, 9)).tolist()
    (folder / "traffic.hist").write_text("\n".join(" ".join(map(str, row)) for row in rows))
    monkeypatch.chdir(folder)
    line = "random routing:net.json --env.history 2 --env.time-limit 4 --env.matrices traffic.hist"
    assert train(line) == 0
    told = yaml.safe_load((folder / "run" / "config.yaml").read_text())
    assert (told["environment"]["id"], told["folder"]) == ("routing:net.json", str(folder))
    monkeypatch.chdir(tmp_path)
    for line in ("evaluate nets/run", "compare nets/run ecmp", "train --resume --out nets/run --steps 12"):
        assert main(line.split()) == 0
    assert open_run("nets/run").config.origin.environment == f"routing:{folder / 'net.json'}"
    assert capsys.readouterr().err == ""


# --------------------------------------------------------------------------------------------------- false warnings
def docs_environment() -> str:
    page = (DOCS / "your-environment.md").read_text()
    return next(block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "def make_env" in block)


def test_runs_in_an_environment_written_as_the_docs_show(project, capsys):
    (project / "carry.py").write_text(docs_environment())
    for name in ("one", "two"):
        line = f"train random carry:make_env --steps 8 --episodes 2 --chunk 4 --quiet --out {name}"
        assert main(line.split()) == 0
    assert main(["compare", "one", "two", "random"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["compare", "one", "--environment", "carry:make_env"]) == 0
    assert capsys.readouterr().err == ""
    assert compare(["one", "two"]).warnings == ()


PLAIN = """
from covey.environments.toy import discrete

class Plain:
    def __init__(self, bonus):
        self.bonus = bonus
        self._toy = discrete(time_limit=4, bonus=bonus)
        self.spec, self.reset, self.step = self._toy.spec, self._toy.reset, self._toy.step

def make_env(bonus: float = 0.0):
    return Plain(bonus)
"""


@pytest.mark.slow
def test_other_options_are_said(project, capsys):
    (project / "carry.py").write_text(PLAIN)
    for name, options in {"one": "", "same": " --env.bonus 0.0", "two": " --env.bonus 0.5"}.items():
        line = f"train random carry:make_env{options} --steps 8 --episodes 2 --chunk 4 --quiet --out {name}"
        assert main(line.split()) == 0
    assert main(["compare", "one", "same"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["compare", "one", "two"]) == 0
    assert "the run two was trained with other options" in capsys.readouterr().err
