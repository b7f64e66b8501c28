"""Credits on games small enough to add up everything: the gradients they give, their variances, and the ledger."""

from __future__ import annotations

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.environments import make
from covey.learning import credit
from covey.nn import mixers

PLAYERS, CHOICES = 3, 3
JOINT = np.array(list(itertools.product(range(CHOICES), repeat=PLAYERS)))
EYE = jnp.eye(CHOICES)


def table(seed):
    return jax.random.normal(jax.random.key(seed), (CHOICES,) * PLAYERS)


def policies(seed=9):
    return jax.nn.softmax(jax.random.normal(jax.random.key(seed), (PLAYERS, CHOICES)))


def worth(payoff, z):
    """The payoff of independent choices z [n, A]: of one joint action if one-hot, on average if probabilities."""
    for row in z:
        payoff = jnp.tensordot(row, payoff, 1)
    return payoff


@functools.cache
def exact_gradient(seed=0):
    """Of the expected payoff, in the logits [n, A]."""
    return jax.grad(lambda logits: worth(table(seed), jax.nn.softmax(logits)))(jnp.log(policies()))


def over_actions(score):
    """A credit [J, n] of every joint action, `score(taken, policies)`."""
    pi = policies()
    return jax.jit(jax.vmap(lambda a: score(EYE[a], pi)))(JOINT)


def chance(pi=None):
    pi = policies() if pi is None else pi
    return jnp.prod(jnp.stack([pi[i, JOINT[:, i]] for i in range(PLAYERS)]), 0)


def terms(psi):
    """The policy gradient's terms [J, n, A], one for each joint action."""
    return psi[..., None] * (EYE[JOINT] - policies())


def gradient(psi):
    return jnp.einsum("j,jna->na", chance(), terms(psi))


def score_of(name, model):
    mix = functools.partial(worth, model)
    mean = policies()[:, None], jnp.ones((PLAYERS, 1))  # as `instead` and `weight`: mix is linear in each agent
    every = jnp.broadcast_to(EYE, (PLAYERS, CHOICES, CHOICES)), policies()
    key = jax.random.key(0)
    return {
        "joint": lambda taken, pi: jnp.full(PLAYERS, mix(taken) - mix(pi)),
        "others": lambda taken, pi: mix(taken) - credit.others(functools.partial(worth, table(5)), taken, *every),
        "coma": lambda taken, pi: mix(taken) - credit.others(mix, taken, *every),
        "shapley": lambda taken, pi: credit.shapley(mix, taken, *mean, key, 256),
        "marginal": lambda taken, pi: credit.marginal(mix, taken, *mean, key, 1),
    }[name]


CREDITS = ("joint", "others", "coma", "shapley", "marginal")


@pytest.mark.parametrize("name", CREDITS)
def test_every_credit_gives_the_exact_gradient(name):
    """With a true model; `others`, with a model that has nothing to do with the payoff."""
    found = gradient(over_actions(score_of(name, table(0))))
    np.testing.assert_allclose(found, exact_gradient(), atol=1e-5)


@pytest.mark.parametrize("name", ["coma", "shapley", "marginal"])
def test_credits_of_a_wrong_model_are_wrong(name):
    found = gradient(over_actions(score_of(name, table(5))))
    assert np.abs(found - exact_gradient()).max() > 0.05


def test_variances_fall_from_joint_to_marginal():
    variance = {}
    for name in ("joint", "coma", "shapley", "marginal"):
        psi = over_actions(score_of(name, table(0)))
        of_psi = jnp.einsum("j,jn->n", chance(), psi**2)
        each = terms(psi) - gradient(psi)
        variance[name] = of_psi, jnp.einsum("j,jna->n", chance(), each**2)
    for less, more in itertools.pairwise(["marginal", "shapley", "coma", "joint"]):
        assert (variance[less][0] < variance[more][0] + 1e-3).all(), (less, more)
    for less, more in itertools.pairwise(["marginal", "shapley", "coma"]):
        assert (variance[less][1] < variance[more][1] + 1e-3).all(), (less, more)


def test_shapley_shares_out_everything():
    psi = over_actions(score_of("shapley", table(0)))
    joint = over_actions(score_of("joint", table(0)))[:, 0]
    np.testing.assert_allclose(psi.sum(1), joint, atol=1e-5)


def test_sampled_marginals_tend_to_the_exact_ones():
    mix, pi = functools.partial(worth, table(0)), policies()
    every = jnp.broadcast_to(EYE, (PLAYERS, CHOICES, CHOICES))
    taken = EYE[jnp.array([0, 2, 1])]
    exact = credit.marginal(mix, taken, pi[:, None], jnp.ones((PLAYERS, 1)), jax.random.key(0), 1)
    found = jax.jit(lambda key: credit.marginal(mix, taken, every, pi, key, 20_000))(jax.random.key(1))
    np.testing.assert_allclose(found, exact, atol=0.05)


def test_the_slope_of_a_bent_mix_is_biased_and_the_counterfactual_is_not():
    """Payoff exp(Σ u): monotone, and still its slopes mislead (section 3.4 of the derivation)."""
    u, pi = jax.random.normal(jax.random.key(3), (PLAYERS, CHOICES)), policies()
    u = credit.centered(u, pi)

    def mix(z):
        return jnp.exp(z.sum())

    def psi(score):
        return jax.vmap(lambda a: score(u[jnp.arange(PLAYERS), a][:, None]))(JOINT)

    payoff = jnp.exp(u[:, :, None, None][0] + u[1][None, :, None] + u[2][None, None])
    exact = jax.grad(lambda logits: worth(payoff, jax.nn.softmax(logits)))(jnp.log(pi))
    coma = psi(lambda z: mix(z) - credit.others(mix, z, u[..., None], pi))
    np.testing.assert_allclose(gradient(coma), exact, atol=1e-5)
    assert np.abs(gradient(psi(lambda z: credit.slope(mix, z))) - exact).max() > 0.1


def test_centered_choices_average_to_nothing():
    pi = policies()
    found = credit.centered(jax.random.normal(jax.random.key(0), (PLAYERS, CHOICES, 4)), pi)
    np.testing.assert_allclose((pi[..., None] * found).sum(1), 0, atol=1e-6)


@pytest.mark.parametrize("mixer", [mixers.Sum(), mixers.Pair(rank=2)])
def test_the_mean_over_own_choices_is_nothing_in_their_place(mixer):
    """For mixers that are affine in every member, and members that bring nothing on average."""
    assert mixer.centered
    k_mix, k_z = jax.random.split(jax.random.key(4))
    instead = credit.centered(jax.random.normal(k_z, (PLAYERS, CHOICES, mixer.brings)), policies())
    taken, context = instead[:, 0], jnp.ones(2)
    mix = functools.partial(mixer.value, mixer.init(k_mix, PLAYERS, 2), context=context)
    expected = credit.others(mix, taken, instead, policies())
    np.testing.assert_allclose(credit.without(mix, taken), expected, atol=1e-5)
    assert np.abs(expected - mix(taken)).max() > 0.1


# ---------------------------------------------------------------------------------------------------------------------
# Several steps


@pytest.mark.parametrize("future", [False, True])
def test_baselines_of_the_future_leave_the_gradient_of_a_two_step_game(future):
    """Every path of a game of two steps, with a model that is wrong, centered under the policies."""
    world = make("matrix/decisions", players=2, choices=2, steps=2, states=2, seed=1)
    payoff, following = jnp.asarray(world.payoff), np.asarray(world.following)
    joint = np.array(list(itertools.product(range(2), repeat=2)))
    logits = jax.random.normal(jax.random.key(0), (3, 2, 2))  # [state, player, choice]
    wrong = jax.random.normal(jax.random.key(1), (3, 2, 2))

    def chance(logits, state, j):
        pi = jax.nn.softmax(logits[state])
        return pi[0, joint[j, 0]] * pi[1, joint[j, 1]]

    def value(logits):
        total = 0.0
        for first, second in itertools.product(range(4), repeat=2):
            then = following[0, first]
            likely = chance(logits, 0, first) * chance(logits, then, second)
            total += likely * (payoff[0, first] + payoff[then, second])
        return total

    pi = jax.nn.softmax(logits)
    model = credit.centered(wrong, pi)  # A_i [state, player, choice], mixed by their sum
    found = jnp.zeros_like(logits)
    for first, second in itertools.product(range(4), repeat=2):
        then = following[0, first]
        likely = chance(logits, 0, first) * chance(logits, then, second)
        states, actions = [0, then], [joint[first], joint[second]]
        parts = jnp.stack([model[s, jnp.arange(2), a] for s, a in zip(states, actions, strict=True)])  # [T, n]
        returns = jnp.stack([payoff[0, first] + payoff[then, second], payoff[then, second]])
        last = jnp.array([False, True])
        psi = returns[:, None] - (parts.sum(1, keepdims=True) - parts)
        if future:
            psi = psi - credit.ahead(parts.sum(1), 1.0 - last, last, 1.0)[:, None]
        for t, (state, action) in enumerate(zip(states, actions, strict=True)):
            found = found.at[state].add(likely * psi[t][:, None] * (jnp.eye(2)[action] - pi[state]))
    np.testing.assert_allclose(found, jax.grad(value)(logits), atol=1e-5)


def test_what_lies_ahead_by_hand():
    x, last = jnp.array([1.0, 2.0, 4.0, 8.0]), jnp.array([False, False, True, False])
    found = credit.ahead(x, 1.0 - last, last, 0.5)
    np.testing.assert_allclose(found, [0.5 * 2 + 0.25 * 4, 0.5 * 4, 0.0, 0.0], rtol=1e-6)


def test_reliance_is_the_share_that_leaves_least_variance():
    rng = np.random.default_rng(0)
    baseline, noise = (jnp.asarray(x) for x in rng.normal(size=(2, 50, 100, 2)))
    there, before = np.ones((50, 100, 2)), credit.Moments.none()

    def eta(advantage, baseline):
        return credit.reliance(advantage, baseline, there, before)[0]

    np.testing.assert_allclose(eta(0.7 * baseline + noise, baseline), 0.7, atol=0.05)
    np.testing.assert_allclose(eta(noise, baseline), 0.0, atol=0.05)
    np.testing.assert_array_equal(eta(3.0 * baseline, baseline), 1.0)
    np.testing.assert_array_equal(eta(noise, 0.0 * baseline), 0.0)
    np.testing.assert_array_equal(eta(noise, 1e-4 * noise), 0.0)  # what could be rounding


def test_reliance_does_not_depend_on_the_lane_that_it_is_for():
    """Two lanes by hand: each relies on what the other says, and on half of what was known before."""
    baseline = jnp.array([[[1.0], [2.0]], [[-1.0], [-2.0]]])  # [T, E, n]
    advantage = jnp.array([[[1.0], [0.0]], [[-1.0], [0.0]]])
    there = jnp.ones((2, 2, 1))
    eta, after = credit.reliance(advantage, baseline, there, credit.Moments.none())
    np.testing.assert_allclose(eta, [0.0, 1.0], rtol=1e-6)  # of lane 0: 0 / 4, of lane 1: 1 / 1
    np.testing.assert_allclose(after, [0.5, 2.5], rtol=1e-6)
    eta, after = credit.reliance(advantage, baseline, there, after)
    np.testing.assert_allclose(eta, [0.25 / (4 + 1.25), (1 + 0.25) / (1 + 1.25)], rtol=1e-6)
    np.testing.assert_allclose(after, [0.75, 3.75], rtol=1e-6)
    alone, _ = credit.reliance(advantage[:, :1], baseline[:, :1], there[:, :1], credit.Moments.none())
    np.testing.assert_array_equal(alone, [0.0])  # nobody else, and nothing before


@pytest.mark.parametrize("ending", ["death", "time limit"])
def test_the_ledger_adds_up(ending):
    rng = np.random.default_rng(1)
    steps, gamma = 5, 0.9
    reward, values, whole = rng.normal(size=steps), rng.normal(size=steps + 1), rng.normal(size=steps)
    parts = rng.normal(size=(steps, PLAYERS))
    last, discount = np.arange(steps) == 3, np.ones(steps)
    discount[3] = 0.0 if ending == "death" else 1.0
    book = credit.ledger(reward, values[:-1], values[1:], discount, last, parts, whole, gamma)
    earned = sum(gamma**t * reward[t] for t in range(4))
    assert float(book.earned.sum()) == pytest.approx(earned, abs=1e-5)
    assert float(book.cut) == pytest.approx(gamma**4 * discount[3] * values[4], abs=1e-5)
    accounted = book.foretold + book.parts.sum() + book.together.sum() + book.luck.sum()
    assert float(accounted) == pytest.approx(earned + float(book.cut), abs=1e-5)
    assert not book.parts[4].any()
