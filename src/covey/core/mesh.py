"""Many devices: a run is laid over a ("seed", "env") mesh, and the compiled chunk follows its data.

    agent                       [S, ...]     over "seed"
    key                         [S]          over "seed"
    now, environment, memory, score   [S, E, ...]  over ("seed", "env")
    step                        []           on every device

Seeds never talk to each other, so they are spread first. Lanes of one seed meet in `learn`, where the compiler adds the
reductions. A part of the agent that keeps an axis of lanes (a replay ring, [S, C, E, ...]) may say where it is with an
attribute `lane_axis` (2 in this example); then that axis is spread over "env" too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from covey.core.optional import offered
from covey.core.types import Run

SEED, LANE = "seed", "env"


def divisors(number: int) -> list[int]:
    """All divisors of `number`, ascending."""
    return [d for d in range(1, number + 1) if number % d == 0]


def mesh_shape(devices: int, seeds: int, lanes: int) -> tuple[int, int]:
    """How many devices share the seeds and how many the lanes: as many as divide evenly, seeds first."""
    shapes = [(s, e) for s in divisors(seeds) for e in divisors(lanes) if s * e <= devices]
    return max(shapes, key=lambda shape: (shape[0] * shape[1], shape[0]))


def make_mesh(seeds: int, lanes: int, devices: Sequence[Any]) -> Mesh:
    """The mesh for `seeds` x `lanes`; devices that would leave a remainder are not used."""
    shape = mesh_shape(len(devices), seeds, lanes)
    used = list(devices)[: shape[0] * shape[1]]
    return jax.make_mesh(shape, (SEED, LANE), axis_types=(AxisType.Auto, AxisType.Auto), devices=used)


def layout(run: Run, mesh: Mesh) -> Run:
    """The sharding of every leaf of `run`."""
    lanes = run.now.last.shape[1]

    def everywhere(spec: PartitionSpec, tree: Any) -> Any:
        return jax.tree.map(lambda _: NamedSharding(mesh, spec), tree)

    per_lane = {name: everywhere(PartitionSpec(SEED, LANE), getattr(run, name)) for name in LANE_PARTS}
    return Run(
        agent=_agent_layout(run.agent, mesh, lanes),
        key=everywhere(PartitionSpec(SEED), run.key),
        step=everywhere(PartitionSpec(), run.step),
        **per_lane,
    )


LANE_PARTS = ("world", "now", "memory", "score")


def _agent_layout(agent: Any, mesh: Mesh, lanes: int) -> Any:
    """Seeds only, but for the leaves below a node with a `lane_axis`."""

    def declares(node: Any) -> bool:
        return offered(node, "lane_axis") is not None

    def over_seeds_and_lanes(axis: int, leaf: Any) -> NamedSharding:
        there = leaf.ndim > axis and leaf.shape[axis] == lanes
        between = (None,) * (axis - 1)
        return NamedSharding(mesh, PartitionSpec(SEED, *between, LANE) if there else PartitionSpec(SEED))

    def lay(node: Any) -> Any:
        if declares(node):
            return jax.tree.map(lambda leaf: over_seeds_and_lanes(node.lane_axis, leaf), node)
        return NamedSharding(mesh, PartitionSpec(SEED))

    return jax.tree.map(lay, agent, is_leaf=declares)


def place(run: Run, devices: Sequence[Any] | None = None, *, lanes: bool | None = None) -> Run:
    """`run` laid over `devices` (all there are by default); unchanged where there is only one to use.

    lanes: may the lanes of a seed be on several devices? By default not where these are the cores of a processor: there
    lanes would wait for one another longer than a core needs for them.
    """
    seeds, count = run.now.last.shape
    lanes = jax.default_backend() != "cpu" if lanes is None else lanes
    mesh = make_mesh(seeds, count if lanes else 1, jax.devices() if devices is None else devices)
    return run if mesh.size == 1 else jax.device_put(run, layout(run, mesh))
