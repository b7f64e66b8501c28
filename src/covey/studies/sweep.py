"""Sweeps: environments and algorithms that differ in numbers only, trained side by side as one program."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from covey.core import loop
from covey.core.algorithm import Algorithm
from covey.core.program import program
from covey.core.types import Run

Pair = tuple[Any, Algorithm]

OVER: Any = Run(agent=0, world=0, now=0, memory=0, score=0, key=0, step=None)  # type: ignore[arg-type]
"""Axes of a run that is swept: all but the step, which decides when something is due."""


def swept(pairs: Sequence[Pair], *, seeds: int, lanes: int, steps: int, pieces: int = 1) -> dict[str, np.ndarray]:
    """What pairs of an environment and an algorithm report on the way, as one program: metrics [pieces, K, S].

    Pairs are alike but for numbers that are leaves (temperatures, learning rates). `steps` of each seed are cut into as
    many `pieces`, and metrics are means over one.
    """
    split = [loop.as_arguments(*pair) for pair in pairs]
    arrays = jax.tree.map(lambda *x: jnp.stack([jnp.asarray(value) for value in x]), *(array for array, _ in split))
    static = split[0][1]
    keys = jax.vmap(jax.random.key)(jnp.arange(seeds))
    iterations = steps // (pieces * lanes * pairs[0][1].plan.horizon)

    def begin(arrays: Any) -> Run:
        world, algorithm = eqx.combine(arrays, static)
        return loop.start(world, algorithm, keys, lanes)

    def play(arrays: Any, run: Run) -> tuple[Run, Any]:
        world, algorithm = eqx.combine(arrays, static)
        return loop.chunk(world, algorithm, run, iterations)

    run = program(jax.vmap(begin, out_axes=OVER))(arrays)
    on = partial(program, donate_argnums=1)(jax.vmap(play, in_axes=(0, OVER), out_axes=(OVER, 0)))
    found = []
    for _ in range(pieces):
        run, means = on(arrays, run)
        found.append(jax.device_get(means))
    return {name: np.stack([piece[name] for piece in found]) for name in found[0]}
