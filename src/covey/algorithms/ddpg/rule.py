"""The update rule of the DDPG family: deterministic policy gradient for teams.

Each agent i has an actor μ_i(o_i) and a critic Q_i; what a critic sees, and how, is a part (`critics.py`).

    y_i  = r_i + γ d_i Q_i'(o', a')  with a'_j = μ_j'(o'_j)             ATT-MADDPG equation 10
    L_i  = E[(y_i - Q_i(o, a))²]                                        equation 11
    J_i  = E[Q_i(o, a_i, a_-i)]  with a_j = μ_j(o_j), differentiated in a_i only      equation 12

Lillicrap et al. 2016 (DDPG), Lowe et al. 2017 (MADDPG), Fujimoto et al. 2018 (TD3), Mao et al. 2018 (ATT-MADDPG).
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from covey.algorithms.critics import (
    GroupCritic,
    Scene,
    attention_metrics,
)
from covey.algorithms.ddpg.records import Memory, Nets, State
from covey.algorithms.prior import FusedPrior
from covey.core.algorithm import Algorithm, Plan
from covey.core.checks import controls, within
from covey.core.errors import BadInput
from covey.core.types import Discrete, Groups, Metrics, MultiDiscrete, Spec, TimeStep
from covey.learning.descent import descended
from covey.learning.exploration import Exploration, target_noise
from covey.learning.replay import Batch, Replay, learn_from_replay
from covey.learning.targets import masked_mean, polyak
from covey.nn.encoders import Encoder, Encoders, Flat
from covey.nn.heads import Head
from covey.nn.joint import actions, legal
from covey.nn.members import Members, renumbered
from covey.nn.nets import MLP


class DDPG(Algorithm):
    """The rule. Works for splits, boxes and (multi-)discrete actions, groups of any sizes, masks and deaths."""

    spec: Spec = eqx.field(static=True)
    groups: tuple[str, ...] = eqx.field(static=True)
    critic: GroupCritic
    exploration: Exploration
    replay: Replay = Replay()
    teammates: Literal["current", "replayed", "joint"] = eqx.field(static=True, default="current")
    """Teammates' actions in the actor's loss: current policies without gradient (equation 12), the replayed ones (Lowe
    et al.), or current with gradient, so that every critic pushes every actor (the ATT-MADDPG authors' later code)."""
    encoder: Encoder = Flat()
    """What comes before the networks: how observations become features."""
    prior: FusedPrior = FusedPrior()
    """A policy that guides the actors."""
    shared_actor: bool = eqx.field(static=True, default=False)
    """One actor per group, told apart by identity, instead of one per agent."""
    alike: bool = eqx.field(static=True, default=False)
    """Do not tell shared actors whose they are, so that a group of any size can act with them."""
    width: int = eqx.field(static=True, default=32)
    """Units of each of the actor's hidden layers."""
    layers: int = eqx.field(static=True, default=2)
    """Hidden layers of the actor."""
    horizon: int = eqx.field(static=True, default=1)
    """Steps of a rollout, per lane, between two learns."""
    updates: int = eqx.field(static=True, default=1)
    """Gradient steps per learn."""
    warmup: int = eqx.field(static=True, default=0)
    """Environment steps before the first gradient step."""
    twin: bool = eqx.field(static=True, default=False)
    """Two critics, the smaller one is the target (TD3)."""
    delay: int = eqx.field(static=True, default=1)
    """Critic steps per actor step (TD3)."""
    smoothing: float = 0.0
    """Standard deviation of the noise on target actions (TD3); 0 for none."""
    smoothing_bound: float = 0.5
    """Largest noise on target actions."""
    gamma: float = 0.95
    """Discount γ per step."""
    tau: float = 0.001
    """Share of the online networks in the targets per update."""
    actor_lr: float = 1e-3
    """Adam's learning rate for actors."""
    critic_lr: float = 1e-2
    """Adam's learning rate for critics."""
    anneal: int = eqx.field(static=True, default=0)
    """Steps of an optimizer in which its learning rate falls to a tenth; 0: it stays."""
    clip: float = 10.0
    """Largest global norm of a gradient."""
    raw_l2: float = 0.0
    """Penalty on the mean square of the actors' raw outputs (logits): keeps a softmax or tanh from saturating."""
    last_scale: float = 1.0
    """Scale of the initial weights of the actors' last layer; small means: start near the uniform action."""
    temperature: float = 1.0
    """Gumbel-softmax temperature where actions are discrete."""

    def __check_init__(self):
        within(self, "[1, inf)", "width", "layers", "horizon", "updates", "delay")
        within(self, "[0, inf)", "warmup", "anneal", "smoothing", "smoothing_bound", "actor_lr", "critic_lr", "raw_l2")
        within(self, "[0, 1]", "gamma")
        within(self, "(0, 1]", "tau")
        within(self, "(0, inf)", "last_scale", "temperature")
        within(self, "(0, inf]", "clip")
        if isinstance(self.smoothing, float) and self.smoothing > 0 and not self.twin:
            raise BadInput("`smoothing` is one of TD3's parts and needs `twin`: set `twin=True`, or `smoothing=0`.")
        self.replay.check(self.horizon, self.critic.alone)
        controls(self)

    @property
    def plan(self):
        return Plan(horizon=self.horizon, warmup=self.warmup, updates=self.updates)

    @property
    def optimizers(self) -> tuple[Any, Any]:
        """For actors and for critics."""
        actor, critic = (
            optax.chain(optax.clip_by_global_norm(self.clip), optax.adam(self._annealed(lr)))
            for lr in (self.actor_lr, self.critic_lr)
        )
        return actor, critic

    def _annealed(self, lr: float) -> Any:
        return optax.linear_schedule(lr, lr / 10, self.anneal) if self.anneal else lr

    def head(self, name: str) -> Head:
        return Head(self.spec.groups[name].action, self.temperature)

    def members(self, name: str) -> Members:
        return Members(self.spec.groups[name].size, self.shared_actor, self.alike)

    @property
    def encoders(self) -> Encoders:
        return Encoders(self.encoder, self.spec)

    # ---------------------------------------------------------------------------------------------------------- acting

    def init(self, key, lanes):
        k_actor, *k_critics = jax.random.split(key, 2 + self.twin)
        actor = {
            name: self._draw_actor(k, name)
            for name, k in zip(self.groups, jax.random.split(k_actor, len(self.groups)), strict=True)
        }
        critic = tuple(self.critic.init(k, self.encoders.spec, self.groups) for k in k_critics)
        actor = self.encoders.join(jax.random.fold_in(k_actor, 1), actor, self.groups)
        k_critics = [jax.random.fold_in(k, 1) for k in k_critics]
        critic = tuple(self.encoders.join(k, x, self.spec.groups) for k, x in zip(k_critics, critic, strict=True))
        actor_adam, critic_adam = self.optimizers
        # Targets start as copies: every leaf of a state is an array of its own, so that a run can be donated.
        target = jax.tree.map(jnp.copy, (actor, critic))
        nets = Nets(actor, critic, target[0], target[1], actor_adam.init(actor), critic_adam.init(critic))
        return State(nets, self.replay.init(self.spec, lanes, self.horizon, self._blank() if self.prior else ()))

    def _draw_actor(self, key, name):
        members = self.members(name)
        size_in = self.encoders.spec.groups[name].obs_size + members.identity
        sizes = size_in, *[self.width] * self.layers, self.head(name).size
        return members.init(key, lambda key: MLP(key, sizes, last=self.last_scale))

    def memory(self, key):
        return Memory(self._blank(), self.prior.memory(key) if self.prior else ())

    def _blank(self) -> Groups:
        """Zeros [n, A] for every group that learns."""
        sizes = {name: (self.spec.groups[name].size, self.head(name).size) for name in self.groups}
        return {name: jnp.zeros(shape) for name, shape in sizes.items()}

    def raw(self, actor: Groups, obs: Groups) -> Groups:
        """The actors' outputs before the head: obs [n, D] -> [n, A], for the groups that learn."""
        return {name: self.members(name)(actor[name], obs[name]) for name in self.groups}

    def act(self, state, memory, now, key, step, *, explore):
        raw = self.raw(*self.encoders.enter(state.nets.actor, self.encoders.inputs(now)))
        masks = legal(self.spec, now)
        advice, advisor = (), memory.prior
        if self.prior:
            k_prior = jax.random.fold_in(key, 1)
            advice, advisor = self.prior.act(self.spec, self.groups, memory.prior, now, k_prior, step)
            raw = self._blended(raw, advice, masks, self.prior.share(memory.prior, step, explore))
        action, noise = {}, {}
        for name, k in zip(self.groups, jax.random.split(key, len(self.groups)), strict=True):
            head, before = self.head(name), memory.noise[name]
            if explore:
                keys = jax.random.split(k, len(raw[name]))
                explored = jax.vmap(lambda r, n, m, k, head=head: self.exploration(head, r, n, m, k, step))
                embedded, noise[name] = explored(raw[name], before, masks[name], keys)
            else:
                embedded, noise[name] = jax.vmap(head.greedy)(raw[name], masks[name]), before
            action[name] = jax.vmap(head.action)(embedded)
        return action, Memory(noise, advisor), advice if explore else ()

    def _blended(self, raw: Groups, advice: Groups, masks: Groups, share: Any) -> Groups:
        """Raw outputs [n, A] that stand for a share of the prior's actions and the rest of the actors' own."""
        mixed = {name: jax.vmap(self.head(name).mixed, (0, 0, None, 0)) for name in self.groups}
        return {name: mixed[name](raw[name], advice[name], share, masks[name]) for name in self.groups}

    def with_guides(self, guide):
        prior = self.prior.with_guide(guide, self.groups)
        return self if prior is self.prior else dataclasses.replace(self, prior=prior)

    def parameters(self, state):
        return state.nets

    def acting(self, state):
        nets = state.nets._replace(target_actor={}, target_critic=(), actor_opt=(), critic_opt=())
        return state._replace(nets=nets, buffer=())

    def rotate(self, state: State, shift: int) -> State | None:
        """The state with agent i's networks given to agent i + shift of its group; None where agents share some, and
        where learning draws noise for each number: smoothed targets, discrete choices."""
        draws = self.twin or any(isinstance(self.spec.groups[x].action, Discrete | MultiDiscrete) for x in self.groups)
        if draws or self.shared_actor or self.critic.shares == "something":
            return None
        nets = renumbered(state.nets, shift)
        if self.critic.shares == "everything":
            old = state.nets
            nets = nets._replace(critic=old.critic, target_critic=old.target_critic, critic_opt=old.critic_opt)
        return state._replace(nets=nets)

    # -------------------------------------------------------------------------------------------------------- learning

    def learn(self, state, rollout, key, step):
        alpha = self.prior.alpha(step)

        def update(nets, batch, key, count):
            return self.update(nets, batch, key, count, alpha)

        buffer, nets, metrics = learn_from_replay(
            self.replay, self.spec, self.plan, state.buffer, rollout, step, update, state.nets, key, rollout.extra
        )
        return State(nets, buffer), metrics

    def update(self, nets: Nets, batch: Batch, key: Any, count: Any, alpha: Any = 0.0) -> tuple[Nets, Metrics]:
        """A step of the critics and, every `delay` of them, one of the actors. `alpha` weighs the prior, if any."""
        k_target, k_actor = jax.random.split(key)
        nets, critic_metrics = self.update_critic(nets, batch, k_target)
        step = partial(self.update_actor, batch=batch, key=k_actor, alpha=alpha)
        nets, actor_metrics = self.every_delay(count, step, nets)
        return nets, critic_metrics | actor_metrics

    def update_critic(self, nets: Nets, batch: Batch, key: Any) -> tuple[Nets, Metrics]:
        target = self.critic_target(nets, batch, key)
        critic, critic_opt, metrics = descended(
            self.optimizers[1], self.critic_loss, nets.critic, nets.critic_opt, target, batch
        )
        return nets._replace(critic=critic, critic_opt=critic_opt), metrics

    def update_actor(self, nets: Nets, batch: Batch, key: Any, alpha: Any = 0.0) -> tuple[Nets, Metrics]:
        """One actor step, and the step of the targets that goes with it."""
        actor, actor_opt, metrics = descended(
            self.optimizers[0], self.actor_loss, nets.actor, nets.actor_opt, nets.critic[0], batch, key, alpha
        )
        nets = nets._replace(actor=actor, actor_opt=actor_opt)
        old, new = (nets.target_actor, nets.target_critic), (nets.actor, nets.critic)
        target_actor, target_critic = polyak(old, new, self.tau)
        return nets._replace(target_actor=target_actor, target_critic=target_critic), metrics

    def every_delay(self, count, update, nets):
        if self.delay == 1:
            return update(nets)
        metrics = jax.eval_shape(update, nets)[1]
        idle = jax.tree.map(lambda x: jnp.full(x.shape, jnp.nan, x.dtype), metrics)
        return jax.lax.cond(count % self.delay == self.delay - 1, update, lambda nets: (nets, idle), nets)

    def critic_target(self, nets: Nets, batch: Batch, key: Any) -> Groups:
        """y_i [B, n] of equation 10, with the smaller of twin critics."""
        obs = self._seen(batch.then)
        # What others did next is known but where the episode ended: nothing stands for it there.
        done = self._done(batch.then, batch.next_action)
        stored = {name: jnp.where(batch.then.last[:, None, None], 0.0, x) for name, x in done.items()}
        action = stored | self._target_actions(nets, batch.then, obs, key)
        critics, target = [self.encoders.enter(critic, obs) for critic in nets.target_critic], {}
        for name in self.groups:
            values = [self.value(critic, name, batch.then, seen, action)[0] for critic, seen in critics]
            future = jnp.minimum(values[0], values[-1])
            target[name] = batch.then.reward[name] + self.gamma * batch.then.discount[name] * future
        return target

    def critic_loss(self, critics: tuple[Any, ...], target: Groups, batch: Batch) -> tuple[Any, Metrics]:
        """Σ_i L_i of equation 11, over agents that were alive."""
        obs, action, weight = self._seen(batch.now), self._done(batch.now, batch.action), self._weight(batch)
        looking, loss, metrics = [self.encoders.enter(critic, obs) for critic in critics], 0.0, {}
        for name in self.groups:
            values = [self.value(critic, name, batch.now, seen, action) for critic, seen in looking]
            squared = [masked_mean((target[name] - q) ** 2, weight[name], axis=0) for q, _ in values]
            loss = loss + sum(each.sum() for each in squared)
            q, attention = values[0]
            metrics[f"loss/critic/{name}"] = squared[0].mean()
            metrics[f"value/{name}"] = masked_mean(q, weight[name])
            metrics |= attention_metrics(name, attention, weight[name])
        return loss, metrics

    def actor_loss(self, actor: Any, critic: Any, batch: Batch, key: Any, alpha: Any = 0.0) -> tuple[Any, Metrics]:
        """-Σ_i J_i of equation 12, over agents that were alive; and α times the distance to the prior, if any."""
        obs, weight, masks = self._seen(batch.now), self._weight(batch), self._legal(batch.now)
        raw = self._raw(actor, obs)
        critic, seen = self.encoders.enter(critic, obs)
        own = self._relaxed(batch.now, raw, key)
        replayed = self._done(batch.now, batch.action)
        team = {
            "current": lambda: replayed | jax.lax.stop_gradient(own),
            "replayed": lambda: replayed,
            "joint": lambda: replayed | own,
        }[self.teammates]()
        loss, metrics = 0.0, {}
        for name in self.groups:
            q, _ = self.value(critic, name, batch.now, seen, team, own_action=own[name])
            gain = masked_mean(q, weight[name], axis=0)
            penalty = masked_mean((raw[name] ** 2).mean(-1), weight[name], axis=0)
            loss = loss - (gain - self.raw_l2 * penalty).sum()
            metrics |= {f"loss/actor/{name}": -gain.mean(), f"actor/{name}/raw_square": penalty.mean()}
            if self.prior:
                pull = self.prior.pull(self.head(name), raw[name], batch.extra[name], masks[name], weight[name])
                loss = loss + (alpha * pull).sum()
                metrics[f"actor/{name}/prior_distance"] = pull.mean()
        return loss, metrics

    # Batches [B] of the functions of one sample -----------------------------------------------------------------------

    def _seen(self, now: TimeStep) -> Groups:
        return jax.vmap(self.encoders.inputs)(now)

    def _raw(self, actor: Any, obs: Groups) -> Groups:
        actor, seen = self.encoders.enter(actor, obs)
        return jax.vmap(self.raw, (None, 0))(actor, {name: seen[name] for name in self.groups})

    def _done(self, now: TimeStep, action: Groups) -> Groups:
        return jax.vmap(lambda now, action: actions(self.spec, now, action))(now, action)

    def _legal(self, now: TimeStep) -> Groups:
        return jax.vmap(lambda now: legal(self.spec, now))(now)

    def _weight(self, batch: Batch) -> Groups:
        return {name: batch.weight[:, None] * batch.now.alive[name] for name in self.groups}

    def _relaxed(self, now: TimeStep, raw: Groups, key: Any) -> Groups:
        """Differentiable embedded actions [B, n, A] of the actors' raw outputs, zero where dead."""
        relaxed, masks = {}, self._legal(now)
        for name, k in zip(self.groups, jax.random.split(key, len(self.groups)), strict=True):
            keys = jax.random.split(k, raw[name].shape[:2])
            chosen = jax.vmap(jax.vmap(self.head(name).relaxed))(raw[name], keys, masks[name])
            relaxed[name] = jnp.where(now.alive[name][..., None], chosen, 0.0)
        return relaxed

    def _target_actions(self, nets: Nets, then: TimeStep, obs: Groups, key: Any) -> Groups:
        """Embedded actions [B, n, A] of the target actors, smoothed if asked, zero where dead."""
        raw, masks = self._raw(nets.target_actor, obs), self._legal(then)
        chosen = {}
        for name, k in zip(self.groups, jax.random.split(key, len(self.groups)), strict=True):
            head = self.head(name)
            if self.twin:
                keys = jax.random.split(k, raw[name].shape[:2])
                smooth = jax.vmap(
                    jax.vmap(lambda r, m, k, h=head: target_noise(h, r, m, k, self.smoothing, self.smoothing_bound))
                )
                embedded = smooth(raw[name], masks[name], keys)
            else:
                embedded = jax.vmap(jax.vmap(head.greedy))(raw[name], masks[name])
            chosen[name] = jnp.where(then.alive[name][..., None], embedded, 0.0)
        return chosen

    def value(
        self, critic: Any, name: str, now: TimeStep, obs: Groups, action: Groups, own_action: Any = None
    ) -> tuple[Any, Any]:
        """Q_i [B, n] of every agent of a group, and the attention behind it; `own_action` replaces a_i."""
        own = action[name] if own_action is None else own_action
        return self.critic.values(critic, self.encoders.spec, name, Scene(obs, action, own, now.alive, now.neighbors))
