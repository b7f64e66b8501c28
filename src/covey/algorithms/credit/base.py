"""What kinds of credit share: what they see, and what they have to say."""

from __future__ import annotations

import abc
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.core.types import Discrete, Metrics
from covey.nn.policies import Policy


class Choices(NamedTuple):
    """What agents did, and what they might have done with which chance; one step."""

    taken: Any  # [n, A]  embedded actions
    instead: Any  # [n, K, A]
    weight: Any  # [n, K]


def choices_of(policy: Policy, samples: int, raw: Any, std: Any, taken: Any, legal: Any, key: Any) -> Choices:
    """What the agents of a group did in one step, `taken` [n, A] embedded, and what else they might have: everything
    where one of few actions is chosen, else `samples` draws."""
    if isinstance(policy.space, Discrete):
        n, size = taken.shape
        shares = jax.vmap(policy.shares)(raw, legal)
        return Choices(taken, jnp.broadcast_to(jnp.eye(size), (n, size, size)), shares)

    def another(key):
        keys = jax.random.split(key, len(raw))
        return jax.vmap(policy.embedded)(jax.vmap(policy.sample)(raw, std, keys, legal), legal)

    instead = jnp.moveaxis(jax.vmap(another)(jax.random.split(key, samples)), 0, 1)
    return Choices(taken, instead, jnp.full(instead.shape[:2], 1.0 / samples))


class Shown(NamedTuple):
    """What a model learns from; one step of a group, or many."""

    view: Any  # [n, G]  what agents' critics see, with who they are
    choices: Choices
    alive: Any  # [n]
    aim: Any = ()  # what the model is fitted to


class Facts(NamedTuple):
    """What a rollout [T, E, ...] says of a group beside what the model is shown; in units of returns."""

    reward: Any  # [n]
    advantage: Any  # [n]  sampled
    gain: Any  # [n]  sampled, with the credit's own λ; of every agent's own reward
    value: Any  # []  V of the team, before the step
    later: Any  # [n, G]  views after the step, with who sees them
    discount: Any  # []
    last: Any  # []
    unit: Any  # of the model, in these units; one number
    gamma: Any  # one number
    lam: Any  # one number


class Trust(NamedTuple):
    """How far a baseline is relied on, η, and after how many rollouts."""

    share: Any  # []
    rollouts: Any  # []

    @staticmethod
    def none() -> Trust:
        return Trust(jnp.float32(0), jnp.int32(0))

    def after(self, useful: Any) -> Trust:
        """After a rollout in which a share of `useful` would have left least variance."""
        return Trust(self.share + 0.1 * (useful - self.share), self.rollouts + 1)


class Credit(eqx.Module):
    """Base of all kinds of credit: what agents learn from."""

    @abc.abstractmethod
    def init(self, key: Any, members: int, view: int, action: int) -> Any:
        """What is learned of a group beside values: a model of it, or nothing. Sizes of views and embedded actions."""


class Team(Credit):
    """Everybody learns from the team's advantage, and nothing is modelled: MAPPO."""

    def init(self, key, members, view, action):
        return ()


class Learned(Credit):
    """Base of the kinds that learn something."""

    lr: eqx.AbstractVar[float]
    """Adam's learning rate for what is learned."""
    lam: eqx.AbstractVar[float]
    """λ of the returns that it learns from."""
    samples: eqx.AbstractVar[int]
    """Choices of an agent that are looked at, where it has infinitely many."""

    @abc.abstractmethod
    def assigned(
        self, model: Any, trust: Trust, shown: Shown, facts: Facts, key: Any
    ) -> tuple[Any, Any, Trust, Metrics]:
        """What agents learn from [T, E, n], what the model learns from [T, E, ...], the trust after, and metrics."""

    @abc.abstractmethod
    def loss(self, model: Any, shown: Shown, counts: Any) -> tuple[Any, Any]:
        """The model's error over the steps [L, B] that count and in which somebody lived, and a penalty."""
