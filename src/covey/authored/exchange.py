"""Who answers prompts, and what a question and an answer are.

A provider takes messages and gives an answer: a `Client` of an endpoint (`covey.authored.client`), a `Replayed`
exchange (`covey.authored.recording`), or a `Fixed` text, such as covey's own (`offline`).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from covey.authored import handwritten
from covey.core.errors import BadInput
from covey.core.files import content, reading

MOST_BYTES = 64 * 2**20
"""Of a recorded exchange, or of a source file, that is read."""


class Message(NamedTuple):
    """Of a prompt. role: "system" or "user"."""

    role: str
    content: str


Messages = tuple[Message, ...]


class Usage(NamedTuple):
    """Tokens, as the endpoint counts them."""

    prompt: int
    completion: int

    @property
    def total(self) -> int:
        return self.prompt + self.completion


class Answer(NamedTuple):
    """The text of an answer, and what is known about it. model: who answered, in the endpoint's own words."""

    text: str
    model: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None


class Fault(BadInput):
    """There is no answer that can be used. name: which of the known ways; final: the next question will fare alike."""

    def __init__(self, name: str, sentence: str, final: bool = False):
        super().__init__(sentence)
        self.name = name
        self.final = final


class Provider(Protocol):
    """Who answers."""

    @property
    def about(self) -> dict[str, Any]:
        """Who it is, for reports; nothing secret."""
        ...

    def answer(self, stage: str, messages: Messages) -> Answer:
        """The answer to a prompt of a stage (`covey.authored.prompts`); Fault where there is none."""
        ...


def dialogue_of(provider: Provider, number: int) -> Provider:
    """Who answers candidate `number`: what the provider's `dialogue(number)` gives, or itself where it has none."""
    dialogue = getattr(provider, "dialogue", None)
    return provider if dialogue is None else dialogue(number)


def answers_at_once(provider: Provider) -> bool:
    """May several dialogues ask at the same time? A provider that can be stopped takes part in that."""
    return hasattr(provider, "dialogue") and hasattr(provider, "stop")


def digest(text: str) -> str:
    """SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def request_digest(stage: str, messages: Messages) -> str:
    """SHA-256 of what is asked, whoever answers."""
    return digest(json.dumps([stage, [message._asdict() for message in messages]], separators=(",", ":")))


# ---------------------------------------------------------------------------------------------------------------------
# Texts that are there already


class Fixed(NamedTuple):
    """Gives the same text whatever is asked. name: whose text it is."""

    text: str
    name: str

    @property
    def about(self) -> dict[str, Any]:
        return {"kind": "text", "name": self.name}

    def answer(self, stage: str, messages: Messages) -> Answer:
        return Answer(self.text)


def offline(environment: Any, form: str = "code") -> Fixed:
    """covey's own prior and reward for an environment, as a source text or as terms; BadInput where there are none."""
    name = environment.spec.name
    texts = handwritten.TERMS if form == "terms" else handwritten.SOURCES
    if name not in texts:
        raise BadInput(
            f"covey has no prior and reward of its own for {name!r} (it has them for "
            f"{', '.join(texts)}): name an endpoint (--endpoint URL --model NAME) or a source file "
            "(--source FILE)."
        )
    return Fixed(texts[name], "covey's own text")


def from_file(path: Path) -> Fixed:
    """The text of a source file, or of an answer that was saved."""
    try:
        return Fixed(read_bounded(path, "the source file").decode(), path.name)
    except UnicodeDecodeError as error:
        raise BadInput(f"the source file {path} is no text in UTF-8.") from error


def read_bounded(path: Path, what: str) -> bytes:
    with reading(f"{what} {path}"):
        if path.is_file() and path.stat().st_size > MOST_BYTES:
            raise BadInput(f"{what} {path} has more than {MOST_BYTES} bytes.")
        found = content(path)
    if found is None:
        raise BadInput(f"there is no {what.removeprefix('the ')} {path}.")
    return found
