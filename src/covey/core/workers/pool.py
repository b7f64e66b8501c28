"""`Workers`: many environments in processes that look like one. The side of the parent."""

from __future__ import annotations

import contextlib
import multiprocessing
import struct
import threading
import time
import weakref
from collections.abc import Iterable, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from typing import Any, NamedTuple

import numpy as np

from covey.core.errors import BadInput
from covey.core.interrupts import blocked
from covey.core.types import Groups, Spec, TimeStep, action_shape
from covey.core.workers.process import Make, work
from covey.core.workers.shared import Views, copied, leaves, rebuild, shapes, view

PATIENCE = 5.0  # seconds that a worker gets to end by itself


class WorkerFailed(BadInput):
    """A worker raised or died. The message says which; `details` is the worker's own traceback."""


def lane_seeds(seed: int, lanes: int) -> tuple[int, ...]:
    """One seed per lane, all different, decided by `seed`; each fits an int32."""
    return tuple(int(x) for x in np.random.default_rng(seed).choice(2**31 - 1, lanes, replace=False))


class Workers:
    """`lanes` lanes of the environment that `make` builds, shared out over `workers` processes.

    The lanes are those of `make(lane_seeds(seed, lanes))`, in order: if a lane depends on its own seed alone, any
    number of workers plays the same episodes. `make` is sent to the processes, so it has to be a module-level function
    (or a `functools.partial` of one). `save`, `restore` and `reseed` exist where the environment offers them; a save is
    for the same number of lanes and workers.
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
        by_main_thread = threading.current_thread() is threading.main_thread()
        process = context.Process(target=work, args=(theirs, make, seeds, by_main_thread), daemon=True)
        with blocked():  # a signal to the group must not end a worker before it can leave it to us
            resource_tracker.ensure_running()
        with blocked():  # again: starting the tracker lets some of them through
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
        block.unlink()  # it goes with the last process that sees it, however that ends

    def _in_order(self, action: Groups) -> Groups:
        missing = set(self.spec.groups) - set(action)
        if missing:
            raise BadInput(f"the action lacks the groups {sorted(missing)}: give every group its actions.")
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
        with contextlib.suppress(FileNotFoundError):  # as it should: all workers saw it
            block.unlink()


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
