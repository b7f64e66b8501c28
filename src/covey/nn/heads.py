"""Deterministic policy heads: what a network's raw output means as an action, for every kind of space.

A head works on one agent's vectors. `greedy` is the action without exploration, `relaxed` the differentiable one that
critics are asked about, both embedded: shares for splits, one-hot for discrete choices, [-1, 1] for boxes. `embed` and
`action` translate between the embedding and what the environment takes.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from covey.core.errors import BadInput
from covey.core.types import Box, Discrete, MultiDiscrete, Space, Splits, action_size

FAR = -1e9  # a logit that no exponential survives
NEVER = 1e-9  # a probability whose logarithm is finite
NEAR_ONE = 1 - 1e-6  # an action in a box whose raw output is finite


class Parts(eqx.Module):
    """A vector cut into consecutive parts, one softmax (or one choice) per part."""

    sizes: tuple[int, ...] = eqx.field(static=True)

    def softmax(self, logits, legal):
        """Shares per part over the legal components; a part without a legal component is all zero."""
        logits = logits if legal is None else jnp.where(legal, logits, FAR)
        shares = self._each(jax.nn.softmax, logits)
        return shares if legal is None else jnp.where(legal, shares, 0.0)

    def log_softmax(self, logits):
        """Logarithms of the shares per part."""
        return self._each(jax.nn.log_softmax, logits)

    def one_hot(self, logits, legal):
        """1 at the largest legal logit of each part."""
        logits = logits if legal is None else jnp.where(legal, logits, FAR)
        return self._each(lambda x: jax.nn.one_hot(jnp.argmax(x), x.shape[0]), logits)

    def normalize(self, shares, legal):
        """Non-negative numbers -> shares per part over the legal components."""
        shares = shares if legal is None else jnp.where(legal, shares, 0.0)
        return self._each(lambda x: x / jnp.maximum(x.sum(), 1e-9), shares)

    def drawn(self, chances, uniform):
        """1 at a choice of each part, drawn with these chances by a uniform number for each part [parts]."""

        def one(part, uniform):
            below = jnp.cumsum(part)
            return jax.nn.one_hot((below <= uniform * below[-1]).sum(), part.shape[0])

        pieces = jnp.split(chances, np.cumsum(self.sizes)[:-1])
        return jnp.concatenate([one(piece, uniform[k]) for k, piece in enumerate(pieces)])

    def _each(self, f, x):
        if len(set(self.sizes)) == 1:  # equal parts: one operation instead of one per part
            return jax.vmap(f)(x.reshape(len(self.sizes), self.sizes[0])).reshape(-1)
        return jnp.concatenate([f(part) for part in jnp.split(x, np.cumsum(self.sizes)[:-1])])


class Head(eqx.Module):
    """The deterministic policy head of `space`, with Gumbel-softmax `temperature` where actions are discrete."""

    space: Space = eqx.field(static=True)
    temperature: float = 1.0

    @property
    def size(self) -> int:
        return action_size(self.space)

    @property
    def parts(self) -> Parts:
        assert not isinstance(self.space, Box)
        return Parts(self.space.parts)

    def greedy(self, raw, legal=None):
        """Raw output [A] -> embedded action [A] without exploration."""
        match self.space:
            case Box():
                return jnp.tanh(raw)
            case Splits():
                return self.parts.softmax(raw, legal)
            case _:
                return self.parts.one_hot(raw, legal)

    def expected(self, raw, legal=None):
        """Raw output [A] -> the mean of the embedded actions [A] that it stands for."""
        return jnp.tanh(raw) if isinstance(self.space, Box) else self.parts.softmax(raw, legal)

    def raw(self, expected):
        """The raw output [A] that stands for a mean of embedded actions [A], up to rounding."""
        if isinstance(self.space, Box):
            return jnp.arctanh(jnp.clip(expected, -NEAR_ONE, NEAR_ONE))
        return jnp.log(expected + NEVER)

    def mixed(self, raw, other, share, legal=None):
        """The raw output [A] that stands for (1 - share) of `raw` and `share` of the embedded action `other` [A]; `raw`
        itself where the share is 0. Discrete choices are mixed as probabilities."""
        mix = (1 - share) * self.expected(raw, legal) + share * other
        return jnp.where(share > 0, self.raw(mix), raw)

    def relaxed(self, raw, key, legal=None):
        """Raw output [A] -> embedded action [A] with a gradient.

        Discrete choices are drawn by straight-through Gumbel-softmax (Jang et al. 2017): one-hot forward, the softmax's
        gradient backward.
        """
        if not isinstance(self.space, (Discrete, MultiDiscrete)):
            return self.greedy(raw, legal)
        noisy = (raw + jax.random.gumbel(key, raw.shape)) / self.temperature
        soft = self.parts.softmax(noisy, legal)
        return soft + jax.lax.stop_gradient(self.parts.one_hot(noisy, legal) - soft)

    def embed(self, action):
        """The environment's action -> embedded float32 [A]."""
        match self.space:
            case Discrete(n):
                return jax.nn.one_hot(action, n)
            case MultiDiscrete(ns):
                return jnp.concatenate([jax.nn.one_hot(action[i], n) for i, n in enumerate(ns)])
            case Box(low, high):
                middle, half = box_scale(low, high)
                return (action - middle) / half
            case Splits():
                return action

    def action(self, embedded):
        """Embedded action [A] -> the environment's action."""
        match self.space:
            case Discrete():
                return jnp.argmax(embedded).astype(jnp.int32)
            case MultiDiscrete(ns):
                pieces = jnp.split(embedded, np.cumsum(ns)[:-1])
                return jnp.stack([jnp.argmax(piece) for piece in pieces]).astype(jnp.int32)
            case Box(low, high):
                middle, half = box_scale(low, high)
                return middle + half * embedded
            case Splits():
                return embedded


def box_scale(low: tuple[float, ...], high: tuple[float, ...]) -> tuple[Any, Any]:
    """Middle and half-width of a box; BadInput where a bound is not finite."""
    bounds = np.asarray([low, high], np.float32)
    if not np.isfinite(bounds).all() or (bounds[0] >= bounds[1]).any():
        raise BadInput(f"a Box action needs finite bounds with low < high, got {low} and {high}.")
    return bounds.mean(0), (bounds[1] - bounds[0]) / 2
