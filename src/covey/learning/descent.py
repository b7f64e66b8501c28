"""One gradient step, of anything that has a loss and something to report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import optax

from covey.core.types import Metrics

Loss = Callable[..., tuple[Any, Metrics]]


def descended(
    optimizer: optax.GradientTransformation, loss: Loss, nets: Any, opt: Any, *rest: Any, rate: Any = None
) -> tuple[Any, Any, Metrics]:
    """`nets` and `opt` after a step down the gradient of `loss(nets, *rest)`, and its metrics.

    rate: where it changes with environment steps, and the optimizer gives directions of unit rate; None: it is the
    optimizer's own.
    """
    gradient, metrics = jax.grad(loss, has_aux=True)(nets, *rest)
    step, opt = optimizer.update(gradient, opt)
    if rate is not None:
        step = jax.tree.map(lambda x: -rate * x, step)
    return optax.apply_updates(nets, step), opt, metrics
