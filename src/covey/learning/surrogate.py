"""The clipped objective of proximal policy optimization (Schulman et al. 2017, equation 7)."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from covey.core.types import Metrics
from covey.learning.targets import masked_mean, masked_variance


def clipped_loss(
    name: str, log_prob: Any, before: Any, advantage: Any, entropy: Any, weight: Any, clip: Any, bonus: Any
) -> tuple[Any, Metrics]:
    """-E[min(ρ Â, clip(ρ, 1 - ε, 1 + ε) Â) + σ H] of the group `name`, and what to report of it, over what has weight.

    ρ is the probability of a sample now over that before; clip: ε; bonus: σ. Where the policy is still the one that
    acted, ρ = 1, and the gradient is that of the policy gradient theorem.
    """
    change = jnp.where(weight, log_prob - before, 0.0)
    ratio = jnp.exp(change)
    gain = jnp.minimum(ratio * advantage, jnp.clip(ratio, 1.0 - clip, 1.0 + clip) * advantage)
    gain, spread = masked_mean(gain, weight), masked_mean(entropy, weight)
    return -gain - bonus * spread, {
        f"loss/actor/{name}": -gain,
        f"entropy/{name}": spread,
        f"clipped/{name}": masked_mean(jnp.abs(ratio - 1.0) > clip, weight),
        f"divergence/{name}": masked_mean(ratio - 1.0 - change, weight),
    }


def standardized(advantage: Any, alive: Any) -> Any:
    """With mean 0 and standard deviation 1 over the rollout and the agents of the group, those that are alive."""
    centered = advantage - masked_mean(advantage, alive)
    return jnp.where(alive, centered / (jnp.sqrt(masked_variance(advantage, alive)) + 1e-5), 0.0)
