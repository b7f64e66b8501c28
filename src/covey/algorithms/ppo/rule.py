"""Proximal policy optimization for teams: the rule of which IPPO, MAPPO and credit-MAPPO are aliases.

Each agent i has a policy π_i(a_i | o_i); a critic V_i sees what `sees` says. After every rollout, with the old policy's
probabilities and values:

    δ_t = r_t + γ d_t V(then_t) - V(now_t)      Â_t = Σ_l (γλ)^l δ_{t+l}      Ĝ_t = Â_t + V(now_t)
    J_i = E[min(ρ_i Â_i, clip(ρ_i, 1 - ε, 1 + ε) Â_i) + σ H(π_i)]             ρ_i = π_i / π_i,old
    L_i = E[max(h(V_i - Ĝ_i), h(V_i,old + clip(V_i - V_i,old, ±ε) - Ĝ_i))]    h: Huber, in normalized units

Schulman et al. 2016 (GAE), 2017 (PPO), de Witt et al. 2020 (IPPO), Yu et al. 2022 (MAPPO).
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from covey.algorithms.credit import (
    Choices,
    Credit,
    Facts,
    Learned,
    Lesson,
    Modelled,
    Recent,
    Shown,
    Team,
    choices_of,
    fitted,
    kept,
    ledgers,
    unknown,
)
from covey.algorithms.ppo.records import Actor, Data, Extra, Judged, Memory, Nets, Prepared, State
from covey.algorithms.prior import Prior
from covey.algorithms.views import Sees, Views
from covey.core.algorithm import Algorithm, Plan
from covey.core.checks import controls, within
from covey.core.errors import BadInput
from covey.core.types import Groups, Metrics, Spec, Transition
from covey.learning.credit import Ledger, Moments
from covey.learning.descent import descended
from covey.learning.normalisation import Scale, unscaled
from covey.learning.returns import gae
from covey.learning.sequences import in_sequences, over, side_by_side
from covey.learning.surrogate import clipped_loss, standardized
from covey.learning.targets import Linear, masked_mean, masked_variance
from covey.nn.encoders import Encoder, Encoders, Flat
from covey.nn.joint import actions, legal
from covey.nn.members import Members, renumbered, with_identity
from covey.nn.policies import Policy, Squash
from covey.nn.recurrent import Activation, Net


class PPO(Algorithm):
    """The rule. Works for every space, groups of any sizes, masks and deaths, with and without memory."""

    spec: Spec = eqx.field(static=True)
    groups: tuple[str, ...] = eqx.field(static=True)
    sees: Sees = eqx.field(static=True, default="agent")
    """What a critic sees: the agent's own observation, the team's (the global state where the environment offers one,
    else everybody's observation), both, everybody's from the agent's side, or its own and its listed neighbors'."""
    credit: Credit = Team()
    """What agents learn from instead of the team's advantage."""
    team_reward: bool = eqx.field(static=True, default=False)
    """Everybody earns the mean of its group's rewards, instead of its own."""
    prior: Prior = Prior()
    """A policy that guides the actors."""
    shared: bool = eqx.field(static=True, default=True)
    """One actor and one critic per group, told apart by identity, instead of one per agent."""
    encoder: Encoder = Flat()
    """What comes before the networks: how observations become features."""
    width: int = eqx.field(static=True, default=64)
    """Units of each hidden layer."""
    layers: int = eqx.field(static=True, default=2)
    """Hidden layers."""
    units: int = eqx.field(static=True, default=0)
    """Units of the recurrent layer; 0: no memory."""
    activation: Activation = eqx.field(static=True, default="tanh")
    """Of the hidden layers."""
    normalize: bool = eqx.field(static=True, default=True)
    """Layer normalization of the input and of hidden layers."""
    squash: Squash = eqx.field(static=True, default="tanh")
    """How unbounded samples become actions in a box."""
    last_scale: float = 0.01
    """Gain of the initial weights of the actors' last layer."""
    std: float = 0.5
    """Initial standard deviation where actions are continuous."""
    horizon: int = eqx.field(static=True, default=128)
    """Steps of a rollout, per lane, between two learns."""
    epochs: int = eqx.field(static=True, default=4)
    """Passes over a rollout."""
    minibatches: int = eqx.field(static=True, default=1)
    """Into how many minibatches of whole lanes each pass is cut."""
    sequence: int = eqx.field(static=True, default=0)
    """Steps through which a recurrent unit is differentiated; 0: the whole rollout."""
    burn_in: int = eqx.field(static=True, default=0)
    """Steps before a sequence that are only there to warm up the recurrent unit."""
    gamma: float = 0.99
    """Discount γ per step."""
    lam: float = 0.95
    """λ of the advantage estimator."""
    clip: float = 0.2
    """ε: how far the probability of a sample may move before it stops counting; the same for values."""
    clip_value: bool = eqx.field(static=True, default=True)
    """Clip the movement of values too."""
    huber: float = 10.0
    """Where the value loss turns from squared to linear, in normalized units."""
    scale_rate: float = 0.01
    """Share of the moments of returns that is renewed by a rollout; 0: values are not normalized."""
    entropy: Linear = Linear(0.01, 0.01, 0.0)
    """σ, the weight of the entropy, over environment steps."""
    actor_lr: Linear = Linear(7e-4, 7e-4, 0.0)
    """Adam's learning rate for actors, over environment steps."""
    critic_lr: Linear = Linear(7e-4, 7e-4, 0.0)
    """Adam's learning rate for critics, over environment steps."""
    max_norm: float = 10.0
    """Largest global norm of a gradient."""

    def __check_init__(self):
        within(self, "[1, inf)", "width", "layers", "horizon", "epochs", "minibatches")
        within(self, "[0, inf)", "units", "sequence", "burn_in")
        within(self, "[0, 1]", "gamma", "lam", "scale_rate")
        within(self, "(0, inf)", "clip", "huber", "last_scale", "std")
        within(self, "(0, inf]", "max_norm")
        if (self.sequence or self.burn_in) and not self.units:
            raise BadInput("`sequence` and `burn_in` are about memory: set `units`, or leave both at 0.")
        if self.horizon % self.length:
            raise BadInput(
                f"sequences of {self.sequence} steps do not fill a horizon of {self.horizon}: choose a divisor."
            )
        if self.burn_in > self.horizon - self.length:
            raise BadInput(
                f"`burn_in` {self.burn_in} and a sequence of {self.length} steps exceed the horizon of {self.horizon}."
            )
        if self.streams and self.team_reward:
            raise BadInput("`streams` are of agents' own rewards, and `team_reward` gives all the same: turn one off.")
        controls(self)

    @property
    def length(self) -> int:
        """Steps of a sequence, without those that burn in."""
        return self.sequence or self.horizon

    @property
    def plan(self):
        return Plan(horizon=self.horizon)

    @property
    def optimizer(self) -> Any:
        """Of actors and of critics, but for the learning rate."""
        return optax.chain(optax.clip_by_global_norm(self.max_norm), optax.scale_by_adam(eps=1e-5))

    @property
    def streams(self) -> bool:
        """Do critics value every agent's own reward, and agents learn from the team's mean of that?"""
        return self.credit.streams

    def policy(self, name: str) -> Policy:
        return Policy(self.spec.groups[name].action, self.squash)

    def members(self, name: str) -> Members:
        return Members(self.spec.groups[name].size, self.shared)

    @property
    def encoders(self) -> Encoders:
        return Encoders(self.encoder, self.spec)

    @property
    def views(self) -> Views:
        return Views(self.encoders, self.groups, self.sees)

    # ---------------------------------------------------------------------------------------------------------- acting

    def init(self, key, lanes):
        if lanes % self.minibatches:
            raise BadInput(
                f"{lanes} lanes cannot be cut into {self.minibatches} minibatches of whole lanes: choose `--envs` so "
                "that they can, or fewer `minibatches`."
            )
        keys = dict(zip(self.groups, jax.random.split(key, (len(self.groups), 2)), strict=True))
        actor = {name: self.members(name).init(k, partial(self._draw_actor, name)) for name, (k, _) in keys.items()}
        critic = {name: self.members(name).init(k, partial(self._draw_critic, name)) for name, (_, k) in keys.items()}
        actor = self.encoders.join(jax.random.fold_in(key, 1), actor, self.groups)
        critic = self.encoders.join(jax.random.fold_in(key, 2), critic, self.views.watched)
        nets = Nets(actor, critic, self.optimizer.init(actor), self.optimizer.init(critic))
        scale = {name: unscaled() for name in self.groups}
        if not isinstance(self.credit, Learned):
            return State(nets, scale, ())
        size_in = {name: self.views.size(name) + self.spec.groups[name].size for name in self.groups}
        policies = {name: self.policy(name) for name in self.groups}
        k_model = {name: jax.random.fold_in(k, 1) for name, (k, _) in keys.items()}
        shape = self.horizon, lanes
        known = unknown(self.credit, self.spec, policies, size_in, self.optimizer, shape, k_model)
        return State(nets, scale, known)

    def _draw_actor(self, name: str, key: Any) -> Actor:
        policy = self.policy(name)
        size_in = self.encoders.spec.groups[name].obs_size + self.members(name).identity
        return Actor(
            self._draw_net(key, size_in, policy.size, self.last_scale), jnp.full(policy.spread, jnp.log(self.std))
        )

    def _draw_critic(self, name: str, key: Any) -> Net:
        return self._draw_net(key, self.views.size(name) + self.members(name).identity, 1, 1.0)

    def _draw_net(self, key: Any, size_in: int, size_out: int, last: Any) -> Net:
        sizes = (size_in, *[self.width] * self.layers, size_out)
        return Net(key, sizes, self.units, last=last, activation=self.activation, normalize=self.normalize)

    def memory(self, key):
        def blank() -> Groups:
            return {name: jnp.zeros((self.spec.groups[name].size, self.units)) for name in self.groups}

        return Memory(blank(), blank(), self.prior.memory(key) if self.prior else ())

    def act(self, state, memory, now, key, step, *, explore):
        actors, obs = self.encoders.enter(state.nets.actor, self.encoders.inputs(now))
        masks, view = legal(self.spec, now), {}
        if self.units and explore:  # what a critic remembers is of use in learning only
            view = self.views.sights(now)
        advice, advisor = (), memory.prior
        if self.prior and explore:
            k_prior = jax.random.fold_in(key, 1)
            advice, advisor = self.prior.act(self.spec, self.groups, memory.prior, now, k_prior, step)
        action, sample, log_prob, after = {}, {}, {}, Memory({}, {}, advisor)
        for name, k in zip(self.groups, jax.random.split(key, len(self.groups)), strict=True):
            policy, actor = self.policy(name), actors[name]
            after.actor[name], raw = self.members(name).step(actor.net, memory.actor[name], obs[name])
            after.critic[name] = memory.critic[name]
            if view:
                critic, seen = self.views.look(state.nets.critic, name, view[name])
                after.critic[name], _ = self.members(name).step(critic, memory.critic[name], seen)
            std = self.members(name).each(actor.log_std)
            if explore:
                keys = jax.random.split(k, len(raw))
                sample[name] = jax.vmap(policy.sample)(raw, std, keys, masks[name])
                log_prob[name] = jax.vmap(policy.log_prob)(raw, std, sample[name], masks[name])
            else:
                sample[name] = jax.vmap(policy.mode)(raw, masks[name])
            action[name] = jax.vmap(policy.action)(sample[name], masks[name])
        return action, after, Extra(sample, log_prob, memory, advice) if explore else ()

    def with_guides(self, guide):
        prior = self.prior.with_guide(guide, self.groups)
        return self if prior is self.prior else dataclasses.replace(self, prior=prior)

    def parameters(self, state):
        return self.acting(state)

    def acting(self, state):
        credit = state.credit._replace(opt=(), recent=()) if state.credit else state.credit
        return state._replace(nets=state.nets._replace(actor_opt=(), critic_opt=()), credit=credit)

    def rotate(self, state: State, shift: int) -> State | None:
        """The state with agent i's networks given to agent i + shift of its group; None where a number means more."""
        if self.shared or self.sees == "team" or isinstance(self.credit, Learned):
            return None
        return state._replace(nets=renumbered(state.nets, shift))

    # -------------------------------------------------------------------------------------------------------- learning

    def learn(self, state, rollout, key, step):
        ready = self.prepare(state, rollout, jax.random.fold_in(key, 1))
        lanes = rollout.then.last.shape[1]

        def update(nets, rows):
            batch = ready.data if self.minibatches == 1 else jax.tree.map(lambda x: x[rows], ready.data)
            return self.update(nets, batch, step)

        def shuffled(key):
            return jax.random.permutation(key, lanes).reshape(self.minibatches, -1)

        rows = jax.vmap(shuffled)(jax.random.split(key, self.epochs)).reshape(self.epochs * self.minibatches, -1)
        nets, metrics = jax.lax.scan(update, state.nets, rows)
        metrics = ready.metrics | jax.tree.map(lambda x: x.mean(0), metrics)
        if not isinstance(self.credit, Learned):
            return State(nets, ready.scale, ()), metrics
        rollouts = step // (self.horizon * lanes)
        recent = kept(self.spec, state.credit.recent, rollout.now, ready.lessons, rollouts)
        known = state.credit._replace(trust=ready.trust, recent=recent)
        shown = partial(self._shown, nets.critic, ready.scale)
        known, told = fitted(self.credit, known, self.optimizer, shown, rollouts + 1, jax.random.fold_in(key, 2))
        return State(nets, ready.scale, known), metrics | told

    def prepare(self, state: State, rollout: Transition, key: Any) -> Prepared:
        """What is learned from: advantages and targets of the old policy, cut into sequences; and by models."""
        extra, last = rollout.extra, rollout.then.last
        data, scale, trust, lessons, metrics = {}, {}, {}, {}, {}
        judged = self.judged(state, rollout, jax.tree.map(lambda x: x[0], extra.memory.critic))
        for (name, seen), k in zip(judged.items(), jax.random.split(key, len(judged)), strict=True):
            alive, value, future = rollout.now.alive[name], seen.value, seen.future
            discount = rollout.then.discount[name]
            earned = self._earned(name, rollout)
            gained = partial(gae, earned, value, future, discount, last[..., None], self.gamma)
            advantage = gained(self.lam)
            target = advantage + value
            scale[name] = state.scale[name].update(target, alive, self.scale_rate)
            metrics |= self._of_values(name, value, target, alive)
            of_group = Data(
                seen.obs,
                seen.view,
                seen.legal,
                extra.sample[name],
                jnp.where(alive, extra.log_prob[name], 0.0),
                extra.advice[name] if self.prior else (),
                seen.said,
                scale[name].normalize(target),
                advantage,
                alive,
                jnp.ones(last.shape, bool),
                seen.fresh,
                (extra.memory.actor[name], extra.memory.critic[name]),
            )
            if self.streams:
                advantage = jnp.broadcast_to(masked_mean(advantage, alive, axis=-1)[..., None], advantage.shape)
            if isinstance(self.credit, Learned):
                facts = Facts(
                    reward=earned,
                    advantage=advantage,
                    gain=gained(self.credit.lam),
                    value=masked_mean(value, alive, axis=-1),
                    later=with_identity(seen.later),
                    discount=discount.max(-1),
                    last=last,
                    unit=scale[name].moments[1],
                    gamma=self.gamma,
                    lam=self.lam,
                )
                shown = with_identity(seen.looked)
                psi, lessons[name], trust[name], told = self.credited(
                    self.credit, name, state, of_group, shown, facts, k
                )
                of_group = of_group._replace(advantage=psi)
                metrics |= told
            of_group = of_group._replace(advantage=standardized(of_group.advantage, alive))
            data[name] = in_sequences(of_group, self.length, self.burn_in)
        return Prepared(data, scale, lessons, trust, metrics)

    def _earned(self, name: str, rollout: Transition) -> Any:
        """Rewards [T, E, n] of those that acted."""
        alive, reward = rollout.now.alive[name], rollout.then.reward[name]
        if self.team_reward:
            reward = jnp.broadcast_to(masked_mean(reward, alive, axis=-1)[..., None], reward.shape)
        return jnp.where(alive, reward, 0.0)

    def credited(
        self, kind: Learned, name: str, state: State, data: Data, view: Any, facts: Facts, key: Any
    ) -> tuple[Any, Lesson, Moments, Metrics]:
        """What agents learn from instead of the sampled advantages of `data` [T, E, ...], and what the model does that
        sees `view` [T, E, n, G]."""
        k_choices, k_credit = jax.random.split(key)
        taken = over(jax.vmap(self.policy(name).embedded), data.sample, data.legal)
        choices = self._choices(kind, name, state.nets.actor, data, taken, data.carry[0][0], k_choices)
        shown = Shown(view, choices, data.alive)
        known = state.credit
        psi, aim, trust, metrics = kind.assigned(known.model[name], known.trust[name], shown, facts, k_credit)
        metrics = {f"credit/{name}/{what}": value for what, value in metrics.items()}
        return psi, Lesson(choices, aim), trust, metrics

    def _choices(self, kind: Learned, name: str, actors: Any, seen: Any, taken: Any, carry: Any, key: Any) -> Choices:
        """What agents did [T, E, n, A], and what else they might have done; `seen` has `obs`, `legal` and `fresh`."""
        policy = self.policy(name)
        nets, obs = self.encoders.enter(actors, {name: seen.obs})
        actor = nets[name]
        _, raw = self.members(name).unroll(actor.net, carry, obs[name], seen.fresh)
        std = jnp.broadcast_to(self.members(name).each(actor.log_std), (*raw.shape[:-1], policy.spread))
        keys = jax.random.split(key, seen.fresh.shape)
        return over(partial(choices_of, policy, kind.samples), raw, std, taken, seen.legal, keys)

    def judged(self, state: State, rollout: Transition, carry: Groups) -> dict[str, Judged]:
        """What a rollout [T, E, ...] showed, and what critics say of it, who remember `carry` before it."""
        obs = over(self.encoders.inputs, rollout.now)
        masks = over(partial(legal, self.spec), rollout.now)
        view, later = (over(self.views.sights, x) for x in (rollout.now, rollout.then))
        last = rollout.then.last
        fresh = jnp.concatenate([jnp.zeros_like(last[:1]), last[:-1]])  # what is carried into a rollout is as it is
        found = {}
        for name in self.groups:
            members, critic = self.members(name), state.nets.critic
            (net, looked), (_, ahead) = (self.views.look(critic, name, x[name]) for x in (view, later))
            carries, said = members.unroll(net, carry[name], looked, fresh)
            _, after = members.step(net, carries, ahead)
            value, future = (state.scale[name].denormalize(x[..., 0]) for x in (said, after))
            found[name] = Judged(
                obs=obs[name],
                view=view[name],
                looked=looked,
                legal=masks[name],
                fresh=fresh,
                said=said[..., 0],
                value=value,
                future=future,
                later=ahead,
            )
        return found

    def _shown(self, critics: Any, scale: dict[str, Scale], recent: Recent) -> dict[str, Shown]:
        """What models are shown of recent steps [B]."""
        sight = jax.vmap(self.views.sights)(recent.now)
        view = {name: self.views.look(critics, name, sight[name])[1] for name in self.groups}

        def shown(name: str, lesson: Lesson) -> Shown:
            aim = jax.tree.map(lambda x: x / scale[name].moments[1], lesson.aim)
            return Shown(with_identity(view[name]), lesson.choices, recent.now.alive[name], aim)

        return {name: shown(name, lesson) for name, lesson in recent.lessons.items()}

    def ledgers(self, state: State, rollout: Transition) -> dict[str, Ledger]:
        """Who earned what in the first episode of every lane of a rollout that begins with one; see `learning.credit`.

        The team's values and rewards are the means of its living members'. Only with a model of credit.
        """
        if not isinstance(self.credit, Modelled):
            return {}
        lanes = rollout.then.last.shape[1]
        blank = {name: jnp.zeros((lanes, self.spec.groups[name].size, self.units)) for name in self.groups}
        done, found = over(partial(actions, self.spec), rollout.now, rollout.action), {}
        for name, seen in self.judged(state, rollout, blank).items():
            now, then = rollout.now.alive[name], rollout.then.alive[name]
            k_choices, k_ledger = jax.random.split(jax.random.key(0))
            choices = self._choices(self.credit, name, state.nets.actor, seen, done[name], blank[name], k_choices)
            found[name] = ledgers(
                self.credit,
                state.credit.model[name],
                Shown(with_identity(seen.looked), choices, now),
                masked_mean(rollout.then.reward[name], now, axis=-1),
                masked_mean(seen.value, now, axis=-1),
                masked_mean(seen.future, then, axis=-1),
                (rollout.then.discount[name].max(-1), rollout.then.last),
                state.scale[name].moments[1],
                self.gamma,
                k_ledger,
            )
        return found

    def _of_values(self, name: str, value: Any, target: Any, alive: Any) -> Metrics:
        """How well the old critic foretold the returns: 1 at best, 0 for a constant."""
        error, spread = (masked_variance(x, alive) for x in (target - value, target))
        return {
            f"value/{name}": masked_mean(value, alive),
            f"value/{name}/explained": 1.0 - error / jnp.maximum(spread, 1e-8),
        }

    def update(self, nets: Nets, batch: dict[str, Data], step: Any) -> tuple[Nets, Metrics]:
        """One gradient step of actors and critics on a minibatch [B, C, L, ...] of whole lanes."""
        batch = {name: side_by_side(data) for name, data in batch.items()}
        down = partial(descended, self.optimizer)
        actor, actor_opt, of_actors = down(
            self.actor_loss, nets.actor, nets.actor_opt, batch, step, rate=self.actor_lr(step)
        )
        critic, critic_opt, of_critics = down(
            self.critic_loss, nets.critic, nets.critic_opt, batch, rate=self.critic_lr(step)
        )
        return Nets(actor, critic, actor_opt, critic_opt), of_actors | of_critics

    def actor_loss(self, actor: Any, batch: dict[str, Data], step: Any) -> tuple[Any, Metrics]:
        """-Σ_i J_i, over agents that were alive."""
        loss, metrics = 0.0, {}
        actor, obs = self.encoders.enter(actor, {name: data.obs for name, data in batch.items()})
        for name, data in batch.items():
            weight, policy = data.alive & data.counts[..., None], self.policy(name)
            _, raw = self.members(name).unroll(actor[name].net, data.carry[0], obs[name], data.fresh)
            std = jnp.broadcast_to(self.members(name).each(actor[name].log_std), (*raw.shape[:-1], policy.spread))
            log_prob, entropy = _densities(policy, raw, std, data)
            more, told = clipped_loss(
                name, log_prob, data.log_prob, data.advantage, entropy, weight, self.clip, self.entropy(step)
            )
            loss, metrics = loss + more, metrics | told
            if self.prior:
                apart = over(jax.vmap(policy.divergence), raw, std, data.advice, data.legal)
                pull = masked_mean(apart, weight * self.prior.counts(data.advice))
                loss = loss + self.prior.alpha(step) * pull
                metrics[f"actor/{name}/prior_divergence"] = pull
        return loss, metrics

    def critic_loss(self, critic: Any, batch: dict[str, Data]) -> tuple[Any, Metrics]:
        """Σ_i L_i, over agents that were alive."""
        loss, metrics = 0.0, {}
        for name, data in batch.items():
            weight = data.alive & data.counts[..., None]
            net, view = self.views.look(critic, name, data.view)
            value = self.members(name).unroll(net, data.carry[1], view, data.fresh)[1][..., 0]
            error = optax.huber_loss(value, data.target, delta=self.huber)
            if self.clip_value:
                held = data.value + jnp.clip(value - data.value, -self.clip, self.clip)
                error = jnp.maximum(error, optax.huber_loss(held, data.target, delta=self.huber))
            error = masked_mean(error, weight)
            loss, metrics = loss + error, metrics | {f"loss/critic/{name}": error}
        return loss, metrics


def _densities(policy: Policy, raw: Any, std: Any, data: Data) -> tuple[Any, Any]:
    """Log-probabilities and entropies [L, B, n]."""

    def one(raw, std, sample, legal):
        return policy.log_prob(raw, std, sample, legal), policy.entropy(raw, std, legal)

    return jax.vmap(jax.vmap(jax.vmap(one)))(raw, std, data.sample, data.legal)
