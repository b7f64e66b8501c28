"""Credit as the author of the algorithm first wrote it."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.algorithms.credit.base import Learned
from covey.core.checks import within
from covey.learning.targets import masked_mean
from covey.nn.mixers import Free, Mixer, check_mixes_values
from covey.nn.nets import MLP, Linear, linears


class Individual(NamedTuple):
    """φ_ind, which gives V and Q^i, and the mixer that makes Q_joint of the Q^i."""

    body: MLP  # what an agent's critic sees -> [W]
    value: Linear  # [W] -> V
    enter: Linear  # an action -> [W]
    leave: Linear  # [W] -> Q^i
    mix: Any


class Seed(Learned):
    """The first writing of this algorithm, taken at its word: one trunk for V and Q^i, A^i = R^i + γ V' - V.

        L_joint = (G - Q_joint)² + (G - V)²      Q_joint = f(Q^1, ..., Q^n)      L_i = (R^i + γ Q^i' - Q^i)²

    Unbiased only where nobody's reward depends on what others do now. To compare with. Where the text leaves a choice:
    G is the λ-return of the team by the other critics of the run; V is of each agent's view; Q^i sees agent i's action
    alone; the losses count alike; targets are not differentiated; at the end of a rollout V' stands for Q^i'.
    """

    mixer: Mixer = Free()
    """f."""
    width: int = eqx.field(static=True, default=64)
    """Units of every hidden layer."""
    lr: float = 7e-4
    lam: float = 0.95
    samples: int = eqx.field(static=True, default=1)
    fits: int = eqx.field(static=True, default=4)
    batch: int = eqx.field(static=True, default=1024)
    recent: int = eqx.field(static=True, default=1)
    own: bool = eqx.field(static=True, default=False)
    """R^i is the agent's own reward, where the environment pays agents apart; else the team's, shared out equally."""
    network: bool = eqx.field(static=True, default=False)
    """A^i = Q^i - V, of the network, instead of R^i + γ V' - V."""

    @property
    def streams(self):
        return False

    def __check_init__(self):
        within(self, "[1, inf)", "width", "samples", "fits", "batch", "recent")
        within(self, "[0, inf)", "lr")
        within(self, "[0, 1]", "lam")
        check_mixes_values(self.mixer)

    def init(self, key, members, view, action):
        k_body, k_rest, k_mix = jax.random.split(key, 3)
        value, enter, leave = linears(k_rest, (1, self.width), (self.width, action), (1, self.width))
        body = MLP(k_body, (view, self.width, self.width), activation=jnp.tanh)
        return Individual(body, value, enter, leave, self.mixer.init(k_mix, members, view))

    def aim(self, members):
        return jnp.zeros(()), jnp.zeros(members)

    def values(self, model: Individual, view: Any) -> Any:
        """V [n]."""
        return model.value(model.body(view))[..., 0]

    def worth(self, model: Individual, view: Any, taken: Any) -> Any:
        """Q^i [n]."""
        return model.leave(jnp.tanh(model.body(view) + model.enter(taken)))[..., 0]

    def assigned(self, model, trust, shown, facts, key):
        alive, living = shown.alive, jnp.maximum(shown.alive.sum(-1, keepdims=True), 1)
        reward = facts.reward / (1 if self.own else living) / facts.unit
        now, later = self.values(model, shown.view), self.values(model, facts.later)
        q = self.worth(model, shown.view, shown.choices.taken)
        following = jnp.concatenate([q[1:], later[-1:]])
        following = jnp.where(facts.last[..., None], later, following)
        going_on = facts.gamma * facts.discount[..., None]
        psi = q - now if self.network else reward + going_on * later - now
        joint, own = masked_mean(facts.gain, alive, axis=-1) + facts.value, facts.unit * (reward + going_on * following)
        return facts.unit * jnp.where(alive, psi, 0.0), (joint, own), trust, {}

    def loss(self, model, shown):
        def errors(step):
            joint, own = step.aim
            now, q = self.values(model, step.view), self.worth(model, step.view, step.choices.taken)
            q = jnp.where(step.alive, q, 0.0)
            whole = self.mixer.value(model.mix, q[:, None], step.view[0])
            each = (joint - now) ** 2 + (own - q) ** 2
            return (joint - whole) ** 2 + masked_mean(each, step.alive)

        return masked_mean(jax.vmap(errors)(shown), shown.alive.any(-1)), 0.0
