"""The laws that every algorithm keeps on every environment, one function each: silence, or an AssertionError with a
sentence.

    to the bit      split chunks; the same command twice; save, load, continue; padding and the data of dead agents
                    change nothing; hosted and compiled, where the environment rounds nothing
    within 1e-5     hosted and compiled, otherwise; one seed alone and in a batch; one device and many; agents of a
                    group renumbered; an absent mask and a mask that allows everything
    and             everything stays finite, and what does not is noticed

A `Pair` holds what the laws share, so that each program is compiled once. A law about something that an algorithm or an
environment does not have (padding, deaths, a ledger) raises `Silent` with the reason: it asserted nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from covey.core import loop, mesh
from covey.core.algorithm import Algorithm, ledgers
from covey.core.environment import Environment
from covey.core.errors import Diverged
from covey.core.optional import offered
from covey.core.program import program
from covey.core.types import Metrics, Run, TimeStep, Transition
from covey.runs import checkpoint
from covey.runs.begin import HostFacts
from covey.runs.config import Config
from covey.runs.journal import opened
from covey.runs.live import Quiet
from covey.runs.session import Session
from covey.runs.signals import Request
from covey.testing.as_host import AsHost, loop_draws
from covey.testing.compare import difference
from covey.testing.garble import Flags, GarbledActors, GarbledWorld, has_dead, has_padding, rotate_groups

SEEDS, LANES = 2, 4


class Silent(Exception):
    """A law says nothing about this pair; the message is the reason."""


def demand(there: bool, reason: str) -> None:
    """Silence with the reason, unless what the law is about is there."""
    if not there:
        raise Silent(reason)


TRUE = Flags()  # nothing is garbled
ROUNDING = 1e-5  # what another program of the same arithmetic may change in one iteration


class Pair:
    """An algorithm in an environment, and what the laws share: programs that are compiled once, and what they gave."""

    def __init__(self, algorithm: Algorithm, environment: Environment, seeds: int = SEEDS, lanes: int = LANES):
        self.algorithm, self.environment = algorithm, environment
        self.spec, self.lanes = environment.spec, lanes
        self.keys = jax.random.split(jax.random.key(0), seeds)
        horizon, world = algorithm.plan.horizon, GarbledWorld(environment, TRUE)

        def play(flags, run, iterations):
            actors = GarbledActors(algorithm.spec, algorithm.groups, algorithm, flags)
            return loop.chunk(GarbledWorld(environment, flags), actors, run, iterations)

        self._play = program(play, donate_argnums=1)
        self._start = program(partial(loop.start, world, algorithm, lanes=lanes))
        self._collect = program(lambda run, key: loop.collect(world, algorithm, run, key, horizon))
        self._choose = program(partial(loop.choose, algorithm, explore=True))
        self._learn = program(partial(loop.learn, algorithm))

    @property
    def idle(self) -> int:
        """Iterations before the one that brings the first update."""
        plan = self.algorithm.plan
        warm = math.ceil(_warmup(self.algorithm) / (plan.horizon * self.lanes))
        return max(math.ceil(warm / plan.every) * plan.every, plan.every, 2) - 1

    @property
    def iterations(self) -> int:
        """An even number of iterations, with a few updates in each half."""
        return 2 * (self.idle + 1 + 2 * self.algorithm.plan.every)

    def begin(self) -> Run:
        """The run before its first step; a new one each time, because a chunk gives up the run it is given."""
        return self._start(self.keys)

    def chunk(self, run: Run, iterations: int, flags: Flags = TRUE) -> tuple[Run, Metrics]:
        """The run after so many iterations, and means over them."""
        return self._play(jax.tree.map(jnp.bool_, flags), run, jnp.int32(iterations))

    def after(self, *lengths: int) -> Run:
        """The run after chunks of these lengths."""
        run = self.begin()
        for length in lengths:
            run, _ = self.chunk(run, length)
        return run

    @cached_property
    def whole(self) -> tuple[Run, Metrics]:
        """What `iterations` lead to, to compare with (not to go on from)."""
        return self.chunk(self.begin(), self.iterations)

    @property
    def played(self) -> Run:
        return self.whole[0]

    @cached_property
    def alone(self) -> Run:
        """The first seed, by itself, before its first step."""
        return first_seed(self.begin())

    @cached_property
    def rollouts(self) -> list[Transition]:
        """What the first seed's initial policy experiences: as many rollouts as there are iterations."""
        run, rollouts = self.alone, []
        for index in range(self.iterations):
            run, rollout, _ = self._collect(run, jax.random.split(jax.random.key(index), 1))
            rollouts.append(rollout)
        return rollouts

    def learned(self, rollouts: list[Transition], agent: Any = None) -> tuple[Any, list[Metrics]]:
        """The first seed's agent after learning from `rollouts` one after the other, and every metric on the way."""
        agent, reported = self.alone.agent if agent is None else agent, []
        for index, rollout in enumerate(rollouts):
            step = jnp.int32(index * self.algorithm.plan.horizon * self.lanes)
            agent, metrics = self._learn(agent, rollout, jax.random.split(jax.random.key(index), 1), step)
            reported.append(metrics)
        return agent, reported

    def parameters(self, agent: Any) -> Any:
        """The parameters in the states [S, ...] of an agent."""
        return jax.vmap(self.algorithm.parameters)(agent) if jax.tree.leaves(agent) else ()

    def actions(self, now: Any) -> Any:
        """What the first seed's initial policy does where it sees `now` [1, E]."""
        return self._choose(self.alone._replace(now=now), jax.random.split(jax.random.key(1), 1))[0]


@jax.jit
def first_seed(run: Run) -> Run:
    """The first seed of a run, as a run of one seed (that survives when the run is given up)."""
    return jax.tree.map(lambda x: x[:1], run._replace(step=()))._replace(step=run.step + 0)


def _warmup(algorithm: Algorithm) -> int:
    return max([algorithm.plan.warmup, *(_warmup(part) for part in offered(algorithm, "parts") or ())])


def agree(law: str, one: Any, other: Any, tolerance: float = 0.0) -> None:
    found = difference(one, other, tolerance)
    assert not found, f"{law}, in {found}."


# ---------------------------------------------------------------------------------------------------------------------
# The run


def law_split_chunks(pair: Pair) -> None:
    """4 + 4 iterations are 8 iterations."""
    half = pair.iterations // 2
    law = f"two chunks of {half} iterations and one of {2 * half} end in different runs"
    agree(law, pair.after(half, half), pair.played)


def law_same_twice(pair: Pair) -> None:
    """The same command gives the same run."""
    agree("the same run, played twice, ends differently", pair.after(pair.iterations), pair.played)


def law_finite(pair: Pair) -> None:
    """Parameters stay finite, and no metric is infinite."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(pair.parameters(pair.played.agent)):
        if jnp.issubdtype(leaf.dtype, jnp.inexact):
            where = jax.tree_util.keystr(path)
            assert jnp.isfinite(leaf).all(), (
                f"after {pair.iterations} iterations the parameters {where} are not finite."
            )
    infinite = [name for name, value in pair.whole[1].items() if jnp.isinf(value).any()]
    assert not infinite, f"the metrics {infinite} are infinite."


def law_learns(pair: Pair) -> None:
    """Something is learned in the run that the other laws are about; else they would be silent."""
    before, after = pair.parameters(pair.begin().agent), pair.parameters(pair.played.agent)
    demand(bool(jax.tree.leaves(before)), "the algorithm has no parameters.")
    assert difference(before, after), (
        f"nothing is learned in {pair.iterations} iterations: is the warm-up missing from `plan`?"
    )


def law_save_and_load(pair: Pair, folder: Path) -> None:
    """A run that is saved, loaded and continued is the run that was never interrupted."""
    half = pair.iterations // 2
    identity = checkpoint.Identity("law", pair.spec.name, {})
    checkpoint.save(folder, pair.after(half), identity, {}, {})
    saved = checkpoint.latest(folder)
    assert saved is not None, "a checkpoint that was just written is not found."
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), pair.begin())
    restored, _ = pair.chunk(checkpoint.restore(saved, like), half)
    agree("a run that was saved and loaded goes on differently", restored, pair.played)


def law_acting(pair: Pair) -> None:
    """What only learning needs is not missed in acting."""
    run, now = pair.alone, _at(pair.rollouts[0].now, 0)
    demand(bool(jax.tree.leaves(run.agent)), "the algorithm has no state.")
    less = run._replace(agent=jax.vmap(pair.algorithm.acting)(run.agent))
    key = jax.random.split(jax.random.key(1), 1)
    done = pair._choose(less._replace(now=now), key)[0]
    agree("an algorithm acts otherwise on what its `acting` leaves of a state", done, pair.actions(now), ROUNDING)


def law_ledger(pair: Pair) -> None:
    """What a ledger accounts for is what was earned, but for rounding."""
    agent, rollout = pair.alone.agent, pair.rollouts[0]
    books = program(jax.vmap(partial(ledgers, pair.algorithm), (0, 1)))(agent, rollout)
    demand(bool(books), "the algorithm keeps no ledger.")
    for name, book in books.items():
        earned = book.earned.sum(-1) + book.cut
        accounted = book.foretold + book.parts.sum((-1, -2)) + book.together.sum(-1) + book.luck.sum(-1)
        size = 1.0 + jnp.abs(book.earned).sum(-1) + jnp.abs(book.luck).sum(-1) + jnp.abs(book.cut)
        off = jnp.abs(earned - accounted) / size
        assert (off < 1e-5).all(), f"the ledger of group {name!r} is off by {float(off.max()):.2g} of what it holds."


def law_hosted(pair: Pair) -> None:
    """The loop around an environment outside JAX is the compiled loop, but for the rounding of the environment's own
    step."""
    _agree_on_host(pair, pair.idle + 1, pair.after(pair.idle + 1), ROUNDING)


def law_hosted_exactly(pair: Pair) -> None:
    """The same to the bit, for an environment whose step rounds nothing (whole numbers, such as toy/discrete).

    Two programs have to round alike for that, and with the compiler's usual settings they do.
    """
    begin = program(partial(loop.start, pair.environment, pair.algorithm, lanes=pair.lanes))
    run = begin(pair.keys)._replace(agent=pair.begin().agent)
    plain, _ = loop.compiled(pair.environment, pair.algorithm)(run, pair.iterations)  # in which nothing can be garbled
    _agree_on_host(pair, pair.iterations, plain, 0.0)


def _agree_on_host(pair: Pair, iterations: int, compiled: Run, tolerance: float) -> None:
    seeds, horizon = len(pair.keys), pair.algorithm.plan.horizon
    world = AsHost(pair.environment, seeds * pair.lanes, loop_draws(pair.keys, pair.lanes, horizon))
    run = loop.start_hosted(world, pair.algorithm, pair.keys, pair.lanes)
    run = run._replace(agent=pair.begin().agent)  # drawn by another program, which may round otherwise
    run, _ = loop.hosted(world, pair.algorithm)(run, iterations)

    def shared(run: Run) -> Run:  # a host environment keeps its own state, and measures nothing
        return run._replace(world=(), score=run.score._replace(measure={}))

    law = "an environment gives different runs inside and outside of the compiled loop"
    agree(law, shared(run), shared(compiled), tolerance)


def law_alone(pair: Pair) -> None:
    """A seed in a batch of seeds learns what it learns alone."""
    run = pair.after(pair.idle)
    alone, (batch, _) = first_seed(run), pair.chunk(run, 1)
    key, k_collect, k_learn = loop.split(alone.key, 3)
    moved, rollout, _ = pair._collect(alone, k_collect)
    agent, _ = pair._learn(alone.agent, rollout, k_learn, alone.step)
    law = "a seed alone and the same seed in a batch differ after one iteration"
    agree(law, moved._replace(agent=agent, key=key), first_seed(batch), ROUNDING)


def law_sharded(pair: Pair) -> None:
    """A run over several devices is the run on one; needs more than one device."""
    run = mesh.place(pair.after(pair.idle), lanes=True)
    law = f"one device and {len(run.key.sharding.device_set)} differ after one iteration"
    agree(law, pair.chunk(run, 1)[0], pair.after(pair.idle, 1), ROUNDING)


def law_non_finite(pair: Pair, folder: Path) -> None:
    """Parameters that are not finite stop the run, with a sentence that names the seed."""
    run = pair.begin()
    floats = any(jnp.issubdtype(x.dtype, jnp.inexact) for x in jax.tree.leaves(run.agent))
    demand(floats, "the algorithm holds no number that could diverge.")
    seed = len(pair.keys) - 1
    poisoned = jax.tree.map(partial(_poisoned, seed), run.agent)
    config = Config(pair.algorithm, pair.environment, steps=1, seeds=len(pair.keys), envs=pair.lanes)
    with opened(folder, []) as journal:
        run = run._replace(agent=poisoned)
        session = Session(config, folder, run, HostFacts(), journal, Quiet(), Request())
        sentence = _complaint(session)
    assert sentence, "a run goes on though all of its state is NaN: `parameters` leaves out what is learned."
    assert f"seed {seed} " in sentence, f"a run of which seed {seed} diverged stops and says: {sentence}"


def _poisoned(seed: int, x: Any) -> Any:
    """`x` [S, ...] with NaN for one seed, where it holds floats."""
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        return x
    x = np.array(x)
    x[seed] = np.nan
    return x


def _complaint(session: Session) -> str:
    """What a session says of its parameters; nothing where it goes on."""
    try:
        session.demand_finite(0)
    except Diverged as stop:
        return str(stop)
    return ""


# ---------------------------------------------------------------------------------------------------------------------
# What must not matter


def law_padding(pair: Pair) -> None:
    """What an environment writes into padding is never seen."""
    demand(has_padding(pair.spec), "no observation of the environment is padded.")
    _agree_garbled(pair, Flags(padding=True), "padding changes what is learned", "padding changes what is done")


def law_dead(pair: Pair) -> None:
    """What dead agents see, do and get changes nothing: not the others' actions, not the parameters, not a metric."""
    demand(has_dead(pair.rollouts), "nobody dies.")
    learned = "the data of dead agents change what is learned"
    _agree_garbled(pair, Flags(dead=True), learned, "what dead agents see changes what the living do")


def _agree_garbled(pair: Pair, flags: Flags, learned: str, done: str) -> None:
    """Played with the flags, the run learns, reports, moves and earns the same."""
    (run, metrics), (true_run, true_metrics) = pair.chunk(pair.begin(), pair.iterations, flags), pair.whole
    agree(learned, pair.parameters(run.agent), pair.parameters(true_run.agent))
    agree(done, (run.world, run.score), (true_run.world, true_run.score))
    agree(f"{learned} (a metric)", metrics, true_metrics)


def law_absent_mask(pair: Pair) -> None:
    """No mask means that everything is legal."""
    demand(bool(pair.rollouts[0].now.legal), "the environment restricts no action.")
    few = pair.rollouts[: pair.idle + 1]
    everything = [_with_legal(rollout, lambda mask: jnp.ones_like(mask)) for rollout in few]
    absent = [_with_legal(rollout, None) for rollout in few]
    law = "a mask that allows everything and no mask differ"
    agree(f"{law} in acting", pair.actions(_at(absent[0].now, 0)), pair.actions(_at(everything[0].now, 0)), ROUNDING)
    agree(f"{law} in learning", pair.learned(absent), pair.learned(everything), ROUNDING)


def law_rotation(pair: Pair) -> None:
    """Renumbering the agents of a group, with their own networks, renumbers what is learned.

    For algorithms with a method `rotate(state, shift)`, which moves everything of agent i to agent i + shift (None
    where agents share it), and for environments in which a number means nothing: no padding, no global state.
    """
    fair = not (has_padding(pair.spec) or pair.spec.state)
    demand(fair, "an agent's number means something: there is padding or a global state.")
    rotate = offered(pair.algorithm, "rotate")
    demand(rotate is not None, "the algorithm offers no `rotate`.")
    turn = jax.vmap(partial(rotate, shift=1))  # type: ignore[arg-type]
    demand(turn(pair.alone.agent) is not None, "agents of a group share what is learned.")
    few = pair.rollouts[: pair.idle + 1]
    rotated = [rotate_groups(pair.spec, rollout, 1) for rollout in few]
    expected, (found, _) = turn(pair.learned(few)[0]), pair.learned(rotated, turn(pair.alone.agent))
    law = "renumbering the agents of a group changes what they learn"
    agree(law, pair.parameters(found), pair.parameters(expected), ROUNDING)


def _at(now: TimeStep, t: int) -> TimeStep:
    return jax.tree.map(lambda x: x[t], now)


def _with_legal(rollout: Transition, change: Callable | None) -> Transition:
    """The rollout with other masks, or (None) without."""
    now, then = (
        step._replace(legal={} if change is None else jax.tree.map(change, step.legal))
        for step in (rollout.now, rollout.then)
    )
    return rollout._replace(now=now, then=then)


LAWS = (
    law_split_chunks,
    law_same_twice,
    law_finite,
    law_learns,
    law_ledger,
    law_acting,
    law_hosted,
    law_alone,
    law_padding,
    law_dead,
    law_absent_mask,
    law_rotation,
)
"""The laws of a pair alone."""

LAWS_ON_DISK = (law_save_and_load, law_non_finite)
"""The laws that also need an empty folder."""

LAWS_OF_DEVICES = (law_sharded,)
"""The laws that need more than one device."""
