"""What was asked and answered, kept as it happens, so that it can be played again.

A line of JSON each: the messages, the answer or the fault, SHA-256 of both, model and usage, and the candidate whose
dialogue it belongs to. Candidates may ask at once: then their lines mix in the order in which answers came, and each
dialogue is played again in its own order.
"""

from __future__ import annotations

import datetime
import json
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from covey.authored.exchange import (
    Answer,
    Fault,
    Messages,
    Provider,
    Usage,
    answers_at_once,
    dialogue_of,
    digest,
    read_bounded,
    request_digest,
)
from covey.core.errors import BadInput
from covey.core.files import writing

STOPPED = "stopped"
"""The name of the fault of a question to which the answer was not waited for."""


class Recorder:
    """Asks another provider, and appends what was asked and answered to the file `path`; None: keeps it in memory."""

    def __init__(self, provider: Provider, path: Path | None, version: str):
        self.provider = provider
        self.path = path
        self.version = version
        self.entries: list[dict[str, Any]] = []
        self._waiting: list[dict[str, Any]] = []
        self._closed = False
        self._lock = threading.RLock()

    @property
    def about(self) -> dict[str, Any]:
        return self.provider.about

    def dialogue(self, number: int) -> Voice:
        """What is asked and answered for candidate `number`."""
        return Voice(self, number, dialogue_of(self.provider, number))

    def answer(self, stage: str, messages: Messages) -> Answer:
        return self.ask(self.provider, 1, stage, messages)

    def ask(self, provider: Provider, candidate: int, stage: str, messages: Messages) -> Answer:
        """The answer of `provider` to a question of a candidate, kept."""
        entry: dict[str, Any] = {
            "candidate": candidate,
            "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "stage": stage,
            "prompt_version": self.version,
            "request_sha256": request_digest(stage, messages),
            "messages": [message._asdict() for message in messages],
        }
        with self._lock:
            self._waiting.append(entry)
        try:
            answer = provider.answer(stage, messages)
        except Fault as fault:
            self._keep(entry, fault={"name": fault.name, "sentence": str(fault), "final": fault.final})
            raise
        except BaseException as stop:
            self._keep(entry, fault={"name": STOPPED, "sentence": type(stop).__name__, "final": True})
            raise
        usage = None if answer.usage is None else answer.usage._asdict()
        self._keep(entry, answer=answer._asdict() | {"usage": usage, "sha256": digest(answer.text)})
        return answer

    def stop(self) -> None:
        """Ask and keep nothing from now on; questions that wait for an answer were stopped."""
        if answers_at_once(self.provider):
            self.provider.stop()  # type: ignore[attr-defined]
        with self._lock:
            for entry in list(self._waiting):
                self._keep(entry, fault={"name": STOPPED, "sentence": "not waited for", "final": True})
            self._closed = True

    def _keep(self, entry: dict[str, Any], **outcome: Any) -> None:
        with self._lock:
            if self._closed:
                return
            self._waiting.remove(entry)
            entry = {"number": len(self.entries)} | entry | outcome
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


class Voice(NamedTuple):
    """One candidate's part of a recorded exchange."""

    recorder: Recorder
    candidate: int
    provider: Provider

    @property
    def about(self) -> dict[str, Any]:
        return self.recorder.about

    def answer(self, stage: str, messages: Messages) -> Answer:
        return self.recorder.ask(self.provider, self.candidate, stage, messages)


# ---------------------------------------------------------------------------------------------------------------------
# Playing again


class Entry(NamedTuple):
    """A line that can be played again. outcome: an `Answer`, or the arguments of a `Fault`."""

    line: int
    candidate: int
    request_sha256: str
    outcome: Answer | dict[str, Any]


class Replayed:
    """Answers as it was answered before, in the order of a recorded exchange; BadInput where anything else is asked."""

    def __init__(self, path: Path):
        self.path = path / "exchange.jsonl" if path.is_dir() else path
        text = read_bounded(self.path, "the recorded exchange").decode("utf-8", "replace")
        lines = enumerate(text.splitlines(), 1)
        self.entries = [self._entry(number, line) for number, line in lines if line.strip()]
        self._all = Part(self.path, self.entries)
        self._parts: dict[int, Part] = {}

    @property
    def about(self) -> dict[str, Any]:
        return {"kind": "replay", "file": self.path.name}

    def holds(self, number: int) -> bool:
        """Was candidate `number` asked for?"""
        return any(entry.candidate == number for entry in self.entries)

    def dialogue(self, number: int) -> Part:
        """The answers to candidate `number`."""
        own = [entry for entry in self.entries if entry.candidate == number]
        return self._parts.setdefault(number, Part(self.path, own))

    def answer(self, stage: str, messages: Messages) -> Answer:
        return self._all.answer(stage, messages)

    def _entry(self, number: int, line: str) -> Entry:
        try:
            entry = json.loads(line)
            about = number, int(entry["candidate"]), str(entry["request_sha256"])
            if "fault" in entry:
                fault = entry["fault"]
                said = {"name": str(fault["name"]), "sentence": str(fault["sentence"]), "final": bool(fault["final"])}
                return Entry(*about, said)
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
        return Entry(*about, answer)


class Part:
    """Some lines of a recorded exchange, which answer one after the other."""

    def __init__(self, path: Path, entries: Iterable[Entry]):
        self.path = path
        self.entries = list(entries)
        self.used = 0

    @property
    def about(self) -> dict[str, Any]:
        return {"kind": "replay", "file": self.path.name}

    def answer(self, stage: str, messages: Messages) -> Answer:
        if self.used == len(self.entries):
            raise BadInput(f"the recorded exchange {self.path} ends after {self.used} answers, and more is asked.")
        entry = self.entries[self.used]
        if entry.request_sha256 != request_digest(stage, messages):
            raise BadInput(
                f"the recorded exchange {self.path} has the answer to another question at line {entry.line}: the "
                "task, the environment, a switch or covey's prompts have changed since; use its source.py (--source), "
                "or ask an endpoint."
            )
        self.used += 1
        if isinstance(entry.outcome, Answer):
            return entry.outcome
        raise Fault(**entry.outcome)
