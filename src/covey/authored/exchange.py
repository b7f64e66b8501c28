"""Who answers prompts, and what was asked and answered, kept so that it can be played again.

A provider takes messages and gives an answer: a `Client` of an endpoint (`covey.authored.endpoint`), a `Replayed`
exchange, or a `Fixed` text, such as covey's own (`offline`). A `Recorder` around any of them appends every exchange to
a file as it happens, one line of JSON each: the messages, the answer or the fault, SHA-256 of both, model and usage.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from covey.authored import handwritten
from covey.core.errors import BadInput
from covey.core.files import content, reading, writing

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


def offline(environment: Any) -> Fixed:
    """covey's own prior and reward for an environment; BadInput where nobody wrote any."""
    name = environment.spec.name
    if name not in handwritten.SOURCES:
        raise BadInput(
            f"covey has no prior and reward of its own for {name!r} (it has them for "
            f"{', '.join(handwritten.SOURCES)}): name an endpoint (--endpoint URL --model NAME) or a source file "
            "(--source FILE)."
        )
    return Fixed(handwritten.SOURCES[name], "covey's own text")


def from_file(path: Path) -> Fixed:
    """The text of a source file, or of an answer that was saved."""
    try:
        return Fixed(_read(path, "the source file").decode(), path.name)
    except UnicodeDecodeError as error:
        raise BadInput(f"the source file {path} is no text in UTF-8.") from error


def _read(path: Path, what: str) -> bytes:
    with reading(f"{what} {path}"):
        if path.is_file() and path.stat().st_size > MOST_BYTES:
            raise BadInput(f"{what} {path} has more than {MOST_BYTES} bytes.")
        found = content(path)
    if found is None:
        raise BadInput(f"there is no {what.removeprefix('the ')} {path}.")
    return found


# ---------------------------------------------------------------------------------------------------------------------
# Recording


class Recorder:
    """Asks another provider, and appends what was asked and answered to the file `path`; None: keeps it in memory."""

    def __init__(self, provider: Provider, path: Path | None, version: str):
        self.provider = provider
        self.path = path
        self.version = version
        self.entries: list[dict[str, Any]] = []

    @property
    def about(self) -> dict[str, Any]:
        return self.provider.about

    def answer(self, stage: str, messages: Messages) -> Answer:
        entry: dict[str, Any] = {
            "number": len(self.entries),
            "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "stage": stage,
            "prompt_version": self.version,
            "request_sha256": request_digest(stage, messages),
            "messages": [message._asdict() for message in messages],
        }
        try:
            answer = self.provider.answer(stage, messages)
        except Fault as fault:
            entry["fault"] = {"name": fault.name, "sentence": str(fault), "final": fault.final}
            raise
        except BaseException as stop:
            entry["fault"] = {"name": "stopped", "sentence": type(stop).__name__, "final": True}
            raise
        else:
            usage = None if answer.usage is None else answer.usage._asdict()
            entry["answer"] = answer._asdict() | {"usage": usage, "sha256": digest(answer.text)}
            return answer
        finally:
            self._keep(entry)

    def _keep(self, entry: dict[str, Any]) -> None:
        self.entries.append(entry)
        if self.path is None:
            return
        with writing(f"the file {self.path}"), self.path.open("a", encoding="ascii") as file:
            file.write(json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())

    @property
    def usage(self) -> dict[str, int]:
        """Of all exchanges so far: how many, and the tokens of those whose endpoint counts them."""
        counted = [entry["answer"]["usage"] for entry in self.entries if entry.get("answer", {}).get("usage")]
        tokens = {name: sum(usage[name] for usage in counted) for name in Usage._fields}
        return {"exchanges": len(self.entries), **tokens}

    @property
    def models(self) -> list[str]:
        """The models that answered, in their own words."""
        named = (entry["answer"]["model"] for entry in self.entries if "answer" in entry)
        return sorted({model for model in named if model})


class Replayed:
    """Answers as it was answered before, in the order of a recorded exchange; BadInput where anything else is asked."""

    def __init__(self, path: Path):
        self.path = path / "exchange.jsonl" if path.is_dir() else path
        text = _read(self.path, "the recorded exchange").decode("utf-8", "replace")
        self.entries = [self._entry(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        self.used = 0

    @property
    def about(self) -> dict[str, Any]:
        return {"kind": "replay", "file": self.path.name}

    def answer(self, stage: str, messages: Messages) -> Answer:
        if self.used == len(self.entries):
            raise BadInput(f"the recorded exchange {self.path} ends after {self.used} answers, and more is asked.")
        entry = self.entries[self.used]
        if entry["request_sha256"] != request_digest(stage, messages):
            raise BadInput(
                f"the recorded exchange {self.path} has the answer to another question at line {self.used + 1}: the "
                "task, the environment, a switch or covey's prompts have changed since; use its source.py (--source), "
                "or ask an endpoint."
            )
        self.used += 1
        if "answer" in entry:
            return entry["answer"]
        raise Fault(**entry["fault"])

    def _entry(self, number: int, line: str) -> dict[str, Any]:
        """A line that can be replayed: its request's digest, and an `Answer` or the arguments of a `Fault`."""
        try:
            entry = json.loads(line)
            kept: dict[str, Any] = {"request_sha256": str(entry["request_sha256"])}
            if "fault" in entry:
                fault = entry["fault"]
                said = {"name": str(fault["name"]), "sentence": str(fault["sentence"]), "final": bool(fault["final"])}
                return kept | {"fault": said}
            said = entry["answer"]
            usage = (
                None if said["usage"] is None else Usage(int(said["usage"]["prompt"]), int(said["usage"]["completion"]))
            )
            answer = Answer(said["text"], str(said["model"]), said["finish_reason"], usage)
            changed = digest(answer.text) != said["sha256"]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise BadInput(f"line {number} of the recorded exchange {self.path} is not what covey writes.") from error
        if changed:
            raise BadInput(f"line {number} of the recorded exchange {self.path} was changed: its SHA-256 differs.")
        return kept | {"answer": answer}
