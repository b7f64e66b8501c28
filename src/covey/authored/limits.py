"""What an authored function may cost: every bound of the gates and of the cage in one record."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of one admission. The defaults are many times what hand-written priors and rewards need."""

    source_bytes: int = 16_384
    """Of the source text (G0)."""

    trace_s: float = 20.0
    """Wall clock of the child that parses and traces; its processor time is bounded by the same number (G3)."""

    numeric_s: float = 60.0
    """Wall clock and processor time of the child that compiles and evaluates (G5)."""

    memory_bytes: int = 4 * 2**30
    """Address space of a child, which is several times what it uses."""

    answer_bytes: int = 2_000_000
    """What a child may answer."""

    nesting: int = 40
    """Brackets inside each other in an answer; a scan inside a scan takes five."""

    equations: int = 2_000
    """Of a program, the bodies of scans counted once."""

    elements: int = 1_000_000
    """Of one value."""

    work: int = 10_000_000
    """Elements computed and multiply-adds per view, the bodies of scans counted as often as they run."""

    cost: int = 20_000
    """Elements computed for one view (G8), or as many as follow, if those are more. Hand-written functions need 125 to
    1,816 (`navigation` and `assembly`)."""

    cost_of_input: int = 20
    """Elements computed for each number of a view (G8)."""

    constant_bytes: int = 65_536
    """Of all constants of a program."""

    trips: int = 128
    """Of one scan."""

    views: int = 10_000
    """Views of the numeric gate (G5), at least."""
