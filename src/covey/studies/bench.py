"""How fast this machine is: `covey bench`.

What is timed is the real loop of training (`core.loop.compiled`, with its donated replay), warm, and waited for.
Figures are medians of repeats, with the smallest and largest; what is compared runs in turns (A B A B), so that a
machine that slows down slows both. Compiling is timed apart; the table says whether JAX's cache on disk was off.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax

from covey import algorithms, environments
from covey.algorithms.mean_field.q import mfq
from covey.core.algorithm import Algorithm
from covey.core.cores import cores
from covey.core.errors import BadInput, unknown
from covey.core.mesh import place
from covey.learning.replay import Replay
from covey.runs import config, memory
from covey.runs.tables import Column, Table, give, reports
from covey.studies.bench_matwm import matwm, matwm_torch
from covey.studies.bench_swarm import swarm, swarm_torch
from covey.studies.crowds import battle_stepping, neighbors, population, soldiers
from covey.studies.peers import jaxmarl_stepping, ppo_training, workers
from covey.studies.timing import Effort, Loop, Row, beside_pytorch, enough, in_turns, rate, row

QUICK = Effort(repeats=2, seconds=0.0, tiny=True)


class Bench(NamedTuple):
    """An entry of `BENCHES`: a generator of rows, and one line on what it measures."""

    measure: Callable[[Effort], Iterator[Row]]
    summary: str


def bench(names: Sequence[str] | None = None, *, json_file: str | Path | None = None, quick: bool = False) -> list[Row]:
    """Run the benches `names` (None or empty: all) and print a table; write it to `json_file` too if that is given.

    `json_file` may be `-`, standard output; then there is no table, and what is said goes to standard error.
    """
    for name in names or ():
        if name not in BENCHES:
            raise unknown("the benchmark", name, BENCHES)
    json_file = None if json_file is None else str(json_file)
    with reports(json_file):
        about = machine()
        rows = list(measured(names, QUICK if quick else Effort(), about))
    give(table(rows, about), about | {"rows": [line._asdict() for line in rows]}, json_file)
    return rows


def measured(names: Sequence[str] | None, effort: Effort, about: dict[str, Any]) -> Iterator[Row]:
    """The rows of some benches, or of all; says which one is at work, and what was left out."""
    if about["load"] != "unknown" and about["load"] > cores() / 2:
        print(f"this machine is busy (load {about['load']} on {cores()} cores): do not publish these figures.")
    for name in names or BENCHES:
        print(f"{name}: {BENCHES[name].summary}", flush=True)
        try:
            yield from BENCHES[name].measure(effort)
        except BadInput as missing:  # a package that only this benchmark needs
            if names:
                raise
            print(f"left out: {missing}")


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return config.versions() | {
        "platform": jax.devices()[0].platform,
        "cores": cores(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else "unknown",
        "compilation cache": "on" if jax.config.values["jax_compilation_cache_dir"] else "off",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def table(rows: Sequence[Row], about: dict[str, Any]) -> Table:
    """A row for each figure: what was measured, the median of the repeats with its unit, and their range."""
    columns = (
        Column("bench: case", prose=True),
        Column("median", right=True),
        Column("unit"),
        Column("range", right=True),
    )
    cells = []
    for line in rows:
        spread = "" if line.low == line.high else f"{number(line.low)} – {number(line.high)}"
        cells.append([f"{line.bench}: {line.case}", number(line.value), line.unit, spread])
    return Table(columns, cells, notes=(", ".join(f"{key} {value}" for key, value in about.items()),))


def number(x: float) -> str:
    return f"{x:,.0f}" if abs(x) >= 100 else f"{x:.3g}"


# ---------------------------------------------------------------------------------------------------------------------
# Measuring


def sized(id: str, environment: Any, width: int, batch: int, capacity: int = 100_000, **settings: Any) -> Algorithm:
    """An algorithm of the DDPG family with networks of `width` units, a batch of `batch` and no warm-up."""
    algorithm: Any = algorithms.make(id, environment)
    return dataclasses.replace(
        algorithm,
        width=width,
        critic=dataclasses.replace(algorithm.critic, width=width),
        replay=Replay(capacity, batch),
        warmup=0,
        **settings,
    )


# ---------------------------------------------------------------------------------------------------------------------
# The benches


def stepping(effort: Effort) -> Iterator[Row]:
    worlds = ("navigation", "routing/small-contended", "routing/large", "toy/discrete")
    for id in worlds[-1:] if effort.tiny else worlds:
        for lanes in (4,) if effort.tiny else (1, 16, 256):
            environment = environments.make(id)
            loop = Loop(environment, algorithms.make("random", environment), lanes=lanes)
            case = f"{id}, {lanes} lanes"
            yield row("stepping", case, rate(loop, lanes, effort), "environment steps/s")
            yield row("stepping", case, loop.compile_s, "s to compile")


SIZES = ((64, 1024), (64, 256), (32, 128))
"""Units and batch of the update benches. A critic and an actor have two hidden layers."""

UPDATES = 16
"""Updates an environment step, so that stepping does not count."""


def updates(effort: Effort) -> Iterator[Row]:
    environment = environments.make("navigation")
    for id in ("maddpg", "att-maddpg"):
        for width, batch in ((4, 8),) if effort.tiny else SIZES:
            loop = Loop(environment, sized(id, environment, width, batch, updates=UPDATES))
            loop(2)  # the replay needs two steps before the first update
            yield row("updates", f"{id}, {width} units, batch {batch}", rate(loop, UPDATES, effort), "updates/s")


def against_torch(effort: Effort) -> Iterator[Row]:
    """Updates of MADDPG, beside PyTorch's."""
    from covey.studies.torch_maddpg import Maddpg, threads

    environment = environments.make("navigation")
    (group,) = environment.spec.groups.values()
    shape = (group.size, group.obs_size, len(group.action.low))
    for width, batch in ((4, 8),) if effort.tiny else SIZES:
        ours = Loop(environment, sized("maddpg", environment, width, batch, updates=UPDATES))
        ours(2)
        for form, stacked in (("agent by agent", False), ("agents stacked", True)):
            theirs = Maddpg(*shape, width, batch, stacked=stacked)
            best, chunks, updates = beside_pytorch(ours, theirs, threads, effort)
            rates = [UPDATES * x for x in chunks], updates
            case = f"maddpg, {width} units, batch {batch}, PyTorch {form}, threads {best}"
            yield row("torch", case, rates[1], "updates/s of PyTorch")
            yield row("torch", case, [a / b for a, b in zip(*rates, strict=True)], "times PyTorch's speed")


def seeds(effort: Effort) -> Iterator[Row]:
    environment = environments.make("toy/graph" if effort.tiny else "routing/small-contended")
    algorithm = sized("att-maddpg", environment, *((4, 8, 100) if effort.tiny else (32, 128)))
    count = 2 if effort.tiny else 8
    one, many = (Loop(environment, algorithm, seeds=n) for n in (1, count))
    case = f"att-maddpg on {environment.spec.name}, {count} seeds as one program"
    iterations = max(enough(one, effort), 2)
    times = in_turns([partial(one, iterations), partial(many, iterations)], effort.repeats)
    ratio = row("seeds", case, [b / a for a, b in zip(*times, strict=True)], "times one seed's time")
    yield ratio
    if effort.tiny or ratio.value > count / 2:
        for kind, share in profile(partial(many, 20)).items():
            yield row("seeds", f"{case}: {kind}", 100 * share, "% of the time in kernels")


def training(effort: Effort) -> Iterator[Row]:
    pairs = (("att-maddpg", "routing/small-contended"), ("att-maddpg", "routing/large"), ("maddpg", "navigation"))
    for id, world in (("maddpg", "toy/graph"),) if effort.tiny else pairs:
        environment = environments.make(world)
        algorithm = sized(id, environment, *((4, 8, 100) if effort.tiny else (32, 128)))
        loop = Loop(environment, algorithm)
        loop(2)
        case = f"{id} on {world}, an update a step"
        yield row("training", case, rate(loop, 1, effort), "environment steps/s")
        yield row("training", case, loop.compile_s, "s to compile")
        yield row("training", f"{case}: this process at most", memory.peak() / 1e6, "MB")


def memory_plan(effort: Effort) -> Iterator[Row]:
    """What a run is said to need, and what beginning it and ten iterations take: a few agents with a large replay, and
    thousands whose updates are large too."""
    world, count = ("toy/graph", 1) if effort.tiny else ("routing/large", 4)
    environment = environments.make(world)
    few = sized("att-maddpg", environment, 4, 8, 1000) if effort.tiny else algorithms.make("att-maddpg", environment)
    yield from _memory(f"att-maddpg on {world}, {count} seeds", environment, few, count)
    for agents in (8,) if effort.tiny else (64, 4096):
        environment = environments.make("squeeze", agents=agents)
        replay = Replay(capacity=64 if effort.tiny else 2**23 // agents, batch=8)
        many = dataclasses.replace(mfq(environment.spec), replay=replay, warmup=0)
        yield from _memory(f"mfq on squeeze, {agents:,} agents", environment, many, 1)


def _memory(case: str, environment: Any, algorithm: Algorithm, seeds: int) -> Iterator[Row]:
    loop = Loop(environment, algorithm, seeds=seeds)
    planned = memory.plan(config.Config(algorithm, environment, seeds=seeds), loop.abstract)
    loop.run = None

    def again() -> None:
        loop.run = jax.block_until_ready(place(loop.begin()))
        loop(10)

    yield row("memory", case, planned.total / 1e6, "MB planned")
    yield row("memory", case, growth(again) / 1e6, "MB measured")


BENCHES: dict[str, Bench] = {
    "stepping": Bench(stepping, "environment steps with random actions, resets and scores included."),
    "updates": Bench(updates, "gradient updates of 3 agents, sampling from the replay included."),
    "torch": Bench(against_torch, "the same updates beside eager PyTorch, in turns."),
    "seeds": Bench(seeds, "what many seeds in one program cost, and where the time goes if they cost much."),
    "training": Bench(training, "environment steps with an update each, compile time, memory."),
    "ppo": Bench(ppo_training, "PPO on particle/spread, as much work a step as JaxMARL's scripts do."),
    "jaxmarl": Bench(jaxmarl_stepping, "particle worlds with random actions beside JaxMARL's, in turns."),
    "workers": Bench(workers, "a PettingZoo world in worker processes, beside itself alone."),
    "battle": Bench(battle_stepping, "battles beside one process of MAgent2, in turns."),
    "soldiers": Bench(soldiers, "more and more soldiers in a battle."),
    "population": Bench(population, "an update of mean-field Q-learning, against the number of agents."),
    "neighbors": Bench(neighbors, "MADDPG whose critics see everybody, beside one critic of six neighbors."),
    "swarm": Bench(swarm, "an update of LAMARL beside plain matrix products, and the time of 3,000 episodes."),
    "swarm-torch": Bench(swarm_torch, "the same update beside eager PyTorch, in turns."),
    "matwm": Bench(matwm, "the parts of an update of MATWM beside plain matrix products, and training as a whole."),
    "matwm-torch": Bench(matwm_torch, "its world model beside eager PyTorch, in turns."),
    "memory": Bench(memory_plan, "the memory that a run is said to need, and what it takes."),
}


# ---------------------------------------------------------------------------------------------------------------------
# Looking inside

KINDS = {
    "matrix products": ("dot", "ynn", "gemm", "cublas", "convolution"),
    "gathers and scatters": ("gather", "scatter"),
    "copies and transpositions": ("copy", "transpose"),
}
"""Kinds of kernels by words in their names; the first that fits."""

CONTAINERS = ("while", "cond", "call")
"""Beginnings of the names of operations that hold others."""


def profile(call: Callable[[], Any]) -> dict[str, float]:
    """Shares of the time that a call spends in each kind of kernel, largest first, from a trace of the profiler."""
    spent: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            call()
        for file in Path(folder).rglob("*.xplane.pb"):
            planes = jax.profiler.ProfileData.from_file(str(file)).planes
            for event in (event for plane in planes for line in plane.lines for event in line.events):
                if "hlo_op" in dict(event.stats) and not event.name.startswith(CONTAINERS):
                    spent[kind(event.name)] += event.duration_ns
    total = sum(spent.values())
    return {name: time / total for name, time in spent.most_common()}


def kind(kernel: str) -> str:
    return next((kind for kind, words in KINDS.items() if any(word in kernel for word in words)), "everything else")


def growth(call: Callable[[], Any]) -> int:
    """Bytes that a call needs at most, beyond what is in use before it.

    On CPUs Linux can forget a process's peak; elsewhere the figure is right where the call needs more than all before.
    """
    device = jax.devices()[0]
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    stats = device.memory_stats() if device.platform != "cpu" else None
    before = stats["bytes_in_use"] if stats else memory.peak()
    call()
    return memory.peak() - before
