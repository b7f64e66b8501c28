"""A causal transformer with a cache of keys and values, whose size is fixed beforehand.

A row of tokens may have gaps: a token that does not exist is seen by no other, and positions count the tokens that do.
So a row that is padded on the left is the row without its padding. All tokens at once and one after the other is the
same function, `extend`: what is already in the cache is not computed again.

Vaswani et al. 2017; learned positions, and normalization behind every residual sum, as in STORM (Zhang et al. 2023).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.nn.heads import FAR
from covey.nn.nets import Linear
from covey.nn.normalized import normalization
from covey.nn.recurrent import Norm

SPREAD = 0.02
"""Standard deviation of the initial positions."""


class Block(NamedTuple):
    """Attention, then a feed-forward network."""

    enter: Linear  # [3 d, d]: queries, keys and values of all heads
    leave: Linear  # [d, d]
    attended: Norm
    up: Linear  # [f, d]
    down: Linear  # [d, f]
    fed: Norm


class Cache(NamedTuple):
    """Keys and values in S slots, of each of B rows and of every layer."""

    key: tuple[Any, ...]  # [B, H, S, d / H]
    value: tuple[Any, ...]  # [B, H, S, d / H]
    exists: Any  # [B, S]  bool: does the slot hold a token?


def attend(query: Any, key: Any, value: Any, visible: Any) -> Any:
    """Scaled dot-product attention: queries [B, H, T, d], keys and values [B, H, S, d], `visible` [B, T, S] -> [B, H,
    T, d]. With heads before tokens both products are of matrices as they lie; the other order is up to six times slower
    on CPUs.

    A query that may look at nothing gets zeros, and sends no gradient: a softmax over nothing would be the mean of all
    values, with a share of the gradient for each.
    """
    visible = visible[:, None]
    scores = query @ jnp.swapaxes(key, -1, -2) / math.sqrt(query.shape[-1])
    shares = jnp.where(visible, jax.nn.softmax(jnp.where(visible, scores, FAR)), 0.0)
    return shares @ value


class Transformer(eqx.Module):
    """Tokens [B, T, d] -> outputs [B, T, d], each of which depends on the tokens up to its own."""

    positions: Any  # [M, d]
    entered: Norm
    blocks: tuple[Block, ...]
    heads: int = eqx.field(static=True)
    dropout: float = eqx.field(static=True, default=0.0)
    recompute: bool = eqx.field(static=True, default=False)  # layers, in the gradient

    @staticmethod
    def shapes(width: int, feedforward: int, layers: int, positions: int) -> list[tuple[int, int]]:
        """(out, in) of everything that `take` takes."""
        return [
            (positions, width),
            *[(3 * width, width), (width, width), (feedforward, width), (width, feedforward)] * layers,
        ]

    @classmethod
    def take(
        cls, drawn: Iterator[Linear], layers: int, heads: int, dropout: float = 0.0, recompute: bool = False
    ) -> Transformer:
        """A transformer out of affine maps that were drawn in the order of `shapes`."""
        table = next(drawn).weight
        count, width = table.shape
        unit = ((count + width) / 2.0) ** 0.5  # weights were drawn with variance 2 / (in + out)

        def block() -> Block:
            enter, leave, up, down = (next(drawn) for _ in range(4))
            return Block(enter, leave, normalization(width), up, down, normalization(width))

        blocks = tuple(block() for _ in range(layers))
        return cls(SPREAD * unit * table, normalization(width), blocks, heads, dropout, recompute)

    def __call__(self, x: Any, exists: Any, key: Any = None) -> Any:
        """Outputs for tokens x [B, T, d], of which those where `exists` [B, T] are there."""
        return self.extend(self.empty(*exists.shape), x, exists, 0, key)[1]

    def empty(self, rows: int, slots: int) -> Cache:
        """A cache without a token."""
        blank = jnp.zeros((rows, self.heads, slots, self.positions.shape[1] // self.heads))
        return Cache((blank,) * len(self.blocks), (blank,) * len(self.blocks), jnp.zeros((rows, slots), bool))

    def extend(self, cache: Cache, x: Any, exists: Any, slot: Any, key: Any = None) -> tuple[Cache, Any]:
        """The cache with T more tokens x [B, T, d] in the slots from `slot` on, and their outputs [B, T, d].

        Slots before `slot` hold the tokens before, and those behind hold nothing. key: for dropout; None: without it.
        """
        count = x.shape[1]
        held = jax.lax.dynamic_update_slice(cache.exists, exists, (0, slot))
        own = slot + jnp.arange(count)
        visible = held[:, None] & (jnp.arange(held.shape[1]) <= own[:, None])
        place = jnp.maximum(visible.sum(-1) - 1, 0)
        keys = [None] * (1 + 2 * len(self.blocks))
        if key is not None and self.dropout:
            keys = list(jax.random.split(key, len(keys)))
        x = self._drop(self.entered(x + self.positions[place]), keys[0])
        through = jax.checkpoint(lambda *x: self._through(*x)) if self.recompute else self._through
        made, values = [], []
        for k, block in enumerate(self.blocks):
            kept = cache.key[k], cache.value[k]
            x, (own_key, own_value) = through(block, x, kept, visible, slot, keys[2 * k + 1 : 2 * k + 3])
            made.append(own_key)
            values.append(own_value)
        return Cache(tuple(made), tuple(values), held), x

    def _through(self, block: Block, x: Any, kept: Any, visible: Any, slot: Any, keys: Any) -> tuple[Any, Any]:
        """Tokens [B, T, d] after one block, and its keys and values with theirs in the slots from `slot` on."""
        rows, count, width = x.shape
        made = block.enter(x).reshape(rows, count, 3, self.heads, width // self.heads)
        query, *new = jnp.moveaxis(made, (2, 3), (0, 2))  # [B, H, T, d / H]
        key, value = (jax.lax.dynamic_update_slice(old, x, (0, 0, slot, 0)) for old, x in zip(kept, new, strict=True))
        seen = jnp.swapaxes(attend(query, key, value, visible), 1, 2).reshape(rows, count, width)
        x = block.attended(x + self._drop(block.leave(seen), keys[0]))
        x = block.fed(x + self._drop(block.down(jax.nn.relu(block.up(x))), keys[1]))
        return x, (key, value)

    def _drop(self, x: Any, key: Any) -> Any:
        """`x`, of which a share is dropped where there is a key."""
        if key is None:
            return x
        keep = 1.0 - self.dropout
        return jnp.where(jax.random.bernoulli(key, keep, x.shape), x / keep, 0.0)
