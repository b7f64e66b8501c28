"""A model of what the joint action of a group is worth, and the ledgers that it keeps.

M(s, a) = f(z_1(s, a_1), ..., z_n(s, a_n); s)        E[z_i | s] = 0 under the policies        f: a mixer
"""

from __future__ import annotations

import abc
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.algorithms.credit.base import Choices, Facts, Learned, Shown
from covey.core.checks import within
from covey.learning import credit
from covey.learning.credit import Moments
from covey.learning.sequences import over
from covey.learning.targets import masked_mean, masked_variance
from covey.nn.mixers import Mixer, Sum
from covey.nn.nets import MLP, Linear, linears


class Model(NamedTuple):
    """The parameters of M for one group."""

    body: MLP  # what an agent's critic sees -> [W]
    enter: Linear  # an action -> [W]
    leave: Any  # [d, W]: -> z; a bias would go when z is centered
    mix: Any  # the mixer's


class Told(NamedTuple):
    """What a model says of one step of a group, or of many, in units of returns."""

    mix: Any  # z [n, d] -> M []
    taken: Any  # [n, d]  z of what was done
    instead: Any  # [n, K, d]  z of what might have been done
    weight: Any  # [n, K]
    whole: Any  # []  M
    others: Any  # [n]  M on average over agent i's own choices


class Modelled(Learned):
    """Base of the kinds that ask the model M."""

    mixer: Mixer = Sum()
    """How what members bring makes what the team is worth."""
    width: int = eqx.field(static=True, default=64)
    """Units of every hidden layer of the model."""
    lr: float = 3e-3
    """Adam's learning rate for the model. Above that of actors, so that the model keeps up with what they do."""
    decay: float = 1e-4
    """Weight of the squares of the model's parameters in its loss."""
    lam: float = 1.0
    """λ of the advantages that the model is fitted to."""
    samples: int = eqx.field(static=True, default=8)
    """Draws of joint actions or orders, where a credit has no closed form; and choices of an agent, where it has
    infinitely many."""
    fits: int = eqx.field(static=True, default=16)
    """Gradient steps of the model after every rollout."""
    batch: int = eqx.field(static=True, default=256)
    """Steps of the environment in each of them, drawn from recent rollouts."""
    recent: int = eqx.field(static=True, default=8)
    """Rollouts that are kept for the model to learn from, the latest among them."""
    streams: bool = eqx.field(static=True, default=False)
    """Model what each agent's choice does to each agent's own reward, and learn from the sum of it: for environments
    that pay agents apart."""

    def __check_init__(self):
        within(self, "[1, inf)", "width", "samples", "fits", "batch", "recent")
        within(self, "[0, inf)", "lr", "decay")
        within(self, "[0, 1]", "lam")

    def word(self, told: Told, key: Any) -> Any:
        """The model's word on what each agent did in one step, [n]; nobody asks for it by default."""
        return jnp.zeros_like(told.others)

    @abc.abstractmethod
    def psi(self, word: Any, left: Any) -> Any:
        """What agents learn from: out of the model's word and what baselines have left of sampled advantages."""

    def baseline(self, others: Any, whole: Any, facts: Facts) -> Any:
        """What the advantage of an agent has in it that the agent did not cause [T, E, n], by the model: what `others`
        [T, E, n] do, and the `whole` [T, E] without its mean."""
        return others

    def relied(self, advantage: Any, baseline: Any, alive: Any, trust: Moments) -> tuple[Any, Moments]:
        """η per lane [E], of which nothing that happened in the lane may decide, and what is known after."""
        return credit.reliance(advantage, baseline, alive, trust)

    # ------------------------------------------------------------------------------------------------------ the model

    def init(self, key, members, view, action):
        k_body, k_choice, k_mix = jax.random.split(key, 3)
        streams = members if self.streams else 1
        enter, leave = linears(k_choice, (self.width, action), (streams * self.mixer.brings, self.width))
        body = MLP(k_body, (view, self.width, self.width), activation=jnp.tanh)
        mix = jax.vmap(lambda key: self.mixer.init(key, members, view))(jax.random.split(k_mix, streams))
        return Model(body, enter, 0.1 * leave.weight, mix)

    def mixes(self, model: Model, view: Any, z: Any) -> Any:
        """M of every stream [S] (the team's alone, or one for each agent's reward), where members see `view` [n, G] and
        bring z [n, S·d]."""
        each = z.reshape(len(z), -1, self.mixer.brings)
        return jax.vmap(lambda mix, z: self.mixer.value(mix, z, view[0]), (0, 1), axis_size=each.shape[1])(
            model.mix, each
        )

    def brought(self, model: Model, view: Any, choices: Choices, alive: Any) -> tuple[Any, Any]:
        """z of what was done [n, d] and might have been done [n, K, d], centered; zeros of the dead.

        Centered before the linear map to z: who asks for what was done alone pays for one row an agent, not for K.
        """
        seen, few = jax.vmap(model.body)(view), choices.instead is None
        each = model.enter.weight.T + model.enter.bias if few else model.enter(choices.instead)
        instead = jnp.tanh(seen[:, None] + each)
        taken = _mean(choices.taken, instead) if few else jnp.tanh(seen + model.enter(choices.taken))
        usual = _mean(choices.weight, instead)
        taken, instead = (x @ model.leave.T for x in (taken - usual, instead - usual[:, None]))
        return jnp.where(alive[:, None], taken, 0.0), jnp.where(alive[:, None, None], instead, 0.0)

    def told(self, model: Model, view: Any, choices: Choices, alive: Any, unit: Any = 1.0) -> Told:
        """The model's word on one step."""
        taken, instead = self.brought(model, view, choices, alive)

        def mix(z):
            return unit * self.team(self.mixes(model, view, z), alive)

        apart = self.mixer.centered  # and z is
        others = credit.without(mix, taken) if apart else credit.others(mix, taken, instead, choices.weight)
        return Told(mix, taken, instead, choices.weight, mix(taken), others)

    def team(self, streams: Any, alive: Any) -> Any:
        """What streams [S] make for the team: the mean of its living members', or the only one."""
        return masked_mean(streams, alive) if self.streams else streams[0]

    def aim(self, members):
        return jnp.zeros(members if self.streams else 1)

    def assigned(self, model, trust, shown, facts, key):
        alive = shown.alive
        there = alive.any(-1)

        def ask(step, key):
            told = self.told(model, step.view, step.choices, step.alive, facts.unit)
            return told.whole, told.others, self.centered(told, key), self.word(told, key)

        whole, others, centered, word = over(ask, shown, jax.random.split(key, facts.last.shape))
        baseline = self.baseline(others, centered, facts)
        eta, trust = self.relied(facts.advantage, baseline, alive, trust)
        psi = self.psi(word, facts.advantage - eta[:, None] * baseline)
        gain = masked_mean(facts.gain, alive, axis=-1)
        missed, spread = (masked_variance(x, there) for x in (gain - whole, gain))
        left, had = (masked_variance(x, alive) for x in (psi, facts.advantage))
        metrics = {
            "explained": 1.0 - missed / jnp.maximum(spread, 1e-8),
            "saved": 1.0 - left / jnp.maximum(had, 1e-8),
            "reliance": eta.mean(),
        }
        # on average choices are worth 0: what is left of the mean is the critic's mistake, and none of theirs
        counts = alive if self.streams else there[..., None]
        aim = facts.gain if self.streams else gain[..., None]
        return psi, aim - masked_mean(aim, counts), trust, metrics

    def loss(self, model, shown):
        """The mean of (M - y)², over streams too, and the penalty on the squares of the parameters."""

        def error(step):
            taken, _ = self.brought(model, step.view, step.choices, step.alive)
            missed = (self.mixes(model, step.view, taken) - step.aim) ** 2
            return masked_mean(missed, step.alive) if self.streams else missed[0]

        missed = masked_mean(jax.vmap(error)(shown), shown.alive.any(-1))
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


def _mean(weight: Any, x: Any) -> Any:
    """Of x [n, K, W], with weights [n, K]."""
    return (weight[..., None] * x).sum(1)


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
