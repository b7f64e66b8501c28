"""The studies of LAMARL: thresholds by hand, and what they train and where it plays, without training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from covey import algorithms, environments
from covey.algorithms import presets
from covey.algorithms.prior import NOBODY
from covey.environments.assembly.shapes import PAPER, bank
from covey.runs.evaluate import FINAL, evaluation_keys, player
from covey.studies.bench_swarm import Sizes
from covey.studies.lamarl.ablation import decided, overall_sign, said
from covey.studies.lamarl.common import Learned, judge, learner, play_rule, scale, stage
from covey.studies.lamarl.elsewhere import CASES, beginning
from covey.studies.lamarl.shapes import at_most, largest_radius, of_ablation
from covey.studies.lamarl.switches import ARMS, FOUND, SMALL, SWARM, times
from covey.studies.lamarl.thresholds import (
    AT_LEAST,
    AT_MOST,
    UNKNOWN,
    Gain,
    Reach,
    bootstrap,
    gain,
    plateau,
    reach,
    smoothed,
    there,
)
from covey.studies.statistics import Interval, within
from covey.studies.trials import Outcome

EPISODES = np.array([0.0, 100.0, 200.0, 300.0, 400.0])


@pytest.mark.parametrize(
    ("curve", "found"),
    [
        ([10, 6, 2, 1, 1], Reach(150, False)),  # the line from 6 to 2 crosses 4 in the middle
        ([10, 1, 9, 1, 1], Reach(262.5, False)),  # below for good, not for the first time
        ([10, 9, 8, 7, 5], Reach(400, True)),
        ([10, 1, 1, 1, 4], Reach(400, True)),  # at the level is not below it
        ([3, 2, 1, 1, 1], Reach(0, False)),
        ([10, np.nan, 1, 1, 1], Reach(np.nan, False)),
    ],
)
def test_a_threshold_is_reached_for_good(curve, found):
    np.testing.assert_array_equal(reach(EPISODES, np.array(curve, float), 4.0), found)


def test_a_run_that_never_gets_there_is_marked():
    assert Reach(1200, True).text() == "≥ 1,200"
    assert Reach(1200, False).text() == "1,200"


@pytest.mark.parametrize(
    ("with_it", "without", "ratio", "sign"),
    [
        (Reach(100, False), Reach(286, False), 2.86, ""),
        (Reach(100, False), Reach(400, True), 4.0, AT_LEAST),
        (Reach(400, True), Reach(200, False), 0.5, AT_MOST),
        (Reach(400, True), Reach(400, True), 1.0, UNKNOWN),
        (Reach(0, False), Reach(50, False), 50.0, ""),  # of one episode at least
    ],
)
def test_a_ratio_of_bounds_is_a_bound(with_it, without, ratio, sign):
    found = Gain(with_it, without)
    assert found.ratio == pytest.approx(ratio)
    assert found.sign == sign


def test_both_readings_of_the_gain():
    assert said("", Interval(2.859, 2.0, 4.0)) == ["186 (100 to 300)", "2.86 (2.00 to 4.00)"]
    assert said(AT_LEAST, Interval(2.0, 1.5, 3.0)) == ["≥ 100 (50 to 200)", "≥ 2.00 (1.50 to 3.00)"]
    assert said(UNKNOWN, Interval(1.0, 1.0, 1.0)) == ["unknown", "unknown"]


@pytest.mark.parametrize(
    ("low", "high", "sign", "holds"),
    [
        (2.0, 3.0, "", True),
        (1.0, 1.5, "", False),
        (1.5, 2.5, "", None),
        (2.0, 3.0, AT_LEAST, True),
        (1.0, 1.5, AT_LEAST, None),  # it may be more
        (2.0, 3.0, AT_MOST, None),
        (1.0, 1.5, AT_MOST, False),
        (2.0, 3.0, UNKNOWN, None),
    ],
)
def test_a_bound_decides_in_one_direction(low, high, sign, holds):
    assert decided(Interval((low + high) / 2, low, high), sign, 1.859) is holds


def test_the_mean_of_ratios_is_a_bound_as_they_are():
    exact, least = Gain(Reach(1, False), Reach(2, False)), Gain(Reach(1, False), Reach(4, True))
    most = Gain(Reach(4, True), Reach(2, False))
    assert [overall_sign(gains) for gains in ([exact], [exact, least], [least, most], [])] == [
        *("", AT_LEAST),
        *(UNKNOWN, UNKNOWN),
    ]


def test_moving_means_are_geometric_and_shorter_at_the_ends():
    curve = np.array([1.0, 100.0, 10.0, 10.0])
    np.testing.assert_allclose(smoothed(curve), [10, 10, 10 ** (4 / 3), 10], rtol=1e-6)
    np.testing.assert_allclose(smoothed(np.stack([curve, 2 * curve], 1))[:, 1], 2 * smoothed(curve), rtol=1e-6)
    np.testing.assert_allclose(smoothed(curve, 1), curve, rtol=1e-6)


def test_the_plateau_is_the_last_fifth():
    assert plateau(np.arange(10.0)) == pytest.approx(8.5)
    assert plateau(np.array([3.0, 1.0])) == 1.0


def falls(at: float, seeds: int = 3) -> np.ndarray:
    """1000 until `at` episodes, then 1, for all seeds [P, S]."""
    return np.repeat(np.where(np.linspace(0, 3000, 31) < at, 1000.0, 1.0)[:, None], seeds, 1)


def test_seeds_that_are_equal_leave_no_doubt():
    episodes = np.linspace(0, 3000, 31)
    pairs = [(falls(300), falls(1200)), (falls(300), falls(9999))]
    each, overall = bootstrap(episodes, pairs, [None, 30.0])
    found = [gain(episodes, *pair, level) for pair, level in zip(pairs, [None, 30.0], strict=True)]
    assert [g.sign for g in found] == ["", AT_LEAST]
    for interval, one in zip(each, found, strict=True):
        np.testing.assert_allclose(interval, 3 * [one.ratio], rtol=1e-6)
    np.testing.assert_allclose(overall, 3 * [np.mean([one.ratio for one in found])], rtol=1e-6)
    assert there(episodes, falls(300), 30.0) == 3
    assert there(episodes, falls(9999), 30.0) == 0


def test_seeds_that_differ_leave_doubt():
    episodes = np.linspace(0, 3000, 31)
    ours = falls(300)
    theirs = np.concatenate([falls(600, 1), falls(1200, 1), falls(2400, 1)], axis=1)
    (interval,), _ = bootstrap(episodes, [(ours, theirs)], [30.0])
    assert interval.low < interval.mean - 0.5
    assert interval.low == pytest.approx(gain(episodes, ours[:, :1], theirs[:, :1], 30.0).ratio, rel=0.3)


def test_shapes_where_neither_gets_there_are_left_out_of_the_mean():
    episodes = np.linspace(0, 3000, 31)
    pairs = [(falls(300), falls(1200)), (falls(9999), falls(9999))]
    each, overall = bootstrap(episodes, pairs, [30.0, 30.0])
    assert overall.mean == pytest.approx(each[0].mean)


@pytest.mark.parametrize(
    ("low", "high", "holds"), [(-0.1, 0.1, True), (0.3, 0.4, False), (-0.4, -0.3, False), (0.1, 0.3, None)]
)
def test_a_difference_within_a_margin(low, high, holds):
    assert within(Interval((low + high) / 2, low, high), 0.2) is holds
    assert within(Interval(0.0, np.nan, np.nan), 0.2) is None


def test_a_level_that_is_not_exceeded():
    ends = [(-2, -1), (1, 2), (-1, 1)]
    assert [at_most(Interval(0, *end), 0.0) for end in ends] == [True, False, None]


def test_factors_are_of_pairs():
    found = times(np.log([2.0, 4.0, 8.0]), np.log([1.0, 2.0, 4.0]))
    np.testing.assert_allclose(found, [2, 2, 2], rtol=1e-6)


def test_the_studies_share_a_folder():
    assert of_ablation(Path("runs/lamarl-shapes")) == Path("runs/lamarl-prior-ablation")
    assert of_ablation(Path("runs/lamarl-shapes/quick")) == Path("runs/lamarl-prior-ablation/quick")
    assert of_ablation(Path("anywhere")) == Path("anywhere")


def test_as_many_robots_as_fit():
    area = bank(PAPER).area.min()
    radius = largest_radius(50, PAPER)
    assert 4 * 50 * radius**2 <= area < 4 * 50 * (radius + 1e-3) ** 2
    environments.make("assembly", robots=50, collision_radius=radius)
    assert largest_radius(30, PAPER) >= 0.1


def test_a_stage_has_one_shape_in_every_environment():
    on = stage(("star", "L"), robots=3, time_limit=4)
    for shape, environment in zip(on.shapes, on.environments, strict=True):
        (region,) = {int(count) for count in environment.bank.count}
        assert region == int(bank((shape,)).count[0])
        assert environment.placement == "centered"


@pytest.mark.slow
def test_a_shape_is_played_as_if_it_were_alone():
    on = stage(("star", "square"), robots=3, time_limit=4)
    played = play_rule(on, "mean-shift", 2, 2)
    for shape, environment in zip(on.shapes, on.environments, strict=True):
        alone = player(environment, algorithms.make("mean-shift", environment), 2)((), evaluation_keys(FINAL, 2), 0)
        for name, values in alone.items():
            np.testing.assert_allclose(played[shape][name], values, rtol=1e-5, err_msg=name)
    assert not np.array_equal(played["star"]["world/coverage"], played["square"]["world/coverage"])


@pytest.mark.slow
def test_what_acts_before_training(tmp_path):
    environment = environments.make("assembly", robots=3, shapes="star", time_limit=4)
    algorithm = learner(environment, **SMALL, prior=NOBODY)
    learned = Learned("x", algorithm, environment, (tmp_path / "a", tmp_path / "b"))
    assert learned.steps == [0]
    agents = learned.agents(0)
    on = stage(("star",), robots=3, time_limit=4)
    values = judge(on, algorithm, 2)(agents, 2)["star"]
    assert values["steps/episode"].shape == (2, 2)


def test_the_ablation_changes_the_prior_alone():
    environment = environments.make("assembly", robots=3)
    with_it, without = learner(environment), learner(environment, prior=NOBODY)
    names = {name for name in vars(with_it) if name != "prior"}
    assert {name: getattr(with_it, name) for name in names} == {name: getattr(without, name) for name in names}
    assert with_it.prior
    assert not without.prior


def test_the_size_is_that_of_what_was_found():
    found = presets.FOUND["lamarl", "assembly"]
    assert (scale(False).steps, scale(False).envs, scale(False).robots) == (found.steps, found.envs, 30)
    assert scale(True).steps < found.steps


def test_switches_differ_in_one_part():
    """Critics of several robots from the one that learns from whole steps too, all others from what was found."""
    environment = environments.make("assembly", **SWARM)
    base = learner(environment, **SMALL)
    for label, changes in ARMS.items():
        arm = learner(environment, **SMALL, **changes)
        parts = {name.partition(".")[0] for name in changes}
        assert parts in (set(), {"prior"}, {"replay"}, {"replay", "critic"})
        assert (arm == base) is (label == FOUND)
        assert {name for name in vars(base) if getattr(arm, name) != getattr(base, name)} <= parts
    critic: Any = learner(environment, **SMALL, **ARMS["critic of neighbors"]).critic
    assert critic.width == SMALL["width"]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.learner} on {case.environment}")
def test_priors_elsewhere_are_rules_there(case):
    environment = environments.make(case.environment)
    assert case.prior in algorithms.rules(environment)


def test_the_beginning_of_training_has_an_evaluation(monkeypatch):
    steps, rewards = np.array([0, 50, 100]), np.array([[0.0], [4.0], [8.0]])
    curves = {"return/robot/mean_agent": (steps, 2 * rewards), "steps/episode": (steps, np.full((3, 1), 2.0))}
    monkeypatch.setattr("covey.studies.lamarl.elsewhere.curve", lambda outcome, metric: curves[metric])

    told = Outcome("x", "nothing", {name: np.zeros((1, 1)) for name in curves}, lambda seed: pytest.fail("not played"))
    np.testing.assert_array_equal(beginning(told), [4.0])


def test_the_products_of_an_update_by_hand():
    """One row, one number seen, one done, one unit: an actor of 1 + 1 products, a critic of 2 + 1. The target takes 5,
    the critic 3 · 3 - 2, the way through the critic 3 + 1 + 1, the actor 3 · 2 - 1."""
    assert Sizes(rows=1, obs=1, action=1, width=1, layers=1).flops == 2 * (5 + 7 + 5 + 5)
