"""What the studies of credit measure, on games in which it is known."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.algorithms.credit import Baseline
from covey.cli import main
from covey.environments import make
from covey.studies import saying
from covey.studies.credit import common, games
from covey.studies.credit.forks import Fidelity, fidelity
from covey.studies.credit.lazy import Beside, Stuck, effects, laziness
from covey.studies.reproduce import STUDIES
from covey.studies.statistics import Interval


def test_forks_find_what_a_choice_is_worth():
    """In an additive game a choice is worth its payoff less the mean under the policy, whatever the others do."""
    world = make("matrix/additive", players=3, choices=4, noise=0.0)
    algorithm = common.team(world, Baseline(width=8))
    state = algorithm.init(jax.random.key(0), 4)
    state = state._replace(nets=jax.tree.map(lambda x: 3.0 * x, state.nets))  # policies that are far from uniform
    found = fidelity(world, algorithm, state, jax.random.key(1), "player", states=2, forks=4)
    _, now = world.reset(jax.random.key(0))
    raw = algorithm.members("player").step(state.nets.actor["player"].net, jnp.zeros((3, 0)), now.obs["player"])[1]
    chance = np.asarray(jax.nn.softmax(raw))
    payoff = np.asarray(world.payoff)
    expected = payoff - (chance * payoff).sum(1, keepdims=True)
    np.testing.assert_allclose(found.forks, np.broadcast_to(expected, (2, 3, 4)), atol=1e-5)
    assert (np.abs((chance * found.model).sum(-1)) < 1e-6).all()  # the model's credits are centered


def test_fidelity_by_hand():
    chance = np.array([[[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]])  # the third choice is never made, the second agent dead
    seen = Fidelity(
        np.array([[[1.0, -1.0, 9.0], [5.0, 5.0, 5.0]]]), np.array([[[2.0, -2.0, -9.0], [0.0, 1.0, 2.0]]]), chance
    )
    assert seen.correlation == pytest.approx(1.0)
    assert seen.signs == 1.0
    assert seen._replace(model=-seen.model).correlation == pytest.approx(-1.0)
    assert seen._replace(model=-seen.model).signs == 0.0


def test_variances_of_an_additive_game():
    """Two players whose choices earn ±1 and ±3: the joint advantage carries the other one's square."""
    payoff = np.array([[1.0, -1.0], [3.0, -3.0]])
    found = games.gradient_variances(payoff, noise=0.0, draws=200_000)
    np.testing.assert_allclose(found["baseline"], found["marginal"], rtol=1e-6)
    # (1[a] - 1/2) Ψ: with Ψ = own it is constant, with Ψ = own + other its variance is that of ± other / 2, twice
    np.testing.assert_allclose(found["marginal"], [0.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(found["joint"], [2 * 9 / 4, 2 * 1 / 4], rtol=0.02)


def test_laziness_by_hand():
    effect = np.array([[2.0, 1.0, 1.0, 0.0], [1.0, -5.0, 1.0, 1.0]])
    np.testing.assert_allclose(laziness(effect), [[0.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0]], atol=1e-9)


def test_who_is_missed():
    """In an additive game without motors for player 0, nobody misses it, and its mates are."""
    world = Stuck(make("matrix/additive", players=3, choices=3, uneven=0.0, noise=0.0), "player", 0)
    algorithm = common.team(world)
    best = np.asarray(world.inner.payoff).argmax(1)

    class Best(type(algorithm)):
        def act(self, state, memory, now, key, step, *, explore):
            _, memory, extra = super().act(state, memory, now, key, step, explore=explore)
            return {"player": jnp.asarray(best, jnp.int32)}, memory, extra

    known = Best(**{f.name: getattr(algorithm, f.name) for f in dataclasses.fields(algorithm)})
    agents = jax.vmap(lambda key: known.init(key, 4))(jax.random.split(jax.random.key(0), 2))
    effect = effects(world, known, agents, "player", 2, 64)
    np.testing.assert_allclose(effect[:, 0], 0.0, atol=1e-6)
    assert (effect[:, 1:] > 0.1).all()
    assert (laziness(effect)[:, 0] == 1.0).all()


def test_a_world_for_one_agent():
    """Its mates act as they do by themselves, and it earns the team's mean."""
    world = make("particle/spread", time_limit=4)
    algorithm = common.team(world, minibatches=1)
    agent_state, key = algorithm.init(jax.random.key(0), 4), jax.random.key(1)
    alone = Beside(world, algorithm, agent_state, "agent", 1)
    assert alone.spec.groups["agent"].names == ("agent_1",)
    state, now = alone.reset(key)
    inner, seen = world.reset(key)
    np.testing.assert_array_equal(now.obs["agent"], seen.obs["agent"][1:2])
    _, then = alone.step(key, state, {"agent": jnp.array([3])})
    k_act, k_step = jax.random.split(key)
    action, _, _ = algorithm.act(agent_state, algorithm.memory(key), seen, k_act, 0, explore=False)
    _, after = world.step(k_step, inner, {"agent": action["agent"].at[1].set(3)})
    np.testing.assert_allclose(then.obs["agent"], after.obs["agent"][1:2], rtol=1e-6)
    assert float(then.reward["agent"][0]) == pytest.approx(float(after.reward["agent"].mean()), rel=1e-5)


def test_when_seeds_are_there():
    steps = np.array([10, 20, 30, 40])
    there = np.array([[0, 1, 0], [1, 0, 0], [1, 1, 0], [1, 1, 0]], bool)
    np.testing.assert_array_equal(common.first(steps, there), [20, 10, np.inf])
    np.testing.assert_array_equal(common.first(steps, common.for_good(there)), [20, 30, np.inf])


def test_ratios():
    assert common.ratio(np.array([4.0, 4.0, 4.0]), np.array([2.0, 2.0, 2.0]), 9.0).mean == pytest.approx(2.0)
    never = common.ratio(np.array([np.inf, np.inf]), np.array([2.0, 2.0]), 16.0)
    assert never.mean == pytest.approx(8.0)
    assert never.ends(1) == "8.0 (8.0 to 8.0)"


def test_verdicts():
    said = []
    saying.verdict(said.append, "x", None, "y")
    saying.verdict(said.append, "x", True, Interval(1.0, 0.5, 1.5).text(1))
    assert said == ["OPEN: x (y)", "CONFIRMED: x (1.0 ± 0.5)"]


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [(1.1, 1.3, "CONFIRMED"), (0.7, 0.9, "REFUTED"), (0.9, 1.3, "OPEN"), (np.nan, np.nan, "OPEN")],
)
def test_a_race_is_decided_by_its_last_world(low, high, word):
    said = []
    won = Interval(5.0, 4.0, 6.0)
    last = Interval((low + high) / 2, low, high)
    games.decided(said.append, "x", {"2 players, baseline": won, "9 players, baseline": last, "9 players, coma": won})
    assert said[0].startswith(f"{word}: x (9 players, baseline: ")


@pytest.mark.learn
@pytest.mark.parametrize("id", [id for id in STUDIES if id.startswith(("credit/", "mappo/", "maddpg/", "lamarl/"))])
def test_a_quick_study_ends_with_its_verdicts(id, tmp_path, capsys):
    assert main(["reproduce", id, "--quick", "--out", str(tmp_path / "study")]) == 0
    said = capsys.readouterr().out
    assert "plan: " in said
    assert any(f"{word}: " in said for word in ("CONFIRMED", "REFUTED", "OPEN"))
    assert (tmp_path / "study" / "table.md").is_file()
