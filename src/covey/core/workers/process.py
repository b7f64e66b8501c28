"""A worker: a process that plays some lanes, answers its parent, and does not outlive it."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from types import FrameType
from typing import Any

from covey.core.environment import HostEnvironment
from covey.core.errors import BadInput
from covey.core.interrupts import ASKING
from covey.core.optional import offered
from covey.core.workers.shared import Views, copied, fill, view

OFFERS = ("save", "restore", "reseed")
"""What an environment may do beyond what it must."""

PR_SET_PDEATHSIG = 1  # of Linux's prctl

Make = Callable[[Sequence[int]], HostEnvironment]
"""Builds a host environment with one lane per seed: `make([3, 4])` has two lanes."""


def work(pipe: Connection, make: Make, seeds: Sequence[int], by_main_thread: bool) -> None:
    """A worker's life: build the environment, then answer commands until told to close.

    It is started with the signals of `ASKING` blocked. by_main_thread: is it the parent's main thread that started it?
    """
    leave_signals_to_the_parent()
    die_with_parent(by_main_thread)
    with contextlib.suppress(EOFError, OSError):
        try:
            serve(pipe, checked(make(seeds), len(seeds)))
        except BadInput as error:
            pipe.send((False, error))
        except Exception:
            pipe.send((False, traceback.format_exc()))


def leave_signals_to_the_parent() -> None:
    """Do nothing on signals that reach a whole process group: the parent saves the run first, and closes us then.

    They get a handler and are not ignored, because what an environment starts would inherit that.
    """
    for number in ASKING:
        signal.signal(number, unheard)
        if hasattr(signal, "siginterrupt"):
            signal.siginterrupt(number, False)  # system calls of the environment go on
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ASKING)


def unheard(number: int, frame: FrameType | None) -> None:
    """The handler of a signal that is for the parent."""


def die_with_parent(by_main_thread: bool) -> None:
    """End this process when its parent is gone, also where that was killed and could say nothing.

    A thread that waits for it works everywhere, but not inside an environment that never lets go of the interpreter.
    Linux can see to it itself; what it watches is the parent's thread, so that has to be the main one.
    """
    parent = multiprocessing.parent_process()
    if parent is None:  # we are no child: somebody tests
        return

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="covey-parent", daemon=True).start()
    if by_main_thread and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def checked(environment: HostEnvironment, lanes: int) -> HostEnvironment:
    if environment.lanes != lanes:
        raise BadInput(f"`make` got {lanes} seeds and built {environment.lanes} lanes: build one lane per seed.")
    return environment


def serve(pipe: Connection, environment: Any) -> None:
    views, block = Views({}, None, None), None
    pipe.send((True, (environment.spec, {name for name in OFFERS if offered(environment, name)})))
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
