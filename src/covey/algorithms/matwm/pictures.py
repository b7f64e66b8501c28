"""Observations with pictures: filters before the encoder, and transposed filters behind the decoder."""

from __future__ import annotations

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.algorithms.matwm.agents import NUMBERS
from covey.core.types import Field, Group
from covey.nn.decoders import Drawing, Transposed
from covey.nn.encoders import PIXELS, Encoder, lead, numbers, rest_size
from covey.nn.normalized import NormalizedMLP
from covey.nn.pieces import in_pieces


class PictureEncoder(eqx.Module):
    """Observations [..., ...] -> raw outputs [..., K · C]: what an encoder makes of them, through a network."""

    filters: Any
    network: NormalizedMLP
    encoder: Encoder = eqx.field(static=True)
    layout: Group = eqx.field(static=True)

    @classmethod
    def drawn(cls, key: Any, encoder: Encoder, layout: Group, network: NormalizedMLP) -> PictureEncoder:
        """One in front of `network`."""
        return cls(encoder.init(key, layout), network, encoder, layout)

    def __call__(self, obs: Any) -> Any:
        if self.encoder.encodes(self.layout):
            return self.network(self.encoder(self.filters, self.layout, obs))
        seen = [(field, obs[field.name]) for field in self.layout.obs]
        flat = [numbers(field, x).reshape(*lead(field, x), field.size) for field, x in seen]
        return self.network(jnp.concatenate(flat, -1))


class PictureDecoder(eqx.Module):
    """Latent states [..., Z] -> observations by field [..., ...] in float32, the bytes of pictures from 0 to 1."""

    network: NormalizedMLP
    drawings: tuple[Drawing, ...]
    decoder: Transposed = eqx.field(static=True)
    layout: Group = eqx.field(static=True)

    @classmethod
    def drawn(cls, key: Any, decoder: Transposed, layout: Group, network: NormalizedMLP) -> PictureDecoder:
        """One behind `network`."""
        pictures = [field.picture for field in layout.obs if field.picture]
        keys = jax.random.split(key, len(pictures))
        drawings = tuple(decoder.draw(k, size) for k, size in zip(keys, pictures, strict=True))
        return cls(network, drawings, decoder, layout)

    def __call__(self, latent: Any) -> dict[str, Any]:
        rest, features = self._features(latent)
        found = {}
        for field, drawing, x in features:
            draw = partial(self.decoder, drawing, field.shape)
            found[field.name] = in_pieces(draw, _most(field), x).reshape(*latent.shape[:-1], *field.shape)
        return found | ({NUMBERS: rest} if rest_size(self.layout) else {})

    def error(self, latent: Any, obs: dict[str, Any], seen: dict[str, Any], focal: Any) -> Any:
        """Squared errors [...] of `obs` [..., ...], summed over what the agents `focal` [...] have `seen` [N, ...]."""
        rest, features = self._features(latent)
        focal = jnp.broadcast_to(focal, latent.shape[:-1])
        error = jnp.zeros(focal.shape)
        if rest_size(self.layout):
            error = ((rest - obs[NUMBERS]) ** 2 * jnp.array(seen[NUMBERS])[focal]).sum(-1)
        for field, drawing, x in features:
            apart = partial(self._error, field, drawing, jnp.array(seen[field.name]))
            picture = obs[field.name].reshape(-1, *field.shape)
            error += in_pieces(apart, _most(field), x, picture, focal.reshape(-1)).reshape(focal.shape)
        return error

    def _error(self, field: Field, drawing: Drawing, seen: Any, x: Any, picture: Any, focal: Any) -> Any:
        """Squared errors [R] of pictures that are drawn from features [R, width]."""
        apart = self.decoder(drawing, field.shape, x) - numbers(field, picture)
        return (apart**2 * seen[focal]).sum((1, 2, 3))

    def _features(self, latent: Any) -> tuple[Any, list[tuple[Field, Drawing, Any]]]:
        """Numbers [..., D], and for every picture its field, its parameters and features [R, width]."""
        pictures, width = [field for field in self.layout.obs if field.picture], self.decoder.width
        *features, rest = jnp.split(self.network(latent), [width * (k + 1) for k in range(len(pictures))], -1)
        flat = [jax.nn.relu(x).reshape(-1, width) for x in features]
        return rest, list(zip(pictures, self.drawings, flat, strict=True))


def _most(field: Field) -> int:
    """Pictures that are decoded at a time."""
    return PIXELS // (field.shape[0] * field.shape[1])
