"""The world model that all agents share: its networks, and what each of them says.

    z_t ~ q(z | o_t)                       encoder: K categorical variables of C classes, drawn straight through
    e_t = W [z_t, one-hot(a_t + offset)]   action mixer: the only place where the model is told whose action it is
    h_t = f(e_0, ..., e_t)                 sequence model: a causal transformer
    ẑ_{t+1}, r_t, c_t                      dynamics, reward and continuation, each out of h_t
    ô_t, legal actions                     out of z_t
    p_t = g(z_0, ..., z_t)                 teammate predictor: a causal transformer; the others' actions at t

Deihim, Alonso, Apostolopoulou 2025 (arXiv:2506.18537), sections 3 and 3.1; sizes that it leaves open are STORM's.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from covey.algorithms.matwm.agents import Agents
from covey.algorithms.matwm.pictures import PictureDecoder, PictureEncoder
from covey.core.checks import within
from covey.core.errors import BadInput
from covey.learning.categorical import one_hot_sample
from covey.learning.two_hot import TwoHot
from covey.nn.decoders import Transposed
from covey.nn.encoders import Encoder, Strided
from covey.nn.heads import FAR
from covey.nn.nets import Linear, linears
from covey.nn.normalized import NormalizedMLP
from covey.nn.transformer import Cache, Transformer


class TeammatePredictor(NamedTuple):
    """What the others will do, out of the history of what one agent saw."""

    enter: Linear  # latents -> tokens
    history: Transformer
    leave: Linear  # -> logits [(M - 1) · P · C]

    def extend(self, cache: Cache, latent: Any, exists: Any, slot: Any, key: Any = None) -> tuple[Cache, Any]:
        """The cache with T more latents [R, T, Z], and logits [R, T, (M - 1) · P · C] for each."""
        cache, seen = self.history.extend(cache, self.enter(latent), exists, slot, key)
        return cache, self.leave(seen)


class Networks(NamedTuple):
    """The networks of a world model."""

    encoder: NormalizedMLP | PictureEncoder
    decoder: NormalizedMLP | PictureDecoder
    mixer: Linear
    sequence: Transformer
    dynamics: NormalizedMLP
    reward: NormalizedMLP
    continuation: NormalizedMLP
    legal: NormalizedMLP
    teammates: TeammatePredictor | tuple[()]  # () without


class WorldModel(eqx.Module):
    """Sizes and weights of a world model. `init` draws its networks, which the other functions are given."""

    latents: int = eqx.field(static=True, default=32)
    """Categorical variables of a latent state (K)."""
    classes: int = eqx.field(static=True, default=32)
    """Classes of each of them (C)."""
    width: int = eqx.field(static=True, default=512)
    """Width d of the sequence model, and units of every hidden layer."""
    layers: int = eqx.field(static=True, default=2)
    """Layers of the sequence model."""
    heads: int = eqx.field(static=True, default=8)
    """Attention heads, of the sequence model and of the teammate predictor."""
    feedforward: int = eqx.field(static=True, default=1024)
    """Units of the sequence model's feed-forward layers."""
    dropout: float = eqx.field(static=True, default=0.1)
    """Share that is dropped in transformers while the model learns."""
    encoder_layers: int = eqx.field(static=True, default=3)
    """Hidden layers of the encoder, and of the decoder."""
    encoder: Encoder = Strided(width=512)
    """What comes before them: how fields, pictures above all, become features."""
    decoder: Transposed = Transposed(width=512)
    """And behind them: how features become pictures."""
    head_layers: int = eqx.field(static=True, default=2)
    """Hidden layers of the reward, continuation and legality heads."""
    bins: int = eqx.field(static=True, default=255)
    """Bins of predicted rewards."""
    bound: float = eqx.field(static=True, default=20.0)
    """The bins go from minus this to this, on the symmetric logarithmic scale."""
    uniform: float = 0.01
    """Share of the uniform distribution in every latent variable."""
    teammates: bool = eqx.field(static=True, default=True)
    """Predict what the others do; else the policies are given zeros in its place."""
    teammate_width: int = eqx.field(static=True, default=256)
    """Width of the teammate predictor."""
    teammate_layers: int = eqx.field(static=True, default=2)
    """Layers of the teammate predictor."""
    teammate_agent: bool = eqx.field(static=True, default=False)
    """Tell the teammate predictor whose latent states it is given."""
    teammate_view: Literal["chances", "logits"] = eqx.field(static=True, default="chances")
    """What policies are given of it."""
    recompute: bool = eqx.field(static=True, default=False)
    """Compute the layers of transformers again in the gradient, instead of keeping what they made: less memory."""
    action_scaling: bool = eqx.field(static=True, default=True)
    """Tell the action mixer whose action it is given, by the action's place among all agents' actions."""
    free: float = 1.0
    """Nats below which the divergences of prior and posterior count for nothing, at each step."""
    beta_reconstruction: float = 1.0
    """The weight of the reconstruction loss, 1 in the paper: the observation's numbers count as known to within
    1 / √(2 weight). Against it, latent states that are easy to predict hold less than what is to be seen."""
    beta_dynamics: float = 0.5
    """β₁, the weight of the dynamics loss and of the loss of legal actions."""
    beta_representation: float = 0.1
    """β₂, the weight of the representation loss."""
    lr: float = 3e-5
    """Adam's learning rate for the world model."""
    max_norm: float = 1000.0
    """Largest global norm of its gradient."""

    def __check_init__(self):
        within(self, "[1, inf)", "latents", "width", "layers", "heads", "feedforward")
        within(self, "[1, inf)", "encoder_layers", "head_layers", "teammate_width", "teammate_layers")
        within(self, "[2, inf)", "classes", "bins")
        within(self, "(0, inf)", "bound")
        within(self, "[0, 1)", "dropout", "uniform")
        within(self, "[0, inf)", "free", "beta_reconstruction", "beta_dynamics", "beta_representation", "lr")
        within(self, "(0, inf]", "max_norm")
        for name in ("width", "teammate_width"):
            if getattr(self, name) % self.heads:
                raise BadInput(
                    f"{self.heads} heads do not divide the `{name}` {getattr(self, name)}: choose one that they do."
                )

    @property
    def optimizer(self) -> Any:
        return optax.flatten(optax.chain(optax.clip_by_global_norm(self.max_norm), optax.adam(self.lr)))

    @property
    def reward_bins(self) -> TwoHot:
        return TwoHot(self.bins, self.bound)

    @property
    def latent_size(self) -> int:
        return self.latents * self.classes

    def state_size(self, agents: Agents) -> int:
        """Numbers in the state [z, h, p] that policies are given."""
        return self.latent_size + self.width + self._teammates_size(agents)

    def _teammates_size(self, agents: Agents) -> int:
        return agents.others.shape[1] * agents.parts * agents.choices

    def init(self, key: Any, agents: Agents, positions: int) -> Networks:
        """Networks for these agents, whose transformers take up to so many tokens."""
        d, size, actions = self.width, self.latent_size, agents.parts * agents.choices
        entering = self.encoder.features(agents.layout)
        leaving = agents.obs_size + self.decoder.width * len(agents.pictures)
        coder, heads = [d] * self.encoder_layers, [d] * self.head_layers
        sizes = {
            "encoder": (entering, *coder, size),
            "decoder": (size, *coder, leaving),
            "dynamics": (d, d, size),
            "reward": (d, *heads, self.bins),
            "continuation": (d, *heads, 1),
            "legal": (size, *heads, actions),
        }
        shapes = [shape for each in sizes.values() for shape in NormalizedMLP.shapes(each)]
        shapes += [(d, size + agents.action_size(self.action_scaling))]
        shapes += Transformer.shapes(d, self.feedforward, self.layers, positions)
        k_model, k_teammates = jax.random.split(key)
        drawn = iter(linears(k_model, *shapes))
        mlps: Any = {name: NormalizedMLP.take(drawn, each, float(name != "reward")) for name, each in sizes.items()}
        k_encoder, k_decoder = jax.random.split(jax.random.fold_in(key, 1))
        if agents.pictures or self.encoder.encodes(agents.layout):
            mlps["encoder"] = PictureEncoder.drawn(k_encoder, self.encoder, agents.layout, mlps["encoder"])
        if agents.pictures:
            mlps["decoder"] = PictureDecoder.drawn(k_decoder, self.decoder, agents.layout, mlps["decoder"])
        return Networks(
            **mlps,
            mixer=next(drawn),
            sequence=Transformer.take(drawn, self.layers, self.heads, self.dropout, self.recompute),
            teammates=self._draw_teammates(k_teammates, agents, positions) if self.predicts(agents) else (),
        )

    def predicts(self, agents: Agents) -> bool:
        """Is there somebody else whose actions are predicted?"""
        return self.teammates and agents.others.shape[1] > 0

    def _draw_teammates(self, key: Any, agents: Agents, positions: int) -> TeammatePredictor:
        d, out = self.teammate_width, self._teammates_size(agents)
        inner = Transformer.shapes(d, 2 * d, self.teammate_layers, positions)
        entering = self.latent_size + agents.count * self.teammate_agent
        drawn = iter(linears(key, (d, entering), *inner, (out, d)))
        enter = next(drawn)
        history = Transformer.take(drawn, self.teammate_layers, self.heads, self.dropout, self.recompute)
        return TeammatePredictor(enter, history, next(drawn))

    # ---------------------------------------------------------------------------------------------------- latents

    def _log_chances(self, logits: Any) -> Any:
        """Log-probabilities [..., K, C] of the latent variables, out of raw outputs [..., K · C]."""
        logits = logits.reshape(*logits.shape[:-1], self.latents, self.classes)
        return jnp.log((1.0 - self.uniform) * jax.nn.softmax(logits) + self.uniform / self.classes)

    def posterior(self, nets: Networks, obs: Any) -> Any:
        """log q(z | o) [..., K, C] of observations [..., D], or by field."""
        return self._log_chances(nets.encoder(obs))

    def prior(self, nets: Networks, summary: Any) -> Any:
        """Log-probabilities [..., K, C] of the next latent variables, out of h [..., d]."""
        return self._log_chances(nets.dynamics(summary))

    def sample(self, log_chances: Any, key: Any) -> Any:
        """A latent state [..., K · C], one-hot in each variable, whose gradient is that of the chances; the likeliest
        one where there is no key."""
        chances = jnp.exp(log_chances)
        if key is None:
            chosen = jax.nn.one_hot(jnp.argmax(log_chances, -1), self.classes)
        else:
            chosen = one_hot_sample(key, chances)
        latent = jax.lax.stop_gradient(chosen - chances) + chances
        return latent.reshape(*latent.shape[:-2], -1)

    def tokens(self, nets: Networks, agents: Agents, latent: Any, chosen: Any, focal: Any) -> Any:
        """e [..., d] of latent states and one-hot actions [..., P, C] of the agents `focal` [...]."""
        if self.action_scaling:
            action = agents.scaled(chosen, focal)
        else:
            action = chosen.reshape(*chosen.shape[:-2], -1)
        return nets.mixer(jnp.concatenate([latent, action], -1))

    # ------------------------------------------------------------------------------------------------------ heads

    def legal(self, nets: Networks, agents: Agents, latent: Any) -> Any:
        """Logits [..., P, C] that actions are legal."""
        logits = nets.legal(latent)
        return logits.reshape(*logits.shape[:-1], agents.parts, agents.choices)

    def foretell(
        self,
        nets: Networks,
        agents: Agents,
        cache: Cache,
        latent: Any,
        exists: Any,
        slot: Any,
        focal: Any,
        key: Any = None,
    ) -> tuple[Cache, Any]:
        """The teammate predictor's cache with T more latents [R, T, Z] of the agents `focal` [R], and its logits [R, T,
        (M - 1) · P · C] for each."""
        if self.teammate_agent:
            whose = jax.nn.one_hot(focal, agents.count)[:, None]
            latent = jnp.concatenate([latent, jnp.broadcast_to(whose, (*latent.shape[:2], agents.count))], -1)
        return nets.teammates.extend(cache, latent, exists, slot, key)  # type: ignore[union-attr]

    def others(self, agents: Agents, logits: Any, focal: Any) -> Any:
        """Log-probabilities [..., M - 1, P, C] of what the others of the agents `focal` [...] do."""
        logits, possible = self._of_others(agents, logits, focal)
        return jax.nn.log_softmax(jnp.where(possible, logits, FAR))

    def others_view(self, agents: Agents, logits: Any, focal: Any) -> Any:
        """What policies are given of it, [..., M - 1, P, C]."""
        if self.teammate_view == "chances":
            return jnp.exp(self.others(agents, logits, focal))
        logits, possible = self._of_others(agents, logits, focal)
        return jnp.where(possible, logits, 0.0)

    @staticmethod
    def _of_others(agents: Agents, logits: Any, focal: Any) -> tuple[Any, Any]:
        """Logits [..., M - 1, P, C], and which of these choices the others have."""
        logits = logits.reshape(*logits.shape[:-1], -1, agents.parts, agents.choices)
        return logits, jnp.array(agents.possible[agents.others])[focal]
