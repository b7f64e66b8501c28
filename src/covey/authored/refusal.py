"""How a gate says no: a code, one plain sentence, and optionally what the child reported."""

from __future__ import annotations

from covey.core.errors import BadInput

SHOWN = 1_000
"""Characters of a child's own words that are kept."""


class Refused(BadInput):
    """An authored function did not pass. `gate` is "G0" to "G6", or "cage" where there is no isolation."""

    def __init__(self, gate: str, sentence: str, detail: str = ""):
        super().__init__(sentence)
        self.gate = gate
        self.sentence = sentence
        self.details = printable(detail)


def printable(text: str) -> str:
    """`text` cut to `SHOWN` characters, without control characters, invisible ones or anything beyond ASCII."""
    return "".join(c if c == "\n" or " " <= c <= "~" else "?" for c in text[:SHOWN])
