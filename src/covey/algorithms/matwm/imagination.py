"""Imagination: agents act in what a model says (Deihim et al. 2025, algorithm 1).

The state that policies are given is s_t = [z_t, h_{t-1}, p_t]: what is seen now, the summary of everything before, and
what the others are expected to do now. A reward follows the action: r_t and c_t are read off h_t.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.algorithms.matwm.agents import Agents
from covey.algorithms.matwm.model import Networks, WorldModel
from covey.algorithms.matwm.records import Context, Imagined
from covey.nn.transformer import Cache


class Dynamics(Protocol):
    """What can be imagined in: a world model, or in tests the truth."""

    def view(self, moment: Any) -> tuple[Any, Any]:
        """What policies are given, [R, F], and the legal actions, bool [R, P, C]."""
        ...

    def advance(self, moment: Any, action: Any, key: Any) -> tuple[Any, Any, Any]:
        """The next moment after one-hot actions [R, P, C], the rewards [R] that they earn, and the chances [R] that
        there is a future."""
        ...


def imagine(dynamics: Dynamics, act: Callable[..., Any], moment: Any, horizon: int, key: Any) -> Imagined:
    """`horizon` steps from `moment` on, [H, R, ...]. `act(state, legal, key)` gives one-hot actions [R, P, C], and what
    it leaves for learning [R, ...]."""

    def tick(moment, key):
        k_act, k_step = jax.random.split(key)
        state, legal = dynamics.view(moment)
        action, extra = act(state, legal, k_act)
        moment, reward, discount = dynamics.advance(moment, action, k_step)
        return moment, (state, legal, action, reward, discount, extra)

    moment, (state, *steps) = jax.lax.scan(tick, moment, jax.random.split(key, horizon))
    final = dynamics.view(moment)[0]
    return Imagined(jnp.concatenate([state, final[None]]), *steps)


class Moment(NamedTuple):
    """Where R imagined episodes are."""

    focal: Any  # [R]  whose it is, of N
    latent: Any  # [R, Z]  z of what is seen now
    summary: Any  # [R, d]  h of what was before; zeros where there is nothing
    others: Any  # [R, (M - 1) · P · C]  chances of the others' actions now, or logits
    steps: Cache  # of the sequence model, up to the step before
    seen: Any  # Cache of the teammate predictor, up to now; () without
    slot: Any  # []  int32: the next free slot of `steps`


class Learned(eqx.Module):
    """The dynamics that a world model has learned."""

    model: WorldModel
    nets: Networks
    agents: Agents = eqx.field(static=True)

    def begin(self, context: Context, horizon: int, key: Any, start: str = "posterior") -> Moment:
        """Where `context` ends, with room for `horizon` more steps. Latents are the likeliest where there is no key.

        start: "prior" puts the model's guess, where there are steps before it, in the place of what is seen at last.
        """
        rows, length = context.action.shape[:2]
        latent = self.model.sample(self.model.posterior(self.nets, context.obs), key)
        before = context.exists[:, :length]
        focal = jnp.broadcast_to(context.focal[:, None], (rows, length))
        chosen = self.agents.one_hot(context.action)
        tokens = self.model.tokens(self.nets, self.agents, latent[:, :-1], chosen, focal)
        cache, summaries = self.nets.sequence.extend(
            self.nets.sequence.empty(rows, length + horizon), tokens, before, 0
        )
        summary = jnp.where(before[:, -1:], summaries[:, -1], 0.0)
        if start == "prior":
            guess = self.model.sample(
                self.model.prior(self.nets, summary), None if key is None else jax.random.fold_in(key, 1)
            )
            latent = latent.at[:, -1].set(jnp.where(before[:, -1:], guess, latent[:, -1]))
        blank = () if not self.nets.teammates else self.nets.teammates.history.empty(rows, length + 1 + horizon)
        seen, others = self._others(blank, latent, context.exists, 0, context.focal)
        return Moment(context.focal, latent[:, -1], summary, others, cache, seen, jnp.int32(length))

    def _others(self, cache: Any, latent: Any, exists: Any, slot: Any, focal: Any) -> tuple[Any, Any]:
        """The teammate predictor's cache with more latents [R, T, Z], and the chances at the last; zeros without it."""
        if not self.nets.teammates:
            return (), jnp.zeros((len(latent), self.agents.others.shape[1] * self.agents.parts * self.agents.choices))
        cache, logits = self.model.foretell(self.nets, self.agents, cache, latent, exists, slot, focal)
        return cache, self.model.others_view(self.agents, logits[:, -1], focal).reshape(len(latent), -1)

    def view(self, moment: Moment) -> tuple[Any, Any]:
        state = jnp.concatenate([moment.latent, moment.summary, moment.others], -1)
        legal = self.model.legal(self.nets, self.agents, moment.latent) > 0.0
        return state, self.agents.allowed(legal, jnp.array(self.agents.can)[moment.focal])

    def advance(self, moment: Moment, action: Any, key: Any) -> tuple[Moment, Any, Any]:
        model, nets = self.model, self.nets
        token = model.tokens(nets, self.agents, moment.latent, action, moment.focal)
        there = jnp.ones((len(token), 1), bool)
        cache, summary = nets.sequence.extend(moment.steps, token[:, None], there, moment.slot)
        summary = summary[:, 0]
        latent = model.sample(model.prior(nets, summary), key)
        seen, others = self._others(moment.seen, latent[:, None], there, moment.slot + 1, moment.focal)
        reward = model.reward_bins.decode(nets.reward(summary))
        discount = jax.nn.sigmoid(nets.continuation(summary)[..., 0])
        after = Moment(moment.focal, latent, summary, others, cache, seen, moment.slot + 1)
        return after, reward, discount
