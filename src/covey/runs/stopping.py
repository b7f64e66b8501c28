"""Being asked to stop: Ctrl-C and SIGTERM end a run after the chunk in hand, with everything saved."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Stopped(SystemExit):
    """A run that was asked to stop has saved itself. `code` is what shells expect: 130 for Ctrl-C, 143 for SIGTERM."""

    def __init__(self, number: int, sentence: str):
        super().__init__(128 + number)
        self.sentence = sentence

    def __str__(self) -> str:
        return self.sentence


class Request:
    """The signal that asked us to stop, or None."""

    def __init__(self) -> None:
        self.number: int | None = None


@contextlib.contextmanager
def requests() -> Iterator[Request]:
    """Note the first SIGINT or SIGTERM instead of dying of it; a second one works as it always did.

    Signals reach the main thread only: in any other, nothing is changed.
    """
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        request.number = number
        restore()

    for number in before:
        signal.signal(number, note)
    try:
        yield request
    finally:
        restore()
