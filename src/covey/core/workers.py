"""Worlds outside JAX in several processes: `Workers` looks like one `HostEnvironment` and runs many.

    parent                        worker w (spawned)
      action -> shared memory ->    its lanes' actions
      "step" -> pipe          ->    environment.step
      then, now <- shared memory <- its lanes' time steps

Commands and everything rare (resets, saves, errors) go through a pipe; what is exchanged at every step lies in one
block of shared memory that each worker sees its own lanes of.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import struct
import time
import traceback
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from typing import Any, NamedTuple

import numpy as np

from covey.core.environment import HostEnvironment
from covey.core.errors import BadInput
from covey.core.types import Groups, Spec, TimeStep, action_shape

ALIGNMENT = 64  # bytes; every shared array begins on a cache line
PATIENCE = 5.0  # seconds that a worker gets to end by itself

OFFERS = ("save", "restore", "reseed")  # what a world may do beyond what it must

Make = Callable[[Sequence[int]], HostEnvironment]
"""Builds a host environment with one lane per seed: `make([3, 4])` has two lanes."""


class WorkerFailed(BadInput):
    """A worker raised or died. The message says which; `details` is the worker's own traceback."""


def lane_seeds(seed: int, lanes: int) -> tuple[int, ...]:
    """One seed per lane, all different, decided by `seed`; each fits an int32."""
    return tuple(int(x) for x in np.random.default_rng(seed).choice(2**31 - 1, lanes, replace=False))


class Workers:
    """`lanes` lanes of the world that `make` builds, shared out over `workers` processes.

    The lanes are those of `make(lane_seeds(seed, lanes))`, in order: if a lane depends on its own seed alone, any
    number of workers plays the same episodes. `make` is sent to the processes, so it has to be a module-level function
    (or a `functools.partial` of one). `save`, `restore` and `reseed` exist where the world offers them; a save is for
    the same number of lanes and workers.
    """

    def __init__(self, make: Make, lanes: int, workers: int, seed: int = 0):
        if not 1 <= workers <= lanes:
            raise BadInput(f"{lanes} lanes cannot be shared by {workers} workers: use between 1 and {lanes}.")
        context = multiprocessing.get_context("spawn")
        seeds = lane_seeds(seed, lanes)
        self._bounds = [lanes * w // workers for w in range(workers + 1)]
        self._crew = Crew([], [], [])
        self._close = weakref.finalize(self, dismiss, self._crew)
        self._lanes = lanes
        self._views: Views | None = None
        self._spec: Spec | None = None
        try:
            for begin, end in self._blocks():
                self._hire(context, make, seeds[begin:end])
            self._spec, offers = self._hear_all()[0]
        except BaseException:
            self.close()
            raise
        if {"save", "restore"} <= offers:
            self.save, self.restore = self._save, self._restore
        if "reseed" in offers:
            self.reseed = self._reseed

    @property
    def spec(self) -> Spec:
        assert self._spec is not None
        return self._spec

    @property
    def lanes(self) -> int:
        return self._lanes

    def reset(self) -> TimeStep:
        parts = self._ask("reset")
        now = TimeStep(*rebuild(parts[0], map(np.concatenate, zip(*map(leaves, parts), strict=True))))
        if self._views is None:
            self._share(now)
        return now

    def step(self, action: Groups) -> tuple[TimeStep, TimeStep]:
        self._demand_open()
        if self._views is None:
            raise BadInput("these workers have not been reset: call `reset()` (or `restore`) before `step`.")
        for mine, given in zip(leaves(self._views.action), leaves(self._in_order(action)), strict=True):
            mine[...] = given
        self._ask("step")
        return copied(self._views.then), copied(self._views.now)

    def close(self) -> None:
        """End the processes and free the memory; may be called any number of times."""
        self._views = None
        self._close()

    # -----------------------------------------------------------------------------------------------------------------

    def _blocks(self) -> list[tuple[int, int]]:
        return list(zip(self._bounds[:-1], self._bounds[1:], strict=True))

    def _hire(self, context: Any, make: Make, seeds: Sequence[int]) -> None:
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, make, seeds), daemon=True)
        process.start()
        theirs.close()  # so that a dead worker is the end of its pipe
        self._crew.processes.append(process)
        self._crew.pipes.append(ours)

    def _share(self, now: TimeStep) -> None:
        """Lay out the shared block, whose shapes are known from the first time step, and tell the workers."""
        action = {}
        for name, group in self.spec.groups.items():
            shape, dtype = action_shape(group.action)
            action[name] = np.zeros((self.lanes, group.size, *shape), dtype)
        shared = shapes(Views(action=action, then=now, now=now))
        block = SharedMemory(create=True, size=sum(shape.room for shape in leaves(shared)))
        self._crew.blocks.append(block)
        self._views = view(shared, block, 0, self.lanes)
        self._ask("share", [(block.name, shared, begin, end) for begin, end in self._blocks()])

    def _in_order(self, action: Groups) -> Groups:
        missing = set(self.spec.groups) - set(action)
        if missing:
            raise BadInput(f"the action lacks the groups {sorted(missing)}: give every group of the world its actions.")
        return {name: action[name] for name in self.spec.groups}

    def _reseed(self, seeds: Sequence[int]) -> None:
        self._ask("reseed", [seeds[begin:end] for begin, end in self._blocks()])

    def _save(self) -> bytes:
        return join(self._ask("save"))

    def _restore(self, saved: bytes) -> None:
        if self._views is None:
            self.reset()  # to learn the shapes; what is restored replaces it
        parts = cut(saved)
        if len(parts) != len(self._crew.pipes):
            raise BadInput(
                f"this save is of {len(parts)} workers and cannot be restored by {len(self._crew.pipes)}: "
                f"use workers={len(parts)}."
            )
        self._ask("restore", parts)

    def _ask(self, command: str, arguments: Iterable[Any] | None = None) -> list[Any]:
        """Send every worker a command, then hear every answer."""
        self._demand_open()
        arguments = [None] * len(self._crew.pipes) if arguments is None else arguments
        for index, (pipe, argument) in enumerate(zip(self._crew.pipes, arguments, strict=True)):
            try:
                pipe.send((command, argument))
            except OSError as error:
                raise self._gone(index) from error
        return self._hear_all()

    def _demand_open(self) -> None:
        if not self._close.alive:
            raise BadInput("these workers are closed: build new ones.")

    def _hear_all(self) -> list[Any]:
        return [self._hear(index) for index in range(len(self._crew.pipes))]

    def _hear(self, index: int) -> Any:
        try:
            fine, answer = self._crew.pipes[index].recv()
        except (EOFError, OSError) as error:
            raise self._gone(index) from error
        if fine:
            return answer
        self.close()
        if isinstance(answer, BadInput):
            raise answer
        failed = WorkerFailed(f"worker {index} (lanes {self._span(index)}) raised; all workers were closed.")
        failed.details = answer
        raise failed

    def _gone(self, index: int) -> WorkerFailed:
        process = self._crew.processes[index]
        process.join(PATIENCE)
        self.close()
        said = f"worker {index} (lanes {self._span(index)}) died with exit code {process.exitcode}, without a traceback"
        if self._spec is None:  # every worker begins by importing the script that hired it
            said += ', before it began: does the script that hires workers do so under `if __name__ == "__main__":`?'
        return WorkerFailed(f"{said}; all workers were closed.")

    def _span(self, index: int) -> str:
        begin, end = self._blocks()[index]
        return f"{begin} to {end - 1}"


class Crew(NamedTuple):
    """What has to be given back to the operating system."""

    processes: list[Any]
    pipes: list[Connection]
    blocks: list[SharedMemory]


def dismiss(crew: Crew) -> None:
    """End every worker, the hard way if it does not listen, and free the shared memory."""
    for pipe in crew.pipes:
        with contextlib.suppress(OSError):
            pipe.send(("close", None))
    deadline = time.monotonic() + PATIENCE
    for process in crew.processes:
        process.join(max(deadline - time.monotonic(), 0.0))
        if process.is_alive():
            process.kill()
            process.join()
    for pipe in crew.pipes:
        pipe.close()
    for block in crew.blocks:
        with contextlib.suppress(BufferError):  # somebody still holds a view: the memory goes with the last one
            block.close()
        block.unlink()


# ---------------------------------------------------------------------------------------------------------------------
# In the worker


def work(pipe: Connection, make: Make, seeds: Sequence[int]) -> None:
    """A worker's life: build the world, then answer commands until told to close (or the parent is gone)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the parent decides what it means
    with contextlib.suppress(EOFError, OSError):
        try:
            serve(pipe, checked(make(seeds), len(seeds)))
        except BadInput as error:
            pipe.send((False, error))
        except Exception:
            pipe.send((False, traceback.format_exc()))


def checked(environment: HostEnvironment, lanes: int) -> HostEnvironment:
    if environment.lanes != lanes:
        raise BadInput(f"`make` got {lanes} seeds and built {environment.lanes} lanes: build one lane per seed.")
    return environment


def serve(pipe: Connection, environment: Any) -> None:
    views, block = Views({}, None, None), None
    pipe.send((True, (environment.spec, {name for name in OFFERS if hasattr(environment, name)})))
    while True:
        command, argument = pipe.recv()
        answer = None
        match command:
            case "reset":
                answer = environment.reset()
            case "share":
                name, shared, begin, end = argument
                block = SharedMemory(name)
                views = view(shared, block, begin, end)
            case "step":
                then, now = environment.step(copied(views.action))
                fill(views.then, then)
                fill(views.now, now)
            case "save":
                answer = environment.save()
            case "restore":
                environment.restore(argument)
            case "reseed":
                environment.reseed(argument)
            case "close":
                environment.close()
                del views
                if block is not None:
                    block.close()
                return
        pipe.send((True, answer))


# ---------------------------------------------------------------------------------------------------------------------
# Trees of arrays in shared memory. Plain Python, because a worker has no use for JAX.


class Views(NamedTuple):
    """What crosses the border at every step, as arrays in shared memory."""

    action: Groups
    then: Any
    now: Any


class Shape(NamedTuple):
    """What there is to know about an array before it exists."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def room(self) -> int:
        """Bytes, rounded up so that the next array is aligned."""
        size = int(np.prod(self.shape)) * self.dtype.itemsize
        return -(-size // ALIGNMENT) * ALIGNMENT


def leaves(tree: Any) -> Iterator[Any]:
    """The arrays of dicts (in name order), tuples and lists; None holds nothing."""
    if isinstance(tree, dict):
        tree = [tree[name] for name in sorted(tree)]
    if isinstance(tree, (tuple, list)) and not isinstance(tree, Shape):
        for item in tree:
            yield from leaves(item)
    elif tree is not None:
        yield tree


def rebuild(tree: Any, values: Iterator[Any]) -> Any:
    """`tree` with its leaves replaced, in the order of `leaves`."""
    if tree is None:
        return None
    if isinstance(tree, dict):
        return {name: rebuild(tree[name], values) for name in sorted(tree)}
    if isinstance(tree, Shape) or not isinstance(tree, (tuple, list)):
        return next(values)
    items = [rebuild(item, values) for item in tree]
    return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)


def shapes(tree: Any) -> Any:
    return rebuild(tree, (Shape(np.shape(x), np.asarray(x).dtype) for x in leaves(tree)))


def view(shared: Any, block: SharedMemory, begin: int, end: int) -> Any:
    """The arrays that a tree of shapes describes, inside `block`, lanes `begin` to `end` of each."""

    def inside() -> Iterator[np.ndarray]:
        offset = 0
        for array in leaves(shared):
            yield np.ndarray(array.shape, array.dtype, block.buf, offset)[begin:end]
            offset += array.room

    return rebuild(shared, inside())


def fill(mine: Any, given: Any) -> None:
    """Copy `given` into the shared arrays `mine`."""
    for ours, value in zip(leaves(mine), leaves(given), strict=True):
        ours[...] = value


def copied(tree: Any) -> Any:
    """A copy that the next step does not overwrite."""
    return rebuild(tree, (np.array(x) for x in leaves(tree)))


# ---------------------------------------------------------------------------------------------------------------------
# Saves of all workers as one


def join(parts: Sequence[bytes]) -> bytes:
    """Several byte strings as one: each behind its length."""
    return b"".join(struct.pack("<q", len(part)) + part for part in parts)


def cut(joined: bytes) -> list[bytes]:
    """The byte strings that `join` joined."""
    parts, at = [], 0
    while at < len(joined):
        (length,) = struct.unpack_from("<q", joined, at)
        parts.append(joined[at + 8 : at + 8 + length])
        at += 8 + length
    return parts
