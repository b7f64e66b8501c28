"""The clipped objective of proximal policy optimization (Schulman et al. 2017, equation 7)."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from covey.core.types import Metrics
from covey.learning.targets import masked_mean, masked_variance


def clipped_gain(change: Any, advantage: Any, clip: Any, weight: Any) -> tuple[Any, Metrics]:
    """E[min(ρ Â, clip(ρ, 1 - ε, 1 + ε) Â)] over what counts, with ρ = exp(`change`) of a sample's log-probability.

    Where the policy is still the one that acted, ρ = 1, and the gradient is that of the policy gradient theorem.
    """
    ratio = jnp.exp(change)
    gain = jnp.minimum(ratio * advantage, jnp.clip(ratio, 1.0 - clip, 1.0 + clip) * advantage)
    return masked_mean(gain, weight), {
        "clipped": masked_mean(jnp.abs(ratio - 1.0) > clip, weight),
        "divergence": masked_mean(ratio - 1.0 - change, weight),
    }


def standardized(advantage: Any, alive: Any) -> Any:
    """With mean 0 and standard deviation 1 over the rollout and the agents of the group, those that are alive."""
    centered = advantage - masked_mean(advantage, alive)
    return jnp.where(alive, centered / (jnp.sqrt(masked_variance(advantage, alive)) + 1e-5), 0.0)
