"""Who plays which side, what a win is, and ratings against numbers worked out by hand."""

from __future__ import annotations

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import covey
from covey import algorithms, cli
from covey.algorithms.self_play import SelfPlay, as_group
from covey.core.errors import BadInput
from covey.environments import make
from covey.runs.policy import open_run
from covey.runs.tournament import Contender, Tournament, matched, rated, scored, tournament


def test_ratings_say_what_was_scored():
    """Three quarters of many games: odds of 3 are 400 · log10(3) points."""
    shares = np.array([[np.nan, 0.75], [0.25, np.nan]])
    strong, weak = rated(shares, {(0, 1): 1_000_000})
    assert strong - weak == pytest.approx(400 * np.log10(3), abs=0.1)
    assert strong + weak == pytest.approx(2000)


def test_ratings_of_a_chain():
    """Odds multiply along a chain: 3 and 3 make 9, if the games between the ends say so too."""
    shares = np.array([[np.nan, 0.75, 0.9], [0.25, np.nan, 0.75], [0.1, 0.25, np.nan]])
    ratings = rated(shares, dict.fromkeys([(0, 1), (0, 2), (1, 2)], 1_000_000))
    np.testing.assert_allclose(np.diff(ratings), -400 * np.log10(3), atol=0.1)


def test_who_wins_everything_has_a_rating():
    """10 games and a drawn one: odds of 10.5 to 0.5."""
    strong, weak = rated(np.array([[np.nan, 1.0], [0.0, np.nan]]), {(0, 1): 10})
    assert strong - weak == pytest.approx(400 * np.log10(21), abs=0.1)


def test_intervals_come_from_seeds_and_games():
    """One seed against two, of which one always wins: shares of the half, between 0 and 1."""
    points = np.stack([np.zeros((1, 5, 2)), np.ones((1, 5, 2))], 1)
    played = Tournament("world", ("left", "right"), ("one", "two"), (1, 2), {(0, 1): points})
    share = played.shares()[0, 1]
    assert (share.value, share.low, share.high) == (0.5, 0.0, 1.0)
    assert played.shares()[1, 0].value == 0.5
    assert played.by_side() == {(0, 1): (0.5, 0.5)}
    assert played.games == 20


def test_a_win_is_what_the_world_says_or_who_earned_more():
    returns = {
        "return/left/mean_agent": np.array([[1.0, 0.0, 2.0]]),
        "return/right/mean_agent": np.array([[0, 0, 5.0]]),
    }
    assert scored(returns, "left", "right").tolist() == [[1.0, 0.5, 0.0]]
    said = returns | {"world/won_left": np.array([[0, 0, 1.0]]), "world/won_right": np.array([[1.0, 0, 0]])}
    assert scored(said, "left", "right").tolist() == [[0.0, 0.5, 1.0]]
    assert scored(said, "right", "left").tolist() == [[1.0, 0.5, 0.0]]


def rule(id: str) -> Contender:
    return Contender(id, algorithms.make(id, make("toy/duel")), ())


def test_the_better_rule_wins_on_either_side():
    points = matched(rule("optimal"), rule("random"), make("toy/duel"), games=40)
    assert points.shape == (1, 1, 20, 2)
    assert (points.mean((0, 1, 2)) > 0.9).all()
    even = matched(rule("optimal"), rule("optimal"), make("toy/duel"), games=10)
    assert (even == 0.5).all(), "both strike as often as they are struck"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of self-play (two seeds), with checkpoints that stay, and one that controls both sides."""
    folder = tmp_path_factory.mktemp("runs")
    world = make("toy/duel")
    covey.train("self-play/mfac", world, steps=1024, seeds=2, envs=4, out=folder / "self", keep_every=256, quiet=True)
    covey.train("ac", world, steps=256, seeds=1, envs=4, out=folder / "both", quiet=True)
    return folder


@pytest.mark.slow
def test_every_seed_meets_every_seed(trained):
    """Checkpoints that stay are there, and what one of them has learned is what plays."""
    names = [str(trained / "self"), f"{trained / 'self'}@256", "optimal"]
    played = tournament(names, games=12)
    assert played.seeds == (2, 2, 1)
    assert [played.points[pair].shape for pair in ((0, 1), (0, 2))] == [(2, 2, 2, 2), (2, 1, 3, 2)]
    assert all(played.shares()[2, i].value > 0.5 for i in range(2)), "nobody beats the optimum"
    ratings = played.ratings()
    assert max(ratings, key=lambda rating: rating.value) == ratings[2]
    assert np.mean([rating.value for rating in ratings]) == pytest.approx(1000)


@pytest.mark.slow
def test_what_has_learned_plays_as_it_learned(trained):
    """Self-play's policy, asked side by side with the tournament's player, does the same."""
    policy = covey.load(trained / "self", seed=1)
    assert isinstance(policy.algorithm, SelfPlay)
    key = jax.random.key(3)
    _, now = policy.environment.reset(key)
    memory = policy.memory(key)._replace(swapped=jnp.bool_(False))
    both, _ = policy.act(now, memory, key)
    for side in ("left", "right"):
        algorithm, state = as_group(policy.algorithm, policy.state, side)
        alone, _, _ = algorithm.act(state, algorithm.memory(key), now, key, policy.step, explore=False)
        assert alone[side].tolist() == both[side].tolist()


@pytest.mark.slow
def test_the_command_prints_and_writes(trained, tmp_path, capsys, monkeypatch):
    file = tmp_path / "result.json"
    monkeypatch.chdir(trained)
    code = cli.main(["tournament", "both@256", "optimal", "--games", "4", "--json", str(file)])
    said = capsys.readouterr().out
    assert code == 0
    assert "Elo [95 %]" in said
    assert "4 games a pair, half on either side" in said
    result = json.loads(file.read_text())
    assert [who["name"] for who in result["contenders"]] == ["both@256", "optimal"]
    (pair,) = result["pairs"]
    assert pair["games"] == 4
    assert pair["points"]["value"] == pytest.approx((pair["points_as_left"] + pair["points_as_right"]) / 2)


@pytest.mark.slow
def test_policies_alone_can_be_taken_elsewhere(trained, tmp_path):
    """What is kept is what acts, whatever it is learned with; a folder without checkpoints plays its newest one."""
    there, brought = trained / "self", tmp_path / "brought"
    shutil.copytree(there, brought, ignore=shutil.ignore_patterns("checkpoints"))
    newest, last, whole = open_run(brought), open_run(there, step=1024), open_run(there)
    assert (newest.step, sorted(int(x.name) for x in (there / "policies").iterdir())) == (1024, [256, 512, 768, 1024])
    alike = jax.tree.map(lambda a, b: bool((a == b).all()), newest.agents, last.agents)
    assert jax.tree.all(alike)
    assert len(jax.tree.leaves(alike)) < len(jax.tree.leaves(whole.agents))
    points = tournament([str(brought), f"{there}@1024"], games=16).points[0, 1]
    again = tournament([str(there), f"{there}@1024"], games=16).points[0, 1]
    np.testing.assert_array_equal(points, again)


@pytest.mark.slow
def test_a_checkpoint_that_is_not_there(trained):
    with pytest.raises(BadInput, match="no checkpoint of step 300; those that it has: 256, 512, 768, 1024"):
        tournament([f"{trained / 'self'}@300", "optimal"])


@pytest.mark.parametrize(
    ("what", "options", "words"),
    [
        (["optimal"], {"environment": make("toy/duel")}, "two contenders at least"),
        (["optimal", "random"], {}, "rules alone do not say"),
        (["optimal", "random"], {"environment": make("toy/duel"), "games": 1}, "at least two games"),
        (["optimal", "mfac"], {"environment": make("toy/duel")}, "'mfac' has to be trained"),
        (["optimal", "random"], {"environment": make("toy/discrete")}, "two groups that are alike"),
    ],
)
def test_what_is_no_tournament(what, options, words):
    with pytest.raises(BadInput, match=words):
        tournament(what, **options)


@pytest.mark.slow
def test_runs_of_other_worlds_are_refused(trained):
    with pytest.raises(BadInput, match="let runs of one environment play"):
        tournament([str(trained / "both"), "optimal"], make("toy/duel", time_limit=5))
