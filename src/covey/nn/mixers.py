"""How a team's value is made of what its members bring: z [n, d] of n members, and a context [G] -> one number.

Parameters are drawn by `init` and given to `value`. A team of zeros is worth 0.

    sum         Σ_i z_i                                            VDN, Sunehag et al. 2018
    pair        Σ_i z_i + Σ_{i<j} <p_i, p_j>                       all interactions of two, of a given rank
    monotone    f(z; context), ∂f/∂z_i ≥ 0, f by a hypernetwork    QMIX, Rashid et al. 2018
    free        the same f without the restriction
    attention   what members bring after looking at one another
    weighted    Σ_i λ_i(context, z) z_i, λ_i > 0                   QPLEX, Wang et al. 2021
"""

from __future__ import annotations

import abc
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.core.checks import within
from covey.core.errors import BadInput
from covey.nn.nets import MLP, Linear, linears


class Mixer(eqx.Module):
    """Base of the mixers."""

    @property
    def brings(self) -> int:
        """d: numbers that each member brings; the first is what it is worth alone."""
        return 1

    def init(self, key: Any, members: int, context: int) -> Any:
        """Parameters for teams of so many members."""
        return ()

    @abc.abstractmethod
    def value(self, params: Any, z: Any, context: Any) -> Any:
        """z [n, d], context [G] -> []."""

    centered = False
    """Is M, of members that bring nothing on average, nothing on average, and made of ones and twos only?"""


def check_mixes_values(mixer: Mixer) -> None:
    """BadInput where a mixer needs more of a member than one value."""
    if mixer.brings > 1:
        raise BadInput(
            f"the mixer {type(mixer).__name__} mixes more of a member than its value: choose 'sum', 'monotone' or "
            "'free'."
        )


class Sum(Mixer):
    """Σ_i z_i."""

    centered = True

    def value(self, params, z, context):
        return z.sum()


class Pair(Mixer):
    """Σ_i z_i + Σ_{i<j} <p_i, p_j>: z holds the one number and the `rank` numbers p of each member."""

    rank: int = eqx.field(static=True, default=4)
    """Numbers by which two members interact."""

    centered = True

    def __check_init__(self):
        within(self, "[1, inf)", "rank")

    @property
    def brings(self):
        return 1 + self.rank

    def value(self, params, z, context):
        p = z[:, 1:]
        return z[:, 0].sum() + 0.5 * ((p.sum(0) ** 2).sum() - (p**2).sum())


class Bend(NamedTuple):
    """Hypernetworks of a mixing network with one hidden layer: its weights and biases as functions of the context."""

    enter: Linear  # [n·W, G]
    shift: Linear  # [W, G]
    leave: Linear  # [W, G]


class Free(Mixer):
    """A hidden layer whose weights depend on the context; what members bring may count either way."""

    width: int = eqx.field(static=True, default=32)
    """Units of the mixing network."""

    def __check_init__(self):
        within(self, "[1, inf)", "width")

    def init(self, key, members, context):
        w = self.width
        return Bend(*linears(key, (members * w, context), (w, context), (w, context)))

    def weights(self, x: Any) -> Any:
        return x

    def value(self, params, z, context):
        enter = self.weights(params.enter(context)).reshape(len(z), self.width)
        shift, leave = params.shift(context), self.weights(params.leave(context))
        return leave @ (jax.nn.elu(z[:, 0] @ enter + shift) - jax.nn.elu(shift))


class Monotone(Free):
    """The same with weights that are not negative: more of anybody is never worth less."""

    def weights(self, x):
        return jnp.abs(x)


class Attention(Mixer):
    """Members look at one another (one head, Vaswani et al. 2017), then each brings what it makes of that."""

    width: int = eqx.field(static=True, default=16)
    """Numbers that each member brings, and units of queries, keys and values."""

    def __check_init__(self):
        within(self, "[2, inf)", "width")

    @property
    def brings(self):
        return self.width

    def init(self, key, members, context):
        w = self.width
        return linears(key, (w, w), (w, w), (w, w), (w, context), (1, w))

    def value(self, params, z, context):
        query, keys, values, shift, leave = params
        weights = jax.nn.softmax(query(z) @ keys(z).T / self.width**0.5, axis=1)
        seen, still = z + weights @ (values(z) - values.bias), shift(context)
        return ((jnp.tanh(seen + still) - jnp.tanh(still)) @ leave.weight[0]).sum()


class Weighted(Mixer):
    """Σ_i λ_i z_i with positive weights that depend on the context and on what everybody brings beside z_i."""

    features: int = eqx.field(static=True, default=4)
    """Numbers beside the first that each member brings, for the weights only."""
    width: int = eqx.field(static=True, default=32)
    """Units of the network that weighs."""

    def __check_init__(self):
        within(self, "[1, inf)", "features", "width")

    @property
    def brings(self):
        return 1 + self.features

    def init(self, key, members, context):
        return MLP(key, (context + members * self.features, self.width, members), last=0.1)

    def value(self, params, z, context):
        weight = params(jnp.concatenate([context, z[:, 1:].reshape(-1)]))
        return (2.0 * jax.nn.sigmoid(weight) * z[:, 0]).sum()
