"""What is said of names of JaxMARL's environments and of their options, with JaxMARL and without it."""

from __future__ import annotations

import importlib.metadata
import sys
from importlib import import_module
from importlib.util import find_spec

import pytest

from covey.cli import main
from covey.core.errors import BadInput
from covey.environments import make
from covey.environments.jaxmarl import sources, wrapped

MISSING = pytest.mark.skipif(find_spec("jaxmarl") is None, reason="JaxMARL is not installed: `make test-jaxmarl`")


def version(answer):
    """Stands in for `importlib.metadata.version`."""

    def of(package):
        if answer is None:
            raise importlib.metadata.PackageNotFoundError(package)
        return answer

    return of


def test_without_jaxmarl(monkeypatch, capsys):
    monkeypatch.setattr(importlib.metadata, "version", version(None))
    with pytest.raises(BadInput, match=r"needs the package 'jaxmarl': run `pip install 'covey\[jaxmarl\]'`"):
        make("jaxmarl:smax/3m")
    assert main(["train", "mappo", "jaxmarl:smax/3m"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("old", ["0.1.0", "0.0.7", "0.1rc1"])
def test_with_an_old_one(monkeypatch, old):
    monkeypatch.setattr(importlib.metadata, "version", version(old))
    with pytest.raises(BadInput, match=rf"JaxMARL {old} is too old, and covey needs 0\.2 or later"):
        make("jaxmarl:smax/3m")


def test_without_what_it_needs(monkeypatch):
    """It is installed without its dependencies."""
    monkeypatch.setattr(importlib.metadata, "version", version("0.2.0"))
    monkeypatch.setitem(sys.modules, "jaxmarl", None)
    with pytest.raises(BadInput, match="JaxMARL cannot be imported, there is no module 'jaxmarl'"):
        make("jaxmarl:smax/3m")


def test_streams_survive_the_import(capsys):
    """As JaxMARL treats them while it is imported."""
    before = sys.stdout, sys.stderr, sys.__stdout__
    with sources.quiet():
        print("Importing ...")
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        print("... successfully.")
    assert (sys.stdout, sys.stderr, sys.__stdout__) == before
    assert capsys.readouterr().out == ""


@MISSING
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("smax/3n", {}, "of jaxmarl:smax the map '3n' is unknown; did you mean '3m'"),
        ("smax", {}, "jaxmarl:smax needs a map, such as `jaxmarl:smax/3m`"),
        ("overcooked_v2/crammed_room", {}, "the layout 'crammed_room' is unknown; did you mean 'cramped_room'"),
        ("MPE_simple_spread_v2", {}, "'MPE_simple_spread_v2' is unknown; did you mean 'MPE_simple_spread_v3'"),
        ("smacs/3m", {}, "the environment of JaxMARL 'smacs/3m' is unknown; did you mean 'smax/3m'"),
        ("hanabi/small", {}, "jaxmarl:hanabi has no maps: leave out '/small'"),
        ("ant_4x2", {}, "jaxmarl:ant_4x2 needs brax"),
        ("JaxRobotarium_navigation", {}, "needs the package jaxrobotarium"),
        ("storm_2p", {}, "has no observations and actions by agent"),
        ("LearnedPolicyEnemySMAX", {}, "needs the enemies' policy"),
        ("smax/3m", {"max_step": 3}, "the option 'max_step' is unknown; did you mean 'max_steps'"),
        ("smax/3m", {"num_allies": 3}, "the option 'num_allies' is unknown"),
        ("smax/3m", {"shaped_reward": 1.0}, "the option 'shaped_reward' is unknown"),
        ("smax/3m", {"max_steps": "long"}, "must be a whole number, got 'long'"),
        ("smax/3m", {"time_limit": 0}, "`time_limit` has to be from 1 to 101"),
        ("smax/3m", {"action_type": "discreet"}, "cannot be made with .*: Unknown action_type: 'discreet'"),
        ("switch_riddle", {"num_agents": 2}, "cannot be made with .*: The minimum number of agents .* is 3"),
        ("hanabi", {"num_agents": 9}, "jaxmarl:hanabi cannot be made with {'num_agents': 9}: "),
    ],
)
def test_refuses(name, options, words):
    with pytest.raises(BadInput, match=words):
        make(f"jaxmarl:{name}", **options)


@MISSING
@pytest.mark.slow
def test_the_command_line_knows_their_options(capsys):
    assert main(["check", "jaxmarl:MPE_simple_spread_v3", "--env.num-agents", "2", "--env.num-landmarks", "2"]) == 0
    assert "no problems found" in capsys.readouterr().out
    assert main(["train", "mappo", "jaxmarl:smax/3m", "--env.max-stops", "3"]) == 2
    assert "did you mean '--env.max-steps'" in capsys.readouterr().err


@MISSING
@pytest.mark.slow
def test_an_environment_of_your_own():
    """Made in Python: its family is that of the class it comes from."""
    sources.installed()
    theirs = import_module("jaxmarl.environments")
    mine = type("Mine", (theirs.HeuristicEnemySMAX,), {})
    prison = type("Prison", (theirs.SwitchRiddle,), {})
    battle = wrapped(mine(scenario=sources.maps("SMAX")["3m"]), "mine")
    assert (battle.spec.name, battle.spec.time_limit, list(battle.spec.groups)) == ("mine", 101, ["ally"])
    assert wrapped(prison(num_agents=4), time_limit=3).spec.time_limit == 3
