"""What all tests share: several devices, quick compilation, and a cache of compiled programs below `.cache/`.

Set before JAX starts. The programs of tests are small and compile longer than they run, so the compiler is told to
hurry; `XLA_FLAGS` from outside (`make learn` gives some) replace all of this.
"""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

import jaxlib.version

from law_counts import LawCounts

DEVICES = "--xla_force_host_platform_device_count=4"
HURRY = "--xla_backend_optimization_level=0"
OLD_EMITTERS = "--xla_cpu_use_fusion_emitters=false"  # compile 3 times faster; an unknown flag would end the process
KNOWN = jaxlib.version.__version_info__ < (0, 11)

os.environ.setdefault("XLA_FLAGS", " ".join([DEVICES, HURRY, *[OLD_EMITTERS] * KNOWN]))
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # MAgent2 carries attacks out in an order of its own with several
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parent.parent / ".cache" / "xla"))
os.environ.setdefault("COVEY_CACHE", str(Path(__file__).parent.parent / ".cache" / "covey"))
os.environ.setdefault("XDG_STATE_HOME", str(Path(__file__).parent.parent / ".cache" / "state"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # runs are asked to stop by it, also where the tests run under nohup
gc.set_threshold(200_000, 20, 100)  # tracing makes objects by the million, and few of them are garbage


def pytest_configure(config):
    if not hasattr(config, "workerinput"):  # a worker of pytest-xdist sees its own tests only
        config.pluginmanager.register(LawCounts(), "law-counts")
