"""What comes back from an endpoint, read as a chat completion or not at all: whole, or in a stream of events.

A body that is no completion is a `Fault` with one sentence. So is one that looks complete and is not: a stream is over
when a reason for its end was given, whatever the connection says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

from covey.authored.exchange import Answer, Fault, Usage

SHOWN = 200
"""Characters of an endpoint's own words that a sentence quotes."""


def quoted(text: str) -> str:
    """An endpoint's own words on one line, short and printable."""
    line = " ".join(text.split())
    line = "".join(c if c.isprintable() else "?" for c in line)
    return line if len(line) <= SHOWN else line[: SHOWN - 3] + "..."


def error_words(body: str) -> str:
    """What the body of an error says, without the markup around it."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return "" if body.lstrip().startswith("<") else body
    return _message(document) or body


def _message(document: Any) -> str:
    """The words of `{"error": {"message": ...}}`, or of the like; "" where there is no error."""
    error = document.get("error") if isinstance(document, dict) else None
    if isinstance(error, dict):
        return str(error.get("message") or error.get("code") or "no reason")
    return "" if not error else str(error)


class _Parts(NamedTuple):
    """Of an answer that comes in pieces."""

    text: list[str]
    model: list[str]
    finish: list[str]
    usage: list[Usage]


def read_completion(body: str) -> Answer:
    """The answer in a whole response; Fault where there is none."""
    document = _json(body)
    choice = _choice(document)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise Fault("no-completion", "the endpoint's answer has a choice without a message.")
    return _checked(message.get("content"), _name(document), choice.get("finish_reason"), _usage(document))


def read_stream(body: str) -> Answer:
    """The answer in a stream of events; Fault where it ends too early, whatever the connection says."""
    parts = _Parts([], [], [], [])
    for event in events(body):
        document = _json(event)
        if _message(document):
            _raise_error(document)
        parts.model.append(_name(document))
        if usage := _usage(document):
            parts.usage.append(usage)
        if document.get("choices"):
            _add(_choice(document), parts)
    if not parts.finish:
        said = len("".join(parts.text))
        raise Fault("truncated", f"the endpoint's stream ended before the answer did, after {said} characters.")
    usage = parts.usage[-1] if parts.usage else None
    return _checked("".join(parts.text) or None, next(filter(None, parts.model), ""), parts.finish[-1], usage)


def events(body: str) -> Iterator[str]:
    """The data of complete events of a stream, without the `[DONE]` at its end."""
    *complete, _ = re.split(r"\r?\n\r?\n", body)
    for event in complete:
        lines = [line[5:].removeprefix(" ") for line in event.splitlines() if line.startswith("data:")]
        data = "\n".join(lines)
        if data and data.strip() != "[DONE]":
            yield data


def _add(choice: dict[str, Any], parts: _Parts) -> None:
    delta = choice.get("delta")
    piece = delta.get("content") if isinstance(delta, dict) else None
    if isinstance(piece, str):
        parts.text.append(piece)
    if isinstance(choice.get("finish_reason"), str):
        parts.finish.append(choice["finish_reason"])


def _json(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        what = "a web page" if text.lstrip()[:1] == "<" else "text that is no JSON" if text.strip() else "nothing"
        raise Fault("no-json", f"the endpoint answers with {what}: is its URL right?") from None
    if not isinstance(document, dict):
        raise Fault("no-completion", "the endpoint answers with JSON that is no object, and so no completion.")
    return document


def _choice(document: dict[str, Any]) -> dict[str, Any]:
    if _message(document):
        _raise_error(document)
    choices = document.get("choices")
    if choices is None:
        raise Fault("no-completion", "the endpoint answers with JSON of another form than chat completions.")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Fault("no-choices", "the endpoint's answer has no choices: nothing was said.")
    return choices[0]


def _raise_error(document: dict[str, Any]) -> NoReturn:
    raise Fault("error", f"the endpoint answers with an error: {quoted(_message(document))}.")


def _checked(content: Any, model: str, finish: Any, usage: Usage | None) -> Answer:
    if finish == "length":
        raise Fault(
            "cut-off", "the model stopped at its token limit, so that its answer is cut off: raise --max-tokens."
        )
    if finish == "content_filter":
        raise Fault("filtered", "the endpoint held the answer back (content filter).")
    if not isinstance(content, str) or not content.strip():
        raise Fault("no-text", "the endpoint's answer has no text.")
    return Answer(content, model, finish if isinstance(finish, str) else None, usage)


def _name(document: dict[str, Any]) -> str:
    return quoted(document["model"]) if isinstance(document.get("model"), str) else ""


def _usage(document: dict[str, Any]) -> Usage | None:
    usage = document.get("usage")
    if not isinstance(usage, dict):
        return None
    prompt, completion = (usage.get(f"{name}_tokens") for name in Usage._fields)
    if not (type(prompt) is int and type(completion) is int and min(prompt, completion) >= 0):
        return None
    return Usage(prompt, completion)
