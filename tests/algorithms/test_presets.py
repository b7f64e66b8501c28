"""Settings found for one environment are what training there begins with, unless something else is asked for."""

from __future__ import annotations

import pytest

import covey
from covey import algorithms, environments
from covey.algorithms.presets import FOUND, found
from covey.cli.configure import configure
from covey.cli.parse import scan
from covey.cli.train import SWITCHES
from covey.core.errors import BadInput
from covey.core.settings import all_settings, flattened

SMALL = {"width": 8, "units": 4}


def asked(*args: str):
    words, given = scan(list(args), SWITCHES)
    return configure(list(args), words, given, None)[0]


@pytest.mark.parametrize(("algorithm", "environment"), FOUND, ids="-".join)
def test_every_setting_is_one_of_the_algorithm(algorithm, environment):
    preset = FOUND[algorithm, environment]
    made = algorithms.make(algorithm, environments.make(environment), preset=environment)
    values = {setting.name: setting.value for setting in all_settings(made)}
    for name, value in flattened(preset.settings).items():
        assert values[name] == value
    assert preset.steps % (preset.envs * values["horizon"]) == 0


def test_a_command_without_flags_takes_them():
    config = asked("mappo", "particle/spread")
    assert (config.steps, config.envs, config.origin.preset) == (1_000_000, 32, "particle/spread")
    assert config.algorithm == algorithms.make("mappo", config.environment, preset="particle/spread")
    fewer = asked("mappo", "particle/spread", "--steps", "800", "--units", "8", "--envs", "4")
    assert (fewer.steps, fewer.envs, fewer.algorithm.units, fewer.algorithm.horizon) == (800, 4, 8, 25)  # type: ignore


@pytest.mark.parametrize("preset", ["tuned", "paper"])
def test_another_preset_is_taken_where_it_is_asked_for(preset):
    config = asked("mappo", "particle/spread", "--preset", preset)
    assert (config.steps, config.envs) == (100_000, 1)
    assert config.algorithm == algorithms.make("mappo", config.environment, preset=preset)


def test_nothing_is_found_elsewhere():
    assert asked("mappo", "particle/tag").origin.preset == "tuned"
    assert found("mappo", None, None) is None
    with pytest.raises(BadInput, match=r"preset 'particle/tag' is unknown.*particle/spread"):
        algorithms.make("mappo", environments.make("particle/tag"), preset="particle/tag")


@pytest.mark.slow
def test_in_python_too_and_again_from_the_run(tmp_path, capsys):
    run = covey.train("mappo", "particle/spread", steps=100, envs=4, settings=SMALL, episodes=4, out=tmp_path / "run")
    assert "settings found for particle/spread; `--preset tuned`" in capsys.readouterr().out
    policy = covey.load(run.folder)
    assert (policy.algorithm.horizon, policy.algorithm.units) == (25, 4)  # type: ignore[attr-defined]
