"""Messages of a child: one frame of JSON, read without trusting a byte of it.

A frame is the length of its text in decimal digits, a line feed, and the text in ASCII. Nothing precedes it and nothing
follows. JSON is read strictly: no name twice, no NaN or infinity, no deep nesting.
"""

from __future__ import annotations

import json
import re
from typing import Any

HEAD = re.compile(rb"([1-9][0-9]{0,9})\n")


class Malformed(ValueError):
    """A message that is no frame; the text says why."""


def frame(value: Any) -> bytes:
    """The frame that carries `value`."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")
    return b"%d\n%s" % (len(text), text)


def read_frame(message: bytes, most_bytes: int, most_nesting: int) -> Any:
    """The value that a frame carries; Malformed where it is cut, doubled, too long, too deep or no strict JSON."""
    head = HEAD.match(message)
    if head is None:
        raise Malformed("it does not begin with its length")
    length, text = int(head[1]), message[head.end() :]
    if length > most_bytes or len(text) > most_bytes:
        raise Malformed(f"it is longer than {most_bytes} bytes")
    if len(text) != length:
        raise Malformed("it is cut off" if len(text) < length else "something follows it")
    return read_json(text, most_nesting)


def read_json(text: bytes, most_nesting: int) -> Any:
    """Strict JSON in ASCII."""
    if nesting(text) > most_nesting:
        raise Malformed(f"it is nested more than {most_nesting} deep")
    try:
        return json.loads(text.decode("ascii"), object_pairs_hook=_once, parse_constant=_no_constant)
    except Malformed:
        raise
    except (ValueError, RecursionError) as error:
        raise Malformed("it is no valid JSON") from error


def nesting(text: bytes) -> int:
    """The most brackets inside each other; those in strings count too, so this never says too little."""
    depth = deepest = 0
    for mark in re.findall(rb"[\[{\]}]", text):
        depth = depth + 1 if mark in b"[{" else max(depth - 1, 0)
        deepest = max(deepest, depth)
    return deepest


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    named = dict(pairs)
    if len(named) < len(pairs):
        raise Malformed("it gives a name twice")
    return named


def _no_constant(word: str) -> Any:
    raise Malformed(f"it holds {word}, which is no number")
