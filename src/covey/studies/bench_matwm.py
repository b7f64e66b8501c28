"""Speed of MATWM at the sizes of its preset `cpu`: the parts of an update beside plain matrix products and beside eager
PyTorch, and training as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp

from covey import algorithms, environments
from covey.algorithms.matwm import MATWM
from covey.algorithms.matwm.imagination import Learned
from covey.algorithms.matwm.losses import world_model_loss
from covey.algorithms.matwm.records import Nets
from covey.learning.buffer import Buffer
from covey.learning.descent import descended
from covey.nn.nets import Linear
from covey.nn.transformer import Transformer
from covey.runs import memory
from covey.studies.bench_swarm import LARGE, products
from covey.studies.timing import Effort, Loop, Row, beside_pytorch, enough, in_turns, rate, row


def through(nets: Any) -> float:
    """Of one row through all affine maps of some networks."""
    leaves = jax.tree.leaves(nets, is_leaf=lambda x: isinstance(x, Linear))
    return 2.0 * sum(x.weight.size for x in leaves if isinstance(x, Linear))


def attention(transformer: Transformer, queries: int, slots: int) -> float:
    """Of one row's queries, each of which looks at all slots."""
    return 4.0 * len(transformer.blocks) * queries * slots * transformer.positions.shape[1]


def flops(algorithm: MATWM, nets: Nets) -> dict[str, float]:
    """Of the matrix products that each part of an update cannot do without, a multiplication and an addition counted as
    two. A gradient costs two more products for each, but none for what networks are shown. Attention counts with all
    slots of its cache, which are computed.
    """
    model, imagination, count = nets.model, algorithm.imagination, algorithm.agents.count
    transformers = [model.sequence, *([model.teammates.history] if model.teammates else [])]
    shown = [model.encoder.layers[0], *([model.teammates.enter] if model.teammates else [])]

    def along(queries: int, slots: int) -> float:
        return sum(attention(each, queries, slots) for each in transformers)

    sequences, length = algorithm.replay.sequences, algorithm.replay.steps(algorithm.spec)
    step = 3 * through(model) - through(shown)
    ends = 3 * through([model.encoder, model.decoder]) - through(shown[:1])
    world_model = sequences * (length * step + ends + 3 * along(length, length))

    rows = count * imagination.of_agent(count)
    context, horizon = imagination.context, imagination.horizon
    sequence = [model.mixer, model.sequence]
    contexts = through([*sequence, model.teammates]) * context + through(model.encoder) * (context + 1)
    contexts += through(model.teammates) + along(context, context + horizon)
    actor, critic = (through(net) / count for net in (nets.inner.actor, nets.inner.critic))
    heads = [model.dynamics, model.reward, model.continuation, model.legal, model.teammates]
    advance = actor + through([*sequence, *heads]) + along(1, context + horizon)
    first = sum(through(net.layers[0]) / count for net in (nets.inner.actor, nets.inner.critic))
    learn = 2 * critic + 3 * (actor + critic) - first
    found = {
        "world model": world_model,
        "contexts": rows * contexts,
        "imagination": rows * horizon * advance,
        "agents": rows * horizon * learn,
    }
    return found | {"update": sum(found.values())}


class Prepared(NamedTuple):
    """An algorithm that has played a while, and the parts of its update as functions of no argument."""

    algorithm: MATWM
    flops: dict[str, float]
    parts: dict[str, Callable[[], Any]]


def algorithm_of(effort: Effort) -> tuple[Any, MATWM]:
    environment = environments.make("particle/spread")
    return environment, cast(MATWM, algorithms.make("matwm", environment, preset="tiny" if effort.tiny else "cpu"))


def prepared(effort: Effort) -> Prepared:
    environment, algorithm = algorithm_of(effort)
    loop = Loop(environment, algorithm)
    loop(algorithm.warmup // algorithm.horizon + 1)
    run: Any = jax.tree.map(lambda x: x[0], loop.run.agent)
    return Prepared(algorithm, flops(algorithm, run.nets), parts(algorithm, run.nets, run.buffer, loop.run.step))


def parts(algorithm: MATWM, nets: Nets, buffer: Buffer, step: Any) -> dict[str, Callable[[], Any]]:
    """The parts of an update, each with what it needs: drawing from the replay is none of theirs."""
    agents, model, imagination = algorithm.agents, algorithm.model, algorithm.imagination
    number = imagination.of_agent(agents.count)
    key = jax.random.key(0)

    @jax.jit
    def draw(buffer, key):
        batch = algorithm.replay.draw(agents, buffer, key, jnp.int32(0), step)
        return batch, algorithm.replay.contexts(agents, buffer, number, imagination.context, key, step)

    batch, (context, weight) = draw(buffer, key)

    def world_model(nets, batch, key):
        return descended(model.optimizer, world_model_loss, nets.model, nets.model_opt, model, agents, batch, key)

    def contexts(nets, context, key):
        return Learned(model, nets.model, agents).begin(context, imagination.horizon, key)

    def agents_update(nets, imagined, weight):
        return algorithm.inner.learn(nets.inner, imagined, weight, key)

    def whole(nets, buffer, key):
        return algorithm.update(nets, buffer, key, jnp.int32(0), step)

    contexts, imagine = jax.jit(contexts), jax.jit(algorithm.imagined_from)
    moment = contexts(nets, context, key)
    imagined = imagine(nets, moment, key)
    return {
        "world model": partial(jax.jit(world_model), nets, batch, key),
        "contexts": partial(contexts, nets, context, key),
        "imagination": partial(imagine, nets, moment, key),
        "agents": partial(jax.jit(agents_update), nets, imagined, weight),
        "update": partial(jax.jit(whole), nets, buffer, key),
    }


def repeated(call: Callable[[], Any]) -> Callable[[int], None]:
    """A call does it so many times, and waits."""

    def calls(count: int) -> None:
        for _ in range(count):
            jax.block_until_ready(call())

    calls(1)
    return calls


def matwm(effort: Effort) -> Iterator[Row]:
    """All parts in one run and in turns, because a busy machine is slower at all of it."""
    _, counted, works = prepared(effort)
    large = 16 if effort.tiny else LARGE
    calls = {"products": products(large, large)} | {name: repeated(work) for name, work in works.items()}
    counts = {name: enough(call, effort) for name, call in calls.items()}
    times = in_turns([partial(call, counts[name]) for name, call in calls.items()], effort.repeats)
    seconds = {name: [spent / counts[name] for spent in of_one] for name, of_one in zip(calls, times, strict=True)}
    best = [2.0 * large**3 / s for s in seconds.pop("products")]
    yield row("matwm", f"products {large} x {large} x {large}", [x / 1e9 for x in best], "GFLOP/s")
    whole = seconds["update"]
    for name, amount in counted.items():
        spent = seconds[name]
        share = [100 * amount / s / x for s, x in zip(spent, best, strict=True)]
        yield row("matwm", name, amount / 1e9, "GFLOP")
        yield row("matwm", name, [1 / s for s in spent], "updates/s")
        yield row("matwm", name, share, "% of large products")
        if name != "update":
            yield row("matwm", name, [100 * s / t for s, t in zip(spent, whole, strict=True)], "% of an update's time")
    yield from _training(effort)


def _training(effort: Effort) -> Iterator[Row]:
    """Training as a whole, as the preset has it."""
    environment, algorithm = algorithm_of(effort)
    loop = Loop(environment, algorithm)
    loop(algorithm.warmup // algorithm.horizon + 1)
    speed = rate(loop, algorithm.horizon, effort)
    yield row("matwm", "training", speed, "environment steps/s")
    yield row("matwm", "training, 50,000 steps", [50_000 / x / 60 for x in speed], "minutes")
    yield row("matwm", "training", loop.compile_s, "s to compile")
    yield row("matwm", "training: this process at most", memory.peak() / 1e6, "MB")


def matwm_torch(effort: Effort) -> Iterator[Row]:
    """The world model's update, and its imagination, beside PyTorch's."""
    from covey.studies.torch_maddpg import threads
    from covey.studies.torch_matwm import Matwm

    algorithm, _, works = prepared(effort)
    theirs = Matwm(algorithm)

    def both() -> Any:
        return works["contexts"](), works["imagination"]()

    for case, ours, call in (
        ("world model", works["world model"], theirs.learn),
        ("contexts and imagination", both, theirs.imagine),
    ):
        best, our_rate, their_rate = beside_pytorch(repeated(ours), call, threads, effort)
        title = f"{case}, PyTorch with threads {best}"
        yield row("matwm-torch", title, our_rate, "updates/s")
        yield row("matwm-torch", title, their_rate, "updates/s of PyTorch")
        faster = [a / b for a, b in zip(our_rate, their_rate, strict=True)]
        yield row("matwm-torch", title, faster, "times PyTorch's speed")
