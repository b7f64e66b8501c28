"""How much memory a run will need, known before anything is allocated."""

from __future__ import annotations

import os
import resource
import sys
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax

from covey.core.errors import BadInput
from covey.core.loop import choose
from covey.core.mesh import mesh_shape
from covey.core.optional import offered
from covey.core.types import Spec
from covey.runs.checkpoint import nbytes
from covey.runs.config import Config

REPLAY = ("replay", "buffer", "recent")
"""Parts of an agent's state with these words in their names are its replay."""


class MemoryPlan(NamedTuple):
    """Bytes by purpose. `available` is what the devices that will be used have left; None: not known."""

    networks: int
    replay: int
    environments: int
    rollout: int
    updates: int
    available: int | None

    @property
    def total(self) -> int:
        return self.networks + self.replay + self.environments + self.rollout + self.updates

    def text(self) -> str:
        parts = ", ".join(
            f"{name} {_megabytes(getattr(self, name))}"
            for name in self._fields[:-1]
            if name != "updates" or self.updates
        )
        left = "" if self.available is None else f"; {_megabytes(self.available)} available"
        return f"memory: {_megabytes(self.total)} ({parts}){left}"

    def demand(self) -> None:
        """BadInput, with advice, where the run cannot fit."""
        if self.available is not None and self.total > self.available:
            largest = max(self._fields[:-1], key=lambda name: getattr(self, name))
            raise BadInput(
                f"this run needs {_megabytes(self.total)}, and {_megabytes(self.available)} are available; most of it "
                f"is {largest} ({_megabytes(getattr(self, largest))}): {ADVICE[largest]}."
            )


LARGE = 30_000
"""Numbers of an observation from which on there is a warning: a picture of 100 x 100 x 3."""

ADVICE = {
    "networks": "use fewer seeds or smaller networks",
    "replay": "use a smaller replay capacity or fewer seeds",
    "environments": "use fewer environments (`envs`) or seeds",
    "rollout": "use a shorter horizon or fewer environments (`envs`)",
    "updates": "imagine fewer or shorter episodes (`imagination.batch`, `imagination.horizon`), learn from fewer or "
    "shorter sequences (`replay.sequences`, `replay.length`), or take a smaller preset or fewer seeds",
}


def plan(config: Config, abstract: Any) -> MemoryPlan:
    """The plan of a run whose shapes are `abstract` (a Run from `jax.eval_shape`)."""
    leaves = jax.tree_util.tree_leaves_with_path(abstract.agent)
    replay = nbytes([x for path, x in leaves if any(word in jax.tree_util.keystr(path).lower() for word in REPLAY)])
    action, _, extra = jax.eval_shape(partial(choose, config.algorithm, explore=True), abstract, abstract.key)
    step = 2 * nbytes(abstract.now) + nbytes((action, extra))
    return MemoryPlan(
        networks=nbytes(abstract.agent) - replay,
        replay=replay,
        environments=nbytes((abstract.world, abstract.now, abstract.memory, abstract.score)),
        rollout=step * config.algorithm.plan.horizon,
        updates=config.seeds * (offered(config.algorithm, "workspace") or int)(),
        available=available(config.seeds, config.envs),
    )


def demand_room(count: int, what: str) -> None:
    """BadInput where `what` takes more than so many bytes as this machine has left."""
    left = machine_memory()
    if left is not None and count > left:
        raise BadInput(f"{what} take {_megabytes(count)}, and {_megabytes(left)} are available on this machine.")


def large_observations(spec: Spec, networks: int) -> str | None:
    """A warning where agents (or critics) are shown more numbers than people mean to: mostly raw pictures.

    networks: their bytes, with the optimizers'.
    """
    shown = {f"an agent of group {name!r}": group.obs for name, group in spec.groups.items()}
    shown["the global state"] = spec.state
    counts = {what: sum(field.size for field in seen) for what, seen in shown.items()}
    what, size = max(counts.items(), key=lambda item: item[1])
    if size < LARGE:
        return None
    many = [field.shape for field in shown[what] if len(field.shape) > 1]
    lengths = f" ({', '.join(' x '.join(map(str, shape)) for shape in many)})" if many else ""
    return (
        f"{what} {'has' if what.startswith('the') else 'observes'} {size:,} numbers{lengths} and networks take "
        f"{_megabytes(networks)}, so steps and learning are slow: reduce pictures before, as "
        "docs/environments/pettingzoo.md shows."
    )


def available(seeds: int, lanes: int) -> int | None:
    """Bytes left on the devices that share `seeds` x `lanes`: the machine's memory on CPUs."""
    device = jax.devices()[0]
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        used = mesh_shape(len(jax.devices()), seeds, lanes)
        return (stats["bytes_limit"] - stats.get("bytes_in_use", 0)) * used[0] * used[1]
    return machine_memory() if device.platform == "cpu" else None


def machine_memory() -> int | None:
    """Bytes that this machine, or the container that we live in, has left."""
    limits = [limit for limit in (_meminfo(), _control_group()) if limit is not None]
    if limits:
        return min(limits)
    names = os.sysconf_names
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if "SC_PHYS_PAGES" in names else None


def _meminfo() -> int | None:
    file = Path("/proc/meminfo")
    if not file.exists():
        return None
    lines = dict(line.split(":", 1) for line in file.read_text().splitlines() if ":" in line)
    return int(lines["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in lines else None


def _control_group() -> int | None:
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if not (limit.exists() and used.exists()) or not limit.read_text().strip().isdecimal():
        return None
    return int(limit.read_text()) - int(used.read_text())


def peak() -> int:
    """The most bytes in use so far: on the device where it says so, else of this process."""
    stats = jax.devices()[0].memory_stats() if jax.devices()[0].platform != "cpu" else None
    if stats and "peak_bytes_in_use" in stats:
        return stats["peak_bytes_in_use"]
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count < 1e9 else f"{count / 1e9:,.2f} GB"
