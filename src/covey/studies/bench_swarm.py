"""Speed of LAMARL: its update beside plain matrix products and beside eager PyTorch, and the time of a whole run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from covey import algorithms, environments
from covey.algorithms import presets
from covey.algorithms.ddpg import DDPG
from covey.runs.guides import guide
from covey.studies.lamarl.common import learner
from covey.studies.timing import Effort, Loop, Row, beside_pytorch, enough, in_turns, rate, row

UPDATES = 16
"""Updates an environment step, so that stepping does not count."""

LANES = 64
"""Of the robots that act at random."""

EPISODES = 3000
"""Of the paper's training."""

LARGE = 1024
"""Rows and columns of the matrices whose product says how fast this machine can be."""


class Sizes(NamedTuple):
    """Of an update: rows of a batch, numbers of an observation and of an action, units and number of hidden layers."""

    rows: int
    obs: int
    action: int
    width: int
    layers: int

    @property
    def flops(self) -> float:
        """Of the matrix products that an update cannot do without, a multiplication and an addition counted as two.

        The target asks actor and critic once; the critic learns from its value and two products for each of it, but the
        gradient of what it is shown; the actor's gradient goes through the critic, to its action only.
        """
        inner = (self.layers - 1) * self.width**2
        actor = self.obs * self.width + inner + self.width * self.action
        critic = (self.obs + self.action) * self.width + inner + self.width
        target = actor + critic
        of_critic = 3 * critic - (self.obs + self.action) * self.width
        through_critic = critic + self.action * self.width + inner + self.width
        of_actor = 3 * actor - self.obs * self.width
        return 2.0 * self.rows * (target + of_critic + through_critic + of_actor)


def sizes(environment: Any, algorithm: DDPG) -> Sizes:
    """Those of an update of `lamarl`."""
    (group,) = environment.spec.groups.values()
    rows = algorithm.replay.batch * group.size
    return Sizes(rows, group.obs_size, len(group.action.low), algorithm.width, algorithm.layers)


def updating(effort: Effort) -> tuple[Loop, Sizes]:
    """Training that hardly does anything but updates, warm, with batches and networks of the paper's sizes."""
    environment = environments.make("assembly", robots=4 if effort.tiny else 30)
    small = {"width": 8, "critic.width": 8, "replay.batch": 2} if effort.tiny else {}
    often = {"updates": UPDATES, "horizon": 1, "warmup": 0, "replay.capacity": 2000}
    algorithm = learner(environment, **often, **small).with_guides(partial(guide, environment))
    loop = Loop(environment, algorithm)
    loop(2)  # the replay needs two steps before the first update
    return loop, sizes(environment, algorithm)


def products(rows: int, width: int) -> Callable[[int], None]:
    """A call multiplies a matrix [rows, width] so many times by one of [width, width], and waits."""
    weight = jax.random.normal(jax.random.key(0), (width, width)) / width**0.5
    start = jax.random.normal(jax.random.key(1), (rows, width))

    @jax.jit
    def chain(x: Any, weight: Any, count: Any) -> Any:
        return jax.lax.fori_loop(0, count, lambda _, x: x @ weight, x)

    def call(count: int) -> None:
        jax.block_until_ready(chain(start, weight, jnp.int32(count)))

    call(1)
    return call


def swarm(effort: Effort) -> Iterator[Row]:
    """Everything in one run and in turns, because a busy machine is slower at all of it."""
    loop, of = updating(effort)
    large = 16 if effort.tiny else LARGE
    same, big = products(of.rows, of.width), products(large, large)
    each = [UPDATES * of.flops, 2.0 * of.rows * of.width**2, 2.0 * large**3]
    calls = [loop, same, big]
    counts = [enough(call, effort) for call in calls]
    times = in_turns([partial(call, count) for call, count in zip(calls, counts, strict=True)], effort.repeats)
    ours, theirs, best = (
        [count * flops / s for s in spent] for count, flops, spent in zip(counts, each, times, strict=True)
    )
    case = f"lamarl, batch of {of.rows} rows, {of.layers} x {of.width} units"
    yield row("swarm", f"products {of.rows} x {of.width} x {of.width}", [x / 1e9 for x in theirs], "GFLOP/s")
    yield row("swarm", f"products {large} x {large} x {large}", [x / 1e9 for x in best], "GFLOP/s")
    yield row("swarm", case, [x / of.flops for x in ours], "updates/s")
    yield row("swarm", case, [100 * a / b for a, b in zip(ours, theirs, strict=True)], "% of products of its size")
    yield row("swarm", case, [100 * a / b for a, b in zip(ours, best, strict=True)], "% of large products")
    yield row("swarm", case, loop.compile_s, "s to compile")
    yield from _whole_runs(effort)


def _whole_runs(effort: Effort) -> Iterator[Row]:
    """Steps of robots at random, and training as it was found."""
    environment = environments.make("assembly", robots=4 if effort.tiny else 30)
    lanes = 4 if effort.tiny else LANES
    stepping = Loop(environment, algorithms.make("random", environment), lanes=lanes)
    yield row("swarm", f"assembly, {lanes} lanes", rate(stepping, lanes, effort), "environment steps/s")
    found = presets.FOUND["lamarl", "assembly"]
    small = {"width": 8, "critic.width": 8, "replay.capacity": 400, "replay.batch": 2} if effort.tiny else {}
    algorithm = learner(environment, **small).with_guides(partial(guide, environment))
    training = Loop(environment, algorithm, lanes=found.envs)
    training(2)
    speed = rate(training, found.envs * algorithm.horizon, effort)
    case = f"{EPISODES:,} episodes as found"
    yield row("swarm", case, speed, "environment steps/s")
    yield row("swarm", case, [EPISODES * environment.time_limit / x / 60 for x in speed], "minutes")
    yield row("swarm", case, training.compile_s, "s to compile")


def swarm_torch(effort: Effort) -> Iterator[Row]:
    """Updates of LAMARL, beside PyTorch's."""
    from covey.studies.torch_lamarl import Lamarl
    from covey.studies.torch_maddpg import threads

    ours, of = updating(effort)
    theirs = Lamarl(*of)
    best, chunks, updates = beside_pytorch(ours, theirs, threads, effort)
    rates = [UPDATES * x for x in chunks], updates
    case = f"lamarl, batch of {of.rows} rows, {of.layers} x {of.width} units, PyTorch with threads {best}"
    yield row("swarm-torch", case, rates[0], "updates/s")
    yield row("swarm-torch", case, rates[1], "updates/s of PyTorch")
    yield row("swarm-torch", case, [a / b for a, b in zip(*rates, strict=True)], "times PyTorch's speed")
