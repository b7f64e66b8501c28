"""Where a language model answers, that speaks OpenAI's protocol: POST {base_url}/chat/completions.

Hosted services speak it, and so do the servers that people run themselves (vLLM, Ollama, llama.cpp). What goes wrong is
a `Fault` with one of these names and one sentence. The key is taken from a variable of the environment, by name. It is
in no record, sentence or file.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
from urllib.parse import urlsplit

from covey.core.errors import BadInput

FAULTS = {
    "unreachable": "no connection to the endpoint",
    "key": "the endpoint refuses the key (401, 403)",
    "not-found": "there is no such address or model (404)",
    "refused": "the endpoint refuses the request (another 4xx)",
    "redirect": "the endpoint sends the request elsewhere (3xx)",
    "busy": "the endpoint is busy for longer than there is time (429)",
    "failing": "the endpoint fails again and again (408, 409, 5xx, lost connections)",
    "slow": "no answer in time, again and again",
    "deadline": "the time for all questions is over",
    "budget": "the calls or tokens for all questions are spent",
    "too-long": "the answer is longer than the cap",
    "no-json": "the answer is no JSON, such as a web page or plain text",
    "no-completion": "the answer is JSON of another form",
    "error": "the answer is an error in the form of an answer",
    "no-choices": "the answer has no choices",
    "no-text": "the choice has no text",
    "cut-off": "the model stopped at its token limit",
    "filtered": "the endpoint held the answer back",
    "truncated": "the stream ended before the answer did",
}
"""The ways in which there is no answer."""


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """Where a model answers, as whom to ask, and how much that may cost. What is None is left out of requests."""

    base_url: str
    """Up to and without `/chat/completions`, such as `http://localhost:11434/v1`."""
    model: str
    """The model's name there."""
    api_key_env: str | None = None
    """The name of the environment variable that holds the key; None: the endpoint needs none."""
    timeout_s: float = 120.0
    """Of one request, in seconds."""
    deadline_s: float = 1_800.0
    """Of all requests of a client together, waiting included."""
    calls: int = 50
    """Requests that may be sent, repeated ones included."""
    tokens: int = 500_000
    """Tokens that may be used, as the endpoint counts them; where it does not, a quarter of the characters counts."""
    temperature: float | None = None
    seed: int | None = None
    """Of the first question; each after it has the next number, and those of the next candidate are 1,000 higher."""
    max_tokens: int | None = None
    """Of one answer."""
    max_tokens_field: str = "max_tokens"
    """What the endpoint calls it: some models want `max_completion_tokens`."""
    stream: bool = False
    """Ask for the answer in pieces, which keeps slow connections alive."""
    answer_bytes: int = 1_000_000
    """Of one answer, at most."""
    attempts: int = 6
    """How often one question is sent, at most."""

    def __post_init__(self) -> None:
        check_url(self.base_url)
        if not self.model.strip():
            raise BadInput("an endpoint needs the name of a model: --model NAME.")
        for name in ("timeout_s", "deadline_s", "calls", "tokens", "answer_bytes", "attempts", "max_tokens"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise BadInput(f"`{name}` of an endpoint must be above 0 and finite, got {value:g}.")

    @property
    def url(self) -> str:
        return self.base_url.rstrip("/")


def check_url(url: str) -> None:
    """BadInput for what cannot be the base of an endpoint. What may hold a secret is not repeated."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        raise BadInput("the endpoint is no URL: write such as `http://localhost:11434/v1`.") from None
    if not valid:
        raise BadInput("the endpoint is no URL of http or https: write such as `http://localhost:11434/v1`.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise BadInput(
            "the endpoint's URL must not hold a user, a password or a query, which would end up in files: give the key "
            "by --api-key-env NAME."
        )
    if parts.path.rstrip("/").endswith("/completions"):
        raise BadInput("the endpoint's URL must end before `/chat/completions`, which is added: write it up to `/v1`.")


def read_key(name: str | None) -> str | None:
    """The key in the environment variable `name`; BadInput where there is none. No sentence holds what may be a key."""
    if name is None:
        return None
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise BadInput("--api-key-env takes the name of an environment variable that holds the key, not the key.")
    value = os.environ.get(name, "").strip()
    shown = f"`{name}` " if name.isupper() else ""
    if not value:
        raise BadInput(f"the environment variable {shown}that --api-key-env names is not set, or is empty: set it.")
    if not (value.isascii() and value.isprintable() and " " not in value):
        raise BadInput(f"the environment variable {shown}that --api-key-env names holds characters that no key has.")
    return value
