"""PPO in imagination: covey's own rule, unchanged, in an environment whose observations are imagined states.

Every agent has a PPO of its own. Its rollouts are what it imagined: a lane is an imagined episode, and the chance that
there is a future is the discount of a step. A step is alive while its episode has gone on with a chance of at least one
half.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.algorithms.matwm.inner import Inner, reached
from covey.algorithms.matwm.records import Imagined
from covey.algorithms.ppo.records import Extra
from covey.algorithms.ppo.rule import PPO
from covey.core.types import Discrete, Field, Group, MultiDiscrete, Spec, Table, TimeStep, Transition
from covey.learning.targets import constant, masked_mean

ONE = "agent"
"""The group of the environment that is imagined."""


class Ppo(Inner):
    """Proximal policy optimization (`covey.algorithms.ppo.rule:PPO`), with actors and critics of states."""

    width: int = eqx.field(static=True, default=512)
    """Units of each hidden layer."""
    layers: int = eqx.field(static=True, default=2)
    """Hidden layers, of actors and of critics."""
    epochs: int = eqx.field(static=True, default=4)
    """Passes over what was imagined."""
    gamma: float = 0.985
    """Discount γ per step."""
    lam: float = 0.95
    """λ of the advantage estimator."""
    clip: float = 0.2
    """ε: how far the probability of an action may move before it stops counting; the same for values."""
    entropy: float = 0.01
    """σ, the weight of the entropy."""
    lr: float = 3e-4
    """Adam's learning rate for actors and critics."""
    max_norm: float = 10.0
    """Largest global norm of an agent's gradients."""

    def __check_init__(self):
        self.rule(latent_spec(1, 1, 2), 1)  # which says what is wrong with a setting

    def rule(self, spec: Spec, horizon: int) -> PPO:
        """The PPO of one agent, for rollouts of `horizon` steps."""
        return PPO(
            spec,
            (ONE,),
            sees="own",
            width=self.width,
            layers=self.layers,
            horizon=horizon,
            epochs=self.epochs,
            gamma=self.gamma,
            lam=self.lam,
            clip=self.clip,
            entropy=constant(self.entropy),
            actor_lr=constant(self.lr),
            critic_lr=constant(self.lr),
            max_norm=self.max_norm,
        )

    def init(self, key, agents, size):
        rule = self.rule(latent_spec(size, agents.parts, agents.choices), 1)
        return jax.vmap(lambda key: rule.init(key, 1))(jax.random.split(key, agents.count))

    def act(self, learned, agents, state, legal, key):
        rule = self.rule(latent_spec(state.shape[-1], *legal.shape[-2:]), 1)
        memory = rule.memory(jax.random.key(0))

        def of_one(learned, state, legal, key):
            now = _shown(state, legal, jnp.bool_(True))
            action, _, extra = rule.act(learned, memory, now, key, jnp.int32(0), explore=explore)
            left = (extra.sample[ONE], extra.log_prob[ONE]) if isinstance(extra, Extra) else ()
            return action[ONE].reshape(-1), left

        explore = key is not None
        keys = jax.random.split(key if explore else jax.random.key(0), state.shape[:-1])
        of_agent = of_one
        for _ in state.shape[1:-1]:
            of_agent = jax.vmap(of_agent, (None, 0, 0, 0))
        return jax.vmap(of_agent)(learned, state, legal, keys)

    def learn(self, learned, imagined, weight, key):
        return jax.vmap(self.learn_alone)(learned, imagined, weight, jax.random.split(key, len(weight)))

    def learn_alone(self, learned: Any, imagined: Imagined, weight: Any, key: Any) -> tuple[Any, dict[str, Any]]:
        """One update of one agent by what it imagined, [H, B, ...]."""
        spec = latent_spec(imagined.state.shape[-1], *imagined.legal.shape[-2:])
        rule = self.rule(spec, len(imagined.reward))
        counts = (reached(imagined.discount) >= 0.5) & (weight > 0)
        rollout = as_rollout(imagined, counts, rule)
        state, told = rule.learn(learned, rollout, key, jnp.int32(0))
        return state, {
            "actor_loss": told[f"loss/actor/{ONE}"],
            "critic_loss": told[f"loss/critic/{ONE}"],
            "mean_imagined_reward": masked_mean(imagined.reward, counts),
            "mean_value": told[f"value/{ONE}"],
            "mean_entropy": told[f"entropy/{ONE}"],
        }

    def acting(self, learned):
        nets = learned.nets
        return learned._replace(nets=nets._replace(critic=(), actor_opt=(), critic_opt=()), scale=())


def latent_spec(size: int, parts: int, choices: int) -> Spec:
    """The environment that one agent imagines: it observes states of `size` numbers."""
    action = Discrete(choices) if parts == 1 else MultiDiscrete((choices,) * parts)
    return Spec("imagination", Table({ONE: Group((ONE,), (Field("state", (size,)),), action)}))


def as_rollout(imagined: Imagined, counts: Any, rule: PPO) -> Transition:
    """What one agent imagined, [H, B, ...], as a rollout of the environment that it is imagined in.

    counts [H, B]: the steps that are learned from.
    """
    sample, log_prob = imagined.extra
    lead = imagined.reward.shape
    memory = jax.tree.map(lambda x: jnp.broadcast_to(x, (*lead, *x.shape)), rule.memory(jax.random.key(0)))
    steps = jax.vmap(jax.vmap(_shown))
    now = steps(imagined.state[:-1], imagined.legal, counts)
    then = steps(imagined.state[1:], imagined.legal, counts)._replace(
        reward={ONE: imagined.reward[..., None]}, discount={ONE: imagined.discount[..., None]}
    )
    choice = jnp.argmax(imagined.action, -1).astype(jnp.int32)  # [H, B, P]
    action = {ONE: choice if choice.shape[-1] == 1 else choice[..., None, :]}
    return Transition(now, action, then, Extra({ONE: sample}, {ONE: log_prob}, memory, ()))


def _shown(state: Any, legal: Any, alive: Any) -> TimeStep:
    """What one agent is shown of a state [F] in which `legal` [P, C]. In a part that it lacks, the first choice is."""
    first = jnp.arange(legal.shape[-1]) == 0
    mask = jnp.where(legal.any(-1, keepdims=True), legal, first).reshape(1, -1)
    return TimeStep(
        obs={ONE: state[None]},
        reward={ONE: jnp.zeros(1)},
        discount={ONE: jnp.ones(1)},
        alive={ONE: alive[None]},
        last=jnp.bool_(False),
        legal={ONE: mask},
    )
