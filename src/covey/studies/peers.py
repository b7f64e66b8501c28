"""Speed beside other libraries, where they are installed: the same work, in turns, in one process."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from covey import algorithms, environments
from covey.core.errors import BadInput
from covey.studies.timing import Effort, Loop, Row, accelerated, enough, in_turns, rate, row

PAIRS = (("particle/spread", "MPE_simple_spread_v3"), ("particle/tag", "MPE_simple_tag_v3"))
"""The same scenarios here and in JaxMARL."""

MANY = 65_536
"""Lanes that only an accelerator can use."""

SEEDS = 256
"""Seeds in one program, likewise."""


class TheirSteps:
    """Random actions in JaxMARL's environment: `lanes` copies, observations and rewards looked at, resets included."""

    def __init__(self, id: str, lanes: int):
        env = _jaxmarl().make(id)

        def step(carry, key):
            state, seen = carry
            k_act, k_step = (jax.random.split(k, lanes) for k in jax.random.split(key))

            def one(k_act, k_step, state):
                keys = jax.random.split(k_act, len(env.agents))
                action = {a: env.action_space(a).sample(k) for a, k in zip(env.agents, keys, strict=True)}
                obs, state, reward, _, _ = env.step(k_step, state, action)
                return state, jnp.stack([x.sum() for x in jax.tree.leaves((obs, reward))]).sum()

            state, numbers = jax.vmap(one)(k_act, k_step, state)
            return (state, seen + numbers.sum()), None

        @jax.jit
        def play(state, key, count):
            def body(i, carry):
                return step(carry, jax.random.fold_in(key, i))[0]

            return jax.lax.fori_loop(0, count, body, (state, jnp.float32(0)))

        began = time.perf_counter()
        key = jax.random.key(0)
        self.state = jax.jit(jax.vmap(env.reset))(jax.random.split(key, lanes))[1]
        self.play, self.key = play, key
        self(0)
        self.compile_s = time.perf_counter() - began

    def __call__(self, iterations: int) -> None:
        self.state, _ = jax.block_until_ready(self.play(self.state, self.key, iterations))


def _jaxmarl() -> Any:
    try:
        import jaxmarl  # type: ignore[import-not-found]
    except ImportError as error:
        raise BadInput("JaxMARL is not installed: `pip install jaxmarl`.") from error
    return jaxmarl


def jaxmarl_stepping(effort: Effort) -> Iterator[Row]:
    """The whole loop here (random actions, automatic resets, scores of episodes) beside JaxMARL's `step`."""
    for ours, theirs in PAIRS[:1] if effort.tiny else PAIRS:
        for lanes in (4,) if effort.tiny else (16, 2048, MANY) if accelerated() else (16, 2048):
            environment = environments.make(ours)
            mine = Loop(environment, algorithms.make("random", environment), lanes=lanes)
            case, other = f"{ours}, {lanes} lanes", TheirSteps(theirs, lanes)
            yield from against("jaxmarl", case, mine, other, (lanes, lanes), effort)


def against(bench: str, case: str, mine: Any, theirs: Any, each: tuple[int, int], effort: Effort) -> Iterator[Row]:
    """Speed of both, and ours over theirs, in turns; `each`: steps in an iteration of ours and of theirs."""
    counts = enough(mine, effort), enough(theirs, effort)
    calls = [partial(call, count) for call, count in zip((mine, theirs), counts, strict=True)]
    rates = [
        [count * steps / s for s in seconds]
        for count, steps, seconds in zip(counts, each, in_turns(calls, effort.repeats), strict=True)
    ]
    yield row(bench, case, rates[0], "environment steps/s")
    yield row(bench, f"{case}, theirs", rates[1], "environment steps/s")
    yield row(bench, case, [a / b for a, b in zip(*rates, strict=True)], "times their speed")
    yield row(bench, case, mine.compile_s, "s to compile")
    if theirs.compile_s:
        yield row(bench, f"{case}, theirs", theirs.compile_s, "s to compile")


def ppo_training(effort: Effort) -> Iterator[Row]:
    """PPO as JaxMARL's scripts for spread do it: 16 lanes x 128 steps, 4 epochs of 4 minibatches. Steps are of all
    seeds together; accelerators have room for many."""
    environment = environments.make("particle/spread")
    size = {"envs": 4, "width": 4, "horizon": 8} if effort.tiny else {"envs": 16, "width": 64, "horizon": 128}
    lanes, work = size.pop("envs"), {"epochs": 4, "minibatches": 4, "normalize": False}
    memory = {"units": size["width"] * 2, "width": size["width"] * 2, "layers": 1}
    for id, more in (("ippo", {}), ("mappo", memory)):
        algorithm: Any = dataclasses.replace(algorithms.make(id, environment), **(size | work | more))
        network = f"GRU of {more['units']}" if more else f"2 layers of {algorithm.width}"
        for seeds in (1, SEEDS) if accelerated() and not effort.tiny else (1,):
            loop = Loop(environment, algorithm, seeds=seeds, lanes=lanes)
            case = f"{id}, {network}" + (f", {seeds} seeds" if seeds > 1 else "")
            yield row("ppo", case, rate(loop, seeds * lanes * algorithm.horizon, effort), "environment steps/s")
            yield row("ppo", case, loop.compile_s, "s to compile")


# ---------------------------------------------------------------------------------------------------------------------
# PettingZoo

SPREAD = "mpe2.simple_spread_v3"


def workers(effort: Effort) -> Iterator[Row]:
    """A PettingZoo environment stepped by worker processes, beside the same environment stepped alone without covey."""
    lanes = 4 if effort.tiny else 128  # workers wait for each other at every step: the more lanes, the less
    alone = Alone(SPREAD)
    yield from _shared(effort, lanes, alone)


class Alone:
    """One PettingZoo environment in this process, and nothing else; a call takes so many steps."""

    def __init__(self, module: str):
        from covey.environments.pettingzoo.sources import game_of

        self.env = game_of(module, {})
        self.env.reset(seed=0)

    def __call__(self, steps: int) -> None:
        for _ in range(steps):
            if not self.env.agents:
                self.env.reset()
            self.env.step(dict.fromkeys(self.env.agents, 1))


def _shared(effort: Effort, lanes: int, alone: Callable[[int], None]) -> Iterator[Row]:
    counts = (1, 2)
    worlds = [environments.make(f"pettingzoo:{SPREAD}", lanes=lanes, workers=count) for count in counts]
    try:
        steppers = [partial(_step, world) for world in worlds]
        for world in worlds:
            world.reset()
        iterations = enough(steppers[-1], effort)
        calls = [partial(alone, iterations * lanes), *(partial(step, iterations) for step in steppers)]
        times = in_turns(calls, effort.repeats)
    finally:
        for world in worlds:
            world.close()
    cases = ["without covey, one process", *(f"{count} workers" for count in counts)]
    for case, seconds in zip(cases, times, strict=True):
        yield row("workers", f"{SPREAD}, {case}", [iterations * lanes / s for s in seconds], "environment steps/s")
    for case, seconds in zip(cases[1:], times[1:], strict=True):
        ratios = [a / b for a, b in zip(times[0], seconds, strict=True)]
        yield row("workers", f"{SPREAD}, {case}", statistics.median(ratios), "times one process without covey")


def _step(world: Any, iterations: int) -> None:
    action = {"agent": np.ones((world.lanes, world.spec.agents), np.int32)}
    for _ in range(iterations):
        world.step(action)
