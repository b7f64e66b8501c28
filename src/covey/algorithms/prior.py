"""A prior: a policy that is there before anything is learned, and that learners begin from.

A rule of the environment, a trained run or an authored function guides learners in three ways, each with a weight:

    actor loss   L + α ‖π(o) - p(o)‖²                it pulls the policy π to the prior's action p
    acting       u = (1 - β) π(o) + β p(o)           exploration is about u
    experience   a share of the episodes is played with β = 1

p is asked once per step of the environment, and kept beside the step; no gradient passes through it. Actions are those
that critics see: [-1, 1] in boxes, shares of splits, probabilities of choices. PPO, which learns from what its own
policy did, takes the first way only, and there the distance is the KL divergence.

Zhu et al. 2025 (LAMARL).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.core.algorithm import Algorithm
from covey.core.checks import within
from covey.core.errors import BadInput
from covey.core.types import Groups, Spec, TimeStep
from covey.learning.targets import Linear, constant, masked_mean
from covey.nn.heads import Head
from covey.nn.joint import actions, without_padding

NOBODY = "none"
RULE = "rule"
"""The environment's own rule: the one that it calls `prior`, or the first that it has."""


class Prior(eqx.Module):
    """Who guides, and how much."""

    name: str = eqx.field(static=True, default=NOBODY)
    """Who guides the actors: a rule of the environment, or the folder of a run or of authored functions. rule: the
    environment's rule called `prior`, or the first that it has. none: nobody."""
    alpha: Linear = constant(0.1)
    """α, the weight of the distance to the prior in the actor's loss, over environment steps."""
    ignore: float = 0.0
    """An action of the prior whose components are all smaller than this does not pull."""
    policy: Algorithm | None = None
    """Who is called `name`: given by the environment that a run is in."""

    unwritten: ClassVar = ("policy",)
    by_name: ClassVar = "name"

    def __check_init__(self):
        within(self.alpha, "[0, inf)", "start", "end")
        within(self, "[0, inf)", "ignore")

    def __bool__(self) -> bool:
        """Is there somebody who guides?"""
        return self.name != NOBODY or self.policy is not None

    def with_guide(self, guide: Callable[[str], Algorithm], groups: tuple[str, ...]) -> Prior:
        """With the policy `guide(name)`, where there is only a name. BadInput where it leaves out one of `groups`."""
        if self.name == NOBODY or self.policy is not None:
            return self
        policy = guide(self.name)
        missing = sorted(set(groups) - set(policy.groups))
        if missing:
            raise BadInput(f"the prior {self.name!r} plays {list(policy.groups)} only, and nobody guides {missing}.")
        return dataclasses.replace(self, policy=policy)

    @property
    def guide(self) -> Algorithm:
        """The policy; BadInput where a name was given and nobody looked it up."""
        if self.policy is None:
            raise BadInput(f"the prior {self.name!r} is a name: `covey.train` looks it up; give a `policy` elsewhere.")
        return self.policy

    def memory(self, key: Any) -> Any:
        """What is remembered of the prior in one environment, at the beginning of an episode."""
        return self.guide.memory(key)

    def act(
        self, spec: Spec, groups: tuple[str, ...], memory: Any, now: TimeStep, key: Any, step: Any
    ) -> tuple[Groups, Any]:
        """Its actions for `groups`, embedded [n, A] and zero for the dead, in one environment; and the next memory."""
        seen = without_padding(spec, now)
        action, after, _ = self.guide.act((), memory, seen, key, step, explore=False)
        advice = actions(spec, now, {name: action[name] for name in groups})
        return jax.lax.stop_gradient(advice), after

    def counts(self, advice: Any) -> Any:
        """Which of the prior's actions [..., A] pull."""
        return jnp.abs(advice).max(-1) >= self.ignore


class Memory(NamedTuple):
    """What is remembered of a fused prior in one environment."""

    policy: Any  # what the prior itself remembers
    plays: Any  # []  bool: is this episode the prior's?


class FusedPrior(Prior):
    """A prior that takes part in acting."""

    distance: Literal["sum", "mean"] = eqx.field(static=True, default="sum")
    """Of two actions: the sum, or the mean, of the squares of what their components differ by."""
    blend: Linear = constant(0.0)
    """β, the prior's share of the actions in training, over environment steps."""
    blend_evaluation: float = 0.0
    """β where nobody explores."""
    episodes: float = 0.0
    """The share of the episodes in training that the prior plays, with the learners' exploration."""

    def __check_init__(self):
        within(self.blend, "[0, 1]", "start", "end")
        within(self, "[0, 1]", "blend_evaluation", "episodes")

    def memory(self, key):
        k_policy, k_plays = jax.random.split(key)
        return Memory(super().memory(k_policy), jax.random.bernoulli(k_plays, self.episodes))

    def act(self, spec, groups, memory, now, key, step):
        advice, after = super().act(spec, groups, memory.policy, now, key, step)
        return advice, memory._replace(policy=after)

    def share(self, memory: Memory, step: Any, explore: bool) -> Any:
        """β of a step."""
        return jnp.where(memory.plays, 1.0, self.blend(step)) if explore else jnp.float32(self.blend_evaluation)

    def pull(self, head: Head, raw: Any, advice: Any, legal: Any, weight: Any) -> Any:
        """Mean distance [n] between what raw outputs [B, n, A] stand for and the prior's actions [B, n, A], over rows
        with weights [B, n]."""
        own = jax.vmap(jax.vmap(head.expected))(raw, legal)
        squares = (own - advice) ** 2
        distance = squares.sum(-1) if self.distance == "sum" else squares.mean(-1)
        return masked_mean(distance, weight * self.counts(advice), axis=0)
