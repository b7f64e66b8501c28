"""Asks an endpoint, within its budgets.

The `openai` client (major versions 2 and 3) makes the connection, and nothing else: it would return what is no answer
without a word, wait for hours, follow redirects and read without end. So budgets, waits and the reading are here.

    endpoint = Endpoint("https://api.example.com/v1", "some-model", api_key_env="EXAMPLE_API_KEY")
    answer = Client(endpoint).answer("code", messages)
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

from covey.authored.budget import Budget
from covey.authored.completions import read_completion, read_stream
from covey.authored.endpoint import Endpoint, read_key
from covey.authored.exchange import Answer, Fault, Messages
from covey.authored.faults import Sentences, Status, Transient, retry_after
from covey.core.errors import require_extra

AGAIN = (408, 409, 429)
"""Statuses after which a request is sent again, beside all from 500 on."""

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 60.0
"""Before the second attempt; and where waits stop doubling."""

ERROR_BYTES = 20_000
"""Of the body of an error that are read."""


SEEDS = 1_000
"""Between the seeds of a candidate and those of the next."""


class Client:
    """Asks an endpoint, within its budgets, which count from the moment it is made.

    sleep, clock, chance: how it waits, what time it is (seconds), and numbers in [0, 1) that waits are spread by.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ):
        self.endpoint = endpoint
        self.budget = Budget(endpoint, clock)
        self._own = Questions(self, 0)
        self._sleep, self._clock, self._chance = sleep, clock, chance
        self._key = read_key(endpoint.api_key_env)
        self._said = Sentences(endpoint, self._key)
        self._openai = _package()
        self._client = self._connect()

    @property
    def calls(self) -> int:
        """Requests that were sent."""
        return self.budget.calls

    @property
    def tokens(self) -> int:
        """Tokens that were used."""
        return self.budget.tokens

    @property
    def about(self) -> dict[str, Any]:
        names = ("model", "temperature", "seed", "max_tokens", "stream")
        settings = {name: getattr(self.endpoint, name) for name in names}
        return {"kind": "endpoint", "base_url": self.endpoint.url, **settings}

    def __repr__(self) -> str:
        return f"Client({self.endpoint!r})"

    def dialogue(self, number: int) -> Questions:
        """Who answers candidate `number`, counted from 1. Dialogues may ask at once, and share the budgets."""
        return Questions(self, SEEDS * (number - 1))

    def stop(self) -> None:
        """Begin no request any more."""
        self.budget.stop()

    def answer(self, stage: str, messages: Messages) -> Answer:
        """The answer to messages, asked for again where that may help; Fault where there is none."""
        return self._own.answer(stage, messages)

    def answer_with(self, messages: Messages, seed: int | None) -> Answer:
        """As `answer`, with a seed."""
        for attempt in itertools.count():
            with self.budget.call(_estimate("", messages)):
                try:
                    answer = self._ask(messages, seed)
                except (Status, Transient) as failed:
                    answer = failed
            if isinstance(answer, Answer):
                return answer
            asked, last = self._lasting(answer)
            if attempt + 1 == self.endpoint.attempts:
                raise last
            wait = self._wait(attempt, asked)
            if wait >= self.budget.left:
                raise self._no_time(wait, asked, last)
            self._sleep(wait)
        raise AssertionError("the last attempt is answered or raised")

    def _lasting(self, failed: Status | Transient) -> tuple[float | None, Fault]:
        """How long the endpoint asks to wait after a failure, and the fault if it goes on failing; raised where asking
        again is of no use."""
        if isinstance(failed, Transient):
            return None, failed.fault
        if failed.code not in AGAIN and failed.code < 500:
            raise self._said.refusal(failed) from None
        return retry_after(failed.headers), self._said.failure(failed)

    # -----------------------------------------------------------------------------------------------------------------
    # One request

    def _connect(self) -> Any:
        """The package's client, which asks once, and this host alone."""
        openai = self._openai
        return openai.OpenAI(
            base_url=self.endpoint.url,
            api_key=self._key or "none",
            max_retries=0,
            http_client=openai.DefaultHttpxClient(
                follow_redirects=False, event_hooks={"response": [self._raise_status]}
            ),
        )

    def _ask(self, messages: Messages, seed: int | None) -> Answer:
        """One request; Status, Transient or Fault where it brings no answer."""
        openai, seconds = self._openai, min(self.endpoint.timeout_s, self.budget.left)
        end = self._clock() + seconds
        create = self._client.chat.completions.with_streaming_response.create
        try:
            with create(**self._request(messages, seed), timeout=seconds) as response:
                body = self._read(response.iter_bytes(), end)
                kind = response.headers.get("content-type", "")
        except openai.APITimeoutError:
            raise self._said.slow() from None
        except openai.APIConnectionError as error:
            if isinstance(error.__cause__, Status):
                raise error.__cause__ from None
            raise self._said.lost(error) from None
        except openai.APIStatusError as error:
            raise Status(error.status_code, error.response.headers, str(error.body)) from None
        except (Fault, Transient):
            raise
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in ("httpx", "httpx2", "httpcore", "httpcore2"):
                raise
            raise (self._said.slow() if "Timeout" in type(error).__name__ else self._said.lost(error)) from None
        text = self._said.clean(body.decode("utf-8", "replace"))
        try:
            answer = read_stream(text) if "event-stream" in kind else read_completion(text)
        except Fault as fault:
            self.budget.spend(_estimate(text, messages))  # it cost as much as a good one
            raise Fault(fault.name, self._said.clean(str(fault)), fault.final) from None
        answer = answer._replace(text=self._said.clean(answer.text), model=self._said.clean(answer.model))
        self.budget.spend(_tokens(answer, messages))
        return answer

    def _raise_status(self, response: Any) -> None:
        """Raise what is no success, the beginning of its body read: the client would read all of it."""
        if 200 <= response.status_code < 300:
            return
        body = bytearray()
        for piece in response.iter_bytes():
            body += piece
            if len(body) >= ERROR_BYTES or self.budget.left <= 0:
                break
        raise Status(response.status_code, response.headers, body[:ERROR_BYTES].decode("utf-8", "replace"))

    def _request(self, messages: Messages, seed: int | None) -> dict[str, Any]:
        """The arguments of a request. The package knows variables of the environment, which are for other hosts."""
        endpoint, nothing = self.endpoint, self._openai.Omit()
        headers = {"Accept-Encoding": "identity", "OpenAI-Organization": nothing, "OpenAI-Project": nothing}
        headers["Authorization"] = nothing if self._key is None else f"Bearer {self._key}"
        request: dict[str, Any] = {"model": endpoint.model, "messages": [message._asdict() for message in messages]}
        request["extra_headers"] = headers
        if endpoint.temperature is not None:
            request["temperature"] = endpoint.temperature
        if seed is not None:
            request["seed"] = seed
        if endpoint.max_tokens is not None:
            request["extra_body"] = {endpoint.max_tokens_field: endpoint.max_tokens}
        if endpoint.stream:
            request |= {"stream": True, "stream_options": {"include_usage": True}}
        return request

    def _read(self, pieces: Iterator[bytes], end: float) -> bytes:
        """The body of a response, of bounded length, in bounded time."""
        body = bytearray()
        for piece in pieces:
            body += piece
            if len(body) > self.endpoint.answer_bytes:
                raise Fault(
                    "too-long", f"the answer of the endpoint is longer than {self.endpoint.answer_bytes} bytes."
                )
            if self._clock() > end:
                raise self._said.slow()
        return bytes(body)

    # -----------------------------------------------------------------------------------------------------------------
    # Waits

    def _wait(self, attempt: int, asked: float | None) -> float:
        """Seconds before the next attempt: as long as the endpoint asks for, or else twice as many each time; spread,
        so that many who wait do not come back together."""
        if asked is not None:
            return asked + FIRST_WAIT_S * self._chance()
        return min(FIRST_WAIT_S * 2**attempt, LONGEST_WAIT_S) * (1.0 - 0.5 * self._chance())

    def _no_time(self, wait: float, asked: float | None, last: Fault) -> Fault:
        left = f"{max(self.budget.left, 0.0):.0f} s are left: raise --deadline, or try later."
        if asked is not None:
            return Fault("busy", f"the endpoint asks to wait {asked:.0f} s, and {left}", final=True)
        return Fault("deadline", f"{str(last).rstrip('.')}; another attempt would be in {wait:.0f} s, and {left}", True)


class Questions:
    """The questions of one dialogue, whose seeds follow each other."""

    def __init__(self, client: Client, first: int):
        self.client = client
        self.next = first

    @property
    def about(self) -> dict[str, Any]:
        return self.client.about

    def answer(self, stage: str, messages: Messages) -> Answer:
        first = self.client.endpoint.seed
        seed = None if first is None else first + self.next
        self.next += 1
        return self.client.answer_with(messages, seed)


def _package() -> Any:
    try:
        import openai  # type: ignore[import-not-found]
    except ImportError as error:
        raise require_extra("openai", "authored", "asking an endpoint") from error
    return openai


def _tokens(answer: Answer, messages: Messages) -> int:
    return _estimate(answer.text, messages) if answer.usage is None else answer.usage.total


def _estimate(text: str, messages: Messages) -> int:
    """Tokens of a question and its answer, where nobody has counted them."""
    return (len(text) + sum(len(message.content) for message in messages)) // 4
