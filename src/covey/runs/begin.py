"""The run to begin with: fresh, or the newest whole checkpoint of the folder."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax

from covey.authored.reward import without_authored_reward
from covey.core.errors import BadInput
from covey.core.interrupts import interruptible
from covey.core.loop import as_arguments, start, start_hosted
from covey.core.mesh import place
from covey.core.optional import offered
from covey.core.registry import conform
from covey.core.structure import demand_structure_of_others
from covey.core.types import Run
from covey.learning.buffer import Buffer, end_episodes
from covey.runs import checkpoint, journal, memory
from covey.runs import config as configs
from covey.runs.checkpoint import Identity, Saved
from covey.runs.config import Config
from covey.runs.files import reading
from covey.runs.live import View
from covey.runs.trust import is_sealed

LADDER = tuple(m * 10**e for e in range(8) for m in (1, 2, 5))
"""Lengths that a chunk may have, in iterations."""

CHUNK_S = 1.0
"""How long a chunk should take."""


ENVIRONMENT = "environment"
"""What the seal of a saved environment is for."""


class Pace(NamedTuple):
    """Iterations of a chunk. Settled: measured, and fixed for the rest of the run."""

    length: int = 1
    settled: bool = False

    def after(self, iterations: int, seconds: float) -> Pace:
        """The pace after a chunk of `iterations` that took `seconds`: up the ladder until a chunk takes long enough."""
        if self.settled or iterations < self.length:
            return self
        each = seconds / iterations
        length = max([n for n in LADDER if n * each <= CHUNK_S and n <= 10 * iterations], default=1)
        return Pace(length, settled=length <= self.length)


FIRST_PACE = Pace()


class HostFacts(NamedTuple):
    """What the host needs to go on with a run, kept with its checkpoint."""

    pace: Pace = FIRST_PACE
    train_s: float = 0.0


def begin(
    config: Config, folder: Path, resume: bool, screen: View, between: Callable[[], None], trust: bool = False
) -> tuple[Run, HostFacts]:
    """A fresh run, or the one in the newest whole checkpoint of `folder`. What `between` raises ends the wait.

    trust: restore a saved environment, which may run code, though it was not saved by this user.
    """
    with reading(f"the run folder {folder}"):
        saved = checkpoint.latest(folder / checkpoint.CHECKPOINTS) if resume else None
    if config.end != config.steps:
        screen.note(f"{config.steps:,} steps are rounded up to {config.end:,} ({config.iteration:,} an iteration).")
    if resume and saved is None:
        screen.note(f"{folder} has no checkpoint yet: the run begins.")
        journal.cut(folder, -1)
    if config.hosted:
        return _begin_hosted(config, folder, saved, screen, trust)
    demand_structure_of_others(without_authored_reward(config.environment))
    abstract = jax.eval_shape(partial(start, config.environment, config.algorithm, lanes=config.envs), config.keys)
    _show_memory(config, abstract, screen)
    if saved is None:
        return place(interruptible(_start, between)(config)), HostFacts(_pace(config))
    return place(checkpoint.restore(_checked(config, folder, saved, screen), abstract)), _facts(config, saved)


def _start(config: Config) -> Run:
    """`loop.start` as one program."""
    arrays, static = as_arguments(config.environment, config.algorithm)

    @jax.jit
    def program(arrays, keys):
        environment, algorithm = eqx.combine(arrays, static)
        return start(environment, algorithm, keys, config.envs)

    return program(arrays, config.keys)


def _begin_hosted(
    config: Config, folder: Path, saved: Saved | None, screen: View, trust: bool
) -> tuple[Run, HostFacts]:
    """As `begin`. An environment that cannot be saved begins a new episode, and the rest goes on as it was."""
    if config.environment.lanes != config.seeds * config.envs:
        raise BadInput(
            f"the environment {config.environment.spec.name!r} has {config.environment.lanes} lanes, but "
            f"{config.seeds} seeds x {config.envs} envs ask for {config.seeds * config.envs}: make it with as many."
        )
    run = start_hosted(config.environment, config.algorithm, config.keys, config.envs)
    abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), run)
    _show_memory(config, abstract, screen)
    if saved is None:
        return run, HostFacts(_pace(config))
    restored = checkpoint.restore(_checked(config, folder, saved, screen), abstract)
    if saved.world is not None and offered(config.environment, "restore"):
        if not (trust or is_sealed(saved.about["host"].get("seal"), ENVIRONMENT, saved.world)):
            raise BadInput(
                f"the checkpoint {saved.folder} holds an environment that was not saved by this user on this machine, "
                "and to restore it may run code: if you trust whoever made it, add `--trust` (in Python: `trust=True`)."
            )
        config.environment.restore(saved.world)
        return restored, _facts(config, saved)
    screen.note(f"the environment {config.environment.spec.name!r} cannot be saved: the run goes on with new episodes.")
    agent = _end_episodes(restored.agent, saved.step)
    return run._replace(agent=agent, key=restored.key, step=restored.step), _facts(config, saved)


def _end_episodes(agent: Any, step: int) -> Any:
    """An agent whose replays know that the episodes of the first `step` steps do not go on."""

    def end(part: Any) -> Any:
        return jax.vmap(lambda buffer: end_episodes(buffer, step))(part) if is_buffer(part) else part

    def is_buffer(part: Any) -> bool:
        return isinstance(part, Buffer)

    return jax.tree.map(end, agent, is_leaf=is_buffer) if step else agent


def _show_memory(config: Config, abstract: Run, screen: View) -> None:
    plan = memory.plan(config, abstract)
    screen.note(plan.text())
    warning = memory.large_observations(config.environment.spec, plan.networks)
    if warning:
        screen.note(warning)
    plan.demand()


def _checked(config: Config, folder: Path, saved: Saved, screen: View) -> Saved:
    """`saved`, if it is of this run; the folder is put back to where it was at that step."""
    checkpoint.check(saved, identity(config))
    for sentence in saved.passed_over:
        screen.note(f"{sentence}.")
    screen.note(f"the run goes on from step {saved.step:,} ({saved.folder}).")
    changed = checkpoint.differences(saved, configs.versions())
    if changed:
        screen.note(f"it may not go on to the bit as it would have: {'; '.join(changed)}.")
    for name in (checkpoint.CHECKPOINTS, checkpoint.POLICIES):
        checkpoint.forget_after(folder / name, saved.step)
    journal.cut(folder, saved.step)
    return saved


def identity(config: Config) -> Identity:
    """What a checkpoint of this configuration belongs to."""
    return Identity(type(config.algorithm).__name__, config.environment.spec.name, configs.fingerprint(config))


def _facts(config: Config, saved: Saved) -> HostFacts:
    host, what = saved.about["host"], f"in the checkpoint {saved.folder} the entry"
    length, settled = conform(host.get("pace"), tuple[int, bool], f"{what} 'pace'")
    train_s = conform(host.get("train_s"), float, f"{what} 'train_s'")
    return HostFacts(_pace(config, Pace(min(max(length, 1), LADDER[-1]), settled)), train_s)


def _pace(config: Config, measured: Pace = FIRST_PACE) -> Pace:
    """The configured pace, or else the one that was measured so far."""
    return Pace(config.chunk, settled=True) if config.chunk else measured
