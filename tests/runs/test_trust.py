"""Somebody else's run folder is data: nothing that it names is imported or called; every refusal is one sentence."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from somebody import refused, rewrite

import covey
from covey.cli import main
from covey.core.errors import BadInput
from covey.runs import trust
from covey.runs.compare import compare
from covey.runs.files import content
from covey.runs.policy import evaluate_run, open_run
from covey.runs.tournament import tournament


def made_of(kind: str, **fields):
    """The entry of an algorithm that is written as an object."""
    return {"algorithm": {"object": {"type": kind} | fields}}


def scripted(rule):
    return made_of("covey.core.algorithm:Scripted", groups=["a", "b"], rule=rule)


def partial(function, *args):
    return {"partial": function, "args": list(args), "keywords": {}}


def call(path):
    return {"function": path}


RANDOM = "covey.algorithms.random:Random"
SEAT = "covey.environments.pettingzoo.lanes:Seat"
SORTER = {"type": "covey.core.types:Table", "items": {"a": {"type": "graphlib:TopologicalSorter"}}}
NAMES = {
    "id of an environment": ({"environment": "witness:make"}, "witness"),
    "id with options": ({"environment": {"id": "witness:make", "options": {}}}, "witness"),
    "id in a package": ({"environment": "this_is_nowhere.inside:make"}, "this_is_nowhere.inside"),
    "standard library": ({"environment": "colorsys:rgb_to_yiq"}, "colorsys"),
    "attributes of attributes": ({"environment": "covey.core.types:math.prod"}, "covey.core.types"),
    "PettingZoo's module": ({"environment": "pettingzoo:witness"}, "witness"),
    "PettingZoo's registry": ({"environment": "pettingzoo:butterfly/pistonball_v6"}, "pettingzoo"),
    "function of covey's as environment": ({"environment": "covey.runs.files:locked"}, "covey.runs.files"),
    "object of an environment": ({"environment": {"name": "x", "object": {"type": "witness:World"}}}, "witness"),
    "id of an algorithm": ({"algorithm": "witness:mine"}, "witness"),
    "id with a preset": ({"algorithm": {"id": "witness:mine", "preset": "tuned"}}, "witness"),
    "self-play": ({"algorithm": {"id": "self-play/witness:mine"}}, "witness"),
    "self-play, spelled otherwise": ({"algorithm": {"id": "self_play/witness:mine"}}, "witness"),
    "object of an algorithm": (made_of("witness:Kind"), "witness"),
    "object beside a known id": ({"algorithm": {"id": "random", "object": {"type": "witness:Kind"}}}, "witness"),
    "function as a part": (scripted(call("witness:nothing")), "witness"),
    "partial": (scripted(partial(call("calendar:isleap"))), "calendar"),
    "argument of a partial": (
        scripted(partial(call("covey.environments.ising:aligned"), [{"list": [call("calendar:isleap")]}])),
        "calendar",
    ),
    "in a table": (scripted(SORTER), "graphlib"),
    "in a field that nobody has": (made_of(RANDOM, x=call("witness:make")), "witness"),
    "two meanings at once": (made_of(RANDOM, function="witness:make"), "witness"),
    "function of covey's that is no part": (scripted(call("covey.environments:make")), "covey.environments"),
    "function that is defined elsewhere": (scripted(call("covey.core.registry:unknown")), "covey.core.registry"),
    "class of covey's that is no record": (made_of("covey.core.workers:Workers"), "covey.core.workers"),
    "record that is defined elsewhere": (made_of("covey.core.loop:Run"), "covey.core.loop"),
    "record of a study's": (made_of("covey.studies.reproduce:Study"), "covey.studies.reproduce"),
    "covey as a program": (made_of("covey.__main__:main"), "covey.__main__"),
    "module of covey's that imports others": (made_of(SEAT), "covey.environments.pettingzoo.lanes"),
    "function of JAX": (scripted(call("jax:jit")), "jax"),
    "no module at all": (scripted(call("::")), ""),
}


@pytest.mark.parametrize(("entries", "module"), NAMES.values(), ids=NAMES)
def test_names_of_others(theirs, entries, module):
    rewrite(theirs, **entries)
    sentence = refused(lambda: open_run(theirs))
    assert f"code of the module {module!r} that does not come with covey" in sentence
    assert "`--trust`" in sentence
    assert "`trust=True`" in sentence


@pytest.mark.parametrize("line", ["evaluate run", "render run", "compare run random", "tournament run random",
                                  "train --resume --out run", "train --config run/config.yaml --out new"])  # fmt: skip
def test_every_command_refuses_and_obeys_the_flag(theirs, line, capsys):
    rewrite(theirs, environment="witness:make")
    before = tree(theirs)
    assert main(line.split()) == 2
    assert "code of the module 'witness'" in capsys.readouterr().err
    assert "witness" not in sys.modules
    assert tree(theirs) == before
    assert main([*line.split(), "--trust"]) in (0, 2)
    said = capsys.readouterr().err
    assert not said or "cannot be drawn" in said or "two sides" in said or "made with" in said
    assert "witness" in sys.modules


@pytest.mark.parametrize(
    "call",
    [
        covey.load,
        open_run,
        evaluate_run,
        lambda run, **how: compare([str(run)], **how),
        lambda run, **how: tournament([str(run), "random"], **how),
    ],
    ids=["load", "open_run", "evaluate_run", "compare", "tournament"],
)
def test_every_function_refuses(theirs, call):
    rewrite(theirs, environment="witness:make")
    assert "module 'witness'" in refused(lambda: call(theirs))
    with contextlib.suppress(BadInput):  # there are not two sides, or the checkpoint is of another environment
        call(theirs, trust=True)
    assert "witness" in sys.modules


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "run.lock"}


def test_a_run_of_known_names_opens_without_a_question(theirs):
    assert not trust.is_own(theirs / "config.yaml")
    assert evaluate_run(theirs).values
    assert int(covey.load(theirs, step=4).step) == 4


ALIASES = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9))
HEAD = "environment: toy/discrete\nalgorithm: random\n"
TEXTS = {
    "tag of Python": ("environment: !!python/object/apply:colorsys.rgb_to_yiq [1, 1]\n" + HEAD, "not valid YAML"),
    "tag of a module": ("environment: !!python/module:witness\nalgorithm: random", "not valid YAML"),
    "aliases of aliases": (ALIASES + HEAD, "with its aliases it spells more than"),
    "an alias of itself": ("environment: &e {id: toy/discrete, options: *e}\nalgorithm: random", "nested too deeply"),
    "brackets without end": ("[" * 3000, "nested too deeply"),
    "a name given twice": (HEAD + "environment: witness:make\n", "'environment' is given twice"),
    "merged from elsewhere": ("environment: {<<: {id: 'witness:make'}}\nalgorithm: random", "module 'witness'"),
    "no text": (b"\xff\xfe\x00", "not valid YAML"),
    "a list": ("- environment\n", "must be a mapping"),
    "numbers as names": (HEAD + "3: 4\n", "the entry '3' is unknown"),
    "options without names": ("algorithm: random\nenvironment: {id: toy/discrete, options: {1: 2}}", "of names"),
    "a date as path": (HEAD.replace("random", "witness:mine") + "path: [3]\n", "module 'witness'"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words"), TEXTS.values(), ids=TEXTS)
def test_yaml_of_others(theirs, text, words):
    (theirs / "config.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert words in refused(lambda: open_run(theirs))


DDPG = "covey.algorithms.ddpg:DDPG"
BOTH = ["a", "b"]
PLAN = made_of("covey.core.algorithm:Plan", horizon=3)
THREE = {"type": "covey.core.types:Discrete", "n": 3}
NUMBERS = {
    "steps": ({"steps": 10**30}, "the entry 'steps' must be a whole number"),
    "steps of 31 bits and one": ({"steps": 2**31}, "`steps` must be at most 2147483647"),
    "seeds": ({"seeds": 2**31}, "`seed` must be between"),
    "seeds and episodes": ({"seeds": 2**30}, "must be at most 2147483647"),
    "seeds and lanes": ({"seeds": 2**20, "envs": 2**20, "episodes": 1}, "`seeds` times `envs` must be at most"),
    "lanes": ({"envs": 2**40}, "must be at most 2147483647"),
    "infinite": ({"episodes": float("inf")}, "the entry 'episodes' must be a whole number, got inf"),
    "not a number": ({"chunk": float("nan")}, "the entry 'chunk' must be a whole number or nothing, got nan"),
    "text of a number": ({"steps": "1e400"}, "the entry 'steps' must be a whole number"),
    "option": ({"environment": {"id": "toy/discrete", "options": {"time_limit": 10**40}}}, "must be a whole number"),
    "negative": ({"episodes": -(10**20)}, "the entry 'episodes' must be a whole number"),
    "truth": ({"seeds": True}, "must be a whole number, got True"),
    "field": (made_of(DDPG, groups=BOTH, width=10**25), "the field 'width' of DDPG must be a whole number"),
    "a kind of part": (made_of(DDPG, groups=BOTH, critic=3), "the field 'critic' of DDPG"),
    "no function": (scripted(3), "the field 'rule' of Scripted must be a function"),
    "partial of a number": (scripted(partial(3)), "must be a function"),
    "record that is no algorithm": (PLAN, "not an algorithm but a Plan"),
    "record that is no environment": ({"environment": {"object": THREE}}, "not an environment but a Discrete"),
    "abstract": (made_of("covey.core.algorithm:Algorithm"), "is not a record with fields"),
    "table of nothing": (made_of("covey.core.types:Table", items=3), "must be a mapping"),
}


@pytest.mark.parametrize(("entries", "words"), NUMBERS.values(), ids=NUMBERS)
def test_numbers_and_kinds_of_others(theirs, entries, words):
    rewrite(theirs, **entries)
    assert words in refused(lambda: open_run(theirs))


def test_more_digits_than_anybody_reads(theirs):
    file = theirs / "config.yaml"
    file.write_text(file.read_text() + "evaluate_every: " + "9" * 5000)
    assert "not valid YAML" in refused(lambda: open_run(theirs))


# ------------------------------------------------------------------------------------------------ links and other files
LINKS = ("config.yaml", "config.npz", "checkpoints", "metrics.jsonl", "run.lock", "policies/4")
PIPES = ("config.yaml", "config.npz", "config.seal", "metrics.jsonl", "checkpoints/8/about.json")


@pytest.mark.parametrize("name", LINKS)
@pytest.mark.parametrize("command", ["evaluate run", "train --resume --out run --steps 12"])
def test_links_out_of_the_folder(theirs, tmp_path, name, command, capsys):
    target, place = tmp_path / "mine", theirs / name
    target.write_text("mine\n")
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    place.symlink_to(target)
    assert main(command.split()) == 2
    assert capsys.readouterr().err.count("is a link to") == 1
    assert target.read_text() == "mine\n"
    assert place.is_symlink()


def test_links_inside_the_folder_and_to_it(theirs, tmp_path):
    (theirs / "newest").symlink_to("checkpoints/8")
    (tmp_path / "alias").symlink_to(theirs)
    assert open_run(tmp_path / "alias").step == 8
    (theirs / "checkpoints").rename(tmp_path / "elsewhere")
    (theirs / "checkpoints").symlink_to(tmp_path / "elsewhere")
    refused(lambda: open_run(theirs))
    assert open_run(theirs, trust=True).step == 8


def test_links_in_a_run_of_ones_own(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    (tmp_path / "run" / "checkpoints").rename(tmp_path / "large-disk")
    (tmp_path / "run" / "checkpoints").symlink_to(tmp_path / "large-disk")
    assert open_run(tmp_path / "run").step == 8


@pytest.mark.parametrize("name", PIPES)
def test_pipes_are_not_waited_for(theirs, name):
    (theirs / name).unlink(missing_ok=True)
    os.mkfifo(theirs / name)
    assert "neither a file nor a folder" in refused(lambda: open_run(theirs))
    with pytest.raises(OSError, match="no regular file"):
        content(theirs / name)


# ---------------------------------------------------------------------------------------------------------- checkpoints
def about(folder: Path, change) -> None:
    file = folder / "checkpoints" / "8" / "about.json"
    said = json.loads(file.read_text())
    shutil.rmtree(folder / "policies")
    file.write_text(json.dumps(change(said)))


ABOUTS = {
    "a list": lambda a: [],
    "nothing": lambda a: None,
    "without a format": lambda a: {n: x for n, x in a.items() if n != "format"},
    "a step beyond all": lambda a: a | {"step": 10**40},
    "another step": lambda a: a | {"step": 4},
    "step as text": lambda a: a | {"step": "8"},
    "files as a list": lambda a: a | {"files": []},
    "identity of nothing": lambda a: a | {"identity": {}},
    "settings as text": lambda a: a | {"identity": a["identity"] | {"settings": "x"}},
    "settings of numbers": lambda a: a | {"identity": a["identity"] | {"settings": {"seeds": 1}}},
    "shapes as a list": lambda a: a | {"shapes": []},
    "identity as a list": lambda a: a | {"identity": ["Random", "toy/discrete", {}]},
    "versions as text": lambda a: a | {"versions": "x"},
    "format as a list": lambda a: a | {"format": []},
}


@pytest.mark.parametrize("change", ABOUTS.values(), ids=ABOUTS)
def test_what_a_checkpoint_says(theirs, change):
    about(theirs, change)
    refused(lambda: open_run(theirs))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"step": ' + "9" * 5000 + "}", "\x00", ""])
def test_json_of_others(theirs, text):
    (theirs / "checkpoints" / "8" / "about.json").write_text(text)
    assert "damaged" in refused(lambda: open_run(theirs))


@pytest.mark.parametrize("pace", [[10**30, True], [1], "fast", [0.5, False], [1, 2], None])
def test_the_pace_of_others(theirs, pace, capsys):
    about(theirs, lambda a: a | {"host": {"pace": pace, "train_s": 1.0}})
    assert main(["train", "--resume", "--out", "run", "--steps", "12", "--quiet"]) == 2
    assert "the entry 'pace'" in capsys.readouterr().err


def test_arrays_of_others(theirs):
    packed = theirs / "config.npz"
    np.savez_compressed(packed, zeros=np.zeros(10**7))
    assert "compressed" in refused(lambda: open_run(theirs))
    np.savez(packed, things=np.array([{"a": 1}], object))
    assert "allow_pickle" in refused(lambda: open_run(theirs))
