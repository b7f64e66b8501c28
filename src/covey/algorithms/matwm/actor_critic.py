"""Who learns in imagination: the paper's actor-critic.

G_t = r_t + γ c_t ((1 - λ) V(s_{t+1}) + λ G_{t+1}),  G_H = V(s_H)           Deihim et al. 2025, equations 11 to 14
L_π = -E[w_t (sg((G_t - V(s_t)) / max(1, S)) log π(a_t | s_t) + η H(π))]    S: range of the returns' percentiles
L_V = E[w_t (CE(V(s_t), G_t) + CE(V(s_t), V'(s_t)))]                        V': a slow copy; w_t = c_0 ... c_{t-1}
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from covey.algorithms.matwm.inner import Inner, chosen, distribution, reached
from covey.algorithms.matwm.records import Imagined
from covey.core.checks import within
from covey.core.types import Metrics
from covey.learning.descent import descended
from covey.learning.normalisation import Percentiles, no_percentiles
from covey.learning.returns import lambda_returns
from covey.learning.targets import masked_mean, polyak
from covey.learning.two_hot import Squared, TwoHot
from covey.nn.nets import linears
from covey.nn.normalized import NormalizedMLP


class Actors(NamedTuple):
    """What is learned, each with a leading [N]."""

    actor: NormalizedMLP
    critic: NormalizedMLP
    slow: NormalizedMLP  # V'
    opt: Any
    returns: Percentiles


class ActorCritic(Inner):
    """An actor and a critic for each agent. The critic sees the predicted actions of the others and nothing else of
    them."""

    width: int = eqx.field(static=True, default=512)
    """Units of each hidden layer."""
    layers: int = eqx.field(static=True, default=2)
    """Hidden layers, of actors and of critics."""
    bins: int = eqx.field(static=True, default=255)
    """Bins of values."""
    bound: float = eqx.field(static=True, default=20.0)
    """The bins go from minus this to this, on the symmetric logarithmic scale."""
    critic_loss: Literal["two-hot", "mse"] = eqx.field(static=True, default="two-hot")
    """Critics say chances over bins, and learn by cross-entropy; or they say a number, and learn by squared errors."""
    gamma: float = 0.985
    """Discount γ per step."""
    lam: float = 0.95
    """λ of the returns."""
    entropy: float = 3e-4
    """η, the weight of the entropy."""
    tau: float = 0.02
    """Share of the critic in its slow copy per update."""
    percentile_rate: float = 0.01
    """Share of the percentiles of returns that is renewed by an update."""
    lr: float = 3e-4
    """Adam's learning rate for actors and critics."""
    max_norm: float = 100.0
    """Largest global norm of an agent's gradient."""

    def __check_init__(self):
        within(self, "[1, inf)", "width", "layers")
        within(self, "[2, inf)", "bins")
        within(self, "(0, inf)", "bound")
        within(self, "[0, 1]", "gamma", "lam")
        within(self, "[0, inf)", "entropy", "lr")
        within(self, "(0, 1]", "tau", "percentile_rate")
        within(self, "(0, inf]", "max_norm")

    @property
    def optimizer(self) -> Any:
        return optax.flatten(optax.chain(optax.clip_by_global_norm(self.max_norm), optax.adam(self.lr, eps=1e-5)))

    @property
    def values(self) -> TwoHot | Squared:
        return TwoHot(self.bins, self.bound) if self.critic_loss == "two-hot" else Squared()

    def init(self, key, agents, size):
        hidden = [self.width] * self.layers
        actor, critic = (size, *hidden, agents.parts * agents.choices), (size, *hidden, self.values.bins)

        def one(key):
            drawn = iter(linears(key, *NormalizedMLP.shapes(actor), *NormalizedMLP.shapes(critic)))
            nets = NormalizedMLP.take(drawn, actor, last=0.01), NormalizedMLP.take(drawn, critic, last=0.0)
            return Actors(*nets, jax.tree.map(jnp.copy, nets[1]), self.optimizer.init(nets), no_percentiles())

        return jax.vmap(one)(jax.random.split(key, agents.count))

    def act(self, learned, agents, state, legal, key):
        logits = jax.vmap(lambda actor, state: actor(state))(learned.actor, state)
        return chosen(logits.reshape(legal.shape), legal, key), ()

    def acting(self, learned):
        return learned._replace(critic=(), slow=(), opt=(), returns=())

    def learn(self, learned, imagined, weight, key):
        return jax.vmap(self.learn_alone)(learned, imagined, weight)

    def learn_alone(self, learned: Actors, imagined: Imagined, weight: Any) -> tuple[Actors, Metrics]:
        """One update of one agent by what it imagined, [H, B, ...]."""
        target = self.returns(learned.critic, imagined)
        percentiles = learned.returns.update(target, 1.0 - self.percentile_rate)
        (actor, critic), opt, metrics = descended(
            self.optimizer,
            self.loss,
            (learned.actor, learned.critic),
            learned.opt,
            *(imagined, target, self.values.decode(learned.slow(imagined.state[:-1])), percentiles.scale, weight),
        )
        return Actors(actor, critic, polyak(learned.slow, critic, self.tau), opt, percentiles), metrics

    def returns(self, critic: NormalizedMLP, imagined: Imagined) -> Any:
        """G [H, B]."""
        future = self.values.decode(critic(imagined.state[1:]))
        return lambda_returns(imagined.reward, self.gamma * imagined.discount, future, self.lam)

    def loss(
        self,
        nets: tuple[NormalizedMLP, NormalizedMLP],
        imagined: Imagined,
        target: Any,
        slow: Any,
        scale: Any,
        weight: Any,
    ) -> tuple[Any, Metrics]:
        """L_π + L_V."""
        actor, critic = nets
        state, counts = imagined.state[:-1], weight * reached(imagined.discount)
        logits = actor(state).reshape(imagined.legal.shape)
        log_chances, parts = distribution(logits, imagined.legal)
        log_prob = jnp.where(parts, (imagined.action * log_chances).sum(-1), 0.0).sum(-1)
        entropy = jnp.where(parts, -(jnp.exp(log_chances) * log_chances).sum(-1), 0.0).sum(-1)
        said = critic(state)
        value = self.values.decode(said)
        advantage = jax.lax.stop_gradient((target - value) / scale)
        actor_loss = -masked_mean(advantage * log_prob + self.entropy * entropy, counts)
        of_returns, of_slow = (masked_mean(self.values.loss(said, x), counts) for x in (target, slow))
        metrics = {
            "actor_loss": actor_loss,
            "critic_loss": of_returns + of_slow,
            "critic_loss_lambda": of_returns,
            "critic_loss_ema": of_slow,
            "mean_imagined_reward": masked_mean(imagined.reward, counts),
            "mean_value": masked_mean(value, counts),
            "mean_entropy": masked_mean(entropy, counts),
            "normalization_S": scale,
        }
        return actor_loss + of_returns + of_slow, metrics
