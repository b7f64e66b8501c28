"""Runs on authored functions: they are named, kept with the run, and asked for by their SHA-256 from then on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from test_trial import authored

import covey
from covey.authored import folder
from covey.authored.reward import Rewarded, without_authored_reward
from covey.authored.rule import AuthoredRule
from covey.cli import main
from covey.core.errors import BadInput
from covey.runs import config as configs
from covey.runs.compare import compare
from covey.runs.policy import open_run
from covey.testing.as_host import AsHost

LINE = "lamarl navigation --env.time-limit 5 --prior authored/near --reward authored/nearer"
TINY = "--episodes 2 --envs 2 --width 8 --replay.batch 4 --replay.capacity 64 --warmup 4 --quiet"


@pytest.fixture(scope="module")
def place(contract, tmp_path_factory):
    """A folder in which two authors have written: `near` pays within 1, `nearer` within 0.5; and a run on both."""
    place = tmp_path_factory.mktemp("authored")
    for name, distance in (("near", 1.0), ("nearer", 0.5)):
        where = place / "authored" / name
        where.mkdir(parents=True)
        folder.save(where, f"# {name}\n", authored(contract, near=distance))
        folder.save_report(where, {"task": name})
    with contextlib.chdir(place):
        assert train(f"{LINE} --steps 20 --out run") == 0
    return place


@pytest.fixture
def home(place, tmp_path, monkeypatch):
    """The current folder: both authors' folders, and no run."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(place / "authored", "authored")
    return tmp_path


def train(line):
    return main(["train", *line.split(), *TINY.split()])


def sha(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@pytest.fixture
def run(place, home):
    """The run, whose prior and reward are authored, as if it had been trained here."""
    shutil.copytree(place / "run", "run")
    document = yaml.safe_load(Path("run/config.yaml").read_text())
    Path("run/config.yaml").write_text(yaml.safe_dump(document | {"folder": str(home)}))
    return Path("run")


def test_a_run_keeps_what_it_was_trained_with(run):
    document = yaml.safe_load((run / "config.yaml").read_text())
    assert document["environment"] == {"id": "navigation", "options": {"time_limit": 5}, "reward": "authored/nearer"}
    wanted = {f"authored/{name}": sha(f"authored/{name}/program.json") for name in ("near", "nearer")}
    assert document["authored"] == wanted
    for name, digest in wanted.items():
        (copy,) = run.glob(f"authored/{digest[:16]}")
        for file in ("program.json", "source.py", "report.json"):
            assert (copy / file).read_bytes() == Path(name, file).read_bytes()
    policy = covey.load(run)
    assert isinstance(policy.environment, Rewarded)
    algorithm: Any = policy.algorithm
    rule = algorithm.prior.policy.rule
    assert isinstance(rule, AuthoredRule)
    kept = [authored.kept for authored in (rule.authored, policy.environment.authored)]
    assert [x and x.sha256 for x in kept] == [wanted["authored/near"], wanted["authored/nearer"]]


def test_it_is_evaluated_by_the_environments_own_reward(run):
    summary = json.loads((run / "summary.json").read_text())
    assert summary["evaluation"]["return/agent/mean_agent"]["mean"] < -1.0  # it is never above 0
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    earned = [line["values"]["return/agent/mean_agent"] for line in lines if line["kind"] == "train"]
    assert earned
    assert all(0.0 <= x <= 5.0 for values in earned for x in values)  # of the authored one, five steps of at most 1


@pytest.mark.slow
def test_it_goes_on_without_the_folders_and_from_elsewhere(run, monkeypatch, tmp_path_factory, capsys):
    before = (run / "summary.json").read_text()
    shutil.rmtree("authored")
    where = run.absolute()
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert main(["evaluate", str(where), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["evaluation"] == json.loads(before)["evaluation"]
    assert main(["compare", str(where), "greedy-pursuit", "random", "--episodes", "2"]) == 0
    assert "with other" not in capsys.readouterr().err
    assert main(["render", str(where), "--out", "film.gif"]) == 0
    assert main(["train", "--resume", "--out", str(where), "--steps", "40", "--quiet"]) == 0
    assert int(covey.load(where).step) == 40
    assert main(["train", "--config", str(where / "config.yaml"), "--out", "again", "--quiet"]) == 0
    assert (
        sha(next(Path("again").glob("authored/*/program.json")))
        in yaml.safe_load(Path("again/config.yaml").read_text())["authored"].values()
    )


@pytest.mark.slow
def test_it_repeats_to_the_bit(run):
    assert main(["train", "--config", "run/config.yaml", "--out", "again", "--quiet"]) == 0
    assert Path("again/evaluation.csv").read_bytes() == (run / "evaluation.csv").read_bytes()


@pytest.mark.slow
def test_runs_on_different_rewards_are_compared(run):
    quick = {"width": 8, "replay.batch": 4, "replay.capacity": 64, "warmup": 4}
    options = {"time_limit": 5}
    covey.train("iddpg", "navigation", options=options, steps=20, episodes=2, settings=quick, out="plain", quiet=True)
    rows = {row.label: row for row in compare(["run", "plain", "random"], episodes=2).rows}
    assert set(rows) == {"run", "plain", "random"}
    assert (rows["run"].returns < -1.0).all()
    assert compare(["plain", "run"], episodes=2).warnings == ()


@pytest.mark.slow
def test_in_python(home):
    settings = {"width": 8, "replay.batch": 4, "replay.capacity": 64, "warmup": 4}
    result = covey.train(
        "iddpg", "navigation", steps=20, reward="authored/near", settings=settings, episodes=2, out="run", quiet=True
    )
    assert (np.asarray(result.evaluation.values["return/agent/mean_agent"]) < -1.0).all()
    config = open_run("run").config
    assert config.origin.reward == "authored/near"
    assert without_authored_reward(config.environment).spec.shared_reward
    back = configs.read(Path("run/config.yaml"))
    assert configs.fingerprint(back) == configs.fingerprint(config)


# ---------------------------------------------------------------------------------------------------------------------
# What differs is refused


def said(capsys):
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_copy_that_was_changed(run, capsys):
    for file in run.glob("authored/*/program.json"):
        file.write_bytes(file.read_bytes() + b"\n")
    for command in (["evaluate", "run"], ["train", "--resume", "--out", "run"]):
        assert main(command) == 2
        assert "are not those that the run was trained with (the SHA-256 of program.json is " in said(capsys)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["prior", "reward"])
def test_another_folder_under_the_same_name(part, run, capsys):
    """The run itself still opens: it has a copy."""
    name = {"prior": "near", "reward": "nearer"}[part]
    other = {"near": "nearer", "nearer": "near"}[name]
    shutil.copy(f"authored/{other}/program.json", f"authored/{name}/program.json")
    covey.load(run)
    assert train(f"{LINE} --steps 40 --resume --out run") == 2
    assert f"was made with authored/{name} (SHA-256) = " in said(capsys)
    assert train(f"--config run/config.yaml --{part} authored/{name} --out again") == 0
    document = yaml.safe_load(Path("again/config.yaml").read_text())
    assert document["authored"][f"authored/{name}"] == sha(f"authored/{other}/program.json")


def test_another_reward_is_another_run(run, capsys):
    for reward in ("authored/near", "none"):
        assert main(["train", "--resume", "--out", "run", "--reward", reward]) == 2
        assert "was made with reward = authored/nearer, and now it is " in said(capsys)


@pytest.mark.slow
def test_a_reward_is_left_out_again(run):
    assert train("--config run/config.yaml --reward none --out again") == 0
    document = yaml.safe_load(Path("again/config.yaml").read_text())
    assert "reward" not in document["environment"]
    assert set(document["authored"]) == {"authored/near"}


def test_without_a_copy_the_folder_is_read(run, monkeypatch, tmp_path):
    """As for a configuration that was copied alone, or written by hand; names are relative to where training was."""
    shutil.rmtree("run/authored")
    monkeypatch.chdir(tmp_path / "authored")
    policy = covey.load(tmp_path / "run")
    assert isinstance(policy.environment, Rewarded)
    shutil.copy("near/program.json", "nearer/program.json")
    with pytest.raises(BadInput, match="are not those that the run was trained with"):
        covey.load(tmp_path / "run")


REFUSED = {
    "no such folder": ("navigation --reward none/such", "there is no folder none/such with an authored reward"),
    "nothing admitted": ("navigation --reward empty", "holds no authored functions (it has no program.json)"),
    "no reward in it": ("navigation --reward half.json", "does not hold both programs"),
    "another environment": ("toy/continuous --reward authored/near", "are for another environment: in"),
    "other agents": ("navigation --env.agents 4 --reward authored/near", "agents see other things"),
}


@pytest.mark.parametrize(("line", "words"), REFUSED.values(), ids=REFUSED)
def test_rewards_that_are_none(line, words, home, capsys):
    Path("empty").mkdir()
    document = json.loads(Path("authored/near/program.json").read_text())
    del document["programs"]["reward"]
    Path("half.json").write_text(json.dumps(document))
    assert train(f"iddpg {line} --steps 4 --out run") == 2
    assert words in said(capsys)
    assert not Path("run").exists()


def test_environments_outside_jax(home):
    environment = AsHost(covey.make("navigation"), lanes=2)
    with pytest.raises(BadInput, match="'navigation' is outside: train on its own reward"):
        covey.train("iddpg", environment, steps=4, reward="authored/near", quiet=True)


class StateAlone:
    """`navigation`, whose `reset` forgets what agents see."""

    def __init__(self):
        self.inner = covey.make("navigation")
        self.spec = self.inner.spec

    def reset(self, key):
        return self.inner.reset(key)[0]

    def step(self, key, state, action):
        return self.inner.step(key, state, action)


def test_an_environment_that_breaks_its_spec(home):
    with pytest.raises(BadInput, match="'StateAlone' cannot be trained in: `reset` returned a"):
        covey.train("iddpg", StateAlone(), steps=4, reward="authored/near", quiet=True)


@pytest.mark.parametrize("entry", ["near", ["near"], {"near": "abc"}, {"near": "../" * 10}, {1: "0" * 64}])
def test_digests_that_are_none(entry, run):
    document = yaml.safe_load((run / "config.yaml").read_text())
    document["authored"] = entry
    (run / "config.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(BadInput, match="entry 'authored'"):
        covey.load(run)
