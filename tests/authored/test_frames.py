"""Messages of a fake child: cut, doubled, too long, too deep, no JSON. Each is refused, and none is guessed at."""

from __future__ import annotations

import pytest

from covey.authored.frames import Malformed, frame, read_frame
from covey.authored.limits import Limits

LIMITS = Limits(answer_bytes=1_000, nesting=10)
GOOD = frame({"answer": {"programs": [1, 2.5, True, None, "x"]}})

MESSAGES = {
    "nothing": (b"", "does not begin with its length"),
    "no length": (b'{"answer": {}}', "does not begin with its length"),
    "a length of none": (b"0\n", "does not begin with its length"),
    "a negative length": (b"-3\n{}", "does not begin with its length"),
    "a length with a sign": (b"+2\n{}", "does not begin with its length"),
    "a length in words": (b"two\n{}", "does not begin with its length"),
    "a length in other digits": ("٢\n{}".encode(), "does not begin with its length"),
    "a length with zeros": (b"02\n{}", "does not begin with its length"),
    "a length that nobody counts": (b"9" * 4_000 + b"\n{}", "does not begin with its length"),
    "a length that lies": (b"9999999999\n{}", "longer than 1000"),
    "words before it": (b"hello\n" + GOOD, "does not begin with its length"),
    "a space before it": (b" " + GOOD, "does not begin with its length"),
    "cut in its length": (GOOD[:2], "does not begin with its length"),
    "cut in its text": (GOOD[:-1], "cut off"),
    "cut after its length": (b"5\n", "cut off"),
    "twice": (GOOD + GOOD, "something follows it"),
    "a line feed behind it": (GOOD + b"\n", "something follows it"),
    "too long": (frame({"answer": "x" * 2_000}), "longer than 1000"),
    "too deep": (frame([[[[[[[[[[[1]]]]]]]]]]]), "nested more than 10 deep"),
    "brackets without end": (b"1000\n" + b"[" * 1_000, "nested more than 10 deep"),
    "names within names": (b"1000\n" + b'{"a":' * 200, "nested more than 10 deep"),
    "a name twice": (b'15\n{"a":1,"a":2.5}'.replace(b"15", b"15"), "gives a name twice"),
    "not a number": (b"3\nNaN", "holds NaN"),
    "infinity": (b"8\nInfinity", "holds Infinity"),
    "minus infinity in a list": (b"11\n[-Infinity]", "holds -Infinity"),
    "no JSON": (b"5\nhello", "no valid JSON"),
    "single quotes": (b"7\n{'a':1}", "no valid JSON"),
    "a comma too many": (b"4\n[1,]", "no valid JSON"),
    "bytes": (b"3\n\xff\xfe\x00", "no valid JSON"),
    "letters beyond ASCII": ('5\n"é…"'.encode()[:7], "no valid JSON"),
    "a number of more digits than anybody reads": (b"900\n" + b"9" * 900, None),
    "a pickle": (b"16\n\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00K\x01\x8c\x00.", "no valid JSON"),
}


@pytest.mark.parametrize(("message", "words"), MESSAGES.values(), ids=MESSAGES)
def test_messages_that_are_no_frames(message, words):
    if words is None:
        assert read_frame(message, LIMITS.answer_bytes, LIMITS.nesting) == int(b"9" * 900)
        return
    with pytest.raises(Malformed, match=words):
        read_frame(message, LIMITS.answer_bytes, LIMITS.nesting)


def test_more_digits_than_python_reads():
    with pytest.raises(Malformed, match="no valid JSON"):
        read_frame(b"5000\n" + b"9" * 5_000, 10_000, 10)


@pytest.mark.parametrize("cut", range(len(GOOD)))
def test_every_cut_is_seen(cut):
    with pytest.raises(Malformed):
        read_frame(GOOD[:cut], LIMITS.answer_bytes, LIMITS.nesting)


def test_a_frame_comes_back():
    assert read_frame(GOOD, LIMITS.answer_bytes, LIMITS.nesting) == {"answer": {"programs": [1, 2.5, True, None, "x"]}}
