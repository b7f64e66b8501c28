"""Stochastic policy heads: what a network's raw output means as a distribution over actions, for every kind of space.

A policy works on one agent's vectors. What it draws, a `sample` [A], is what its densities are about: the one-hot
choice where actions are discrete, and a point of a normal distribution elsewhere, which `Policy.embedded` carries into
the box (tanh, or clipped) or onto the simplexes (softmax). Such a map does not depend on the parameters, so it cancels
in every ratio of probabilities, and densities of the points serve as those of the actions.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.core.types import Box, Discrete, MultiDiscrete, Space, Splits
from covey.nn.heads import FAR, Head

Squash = Literal["tanh", "clip"]


class Policy(eqx.Module):
    """The stochastic policy head of `space`. Boxes are reached by tanh or by clipping (`squash`)."""

    space: Space = eqx.field(static=True)
    squash: Squash = eqx.field(static=True, default="tanh")

    @property
    def head(self) -> Head:
        return Head(self.space)

    @property
    def size(self) -> int:
        """Raw outputs: logits, or the means of normal distributions."""
        return self.head.size

    @property
    def spread(self) -> int:
        """Standard deviations that are parameters of their own, whatever is seen; none where actions are discrete."""
        return 0 if self.discrete else self.size

    @property
    def discrete(self) -> bool:
        return isinstance(self.space, (Discrete, MultiDiscrete))

    def mode(self, raw: Any, legal: Any = None) -> Any:
        """The sample [A] that is likeliest (before any squashing)."""
        return self.head.parts.one_hot(raw, legal) if self.discrete else raw

    def sample(self, raw: Any, log_std: Any, key: Any, legal: Any = None) -> Any:
        """A sample [A]."""
        if self.discrete:  # the largest of logits with Gumbel noise is a draw from their softmax
            return self.head.parts.one_hot(raw + jax.random.gumbel(key, raw.shape), legal)
        return raw + jnp.exp(log_std) * jax.random.normal(key, raw.shape)

    def action(self, sample: Any, legal: Any = None) -> Any:
        """The environment's action."""
        return self.head.action(self.embedded(sample, legal))

    def embedded(self, sample: Any, legal: Any = None) -> Any:
        """The embedded action [A] (see `nn.heads`)."""
        match self.space:
            case Box():
                return jnp.tanh(sample) if self.squash == "tanh" else jnp.clip(sample, -1.0, 1.0)
            case Splits():
                return self.head.parts.softmax(sample, legal)
            case _:
                return sample

    def log_prob(self, raw: Any, log_std: Any, sample: Any, legal: Any = None) -> Any:
        """Log-probability of a sample, summed over the parts; what is illegal does not count."""
        if self.discrete:
            return (sample * self._log_shares(raw, legal)).sum()
        scaled = (sample - raw) * jnp.exp(-log_std)
        each = -0.5 * scaled**2 - log_std - 0.5 * math.log(2 * math.pi)
        return each.sum() if legal is None else jnp.where(legal, each, 0.0).sum()

    def divergence(self, raw: Any, log_std: Any, advice: Any, legal: Any = None) -> Any:
        """KL divergence, in nats, of this policy from one that means the embedded action `advice` [A] and has the same
        standard deviations; from one that always chooses it, where actions are discrete."""
        if self.discrete:
            return -self.log_prob(raw, log_std, advice, legal)
        each = 0.5 * ((self.head.raw(advice) - raw) * jnp.exp(-jax.lax.stop_gradient(log_std))) ** 2
        return each.sum() if legal is None else jnp.where(legal, each, 0.0).sum()

    def entropy(self, raw: Any, log_std: Any, legal: Any = None) -> Any:
        """Entropy in nats, summed over the parts; of the normal distributions where there are any."""
        if self.discrete:
            log_shares = self._log_shares(raw, legal)
            return -(jnp.exp(log_shares) * log_shares).sum()
        each = log_std + 0.5 * (1.0 + math.log(2 * math.pi))
        return each.sum() if legal is None else jnp.where(legal, each, 0.0).sum()

    def shares(self, raw: Any, legal: Any = None) -> Any:
        """Probabilities [A] of the choices of every part, where actions are discrete; 0 where illegal."""
        return jnp.exp(self._log_shares(raw, legal))

    def _log_shares(self, raw: Any, legal: Any) -> Any:
        """Log-probabilities [A] of the choices; 0 (which counts for nothing) times a huge number is avoided."""
        logits = raw if legal is None else jnp.where(legal, raw, FAR)
        return self.head.parts.log_softmax(logits)
