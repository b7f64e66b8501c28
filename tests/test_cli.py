"""The command line: what is shown, what is understood, and every command from end to end."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from covey import algorithms, environments
from covey.algorithms import ALIASES
from covey.algorithms.critics import AttentionHeads, Joint, Neighbors
from covey.algorithms.ddpg import DDPG
from covey.cli import COMMANDS, main
from covey.cli.configure import configure, everything, from_names
from covey.cli.options import field_docs, filled, form_of, kebab, maker_form
from covey.cli.parse import FLAG, flags, parse, scan
from covey.cli.settings import Settings
from covey.cli.train import SWITCHES, file_of
from covey.environments import WORLDS
from covey.learning.exploration import Gaussian, OrnsteinUhlenbeck

DOCS = Path(__file__).parent.parent / "docs" / "cli.md"
COVEY = str(Path(sys.executable).with_name("covey"))


def configured(line: str):
    """The configuration and the settings that `covey train LINE` would execute."""
    args = shlex.split(line)
    words, given = scan(args, SWITCHES)
    return configure(args, words, given, file_of(given, words))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of two seeds. Do not write to its folder."""
    folder = tmp_path_factory.mktemp("cli") / "first"
    line = f"train random toy/discrete --steps 20 --seeds 2 --episodes 3 --env.time-limit 4 --quiet --out {folder}"
    assert main(line.split()) == 0
    return folder


# ----------------------------------------------------------------------------------------------------------- what shows
def test_the_front_door_is_light():
    """`--help` and `list` do without JAX; a process takes about as long as Python itself."""
    program = (
        "import sys; from covey.cli import main; main(['--help']); main(['list']); assert 'jax' not in sys.modules"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert all(name in shown for name in [*COMMANDS, *ALIASES, *WORLDS, "att-maddpg/demo", "optimal-routing"])


def test_list_of_one_kind(capsys):
    assert main(["list", "algorithms"]) == 0
    shown = capsys.readouterr().out
    assert "att-maddpg" in shown
    assert "routing/small" not in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(command, capsys):
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"usage: covey {command}" in shown
    assert f"  covey {command}" in shown.split("Examples:")[1]
    assert len(shown.splitlines()) < 50


def test_help_with_names_shows_everything(capsys):
    assert main(["train", "att-maddpg", "routing/small", "--help"]) == 0
    shown = capsys.readouterr().out
    for text in ("--gamma FLOAT", "--critic.heads INT", "--replay.capacity INT", "--exploration.sigma.start FLOAT"):
        assert text in shown
    assert "shared-trunk" in shown
    assert "attention-heads" in shown
    assert "--env.delays {True,False}" in shown
    assert "Discount γ per step. (default: 0.5)" in shown  # of the tuned preset
    assert "spec" not in re.findall(r"--([\w.-]+)", shown)
    assert "groups" not in re.findall(r"--([\w.-]+)", shown)


def helps(form):
    """Every flag of a form, with its help."""
    for field in form.__dataclass_fields__.values():
        value = getattr(form, field.name)
        if hasattr(value, "__dataclass_fields__"):
            yield from helps(value)
        elif FLAG in field.metadata:
            yield field.metadata[FLAG], field.type.__metadata__[-1].help


@pytest.mark.parametrize("name", ALIASES)
def test_every_field_of_every_algorithm_is_explained(name):
    algorithm = algorithms.make(name, environments.make("toy/discrete"))
    form = form_of(algorithm)
    explained = dict(helps(form)) if form else {}
    assert [flag for flag, text in explained.items() if not text] == []
    assert not {f"--{flag}" for flag in explained} & set(flags(Settings)), "a field is called as a setting of every run"


@pytest.mark.parametrize("id", WORLDS)
def test_every_option_of_every_world_is_explained(id):
    make, _ = environments.maker(id)
    assert [flag for flag, text in helps(maker_form(make, 0, {})) if not text] == []


def test_settings_are_explained_as_in_the_configuration():
    assert set(field_docs(Settings)) == {name.removeprefix("--").replace("-", "_") for name in flags(Settings)}


# --------------------------------------------------------------------------------------------------- what is understood
def test_defaults_are_the_alias():
    config, settings = configured("att-maddpg toy/graph")
    assert config.algorithm == algorithms.make("att-maddpg", environments.make("toy/graph"))
    assert config.origin.options == {}
    assert (config.steps, config.seeds, config.envs, settings.out) == (100_000, 1, 1, None)


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--gamma 0.9", lambda c: c.algorithm.gamma == 0.9),
        ("--actor_lr 1e-4", lambda c: c.algorithm.actor_lr == 1e-4),
        ("--gamma=1", lambda c: isinstance(c.algorithm.gamma, float)),
        ("--clip inf", lambda c: c.algorithm.clip == float("inf")),
        ("--twin True --delay 2", lambda c: c.algorithm.twin and c.algorithm.delay == 2),
        ("--teammates joint", lambda c: c.algorithm.teammates == "joint"),
        ("--critic.heads 8", lambda c: c.algorithm.critic == AttentionHeads(heads=8)),
        ("--critic neighbors --critic.pool concat", lambda c: c.algorithm.critic == Neighbors(pool="concat")),
        ("--critic joint --critic.width 64", lambda c: c.algorithm.critic == Joint(width=64)),
        ("--critic.width 64 --critic joint", lambda c: c.algorithm.critic == Joint(width=64)),
        ("--replay.capacity 2e4", lambda c: c.algorithm.replay.capacity == 20_000),
        ("--exploration.sigma.start 0.3", lambda c: c.algorithm.exploration.sigma.start == 0.3),
        ("--exploration ornstein-uhlenbeck", lambda c: isinstance(c.algorithm.exploration, OrnsteinUhlenbeck)),
        ("--exploration ornstein-uhlenbeck", lambda c: c.algorithm.exploration.sigma.start == 1.0),  # as it was
        ("--exploration=gaussian", lambda c: isinstance(c.algorithm.exploration, Gaussian)),
        ("--steps 1e6 --seeds 3 --envs 2", lambda c: (c.steps, c.seeds, c.envs) == (1_000_000, 3, 2)),
        ("--seed 7 --evaluate-every 10", lambda c: (c.seed, c.evaluate_every) == (7, 10)),
        ("--env.time-limit 5", lambda c: c.environment.time_limit == 5 and c.origin.options == {"time_limit": 5}),
        ("--env.fixed True", lambda c: c.environment.fixed),
        ("--env.fixed False", lambda c: c.origin.options == {}),
        ("--preset paper", lambda c: c.algorithm.gamma == 0.95 and c.origin.preset == "paper"),
    ],
)
def test_flags(flag, value):
    config, _ = configured(f"att-maddpg toy/graph {flag}")
    assert value(config)
    assert isinstance(config.algorithm, DDPG)


def test_flags_may_come_first():
    config, settings = configured(
        "--quiet --gamma 0.25 att-maddpg --steps 7 toy/graph --tracker wandb --tracker mlflow"
    )
    assert isinstance(config.algorithm, DDPG)
    assert (config.algorithm.gamma, config.steps) == (0.25, 7)
    assert (settings.quiet, settings.tracker) == (True, ("wandb", "mlflow"))


def test_defaults_keep_all_their_digits():
    start = from_names(["iddpg", "toy/graph"], {})
    algorithm = dataclasses.replace(start.algorithm, gamma=0.123456789012345)
    answers = parse(type(everything(start, algorithm)), ["--tau", "0.5"], "train")
    assert filled(algorithm, answers.algorithm) == dataclasses.replace(algorithm, tau=0.5)


def test_a_file_and_flags(run, monkeypatch):
    monkeypatch.chdir(run.parent)
    config, _ = configured("--config first/config.yaml --env.time-limit 6 --seed 3")
    assert (config.environment.time_limit, config.seeds, config.seed) == (6, 2, 3)
    assert config.algorithm.spec == config.environment.spec
    config, settings = configured("--resume --out first --steps 40")
    assert (config.environment.time_limit, config.steps, config.seeds) == (4, 40, 2)
    assert settings.resume


def test_kebab():
    assert [kebab(kind) for kind in (OrnsteinUhlenbeck, Joint)] == ["ornstein-uhlenbeck", "joint"]


# ----------------------------------------------------------------------------------------------------------- end to end
def test_train_shows_and_leaves(run, tmp_path, capsys):
    line = f"train random toy/discrete --steps 8 --episodes 2 --env.time-limit 4 --chunk 4 --out {tmp_path / 'run'}"
    assert main(line.split()) == 0
    shown = capsys.readouterr().out
    assert "return/a/mean_agent" in shown
    assert "reference: optimum (optimal)" in shown
    assert (tmp_path / "run" / "summary.json").exists()
    assert main(f"train --resume --out {tmp_path / 'run'} --steps 16 --quiet".split()) == 0
    assert capsys.readouterr().out == ""
    assert (tmp_path / "run" / "checkpoints" / "16").exists()


def test_evaluate(run, capsys):
    assert main(["evaluate", str(run), "--episodes", "2"]) == 0
    shown = capsys.readouterr().out
    assert "seeds 0 to 1" in shown
    assert re.search(r"return/a/mean_agent +-?[\d.]+ \[.*\] +6", shown)  # 4 steps of 1.5 are the optimum


def test_compare_in_one_table(run, monkeypatch, capsys):
    monkeypatch.chdir(run.parent)
    assert main(["compare", "./first", "random", "optimal", "--episodes", "4"]) == 0
    shown = capsys.readouterr().out
    rows = [line.split() for line in shown.splitlines() if " a  " in line]
    assert [row[0] for row in rows] == ["./first", "random", "optimal"]
    assert "2 seeds" in shown
    assert "8 episodes" in shown
    optimal = r"optimal +a +6 \[6, 6\] +1.5 \[1.5, 1.5\] +0 \[0, 0\] +[\d.]+ \[[-\d., ]+\] +8 episodes +own observation"
    assert re.search(optimal, shown)
    assert rows[0][2] == rows[1][2]  # random plays the same episodes at random in the same way
    assert "may differ from the first by chance only: random" in shown


def test_compare_rules_alone(capsys):
    assert main(["compare", "random", "optimal", "--environment", "toy/discrete", "--episodes", "2"]) == 0
    assert "2 episodes" in capsys.readouterr().out


def test_check(tmp_path, monkeypatch, capsys):
    (tmp_path / "worlds_of_mine.py").write_text(
        "import dataclasses\n"
        "from covey.environments import make\n"
        "def good():\n    return make('toy/discrete', time_limit=3)\n"
        "class Bad:\n    spec = good().spec\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["check", "worlds_of_mine:good"]) == 0
    assert "no problems found" in capsys.readouterr().out
    assert main(["check", "worlds_of_mine:Bad"]) == 1
    assert "- the environment has no method `reset`" in capsys.readouterr().out


OWN = """
from covey.environments import make
def make_env(
    *, size: int, speed: float = 1.0, sizes: tuple[int, ...] = (), names: str | None = None, quick: bool = False
):
    print(f"{size=} {speed=} {sizes=} {names=} {quick=}")
    return make("toy/duel", time_limit=size)
"""
"""An environment whose maker says what it was given."""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The id of an environment of one's own."""
    (tmp_path / "maker_of_mine.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    return "maker_of_mine:make_env"


@pytest.mark.parametrize(
    "line",
    [
        "check {own} {options}",
        "check covey.algorithms.random:random --environment {own} {options}",
        "compare random optimal --environment {own} --episodes 2 {options}",
        "compare {options} random --episodes 2 --environment={own}",
        "tournament random optimal --environment {own} --games 2 {options}",
        "train random {own} --steps 4 --episodes 1 --quiet --out {out} {options}",
    ],
)
def test_options_of_an_environment_in_every_command_that_makes_one(line, own, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("covey.testing.check_algorithm", lambda factory, environment: [])
    monkeypatch.setattr("covey.testing.check_environment", lambda environment: [])
    options = "--env.size 2e0 --env.speed 1e-3 --env.sizes '[3, 1e1]' --env.names null --env.quick true"
    assert main(shlex.split(line.format(own=own, options=options, out=tmp_path / "run"))) == 0
    assert "size=2 speed=0.001 sizes=(3, 10) names=None quick=True" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--env.sped 3", "the option '--env.sped' is unknown; did you mean '--env.speed'?"),
        ("--env.size many", "--env.size must be a whole number, got 'many'"),
        ("--env.sizes [a]", "--env.sizes must be"),
        ("--env.quick perhaps", "invalid choice 'perhaps'"),
        ("--env.size", "a value is missing for '--env.size'"),
        ("", "argument: 'size'"),  # "missing a required", or from Python 3.12 on "missing a required keyword-only"
    ],
)
@pytest.mark.parametrize("command", ["check {own}", "compare random --environment {own}"])
def test_wrong_options_of_an_environment(command, options, words, own, capsys):
    assert main(shlex.split(f"{command.format(own=own)} {options}")) == 2
    assert words in capsys.readouterr().err


def test_options_of_no_environment(capsys):
    assert main(["compare", "random", "optimal", "--env.time-limit", "4"]) == 2
    assert "is an option of an environment: say of which" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ("speed: 1e-3", {"speed": 0.001}),
        ("size: 3, layout: {walls: 2}", {"size": 3, "layout": {"walls": 2}}),
        ("path: null", {"path": None}),
        ("{size: 3, layout: {walls: [1, 2e-1]}}", {"size": 3, "layout": {"walls": [1, 0.2]}}),
        ("names: [a, 'null'], mode: on", {"names": ["a", "null"], "mode": "on"}),
    ],
)
def test_arguments_of_an_environment_outside(arguments, given, tmp_path, monkeypatch):
    pytest.importorskip("pettingzoo")
    (tmp_path / "game_of_mine.py").write_text("GIVEN = []\ndef parallel_env(**given):\n    raise ValueError(given)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=re.escape(str(given))):
        main(["check", "pettingzoo:game_of_mine", "--env.arguments", arguments, "--env.lanes", "1"])


def test_render(tmp_path, capsys):
    run = tmp_path / "run"
    line = "train random navigation --env.agents 2 --env.landmarks 1 --env.time-limit 2 --steps 4 --episodes 1 --quiet"
    assert main([*line.split(), "--out", str(run)]) == 0
    assert main(["render", str(run), "--out", str(tmp_path / "film.gif")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "film.gif")
    assert (tmp_path / "film.gif").read_bytes()[:3] == b"GIF"


def test_reproduce_and_bench_hand_on_what_they_got(monkeypatch, tmp_path, capsys):
    calls = []
    monkeypatch.setattr("covey.studies.reproduce.reproduce", lambda name, **how: calls.append((name, how)) or tmp_path)
    assert main(f"reproduce att-maddpg/demo --quick --seeds 3 --out {tmp_path}".split()) == 0
    assert calls == [("att-maddpg/demo", {"quick": True, "seeds": 3, "out": tmp_path})]
    assert capsys.readouterr().out.strip() == str(tmp_path)


SCRIPT = """
import os
import covey
run = covey.train("random", "toy/discrete", steps=20, episodes=2, out=os.environ["OUT"], quiet=True)
print(os.environ["TF_CPP_MIN_LOG_LEVEL"])
print(run)
"""


@pytest.mark.slow
def test_a_plain_script_is_quiet_the_second_time_too(tmp_path):
    """Programs come from the disk then, and the compiler has something to say about each."""
    others = ("TF_CPP_MIN_LOG_LEVEL", "JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS")
    environ = {name: x for name, x in os.environ.items() if name not in others}
    environ |= {"COVEY_CACHE": str(tmp_path), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    for number in "12":
        environ["OUT"] = str(tmp_path / number)
        done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environ, check=True)
        assert done.stderr == ""
        level, shown = done.stdout.splitlines()
        assert level == "3"
        assert shown.startswith("<random in toy/discrete, 20 steps: return/a/mean_agent ")
        assert environ["OUT"] in shown
    assert list(tmp_path.glob("xla/*")), "there were programs on the disk"


def test_the_compiler_is_heard_where_somebody_wants_to():
    program = "import os, covey; print(os.environ['TF_CPP_MIN_LOG_LEVEL'])"
    environ = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "0"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environ, check=True)
    assert done.stdout == "0\n"


def test_ctrl_c(monkeypatch):
    def interrupted(args):
        raise KeyboardInterrupt

    monkeypatch.setattr("covey.cli.listing.list_names", interrupted)
    assert main(["list"]) == 130


def test_a_bug_is_a_traceback(monkeypatch):
    monkeypatch.setattr("covey.cli.listing.list_names", lambda args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["list"])


def test_ctrl_c_of_a_run_saves_and_says_how_to_go_on(tmp_path):
    line = f"train random toy/discrete --steps 1e9 --out {tmp_path / 'run'} --chunk 100"
    with subprocess.Popen([COVEY, *line.split()], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        next(text for text in process.stdout if text.startswith("step "))
        process.send_signal(signal.SIGINT)
        shown, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"--resume --out {tmp_path / 'run'}" in shown
    assert "Traceback" not in errors


def test_nobody_reads():
    program = f"{shlex.quote(COVEY)} list | true"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {program}"], capture_output=True, text=True)
    assert done.returncode in (0, 141)
    assert done.stderr == ""


# ----------------------------------------------------------------------------------------------------------- the manual
def examples() -> list[str]:
    return re.findall(r"^ {4}(covey .+)$", DOCS.read_text(), re.MULTILINE)


def test_the_manual_has_every_command():
    assert {line.split()[1] for line in examples()} >= set(COMMANDS)


@pytest.mark.parametrize("line", examples())
def test_every_example_of_the_manual_is_understood(line, run, tmp_path, monkeypatch):
    """Nothing is executed: the functions behind the commands are replaced."""
    reached = []

    def instead(*args, **how):
        reached.append(args)
        raise SystemExit(0)

    behind = ("runs.train:execute", "runs.policy:open_run", "runs.render:render", "runs.compare:compare")
    behind += ("runs.tournament:tournament", "runs.learning_curves:plot", "authored.author:author")
    behind += ("studies.reproduce:reproduce", "testing:check_environment", "testing:check_algorithm")
    for path in behind:
        module, name = path.split(":")
        monkeypatch.setattr(f"covey.{module}.{name}", instead)
    monkeypatch.setattr("covey.cli.studies.locate", lambda path, what: instead)
    (tmp_path / "runs").mkdir()
    for name in ("first", "second"):
        (tmp_path / "runs" / name).symlink_to(run)
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "my_module.py").write_text(
        "from covey.algorithms.ddpg import maddpg as my_algorithm\n"
        "from covey.environments.toy import discrete as make_env\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(line)[1:]) == 0
    assert reached or line.split()[1] in ("list", "--help") or "--help" in line


ONES_FILE = """
from covey.environments.toy import discrete

def make_env(time_limit=8, bonus: float = 0.5):
    return discrete(time_limit=time_limit, bonus=bonus)
"""


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("check own:make_env --env.time-limit 3 --env.bonus 1", 0, "no problems found"),
        ("check own:make_env --env.time-limit soon", 2, "--env.time-limit must be a whole number, got 'soon'"),
        ("check own", 2, "name the function there that makes it: `own:make_env`"),
        ("check own.py", 2, "name the function there that makes it: `own:make_env`"),
        ("check own.py:make_env", 2, "there is no module 'own.py': write own:make_env"),
        ("check torn:make_env", 2, "torn.py, line 1: "),
    ],
)
def test_ones_own_file(line, code, words, tmp_path, monkeypatch, capsys):
    (tmp_path / "own.py").write_text(ONES_FILE)
    (tmp_path / "torn.py").write_text("def make_env(:\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("own", "torn"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert main(line.split()) == code
    shown = capsys.readouterr()
    assert words in " ".join((shown.out + shown.err).split())
