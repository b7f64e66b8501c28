"""Games whose values are known: payoffs, optima, and what interaction means."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.core.errors import BadInput
from covey.environments import make
from covey.testing import check_environment

GAMES = ("climbing", "penalty", "qtran", "parity", "two-step", "anova", "decisions", "additive")


def played(world, *actions):
    """What joint actions one after the other earn, and where the last one led."""
    state, now = world.reset(jax.random.key(0))
    earned = 0.0
    for action in actions:
        assert not now.last
        state, now = world.step(jax.random.key(1), state, {"player": jnp.array(action, jnp.int32)})
        earned += float(now.reward["player"][0])
    return earned, now


@pytest.mark.parametrize("name", GAMES)
def test_the_world_keeps_its_promises(name):
    assert check_environment(make(f"matrix/{name}")) == []


@pytest.mark.parametrize(
    ("name", "optimum"), [("climbing", 11), ("penalty", 10), ("qtran", 8), ("parity", 1), ("two-step", 8)]
)
def test_the_rule_earns_the_known_optimum(name, optimum):
    world = make(f"matrix/{name}")
    assert world.reference().value == optimum
    rule = world.rules()["best-joint-action"]()
    state, now = world.reset(jax.random.key(0))
    earned = 0.0
    while not now.last:
        state, now = world.step(jax.random.key(0), state, rule.rule(now, None))
        earned += float(now.reward["player"][0])
    assert earned == optimum
    assert float(now.discount["player"].max()) == 0


def test_payoffs_are_the_tables():
    assert played(make("matrix/climbing"), (0, 1))[0] == -30
    assert played(make("matrix/climbing"), (1, 2))[0] == 6
    assert played(make("matrix/penalty", penalty=-7.0), (2, 0))[0] == -7
    assert played(make("matrix/two-step"), (0, 1), (1, 0))[0] == 7
    assert played(make("matrix/two-step"), (1, 0), (0, 1))[0] == 1
    _, now = played(make("matrix/two-step"), (1, 0))
    np.testing.assert_array_equal(now.obs["player"], [[0, 0, 1]] * 2)


def test_the_optimum_of_a_random_problem_is_that_of_its_best_path():
    world = make("matrix/decisions", steps=3, states=2, seed=4)

    def paths(state):
        """What every path from a state earns."""
        for earned, then in zip(world.payoff[state], world.following[state], strict=True):
            yield from (earned + rest for rest in (paths(then) if then >= 0 else [0.0]))

    everything = list(paths(0))
    assert len(everything) == 9**3
    assert world.reference().value == pytest.approx(max(everything))


@pytest.mark.parametrize("interaction", [0.0, 0.3, 1.0])
def test_interaction_is_a_share_of_the_variance(interaction):
    payoff = np.asarray(make("matrix/anova", interaction=interaction, seed=2).payoff).reshape(3, 3, 3)
    assert payoff.mean() == pytest.approx(0)
    assert payoff.var() == pytest.approx(1)
    alone = sum(payoff.mean(others).var() for others in [(1, 2), (0, 2), (0, 1)])
    assert alone == pytest.approx(1 - interaction)


def test_in_parity_nobody_matters_alone():
    payoff = np.asarray(make("matrix/parity", players=3).payoff).reshape(2, 2, 2)
    assert not payoff.mean((1, 2)).any()


def test_players_of_the_additive_game_differ_as_told():
    world = make("matrix/additive", players=4, uneven=1.0, noise=0.0)
    sigma = np.asarray(world.payoff).std(1)
    np.testing.assert_allclose(sigma / sigma[0], [1, 1 / 2, 1 / 3, 1 / 4], rtol=1e-6)
    assert (sigma**2).sum() == pytest.approx(1)
    assert played(world, (0, 1, 2, 3))[0] == pytest.approx(sum(world.payoff[i][i] for i in range(4)))


def test_players_paid_apart_earn_their_own_parts():
    world = make("matrix/additive", players=3, noise=0.0, apart=True)
    key = jax.random.key(0)
    _, then = world.step(key, world.reset(key)[0], {"player": jnp.array([0, 1, 2])})
    own = [world.payoff[i][i] for i in range(3)]
    np.testing.assert_allclose(then.reward["player"], own, rtol=1e-6)
    assert not world.spec.shared_reward
    assert world.reference().value == pytest.approx(make("matrix/additive", players=3).reference().value / 3)


def test_twins_of_the_best_choice():
    """Two of four choices are the best: players who choose uniformly earn 20 / 2 - 12 with it, -12 / 2 without."""
    world = make("matrix/qtran", twins=1)
    payoff = np.asarray(world.payoff).reshape(4, 4)
    np.testing.assert_allclose(payoff.mean(1), [-2, -2, -6, -6], rtol=1e-6)
    assert played(world, (0, 1))[0] == 8


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("parity", {"players": 17}, "131,072 joint actions"),
        ("anova", {"interaction": 1.5}, "a share lies between 0 and 1"),
        ("anova", {"choices": 1}, "two choices"),
        ("qtran", {"variant": -1}, "`variant` is -1"),
        ("qtran", {"twins": 101}, "`twins` is 101"),
        ("penalty", {"penalty": 3.0}, "`penalty` is 3.0"),
        ("climbing", {"noise": -1.0}, "`noise` is -1.0"),
        ("decisions", {"states": 0}, "`states` is 0"),
        ("additive", {"uneven": float("inf")}, "`uneven` is inf"),
    ],
)
def test_refuses(name, options, says):
    with pytest.raises(BadInput, match=says):
        make(f"matrix/{name}", **options)
