"""The kinds of credit that ask a model of the joint action.

`Baseline` and `Trajectory` only take from the sampled advantage what agent i did not cause, so a wrong model costs
variance and never a bias. The others take the model's word. See `learning.credit` for what they compute.
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp

from covey.algorithms.credit.model import Modelled
from covey.core.checks import within
from covey.learning import credit


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
