"""Asked to stop by a signal: a run saves itself after the chunk in hand, and ends with 128 + the signal's number.

The first signal is answered at once. The same signal a second time does what it would do without covey: Ctrl-C ends the
run where it is, and what was saved before is kept.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

from covey.core.interrupts import ASKING
from covey.runs.journal import Line
from covey.runs.live import Progress, View

UNREAD = getattr(signal, "SIGPIPE", 13)
"""The request that nobody sends: output that no one reads any more."""

TWICE_S = 0.25
"""A wrapper that hands a signal on delivers it twice within this; a person takes longer."""


class Stopped(SystemExit):
    """A run was asked to stop, and everything is saved that can be. `code` is 128 + the number of the signal."""

    def __init__(self, number: int, sentence: str = ""):
        super().__init__(128 + number)
        self.sentence = sentence

    def __str__(self) -> str:
        return self.sentence


class Request:
    """Whether a signal asked the run to stop, and what is answered when one does."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.answer = "stopping"
        self._saving = False
        self._heard: dict[int, float] = {}  # when each signal came first

    def obey(self) -> None:
        """Raises `Stopped` if a signal has come. Called where the run can be left."""
        if self.number is not None:
            raise Stopped(self.number)

    @contextlib.contextmanager
    def answering(self, sentence: str) -> Iterator[None]:
        """Inside, a signal is answered with `sentence`."""
        before, self.answer = self.answer, sentence
        try:
            yield
        finally:
            self.answer = before

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        """Inside, a second signal does not end the run: it saves itself, and ends anyway."""
        self._saving = True
        try:
            yield
        finally:
            self._saving = False

    def insists(self, number: int) -> bool:
        """Does this signal end the run at once, because it has come before?"""
        now = time.monotonic()
        return now - self._heard.setdefault(number, now) > TWICE_S and not self._saving


class Guarded:
    """`screen`, whose loss (a terminal that is gone, a pipe that is broken) asks the run to stop and save itself.

    A signal to the whole process group also ends those who read the output: the run must not fail when it says so.
    """

    def __init__(self, screen: View, request: Request):
        self._screen, self._request = screen, request

    def note(self, sentence: str) -> None:
        with self._guarded():
            self._screen.note(sentence)

    def wait(self, sentence: str) -> None:
        with self._guarded():
            self._screen.wait(sentence)

    def report(self, line: Line, progress: Progress) -> None:
        with self._guarded():
            self._screen.report(line, progress)

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except SystemExit:  # rich's answer to a broken pipe
            self._lost()
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):
                raise
            self._lost()

    def _lost(self) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whatever is written later would fail too
        if self._request.number is None:
            self._request.number = UNREAD


@contextlib.contextmanager
def requests(screen: View) -> Iterator[tuple[Request, View]]:
    """Note the signals of `ASKING` instead of dying of them, and answer the first one on `screen`, which is guarded.

    What the program handles or ignores itself is left alone (SIGHUP under `nohup`), but for SIGINT and SIGTERM. Signals
    reach the main thread only: in any other, nothing is changed.
    """
    request = Request()
    guarded = Guarded(screen, request)
    if threading.current_thread() is not threading.main_thread():
        yield request, guarded
        return
    always = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in ASKING}
    before = {number: x for number, x in before.items() if number in always or x is signal.SIG_DFL}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def note(number: int, frame: FrameType | None) -> None:
        if request.insists(number):
            restore()
            if before[number] is signal.SIG_IGN:  # a shell's background job, and somebody means it
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
            signal.raise_signal(number)
        elif request.number is None:
            request.number = number
            answers.put(f"{signal.Signals(number).name}: {request.answer} (the same signal again ends it at once).")

    with _answering(guarded.note) as answers:
        for number in before:
            signal.signal(number, note)
        try:
            yield request, guarded
        finally:
            restore()


@contextlib.contextmanager
def _answering(say: Callable[[str], None]) -> Iterator[queue.SimpleQueue[str | None]]:
    """A queue whose sentences a second thread says: a handler must not, as it may have interrupted another sentence."""
    answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def speak() -> None:
        for answer in iter(answers.get, None):
            say(answer)

    thread = threading.Thread(target=speak, name="covey-answers", daemon=True)
    thread.start()
    try:
        yield answers
    finally:
        answers.put(None)
        thread.join()
