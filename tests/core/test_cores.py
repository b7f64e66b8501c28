"""One device per core, unless somebody has said how many."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from covey.core.cores import cores

COUNT = "from covey.core.cores import use_cores; use_cores(); import jax; print(jax.device_count())"


@pytest.mark.parametrize(
    ("said", "devices"),
    [
        ({}, cores()),
        ({"JAX_NUM_CPU_DEVICES": "3"}, 3),
        ({"XLA_FLAGS": "--xla_force_host_platform_device_count=5"}, 5),
    ],
)
def test_every_core_is_a_device_unless_somebody_says_otherwise(said, devices):
    rest = {name: value for name, value in os.environ.items() if name not in ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES")}
    done = subprocess.run([sys.executable, "-c", COUNT], env=rest | said, capture_output=True, text=True, check=True)
    assert int(done.stdout) == devices


def test_it_comes_too_late_after_jax():
    late = COUNT.replace("use_cores();", "import jax; jax.devices(); use_cores();")
    rest = {name: value for name, value in os.environ.items() if name not in ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES")}
    done = subprocess.run([sys.executable, "-c", late], env=rest, capture_output=True, text=True, check=True)
    assert int(done.stdout) == 1
