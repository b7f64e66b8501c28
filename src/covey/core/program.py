"""How covey compiles: `jax.jit` with options that were measured."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import jax

LEVEL = "xla_backend_optimization_level"


def program(f: Callable, **options: Any) -> Any:
    """`jax.jit(f, **options)`, compiled in half the time on CPUs.

    There XLA hands its kernels to LLVM; level 1 instead of 3 halves the compile time of our programs (40 s to 20 s for
    ATT-MADDPG on routing), and their speed did not change measurably: matrix products come from a library.
    A level in `XLA_FLAGS` is kept (our tests ask for 0).
    """
    asked = LEVEL in os.environ.get("XLA_FLAGS", "")
    if jax.default_backend() == "cpu" and not asked:
        options["compiler_options"] = {LEVEL: 1}
    return jax.jit(f, **options)
