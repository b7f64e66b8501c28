"""Exploration for deterministic actors: what is done to one agent's raw output before it acts.

Noise lives where it keeps actions valid: on the logits of splits and discrete choices, on the normalized action of
boxes. Discrete choices are always drawn from the softmax, never the arg-max.
"""

from __future__ import annotations

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.core.checks import within
from covey.core.errors import BadInput
from covey.core.types import Box, Discrete, MultiDiscrete, Splits
from covey.learning.targets import Linear, constant
from covey.nn.heads import Head


class Exploration(eqx.Module):
    """A part: `noise` is what an agent remembers from step to step, zeros [A] at every reset."""

    @abc.abstractmethod
    def __call__(self, head: Head, raw: Any, noise: Any, legal: Any, key: Any, step: Any) -> tuple[Any, Any]:
        """Raw output [A] -> (embedded action [A], noise [A])."""


def perturbed(head: Head, raw: Any, noise: Any, legal: Any, key: Any) -> Any:
    """The embedded action of `raw` with `noise` added where it keeps the action valid."""
    if isinstance(head.space, Box):
        return jnp.clip(head.greedy(raw) + noise, -1.0, 1.0)
    return head.relaxed(raw + noise, key, legal)


def anything(head: Head, legal: Any, key: Any, concentration: Any = 1.0) -> Any:
    """A random embedded action [A]: uniform in boxes and over choices, Dirichlet for splits."""
    match head.space:
        case Box():
            return jax.random.uniform(key, (head.size,), minval=-1.0)
        case Splits():
            return head.parts.normalize(jax.random.gamma(key, concentration, (head.size,)), legal)
        case _:
            return head.relaxed(jnp.zeros(head.size), key, legal)


class Gaussian(Exploration):
    """Independent normal noise of standard deviation `sigma`."""

    sigma: Linear = Linear(0.2, 0.02, 10_000.0)

    def __check_init__(self):
        within(self.sigma, "[0, inf)", "start", "end")

    def __call__(self, head, raw, noise, legal, key, step):
        k_noise, k_choice = jax.random.split(key)
        drawn = self.sigma(step) * jax.random.normal(k_noise, raw.shape)
        return perturbed(head, raw, drawn, legal, k_choice), noise


class OrnsteinUhlenbeck(Exploration):
    """Noise that reverts to zero at rate `theta`, anew each episode (Uhlenbeck & Ornstein 1930)."""

    sigma: Linear = Linear(0.2, 0.02, 10_000.0)
    theta: float = 0.15
    """Share of the noise that is lost per step."""

    def __check_init__(self):
        within(self.sigma, "[0, inf)", "start", "end")
        within(self, "[0, 1]", "theta")

    def __call__(self, head, raw, noise, legal, key, step):
        k_noise, k_choice = jax.random.split(key)
        noise = noise - self.theta * noise + self.sigma(step) * jax.random.normal(k_noise, raw.shape)
        return perturbed(head, raw, noise, legal, k_choice), noise


class Mixing(Exploration):
    """A share `epsilon` of a random action: Dirichlet for splits, uniform for boxes; a random choice with probability
    `epsilon` where actions are discrete (ε-greedy on top of the softmax)."""

    epsilon: Linear = Linear(0.3, 0.02, 10_000.0)
    concentration: float = 1.0
    """Of the Dirichlet distribution of random splits: small means few paths at a time."""

    def __check_init__(self):
        within(self.epsilon, "[0, 1]", "start", "end")
        within(self, "(0, inf)", "concentration")

    def __call__(self, head, raw, noise, legal, key, step):
        k_choice, k_random, k_coin = jax.random.split(key, 3)
        epsilon = self.epsilon(step)
        own, other = head.relaxed(raw, k_choice, legal), anything(head, legal, k_random, self.concentration)
        if isinstance(head.space, (Box, Splits)):
            return own + epsilon * (other - own), noise
        return jnp.where(jax.random.uniform(k_coin) < epsilon, other, own), noise


class UniformOrGaussian(Exploration):
    """A uniform action with probability `epsilon`, else normal noise of standard deviation `sigma` (LAMARL)."""

    epsilon: Linear = constant(0.1)
    sigma: Linear = Linear(0.2, 0.02, 10_000.0)

    def __check_init__(self):
        within(self.epsilon, "[0, 1]", "start", "end")
        within(self.sigma, "[0, inf)", "start", "end")

    def __call__(self, head, raw, noise, legal, key, step):
        k_coin, k_random, k_own = jax.random.split(key, 3)
        own, noise = Gaussian(self.sigma)(head, raw, noise, legal, k_own, step)
        other = anything(head, legal, k_random)
        return jnp.where(jax.random.uniform(k_coin) < self.epsilon(step), other, own), noise


class TowardsUniform(Exploration):
    """With probability ε, add ε to every share and renormalize (the ATT-MADDPG authors' later code; splits only).

    At ε = 1 this pulls a pair of shares to (a + 1) / (sum + 2): a pull to the uniform split rather than noise.
    """

    epsilon: Linear = Linear(1.0, 0.0, 20_000.0)

    def __check_init__(self):
        within(self.epsilon, "[0, 1]", "start", "end")

    def __call__(self, head, raw, noise, legal, key, step):
        if not isinstance(head.space, Splits):
            raise BadInput("the exploration 'towards-uniform' is for split actions: choose 'gaussian' for this world.")
        epsilon = self.epsilon(step)
        own = head.greedy(raw, legal)
        pulled = head.parts.normalize(own + epsilon, legal)
        return jnp.where(jax.random.uniform(key) < epsilon, pulled, own), noise


def target_noise(head: Head, raw: Any, legal: Any, key: Any, sigma: Any, bound: Any) -> Any:
    """TD3's smoothing of a target action (Fujimoto et al. 2018, section 5.3): clipped normal noise."""
    k_noise, k_choice = jax.random.split(key)
    noise = jnp.clip(sigma * jax.random.normal(k_noise, raw.shape), -bound, bound)
    if isinstance(head.space, (Discrete, MultiDiscrete)):
        return head.relaxed(raw, k_choice, legal)
    return perturbed(head, raw, noise, legal, k_choice)
