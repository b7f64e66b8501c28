"""What people get wrong: one sentence on stderr, exit code 2, no traceback, and nothing lost.

A row is a command line and words that its sentence must hold. `{run}` is a finished run of `random` in `toy/discrete`,
`{iddpg}` one of `iddpg` that has only begun, `{files}` a folder of wrong files, `{new}` a folder that does not exist.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shlex
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
import yaml

from covey import algorithms, environments
from covey.algorithms.ddpg import DDPG
from covey.cli import main
from covey.core.errors import BadInput
from covey.core.loop import start
from covey.environments.routing.network import make_network
from covey.environments.routing.paths import shortest_paths
from covey.learning.replay import Replay
from covey.runs import checkpoint
from covey.runs import config as configs
from covey.runs.begin import identity
from covey.runs.config import Config, Origin
from covey.runs.files import locked

ROUTING = Path(__file__).parent / "environments" / "routing" / "fixtures"
GRAMMARS = {
    "sndlib": "sndlib/ring.txt",
    "sndlib xml": "sndlib-xml/ring.xml",
    "gml": "graphs/square.gml",
    "graphml": "graphs/square.graphml",
    "json": "figret/net.json",
    "repetita": "repetita/line.graph",
    "cfr-rl": "cfrrl/Tiny",
}
COVEY = str(Path(sys.executable).with_name("covey"))


# ------------------------------------------------------------------------------------------------------------ the table
NAMES = [
    ("trian", "the command 'trian' is unknown; did you mean 'train'?"),
    ("--hlep", "the option '--hlep' is unknown; did you mean '--help'?"),
    ("train", "needs an algorithm and an environment"),
    ("train maddpg", "needs an algorithm and an environment"),
    ("train att-madpg toy/graph", "the algorithm 'att-madpg' is unknown; did you mean 'att-maddpg'?"),
    ("train maddpg toy/grahp", "the environment 'toy/grahp' is unknown; did you mean 'toy/graph'?"),
    ("train maddpg routing:", "the environment 'routing:' "),
    ("train maddpg no.such.module:make", "there is no module 'no'"),
    ("train maddpg covey.environments.toy:discret", "did you mean 'discrete'?"),
    ("train no.such.module:make toy/graph", "there is no module 'no'"),
    ("train ecmp toy/graph", "is a rule of routing, and this environment is 'toy/graph'"),
    ("train maddpg toy/graph --gama 0.9", "the option '--gama' is unknown; did you mean '--gamma'?"),
    ("train maddpg toy/graph --critic.heads 4", "the option '--critic.heads' is unknown"),
    ("train maddpg toy/graph --env.time_limt 4", "did you mean '--env.time-limit'?"),
    ("train random toy/graph --gamma 0.9", "the option '--gamma' is unknown"),
    ("train -steps 3 maddpg toy/graph", "two dashes: --steps instead of -steps"),
    ("train maddpg toy/graph more", "does not know what to do with 'more'"),
    ("train maddpg toy/graph --steps", "a value is missing for '--steps'"),
    ("train maddpg toy/graph --preset papr", "the preset 'papr' is unknown; did you mean 'paper'?"),
    ("train random toy/graph --preset paper", "the preset 'paper' is unknown"),
    ("train ecmp routing/small --preset paper", "'ecmp' is a rule and has no presets"),
    ("train maddpg toy/graph --critic attention", "for --critic the choice 'attention' is unknown"),
    ("train maddpg toy/graph --exploration gausian", "did you mean 'gaussian'?"),
    ("train maddpg toy/graph --teammates foes", "invalid choice 'foes' for argument '--teammates'"),
    ("train random toy/graph --tracker tensorbord", "invalid choice 'tensorbord'"),
    ("list algorithm", "did you mean 'algorithms'?"),
    ("evaluate", "which run? Give its folder"),
    ("evaluate {run} --epsodes 3", "did you mean '--episodes'?"),
    ("reproduce", "which study?"),
    ("reproduce att-maddpg/dem", "the study 'att-maddpg/dem' is unknown; did you mean 'att-maddpg/demo'?"),
    ("check", "what should be checked?"),
    ("check no.such.module:make", "there is no module 'no'"),
    ("check toy/discret", "did you mean 'toy/discrete'?"),
    ("compare", "what should be compared?"),
]

VALUES = [
    ("train maddpg toy/graph --steps many", "--steps must be a whole number, got 'many'"),
    ("train maddpg toy/graph --steps 1.5", "--steps must be a whole number, got '1.5'"),
    ("train maddpg toy/graph --envs few", "--envs must be a whole number, got 'few'"),
    ("train credit-mappo toy/discrete --credit.eta high", "--credit.eta must be a number, got 'high'"),
    ("reproduce credit/e4 --seeds many", "--seeds must be a whole number, got 'many'"),
    ("reproduce credit/e4 --seeds 1", "a study needs at least 2 seeds, not 1"),
    ("train maddpg toy/graph --steps 0", "`steps` must be at least 1, got 0"),
    ("train maddpg toy/graph --steps 3e9", "`steps` must be at most 2147483647"),
    ("train maddpg toy/graph --seeds 0", "`seeds` must be at least 1, got 0"),
    ("train maddpg toy/graph --envs 0", "`envs` must be at least 1, got 0"),
    ("train maddpg toy/graph --seed -1", "`seed` must be between 0"),
    ("train maddpg toy/graph --episodes 0", "`episodes` must be at least 1, got 0"),
    ("train maddpg toy/graph --evaluate-every 0", "`evaluate_every` must be at least 1"),
    ("train maddpg toy/graph --gamma high", "--gamma must be a number, got 'high'"),
    ("train maddpg toy/graph --gamma 1.01", "`gamma` must lie in [0, 1], got 1.01"),
    ("train maddpg toy/graph --gamma nan", "--gamma must be a number, got 'nan'"),
    ("train maddpg toy/graph --tau 0", "`tau` must lie in (0, 1], got 0"),
    ("train maddpg toy/graph --tau 1.5", "`tau` must lie in (0, 1], got 1.5"),
    ("train maddpg toy/graph --actor-lr -0.1", "`actor_lr` must be at least 0, got -0.1"),
    ("train maddpg toy/graph --critic-lr inf", "`critic_lr` must be at least 0 and finite, got inf"),
    ("train maddpg toy/graph --clip 0", "`clip` must be above 0, got 0"),
    ("train maddpg toy/graph --temperature 0", "`temperature` must be above 0, got 0"),
    ("train maddpg toy/graph --horizon 0", "`horizon` must be at least 1, got 0"),
    ("train maddpg toy/graph --updates 0", "`updates` must be at least 1, got 0"),
    ("train maddpg toy/graph --warmup -1", "`warmup` must be at least 0, got -1"),
    ("train matd3 toy/graph --delay 0", "`delay` must be at least 1, got 0"),
    ("train maddpg toy/graph --width 0", "`width` must be at least 1, got 0"),
    ("train maddpg toy/graph --critic.width 0", "`width` must be at least 1, got 0"),
    ("train att-maddpg toy/graph --critic.heads 0", "at least one head, got heads=0"),
    ("train att-maddpg toy/graph --critic.scale -1", "`scale` must be at least 0, got -1"),
    ("train att-maddpg navigation --env.agents 1", "attends to teammates, and navigation has one agent"),
    ("train iddpg navigation --env.agents 1 --critic attention-heads --out {new}", "navigation has one agent"),
    ("train maddpg toy/graph --replay.batch 0", "`batch` must be at least 1, got 0"),
    (
        "train maddpg toy/graph --replay.batch 65 --replay.capacity 64",
        "the batch (65) is larger than the replay buffer",
    ),
    ("train maddpg toy/graph --twin maybe", "invalid choice 'maybe' for argument '--twin'"),
    ("train maddpg toy/graph --exploration.sigma.start -1", "`start` must be at least 0, got -1"),
    ("train maddpg toy/graph --exploration ornstein-uhlenbeck --exploration.theta 2", "`theta` must lie in [0, 1]"),
    ("train maddpg toy/graph --exploration mixing --exploration.epsilon.start 2", "`start` must lie in [0, 1], got 2"),
    ("train maddpg toy/continuous --exploration towards-uniform --out {new}", "is for split actions"),
    ("train maddpg toy/graph --env.time-limit 0", "time_limit is 0"),
    ("train maddpg toy/continuous --env.stride -1", "the stride is -1"),
    ("train maddpg navigation --env.agents 0", "there are 0 agents"),
    ("train maddpg navigation --env.size inf", "the side of the plane is inf"),
    ("train maddpg navigation --env.speed 0", "speed is 0"),
    ("train maddpg pursuit --env.unit 0", "`unit` is 0"),
    ("train maddpg routing/small --env.delays maybe", "invalid choice 'maybe' for argument '--env.delays'"),
    ("train maddpg routing/small --env.failure-rate 2", "`failure_rate` is a probability"),
    ("train maddpg routing/small --env.demand-scale -1", "`demand_scale` must be a positive number"),
    ("train maddpg routing/small --env.time-limit 0", "at least one step"),
    ("train maddpg routing/small --env.penalty -1", "`penalty` must be a finite number of at least 0"),
    ("train mfq squeeze --field.scope near --out {new}", "squeeze has no neighborhood"),
    ("train maddpg navigation --critic neighbors --out {new}", "set its option `nearest`"),
    ("train mappo navigation --sees neighbors --out {new}", "navigation lists no neighbors"),
    ("train maddpg navigation --env.nearest 3", "can list from 0 to 2 others"),
    ("train maddpg particle/tag --env.nearest -1", "can list from 0 to 3 others"),
    ("train maddpg toy/graph --env.routers 0", "at least one behind the gate"),
    ("train mfq ising --env.size 5 --env.update checkerboard", "is no checkerboard"),
    ("train mfq ising --env.temperature 0", "temperature"),
    ("train mfq battle --env.size 8", "too small for its armies"),
    ("train mfq battle --env.order chaos", "invalid choice 'chaos' for argument '--env.order'"),
    ("train matwm toy/continuous", "has continuous actions, and matwm learns discrete ones: use 'mappo' or 'maddpg'"),
    ("train matwm toy/graph", "has continuous actions, and matwm learns discrete ones"),
    ("train matwm toy/discrete --replay.capacity 20", "the sequences (26 steps) are longer than the replay buffer"),
    ("train matwm toy/discrete --model.heads 5", "5 heads do not divide the `width` 128"),
    ("train matwm toy/discrete --inner pppo", "for --inner the choice 'pppo' is unknown; did you mean 'ppo'?"),
    ("train matwm toy/pictures --model.encoder.channels []", "`channels` needs one stage of at least one filter"),
    ("train self-play/mfq toy/discrete", "playing both sides takes two groups that are alike"),
    ("train self-play/mfqq toy/duel", "for self-play the algorithm 'mfqq' is unknown; did you mean 'mfq'?"),
    ("train self-play/mfq toy/duel --past -1", "`past` must be at least 0, got -1"),
    ("train self-play/mfq toy/duel --share 2", "`share` must lie in [0, 1], got 2"),
    ("train self-play/mfq toy/duel --inner.gamma 2", "`gamma` must lie in [0, 1], got 2"),
    ("train random toy/duel --keep-every 0", "`keep_every` must be at least 1 or left out, got 0"),
    ("tournament", "who should play?"),
    ("tournament optimal --environment toy/duel", "needs two contenders at least"),
    ("tournament optimal random", "rules alone do not say where they are to play"),
    ("tournament optimal random --environment toy/duel --games 1", "at least two games of a pair"),
    ("tournament optimal mfq --environment toy/duel", "'mfq' has to be trained before it can play"),
    ("tournament {run} optimal", "playing both sides takes two groups that are alike"),
    ("tournament {run}@7 random", "has no checkpoint of step 7"),
    ("evaluate {run} --episodes 0", "at least one episode, got 0"),
]

FILES = [
    *((f"train maddpg 'routing:{{files}}/missing/{Path(f).name}'", "cannot be read") for f in GRAMMARS.values()),
    *((f"train maddpg 'routing:{{files}}/cut/{Path(f).name}'", Path(f).name) for f in GRAMMARS.values()),
    ("train maddpg routing:{files}/island.json", "no path leads from"),
    ("train maddpg routing:{files}/hub.json", "the link Inner→Outer has no capacity"),
    ("train maddpg routing:{files}/hub.json --env.capacity -1", "capacity -1"),
    ("train maddpg routing:{files}/prose.txt", "is in no known grammar"),
    ("train maddpg routing:{files}/hub.json --env.grammar gmll", "did you mean 'gml'?"),
    ("train maddpg routing:{files}/Tiny --env.matrices {files}/negative", "the demand -3 is negative"),
    ("train maddpg routing:{files}/Tiny --env.matrices {files}/infinite", "'inf' is not finite"),
    ("train maddpg routing:{files}/Tiny --env.matrices {files}/short", "5 values where 9"),
    ("train maddpg routing:{files}/Tiny --env.matrices {files}/missing", "is an empty folder"),
    ("train maddpg routing:{files}/Tiny --env.matrices {files}/nothing", "demand nothing"),
    ("train maddpg routing:{files}/figret/net.json", "have demand from 1 to 2, for which no tunnel is listed"),
    ("train maddpg routing:{files}/Tiny --env.matrices {files}/none", "cannot be read"),
    ("train maddpg routing:{files}/Tiny --env.train-share 1", "`train_share` must lie between 0 and 1"),
    ("train --config {files}/none.yaml", "none.yaml cannot be read: no such file"),
    ("train --config {files}/broken.yaml", "is not valid YAML"),
    ("train --config {files}/unknown.yaml", "the entry 'sed' is unknown; did you mean 'seed'?"),
    ("train --config {files}/wrong.yaml", "the entry 'steps' must be a whole number, got 'many'"),
    ("train --config {files}/field.yaml", "of DDPG the field 'gama' is unknown; did you mean 'gamma'?"),
    ("train --config {files}/nan.yaml", "the field 'gamma' of DDPG must be a number, got nan"),
    ("train --config {files}/range.yaml", "`tau` must lie in (0, 1], got 3"),
    ("train --config {run}/config.yaml --preset paper", "--preset cannot be combined with"),
    ("train --config {run}/config.yaml maddpg toy/graph", "is for random in toy/discrete"),
]

RUNS = [
    ("train random toy/discrete --out {run}", "is not empty: resume its run (--resume) or choose another folder"),
    ("train random toy/discrete --out {files}/prose.txt", "is a file: choose another name"),
    ("train random toy/discrete --out /dev/null/run", "cannot be written"),
    ("train random toy/discrete --resume", "which run should be resumed?"),
    ("train --resume", "which run should be resumed?"),
    ("train --resume --out {new}", "there is no run to resume in"),
    ("train --resume --out {run} --seeds 3", "was made with seeds = 2, and now it is 3"),
    ("train --resume --out {run} --env.time-limit 5", "environment.time_limit = 4, and now it is 5"),
    ("train optimal toy/discrete --out {run} --resume", "is of the algorithm 'Random', and not of 'Scripted'"),
    ("train random toy/graph --out {run} --resume", "is of the environment 'toy/discrete', and not of 'toy/graph'"),
    ("train random toy/discrete --out {new} --tracker wandb", "run `pip install 'covey[wandb]'`"),
    ("evaluate {new}", "is not a run folder: it has no config.yaml"),
    ("evaluate {files}/bare", "has no checkpoint yet"),
    ("evaluate {files}/version", "has format 99, and this covey reads format 1"),
    ("evaluate {files}/corrupt", "is damaged"),
    ("evaluate {files}/gone", "is damaged"),
    ("train --resume --out {files}/corrupt", "is damaged"),
    ("render {run}", "the environment 'toy/discrete' cannot be drawn"),
    ("render {run} --attention", "there is no attention to draw"),
    ("render {iddpg} --attention", "Independent attends to nothing"),
    ("render {run} --dream", "there is no dream to draw"),
    ("render {run} --dream --credit", "ask for one of them at a time"),
    ("render {run} --start 3", "is the step at which a dream begins"),
    ("render {run} --agent a_0", "is only of use with `attention`"),
    ("render {run} --out {new}.mp4", ".mp4"),
    ("render {run} --fps 0", "`fps` must lie above 0"),
    ("render {run} --episode -1", "episodes are counted from 0"),
    ("render {run} --seed 2", "has the seeds 0 to 1, and seed 2 was asked for"),
    ("compare optimal", "give `--environment ID`, or a run"),
    ("compare {new}/run optimal", "is not a run folder"),
    ("compare {run} optimall", "did you mean 'optimal'?"),
    ("compare {run} maddpg", "has to be trained before it can be compared"),
    ("compare {run} --environment toy/graph", "was trained in 'toy/discrete'"),
]

TABLE = NAMES + VALUES + FILES + RUNS


# -------------------------------------------------------------------------------------------------- what rows are about
def begun(folder: Path, id: str, world: str) -> Path:
    """The folder of a run that has written a checkpoint before its first step."""
    environment = environments.make(world)
    config = Config(algorithms.make(id, environment), environment, Origin(world, {}, id))
    run = jax.jit(partial(start, environment, config.algorithm, lanes=config.envs))(config.keys)
    checkpoint.save(
        folder / "checkpoints", run, identity(config), configs.versions(), {"pace": [1, False], "train_s": 0}
    )
    configs.write(config, folder / "config.yaml")
    return folder


def wrong_files(folder: Path, run: Path) -> None:
    """Everything that rows call `{files}`."""
    for kind in ("cut", "missing"):
        (folder / kind).mkdir(parents=True)
    for file in GRAMMARS.values():
        text = (ROUTING / file).read_text()
        (folder / "cut" / Path(file).name).write_text(text[: len(text) // 2])
    for file in ("graphs/hub.json", "cfrrl/Tiny"):
        shutil.copy(ROUTING / file, folder)
    island = {"nodes": [{"id": i} for i in range(3)], "links": [{"source": 0, "target": 1, "capacity": 1}]}
    (folder / "island.json").write_text(json.dumps({"directed": False, "multigraph": False, "graph": {}} | island))
    (folder / "prose.txt").write_text("There is no network in here.\n")
    shutil.copytree(ROUTING / "figret", folder / "figret")
    tunnels = (folder / "figret" / "tunnels.txt").read_text().splitlines(keepends=True)
    (folder / "figret" / "tunnels.txt").write_text(tunnels[0])
    (folder / "nothing").write_text("0 0 0 0 0 0 0 0 0\n")
    (folder / "negative").write_text("0 1 2 0 0 0 0 -3 0\n")
    (folder / "infinite").write_text("0 1 2 0 0 0 0 inf 0\n")
    (folder / "short").write_text("0 1 2 0 0 0 0 0 0\n0 1 2 0 0\n")
    wrong_configurations(folder)
    wrong_runs(folder, run)


def wrong_configurations(folder: Path) -> None:
    good = {"environment": "toy/graph", "algorithm": "maddpg"}
    world = environments.make("toy/graph")
    configs.write(
        Config(algorithms.make("maddpg", world), world, Origin("toy/graph", {}, "maddpg")), folder / "ok.yaml"
    )
    whole = yaml.safe_load((folder / "ok.yaml").read_text())

    def with_field(name: str, value: float) -> dict:
        algorithm = whole["algorithm"]
        return whole | {"algorithm": algorithm | {"object": algorithm["object"] | {name: value}}}

    documents = {
        "unknown": good | {"sed": 1},
        "wrong": good | {"steps": "many"},
        "field": with_field("gama", 0.9),
        "nan": with_field("gamma", float("nan")),
        "range": with_field("tau", 3.0),
    }
    for name, document in documents.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(document))
    (folder / "broken.yaml").write_text("{")


def wrong_runs(folder: Path, run: Path) -> None:
    for name in ("bare", "version", "corrupt", "gone"):
        shutil.copytree(run, folder / name)
    shutil.rmtree(folder / "bare" / "checkpoints")
    (about,) = folder.glob("version/checkpoints/*/about.json")
    about.write_text(json.dumps(json.loads(about.read_text()) | {"format": 99}))
    (saved,) = folder.glob("corrupt/checkpoints/*")
    largest = max((path for path in saved.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-1])
    (about,) = folder.glob("gone/checkpoints/*/about.json")
    about.unlink()


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """What the placeholders of rows stand for."""
    folder = tmp_path_factory.mktemp("bad")
    line = (
        f"train random toy/discrete --steps 8 --seeds 2 --episodes 1 --env.time-limit 4 --quiet --out {folder / 'run'}"
    )
    assert main(line.split()) == 0
    begun(folder / "iddpg", "iddpg", "toy/discrete")
    wrong_files(folder / "files", folder / "run")
    return {name: str(folder / name) for name in ("run", "iddpg", "files", "new")}


def complaint(capsys, code: int) -> str:
    """The sentence on stderr."""
    errors = capsys.readouterr().err
    assert code == 2, errors
    assert "Traceback" not in errors
    assert errors.startswith("covey: ")
    assert errors.count("\n") == 1, f"one line, not {errors!r}"
    assert errors.rstrip().endswith((".", "?")), errors
    return errors


@pytest.mark.parametrize(("line", "words"), TABLE, ids=[line for line, _ in TABLE])
def test_bad_input(line, words, places, capsys):
    before = snapshot(places["run"])
    code = main(shlex.split(line.format(**places)))
    assert words in complaint(capsys, code)
    assert snapshot(places["run"]) == before, "nothing is lost"
    assert not Path(places["new"]).exists() or os.listdir(places["new"]) == ["run.lock"]


def snapshot(folder: str) -> dict[str, bytes]:
    """The files of a run, without its lock."""
    files = (path for path in Path(folder).rglob("*") if path.is_file() and path.name != "run.lock")
    return {str(path): path.read_bytes() for path in files}


def test_the_table_is_long():
    assert len(TABLE) >= 100
    assert len({line for line, _ in TABLE}) == len(TABLE)


# -------------------------------------------------------------------------------------------------------- beyond a line
def test_two_runs_in_one_folder(places, capsys):
    with locked(Path(places["run"])):
        code = main(["train", "--resume", "--out", places["run"]])
    assert "is in use by process" in complaint(capsys, code)


@pytest.mark.parametrize("trouble", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_disk_that_does_not_take_it(trouble, tmp_path, monkeypatch, capsys):
    def refuse(handle):
        raise OSError(trouble, os.strerror(trouble))

    monkeypatch.setattr(os, "fsync", refuse)
    line = f"train random toy/discrete --steps 4 --quiet --out {tmp_path / 'run'}"
    code = main(line.split())
    sentence = complaint(capsys, code)
    assert "cannot be written" in sentence
    assert os.strerror(trouble).lower() in sentence


@contextlib.contextmanager
def tiny_disk(folder: Path):
    """A file system of 64 KiB; skips where mounting is not allowed."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small disk needs root")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(tmp_path, capsys):
    with tiny_disk(tmp_path):
        (tmp_path / "filler").write_bytes(b"x" * 40_000)
        code = main(f"train random toy/discrete --steps 4 --quiet --out {tmp_path / 'run'}".split())
        sentence = complaint(capsys, code)
        assert "free some space" in sentence
        assert not list(tmp_path.glob("run/checkpoints/*")), "no half checkpoint is left"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("trian", "did you mean 'train'?"),
        ("train maddpg toy/graph --gama 0.9", "did you mean '--gamma'?"),
        ("train --config none.yaml", "none.yaml cannot be read"),
        ("evaluate nowhere", "is not a run folder"),
    ],
)
def test_the_real_command(line, words, tmp_path):
    done = subprocess.run([COVEY, *line.split()], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


# ------------------------------------------------------------------------------------------------------------ in Python
@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Replay(batch=0), "`batch` must be at least 1"),
        (lambda: Replay(capacity=10, batch=11), "larger than the replay buffer"),
        (lambda: algorithms.make("maddpg", environments.make("toy/graph"), groups=("gat",)), "did you mean 'gate'?"),
        (lambda: environments.make("navigation", size="large"), "the option 'size'"),
        (lambda: environments.make("navigation", size=float("nan")), "must be a number, got nan"),
        (lambda: environments.make("navigation", agent=2), "did you mean 'agents'?"),
        (lambda: make_network("n", ("a", "b"), [(0, 1)], [float("inf")]), "has capacity inf"),
        (lambda: make_network("n", ("a", "b"), [(0, 2)], [1.0]), "unknown node"),
        (lambda: shortest_paths(make_network("n", ("a", "b"), [(0, 1)], [1.0]), 0), "at least one candidate path"),
    ],
)
def test_bad_input_in_python(build, words):
    with pytest.raises(BadInput, match=words.replace("(", r"\(").replace("?", r"\?")):
        build()


def test_settings_are_judged_when_they_are_made_and_not_when_they_are_traced():
    """Floats are leaves: inside a program a module holds tracers, and is put together again without its checks."""
    algorithm = algorithms.make("maddpg", environments.make("toy/graph"))
    assert isinstance(algorithm, DDPG)
    bad = jax.tree.map(lambda x: -x if isinstance(x, float) else x, algorithm)
    assert bad.gamma == -algorithm.gamma
    swept = jax.vmap(
        lambda gamma: DDPG(algorithm.spec, algorithm.groups, algorithm.critic, algorithm.exploration, gamma=gamma).gamma
    )
    np.testing.assert_array_equal(swept(np.array([0.5, 2.0])), [0.5, 2.0])
