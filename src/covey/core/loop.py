"""The loop of every run: act, step, store, learn. Read this file first.

    start     key [S]  ->  Run
    collect   T steps of E lanes of S seeds, without learning  ->  rollout
    iterate   collect, then learn  ->  Run', totals
    chunk     many iterations; `compiled` makes them one program
    hosted    the same iterations around an environment that lives outside JAX

Time is the outermost scan, seeds and lanes are vmaps inside it, and `step` is never batched. So a predicate on `step`,
or on "any lane ended", stays a real branch. Nothing here knows an algorithm or an environment.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.core import faults
from covey.core.algorithm import Algorithm
from covey.core.environment import Environment, HostEnvironment, measures
from covey.core.program import program
from covey.core.types import Groups, Metrics, Run, Spec, TimeStep, Transition


class Total(NamedTuple):
    """A mean in the making: what was reported, and how often."""

    sum: Any  # [] or [S]
    count: Any  # [] or [S]

    def add(self, value: Any) -> Total:
        """With one more value, which is left out where it is NaN."""
        there = ~jnp.isnan(value)
        return Total(self.sum + jnp.where(there, value, 0.0), self.count + there)


class Score(NamedTuple):
    """Sums over the running episode of one lane."""

    reward: Groups  # [n]
    length: Any  # []
    measure: dict[str, Total]  # []


# ---------------------------------------------------------------------------------------------------------------------
# One lane


def tally(score: Score, now: TimeStep, then: TimeStep, measured: Metrics) -> tuple[Score, Metrics]:
    """Add a step to the score of ONE lane. The summary holds the episode's numbers if it ended here, else NaN.

    Rewards count for agents that were alive when they acted. `return/<group>/mean_agent` is the mean over the agents of
    a group of each agent's undiscounted return, `return/team_sum` the sum over all agents of the environment. A measure
    is a mean over the steps in which it was made (was not NaN).
    """
    score = Score(
        reward=earned(score, now, then),
        length=score.length + 1,
        measure={name: score.measure[name].add(jnp.asarray(x, jnp.float32)) for name, x in measured.items()},
    )
    summary = {f"return/{name}/mean_agent": reward.mean() for name, reward in score.reward.items()}
    summary["return/team_sum"] = sum(reward.sum() for reward in score.reward.values())
    summary["steps/episode"] = score.length.astype(jnp.float32)
    summary |= {f"world/{name}": total.sum / total.count for name, total in score.measure.items()}
    summary = {name: jnp.where(then.last, value, jnp.nan) for name, value in summary.items()}
    return jax.tree.map(lambda x: jnp.where(then.last, jnp.zeros_like(x), x), score), summary


def earned(score: Score, now: TimeStep, then: TimeStep) -> Groups:
    """What every agent [n] of ONE lane has earned in the running episode, up to `then`."""
    return {name: score.reward[name] + jnp.where(now.alive[name], x, 0.0) for name, x in then.reward.items()}


def look(spec: Spec, shown: bool, score: Score, now: TimeStep, action: Groups, then: TimeStep) -> Any:
    """`faults.found` in a step of ONE lane."""
    return faults.found(spec, shown, earned(score, now, then), now, action, then)


def nothing_scored(now: TimeStep, measured: Metrics) -> Score:
    """The score of ONE lane before its first step."""
    zeros = {name: jnp.zeros(reward.shape, jnp.float32) for name, reward in now.reward.items()}
    return Score(zeros, jnp.int32(0), {name: Total(jnp.float32(0), jnp.float32(0)) for name in measured})


def learns(run: Run) -> bool:
    """Does somebody learn here? Then what is shown to him matters, and not the rewards alone."""
    return bool(jax.tree.leaves(run.agent))


def select(flag: Any, new: Any, old: Any) -> Any:
    """`new` where `flag`, leaf by leaf; the axes of `flag` lead in every leaf."""

    def pick(a, b):
        return jnp.where(flag.reshape(flag.shape + (1,) * (a.ndim - flag.ndim)), a, b)

    return jax.tree.map(pick, new, old)


# ---------------------------------------------------------------------------------------------------------------------
# All seeds and lanes


def lane_keys(key: Any, lanes: int) -> Any:
    """Keys [S] -> keys [S, E]."""
    return jax.vmap(lambda k: jax.random.split(k, lanes))(key)


def split(key: Any, count: int) -> Any:
    """Keys [S] -> `count` arrays of keys [S]."""
    return jnp.moveaxis(jax.vmap(lambda k: jax.random.split(k, count))(key), 1, 0)


def over_lanes(f: Callable) -> Callable:
    """Map a function of one lane over seeds and lanes [S, E]."""
    return jax.vmap(jax.vmap(f))


def start(environment: Environment, algorithm: Algorithm, key: Any, lanes: int) -> Run:
    """A run before its first step; `key` [S] is one key a seed, and decides everything."""
    k_agent, k_world, k_memory, k_run = split(key, 4)
    world, now = over_lanes(environment.reset)(lane_keys(k_world, lanes))
    run = Run(
        agent=jax.vmap(partial(algorithm.init, lanes=lanes))(k_agent),
        world=world,
        now=now,
        memory=over_lanes(algorithm.memory)(lane_keys(k_memory, lanes)),
        score=over_lanes(lambda w, n: nothing_scored(n, measures(environment, w)))(world, now),
        key=k_run,
        step=jnp.int32(0),
    )
    return strong(run)


def strong(run: Run) -> Run:
    """The run without weak types: a chunk whose run has other types than the last one's would be compiled anew."""
    return jax.tree.map(lambda x: jnp.asarray(x, x.dtype), run)


def choose(algorithm: Algorithm, run: Run, key: Any, explore: bool) -> tuple[Groups, Any, Any]:
    """Actions of all lanes: (action, memory, extra), each [S, E, ...]."""

    def one(agent, memory, now, key):
        return algorithm.act(agent, memory, now, key, run.step, explore=explore)

    lanes = run.now.last.shape[1]
    return jax.vmap(jax.vmap(one, (None, 0, 0, 0)))(run.agent, run.memory, run.now, lane_keys(key, lanes))


def collect(
    environment: Environment, algorithm: Algorithm, run: Run, key: Any, horizon: int, explore: bool = True
) -> tuple[Run, Transition, Metrics]:
    """Play `horizon` steps: (run, rollout [T, S, E, ...], summaries [T, S, E], NaN where no episode ended)."""
    lanes = run.now.last.shape[1]
    shown = learns(run) or not explore

    def tick(run, t):
        k_act, k_step, k_fresh = split(jax.vmap(jax.random.fold_in, (0, None))(key, t), 3)
        action, memory, extra = choose(algorithm, run, k_act, explore)
        world, then = over_lanes(environment.step)(lane_keys(k_step, lanes), run.world, action)
        score, summary = over_lanes(tally)(
            run.score, run.now, then, over_lanes(lambda w: measures(environment, w))(world)
        )

        def renew():
            k_world, k_memory = split(k_fresh, 2)
            fresh = over_lanes(environment.reset)(lane_keys(k_world, lanes))
            remembered = over_lanes(algorithm.memory)(lane_keys(k_memory, lanes))
            return select(then.last, (*fresh, remembered), (world, then, memory))

        summary[faults.NAME] = over_lanes(partial(look, environment.spec, shown))(run.score, run.now, action, then)
        following = jax.lax.cond(jnp.any(then.last), renew, lambda: (world, then, memory))
        moved = run._replace(
            world=following[0], now=following[1], memory=following[2], score=score, step=run.step + lanes
        )
        return moved, (Transition(run.now, action, then, extra), summary)

    run, (rollout, summary) = jax.lax.scan(tick, run, jnp.arange(horizon))
    return run, rollout, summary


def learn(algorithm: Algorithm, agent: Any, rollout: Transition, key: Any, step: Any) -> tuple[Any, Metrics]:
    """`algorithm.learn` for every seed: rollout [T, S, E, ...], metrics [S]."""

    def one(agent, rollout, key):
        return algorithm.learn(agent, rollout, key, step)

    return jax.vmap(one, (0, 1, 0))(agent, rollout, key)


def totals(summary: Metrics, metrics: Metrics) -> dict[str, Total]:
    """Sums and counts per seed of episode summaries [T, S, E] and learning metrics [S], without the NaN."""

    def total(x, axes):
        there = ~jnp.isnan(x)
        return Total(jnp.where(there, x, 0.0).sum(axes), there.sum(axes).astype(jnp.float32))

    episodes = {name: total(x, (0, 2)) for name, x in summary.items()}
    return episodes | {name: total(x.astype(jnp.float32), ()) for name, x in metrics.items()}


def report(summary: Metrics, metrics: Metrics, step: Any) -> dict[str, Total]:
    """What there is to report of a rollout that began at `step`: `totals`, and the first step of every fault [S, K]."""
    broken = summary.pop(faults.NAME)
    ends = step + (1 + jnp.arange(broken.shape[0])) * broken.shape[2]
    first = faults.first(broken, ends)
    there = first < faults.NEVER
    found = Total(jnp.where(there, first, 0), there.astype(jnp.int32))
    return totals(summary, metrics) | {faults.NAME: found}


def joined(before: dict[str, Total], later: dict[str, Total]) -> dict[str, Total]:
    """The totals of both; of faults those of `before`, and where it has none those of `later`."""
    there, then = before[faults.NAME], later[faults.NAME]
    first = select(there.count > 0, there, then)
    return jax.tree.map(jnp.add, before, later) | {faults.NAME: first}


def means(total: dict[str, Total]) -> Metrics:
    """Per-seed means [S] of what was reported; NaN where nothing was."""
    return {name: jnp.where(x.count > 0, x.sum / jnp.maximum(x.count, 1), jnp.nan) for name, x in total.items()}


def reported(total: dict[str, Total], begun: Any) -> Metrics:
    """`means`; and of faults [S, K] how many steps after the step `begun` they came first."""
    found = total[faults.NAME]
    return means(total | {faults.NAME: found._replace(sum=found.sum - begun * found.count)})


def iterate(environment: Environment, algorithm: Algorithm, run: Run) -> tuple[Run, dict[str, Total]]:
    """One iteration: a rollout of `plan.horizon` steps, then what the algorithm learns from it."""
    key, k_collect, k_learn = split(run.key, 3)
    after, rollout, summary = collect(environment, algorithm, run, k_collect, algorithm.plan.horizon)
    agent, metrics = learn(algorithm, run.agent, rollout, k_learn, run.step)
    return strong(after._replace(agent=agent, key=key)), report(summary, metrics, run.step)


# ---------------------------------------------------------------------------------------------------------------------
# Chunks: what the host sees

Chunk = Callable[[Run, int], tuple[Run, Metrics]]
"""(run, iterations) -> (run, means [S] over the chunk). The run that goes in is given up (its memory is reused)."""


def as_arguments(*values: Any) -> tuple[Any, Any]:
    """Split values into what a compiled program takes as arguments (arrays, floats) and what it is compiled for."""
    return eqx.partition(values, lambda x: eqx.is_array_like(x) and not isinstance(x, (bool, int)))


def chunk(environment: Environment, algorithm: Algorithm, run: Run, iterations: Any) -> tuple[Run, Metrics]:
    """Many iterations; to be compiled. Their number is an argument, so one compilation serves all."""
    once = jax.jit(partial(iterate, environment, algorithm), inline=True)  # traced once, for both of what follows
    nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(once, run)[1])

    def body(_, carry):
        run, so_far = carry
        run, more = once(run)
        return run, joined(so_far, more)

    after, total = jax.lax.fori_loop(0, iterations, body, (run, nothing))
    return after, reported(total, run.step)


def compiled(environment: Environment, algorithm: Algorithm) -> Chunk:
    """The whole loop as one program."""
    arrays, static = as_arguments(environment, algorithm)

    @partial(program, donate_argnums=1)
    def play(arrays, run, iterations):
        environment, algorithm = eqx.combine(arrays, static)
        return chunk(environment, algorithm, run, iterations)

    return lambda run, iterations: play(arrays, run, jnp.int32(iterations))


class Interrupted(Exception):
    """An environment outside JAX raised, which is the cause; `run` is what there was before that iteration."""

    def __init__(self, run: Run):
        super().__init__("the environment raised")
        self.run = run


def start_hosted(environment: HostEnvironment, algorithm: Algorithm, key: Any, lanes: int) -> Run:
    """As `start`, for an environment outside JAX that holds seeds x lanes environments."""
    seeds = key.shape[0]
    k_agent, _, k_memory, k_run = split(key, 4)
    now = on_device(environment.reset(), seeds, lanes)
    run = Run(
        agent=jax.vmap(partial(algorithm.init, lanes=lanes))(k_agent),
        world=(),
        now=now,
        memory=over_lanes(algorithm.memory)(lane_keys(k_memory, lanes)),
        score=over_lanes(lambda n: nothing_scored(n, {}))(now),
        key=k_run,
        step=jnp.int32(0),
    )
    return strong(run)


def hosted(
    environment: HostEnvironment, algorithm: Algorithm, stepped: Callable[[float], None] = lambda seconds: None
) -> Chunk:
    """The same loop around an environment outside JAX: acting and learning are compiled, stepping is a call.

    Only actions and time steps cross the border. Keys are derived as in `compiled`, so that a deterministic environment
    gives the same run either way. If the environment raises, so does the chunk, `Interrupted`, and what was learned is
    not lost. stepped: called after every step of the environment, with the seconds that it took.
    """
    arrays, static = as_arguments(algorithm)

    @program
    def acting(arrays, run, key, t):
        (algorithm,) = eqx.combine(arrays, static)
        k_act, _, _ = split(jax.vmap(jax.random.fold_in, (0, None))(key, t), 3)
        return choose(algorithm, run, k_act, explore=True)

    @program
    def settling(arrays, run, key, t, moved, memory):
        (algorithm,) = eqx.combine(arrays, static)
        then = moved.then
        lanes = then.last.shape[1]
        _, _, k_fresh = split(jax.vmap(jax.random.fold_in, (0, None))(key, t), 3)
        remembered = over_lanes(algorithm.memory)(lane_keys(split(k_fresh, 2)[1], lanes))
        score, summary = over_lanes(partial(tally, measured={}))(run.score, run.now, then)
        seen = over_lanes(partial(look, environment.spec, learns(run)))
        summary[faults.NAME] = seen(run.score, run.now, moved.action, then)
        after = run._replace(memory=select(then.last, remembered, memory), score=score, step=run.step + lanes)
        return after, summary

    @partial(program, donate_argnums=1)
    def learning(arrays, agent, steps, summaries, key, step):
        (algorithm,) = eqx.combine(arrays, static)
        rollout, summary = (jax.tree.map(lambda *x: jnp.stack(x), *x) for x in (steps, summaries))
        agent, metrics = learn(algorithm, agent, rollout, key, step)
        return agent, report(summary, metrics, step)

    def prepare(run: Run) -> None:
        """Compile the three programs; nothing is played."""
        key = jax.eval_shape(lambda key: split(key, 3)[1], run.key)
        action, memory, extra = acting.eval_shape(arrays, run, key, 0)
        moved = Transition(run.now, action, run.now, extra)
        _, summary = settling.eval_shape(arrays, run, key, 0, moved, memory)
        horizon = algorithm.plan.horizon
        acting.lower(arrays, run, key, 0).compile()
        settling.lower(arrays, run, key, 0, moved, memory).compile()
        learning.lower(arrays, run.agent, [moved] * horizon, [summary] * horizon, key, run.step).compile()

    def once(run: Run) -> tuple[Run, dict[str, Total]]:
        seeds, lanes = run.now.last.shape
        key, k_collect, k_learn = split(run.key, 3)
        steps, summaries, begun = [], [], run
        for t in range(algorithm.plan.horizon):
            action, memory, extra = acting(arrays, run, k_collect, t)
            flat = jax.tree.map(lambda x: jax.device_get(x).reshape(seeds * lanes, *x.shape[2:]), action)
            began = time.perf_counter()
            try:
                shown = environment.step(flat)
            except Exception as error:
                raise Interrupted(begun) from error
            stepped(time.perf_counter() - began)
            then, following = (on_device(x, seeds, lanes) for x in shown)
            steps.append(Transition(run.now, action, then, extra))
            run, summary = settling(arrays, run, k_collect, t, steps[-1], memory)
            run = run._replace(now=following)
            summaries.append(summary)
        agent, total = learning(arrays, run.agent, steps, summaries, k_learn, begun.step)
        return run._replace(agent=agent, key=key), total

    def play(run: Run, iterations: int) -> tuple[Run, Metrics]:
        if not iterations:
            prepare(run)
            return run, {}
        begun = run.step
        run, total = once(run)
        for _ in range(iterations - 1):
            run, more = once(run)
            total = joined(total, more)
        return run, reported(total, begun)

    return play


def on_device(now: TimeStep, seeds: int, lanes: int) -> TimeStep:
    """Host arrays [S·E, ...] -> device arrays [S, E, ...]."""
    return jax.tree.map(lambda x: jnp.asarray(x).reshape(seeds, lanes, *x.shape[1:]), now)
