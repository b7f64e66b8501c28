"""What every child does first: set its limits, see whether its cage holds, and keep its answer for itself.

Nothing here imports more than the standard library. No model text has been seen when this runs.
"""

from __future__ import annotations

import os
import re
import resource
import sys
from collections.abc import Callable, Iterator
from typing import Any

from covey.authored.frames import frame, read_frame
from covey.authored.refusal import SHOWN, Refused

FILES = 64
THREADS = 256
"""Descriptors and threads of a child. Processes are forbidden altogether, by the filter."""

MOST_REQUEST = 2**30


def serve(work: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answer the request on the standard input by `work`, in one frame. A refusal is an answer too."""
    answer = os.dup(1)
    os.dup2(2, 1)  # whatever prints from now on prints into nothing
    request = read_frame(sys.stdin.buffer.read(), MOST_REQUEST, 1000)
    limits = request["limits"]
    try:
        set_limits(limits)
        if request["probes"] is not None:
            set_threads()
            check_cage(request["probes"], answer)
        value = {"answer": work(request)}
        message = frame(value)
    except Refused as refused:
        message = _refusal(refused.gate, refused.sentence, refused.details)
    except (Exception, RecursionError, MemoryError) as error:
        message = _refusal("", f"the child failed: {type(error).__name__}.", str(error))
    message = memoryview(message)
    while message:
        message = message[os.write(answer, message) :]
    os._exit(0)


def _refusal(gate: str, sentence: str, detail: str) -> bytes:
    return frame({"refused": {"gate": gate, "sentence": sentence[:400], "detail": detail[:SHOWN]}})


def set_limits(limits: dict[str, int]) -> None:
    """Address space, processor time, no file of any size, few descriptors, no core; none can be raised again."""
    seconds, memory = limits["cpu_s"], limits["memory_bytes"]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])  # fewer threads, and they count as memory
    for kind, soft, hard in (
        ("RLIMIT_AS", memory, memory),
        ("RLIMIT_CPU", seconds, seconds + 1),
        ("RLIMIT_FSIZE", 0, 0),
        ("RLIMIT_NOFILE", FILES, FILES),
        ("RLIMIT_CORE", 0, 0),
        ("RLIMIT_MEMLOCK", 0, 0),
    ):
        resource.setrlimit(getattr(resource, kind), (soft, hard))


def set_threads() -> None:
    """Few threads, where the kernel counts those of a cage apart from all others of the user (since Linux 5.14)."""
    version = re.match(r"(\d+)\.(\d+)", os.uname().release)
    if version is not None and (int(version[1]), int(version[2])) >= (5, 14):
        resource.setrlimit(resource.RLIMIT_NPROC, (THREADS, THREADS))


def check_cage(probes: dict[str, Any], answer: int) -> None:
    """Refused (cage) where anything succeeds that must not."""
    for broken in _broken(probes, answer):
        raise Refused("cage", f"the cage does not hold: a child can {broken}, so no text is run.")


def _broken(probes: dict[str, Any], answer: int) -> Iterator[str]:
    for path in probes["outside"]:
        if os.path.lexists(path):
            yield "see a file outside"
    places = {os.path.dirname(path) for path in probes["outside"]}
    for folder in sorted({*places, "/", "/empty", "/dev", "/tmp", os.getcwd(), probes["packages"]}):
        if _succeeds(lambda folder=folder: os.open(f"{folder}/written", os.O_WRONLY | os.O_CREAT, 0o600)):
            yield "write a file"
    import socket

    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
        if _succeeds(lambda family=family: socket.socket(family, socket.SOCK_STREAM).close()):
            yield "open a socket"
    if _succeeds(_fork):
        yield "start a process"
    if set(os.environ) - set(probes["environment"]):
        yield "see the environment outside"
    if any(_succeeds(lambda fd=fd: os.fstat(fd)) for fd in range(3, FILES) if fd != answer):
        yield "use a file that was left open"
    if os.getuid() == 0 or _succeeds(lambda: os.setuid(0)):
        yield "be root"


def _fork() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _succeeds(attempt: Callable[[], Any]) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True
