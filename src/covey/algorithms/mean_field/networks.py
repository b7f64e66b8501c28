"""What values and policies of mean-field algorithms are: networks with a branch for the mean action, or tables.

Everybody of a group shares them, and nobody is told apart by a number: so a population may have any size.
"""

from __future__ import annotations

import abc
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from covey.algorithms.mean_field.means import number
from covey.core.checks import within
from covey.core.errors import BadInput
from covey.core.types import Discrete, Group
from covey.learning.targets import masked_mean
from covey.nn.nets import MLP, Linear, linears


class Shape(NamedTuple):
    """What a network of a group is about: the group, the numbers in a mean action, and those that come out."""

    group: Group
    mean: int
    out: int


class Function(eqx.Module):
    """A part: a family of functions of an observation and a mean action, and how they are fitted."""

    lr: eqx.AbstractVar[float]

    @abc.abstractmethod
    def init(self, key: Any, shape: Shape) -> Any:
        """Parameters."""

    @abc.abstractmethod
    def __call__(self, shape: Shape, parameters: Any, obs: Any, mean: Any) -> Any:
        """What every agent's observation [n, D] and mean action [n, M] come to: [n, out]."""

    @abc.abstractmethod
    def loss(self, shape: Shape, error: Any, mean: Any, taken: Any, weight: Any) -> Any:
        """A batch's squared errors [..., n], where `taken` [..., n, A] was chosen, as one number."""

    @property
    @abc.abstractmethod
    def optimizer(self) -> optax.GradientTransformation: ...

    def check(self, shape: Shape) -> None:
        """Refuse groups that it cannot be about."""


class Branches(NamedTuple):
    """Parameters of a `Network`."""

    view: Any  # of each picture
    feature: Any  # of the rest of the observation, or ()
    mean: Any  # of the mean action, or ()
    trunk: MLP


class Network(Function):
    """A branch for every picture, one for the rest of the observation, one for the mean action, and a trunk.

    With `view="conv"` a picture passes two layers of 32 3 x 3 filters, as in the authors' code; otherwise it is taken
    as a vector.
    """

    width: int = eqx.field(static=True, default=64)
    """Units of the trunk's last hidden layer; branches and the layer before have up to four times as many."""
    view: Literal["dense", "conv"] = eqx.field(static=True, default="dense")
    """How pictures are looked at."""
    lr: float = 1e-3
    """Adam's learning rate."""
    last: float = 1.0
    """Gain of the initial weights of the last layer."""

    def __check_init__(self):
        within(self, "[1, inf)", "width")
        within(self, "[0, inf)", "lr", "last")

    @property
    def optimizer(self):
        return optax.adam(self.lr)

    def init(self, key, shape):
        keys = iter(jax.random.split(key, 3 + len(shape.group.obs)))
        width, views, joined = self.width, [], 0
        for field in shape.group.obs:
            if _picture(field):
                views.append(self._view(next(keys), field.shape))
                joined += 4 * width
        rest = sum(field.size for field in shape.group.obs if not _picture(field))
        feature = MLP(next(keys), (rest, width)) if rest else ()
        mean = MLP(next(keys), (shape.mean, width, width // 2 or 1)) if shape.mean else ()
        joined += width * bool(rest) + (width // 2 or 1) * bool(shape.mean)
        trunk = MLP(next(keys), (joined, 2 * width, width, shape.out), last=self.last)
        return Branches(tuple(views), feature, mean, trunk)

    def _view(self, key: Any, size: tuple[int, ...]) -> tuple[Any, ...]:
        height, across, channels = size
        if self.view == "dense":
            return linears(key, (4 * self.width, height * across * channels))
        if min(height, across) < 5:
            raise BadInput(f"two layers of 3 x 3 filters need pictures of 5 x 5 at least, and these are {size}.")
        inner = (height - 4) * (across - 4) * 32
        first, second, dense = linears(key, (32, 9 * channels), (32, 9 * 32), (4 * self.width, inner))
        return first, second, dense

    def __call__(self, shape, parameters, obs, mean):
        branches, rest, start, views = [], [], 0, iter(parameters.view)
        for field in shape.group.obs:
            piece = obs[..., start : start + field.size]
            start += field.size
            if _picture(field):
                branches.append(jax.nn.relu(_looked_at(next(views), piece.reshape(*piece.shape[:-1], *field.shape))))
            else:
                rest.append(piece)
        if rest:
            branches.append(jax.nn.relu(parameters.feature(jnp.concatenate(rest, -1))))
        if shape.mean:
            branches.append(jax.nn.relu(parameters.mean(mean)))
        return parameters.trunk(jnp.concatenate(branches, -1))

    def loss(self, shape, error, mean, taken, weight):
        return masked_mean(error, weight)


class Tabular(Function):
    """A table of values for worlds without states: a row for each of `levels` levels of the mean choice's number.

    A step moves every entry that was met towards the mean of its targets by the share `lr`, however often it was met:
    so what is chosen often is not ahead for that. A batch has to hold many joint steps to tell choices of many agents
    apart, who all earn the same in each of them.
    """

    levels: int = eqx.field(static=True, default=1)
    """Levels of the mean action; 1: it is not looked at. With m neighbors and two choices, m + 1 tell them all."""
    own: bool = eqx.field(static=True, default=False)
    """A table for each agent, instead of one for the group."""
    lr: float = 0.1
    """α: share of the way to its targets that an entry goes in a step."""

    def __check_init__(self):
        within(self, "[1, inf)", "levels")
        within(self, "[0, 1]", "lr")

    def check(self, shape):
        if not isinstance(shape.group.action, Discrete):
            raise BadInput("a table has an entry for each of a few choices: use a network for this action space.")
        if shape.mean not in (0, shape.group.action.n):
            raise BadInput("a table looks at the mean action of the own group only: use `types='own'`, or a network.")

    @property
    def optimizer(self):
        return optax.sgd(self.lr)

    def init(self, key, shape):
        return jnp.zeros((shape.group.size if self.own else 1, self.levels, shape.out))

    def __call__(self, shape, parameters, obs, mean):
        agent, level = self._row(shape, mean)
        return parameters[agent, level]

    def loss(self, shape, error, mean, taken, weight):
        rows = self.init(None, shape).shape
        agent, level = self._row(shape, mean)
        entry = jnp.broadcast_to(agent, level.shape), level, taken.argmax(-1)
        met = jnp.zeros(rows).at[entry].add(weight)
        return 0.5 * (error * weight / jnp.maximum(met[entry], 1.0)).sum()

    def _row(self, shape: Shape, mean: Any) -> tuple[Any, Any]:
        """Which table [n] and which level [..., n]."""
        size = shape.group.size
        agent = jnp.arange(size) if self.own else jnp.zeros(size, jnp.int32)
        if self.levels == 1 or not shape.mean:
            return agent, jnp.zeros(mean.shape[:-1], jnp.int32)
        share = number(shape.group.action, mean)  # type: ignore[arg-type]
        return agent, jnp.round(share * (self.levels - 1)).astype(jnp.int32)


def _picture(field: Any) -> bool:
    return len(field.shape) == 3


def _looked_at(layers: tuple[Linear, ...], picture: Any) -> Any:
    """A picture [..., H, W, C] after its layers, as a vector."""
    *filters, dense = layers
    batch = picture.shape[:-3]
    x = picture.reshape(-1, *picture.shape[-3:])
    for layer in filters:
        kernel = layer.weight.reshape(layer.weight.shape[0], 3, 3, -1).transpose(1, 2, 3, 0)
        x = jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = jax.nn.relu(x + layer.bias)
    return dense(x.reshape(*batch, -1))
