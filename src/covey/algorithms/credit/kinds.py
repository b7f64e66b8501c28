"""The kinds of credit that ask a model of the joint action.

`Baseline` and `Trajectory` only take from the sampled advantage what agent i did not cause, so a wrong model costs
variance and never a bias. The others take the model's word. See `learning.credit` for what they compute.
"""

from __future__ import annotations

import jax.numpy as jnp

from covey.algorithms.credit.model import Modelled
from covey.core.checks import within
from covey.learning import credit


class Baseline(Modelled):
    """The sampled advantage without what the others' choices are worth: Â - η E_i M. Unbiased."""

    eta: float | None = None
    """How far to rely on the model; None: as far as it pays in the other lanes, and paid in the rollouts before."""

    def __check_init__(self):
        if self.eta is not None:
            within(self, "[0, 1]", "eta")

    def psi(self, word, left):
        return left

    def relied(self, advantage, baseline, alive, trust):
        pays, trust = super().relied(advantage, baseline, alive, trust)
        return pays if self.eta is None else jnp.full_like(pays, self.eta), trust


class Trajectory(Baseline):
    """`Baseline` without what everybody's later choices are worth, which nobody's choice now has caused. Unbiased."""

    def baseline(self, others, whole, facts):
        return others + credit.ahead(whole, facts.discount, facts.last, facts.gamma * facts.lam)[..., None]


class Blend(Baseline):
    """κ of the model's word, A_i, and the rest of `Baseline`: as biased as κ of the model."""

    kappa: float = 0.5
    """Share κ of the model's word."""

    def __check_init__(self):
        within(self, "[0, 1]", "kappa")

    def word(self, told, key):
        return self.alone(told, key)

    def psi(self, word, left):
        return self.kappa * word + (1.0 - self.kappa) * left


class Marginal(Modelled):
    """What an agent's choice is worth on average over the others', by the model: A_i. As biased as the model."""

    def word(self, told, key):
        return self.alone(told, key)

    def psi(self, word, left):
        return word


class Coma(Marginal):
    """How much better the joint action is than with another choice of agent i, by the model (Foerster et al. 2018)."""

    def word(self, told, key):
        return told.whole - told.others


class Shapley(Marginal):
    """What an agent brings when it joins, on average over all orders, by the model."""

    def word(self, told, key):
        if self.mixer.centered:  # sums of parts that two make at most: half of what an agent shares is its own
            return 0.5 * (self.alone(told, key) + told.whole - told.others)
        return credit.shapley(told.mix, told.taken, told.instead, told.weight, key, self.samples)


class Slope(Marginal):
    """∂M/∂z_i · z_i: biased where the mixer bends. To compare with."""

    def word(self, told, key):
        return credit.slope(told.mix, told.taken)
