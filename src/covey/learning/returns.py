"""Returns and advantages over a rollout, backwards in time."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp


def gae(reward: Any, value: Any, future: Any, discount: Any, last: Any, gamma: Any, lam: Any) -> Any:
    """Generalized advantage estimation (Schulman et al. 2016, equation 16): [T, ...] -> [T, ...].

    reward, discount: earned by step t, and 0 where that ended the future. value: V of where step t began. future: V of
    the true successor. last: step t ended an episode, so that nothing later counts; a time limit bootstraps, a death
    does not.

        δ_t = r_t + γ d_t V(then_t) - V(now_t)        A_t = δ_t + γ λ d_t A_{t+1}, or δ_t where t is last
    """
    delta = reward + gamma * discount * future - value
    decay = gamma * lam * jnp.where(last, 0.0, discount)

    def back(later, xs):
        delta, decay = xs
        advantage = delta + decay * later
        return advantage, advantage

    return jax.lax.scan(back, jnp.zeros_like(delta[0]), (delta, decay), reverse=True)[1]


def lambda_returns(reward: Any, discount: Any, future: Any, lam: Any) -> Any:
    """λ-returns (Sutton 1988), [T, ...] -> [T, ...], where the last step bootstraps.

    reward: earned by step t. discount: what the future is worth then, γ times the chance that there is one. future: V
    of where step t led to.

        G_t = r_t + d_t ((1 - λ) V_{t+1} + λ G_{t+1})        G_T = V_T
    """

    def back(later, xs):
        reward, discount, future = xs
        total = reward + discount * ((1.0 - lam) * future + lam * later)
        return total, total

    return jax.lax.scan(back, future[-1], (reward, discount, future), reverse=True)[1]
