"""Encoders: parts that turn what the agents of a group observe into features, before any other network.

    flat       every field as it is, in one vector
    dense      every picture through an affine layer
    conv       every picture through two layers of filters without a stride      the code of Yang et al. 2018
    residual   every picture through strided filters and residual blocks          after Espeholt et al. 2018 (IMPALA)
    strided    every picture through strided filters with layer normalization     after Zhang et al. 2023 (STORM)

All but `flat` end in a ReLU, and may put the fields that are no pictures through a layer too (`vector`). A group has a
set of an encoder's parameters for its actors and one for its critics. Its agents share them, also where everything else
is their own: what a picture shows does not depend on who looks.

A rule binds its encoder to an environment (`Encoders`). What comes behind lives in the environment of `Encoders.spec`,
where agents observe features, so it needs to know nothing of pictures. Groups that nothing encodes stay what they are.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.core.checks import within
from covey.core.errors import BadInput
from covey.core.types import Field, Group, Groups, Spec, Table, TimeStep
from covey.nn.joint import brightest, fields, observations
from covey.nn.nets import MLP, Linear, linears
from covey.nn.normalized import normalization
from covey.nn.pieces import in_pieces
from covey.nn.recurrent import Norm

PIXELS = 2**21
"""Pixels that are encoded at a time. The gradient of larger batches is computed piece by piece, so that its memory
stays at some 300 MB whatever the batch."""


class Encoder(eqx.Module):
    """Base of the encoders. `seen` is what agents observe: vectors [..., n, D], or pictures and vectors by name."""

    @abc.abstractmethod
    def encodes(self, group: Group) -> bool:
        """Does it make something else of the group's observations than one vector?"""

    @abc.abstractmethod
    def features(self, group: Group) -> int:
        """Numbers that it makes of one agent's observation."""

    @abc.abstractmethod
    def init(self, key: Any, group: Group) -> Any:
        """Parameters for a group."""

    @abc.abstractmethod
    def __call__(self, parameters: Any, group: Group, seen: Any) -> Any:
        """Features [..., n, F] of what a group has `seen`."""


class Flat(Encoder):
    """Every field as it is, in one vector."""

    def encodes(self, group):
        return False

    def features(self, group):
        return group.obs_size

    def init(self, key, group):
        return ()

    def __call__(self, parameters, group, seen):
        return seen


class Features(NamedTuple):
    """Parameters of an encoder with branches."""

    view: tuple[Any, ...]  # of each picture
    feature: MLP | tuple[()]  # of the fields that are no pictures


class Branches(Encoder):
    """Base of the encoders with a branch for every picture, and one for all other fields together."""

    width: eqx.AbstractVar[int]
    """Features of a picture."""
    vector: eqx.AbstractVar[int]
    """Features of the fields that are no pictures, by an affine layer and a ReLU; 0: as they are."""

    def __check_init__(self):
        within(self, "[1, inf)", "width")
        within(self, "[0, inf)", "vector")

    @abc.abstractmethod
    def draw(self, key: Any, size: tuple[int, ...]) -> tuple[Any, ...]:
        """Parameters for a picture of `size` (height, width, channels): filters, and at last an affine layer."""

    @abc.abstractmethod
    def look(self, filters: tuple[Any, ...], picture: Any) -> Any:
        """Pictures [N, H, W, C] after the filters, [N, ...]."""

    def encodes(self, group):
        return bool(pictures(group)) or self.vector > 0

    def features(self, group):
        rest = rest_size(group)
        return self.width * len(pictures(group)) + (self.vector or rest if rest else 0)

    def init(self, key, group):
        return self.init_branches(iter(jax.random.split(key, len(group.obs) + 1)), group)

    def init_branches(self, keys: Iterator[Any], group: Group) -> Features:
        """Parameters, with a key for every branch."""
        views = tuple(self.draw(next(keys), size) for size in pictures(group).values())
        rest = rest_size(group)
        return Features(views, MLP(next(keys), (rest, self.vector)) if rest and self.vector else ())

    def __call__(self, parameters, group, seen):
        if not isinstance(seen, dict):
            return self._rest(parameters, seen)
        found, rest, views = [], [], iter(parameters.view)
        for field in group.obs:
            x = jnp.asarray(seen[field.name])
            if field.picture:
                picture = x.reshape(*lead(field, x), *field.picture)
                found.append(jax.nn.relu(self._looked_at(next(views), field, picture)))
            else:
                rest.append(numbers(field, x).reshape(*lead(field, x), field.size))
        if rest:
            found.append(self._rest(parameters, jnp.concatenate(rest, -1)))
        return jnp.concatenate(found, -1)

    def _rest(self, parameters: Features, x: Any) -> Any:
        return jax.nn.relu(parameters.feature(x)) if self.vector else x  # type: ignore[operator]

    def _looked_at(self, parameters: Any, field: Field, picture: Any) -> Any:
        """Pictures [..., H, W, C] of a field, in its own dtype -> [..., width]."""
        *before, height, across, channels = picture.shape
        *filters, dense = parameters

        def look(picture):
            return self.look(tuple(filters), numbers(field, picture))

        found = in_pieces(look, PIXELS // (height * across), picture.reshape(-1, height, across, channels))
        return dense(found.reshape(*before, -1))


class Dense(Branches):
    """Every picture through an affine layer."""

    width: int = eqx.field(static=True, default=64)
    vector: int = eqx.field(static=True, default=0)

    def draw(self, key, size):
        return linears(key, (self.width, math.prod(size)))

    def look(self, filters, picture):
        return picture


class Conv(Branches):
    """Every picture through two layers of 32 filters of 3 x 3 without a stride, and an affine layer."""

    width: int = eqx.field(static=True, default=64)
    vector: int = eqx.field(static=True, default=0)

    def draw(self, key, size):
        height, across, channels = size
        if min(height, across) < 5:
            raise BadInput(f"two layers of 3 x 3 filters need pictures of 5 x 5 at least, and these are {size}.")
        inner = (height - 4) * (across - 4) * 32
        return linears(key, (32, 9 * channels), (32, 9 * 32), (self.width, inner))

    def look(self, filters, picture):
        for layer in filters:
            picture = jax.nn.relu(convolved(layer, picture, padding="VALID"))
        return picture


class Stage(NamedTuple):
    """Filters that halve a picture's height and width, and a residual block."""

    halve: Linear
    first: Linear
    second: Linear


class Residual(Branches):
    """Every picture through stages that halve its height and width, each with a residual block, and an affine layer.

    Weights start normal with variance 2 / in (He et al. 2015), and every block as the identity.
    """

    width: int = eqx.field(static=True, default=64)
    vector: int = eqx.field(static=True, default=0)
    channels: tuple[int, ...] = eqx.field(static=True, default=(16, 32, 32))
    """Filters of each stage."""

    def __check_init__(self):
        check_stages(self.channels)

    def draw(self, key, size):
        height, across, entering = size
        shapes = []
        for leaving in self.channels:
            height, across = -(-height // 2), -(-across // 2)
            shapes += [(leaving, 9 * entering), (leaving, 9 * leaving), (leaving, 9 * leaving)]
            entering = leaving
        *filters, dense = linears(key, *shapes, (self.width, height * across * entering))
        filters = iter([layer._replace(weight=layer.weight * _he(layer)) for layer in filters])
        stages = [Stage(*three) for three in zip(filters, filters, filters, strict=True)]
        return *(s._replace(second=s.second._replace(weight=0.0 * s.second.weight)) for s in stages), dense

    def look(self, filters, picture):
        for stage in filters:
            picture = convolved(stage.halve, picture, 2)
            inner = convolved(stage.first, jax.nn.relu(picture))
            picture = picture + convolved(stage.second, jax.nn.relu(inner))
        return jax.nn.relu(picture)


class Halving(NamedTuple):
    """Filters that halve a picture's height and width, and a normalization of their channels."""

    filters: Linear  # [out, 16 C]
    norm: Norm


class Strided(Branches):
    """Every picture through layers of 4 x 4 filters with a stride of 2, each with layer normalization and SiLU, and an
    affine layer. A length that is odd is halved to the larger half. `covey.nn.decoders:Transposed` goes back."""

    width: int = eqx.field(static=True, default=64)
    vector: int = eqx.field(static=True, default=0)
    channels: tuple[int, ...] = eqx.field(static=True, default=(32, 64, 128, 256))
    """Filters of each layer."""

    def __check_init__(self):
        check_stages(self.channels)

    def draw(self, key, size):
        *sizes, (height, across, deepest) = halved(size, self.channels)
        shapes = [(out, 16 * entering) for (_, _, entering), out in zip(sizes, self.channels, strict=True)]
        *filters, dense = linears(key, *shapes, (self.width, height * across * deepest))
        return *(Halving(layer, normalization(len(layer.weight))) for layer in filters), dense

    def look(self, filters, picture):
        for layer in filters:
            picture = jax.nn.silu(layer.norm(convolved(layer.filters, picture, 2)))
        return picture


def halved(size: tuple[int, ...], channels: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Height, width and channels of a picture, and after each layer that halves it into so many `channels`."""
    sizes: list[tuple[int, int, int]] = [size]  # type: ignore[list-item]
    for leaving in channels:
        height, across, _ = sizes[-1]
        sizes.append((-(-height // 2), -(-across // 2), leaving))
    return sizes


def check_stages(channels: tuple[int, ...]) -> None:
    """BadInput unless there is a stage, and each has filters."""
    if not channels or min(channels) < 1:
        raise BadInput(f"`channels` needs one stage of at least one filter, got {channels}.")


def _he(layer: Linear) -> float:
    """What makes of a weight of variance 2 / (in + out) one of variance 2 / in."""
    leaving, entering = layer.weight.shape
    return ((entering + leaving) / entering) ** 0.5


def convolved(layer: Linear, picture: Any, stride: int = 1, padding: str = "SAME") -> Any:
    """Pictures [N, H, W, C] after k x k filters, weights [out, k k C]."""
    leaving, entering = layer.weight.shape
    side = math.isqrt(entering // picture.shape[-1])
    kernel = layer.weight.reshape(leaving, side, side, -1).transpose(1, 2, 3, 0)
    order = ("NHWC", "HWIO", "NHWC")
    return (
        jax.lax.conv_general_dilated(picture, kernel, (stride, stride), padding, dimension_numbers=order) + layer.bias
    )


# ---------------------------------------------------------------------------------------------------------------------
# Fields


def pictures(group: Group) -> dict[str, tuple[int, ...]]:
    """Height, width and channels of every picture that a group sees."""
    return {field.name: field.picture for field in group.obs if field.picture}


def rest_size(group: Group) -> int:
    """Numbers in the fields of a group that are no pictures."""
    return sum(field.size for field in group.obs if not field.picture)


def numbers(field: Field, x: Any) -> Any:
    """A field as networks see it: float32, bytes of pictures from 0 to 1."""
    x, most = jnp.asarray(x, jnp.float32), brightest(field)
    return x if most == 1.0 else x / most


def lead(field: Field, x: Any) -> tuple[int, ...]:
    """The axes in front of a field's own."""
    return x.shape[: x.ndim - len(field.shape)]


def inputs(spec: Spec, now: TimeStep, by_name: Callable[[Group], Any] = pictures) -> Groups:
    """What agents observe, as encoders take it: float32 [n, D] per group, or fields by name in their own dtypes where
    `by_name(group)` holds. Zero where padded or dead."""
    flat = observations(spec, now)
    return {name: fields(spec, now, name) if by_name(group) else flat[name] for name, group in spec.groups.items()}


# ---------------------------------------------------------------------------------------------------------------------
# Encoders of an environment


class Encoded(NamedTuple):
    """Networks, and the parameters of the encoders in front of them."""

    nets: Any
    encoders: Groups


class Encoders(NamedTuple):
    """An encoder for every group of an environment."""

    encoder: Encoder
    observed: Spec

    @property
    def groups(self) -> tuple[str, ...]:
        """Groups whose observations are encoded."""
        return tuple(name for name, group in self.observed.groups.items() if self.encoder.encodes(group))

    @property
    def spec(self) -> Spec:
        """The environment as the networks behind see it: agents observe features."""
        groups = dict(self.observed.groups)
        for name in self.groups:
            features = Field("features", (self.encoder.features(groups[name]),))
            groups[name] = groups[name]._replace(obs=(features,))
        return self.observed._replace(groups=Table(groups)) if self.groups else self.observed

    def join(self, key: Any, nets: Any, groups: Iterable[str]) -> Any:
        """`nets` with encoders for those of `groups` that are encoded; `nets` alone where there are none."""
        encoded = [name for name in groups if name in self.groups]
        if not encoded:
            return nets
        keys = zip(encoded, jax.random.split(key, len(encoded)), strict=True)
        return Encoded(nets, {name: self.encoder.init(k, self.observed.groups[name]) for name, k in keys})

    def inputs(self, now: TimeStep) -> Groups:
        """What is encoded, of one environment."""
        return inputs(self.observed, now, lambda group: self.encoder.encodes(group) and pictures(group))

    def enter(self, nets: Any, seen: Groups) -> tuple[Any, Groups]:
        """Networks without the encoders in front of them, and what they see: float32 [..., n, F] per group.

        A group without an encoder among them stays as it was seen.
        """
        if not isinstance(nets, Encoded):
            return nets, seen
        groups, features = self.observed.groups, dict(seen)
        for name, parameters in nets.encoders.items():
            if name in seen:
                features[name] = self.encoder(parameters, groups[name], seen[name])
        return nets.nets, features


def encoder_for(spec: Spec) -> Encoder:
    """What algorithms encode with if nobody chooses: `Residual` where agents see pictures, else `Flat`."""
    return Residual() if any(pictures(group) for group in spec.groups.values()) else Flat()
