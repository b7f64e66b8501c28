"""Calls, tokens and time of all questions to an endpoint together, also of those that are asked at once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from covey.authored.endpoint import Endpoint
from covey.authored.exchange import Fault


class Budget:
    """What is spent, counted from the moment it is made. Threads may share it: every count is exact.

    How many tokens an answer takes is known when it is there. So where several requests are on their way, one that
    might not fit beside them waits until they are answered: as where one request follows another, no request begins
    once the budget is spent.
    """

    def __init__(self, endpoint: Endpoint, clock: Callable[[], float]):
        self.endpoint = endpoint
        self.calls = 0
        self.tokens = 0
        self._largest = 0  # tokens of a call so far
        self._reserved: list[int] = []  # for calls on their way
        self._changed = threading.Condition()
        self._clock = clock
        self._end = clock() + endpoint.deadline_s

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self._end - self._clock()

    def stop(self) -> None:
        """There is no time left."""
        with self._changed:
            self._end = self._clock()
            self._changed.notify_all()

    @contextlib.contextmanager
    def call(self, prompt: int) -> Iterator[None]:
        """While a request is on its way, whose prompt has so many tokens; Fault where there is nothing left for it."""
        with self._changed:
            size = max(prompt + (self.endpoint.max_tokens or 0), self._largest)
            self._demand()
            while self._reserved and self.tokens + sum(self._reserved) + size > self.endpoint.tokens:
                self._changed.wait(max(self.left, 0.0))
                self._demand()
            self.calls += 1
            self._reserved.append(size)
        try:
            yield
        finally:
            with self._changed:
                self._reserved.remove(size)
                self._changed.notify_all()

    def spend(self, tokens: int) -> None:
        """Count the tokens of a call."""
        with self._changed:
            self.tokens += tokens
            self._largest = max(self._largest, tokens)

    def _demand(self) -> None:
        endpoint = self.endpoint
        if self.calls >= endpoint.calls:
            raise Fault("budget", f"the budget of {endpoint.calls} calls is spent: raise it with --calls.", final=True)
        if self.tokens >= endpoint.tokens:
            spent = f"{self.tokens} tokens are spent, and the budget is {endpoint.tokens}"
            raise Fault("budget", f"{spent}: raise it with --tokens.", final=True)
        if self.left <= 0:
            sentence = f"the {endpoint.deadline_s:g} s for all questions are over: raise them with --deadline."
            raise Fault("deadline", sentence, final=True)
