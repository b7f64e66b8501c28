"""Processor cores: how many there are, and one JAX device for each. Imports nothing, so that it can come before JAX."""

from __future__ import annotations

import os


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_cores() -> None:
    """Make every core a JAX device, so that `mesh.place` can train seeds side by side on them.

    Only matrix products use several cores of one device, and small ones hardly. Works before JAX is imported and does
    nothing later, or where `JAX_NUM_CPU_DEVICES` or `XLA_FLAGS` already say how many.
    """
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        os.environ.setdefault("JAX_NUM_CPU_DEVICES", str(cores()))
