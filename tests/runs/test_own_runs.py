"""Runs of one's own: seals, what they are good for, and that what covey writes needs none."""

from __future__ import annotations

import contextlib
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from somebody import WITNESS, refused, rewrite

import covey
from covey import algorithms, environments
from covey.core.errors import BadInput
from covey.runs import config as configs
from covey.runs import fields, trust
from covey.runs.config import Config, Origin
from covey.runs.policy import open_run


# ---------------------------------------------------------------------------------------------------- runs of one's own
@pytest.fixture
def own(theirs, tmp_path):
    """A run of this user's in the witness's environment."""
    options = {"steps": 8, "episodes": 2, "chunk": 4, "quiet": True}
    return covey.train("witness:mine", "witness:make", out=tmp_path / "own", **options).folder


def forget(*paths: Path) -> None:
    """As in a new process that was started elsewhere."""
    sys.modules.pop("witness", None)
    for path in paths:
        while str(path) in sys.path:
            sys.path.remove(str(path))


def test_ones_own_run_opens_from_anywhere_moved_or_copied(own, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    own.rename(tmp_path / "moved")
    shutil.copytree(tmp_path / "moved", tmp_path / "copied")
    for name in ("moved", "copied"):
        forget(tmp_path)
        assert open_run(tmp_path / name).step == 8
        assert Path(str(sys.modules["witness"].__file__)).parent == tmp_path
    resumed = covey.train(
        "witness:mine", "witness:make", out=tmp_path / "moved", resume=True, steps=12, episodes=2, quiet=True
    )
    assert resumed.summary["steps"] == 12


def test_a_run_is_not_ones_own_by_claim(own, theirs, tmp_path, monkeypatch):
    file, seal = own / "config.yaml", own / "config.seal"
    forget()
    assert trust.is_own(file)
    text = file.read_text()
    file.write_text(text.replace("steps: 8", "steps: 9"))
    assert not trust.is_own(file)
    file.write_text(text)
    np.savez(own / "config.npz", more=np.zeros(1))
    assert not trust.is_own(file)
    (own / "config.npz").unlink()
    rewrite(theirs, environment="witness:make")
    shutil.copy(seal, theirs / "config.seal")
    refused(lambda: open_run(theirs))
    for claim in ("", "0" * 64, "ü" * 64, "x" * 10**6):
        seal.write_text(claim)
        refused(lambda: open_run(own))
    seal.unlink()
    refused(lambda: open_run(own))


def test_keys_differ_between_users(own, tmp_path, monkeypatch):
    key = trust.key_file()
    assert (key.stat().st_mode & 0o777, key.stat().st_size) == (0o600, 32)
    assert [path.name for path in key.parent.iterdir()] == ["secret"]
    forget()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another"))
    refused(lambda: open_run(own))
    assert not trust.key_file().exists()  # opening writes nothing
    trust.seal("config", b"")
    refused(lambda: open_run(own))
    for harm in (b"", b"short", b"x" * 33):
        trust.key_file().write_bytes(harm)
        refused(lambda: open_run(own))


def test_the_state_folder_of_the_specification(monkeypatch, tmp_path):
    """XDG: a relative path is to be ignored; here it would let the current folder say whose run it is."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("", "state", "./state"):
        monkeypatch.setenv("XDG_STATE_HOME", value)
        assert trust.key_file() == tmp_path / ".local" / "state" / "covey" / "secret"


def test_where_no_key_can_be_kept_training_goes_on(theirs, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    options = {"steps": 8, "episodes": 2, "chunk": 4, "quiet": True}
    folder = covey.train("random", "witness:make", out=tmp_path / "own", **options).folder
    assert not (folder / "config.seal").exists()
    assert open_run(folder, trust=True).step == 8
    forget()
    refused(lambda: open_run(folder))


def test_the_module_has_to_be_where_it_was(own, tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    (tmp_path / "witness.py").rename(here / "witness.py")
    monkeypatch.chdir(here)
    forget(tmp_path)
    assert "put it back there" in refused(lambda: open_run(own))
    assert open_run(own, trust=True).step == 8
    forget(here)
    (tmp_path / "witness.py").write_text(WITNESS)
    sys.path.insert(0, str(here))
    __import__("witness")
    with pytest.raises(BadInput, match="has loaded another one of that name"):  # never silently the other
        open_run(own)


@pytest.mark.slow
def test_a_saved_environment_is_restored_for_its_owner_only(tmp_path, monkeypatch):
    from tiny import SavedHostToy, tiny

    restored = []

    class Noted(SavedHostToy):
        def restore(self, content):
            restored.append(content)
            super().restore(content)

    def train(**how):
        world = Noted(2)
        how = {"steps": 8, "envs": 2, "episodes": 2, "chunk": 2, "quiet": True, "out": tmp_path / "run"} | how
        return covey.train(tiny(world.spec), world, **how)

    train()
    train(resume=True, steps=12)
    assert len(restored) == 1
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another"))
    with pytest.raises(BadInput, match="not saved by this user"):
        train(resume=True, steps=16)
    assert len(restored) == 1
    train(resume=True, steps=16, trust=True)
    assert len(restored) == 2


# ------------------------------------------------------------------------------------------------------------ the lists
EVERYTHING = [
    *[("random", id) for id in environments.WORLDS if not id.startswith("routing/")],
    *[("random", "routing/small"), ("ecmp", "routing/small"), ("wcmp-residual", "routing/small")],
    *[(id, "toy/discrete") for id in algorithms.ALIASES if id != "att-maddpg"],
    *[("att-maddpg", "toy/graph"), ("self-play/ippo", "toy/duel"), ("optimal", "toy/continuous"), ("charge", "battle")],
    *[("greedy-pursuit", "navigation"), ("assignment", "navigation"), ("surround", "pursuit"), ("heat-bath", "ising")],
    *[("assigned-landmarks", "particle/spread"), ("optimal", "toy/duel"), ("best-assignment", "navigation")],
]


@pytest.mark.parametrize(("algorithm", "id"), EVERYTHING, ids=lambda x: x)
def test_what_covey_writes_needs_no_trust(tmp_path, monkeypatch, algorithm, id):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "mine"))
    environment = environments.make(id)
    made = algorithms.make(algorithm, environment)
    configs.write(Config(made, environment, Origin(id, {}, algorithm)), tmp_path / "named.yaml")
    configs.write(Config(made, environment), tmp_path / "objects.yaml")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "somebody-else"))
    back = configs.read(tmp_path / "named.yaml")
    assert configs.fingerprint(back) == configs.fingerprint(Config(made, environment, Origin(id, {}, algorithm)))
    for file in ("named.yaml", "objects.yaml"):
        assert trust.foreign(yaml.safe_load((tmp_path / file).read_text())) == []


LEAVES = st.sampled_from(["os:getcwd", "witness:make", "x", 3, None, "covey.core.types:Discrete"])
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*fields.MARKS, "args", "keywords", "items", "a"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(TREES)
def test_whatever_is_decoded_was_listed(tree):
    """`decode` asks for no name that `imports` does not list."""
    asked = []

    def noted(path, what):
        asked.append(path)
        raise BadInput("nothing is imported here.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fields, "locate", noted)
        with contextlib.suppress(BadInput):
            fields.decode(tree, None, {})
    assert set(asked) <= set(fields.imports(tree))


# --------------------------------------------------------------------------------------------------- what makers return
NO_ENVIRONMENTS = ("witness:nothing", "witness:Kind", "witness:WITNESS", "colorsys:rgb_to_yiq", "witness:make.x")
NO_ALGORITHMS = ("witness:nothing", "witness:make", "calendar:isleap.x", "colorsys:ONE_THIRD", "calendar:monthrange")


@pytest.mark.parametrize("id", NO_ENVIRONMENTS)
def test_what_makes_no_environment(theirs, id):
    with pytest.raises(BadInput, match="environment"):
        covey.make(id)


@pytest.mark.parametrize("id", NO_ALGORITHMS)
def test_what_makes_no_algorithm(theirs, id):
    with pytest.raises(BadInput, match="algorithm"):
        algorithms.make(id, covey.make("toy/discrete"))
