"""Settings by name, the same in Python as on the command line, and what their usual names lead to."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import covey
from covey import algorithms, environments
from covey.algorithms import ALIASES
from covey.algorithms.critics import Joint
from covey.cli.configure import configure, everything, from_names
from covey.cli.parse import flags, parse, scan
from covey.cli.train import SWITCHES
from covey.core.errors import BadInput
from covey.core.settings import flattened, names, with_settings
from covey.core.vocabulary import USUAL_NAMES, meant
from covey.learning.targets import Linear


def made(id: str):
    return algorithms.make(id, environments.make("toy/discrete"))


def on_the_command_line(id: str, options: str):
    args = shlex.split(f"{id} toy/discrete {options}")
    words, given = scan(args, SWITCHES)
    return configure(args, words, given, None)[0].algorithm


# ---------------------------------------------------------------------------------------------------------- in Python
@pytest.mark.parametrize(
    ("id", "given", "options"),
    [
        ("mappo", {"width": 128}, "--width 128"),
        ("mappo", {"width": 1e2, "gamma": 1}, "--width 1e2 --gamma 1"),
        ("mappo", {"team_reward": True}, "--team-reward true"),
        ("mappo", {"team-reward": False}, "--team_reward False"),
        ("mappo", {"actor_lr": 1e-3}, "--actor-lr 1e-3"),
        ("mappo", {"actor_lr.end": 1e-4, "actor_lr": 1e-3}, "--actor-lr.end 1e-4 --actor-lr 1e-3"),
        ("mappo", {"entropy": {"start": 0.1, "end": 0.0}}, "--entropy.start .1 --entropy.end 0"),
        ("maddpg", {"replay.capacity": 200, "replay": {"batch": 3}}, "--replay.capacity 200 --replay.batch 3"),
        ("maddpg", {"critic": "joint", "critic.width": 7}, "--critic joint --critic.width 7"),
        ("maddpg", {"exploration": {"sigma": 0.3}}, "--exploration.sigma 0.3"),
        ("credit-mappo", {"credit": "seed"}, "--credit seed"),
        ("credit-mappo", {"credit": {"mixer": "free", "eta": "1e-3"}}, "--credit.mixer free --credit.eta 1e-3"),
        ("credit-mappo", {"credit.eta": None}, "--credit.eta null"),
        ("vdn", {"mixer": "free", "mixer.width": 8, "lr": 0.01}, "--mixer free --mixer.width 8 --lr 0.01"),
        ("mfq", {"choosing": "boltzmann"}, "--choosing boltzmann"),
    ],
)  # fmt: skip
def test_python_and_the_command_line_set_the_same(id, given, options):
    algorithm = with_settings(made(id), given, id)
    assert algorithm == on_the_command_line(id, options)
    assert algorithm != made(id) or given in ({"team-reward": False}, {"credit.eta": None})


@pytest.mark.parametrize("id", ALIASES)
def test_everything_the_command_line_offers_has_its_name_in_python(id):
    start = from_names([id, "toy/discrete"], {})
    own = set(names(start.algorithm))
    offered = {flag[2:] for flag in flags(type(everything(start, start.algorithm)))}
    assert own <= offered
    assert {flag for flag in offered - own if flag.split(".")[0] in {name.split(".")[0] for name in own}} == set()


def test_nothing_set_is_the_same_object():
    algorithm = made("maddpg")
    assert with_settings(algorithm, {}, "maddpg") is algorithm


def test_parts_may_be_given_as_they_are():
    algorithm = with_settings(made("maddpg"), {"critic": Joint(width=9)}, "maddpg")
    assert algorithm.critic == Joint(width=9)
    schedule = Linear(1e-3, 1e-4, 1e6)
    assert with_settings(made("mappo"), {"actor_lr": schedule}, "mappo").actor_lr == schedule


def test_a_number_for_a_schedule_is_constant():
    schedule = on_the_command_line("mappo", "--actor-lr 1e-3").actor_lr  # type: ignore
    assert [float(schedule(step)) for step in (0, 1, 10**6)] == pytest.approx([1e-3] * 3)


def test_another_part_keeps_what_was_set_and_not_what_was_usual():
    kept = with_settings(made("credit-mappo"), {"credit": {"width": 16, "lam": 0.5}}, "credit-mappo")
    seed = with_settings(kept, {"credit": "seed"}, "credit-mappo").credit
    assert (seed.width, seed.lam) == (16, 0.5)
    assert seed.lr == 7e-4, "its own, since the old part had its own too"


def test_flattened():
    assert flattened({"a_b": 1, "c": {"d": {"e_f": 2}}, "c.g": 3}) == {"a-b": 1, "c.d.e-f": 2, "c.g": 3}


@pytest.mark.parametrize(
    ("id", "given", "words"),
    [
        ("mappo", {"witdh": 3}, "of mappo the setting 'witdh' is unknown; did you mean 'width'?"),
        ("mappo", {"learning_rate": 3}, "did you mean 'actor-lr' or 'critic-lr'?"),
        ("mappo", {"width": "wide"}, "the setting 'width' of mappo must be a whole number, got 'wide'"),
        ("mappo", {"width": 0}, "`width` must be at least 1, got 0"),
        ("mappo", {"gamma": None}, "the setting 'gamma' of mappo must be a number, got None"),
        ("mappo", {"entropy": "much"}, "--entropy must be a number, got 'much'"),
        ("mappo", {"credit": "creditt"}, "for --credit the choice 'creditt' is unknown"),
        ("mappo", {"credit": 5}, "--credit is a part with settings of its own, got 5"),
        ("maddpg", {"critic": "heads", "critic.scale": 1}, "the setting 'critic.scale' is unknown"),
        ("mappo", {"credit.lr": 0.1}, "the setting 'credit.lr' is unknown"),
        ("maddpg", {"replay": 5}, "choose from 'replay.capacity'"),
        ("maddpg", {"replay.buffer_size": 5}, "did you mean 'replay.capacity'?"),
        ("maddpg", {"replay": {"batch": 65, "capacity": 64}}, "is larger than the replay buffer"),
        ("random", {"gamma": 0.9}, "of random the setting 'gamma' is unknown"),
    ],
)
def test_wrong_settings_are_one_sentence(id, given, words):
    with pytest.raises(BadInput) as error:
        with_settings(made(id), given, id)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"steps": 5}, "'steps' is no setting of mappo: give `steps=...` to `train` itself"),
        ({"total_timesteps": 5}, "give `steps=...` to `train` itself"),
        ({"num-envs": 5}, "give `envs=...` to `train` itself"),
        ({"eval_freq": 5}, "give `evaluate_every=...` to `train` itself"),
        ({"hidden_dim": 5}, "did you mean 'width'?"),
        ({"gamma": 2}, "`gamma` must lie in [0, 1], got 2"),
    ],
)
def test_train_checks_settings_before_anything_is_written(given, words, tmp_path):
    with pytest.raises(BadInput) as error:
        covey.train("mappo", "toy/discrete", steps=10, settings=given, out=tmp_path / "run", quiet=True)
    assert words in str(error.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_train_with_settings(tmp_path):
    settings = {"width": 8, "horizon": 4, "actor_lr": 1e-3}
    run = covey.train("ippo", "toy/graph", steps=8, episodes=2, settings=settings, out=tmp_path / "run", quiet=True)
    policy = covey.load(run.folder)
    assert (policy.algorithm.width, policy.algorithm.horizon) == (8, 4)  # type: ignore
    assert policy.algorithm.actor_lr == Linear.from_number(1e-3)  # type: ignore


def test_the_example_of_the_manual(monkeypatch):
    """It is understood; nothing is trained."""
    page = Path(covey.__file__).parents[2] / "docs" / "cli.md"
    (block,) = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    reached = []
    monkeypatch.setattr("covey.runs.train.execute", lambda config, **where: reached.append((config, where)))
    exec(compile(block, str(page), "exec", dont_inherit=True), {"__name__": "page"})
    ((config, where),) = reached
    assert (config.algorithm.width, config.algorithm.actor_lr, config.algorithm.entropy.steps) == (
        128,
        Linear(1e-3, 1e-3, 0.0),
        1e6,
    )
    assert config.environment.spec.agents == 4
    assert where["out"] == "runs/wide"


# ------------------------------------------------------------------------------------------------------- usual names
@pytest.mark.parametrize(
    ("line", "option", "ours"),
    [
        ("maddpg toy/graph", "--lr", "'--actor-lr' or '--critic-lr'"),
        ("mappo toy/discrete", "--lr", "'--actor-lr' or '--critic-lr'"),
        ("vdn toy/discrete", "--learning-rate", "'--lr'"),
        ("mfq toy/discrete", "--learning_rate", "'--values.lr'"),
        ("ac toy/discrete", "--lr", "'--actors.lr' or '--critics.lr'"),
        ("maddpg toy/graph", "--batch-size", "'--replay.batch'"),
        ("mappo toy/discrete", "--batch", "'--minibatches'"),
        ("mappo toy/discrete", "--hidden", "'--width'"),
        ("mfac toy/discrete", "--hidden-size", "'--actors.width' or '--critics.width'"),
        ("mappo toy/discrete", "--num-envs", "'--envs'"),
        ("mappo toy/discrete", "--n-envs", "'--envs'"),
        ("random toy/discrete", "--total-timesteps", "'--steps'"),
        ("self-play/mfq toy/duel", "--gamma", "'--inner.gamma'"),
        ("self-play/mfq toy/duel", "--lr", "'--inner.values.lr'"),
        ("mappo toy/discrete", "--discount", "'--gamma'"),
        ("maddpg toy/graph", "--polyak", "'--tau'"),
        ("ippo toy/discrete", "--n-steps", "'--horizon'"),
        ("ippo toy/discrete", "--num_steps", "'--horizon' or '--steps'"),
        ("ippo toy/discrete", "--ent-coef", "'--entropy'"),
        ("ippo toy/discrete", "--clip-range", "'--clip'"),
        ("ippo toy/discrete", "--gae-lambda", "'--lam'"),
        ("ippo toy/discrete", "--max-grad-norm", "'--max-norm' or '--clip'"),
        ("maddpg toy/graph", "--max-grad-norm", "'--clip'"),
        ("maddpg toy/graph", "--buffer-size", "'--replay.capacity'"),
        ("maddpg toy/graph", "--replay.buffer-size", "'--replay.capacity'"),
        ("maddpg toy/graph", "--learning-starts", "'--warmup'"),
        ("ippo toy/discrete", "--update-epochs", "'--epochs'"),
        ("maddpg toy/graph", "--epochs", "'--updates'"),
        ("vdn toy/discrete", "--actor-lr", "'--lr'"),
        ("ippo toy/discrete", "--log-dir", "'--out'"),
        ("ippo toy/discrete", "--random-seed", "'--seed'"),
        ("ippo toy/discrete", "--eval-interval", "'--evaluate-every'"),
        ("ippo toy/discrete", "--save-freq", "'--keep-every' or '--checkpoint-every-s'"),
        ("vdn toy/discrete", "--epsilon-start", "'--epsilon.start'"),
        ("att-maddpg toy/graph", "--heads", "'--critic.heads'"),
        ("random toy/discrete", "--env.max-cycles", "'--env.time-limit'"),
        ("random navigation", "--n-agents", "'--env.agents'"),
        ("random toy/discrete", "--wandb", "'--tracker'"),
    ],
)
def test_usual_names_lead_to_ours(line, option, ours):
    start = from_names(line.split(), {})
    with pytest.raises(BadInput) as error:
        parse(type(everything(start, start.algorithm)), [option, "1"], f"train {line}")
    assert str(error.value).endswith(f"is unknown; did you mean {ours}?")


def test_what_has_no_counterpart_is_not_guessed():
    start = from_names(["random", "toy/discrete"], {})
    for option in ("--lr", "--gamma", "--hidden-size", "--buffer-size"):
        with pytest.raises(BadInput) as error:
            parse(type(everything(start, start.algorithm)), [option, "1"], "train random toy/discrete")
        assert "did you mean" not in str(error.value)


@pytest.mark.parametrize("id", ALIASES)
def test_only_what_exists_is_suggested(id):
    start = from_names([id, "toy/discrete"], {})
    known = [flag[2:] for flag in flags(type(everything(start, start.algorithm)))]
    for theirs in USUAL_NAMES.values():
        for name in theirs.split():
            assert set(meant(name, known)) <= set(known)
            assert len(meant(name, known)) <= 2


def test_all_names_of_ours_exist_somewhere():
    known = {"env.workers", "env.agents", "env.time-limit"}
    for id in ALIASES:
        start = from_names([id, "toy/discrete"], {})
        known |= {flag[2:] for flag in flags(type(everything(start, start.algorithm)))}
    assert {name for ours in USUAL_NAMES for name in ours.split()} - known == set()


def test_no_usual_name_stands_twice():
    theirs = [name for others in USUAL_NAMES.values() for name in others.split()]
    assert len(theirs) == len(set(theirs))
