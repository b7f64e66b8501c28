"""Signals that ask a program to stop, and calls of compiled code that can be left.

Python runs the handler of a signal between two instructions of its main thread, and a call of the compiler is one
instruction, of up to a minute. `interruptible` makes such a call in a second thread while the main one waits, so that
handlers run at once and the wait can be given up. This module imports JAX only inside calls: worker processes use it.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

ASKING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)
)
"""Ctrl-C; `kill` and schedulers; the terminal is gone; Slurm's warnings before the time limit."""

POLL_S = 0.1
"""How often a waiting main thread looks whether it should go on waiting."""


@contextlib.contextmanager
def blocked() -> Iterator[None]:
    """Inside, this thread holds back the signals of `ASKING`, and so do the processes that it starts, for good."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ASKING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def nothing() -> None:
    """Goes on waiting."""


class Outcome(NamedTuple):
    """What became of a call in another thread."""

    value: Any = None
    error: BaseException | None = None
    refused: bool = False  # this thread computes with other settings of JAX


def interruptible(f: Callable, between: Callable[[], None] = nothing) -> Callable:
    """`f`, which computes with JAX, as a function that the main thread can leave before it returns.

    between: is called about every 0.1 s of the wait, and leaves it by raising; a signal's handler may raise, too. The
    abandoned computation goes on until it is done, and nobody hears of it.
    """

    def call(*args: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            return f(*args)
        between()
        outcome = _elsewhere(f, args, between)
        if outcome.refused:
            return f(*args)
        if outcome.error is not None:
            raise outcome.error
        return outcome.value

    return call


def _elsewhere(f: Callable, args: tuple, between: Callable[[], None]) -> Outcome:
    """`f(*args)`, finished, in a thread of its own."""
    import jax

    mail: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    settings = dict(jax.config.values)

    def work() -> None:
        if dict(jax.config.values) != settings:  # a context manager of JAX holds for the thread that entered it
            mail.put(Outcome(refused=True))
            return
        try:
            mail.put(Outcome(jax.block_until_ready(f(*args))))
        except BaseException as error:
            mail.put(Outcome(error=error))

    thread = threading.Thread(target=work, name="covey-compute", daemon=True)
    thread.start()
    try:
        while True:
            try:
                return mail.get(timeout=POLL_S)
            except queue.Empty:
                between()
    except BaseException as stop:
        atexit.register(_end_at_once, thread, _exit_code(stop))
        raise


def _exit_code(stop: BaseException) -> int:
    if isinstance(stop, SystemExit) and isinstance(stop.code, int):
        return stop.code
    return 128 + signal.SIGINT if isinstance(stop, KeyboardInterrupt) else 1


def _end_at_once(thread: threading.Thread, code: int) -> None:
    """End this process, if `thread` still computes: the interpreter cannot be taken down around compiled code."""
    if thread.is_alive():
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
