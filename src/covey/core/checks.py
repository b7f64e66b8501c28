"""What settings keep to, stated where the settings are: `within(self, "(0, 1]", "tau")` in a `__check_init__`."""

from __future__ import annotations

import math
from typing import Any

from covey.core.errors import BadInput, unknown


def within(owner: Any, interval: str, *names: str) -> None:
    """BadInput unless the fields `names` of `owner` lie in `interval`, such as "[0, 1]", "(0, 1]" or "[1, inf)".

    Python's own numbers are judged, and NaN lies nowhere. Arrays pass: a swept or traced setting was judged before.
    """
    for name in names:
        value = getattr(owner, name)
        if isinstance(value, (int, float)) and not contains(interval, value):
            raise BadInput(f"`{name}` must {_words(interval, value)}, got {value:g}.")


def controls(owner: Any) -> None:
    """BadInput unless the environment of the algorithm `owner` has the groups that it is to control."""
    for name in owner.groups:
        if name not in owner.spec.groups:
            raise unknown(f"in the environment {owner.spec.name!r} the group", name, owner.spec.groups)


def contains(interval: str, value: float) -> bool:
    """Does `value` lie in the interval?"""
    low, high = _ends(interval)
    above = value >= low if interval[0] == "[" else value > low
    below = value <= high if interval[-1] == "]" else value < high
    return above and below


def _ends(interval: str) -> tuple[float, float]:
    low, high = interval[1:-1].split(",")
    return float(low), float(high)


def _words(interval: str, value: float) -> str:
    low, high = _ends(interval)
    if high < math.inf:
        return f"lie in {interval}"
    if low == -math.inf:
        return "be finite"
    finite = "" if math.isfinite(value) else " and finite"
    return f"be at least {low:g}{finite}" if interval[0] == "[" else f"be above {low:g}{finite}"
