"""A folder of authored functions is data: it becomes a prior and a reward where it fits, and a sentence elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from test_trial import authored

import covey
from covey.authored import folder
from covey.authored.contract import contract_of
from covey.authored.reward import Rewarded
from covey.core.errors import BadInput
from covey.runs.guides import guide
from covey.testing import check_environment


@pytest.fixture
def saved(contract, tmp_path):
    folder.save(tmp_path, "print('never')\n", authored(contract))
    return tmp_path


@pytest.mark.parametrize("name", ["", "program.json"])
def test_it_is_a_prior(name, saved, navigation):
    prior = guide(navigation, str(saved / name))
    own = navigation.rules()["greedy-pursuit"]()
    _, now = navigation.reset(jax.random.key(3))
    found, wanted = (rule.act((), (), now, jax.random.key(0), 0, explore=False)[0] for rule in (prior, own))
    np.testing.assert_allclose(found["agent"], wanted["agent"], rtol=1e-4, atol=1e-6)


def test_it_fits_wherever_agents_see_the_same(saved):
    """Bounds of actions may differ."""
    assert folder.load(saved, covey.make("navigation", time_limit=7, speed=0.1)).goals == ()


OTHERS = {
    "toy/continuous": ({}, "are for another environment: in 'toy/continuous' the group 'agent' is unknown"),
    "navigation": ({"agents": 4}, "and in 'navigation' agents see other things: run `covey author` for it"),
    "assembly": ({}, "are for another environment: in 'assembly' the group 'agent' is unknown"),
}


@pytest.mark.parametrize(("name", "options", "words"), [(name, *row) for name, row in OTHERS.items()])
def test_it_does_not_fit(name, options, words, saved):
    with pytest.raises(BadInput) as caught:
        guide(covey.make(name, **options), str(saved))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def changed(change):
    def apply(text):
        document = json.loads(text)
        change(document)
        return json.dumps(document)

    return apply


FORGED = {
    "nothing": (lambda text: "", "it is no valid JSON"),
    "half": (lambda text: text[: len(text) // 2], "it is no valid JSON"),
    "a list": (lambda text: "[]", "`covey author` writes such files"),
    "no contract": (changed(lambda d: d.pop("contract")), "`covey author` writes such files"),
    "another group": (changed(lambda d: d.update(group="prey")), "the group 'prey' is unknown"),
    "another view": (changed(lambda d: d["contract"].update(view=[])), "agents see other things"),
    "other constants": (changed(lambda d: d["contract"].update(constants=["x"])), "other numbers are known"),
    "other actions": (changed(lambda d: d["contract"].update(gives={})), "agents do other things"),
    "a program of another form": (changed(lambda d: d["programs"].update(reward={})), "holds no authored functions"),
    "an unknown operation": (
        lambda text: text.replace('"argmin"', '"pure_callback"'),
        "holds no authored functions",
    ),
    "brackets": (lambda text: "[" * 1_000, "nested more than"),
    "characters": (lambda text: text.replace("navigation", "n\u00e4vigation"), "no valid JSON"),
}


@pytest.mark.parametrize(("change", "words"), FORGED.values(), ids=FORGED)
def test_what_was_forged(change, words, saved, navigation):
    file = saved / "program.json"
    file.write_text(change(file.read_text()))
    with pytest.raises(BadInput) as caught:
        guide(navigation, str(saved))
    assert words in str(caught.value)


def test_what_is_too_large(saved, navigation):
    with (saved / "program.json").open("a") as file:
        file.write(" " * 5_000_000)
    with pytest.raises(BadInput, match="is larger than a program"):
        folder.load(saved, navigation)


def test_no_folder(tmp_path, navigation):
    with pytest.raises(BadInput, match=r"holds no authored functions \(it has no program.json\)"):
        folder.load(tmp_path, navigation)
    with pytest.raises(BadInput, match="among the rules and folders the prior"):
        guide(navigation, str(tmp_path))


def test_nothing_in_it_is_executed(saved, navigation, capsys):
    guide(navigation, str(saved))
    assert capsys.readouterr().out == ""


# ---------------------------------------------------------------------------------------------------------------------
# The reward


@pytest.fixture(scope="module")
def rewarded(navigation, contract):
    return Rewarded(navigation, authored(contract))


def test_an_authored_reward_is_earned(rewarded, navigation):
    """Everything else is the environment's; it is evaluated by its own reward."""
    key = jax.random.key(1)
    state, now = rewarded.reset(key)
    assert not now.reward["agent"].any()
    action = {"agent": np.zeros((3, 2), np.float32)}
    _, then = jax.jit(rewarded.step)(key, state, action)
    own_state, own = navigation.step(key, state, action)
    gap = np.linalg.norm(10.0 * np.asarray(own.obs["agent"])[:, 2:8].reshape(3, 3, 2), axis=-1).min(1)
    np.testing.assert_array_equal(then.reward["agent"], gap < 1.0)
    np.testing.assert_allclose(then.obs["agent"], own.obs["agent"], rtol=1e-6)
    assert rewarded.measure(own_state).keys() == navigation.measure(own_state).keys()
    assert rewarded.evaluation() is navigation
    assert rewarded.rules().keys() == navigation.rules().keys()
    assert not rewarded.spec.shared_reward
    assert contract_of(rewarded).constants == contract_of(navigation).constants


@pytest.mark.slow
def test_it_is_an_environment_and_trains(rewarded, tmp_path):
    assert check_environment(rewarded) == []
    settings = {"width": 8, "replay.batch": 4, "replay.capacity": 64, "warmup": 4}
    run = covey.train("iddpg", rewarded, steps=30, episodes=2, settings=settings, out=tmp_path / "run", quiet=True)
    returns = run.evaluation.values["return/agent/mean_agent"]
    assert (np.asarray(returns) < -1.0).all()  # of the environment's own reward, which is negative


def test_rewards_for_others(contract):
    with pytest.raises(BadInput, match="for the group 'agent' of 'navigation'"):
        Rewarded(covey.make("navigation", agents=4), authored(contract))
    with pytest.raises(BadInput, match="needs an environment in JAX"):
        Rewarded(type("Host", (), {"lanes": 3, "spec": covey.make("navigation").spec})(), authored(contract))


def test_the_prior_of_a_run_is_found_by_its_folder(saved, monkeypatch):
    monkeypatch.chdir(saved.parent)
    assert folder.is_authored(Path(saved.name))
    assert not folder.is_authored(Path("none"))
