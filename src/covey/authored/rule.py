"""An admitted prior as a rule: it plays, guides learners as a `Prior`, and is compared like any other rule."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax

from covey.authored.functions import Authored
from covey.core.algorithm import Scripted
from covey.core.types import Groups, Spec, TimeStep


class AuthoredRule(eqx.Module):
    """The actions of one group, out of what each of its agents sees."""

    authored: Authored = eqx.field(static=True)

    def __call__(self, now: TimeStep, key: Any) -> Groups:
        contract = self.authored.contract
        legal = now.legal.get(contract.name)
        preferred = jax.vmap(self.authored.prior_policy)(contract.view_of(now.obs[contract.name], legal))
        return {contract.name: jax.vmap(contract.action_of)(preferred, legal)}


def as_rule(authored: Authored, spec: Spec) -> Scripted:
    """The prior as an algorithm that plays its group; `covey.algorithms.prior:Prior` takes it as its `policy`."""
    return Scripted(spec, (authored.contract.name,), AuthoredRule(authored))
