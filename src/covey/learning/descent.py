"""One gradient step, of anything that has a loss and something to report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import optax

from covey.core.types import Metrics

Loss = Callable[..., tuple[Any, Metrics]]


def descended(
    optimizer: optax.GradientTransformation, loss: Loss, nets: Any, opt: Any, rate: Any, *rest: Any
) -> tuple[Any, Any, Metrics]:
    """`nets` and `opt` after a step of size `rate` down the gradient of `loss(nets, *rest)`, and its metrics. The
    optimizer gives directions of unit rate."""
    gradient, metrics = jax.grad(loss, has_aux=True)(nets, *rest)
    direction, opt = optimizer.update(gradient, opt)
    return jax.tree.map(lambda x, d: x - rate * d, nets, direction), opt, metrics
