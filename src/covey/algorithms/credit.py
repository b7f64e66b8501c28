"""Credit assignment as a part of PPO: what a member of a team is told of the team's advantage.

A model of what the joint action of a group is worth beyond the value, in normalized units,

    M(s, a) = f(z_1(s, a_1), ..., z_n(s, a_n); s)        E[z_i | s] = 0 under the policies        f: a mixer

is fitted to sampled advantages of the team, and every kind of credit makes of both what an agent learns from.
`Baseline` and `Trajectory` only take from the sampled advantage what agent i did not cause, so a wrong model costs
variance and never a bias. The others take the model's word. See `learning.credit` for what they compute.
"""

from __future__ import annotations

import abc
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.core.checks import within
from covey.core.types import Discrete, Metrics
from covey.learning import credit
from covey.learning.targets import masked_mean, masked_variance
from covey.nn.mixers import Free, Mixer, Sum, check_mixes_values
from covey.nn.nets import MLP, Linear, linears
from covey.nn.policies import Policy


class Choices(NamedTuple):
    """What agents did, and what they might have done with which chance; one step."""

    taken: Any  # [n, A]  embedded actions
    instead: Any  # [n, K, A]
    weight: Any  # [n, K]


class Model(NamedTuple):
    """The parameters of M for one group."""

    body: MLP  # what an agent's critic sees -> [W]
    enter: Linear  # an action -> [W]
    leave: Linear  # [W] -> z
    mix: Any  # the mixer's


class Told(NamedTuple):
    """What a model says of one step of a group, or of many, in units of returns."""

    mix: Any  # z [n, d] -> M []
    taken: Any  # [n, d]  z of what was done
    instead: Any  # [n, K, d]  z of what might have been done
    weight: Any  # [n, K]
    whole: Any  # []  M
    others: Any  # [n]  M on average over agent i's own choices


class Shown(NamedTuple):
    """What a model learns from; one step of a group, or many."""

    view: Any  # [n, G]  what agents' critics see, with who they are
    choices: Choices
    alive: Any  # [n]
    aim: Any = ()  # what the model is fitted to


class Trust(NamedTuple):
    """How far a baseline is relied on, η, and after how many rollouts."""

    share: Any  # []
    rollouts: Any  # []

    @staticmethod
    def none() -> Trust:
        return Trust(jnp.float32(0), jnp.int32(0))

    def after(self, useful: Any) -> Trust:
        """After a rollout in which a share of `useful` would have left least variance."""
        return Trust(self.share + 0.1 * (useful - self.share), self.rollouts + 1)


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

    @abc.abstractmethod
    def init(self, key: Any, members: int, view: int, action: int) -> Any:
        """What is learned of a group beside values: a model of it, or nothing. Sizes of views and embedded actions."""


class Learned(Credit):
    """Base of the kinds that learn something."""

    lr: eqx.AbstractVar[float]
    """Adam's learning rate for what is learned."""
    lam: eqx.AbstractVar[float]
    """λ of the returns that it learns from."""
    samples: eqx.AbstractVar[int]
    """Choices of an agent that are looked at, where it has infinitely many."""

    @abc.abstractmethod
    def assigned(
        self, model: Any, trust: Trust, shown: Shown, facts: Facts, key: Any
    ) -> tuple[Any, Any, Trust, Metrics]:
        """What agents learn from [T, E, n], what the model learns from [T, E, ...], the trust after, and metrics."""

    @abc.abstractmethod
    def loss(self, model: Any, shown: Shown, counts: Any) -> tuple[Any, Any]:
        """The model's error over the steps [L, B] that count and in which somebody lived, and a penalty."""


class Modelled(Learned):
    """Base of the kinds that ask the model M."""

    mixer: Mixer = Sum()
    """How what members bring makes what the team is worth."""
    width: int = eqx.field(static=True, default=64)
    """Units of every hidden layer of the model."""
    lr: float = 7e-4
    """Adam's learning rate for the model."""
    decay: float = 1e-4
    """Weight of the squares of the model's parameters in its loss."""
    lam: float = 1.0
    """λ of the advantages that the model is fitted to."""
    samples: int = eqx.field(static=True, default=8)
    """Draws of joint actions or orders, where a credit has no closed form; and choices of an agent, where it has
    infinitely many."""
    streams: bool = eqx.field(static=True, default=False)
    """Model what each agent's choice does to each agent's own reward, and learn from the sum of it: for worlds that pay
    agents apart."""

    def __check_init__(self):
        within(self, "[1, inf)", "width", "samples")
        within(self, "[0, inf)", "lr", "decay")
        within(self, "[0, 1]", "lam")

    @abc.abstractmethod
    def psi(self, told: Told, advantage: Any, trust: Any, key: Any) -> Any:
        """What agents learn from in one step, [n]: out of sampled advantages [n], the model's word, and trust η."""

    def relied(self, trust: Trust) -> Any:
        """η of this rollout."""
        return jnp.float32(1)

    def over_time(self, psi: Any, whole: Any, discount: Any, last: Any, decay: Any, trust: Any) -> Any:
        """What the rest of the rollout adds: psi [T, E, n], M without its mean [T, E]."""
        return psi

    # ------------------------------------------------------------------------------------------------------ the model

    def init(self, key, members, view, action):
        k_body, k_choice, k_mix = jax.random.split(key, 3)
        streams = members if self.streams else 1
        enter, leave = linears(k_choice, (self.width, action), (streams * self.mixer.brings, self.width))
        body = MLP(k_body, (view, self.width, self.width), activation=jnp.tanh)
        mix = jax.vmap(lambda key: self.mixer.init(key, members, view))(jax.random.split(k_mix, streams))
        return Model(body, enter, leave._replace(weight=0.1 * leave.weight), mix)

    def mixes(self, model: Model, view: Any, z: Any) -> Any:
        """M of every stream [S] (the team's alone, or one for each agent's reward), where members see `view` [n, G] and
        bring z [n, S·d]."""
        each = z.reshape(len(z), -1, self.mixer.brings)
        return jax.vmap(lambda mix, z: self.mixer.value(mix, z, view[0]), (0, 1), axis_size=each.shape[1])(
            model.mix, each
        )

    def brought(self, model: Model, view: Any, choices: Choices, alive: Any) -> tuple[Any, Any]:
        """z of what was done [n, d] and might have been done [n, K, d], centered; zeros of the dead."""
        seen = jax.vmap(model.body)(view)
        z = jnp.concatenate([choices.taken[:, None], choices.instead], 1)
        z = model.leave(jnp.tanh(seen[:, None] + model.enter(z)))
        z = z - (choices.weight[..., None] * z[:, 1:]).sum(1, keepdims=True)
        z = jnp.where(alive[:, None, None], z, 0.0)
        return z[:, 0], z[:, 1:]

    def told(self, model: Model, view: Any, choices: Choices, alive: Any, unit: Any = 1.0) -> Told:
        """The model's word on one step."""
        taken, instead = self.brought(model, view, choices, alive)

        def mix(z):
            return unit * self.team(self.mixes(model, view, z), alive)

        return Told(mix, taken, instead, choices.weight, mix(taken), credit.others(mix, taken, instead, choices.weight))

    def team(self, streams: Any, alive: Any) -> Any:
        """What streams [S] make for the team: the mean of its living members', or the only one."""
        return masked_mean(streams, alive) if self.streams else streams[0]

    def assigned(self, model, trust, shown, facts, key):
        eta, gain = self.relied(trust), masked_mean(facts.gain, shown.alive, axis=-1) / facts.unit
        aim = facts.gain / facts.unit if self.streams else gain[..., None]

        def one(step, advantage, key):
            told = self.told(model, step.view, step.choices, step.alive, facts.unit)
            return told.whole, told.others, self.psi(told, advantage, eta, key), self.centered(told, key)

        keys = jax.random.split(key, facts.last.shape)
        whole, others, psi, centered = jax.vmap(jax.vmap(one))(shown, facts.advantage, keys)
        there = shown.alive.any(-1)
        missed, spread = (masked_variance(x, there) for x in (gain - whole / facts.unit, gain))
        metrics = {"explained": 1.0 - missed / jnp.maximum(spread, 1e-8), "reliance": eta}
        useful = credit.reliance(facts.advantage, others, shown.alive)
        decay = facts.gamma * facts.lam
        return self.over_time(psi, centered, facts.discount, facts.last, decay, eta), aim, trust.after(useful), metrics

    def loss(self, model, shown, counts):
        """The mean of (M - y)², over streams too, and the penalty on the squares of the parameters."""

        def error(step):
            taken, _ = self.brought(model, step.view, step.choices, step.alive)
            missed = (self.mixes(model, step.view, taken) - step.aim) ** 2
            return masked_mean(missed, step.alive) if self.streams else missed[0]

        missed = masked_mean(jax.vmap(jax.vmap(error))(shown), shown.alive.any(-1) & counts)
        return missed, self.decay * sum((x**2).sum() for x in jax.tree.leaves(model))

    def centered(self, told: Told, key: Any) -> Any:
        """M without its mean over all choices, []: exact for mixers that have none, else less a mean over draws."""
        if self.mixer.centered:
            return told.whole
        drawn = jax.vmap(lambda key: credit.draw(told.instead, told.weight, key))(jax.random.split(key, self.samples))
        return told.whole - jax.vmap(told.mix)(drawn).mean()

    def alone(self, told: Told, key: Any) -> Any:
        """What agents' choices are worth on average over the others', [n]: A_i."""
        if self.mixer.centered:  # what others might have done adds nothing on average
            nobody = jnp.zeros_like(told.taken)
            return jax.vmap(lambda i: told.mix(nobody.at[i].set(told.taken[i])))(jnp.arange(len(nobody)))
        return credit.marginal(told.mix, told.taken, told.instead, told.weight, key, self.samples)


def ledgers(
    kind: Modelled,
    model: Model,
    shown: Shown,
    reward: Any,
    value: Any,
    future: Any,
    end: tuple[Any, Any],
    unit: Any,
    gamma: Any,
    key: Any,
) -> credit.Ledger:
    """The ledgers of the first episodes of lanes: everything [T, E, ...], `reward` and values of the team."""

    def one(step, key):
        told = kind.told(model, step.view, step.choices, step.alive, unit)
        return kind.alone(told, key), kind.centered(told, key)

    parts, whole = jax.vmap(jax.vmap(one))(shown, jax.random.split(key, reward.shape))
    steps = reward, value, future, *end, parts, whole
    return jax.vmap(partial(credit.ledger, gamma=gamma), in_axes=1)(*steps)


def choices_of(policy: Policy, samples: int, raw: Any, std: Any, taken: Any, legal: Any, key: Any) -> Choices:
    """What the agents of a group did in one step, `taken` [n, A] embedded, and what else they might have: everything
    where one of few actions is chosen, else `samples` draws."""
    if isinstance(policy.space, Discrete):
        n, size = taken.shape
        shares = jax.vmap(policy.shares)(raw, legal)
        return Choices(taken, jnp.broadcast_to(jnp.eye(size), (n, size, size)), shares)

    def another(key):
        keys = jax.random.split(key, len(raw))
        return jax.vmap(policy.embedded)(jax.vmap(policy.sample)(raw, std, keys, legal), legal)

    instead = jnp.moveaxis(jax.vmap(another)(jax.random.split(key, samples)), 0, 1)
    return Choices(taken, instead, jnp.full(instead.shape[:2], 1.0 / samples))


# ---------------------------------------------------------------------------------------------------------------------
# Kinds of credit


class Team(Credit):
    """Everybody learns from the team's advantage, and nothing is modelled: MAPPO."""

    def init(self, key, members, view, action):
        return ()


class Baseline(Modelled):
    """The sampled advantage without what the others' choices are worth: Â - η E_i M. Unbiased."""

    eta: float | None = None
    """How far to rely on the model; None: as far as it would have paid in the rollouts before."""
    warmup: int = eqx.field(static=True, default=10)
    """Rollouts before the model is relied on at all."""

    def __check_init__(self):
        within(self, "[0, inf)", "warmup")
        if self.eta is not None:
            within(self, "[0, 1]", "eta")

    def relied(self, trust):
        return jnp.where(trust.rollouts < self.warmup, 0.0, trust.share if self.eta is None else self.eta)

    def psi(self, told, advantage, trust, key):
        return advantage - trust * told.others


class Trajectory(Baseline):
    """`Baseline` without what everybody's later choices are worth, which nobody's choice now has caused. Unbiased."""

    def over_time(self, psi, whole, discount, last, decay, trust):
        return psi - trust * credit.ahead(whole, discount, last, decay)[..., None]


class Marginal(Modelled):
    """What an agent's choice is worth on average over the others', by the model: A_i. As biased as the model."""

    def psi(self, told, advantage, trust, key):
        return self.alone(told, key)


class Blend(Baseline):
    """κ of `Marginal` and the rest of `Baseline`: as biased as κ of the model."""

    kappa: float = 0.5
    """Share κ of the model's word."""

    def __check_init__(self):
        within(self, "[0, 1]", "kappa")

    def psi(self, told, advantage, trust, key):
        return self.kappa * self.alone(told, key) + (1.0 - self.kappa) * super().psi(told, advantage, trust, key)


class Coma(Marginal):
    """How much better the joint action is than with another choice of agent i, by the model (Foerster et al. 2018)."""

    def psi(self, told, advantage, trust, key):
        return told.whole - told.others


class Shapley(Marginal):
    """What an agent brings when it joins, on average over all orders, by the model."""

    def psi(self, told, advantage, trust, key):
        if self.mixer.centered:  # sums of parts that two make at most: half of what an agent shares is its own
            return 0.5 * (self.alone(told, key) + told.whole - told.others)
        return credit.shapley(told.mix, told.taken, told.instead, told.weight, key, self.samples)


class Slope(Marginal):
    """∂M/∂z_i · z_i: biased where the mixer bends. To compare with."""

    def psi(self, told, advantage, trust, key):
        return credit.slope(told.mix, told.taken)


# ---------------------------------------------------------------------------------------------------------------------
# As the author of the algorithm wrote it


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
    own: bool = eqx.field(static=True, default=False)
    """R^i is the agent's own reward, where the world pays agents apart; else the team's, shared out equally."""
    network: bool = eqx.field(static=True, default=False)
    """A^i = Q^i - V, of the network, instead of R^i + γ V' - V."""

    def __check_init__(self):
        within(self, "[1, inf)", "width", "samples")
        within(self, "[0, inf)", "lr")
        within(self, "[0, 1]", "lam")
        check_mixes_values(self.mixer)

    def init(self, key, members, view, action):
        k_body, k_rest, k_mix = jax.random.split(key, 3)
        value, enter, leave = linears(k_rest, (1, self.width), (self.width, action), (1, self.width))
        body = MLP(k_body, (view, self.width, self.width), activation=jnp.tanh)
        return Individual(body, value, enter, leave, self.mixer.init(k_mix, members, view))

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
        joint = (masked_mean(facts.gain, alive, axis=-1) + facts.value) / facts.unit
        return facts.unit * jnp.where(alive, psi, 0.0), (joint, reward + going_on * following), trust, {}

    def loss(self, model, shown, counts):
        def errors(step):
            joint, own = step.aim
            now, q = self.values(model, step.view), self.worth(model, step.view, step.choices.taken)
            q = jnp.where(step.alive, q, 0.0)
            whole = self.mixer.value(model.mix, q[:, None], step.view[0])
            each = (joint - now) ** 2 + (own - q) ** 2
            return (joint - whole) ** 2 + masked_mean(each, step.alive)

        return masked_mean(jax.vmap(jax.vmap(errors))(shown), shown.alive.any(-1) & counts), 0.0
