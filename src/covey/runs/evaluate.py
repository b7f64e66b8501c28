"""Playing without exploring, and what it is held against.

Every evaluation plays the first whole episode of each of `episodes` lanes, for every seed. Episodes are decided by the
key alone, so that any two algorithms, and the environment's reference among them, meet the same episodes and are
compared in pairs: `regret/<group>/mean_agent` is the reference's return minus ours, episode by episode.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import stdtrit

from covey import algorithms
from covey.core import faults
from covey.core.algorithm import Algorithm, ledgers
from covey.core.environment import HostEnvironment, Reference, evaluation_world, measures
from covey.core.errors import BadInput
from covey.core.interrupts import interruptible, nothing
from covey.core.loop import (
    as_arguments,
    choose,
    collect,
    lane_keys,
    look,
    nothing_scored,
    on_device,
    over_lanes,
    split,
    tally,
)
from covey.core.optional import offered
from covey.core.types import Metrics, Run, Spec, Transition

ROOT = 20_270_408
"""Root of the keys of every run's evaluations: all algorithms meet the same episodes."""

FINAL = 0
"""Number of the final evaluation; those on the way are numbered from 1."""

PATIENCE = 10_000
"""Steps after which an episode outside JAX counts as endless, where the environment has no time limit."""

Values = dict[str, np.ndarray]
"""Numbers by metric name, [S, episodes]."""


class Evaluation(NamedTuple):
    """What was played: every metric of every episode of every seed."""

    values: Values  # [S, episodes]
    reference: Values  # [S, episodes]  of the environment's reference, on the same episodes; empty where there is none
    about: Reference | None  # what the reference is

    def per_seed(self) -> dict[str, np.ndarray]:
        """Means over episodes [S]; and of ledgers the `residual`, the share of the variance that is left to luck."""
        means = {name: x.mean(axis=1) for name, x in self.values.items()}
        groups = [name.removesuffix("/luck") for name in means if name.startswith("ledger/") and name.endswith("/luck")]
        return means | {f"{group}/residual": residual(self.values, group) for group in groups}

    def summary(self) -> dict[str, dict[str, Any]]:
        """Per metric: the mean over seeds, its 95 % confidence interval (None for one seed), and the seeds' means."""
        return {name: describe(x) for name, x in self.per_seed().items()}

    def reference_summary(self) -> dict[str, float]:
        """The reference's means over the same episodes."""
        return {name: float(x.mean()) for name, x in self.reference.items()}


def residual(values: Values, group: str) -> np.ndarray:
    """Variance of `luck` over that of what was earned, across episodes [S]: 0 where a model explains everything."""
    earned = values[f"{group}/earned"] + values[f"{group}/cut"]
    return values[f"{group}/luck"].var(axis=1) / np.maximum(earned.var(axis=1), 1e-12)


def table(evaluation: Evaluation, seed: int) -> str:
    """Every metric of every episode as CSV: a row for each episode of each seed, from number `seed` on."""
    names = sorted(evaluation.values)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["seed", "episode", *names])
    seeds, episodes = evaluation.values["steps/episode"].shape
    for s, e in itertools.product(range(seeds), range(episodes)):
        writer.writerow([seed + s, e, *(f"{evaluation.values[name][s, e]:.7g}" for name in names)])
    return text.getvalue()


def interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Mean of `values` [S] and the ends of its t confidence interval; NaN ends where there are fewer than two."""
    values = np.asarray(values, float)
    values = values[~np.isnan(values)]
    if values.size < 2:
        return float(values.mean()) if values.size else np.nan, np.nan, np.nan
    half = stdtrit(values.size - 1, 0.5 + level / 2) * values.std(ddof=1) / np.sqrt(values.size)
    return float(values.mean()), float(values.mean() - half), float(values.mean() + half)


def describe(values: np.ndarray) -> dict[str, Any]:
    """`interval` as a mapping that is valid JSON, with the values themselves."""
    mean, low, high = (None if np.isnan(x) else x for x in interval(values))
    return {"mean": mean, "low": low, "high": high, "seeds": [None if np.isnan(x) else float(x) for x in values]}


def evaluate(
    environment: Any,
    algorithm: Algorithm,
    agent_states: Any,
    key: Any,
    episodes: int,
    *,
    seeds: int | None = None,
    step: int = 0,
) -> Evaluation:
    """Play `episodes` greedy episodes with each of the states [S]; `key` decides which episodes.

    seeds: S, needed only where an algorithm that learns nothing has no states to count. step: the environment steps
    that the states have been trained for, where acting depends on it.
    """
    leaves = jax.tree.leaves(agent_states)
    count = seeds or (leaves[0].shape[0] if leaves else 1)
    return evaluator(environment, algorithm, episodes)(agent_states, episode_keys(key, count), step)


def episode_keys(key: Any, seeds: int) -> Any:
    """One key a seed [S]; each seed's does not depend on how many there are."""
    return jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(seeds))


def evaluation_keys(number: int, seeds: int) -> Any:
    """Keys [S] of a run's evaluation `number`, the same for all runs (0: the final one)."""
    return episode_keys(jax.random.fold_in(jax.random.key(ROOT), number), seeds)


Evaluator = Callable[[Any, Any, Any], Evaluation]
"""(agent states [S], keys [S], step) -> Evaluation."""

Player = Callable[[Any, Any, Any], Values]
"""(agent states [S], keys [S], step) -> metrics [S, episodes]."""


def evaluator(
    environment: Any, algorithm: Algorithm, episodes: int, between: Callable[[], None] = nothing
) -> Evaluator:
    """`evaluate`, compiled once for many calls. What `between` raises ends an evaluation."""
    if episodes < 1:
        raise BadInput(f"an evaluation needs at least one episode, got {episodes}.")
    play = player(evaluation_world(environment), algorithm, episodes, between)
    about, rival = _rival(environment, episodes, between)

    def run(agents: Any, keys: Any, step: Any) -> Evaluation:
        values = play(agents, keys, step)
        reference = rival(keys, step) if rival else {}
        return Evaluation(values | _regret(values, reference, about), reference, about)

    return run


def _rival(environment: Any, episodes: int, between: Callable[[], None]) -> tuple[Reference | None, Callable | None]:
    """The environment's reference and, where it can be played on the same episodes, its player (keys [S], step) ->
    Values."""
    world = evaluation_world(environment)
    reference = offered(world, "reference")
    about = None if reference is None else reference()
    if about is None or not about.algorithm or isinstance(world, HostEnvironment):
        return about, None
    try:
        rule = algorithms.make(about.algorithm, world)
    except BadInput as error:  # a rule of other settings of this environment
        return about._replace(algorithm="", how=f"{about.how} (not played: {error})"), None
    play = player(world, rule, episodes, between)

    def rival(keys: Any, step: Any) -> Values:
        states = jax.vmap(partial(rule.init, lanes=episodes))(keys)
        return play(states, keys, step)

    return about, rival


def _regret(values: Values, reference: Values, about: Reference | None) -> Values:
    """Reference minus ours, of every return; against the known value where the reference was not played."""
    returns = {name: x for name, x in values.items() if name.startswith("return/")}
    if reference:
        return {name.replace("return/", "regret/", 1): reference[name] - x for name, x in returns.items()}
    groups = {name: x for name, x in returns.items() if name.endswith("/mean_agent")}
    if about is None or about.value is None or len(groups) != 1:  # a value speaks for one group only
        return {}
    return {name.replace("return/", "regret/", 1): about.value - x for name, x in groups.items()}


# ---------------------------------------------------------------------------------------------------------------------
# Playing


def player(world: Any, algorithm: Algorithm, episodes: int, between: Callable[[], None] = nothing) -> Player:
    """Plays whole greedy episodes. What `between` raises ends them: it is called again and again meanwhile."""
    if isinstance(world, HostEnvironment):
        return _hosted_player(world, algorithm, episodes, between)
    return players([world], algorithm, episodes, between)[0]


def _longest(world: Any) -> int:
    """Steps after which every episode is over."""
    if world.spec.time_limit is None:
        raise BadInput(
            f"the environment {world.spec.name!r} does not say how long its episodes can be: give its spec a "
            "`time_limit` so that an evaluation knows how long to play."
        )
    return world.spec.time_limit


def players(
    environments: Sequence[Any], algorithm: Algorithm, episodes: int, between: Callable[[], None] = nothing
) -> list[Player]:
    """A player for each of some environments in JAX that differ in the values of their arrays only: they are compiled
    once, as one program."""
    split_up = [as_arguments(environment, algorithm) for environment in environments]
    static, spec = split_up[0][1], environments[0].spec
    if len({str(jax.tree.map(np.shape, arrays)) for arrays, _ in split_up}) > 1:
        raise BadInput(f"environments of {spec.name!r} differ in more than the values of arrays: play them one by one.")
    longest = _longest(environments[0])

    @jax.jit
    def play(arrays, agents, keys, step):
        environment, algorithm = eqx.combine(arrays, static)
        k_world, k_memory, k_play = split(keys, 3)
        world, now = over_lanes(environment.reset)(lane_keys(k_world, episodes))
        memory = over_lanes(algorithm.memory)(lane_keys(k_memory, episodes))
        score = over_lanes(lambda w, n: nothing_scored(n, measures(environment, w)))(world, now)
        run = Run(agents, world, now, memory, score, keys, step)
        _, rollout, summary = collect(environment, algorithm, run, k_play, longest, explore=False)
        return _first_faults(summary), _first(summary) | accounts(algorithm, agents, rollout)

    def run(arrays: Any, agents: Any, keys: Any, step: Any) -> Values:
        wrong, values = jax.device_get(interruptible(play, between)(arrays, agents, keys, jnp.int32(step)))
        _demand_finite(spec, wrong)
        if np.isnan(values["steps/episode"]).any():
            raise BadInput(f"an episode of {spec.name!r} goes on beyond its time limit of {longest} steps.")
        return values

    return [partial(run, arrays) for arrays, _ in split_up]


def accounts(algorithm: Algorithm, agents: Any, rollout: Transition) -> Metrics:
    """What the algorithm's ledgers say of the first episodes of a rollout [T, S, E, ...]: metrics [S, E].

    `ledger/<group>/earned` (discounted) plus `cut` is `foretold` plus every agent's entry, `together` and `luck`.
    """
    found = {}
    for name, book in jax.vmap(partial(ledgers, algorithm), (0, 1))(agents, rollout).items():
        entries = {"earned": book.earned.sum(-1), "cut": book.cut, "foretold": book.foretold}
        entries |= {"together": book.together.sum(-1), "luck": book.luck.sum(-1)}
        entries |= {agent: book.parts[..., i].sum(-1) for i, agent in enumerate(algorithm.spec.groups[name].names)}
        found |= {f"ledger/{name}/{entry}": value for entry, value in entries.items()}
    return found


def _first_faults(summary: Any) -> Any:
    """Takes the faults [T, S, E, K] out of the summaries: the first step of each in a first episode [S, K], or NaN."""
    broken = summary.pop(faults.NAME)
    ended = jnp.cumsum(~jnp.isnan(summary["steps/episode"]), axis=0)
    over = jnp.concatenate([jnp.zeros_like(ended[:1]), ended[:-1]]) > 0
    first = faults.first(broken & ~over[..., None], 1 + jnp.arange(broken.shape[0]))
    return jnp.where(first < faults.NEVER, first, jnp.nan)


def _first(summary: Any) -> Any:
    """Summaries [T, S, E], NaN but where an episode ended -> those of each lane's first episode [S, E]."""
    ended = jnp.argmax(~jnp.isnan(summary["steps/episode"]), axis=0)[None]
    return jax.tree.map(lambda x: jnp.take_along_axis(x, ended, axis=0)[0], summary)


def _hosted_player(environment: Any, algorithm: Algorithm, episodes: int, between: Callable[[], None]) -> Player:
    """Rounds of one episode per lane, until every seed has enough; the first `episodes` count."""
    arrays, static = as_arguments(algorithm)

    @jax.jit
    def begin(arrays, agents, now, keys, step):
        (algorithm,) = eqx.combine(arrays, static)
        memory = over_lanes(algorithm.memory)(lane_keys(keys, now.last.shape[1]))
        return Run(agents, (), now, memory, over_lanes(lambda n: nothing_scored(n, {}))(now), keys, step)

    @jax.jit
    def act(arrays, run, t):
        (algorithm,) = eqx.combine(arrays, static)
        action, memory, _ = choose(algorithm, run, jax.vmap(jax.random.fold_in, (0, None))(run.key, t), explore=False)
        return action, run._replace(memory=memory)

    @jax.jit
    def settle(run, action, then, following):
        score, summary = over_lanes(partial(tally, measured={}))(run.score, run.now, then)
        wrong = over_lanes(partial(look, environment.spec, True))(run.score, run.now, action, then)
        return run._replace(score=score, now=following), summary, wrong

    @jax.jit
    def account(arrays, agents, steps):
        (algorithm,) = eqx.combine(arrays, static)
        return accounts(algorithm, agents, jax.tree.map(lambda *x: jnp.stack(x), *steps))

    def one_round(agents: Any, keys: Any, step: Any) -> Values:
        seeds = keys.shape[0]
        if offered(environment, "reseed"):
            seed = over_lanes(lambda key: jax.random.randint(key, (), 0, 2**31 - 1))
            environment.reseed(np.asarray(seed(lane_keys(keys, environment.lanes // seeds))).ravel().tolist())
        lanes = environment.lanes // seeds
        run = begin(arrays, agents, on_device(environment.reset(), seeds, lanes), keys, jnp.int32(step))
        first: Values = {}
        over = np.zeros((seeds, lanes), bool)
        steps, keeps = [], False
        for t in itertools.count():
            between()
            demand_end(environment.spec, t)
            action, run = act(arrays, run, t)
            flat = jax.tree.map(lambda x: np.asarray(x).reshape(seeds * lanes, *x.shape[2:]), action)
            then, following = (on_device(x, seeds, lanes) for x in environment.step(flat))
            moved = Transition(run.now, action, then)
            keeps = keeps or (t == 0 and bool(jax.eval_shape(account, arrays, agents, [moved])))
            steps += [moved] * keeps
            run, summary, wrong = settle(run, action, then, following)
            summary, wrong = jax.device_get((summary, wrong))
            wrong = (wrong & ~over[..., None]).any(1)
            _demand_finite(environment.spec, np.where(wrong, t + 1, np.nan))
            first = {name: np.asarray(np.where(over, first.get(name, x), x)) for name, x in summary.items()}
            over |= np.asarray(then.last)
            if over.all():
                break
        return first | jax.device_get(account(arrays, agents, steps) if keeps else {})

    def play(agents: Any, keys: Any, step: Any) -> Values:
        seeds = keys.shape[0]
        if environment.lanes % seeds:
            raise BadInput(f"the environment's {environment.lanes} lanes cannot be shared by {seeds} seeds evenly.")
        rounds = -(-episodes * seeds // environment.lanes)
        fold = jax.vmap(jax.random.fold_in, (0, None))
        played = [one_round(agents, fold(keys, number), step) for number in range(rounds)]
        return {name: np.concatenate([x[name] for x in played], axis=1)[:, :episodes] for name in played[0]}

    return play


def _demand_finite(spec: Spec, firsts: np.ndarray) -> None:
    """BadInput where a number of an episode was not finite: the first step of each fault [S, K]."""
    cause = faults.cause(firsts, spec, shown=True)
    if cause is not None:
        raise cause.error(spec, f"in step {cause.step:,} of an episode of an evaluation")


def demand_end(spec: Spec, t: int) -> None:
    """BadInput where an episode goes on after `t` steps, and should not."""
    if t >= (PATIENCE if spec.time_limit is None else 2 * spec.time_limit):
        raise BadInput(
            f"an episode of {spec.name!r} has not ended after {t:,} steps of an evaluation: make the environment with "
            "a time limit that it keeps to (`--env.time-limit N`, or `time_limit` in its spec) and evaluate again."
        )
