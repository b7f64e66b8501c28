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
from covey.core.types import Discrete, Group, Spec
from covey.learning.targets import masked_mean
from covey.nn.encoders import Branches, Conv, Dense, Residual
from covey.nn.nets import MLP


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
        """What every agent's observation (of `nn.encoders.inputs`) and mean action [n, M] come to: [n, out]."""

    @abc.abstractmethod
    def loss(self, shape: Shape, error: Any, mean: Any, taken: Any, weight: Any) -> Any:
        """A batch's squared errors [..., n], where `taken` [..., n, A] was chosen, as one number."""

    @property
    @abc.abstractmethod
    def optimizer(self) -> optax.GradientTransformation: ...

    def check(self, shape: Shape) -> None:
        """Refuse groups that it cannot be about."""


class Parameters(NamedTuple):
    """Of a `Network`."""

    view: tuple[Any, ...]  # of each picture
    feature: Any  # of the rest of the observation, or ()
    mean: Any  # of the mean action, or ()
    trunk: MLP


class Network(Function):
    """An encoder of the observation, a branch for the mean action, and a trunk.

    The encoder has a branch for every picture and one for the rest of the observation. With `view="conv"` a picture
    passes two layers of 32 3 x 3 filters, as in the authors' code; with "residual" strided filters and residual blocks;
    with "dense" it is taken as a vector.
    """

    width: int = eqx.field(static=True, default=64)
    """Units of the trunk's last hidden layer; branches and the layer before have up to four times as many."""
    view: Literal["dense", "conv", "residual"] = eqx.field(static=True, default="dense")
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

    @property
    def encoder(self) -> Branches:
        kind = {"dense": Dense, "conv": Conv, "residual": Residual}[self.view]
        return kind(width=4 * self.width, vector=self.width)

    def init(self, key, shape):
        keys = iter(jax.random.split(key, 3 + len(shape.group.obs)))
        width = self.width
        encoder = self.encoder.init_branches(keys, shape.group)
        mean = MLP(next(keys), (shape.mean, width, width // 2 or 1)) if shape.mean else ()
        joined = self.encoder.features(shape.group) + (width // 2 or 1) * bool(shape.mean)
        trunk = MLP(next(keys), (joined, 2 * width, width, shape.out), last=self.last)
        return Parameters(encoder.view, encoder.feature, mean, trunk)

    def __call__(self, shape, parameters, obs, mean):
        features = self.encoder(parameters, shape.group, obs)
        if shape.mean:
            features = jnp.concatenate([features, jax.nn.relu(parameters.mean(mean))], -1)
        return parameters.trunk(features)

    def loss(self, shape, error, mean, taken, weight):
        return masked_mean(error, weight)


def network_for(spec: Spec, **settings: Any) -> Network:
    """The network of the tuned presets: pictures of bytes, which may be large, through residual filters; grids of
    numbers as vectors."""
    pictures = [field for group in spec.groups.values() for field in group.obs if field.picture]
    return Network(view="residual" if any(field.dtype == "uint8" for field in pictures) else "dense", **settings)


class Tabular(Function):
    """A table of values for environments without states: a row for each of `levels` levels of the mean choice's number.

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
