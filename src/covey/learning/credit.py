"""Who earned what: credits of team mates for one joint action, out of a model of what the team earns together.

The model M gives the advantage of a joint action, M(z_1, ..., z_n), where z_i stands for what agent i does. Beside what
agent i did (`taken` [n, ...]) there is what it might have done (`instead` [n, K, ...]), with the probabilities of its
policy (`weight` [n, K]). With A_T the part of M that exactly the agents T make together (its ANOVA decomposition under
the policies), the credits of agent i are

    joint       M - E M                         Σ_T A_T
    coma        M - E_i M                       Σ_{T ∋ i} A_T             Foerster et al. 2018
    shapley     mean over orders of joining     Σ_{T ∋ i} A_T / |T|       Shapley 1953, absent mates as their policies
    marginal    E_-i M - E M                    A_i

E_i is a mean over agent i's own choices, E_-i over everybody else's. All have the same mean for each choice of agent i,
hence the same policy gradient, and less variance from top to bottom. `others` = E_i M does not depend on what agent i
did: taken from a sampled advantage it leaves the gradient as it is, however wrong the model may be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

Mix = Callable[[Any], Any]
"""What a joint action is worth: [n, ...] -> []."""


def others(mix: Mix, taken: Any, instead: Any, weight: Any) -> Any:
    """What the joint action is worth on average over each agent's own choices, [n]: exact, n·K values of M."""

    def choice(agent, z):
        return mix(taken.at[agent].set(z))

    agents = jnp.arange(len(taken))
    worth = jax.vmap(jax.vmap(choice, (None, 0)))(agents, instead)
    return (weight * worth).sum(1)


def without(mix: Mix, taken: Any) -> Any:
    """`others` where members bring 0 on average and M is affine in what each brings: M with 0 in its place, [n]."""
    return jax.vmap(lambda agent: mix(taken.at[agent].set(0.0)))(jnp.arange(len(taken)))


def marginal(mix: Mix, taken: Any, instead: Any, weight: Any, key: Any, samples: int) -> Any:
    """What agent i's choice is worth on average over what the others do, [n], from `samples` draws of everybody."""

    def once(key):
        drawn = draw(instead, weight, key)
        alone = jax.vmap(lambda agent: mix(drawn.at[agent].set(taken[agent])))(jnp.arange(len(taken)))
        return alone - mix(drawn)

    return jax.vmap(once)(jax.random.split(key, samples)).mean(0)


def shapley(mix: Mix, taken: Any, instead: Any, weight: Any, key: Any, samples: int) -> Any:
    """What agent i brings when it joins, [n], from `samples` orders of joining; who has not joined does anything."""

    def once(key):
        k_order, k_draw = jax.random.split(key)
        order = jax.random.permutation(k_order, len(taken))

        def join(team, agent):
            joined = team.at[agent].set(taken[agent])
            return joined, mix(joined) - mix(team)

        _, brought = jax.lax.scan(join, draw(instead, weight, k_draw), order)
        return jnp.zeros(len(taken)).at[order].set(brought)

    return jax.vmap(once)(jax.random.split(key, samples)).mean(0)


def slope(mix: Mix, taken: Any) -> Any:
    """∂M/∂z_i · z_i, [n]. Biased where the slope depends on agent i's own choice: to compare with."""
    return (jax.grad(mix)(taken) * taken).reshape(len(taken), -1).sum(1)


def draw(instead: Any, weight: Any, key: Any) -> Any:
    """A choice of everybody, [n, ...]."""
    index = jax.random.categorical(key, jnp.log(weight))
    return jax.vmap(lambda row, k: row[k])(instead, index)


def centered(table: Any, weight: Any) -> Any:
    """What choices are worth [..., K, *], without what they are worth on average over the policy [..., K]."""
    wide = weight.reshape(weight.shape + (1,) * (table.ndim - weight.ndim))
    return table - (wide * table).sum(weight.ndim - 1, keepdims=True)


class Moments(NamedTuple):
    """How a baseline has gone with the advantage, and varied by itself; older rollouts count half as much each."""

    along: Any  # []
    spread: Any  # []

    @staticmethod
    def none() -> Moments:
        return Moments(jnp.float32(0), jnp.float32(0))


def reliance(advantage: Any, baseline: Any, weight: Any, before: Moments) -> tuple[Any, Moments]:
    """η in [0, 1] per lane [E]: how much of a baseline to take from the advantage, both [T, E, n], so that least
    variance is left; and the moments after. `weight` [T, E, n] is 0 or 1.

    Cov(Â, b) / Var(b) in all lanes but this one, and in the rollouts before: so η does not depend on what was done
    here, and what it takes away leaves the gradient as it is. 0 where the baseline is useless, or has less than a
    millionth of the advantage's variance, as what is 0 but for rounding has.
    """

    def moments(count, a, b, aa, ab, bb):
        count = jnp.maximum(count, 1.0)
        return ab / count - a * b / count**2, bb / count - (b / count) ** 2, aa / count - (a / count) ** 2

    products = jnp.ones_like(advantage), advantage, baseline, advantage**2, advantage * baseline, baseline**2
    own = [(x * weight).sum((0, 2)) for x in products]
    along, spread, had = moments(*(x.sum() - x for x in own))
    along, spread = 0.5 * before.along + along, 0.5 * before.spread + spread
    share = jnp.clip(along / jnp.maximum(spread, 1e-12), 0.0, 1.0)
    everywhere = moments(*(x.sum() for x in own))
    after = Moments(0.5 * before.along + everywhere[0], 0.5 * before.spread + everywhere[1])
    return jnp.where(spread > 1e-6 * had, share, 0.0), after


def ahead(x: Any, discount: Any, last: Any, decay: Any) -> Any:
    """Σ_{l ≥ 1} decay^l x_{t+l} within the episode: x [T, ...], `discount` and `last` [T, ...] of the step at t."""

    def back(later, xs):
        value, going_on = xs
        here = decay * going_on * later
        return value + here, here

    going_on = jnp.where(last, 0.0, discount)
    return jax.lax.scan(back, jnp.zeros_like(x[0]), (x, going_on), reverse=True)[1]


class Ledger(NamedTuple):
    """What a team earned in one episode, accounted for step by step, discounted to its beginning; 0 after its end.

    Σ_t earned_t + cut = foretold + Σ_t (Σ_i parts_ti + together_t + luck_t)
    """

    earned: Any  # [T]  γ^t r_t
    cut: Any  # []  γ^T d V(s_T): what was still to come when a time limit cut the episode
    foretold: Any  # []  V(s_0)
    parts: Any  # [T, n]  what each agent did beyond what it does on average
    together: Any  # [T]  what the parts leave of what the joint action is worth
    luck: Any  # [T]  what the model leaves of the truth


def ledger(
    reward: Any, value: Any, future: Any, discount: Any, last: Any, parts: Any, whole: Any, gamma: Any
) -> Ledger:
    """The ledger of one episode, the steps [T] up to the first `last`.

    reward: of the team. value, future: of before and after each step. parts [T, n]: what agents played in the
    advantage. whole [T]: the advantage that the model gives to the joint action.
    """
    going_on = jnp.cumsum(last) - last == 0
    scale = jnp.where(going_on, gamma ** jnp.arange(len(reward)), 0.0)
    final = going_on & (last | (jnp.arange(len(reward)) == len(reward) - 1))
    later = gamma * discount * future
    return Ledger(
        earned=scale * reward,
        cut=(jnp.where(final, scale, 0.0) * later).sum(),
        foretold=value[0],
        parts=scale[:, None] * parts,
        together=scale * (whole - parts.sum(1)),
        luck=scale * (reward + later - value - whole),
    )
