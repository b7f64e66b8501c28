"""Networks that may remember: hidden layers, a gated recurrent unit where there is one, and a linear output.

Everything takes leading axes as they come. A sequence is unrolled with one matrix product per layer for all of it; only
what the unit carries from step to step is a loop over time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from covey.nn.nets import Linear

ACTIVATIONS: dict[str, Callable] = {"tanh": jnp.tanh, "relu": jax.nn.relu}
Activation = Literal["tanh", "relu"]


class Norm(NamedTuple):
    """Layer normalization (Ba et al. 2016)."""

    scale: Any  # [D]
    shift: Any  # [D]

    def __call__(self, x: Any) -> Any:
        centered = x - x.mean(-1, keepdims=True)
        return self.scale * centered * jax.lax.rsqrt((centered**2).mean(-1, keepdims=True) + 1e-5) + self.shift


class GRU(NamedTuple):
    """A gated recurrent unit (Cho et al. 2014) of H units, with the reset gate after the product.

    r, z = σ(W x + U h)      n = tanh(W x + r (U h + b))      h' = (1 - z) n + z h
    """

    enter: Linear  # [3H, D]: r, z and n
    carried: Linear  # [3H, H]

    def advance(self, carry: Any, entered: Any) -> Any:
        """The next carry [..., H] out of a carry and `enter`'s output [..., 3H]."""
        return gates(carry, entered, self.carried(carry))


def gates(carry: Any, entered: Any, carried: Any) -> Any:
    """The next carry [..., H] of a gated unit out of a carry and what the two maps make [..., 3H]."""
    xr, xz, xn = jnp.split(entered, 3, -1)
    hr, hz, hn = jnp.split(carried, 3, -1)
    gate = jax.nn.sigmoid(xz + hz)
    return (1.0 - gate) * jnp.tanh(xn + jax.nn.sigmoid(xr + hr) * hn) + gate * carry


@jax.custom_vjp
def carries(carried: Linear, carry: Any, entered: Any, fresh: Any) -> Any:
    """What a gated unit carries after each step [L, ..., H], from `carry` on; nothing into a step that is `fresh`.

    Differentiated by hand, because `scan` would add up the gradient of the weights step by step, and copy the weights
    at each: a third of the time of a gradient on CPUs. Here it is one product over all steps.
    """
    return _unrolled(carried, carry, entered, fresh)[0]


def _unrolled(carried: Linear, carry: Any, entered: Any, fresh: Any) -> tuple[Any, Any]:
    """Carries after each step, and what the map of the carries before it made [L, ..., 3H]."""
    weight = carried.weight.T  # once, not at every step

    def step(carry, xs):
        entered, fresh = xs
        carry = jnp.where(fresh[..., None], 0.0, carry)
        made = carry @ weight + carried.bias
        carry = gates(carry, entered, made)
        return carry, (carry, made)

    return jax.lax.scan(step, carry, (entered, fresh))[1]


def _carries_forward(carried: Linear, carry: Any, entered: Any, fresh: Any) -> tuple[Any, Any]:
    after, made = _unrolled(carried, carry, entered, fresh)
    return after, (carried, carry, entered, fresh, after, made)


def _carries_backward(seen: Any, wanted: Any) -> tuple[Any, Any, Any, None]:
    carried, carry, entered, fresh, after, made = seen
    before = jnp.where(fresh[..., None], 0.0, jnp.concatenate([carry[None], after[:-1]]))

    def step(later, xs):
        *inputs, fresh, wanted = xs
        to_carry, to_entered, to_made = jax.vjp(gates, *inputs)[1](later + wanted)
        return jnp.where(fresh[..., None], 0.0, to_carry + to_made @ carried.weight), (to_entered, to_made)

    steps = before, entered, made, fresh, wanted
    to_carry, (to_entered, to_made) = jax.lax.scan(step, jnp.zeros_like(carry), steps, reverse=True)
    return jax.vjp(lambda carried: carried(before), carried)[1](to_made)[0], to_carry, to_entered, None


carries.defvjp(_carries_forward, _carries_backward)


class Net(eqx.Module):
    """Hidden layers of `width`, a GRU of `units` where that is not 0, a linear output scaled by `last`.

    Weights start orthogonal (Saxe et al. 2014) with the gain √2, or `last`; biases at zero. With `normalize`, layers
    are normalized after the activation, and so is the input.
    """

    hidden: tuple[Linear, ...]
    norms: tuple[Norm, ...]  # of the input and of every hidden layer, or none
    cell: GRU | None
    final: Linear
    activation: Activation = eqx.field(static=True)

    def __init__(
        self,
        key: Any,
        sizes: Sequence[int],
        units: int = 0,
        *,
        last: float = 1.0,
        activation: Activation = "tanh",
        normalize: bool = False,
    ):
        *inner, out = sizes
        into = list(zip(inner[1:], inner[:-1], strict=True))
        shapes = [*into, *([(3 * units, inner[-1]), (3 * units, units)] if units else []), (out, units or inner[-1])]
        gains = [2**0.5] * len(into) + [1.0, 1.0] * bool(units) + [last]
        drawn = zip(orthogonal(key, *shapes), gains, strict=True)
        layers = [layer._replace(weight=gain * layer.weight) for layer, gain in drawn]
        self.hidden = tuple(layers[: len(into)])
        self.norms = tuple(Norm(jnp.ones(size), jnp.zeros(size)) for size in inner) if normalize else ()
        self.cell = GRU(*layers[len(into) : -1]) if units else None
        self.final = layers[-1]
        self.activation = activation

    @property
    def units(self) -> int:
        """Numbers of a carry."""
        return self.final.weight.shape[-1] if self.cell else 0

    def features(self, x: Any) -> Any:
        """What does not depend on the past: inputs [..., D] -> what the unit takes, or the last hidden layer."""
        if self.norms:
            x = self.norms[0](x)
        for index, layer in enumerate(self.hidden):
            x = ACTIVATIONS[self.activation](layer(x))
            if self.norms:
                x = self.norms[index + 1](x)
        return self.cell.enter(x) if self.cell else x

    def __call__(self, carry: Any, x: Any) -> tuple[Any, Any]:
        """One step: (carry [..., H], input [..., D]) -> (carry, output)."""
        features = self.features(x)
        carry = self.cell.advance(carry, features) if self.cell else carry
        return carry, self.final(carry if self.cell else features)

    def unroll(self, carry: Any, x: Any, fresh: Any) -> tuple[Any, Any]:
        """A sequence: (first carry [..., H], inputs [L, ..., D], `fresh` [L, ...]) -> (carries [L, ..., H], outputs).

        A step is fresh where an episode began: nothing is remembered there. Carries are those after each step.
        """
        features = self.features(x)
        if self.cell is None:
            return jnp.broadcast_to(carry, (*x.shape[:-1], 0)), self.final(features)

        after = carries(self.cell.carried, carry, features, fresh)
        return after, self.final(after)


def orthogonal(key: Any, *shapes: tuple[int, int]) -> tuple[Linear, ...]:
    """Affine maps of shapes (out, in) out of one draw, whose weights have orthonormal rows or columns, and no bias.

    By Gram and Schmidt: the decompositions of LAPACK wait for one another forever where many run side by side in one
    compiled program and have few cores.
    """
    counts = [out * size for out, size in shapes]
    pieces = jnp.split(jax.random.normal(key, (sum(counts),)), np.cumsum(counts)[:-1])
    weights = [_orthonormal(piece.reshape(shape)) for piece, shape in zip(pieces, shapes, strict=True)]
    return tuple(Linear(weight, jnp.zeros(len(weight))) for weight in weights)


def _orthonormal(x: Any) -> Any:
    """The columns of a tall matrix, or the rows of a wide one, made orthonormal one after the other."""
    if x.shape[0] < x.shape[1]:
        return _orthonormal(x.T).T

    def column(j, done):
        rest = x[:, j]
        for _ in range(2):  # the second time takes out what rounding left
            rest = rest - done @ (done.T @ rest)
        return done.at[:, j].set(rest / jnp.linalg.norm(rest))

    return jax.lax.fori_loop(0, x.shape[1], column, jnp.zeros_like(x))
