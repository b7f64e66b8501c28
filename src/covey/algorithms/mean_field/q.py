"""Mean-field Q-learning: one rule, and the papers that are aliases of it.

Everybody of a group shares one value of an agent's own choice beside the mean of its neighbors' (Yang et al. 2018):

    Q_i(s, a_1, ..., a_n) ≈ Q(o_i, a_i, ā_i)                                                             (their eq. 6)
    y_i = r_i + γ d_i V(o'_i, ā'_i)      V = Σ_b π(b | o', ā') Q'(o', b, ā')      π: how agents choose   (eqs. 9 and 10)
                                   or    V = Q'(o', argmax_b Q(o', b, ā'), ā')    as in the authors' code
    L   = E[(y_i - Q(o_i, a_i, ā_i))²]

Q' are target networks. ā' is the mean action that agents expect in s', having seen ā. Without ā this is independent
Q-learning (Tan 1993).
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.algorithms.mean_field.choosing import Boltzmann, Choosing, EpsilonGreedy, greedy
from covey.algorithms.mean_field.field import Alone, Field, Means
from covey.algorithms.mean_field.means import Everybody, Near
from covey.algorithms.mean_field.networks import Function, Network, Shape, Tabular, network_for
from covey.core.algorithm import Algorithm, Plan, paced
from covey.core.checks import controls, within
from covey.core.errors import BadInput
from covey.core.types import Discrete, Groups, Metrics, MultiDiscrete, Spec, TimeStep
from covey.learning.descent import descended
from covey.learning.replay import Batch, Buffer, Replay, learn_from_replay, rollout_as_batch
from covey.learning.targets import Linear, constant, masked_mean, polyak
from covey.nn.encoders import inputs
from covey.nn.heads import Head, Parts
from covey.nn.joint import actions, legal


class Nets(NamedTuple):
    """Everything that is learned."""

    online: Groups
    target: Groups
    opt: Any


class State(NamedTuple):
    nets: Nets
    buffer: Buffer | tuple[()]


class MeanFieldQ(Algorithm):
    """The rule. Works for discrete choices, groups of any sizes, masks and deaths."""

    spec: Spec = eqx.field(static=True)
    groups: tuple[str, ...] = eqx.field(static=True)
    field: Field = Field()
    """The mean action that agents answer."""
    values: Function = Network()
    """The family of Q."""
    choosing: Choosing = EpsilonGreedy()
    """How agents choose."""
    played: Literal["best", "drawn"] = eqx.field(static=True, default="best")
    """In evaluations: the best choices, or drawn as in training."""
    target: Literal["policy", "double"] = eqx.field(static=True, default="policy")
    """V of the next step: what agents expect of choosing as they do, or of the best choice by the online networks."""
    terminal: bool = eqx.field(static=True, default=True)
    """Learn from an agent's last step too; the authors' code does not."""
    replay: Replay | None = Replay(capacity=4096, batch=32)
    """What is learned from, in joint steps; None: every rollout once."""
    horizon: int = eqx.field(static=True, default=4)
    """Steps of a rollout, per lane, between two learns."""
    updates: int = eqx.field(static=True, default=1)
    """Gradient steps per learn."""
    warmup: int = eqx.field(static=True, default=1000)
    """Environment steps before the first gradient step."""
    gamma: float = 0.95
    """Discount γ per step."""
    tau: float = 0.01
    """Share of the online networks in the targets."""
    period: int = eqx.field(static=True, default=1)
    """Gradient steps between two moves of the targets."""

    def __check_init__(self):
        within(self, "[1, inf)", "horizon", "updates", "period")
        within(self, "[0, inf)", "warmup")
        within(self, "[0, 1]", "gamma")
        within(self, "(0, 1]", "tau")
        controls(self)
        if self.replay is not None:
            self.replay.check(self.horizon)
        for name in self.groups:
            if not isinstance(self.spec.groups[name].action, (Discrete, MultiDiscrete)):
                raise BadInput(
                    f"the group {name!r} of {self.spec.name} does not choose from a few actions, and Q-learning has to "
                    "compare all of them: use 'mfac'."
                )
        self.field.check(self.spec, self.groups)
        for name in self.groups:
            self.values.check(self.shape(name))

    @property
    def plan(self):
        return Plan(horizon=self.horizon, warmup=self.warmup, updates=self.updates)

    def shape(self, name: str) -> Shape:
        group = self.spec.groups[name]
        return Shape(group, self.field.size(self.spec, name), Head(group.action).size)

    def parts_of(self, name: str) -> Parts:
        return Head(self.spec.groups[name].action).parts

    # ---------------------------------------------------------------------------------------------------------- acting

    def memory(self, key):
        return self.field.memory(self.spec, self.groups)

    def init(self, key, lanes):
        keys = zip(self.groups, jax.random.split(key, len(self.groups)), strict=True)
        online = {name: self.values.init(k, self.shape(name)) for name, k in keys}
        nets = Nets(online, jax.tree.map(jnp.copy, online), self.values.optimizer.init(online))
        if self.replay is None:
            return State(nets, ())
        blank = self.field.memory(self.spec, self.groups).mean
        return State(nets, self.replay.init(self.spec, lanes, self.horizon, Means(blank, blank)))

    def act(self, state, memory, now, key, step, *, explore):
        k_act, k_after = jax.random.split(key)
        online, masks, action = state.nets.online, legal(self.spec, now), {}
        mean = self.foreseen(online, now, memory.mean, step)
        values = self.valued(online, now, mean)
        for name, k in zip(self.groups, jax.random.split(k_act, len(self.groups)), strict=True):
            if explore or self.played == "drawn":
                chosen = self.choosing.draw(self.parts_of(name), values[name], masks[name], k, step)
            else:
                chosen = jax.vmap(self.parts_of(name).one_hot)(values[name], masks[name])
            action[name] = jax.vmap(Head(self.spec.groups[name].action).action)(chosen)
        after = self.field.after(self.spec, memory, now, action, k_after)
        return action, after, Means(mean, after.mean) if explore else ()

    def valued(self, nets: Groups, now: TimeStep, mean: Groups) -> Groups:
        """Q(o, ·, ā) of every agent [n, A]."""
        obs = inputs(self.spec, now)
        return {name: self.values(self.shape(name), nets[name], obs[name], mean[name]) for name in self.groups}

    def foreseen(self, nets: Groups, now: TimeStep, mean: Groups, step: Any) -> Groups:
        """The mean actions that agents expect, having seen `mean`."""

        def respond(mean: Groups) -> Groups:
            return self.policies(self.valued(nets, now, mean), now, step)

        return self.field.foreseen(self.spec, now, mean, respond)

    def policies(self, values: Groups, now: TimeStep, step: Any) -> Groups:
        """Chances [n, A] of everybody's choices."""
        masks = legal(self.spec, now)
        return {
            name: jax.vmap(partial(self.choosing.chances, self.parts_of(name), step=step))(values[name], masks[name])
            for name in self.groups
        }

    def parameters(self, state):
        return state.nets

    def acting(self, state):
        return state._replace(nets=state.nets._replace(target={}, opt=()), buffer=())

    # -------------------------------------------------------------------------------------------------------- learning

    def learn(self, state, rollout, key, step):
        length, lanes = rollout.then.last.shape
        update = partial(self.update, step)
        if self.replay is not None:
            buffer, nets, metrics = learn_from_replay(
                self.replay, self.spec, self.plan, state.buffer, rollout, step, update, state.nets, key, rollout.extra
            )
            return State(nets, buffer), metrics
        batch = rollout_as_batch(rollout, rollout.extra)
        nets, metrics = paced(
            self.plan, step, length * lanes, lambda nets, key, count: update(nets, batch, key, count), state.nets, key
        )
        return State(nets, ()), metrics

    def update(self, step: Any, nets: Nets, batch: Batch, key: Any, count: Any) -> tuple[Nets, Metrics]:
        """One gradient step, and the step of the targets that goes with it."""
        y = jax.vmap(partial(self.aim, nets, step))(batch)
        online, opt, metrics = descended(self.values.optimizer, self.loss, nets.online, nets.opt, y, batch)
        moved = polyak(nets.target, online, jnp.where(count % self.period == self.period - 1, self.tau, 0.0))
        return Nets(online, moved, opt), metrics

    def aim(self, nets: Nets, step: Any, batch: Batch) -> Groups:
        """y [n] of one joint transition."""
        masks = legal(self.spec, batch.then)
        mean = self.foreseen(nets.online, batch.then, batch.extra.happened, step)
        online, held = (self.valued(x, batch.then, mean) for x in (nets.online, nets.target))
        policies, y = self.policies(held, batch.then, step), {}
        for name in self.groups:
            policy = policies[name]
            if self.target == "double":
                policy = jax.vmap(self.parts_of(name).one_hot)(online[name], masks[name])
            future = (policy * held[name]).sum(-1)
            y[name] = batch.then.reward[name] + self.gamma * batch.then.discount[name] * future
        return y

    def loss(self, online: Groups, y: Groups, batch: Batch) -> tuple[Any, Metrics]:
        """Σ L over the groups, over agents that were alive."""
        taken = jax.vmap(partial(actions, self.spec))(batch.now, {name: batch.action[name] for name in self.groups})
        means = batch.extra.happened if self.field.index == "concurrent" else batch.extra.believed
        values, loss, metrics = jax.vmap(partial(self.valued, online))(batch.now, means), 0.0, {}
        for name in self.groups:
            weight = batch.now.alive[name] * batch.weight[:, None]
            if not self.terminal:
                weight = weight * (batch.then.discount[name] > 0) * ~batch.then.last[:, None]
            value = (values[name] * taken[name]).sum(-1)
            error = (y[name] - value) ** 2
            loss += self.values.loss(self.shape(name), error, means[name], taken[name], weight)
            metrics |= {f"loss/value/{name}": masked_mean(error, weight), f"value/{name}": masked_mean(value, weight)}
        return loss, metrics


# ---------------------------------------------------------------------------------------------------------------------
# Papers


def mfq(spec: Spec, *, preset: str = "tuned", groups: tuple[str, ...] | None = None) -> MeanFieldQ:
    """MF-Q: Q-learning in which agents answer the mean action of their neighbors (Yang et al. 2018)."""
    return _alias(spec, Field(Near() if spec.neighborhood else Everybody()), preset, groups)


def iql(spec: Spec, *, preset: str = "tuned", groups: tuple[str, ...] | None = None) -> MeanFieldQ:
    """IL: the same without the mean action, independent Q-learning with shared networks (Tan 1993)."""
    return _alias(spec, Alone(), preset, groups)


def _alias(spec: Spec, field: Field, preset: str, groups: tuple[str, ...] | None) -> MeanFieldQ:
    """tuned: ε-greedy, values of the policy. paper: Boltzmann policies and their values, learning rate and discount of
    the paper. legacy: the authors' later code: greedy, double, lagged means that count oneself, last steps left out.
    table: tables and no discount, for environments without states, learned from every rollout once."""
    groups = groups or tuple(spec.groups)
    alone = isinstance(field, Alone)
    match preset:
        case "tuned":
            return MeanFieldQ(spec, groups, field, network_for(spec))
        case "paper":
            soft = Boltzmann(Linear(1.0, 0.05, 100_000.0))
            network = Network(view="conv", lr=1e-4)
            return MeanFieldQ(spec, groups, field, network, soft, played="drawn", tau=0.005)
        case "legacy":
            lagged = field if alone else Field(Everybody(with_self=True), index="lagged")
            network = Network(view="conv", lr=1e-4)
            return MeanFieldQ(spec, groups, lagged, network, greedy(), target="double", terminal=False, tau=0.005)
        case "table":
            levels = spec.neighborhood + 1 if spec.neighborhood else 10
            table = Tabular(levels=1 if alone else levels, own=bool(spec.neighborhood))
            return MeanFieldQ(
                spec,
                groups,
                field,
                table,
                Boltzmann(constant(1.0)),
                played="drawn",
                replay=None,
                horizon=1,
                warmup=0,
                gamma=0.0,
                tau=1.0,
            )
    raise BadInput(f"preset {preset!r} is unknown; mean-field Q-learning has 'tuned', 'paper', 'legacy' and 'table'.")
