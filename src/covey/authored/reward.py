"""An authored reward as the one that agents learn from."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.authored.functions import Authored
from covey.core.environment import evaluation_world, measures
from covey.core.errors import BadInput
from covey.core.optional import offered
from covey.core.types import Groups, Spec, TimeStep

OWN = "none"
"""Stands where nobody wrote another reward than the environment's own."""


class Rewarded(eqx.Module):
    """An environment in JAX, in which the agents of one group earn an authored reward instead of their own.

    Each agent earns what the reward says of what it sees after the step, in [0, 1]; the dead earn nothing. Everything
    else is the environment's: what is measured, its rules, and the other groups' rewards. Measures and evaluations
    are about the task itself: `evaluation()` is the environment with its own reward.
    """

    environment: Any
    authored: Authored = eqx.field(static=True)

    # An environment is itself and no other: so its methods can be given to `jax.jit`, which hashes them.
    __hash__ = object.__hash__
    __eq__ = object.__eq__

    def __check_init__(self):
        contract = self.authored.contract
        demand_compiled(self.environment)
        if self.environment.spec.groups.get(contract.name) != contract.group:
            raise BadInput(
                f"the authored reward is for the group {contract.name!r} of {contract.environment!r}, and "
                f"{self.environment.spec.name!r} has another one."
            )

    @property
    def spec(self) -> Spec:
        return self.environment.spec._replace(shared_reward=False)

    def reset(self, key: Any) -> tuple[Any, TimeStep]:
        return self.environment.reset(key)

    def step(self, key: Any, state: Any, action: Groups) -> tuple[Any, TimeStep]:
        state, then = self.environment.step(key, state, action)
        contract = self.authored.contract
        view = contract.view_of(then.obs[contract.name], then.legal.get(contract.name))
        earned = jax.vmap(lambda view: self.authored.reward(view)[0])(view)
        earned = jnp.where(then.alive[contract.name], earned, 0.0)
        return state, then._replace(reward={**then.reward, contract.name: earned})

    def measure(self, state: Any) -> dict[str, Any]:
        return measures(self.environment, state)

    def reference(self) -> None:
        """What the environment's own reward is compared with says nothing about this one."""
        return None

    def evaluation(self) -> Any:
        return evaluation_world(self.environment)

    def rules(self) -> dict[str, Any]:
        rules = offered(self.environment, "rules")
        return {} if rules is None else rules()

    def constants(self) -> dict[str, float]:
        constants = offered(self.environment, "constants")
        return {} if constants is None else constants()


def demand_compiled(environment: Any) -> None:
    """BadInput for an environment outside JAX."""
    if hasattr(environment, "lanes"):
        raise BadInput(
            f"an authored reward needs an environment in JAX, and {environment.spec.name!r} is outside: train on its "
            "own reward."
        )


def without_authored_reward(environment: Any) -> Any:
    """The environment with its own reward."""
    return environment.environment if isinstance(environment, Rewarded) else environment
