"""From values to choices."""

from __future__ import annotations

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.core.checks import within
from covey.learning.targets import Linear, constant
from covey.nn.heads import Parts


class Choosing(eqx.Module):
    """A part: with which chances an agent chooses."""

    @abc.abstractmethod
    def chances(self, parts: Parts, values: Any, legal: Any, step: Any) -> Any:
        """Chances [A] of an agent's choices of these values [A], part by part."""

    def draw(self, parts: Parts, values: Any, legal: Any, key: Any, step: Any) -> Any:
        """One-hot choices [n, A] of a group."""
        chances = jax.vmap(lambda q, may: self.chances(parts, q, may, step))(values, legal)
        return jax.vmap(parts.drawn)(chances, jax.random.uniform(key, (len(values), len(parts.sizes))))


class Boltzmann(Choosing):
    """π(a) ∝ exp(Q(a) / T): the seed's equation 12, with the sign that maximizes."""

    temperature: Linear = constant(1.0)
    """T, over environment steps."""

    def __check_init__(self):
        within(self.temperature, "(0, inf)", "start", "end")

    def chances(self, parts, values, legal, step):
        return parts.softmax(values / self.temperature(step), legal)


class EpsilonGreedy(Choosing):
    """The best choice, or with the chance ε any."""

    epsilon: Linear = Linear(1.0, 0.05, 50_000.0)
    """ε, over environment steps."""
    together: bool = eqx.field(static=True, default=False)
    """One draw decides for the whole group, as in the authors' first code."""

    def __check_init__(self):
        within(self.epsilon, "[0, 1]", "start", "end")

    def chances(self, parts, values, legal, step):
        anything = parts.normalize(jnp.ones_like(values), legal)
        epsilon = self.epsilon(step)
        return (1.0 - epsilon) * parts.one_hot(values, legal) + epsilon * anything

    def draw(self, parts, values, legal, key, step):
        k_chance, k_any = jax.random.split(key)
        shape = () if self.together else values.shape[:1]
        anything = jnp.broadcast_to(jax.random.bernoulli(k_chance, self.epsilon(step), shape), values.shape[:1])
        noise = jax.random.uniform(k_any, values.shape)
        return jax.vmap(parts.one_hot)(jnp.where(anything[:, None], noise, values), legal)


def greedy() -> EpsilonGreedy:
    """Always the best choice: what the authors' later code comes to."""
    return EpsilonGreedy(constant(0.0))
