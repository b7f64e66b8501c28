"""What the world model learns from sequences.

    L = L_rec + L_rew + L_con + L_team + β₁ (L_legal + L_dyn) + β₂ L_rep        Deihim et al. 2025, equations 3 to 9

Every term is a mean over the steps it is about. Sequences end with their episode, so no term and no attention reaches
over its end; what was seen there is the target of the last step.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from covey.algorithms.matwm.agents import Agents
from covey.algorithms.matwm.model import Networks, WorldModel
from covey.algorithms.matwm.pictures import PictureDecoder
from covey.algorithms.matwm.records import Sequences
from covey.core.types import Metrics
from covey.learning.targets import masked_mean


def world_model_loss(
    nets: Networks, model: WorldModel, agents: Agents, batch: Sequences, key: Any
) -> tuple[Any, Metrics]:
    """L of a batch, and its terms under the names of the metrics."""
    k_latent, k_sequence, k_teammates = jax.random.split(key, 3)
    focal = batch.focal[:, None]
    posterior = model.posterior(nets, batch.obs)
    latent = model.sample(posterior, k_latent)
    now = latent[:, :-1]
    tokens = model.tokens(nets, agents, now, agents.one_hot(batch.action), jnp.broadcast_to(focal, batch.steps.shape))
    summary = nets.sequence(tokens, batch.steps, k_sequence)

    reconstruction = reconstruction_error(nets, agents, latent, batch.obs, focal)
    reward = model.reward_bins.loss(nets.reward(summary), batch.reward)
    continuation = binary_cross_entropy(nets.continuation(summary)[..., 0], batch.discount)
    can = jnp.array(agents.can)[focal]
    legal = jnp.where(can, binary_cross_entropy(model.legal(nets, agents, now), batch.legal), 0.0).sum((-1, -2))
    raw, dynamics, representation = divergences(posterior[:, 1:], model.prior(nets, summary), model.free)
    terms = {
        "recon": masked_mean(reconstruction, batch.alive),
        "reward": masked_mean(reward, batch.steps),
        "cont": masked_mean(continuation, batch.steps),
        "legal": masked_mean(legal, batch.steps),
        "dynamics": masked_mean(dynamics, batch.follows),
        "representation": masked_mean(representation, batch.follows),
    }
    team, accuracy = teammate_loss(nets, model, agents, batch, now, k_teammates)
    total = (
        model.beta_reconstruction * terms["recon"]
        + terms["reward"]
        + terms["cont"]
        + team
        + model.beta_dynamics * (terms["legal"] + terms["dynamics"])
        + model.beta_representation * terms["representation"]
    )
    metrics = {f"shared_wm_{name}_loss": term for name, term in terms.items()}
    metrics |= {"shared_wm_total_loss": total, "shared_wm_kl_raw": masked_mean(raw, batch.follows)}
    if model.predicts(agents):
        metrics |= {"shared_wm_teammate_loss": team, "shared_wm_teammate_accuracy": accuracy}
    return total, metrics


def reconstruction_error(nets: Networks, agents: Agents, latent: Any, obs: Any, focal: Any) -> Any:
    """Squared errors [...] of observations of the agents `focal` [...], summed over their numbers, and over the dots of
    pictures from 0 to 1. Padding counts for nothing."""
    if isinstance(nets.decoder, PictureDecoder):
        return nets.decoder.error(latent, obs, agents.seen, focal)
    return ((nets.decoder(latent) - obs) ** 2 * jnp.array(agents.seen)[focal]).sum(-1)


def teammate_loss(
    nets: Networks, model: WorldModel, agents: Agents, batch: Sequences, latent: Any, key: Any
) -> tuple[Any, Any]:
    """L_team, the cross-entropy of the living others' actions summed over them; and the share that was guessed right.

    No gradient reaches the encoder: the predictor learns from latent states as they are.
    """
    if not model.predicts(agents):
        return jnp.float32(0), jnp.float32(0)
    shown = jax.lax.stop_gradient(latent)
    cache = nets.teammates.history.empty(*batch.steps.shape)  # type: ignore[union-attr]
    _, logits = model.foretell(nets, agents, cache, shown, batch.steps, 0, batch.focal, key)
    chances = model.others(agents, logits, jnp.broadcast_to(batch.focal[:, None], batch.steps.shape))
    has_part = jnp.array(np.any(agents.possible, -1)[agents.others])[batch.focal][:, None]
    counts = batch.others_alive[..., None] & has_part & batch.steps[..., None, None]  # [Q, L, M - 1, P]
    error = -(agents.one_hot(batch.others) * chances).sum(-1)
    right = jnp.argmax(chances, -1) == batch.others
    return masked_mean(jnp.where(counts, error, 0.0).sum((-1, -2)), batch.steps), masked_mean(right, counts)


def divergences(posterior: Any, prior: Any, free: Any) -> tuple[Any, Any, Any]:
    """KL(posterior ‖ prior) [...] of log-probabilities [..., K, C], in nats: as it is, and with a floor of `free` nats
    as the loss of the prior (L_dyn) and as that of the posterior (L_rep)."""
    held = jax.lax.stop_gradient

    def divergence(p, q):
        return (jnp.exp(p) * (p - q)).sum((-1, -2))

    raw, of_prior, of_posterior = (
        divergence(p, q) for p, q in ((posterior, prior), (held(posterior), prior), (posterior, held(prior)))
    )
    return raw, jnp.maximum(of_prior, free), jnp.maximum(of_posterior, free)


def binary_cross_entropy(logits: Any, target: Any) -> Any:
    """-log of the chance that logits give to `target`, 0 or 1."""
    return jax.nn.softplus(logits) - target * logits
