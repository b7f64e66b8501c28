"""Where the parts of a run lie on several devices, and that they stay there."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec
from stairs import SPEC, Scribe, Stairs, begun

from covey.core import loop
from covey.core.mesh import layout, make_mesh, mesh_shape, place
from covey.testing.compare import difference

ALGORITHM = Scribe(SPEC, ("a", "b"))


def begin(seeds=2, lanes=4):
    return begun(ALGORITHM, jax.random.split(jax.random.key(0), seeds), lanes)


@pytest.mark.parametrize(
    ("devices", "seeds", "lanes", "shape"),
    [
        (1, 8, 8, (1, 1)),
        (4, 8, 8, (4, 1)),  # seeds first
        (4, 2, 8, (2, 2)),
        (4, 1, 8, (1, 4)),
        (4, 3, 1, (3, 1)),  # one device is left out
        (4, 3, 8, (1, 4)),  # all four, rather than three for the seeds
        (8, 6, 4, (2, 4)),
        (8, 5, 7, (1, 7)),
        (2, 1, 1, (1, 1)),
    ],
)
def test_as_many_devices_as_divide_evenly_and_seeds_first(devices, seeds, lanes, shape):
    assert mesh_shape(devices, seeds, lanes) == shape


def test_every_part_has_its_layout():
    run = place(begin(), jax.devices()[:4], lanes=True)

    def specs(tree):
        return {leaf.sharding.spec for leaf in jax.tree.leaves(tree)}

    for part in (run.now, run.world, run.memory, run.score):
        assert specs(part) == {PartitionSpec("seed", "env")}
    assert specs(run.agent) == {PartitionSpec("seed")}
    assert specs(run.key) == {PartitionSpec("seed")}
    assert specs(run.step) == {PartitionSpec()}
    assert len(run.now.last.addressable_shards) == 4
    assert run.now.last.addressable_shards[0].data.shape == (1, 2)


def test_placing_changes_no_number():
    assert not difference(place(begin(), lanes=True), begin())


def test_one_device_changes_nothing():
    run, small = begin(), begin(seeds=1, lanes=1)
    assert place(run, jax.devices()[:1]) is run
    assert place(small) is small  # there is nothing to share out


def test_a_chunk_leaves_every_part_where_it_was():
    chunk = loop.compiled(Stairs(), ALGORITHM)
    run = place(begin(), lanes=True)
    before = jax.tree.map(lambda x: x.sharding, run)
    after, _ = chunk(run, 3)
    stayed = jax.tree.map(lambda leaf, sharding: leaf.sharding.is_equivalent_to(sharding, leaf.ndim), after, before)
    assert all(jax.tree.leaves(stayed)), stayed


class Ring(NamedTuple):
    """A replay that says where its axis of lanes is."""

    slots: Any  # [S, C, E]
    head: Any  # [S]

    @property
    def lane_axis(self):
        return 2


def test_a_part_of_the_agent_may_declare_its_axis_of_lanes():
    run = begin()._replace(agent={"ring": Ring(jnp.zeros((2, 5, 4)), jnp.zeros(2)), "net": jnp.zeros((2, 5, 4))})
    agent = layout(run, make_mesh(2, 4, jax.devices())).agent
    assert agent["ring"].slots.spec == PartitionSpec("seed", None, "env")
    assert agent["ring"].head.spec == PartitionSpec("seed")
    assert agent["net"].spec == PartitionSpec("seed")


def test_cores_of_a_processor_share_seeds_only():
    run = place(begin())
    assert run.key.sharding.num_devices == 2
    assert run.now.last.addressable_shards[0].data.shape == (1, 4)
    assert place(begin(seeds=1)).key.sharding.num_devices == 1
