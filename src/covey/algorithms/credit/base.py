"""What kinds of credit share: what they see, and what they have to say."""

from __future__ import annotations

import abc
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.core.types import Discrete, Metrics
from covey.learning.credit import Moments
from covey.nn.policies import Policy


class Choices(NamedTuple):
    """What agents did, and what they might have done with which chance; one step."""

    taken: Any  # [n, A]  embedded actions
    instead: Any  # [n, K, A], or None: each of the K = A that there are, one-hot, as `taken` is
    weight: Any  # [n, K]


def choices_of(policy: Policy, samples: int, raw: Any, std: Any, taken: Any, legal: Any, key: Any) -> Choices:
    """What the agents of a group did in one step, `taken` [n, A] embedded, and what else they might have: everything
    where one of few actions is chosen, else `samples` draws."""
    if isinstance(policy.space, Discrete):
        return Choices(taken, None, jax.vmap(policy.shares)(raw, legal))

    def another(key):
        keys = jax.random.split(key, len(raw))
        return jax.vmap(policy.embedded)(jax.vmap(policy.sample)(raw, std, keys, legal), legal)

    instead = jnp.moveaxis(jax.vmap(another)(jax.random.split(key, samples)), 0, 1)
    return Choices(taken, instead, jnp.full(instead.shape[:2], 1.0 / samples))


def no_choices(policy: Policy, samples: int, members: int) -> Choices:
    """Zeros in the shape of `choices_of` a group."""
    size = policy.size
    if isinstance(policy.space, Discrete):
        return Choices(jnp.zeros((members, size)), None, jnp.zeros((members, size)))
    return Choices(jnp.zeros((members, size)), jnp.zeros((members, samples, size)), jnp.zeros((members, samples)))


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


class Credit(eqx.Module):
    """Base of all kinds of credit: what agents learn from."""

    @property
    @abc.abstractmethod
    def streams(self) -> bool:
        """Are agents' own rewards valued and modelled apart?"""


class Team(Credit):
    """Everybody learns from the team's advantage, and nothing is modelled: MAPPO."""

    @property
    def streams(self) -> bool:
        return False


class Learned(Credit):
    """Base of the kinds that learn something."""

    lr: eqx.AbstractVar[float]
    """Adam's learning rate for what is learned."""
    lam: eqx.AbstractVar[float]
    """λ of the returns that it learns from."""
    samples: eqx.AbstractVar[int]
    """Choices of an agent that are looked at, where it has infinitely many."""
    fits: eqx.AbstractVar[int]
    """Gradient steps after every rollout."""
    batch: eqx.AbstractVar[int]
    """Steps of the environment in each of them, drawn from recent rollouts."""
    recent: eqx.AbstractVar[int]
    """Rollouts that are kept to learn from, the latest among them."""

    @abc.abstractmethod
    def init(self, key: Any, members: int, view: int, action: int) -> Any:
        """What is learned of a group, in the beginning. Sizes of views and embedded actions."""

    @abc.abstractmethod
    def aim(self, members: int) -> Any:
        """Zeros in the shape of what is learned from one step."""

    @abc.abstractmethod
    def assigned(
        self, model: Any, trust: Moments, shown: Shown, facts: Facts, key: Any
    ) -> tuple[Any, Any, Moments, Metrics]:
        """What agents learn from [T, E, n], what is to be learned from [T, E, ...] (both in units of returns), what is
        known of the baseline after, and metrics."""

    @abc.abstractmethod
    def loss(self, model: Any, shown: Shown) -> tuple[Any, Any]:
        """The error over steps [B] in which somebody lived, and a penalty; aims are in units of the model."""
