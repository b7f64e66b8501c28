"""Trials meet the same episodes, go on where they were stopped, and leave tables that can be read again."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from covey import algorithms, environments
from covey.learning.replay import Replay
from covey.runs import config
from covey.studies.trials import Column, Trial, at, curve, run, table

WORLD = environments.make("toy/graph")


def small():
    return dataclasses.replace(algorithms.make("maddpg", WORLD), replay=Replay(64, 8), width=4)


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    out = tmp_path_factory.mktemp("trials")
    trials = [
        Trial("random", "random"),
        Trial("the rule", WORLD.reference().algorithm),
        Trial("a learner", small(), 40, envs=2),
    ]
    return out, trials, run(trials, WORLD, seeds=2, episodes=3, out=out, evaluations=4, say=lambda _: None)


def test_every_trial_has_a_number_for_every_episode(played):
    _, _, outcomes = played
    assert list(outcomes) == ["random", "the rule", "a learner"]
    for outcome in outcomes.values():
        assert {x.shape for x in outcome.values.values()} == {(2, 3)}
        assert outcome.per_step.shape == (2,)
    assert outcomes["random"].knows == "nothing"
    assert outcomes["a learner"].knows.startswith("own observation")


def test_a_replay_is_the_episode_that_was_counted(played):
    _, _, outcomes = played
    for outcome in outcomes.values():
        for seed in range(2):
            episode = outcome.replay(seed)
            for name, value in episode.returns().items():
                assert value == pytest.approx(float(outcome.values[name][seed, 0]), rel=1e-5)
            assert episode.length == outcome.values["steps/episode"][seed, 0]


def test_a_learner_has_the_lanes_it_was_given(played):
    _, _, outcomes = played
    assert config.read(outcomes["a learner"].run / "config.yaml", WORLD).envs == 2


def test_a_learner_is_not_trained_twice(played):
    out, trials, outcomes = played
    before = (out / "a-learner" / "metrics.jsonl").read_text()
    again = run(trials[2:], WORLD, seeds=2, episodes=3, out=out, evaluations=4, say=lambda _: None)["a learner"]
    assert (out / "a-learner" / "metrics.jsonl").read_text() == before
    for name, value in outcomes["a learner"].values.items():
        np.testing.assert_array_equal(again.values[name], value)


def test_the_curve_of_a_learner(played):
    _, _, outcomes = played
    steps, values = curve(outcomes["a learner"], "steps/episode")
    np.testing.assert_array_equal(steps, [0, 10, 20, 30, 40])
    assert values.shape == (5, 2)


def test_tables_are_shown_and_written(played, tmp_path, capsys):
    _, _, outcomes = played
    columns = [Column("name", lambda o: o.label), Column("steps", lambda o: o.per_seed("steps/episode"), 1)]
    rows = table("how long", outcomes, columns, tmp_path)
    assert [row[0] for row in rows] == list(outcomes)
    assert "how long" in capsys.readouterr().out
    assert "| random |" in (tmp_path / "table.md").read_text()
    assert json.loads((tmp_path / "results.json").read_text())["rows"] == rows


def test_seeds_that_are_trained_one_by_one_are_those_of_their_numbers(played, tmp_path):
    """Each in a folder of its own, from which a study goes on; all meet the episodes of a run of one seed."""
    _, _, together = played
    said = []
    trial = Trial("apart", small(), 40, envs=2, apart=True)
    first = run([trial], WORLD, seeds=1, episodes=3, out=tmp_path, evaluations=4, say=said.append)["apart"]
    both = run([trial], WORLD, seeds=2, episodes=3, out=tmp_path, evaluations=4, say=said.append)["apart"]
    assert [folder.relative_to(tmp_path).as_posix() for folder in both.folders] == ["apart/seed-0", "apart/seed-1"]
    metric = both.return_metric
    np.testing.assert_array_equal(both.values[metric][:1], first.values[metric])
    np.testing.assert_allclose(both.values[metric][0], together["a learner"].values[metric][0], rtol=1e-4)
    assert np.abs(both.values[metric][0] - both.values[metric][1]).max() > 0
    steps, values = curve(both, metric)
    assert values.shape == (len(steps), 2)
    np.testing.assert_array_equal(at(both, metric, 11), values[np.flatnonzero(steps >= 11)[0]])
    assert both.replay(1).returns()[metric] == pytest.approx(float(both.values[metric][1, 0]), rel=1e-5)
    with pytest.raises(AssertionError, match="apart has 2 run folders"):
        _ = both.run
