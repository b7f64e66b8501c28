"""Learning is verified by learning: tasks whose optimum is known, several seeds, and the rule one would use instead.

Thresholds are on the lower end of a 95 % confidence interval over seeds, so luck with one seed does not pass.
"""

from __future__ import annotations

import functools

import pytest

from covey import environments
from covey.algorithms.presets import FOUND
from covey.runs.tournament import tournament
from covey.runs.train import train
from covey.studies.statistics import gap_closed, mean
from covey.studies.trials import Trial, run

pytestmark = pytest.mark.learn

SEEDS = 8
DDPG_FAMILY = ("iddpg", "maddpg", "ps-maddpg", "att-maddpg", "matd3")


@functools.cache
def returns(algorithm: str, world: str, steps: int):
    """Final greedy returns per agent and group, [S]."""
    values = train(algorithm, world, steps=steps, seeds=SEEDS, episodes=128, quiet=True, out=None).evaluation.per_seed()
    return {name: x for name, x in values.items() if name.startswith(("return/", "regret/"))}


@pytest.mark.parametrize("algorithm", DDPG_FAMILY)
def test_discrete_actions_deaths_and_masks_are_learned(algorithm):
    """To the optimum, but for a seed in eight or so, which stops at 11 of 12 for good."""
    values = returns(algorithm, "toy/discrete", 8000)
    assert mean(values["return/a/mean_agent"]).low > 0.9 * 12
    assert mean(values["return/b/mean_agent"]).low > 0.97 * 8
    assert (values["return/a/mean_agent"] == 12).sum() >= SEEDS / 2


@pytest.mark.parametrize("algorithm", ["mappo", "credit-mappo"])
def test_policy_gradients_learn_discrete_actions_deaths_and_masks_to_the_optimum(algorithm):
    values = returns(algorithm, "toy/discrete", 200_000)
    assert mean(values["return/a/mean_agent"]).low > 0.99 * 12
    assert mean(values["return/b/mean_agent"]).low > 0.99 * 8


def test_policy_gradients_learn_splits_and_boxes_to_the_optimum():
    values = returns("mappo", "toy/graph", 200_000)
    assert mean(values["return/gate/mean_agent"]).low > 0.98 * 8
    assert mean(values["return/router/mean_agent"]).low > 0.98 * 8
    assert mean(returns("mappo", "toy/continuous", 200_000)["regret/mover/mean_agent"]).high < 0.03


@pytest.mark.parametrize(("algorithm", "returned"), [("ippo", -43.0), ("mappo", -45.0)])
def test_what_a_command_without_flags_reaches_on_spread(algorithm, returned, tmp_path):
    """The table of docs/algorithms/ppo.md, with room for three seeds instead of five; random play is at -83."""
    preset = FOUND[algorithm, "particle/spread"]
    run = train(
        algorithm, "particle/spread", steps=preset.steps, seeds=3, episodes=128, quiet=True, out=tmp_path / "run"
    )
    assert run.evaluation.per_seed()["return/team_sum"].mean() > returned


@pytest.mark.parametrize("algorithm", DDPG_FAMILY)
def test_splits_of_unequal_sizes_are_learned_to_the_optimum(algorithm):
    values = returns(algorithm, "toy/graph", 8000)
    assert mean(values["return/gate/mean_agent"]).low > 0.95 * 8
    assert mean(values["return/router/mean_agent"]).low > 0.95 * 8


@pytest.mark.parametrize("algorithm", ["maddpg", "att-maddpg", "matd3"])
def test_three_movers_share_the_work(algorithm):
    """Nobody can reach the target alone, and random play is 30 times as far from the optimum."""
    assert mean(returns(algorithm, "toy/continuous", 12_000)["regret/mover/mean_agent"]).high < 0.1


@pytest.mark.parametrize("algorithm", ["maddpg", "att-maddpg"])
def test_routers_share_a_contended_link_better_than_any_constant_split(algorithm, tmp_path):
    world = environments.make("routing/small-contended")
    trials = [Trial(rule, rule) for rule in ("ecmp", "wcmp-path", "static-optimal", "decentralized-bound")]
    outcomes = run([*trials, Trial(algorithm, algorithm, 10_000)], world, seeds=SEEDS, episodes=64, out=tmp_path)
    ours = outcomes[algorithm].per_step
    assert mean(ours - outcomes["static-optimal"].per_step).low > 0
    rule = max((outcomes[name].per_step for name in ("ecmp", "wcmp-path")), key=lambda x: x.mean())
    assert gap_closed(ours, rule, outcomes["decentralized-bound"].per_step).low > 0.9


@pytest.mark.parametrize("algorithm", ["mfq", "mfac"])
def test_self_play_learns_the_choice_that_is_best_against_everybody(algorithm, tmp_path):
    """A policy that plays itself loses nothing to the optimum, and earlier selves lose to it."""
    learned = tmp_path / "learned"
    settings = {"steps": 40_000, "seeds": SEEDS, "envs": 4, "keep_every": 1_024, "quiet": True}
    train(f"self-play/{algorithm}", "toy/duel", out=learned, **settings)
    played = tournament([str(learned), f"{learned}@1024", "optimal"], games=128)
    shares = played.shares()
    assert shares[0, 2].low > 0.48
    assert shares[0, 1].low > 0.5
