"""Mean-field actor-critic: one rule, and the papers that are aliases of it.

Everybody of a group shares one policy π(a | o) and one critic, which also sees the mean action of an agent's neighbors.
After every rollout:

    ∇J = E[∇ log π(a_i | o_i) Â_i]                                                           (Yang et al. 2018, eq. 15)
    critic "value":   Â_i = Σ_l (γλ)^l δ_{t+l}    δ_t = r_t + γ d_t V(o', ā') - V(o, ā)      as in the authors' code
    critic "action":  Â_i = Q(o, a, ā) - Σ_b π(b | o) Q(o, b, ā), with Q learned as in MF-Q                as printed

Without ā this is advantage actor-critic (AC). With several epochs on a rollout, in which samples whose probability has
moved too far stop counting, it is MF-PPO. An actor may see the mean action too (`informed`).
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from covey.algorithms.mean_field.field import Alone, Field, Means
from covey.algorithms.mean_field.means import Everybody, Near
from covey.algorithms.mean_field.networks import Function, Network, Shape, network_for
from covey.core.algorithm import Algorithm, Plan
from covey.core.checks import controls, within
from covey.core.errors import BadInput
from covey.core.types import Groups, Metrics, Spec, TimeStep, Transition
from covey.learning.descent import descended
from covey.learning.normalisation import Scale, unscaled
from covey.learning.returns import gae
from covey.learning.sequences import over
from covey.learning.surrogate import clipped_loss, standardized
from covey.learning.targets import Linear, constant, masked_mean, polyak
from covey.nn.encoders import inputs
from covey.nn.joint import actions, legal
from covey.nn.policies import Policy, Squash


class Actor(NamedTuple):
    net: Any
    log_std: Any  # [A], or [0] where actions are discrete


class Nets(NamedTuple):
    """Everything that is learned."""

    actor: dict[str, Actor]
    critic: Groups
    target: Groups  # of critics of actions
    actor_opt: Any
    critic_opt: Any


class State(NamedTuple):
    nets: Nets
    scale: dict[str, Scale]  # of returns, per group


class Extra(NamedTuple):
    """What acting leaves for learning."""

    sample: Groups  # [n, A]
    log_prob: Groups  # [n]
    means: Means


class Data(NamedTuple):
    """What a group learns from: leading [T, E]; in each step agents [n]."""

    obs: Any  # [n, ...]  as encoders take it
    believed: Any  # [n, M]
    mean: Any  # [n, M]  that the critic sees
    legal: Any  # [n, A] or None
    sample: Any  # [n, A]
    taken: Any  # [n, A]  embedded
    log_prob: Any  # [n]
    target: Any  # [n]  in normalized units
    advantage: Any  # [n]
    alive: Any  # [n]


class MeanFieldAC(Algorithm):
    """The rule. Critics of values work for every space, critics of actions for discrete choices."""

    spec: Spec = eqx.field(static=True)
    groups: tuple[str, ...] = eqx.field(static=True)
    field: Field = Field(index="lagged")
    """The mean action that critics see."""
    informed: bool = eqx.field(static=True, default=False)
    """Actors see the mean action that agents believe in, too."""
    critic: Literal["value", "action"] = eqx.field(static=True, default="value")
    """V(o, ā), from which returns are advantages; or Q(o, a, ā), which says them itself."""
    actors: Function = Network(last=0.01)
    """The family of policies."""
    critics: Function = Network()
    """The family of critics."""
    played: Literal["best", "drawn"] = eqx.field(static=True, default="best")
    """In evaluations: the likeliest actions, or drawn as in training."""
    squash: Squash = eqx.field(static=True, default="tanh")
    """How unbounded samples become actions in a box."""
    std: float = 0.5
    """Initial standard deviation where actions are continuous."""
    horizon: int = eqx.field(static=True, default=32)
    """Steps of a rollout, per lane, between two learns."""
    epochs: int = eqx.field(static=True, default=1)
    """Gradient steps on a rollout."""
    clip: float = 0.2
    """ε: how far the probability of a sample may move before it stops counting; the first step never is."""
    lam: float = 0.95
    """λ of the advantage estimator; 1: returns to the end of the rollout, as in the authors' code."""
    bootstrap_dead: bool = eqx.field(static=True, default=False)
    """Give the dead a future, as the authors' code does by mistake."""
    standardize: bool = eqx.field(static=True, default=True)
    """Advantages have mean 0 and standard deviation 1 over a rollout."""
    scale_rate: float = 0.01
    """Share of the moments of returns that is renewed by a rollout; 0: values are not normalized."""
    entropy: Linear = constant(0.01)
    """Weight of the entropy, over environment steps."""
    gamma: float = 0.95
    """Discount γ per step."""
    tau: float = 0.01
    """Share of the online critics in the targets of critics of actions."""
    max_norm: float = 10.0
    """Largest global norm of a gradient."""

    def __check_init__(self):
        within(self, "[1, inf)", "horizon", "epochs")
        within(self, "[0, 1]", "gamma", "lam", "scale_rate")
        within(self, "(0, 1]", "tau")
        within(self, "(0, inf)", "clip", "std")
        within(self, "(0, inf]", "max_norm")
        controls(self)
        for name in self.groups:
            if self.critic == "action" and not self.policy(name).discrete:
                raise BadInput(
                    f"a critic of actions compares all choices, and the group {name!r} of {self.spec.name} has more "
                    "than a few: use `critic='value'`."
                )
        self.field.check(self.spec, self.groups)
        for name in self.groups:
            self.actors.check(self.actor_shape(name))
            self.critics.check(self.critic_shape(name))

    @property
    def plan(self):
        return Plan(horizon=self.horizon)

    def policy(self, name: str) -> Policy:
        return Policy(self.spec.groups[name].action, self.squash)

    def actor_shape(self, name: str) -> Shape:
        mean = self.field.size(self.spec, name) if self.informed else 0
        return Shape(self.spec.groups[name], mean, self.policy(name).size)

    def critic_shape(self, name: str) -> Shape:
        out = self.policy(name).size if self.critic == "action" else 1
        return Shape(self.spec.groups[name], self.field.size(self.spec, name), out)

    def optimizer(self, function: Function) -> Any:
        return optax.chain(optax.clip_by_global_norm(self.max_norm), function.optimizer)

    # ---------------------------------------------------------------------------------------------------------- acting

    def memory(self, key):
        return self.field.memory(self.spec, self.groups)

    def init(self, key, lanes):
        actor, critic = {}, {}
        for name, (k_actor, k_critic) in zip(self.groups, jax.random.split(key, (len(self.groups), 2)), strict=True):
            spread = jnp.full(self.policy(name).spread, jnp.log(self.std))
            actor[name] = Actor(self.actors.init(k_actor, self.actor_shape(name)), spread)
            critic[name] = self.critics.init(k_critic, self.critic_shape(name))
        target = jax.tree.map(jnp.copy, critic) if self.critic == "action" else {}
        opts = self.optimizer(self.actors).init(actor), self.optimizer(self.critics).init(critic)
        return State(Nets(actor, critic, target, *opts), {name: unscaled() for name in self.groups})

    def act(self, state, memory, now, key, step, *, explore):
        k_act, k_after = jax.random.split(key)
        obs, masks = inputs(self.spec, now), legal(self.spec, now)
        believed = self.field.foreseen(self.spec, now, memory.mean, partial(self.respond, state.nets.actor, obs, masks))
        action, sample, log_prob = {}, {}, {}
        for name, k in zip(self.groups, jax.random.split(k_act, len(self.groups)), strict=True):
            policy, actor = self.policy(name), state.nets.actor[name]
            raw = self.acted(name, actor.net, obs[name], believed[name])
            if explore or self.played == "drawn":
                keys = jax.random.split(k, len(raw))
                sample[name] = jax.vmap(policy.sample, (0, None, 0, 0))(raw, actor.log_std, keys, masks[name])
            else:
                sample[name] = jax.vmap(policy.mode)(raw, masks[name])
            log_prob[name] = jax.vmap(policy.log_prob, (0, None, 0, 0))(raw, actor.log_std, sample[name], masks[name])
            action[name] = jax.vmap(policy.action)(sample[name], masks[name])
        after = self.field.after(self.spec, memory, now, action, k_after)
        return action, after, Extra(sample, log_prob, Means(believed, after.mean)) if explore else ()

    def acted(self, name: str, net: Any, obs: Any, believed: Any) -> Any:
        """Raw outputs of actors [n, A]."""
        return self.actors(self.actor_shape(name), net, obs, believed if self.informed else believed[..., :0])

    def respond(self, actor: dict[str, Actor], obs: Groups, masks: Groups, mean: Groups) -> Groups:
        """What policies do on average [n, A] if agents believe in `mean`."""
        done = {}
        for name in self.groups:
            policy, raw = self.policy(name), self.acted(name, actor[name].net, obs[name], mean[name])
            average = policy.shares if policy.discrete else policy.embedded
            done[name] = jax.vmap(average)(raw, masks[name])
        return done

    def parameters(self, state):
        return state

    def acting(self, state):
        return state._replace(nets=state.nets._replace(critic={}, target={}, actor_opt=(), critic_opt=()))

    # -------------------------------------------------------------------------------------------------------- learning

    def learn(self, state, rollout, key, step):
        data, scale, seen = self.prepare(state, rollout)

        def update(nets, _):
            return self.update(nets, data, step)

        nets, metrics = jax.lax.scan(update, state.nets, length=self.epochs)
        return State(nets, scale), seen | jax.tree.map(lambda x: x.mean(0), metrics)

    def prepare(self, state: State, rollout: Transition) -> tuple[dict[str, Data], dict[str, Scale], Metrics]:
        """What is learned from: advantages and targets of the old policy and critic."""
        nets, extra, last = state.nets, rollout.extra, rollout.then.last[..., None]
        obs, later = (over(partial(inputs, self.spec), x) for x in (rollout.now, rollout.then))
        masks, masks_later = (over(partial(legal, self.spec), x) for x in (rollout.now, rollout.then))
        taken = over(partial(actions, self.spec), rollout.now, {name: rollout.action[name] for name in self.groups})
        expected = self.expected(nets.actor, rollout.then, extra.means.happened)
        data, scale, metrics = {}, {}, {}
        for name in self.groups:
            shape, units, alive = self.critic_shape(name), state.scale[name], rollout.now.alive[name]
            believed, happened = extra.means.believed[name], extra.means.happened[name]
            mean = happened if self.field.index == "concurrent" else believed
            discount = rollout.then.discount[name]
            if self.bootstrap_dead:
                discount = jnp.ones_like(discount)
            reward = jnp.where(alive, rollout.then.reward[name], 0.0)
            if self.critic == "value":
                said, after = (
                    units.denormalize(self.critics(shape, nets.critic[name], x, m)[..., 0])
                    for x, m in ((obs[name], mean), (later[name], expected[name]))
                )
                advantage = gae(reward, said, after, discount, last, self.gamma, self.lam)
                target = advantage + said
            else:
                values = self.critics(shape, nets.critic[name], obs[name], mean)
                held = self.critics(shape, nets.target[name], later[name], expected[name])
                policy, following = (
                    over(partial(self._shares, name, nets.actor[name]), *x)
                    for x in ((obs[name], believed, masks[name]), (later[name], expected[name], masks_later[name]))
                )
                spread = units.moments[1]
                advantage = spread * ((taken[name] - policy) * values).sum(-1)
                target = reward + self.gamma * discount * units.denormalize((following * held).sum(-1))
            scale[name] = units.update(target, alive, self.scale_rate)
            metrics[f"value/{name}"] = masked_mean(target, alive)
            data[name] = Data(
                obs[name],
                believed,
                mean,
                masks[name],
                extra.sample[name],
                taken[name],
                jnp.where(alive, extra.log_prob[name], 0.0),
                scale[name].normalize(target),
                standardized(advantage, alive) if self.standardize else advantage,
                alive,
            )
        return data, scale, metrics

    def expected(self, actor: dict[str, Actor], then: TimeStep, happened: Groups) -> Groups:
        """The mean actions [T, E, n, M] that agents expect in the successors."""

        def one(then: TimeStep, happened: Groups) -> Groups:
            obs, masks = inputs(self.spec, then), legal(self.spec, then)
            return self.field.foreseen(self.spec, then, happened, partial(self.respond, actor, obs, masks))

        return over(one, then, happened)

    def _shares(self, name: str, actor: Actor, obs: Any, believed: Any, masks: Any) -> Any:
        """Probabilities [n, A] of a group's choices."""
        return jax.vmap(self.policy(name).shares)(self.acted(name, actor.net, obs, believed), masks)

    def update(self, nets: Nets, data: dict[str, Data], step: Any) -> tuple[Nets, Metrics]:
        """One gradient step of actors and critics on a rollout."""
        actor, actor_opt, of_actors = descended(
            self.optimizer(self.actors), self.actor_loss, nets.actor, nets.actor_opt, data, step
        )
        critic, critic_opt, of_critics = descended(
            self.optimizer(self.critics), self.critic_loss, nets.critic, nets.critic_opt, data
        )
        target = polyak(nets.target, critic, self.tau) if nets.target else nets.target
        return Nets(actor, critic, target, actor_opt, critic_opt), of_actors | of_critics

    def actor_loss(self, actor: dict[str, Actor], data: dict[str, Data], step: Any) -> tuple[Any, Metrics]:
        """-Σ_i J_i and the entropies, over agents that were alive."""
        loss, metrics = 0.0, {}
        for name, seen in data.items():
            policy, log_std = self.policy(name), actor[name].log_std
            raw = self.acted(name, actor[name].net, seen.obs, seen.believed)

            def densities(raw, sample, masks, policy=policy, log_std=log_std):
                return policy.log_prob(raw, log_std, sample, masks), policy.entropy(raw, log_std, masks)

            log_prob, entropy = over(jax.vmap(densities), raw, seen.sample, seen.legal)
            more, told = clipped_loss(
                name, log_prob, seen.log_prob, seen.advantage, entropy, seen.alive, self.clip, self.entropy(step)
            )
            loss, metrics = loss + more, metrics | told
        return loss, metrics

    def critic_loss(self, critic: Groups, data: dict[str, Data]) -> tuple[Any, Metrics]:
        """Σ_i (target - V)² or (target - Q)², over agents that were alive."""
        loss, metrics = 0.0, {}
        for name, seen in data.items():
            shape = self.critic_shape(name)
            values = self.critics(shape, critic[name], seen.obs, seen.mean)
            value = values[..., 0] if self.critic == "value" else (values * seen.taken).sum(-1)
            error = (seen.target - value) ** 2
            loss = loss + self.critics.loss(shape, error, seen.mean, seen.taken, seen.alive * 1.0)
            metrics |= {f"loss/critic/{name}": masked_mean(error, seen.alive)}
        return loss, metrics


# ---------------------------------------------------------------------------------------------------------------------
# Papers


def mfac(spec: Spec, *, preset: str = "tuned", groups: tuple[str, ...] | None = None) -> MeanFieldAC:
    """MF-AC: actor-critic whose critic sees the mean action of an agent's neighbors (Yang et al. 2018)."""
    return _alias(spec, Field(Near() if spec.neighborhood else Everybody(), index="lagged"), preset, groups)


def ac(spec: Spec, *, preset: str = "tuned", groups: tuple[str, ...] | None = None) -> MeanFieldAC:
    """AC: the same without the mean action, advantage actor-critic with shared networks."""
    return _alias(spec, Alone(index="lagged"), preset, groups)


def mf_ppo(spec: Spec, *, preset: str = "tuned", groups: tuple[str, ...] | None = None) -> MeanFieldAC:
    """MF-PPO: MF-AC that takes several steps on a rollout, as PPO does."""
    return dataclasses.replace(mfac(spec, preset=preset, groups=groups), epochs=4)


def _alias(spec: Spec, field: Field, preset: str, groups: tuple[str, ...] | None) -> MeanFieldAC:
    """tuned: critics of values, advantages of a common scale. paper: critics of actions of the same joint action, as
    printed. legacy: the authors' code: returns to the end of a rollout, lagged means that count oneself, a future for
    the dead, one step on everything."""
    groups = groups or tuple(spec.groups)
    alone = isinstance(field, Alone)
    match preset:
        case "tuned":
            actors, critics = network_for(spec, last=0.01), network_for(spec)
            return MeanFieldAC(spec, groups, field, actors=actors, critics=critics)
        case "paper":
            concurrent = field if alone else Field(field.scope, index="concurrent")
            return MeanFieldAC(
                spec,
                groups,
                concurrent,
                critic="action",
                actors=Network(view="conv", lr=1e-4, last=0.01),
                critics=Network(view="conv", lr=1e-4),
                played="drawn",
                standardize=False,
            )
        case "legacy":
            return MeanFieldAC(
                spec,
                groups,
                field if alone else Field(Everybody(with_self=True), index="lagged"),
                actors=Network(lr=1e-4),
                critics=Network(lr=1e-4),
                played="drawn",
                lam=1.0,
                bootstrap_dead=True,
                standardize=False,
                scale_rate=0.0,
                entropy=constant(0.08),
                max_norm=float("inf"),
            )
    raise BadInput(f"preset {preset!r} is unknown; mean-field actor-critic has 'tuned', 'paper' and 'legacy'.")
