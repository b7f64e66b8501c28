"""How covey compiles: `jax.jit` with options that were measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax


def program(f: Callable, **options: Any) -> Any:
    """`jax.jit(f, **options)`, compiled in half the time on CPUs.

    There XLA hands its kernels to LLVM; level 1 instead of 3 halves the compile time of our programs (40 s to 20 s for
    ATT-MADDPG on routing), and their speed did not change measurably: matrix products come from a library.
    """
    if jax.default_backend() == "cpu":
        options["compiler_options"] = {"xla_backend_optimization_level": 1}
    return jax.jit(f, **options)
