"""Decoders: pictures out of features, the way back of the encoder `strided` (`covey.nn.encoders:Strided`)."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax

from covey.core.checks import within
from covey.nn.encoders import check_stages, halved
from covey.nn.nets import Linear, linears
from covey.nn.normalized import normalization
from covey.nn.recurrent import Norm

SIDE, STRIDE = 4, 2
"""Filters are 4 x 4, and double height and width."""


class Doubling(NamedTuple):
    """A normalization of channels, and filters that double a picture's height and width."""

    norm: Norm
    filters: Linear  # [out, 16 C]


class Drawing(NamedTuple):
    """Parameters for pictures of one size."""

    enter: Linear  # features -> the smallest picture
    stages: tuple[Doubling, ...]


class Transposed(eqx.Module):
    """Features -> pictures: an affine layer, and layers of transposed 4 x 4 filters with a stride of 2, each behind
    layer normalization and SiLU. The last is linear (STORM, Zhang et al. 2023)."""

    width: int = eqx.field(static=True, default=64)
    """Features of a picture."""
    channels: tuple[int, ...] = eqx.field(static=True, default=(256, 128, 64, 32))
    """Channels of what each layer of filters is given."""

    def __check_init__(self):
        within(self, "[1, inf)", "width")
        check_stages(self.channels)

    def sizes(self, size: tuple[int, ...]) -> list[tuple[int, int, int]]:
        """Height, width and channels of what each layer is given, and at last of the picture."""
        return halved(size, self.channels[::-1])[::-1]

    def draw(self, key: Any, size: tuple[int, ...]) -> Drawing:
        """Parameters for pictures of `size` (height, width, channels)."""
        (height, across, deepest), *larger = self.sizes(size)
        shapes = [(leaving, 16 * entering) for (_, _, leaving), entering in zip(larger, self.channels, strict=True)]
        enter, *filters = linears(key, (height * across * deepest, self.width), *shapes)
        norms = map(normalization, self.channels)
        return Drawing(enter, tuple(Doubling(*stage) for stage in zip(norms, filters, strict=True)))

    def __call__(self, parameters: Drawing, size: tuple[int, ...], features: Any) -> Any:
        """Pictures [N, H, W, C] of `size` out of features [N, width]."""
        smallest, *larger = self.sizes(size)
        picture = parameters.enter(features).reshape(-1, *smallest)
        for stage, (height, across, _) in zip(parameters.stages, larger, strict=True):
            picture = transposed(stage.filters, jax.nn.silu(stage.norm(picture)), (height, across))
        return picture


def transposed(layer: Linear, picture: Any, size: tuple[int, int]) -> Any:
    """Pictures [N, h, w, C], to which 4 x 4 filters with a stride of 2 would halve those of `size` (H, W), after the
    transpose of such filters: [N, H, W, out], weights [out, 16 C]."""
    kernel = layer.weight.reshape(layer.weight.shape[0], SIDE, SIDE, -1).transpose(1, 2, 3, 0)
    before = SIDE - 2  # the filters that halve begin one row before the picture
    edges = [
        (before, whole + SIDE - 1 - before - (STRIDE * (half - 1) + 1))
        for whole, half in zip(size, picture.shape[1:3], strict=True)
    ]
    made = jax.lax.conv_general_dilated(
        picture,
        kernel,
        window_strides=(1, 1),
        padding=edges,
        lhs_dilation=(STRIDE, STRIDE),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return made + layer.bias
