"""Who learns in imagination: a part of the algorithm."""

from __future__ import annotations

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.algorithms.matwm.agents import Agents
from covey.algorithms.matwm.records import Imagined
from covey.core.types import Metrics
from covey.nn.heads import FAR


class Inner(eqx.Module):
    """Base of what learns discrete actions in imagination. Every one of N agents has networks of its own."""

    @abc.abstractmethod
    def init(self, key: Any, agents: Agents, size: int) -> Any:
        """What is learned, for agents that are given states of `size` numbers: leaves [N, ...]."""

    @abc.abstractmethod
    def act(self, learned: Any, agents: Agents, state: Any, legal: Any, key: Any) -> tuple[Any, Any]:
        """Choices [N, ..., P] in states [N, ..., F] where `legal` [N, ..., P, C], and what acting leaves for learning,
        leaves [N, ...]. The likeliest ones where there is no key."""

    @abc.abstractmethod
    def learn(self, learned: Any, imagined: Imagined, weight: Any, key: Any) -> tuple[Any, Metrics]:
        """What is learned after one update, and metrics [N].

        Of `imagined` the axis of agents comes first: [N, H, B, ...], B beginnings with the weights [N, B].
        """

    @abc.abstractmethod
    def acting(self, learned: Any) -> Any:
        """What `act` needs of it."""


def distribution(logits: Any, legal: Any) -> tuple[Any, Any]:
    """Log-probabilities [..., P, C] over what is legal, and which parts there are [..., P]."""
    return jax.nn.log_softmax(jnp.where(legal, logits, FAR)), legal.any(-1)


def chosen(logits: Any, legal: Any, key: Any) -> Any:
    """Choices [..., P], int32, drawn by logits [..., P, C]; the likeliest ones where there is no key."""
    if key is not None:
        logits = logits + jax.random.gumbel(key, logits.shape)
    return jnp.argmax(distribution(logits, legal)[0], -1).astype(jnp.int32)


def reached(discount: Any) -> Any:
    """w_t [H, ...], the chance that imagined step t is reached at all: that no step before it was the last."""
    return jnp.concatenate([jnp.ones_like(discount[:1]), jnp.cumprod(discount[:-1], 0)])
