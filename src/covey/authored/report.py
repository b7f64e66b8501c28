"""What the gates found out about a text: their names, the report for people and programs, and the outcome."""

from __future__ import annotations

import dataclasses
import platform
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jaxlib.version

import covey
from covey.authored.functions import Authored
from covey.authored.program import digest
from covey.authored.refusal import Refused

GATES = {
    "cage": "a child can be locked in",
    "G0": "one source text with both functions, not too long",
    "G1": "it is Python, and both functions take `view` and `p`",
    "G2": "it uses nothing beyond the allow-list, and nothing runs at definition",
    "G3": "both functions can be traced in the cage, and return what they have to",
    "G4": "what came out of the cage is a program of known operations within the limits",
    "G5": "the numbers are finite, in bounds, not constant, and repeat to the bit",
    "G6": "the prior beats random play, the reward rises with it, and both reach what the environment demands",
    "G7": "a reviewer finds that the source does what the plan says (advice)",
    "G8": "both functions cost little",
}
"""In their order. G6 plays (`covey.authored.trial`); it and those behind it are asked for separately."""


@dataclasses.dataclass
class Report:
    """What an examination found, for people and programs: `json()` is plain data."""

    environment: str
    group: str
    passed: list[str] = dataclasses.field(default_factory=list)
    refused: dict[str, str] | None = None
    warnings: list[str] = dataclasses.field(default_factory=list)
    source_sha256: str = ""
    program_sha256: dict[str, str] = dataclasses.field(default_factory=dict)
    program: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)
    statistics: dict[str, Any] = dataclasses.field(default_factory=dict)
    review: list[dict[str, Any]] | None = None
    """The verdicts of G7; None: nobody was asked."""
    isolation: str = ""
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    limits: dict[str, Any] = dataclasses.field(default_factory=dict)
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)

    def passes(self, gate: str) -> None:
        """Note a gate that was passed, in its place."""
        self.passed = [name for name in GATES if name in (*self.passed, gate)]

    def describes(self, authored: Authored) -> None:
        """Note the programs that passed G4."""
        self.passes("G4")
        for name, program in authored.programs.items():
            self.program_sha256[name] = digest(authored.documents[name])
            self.program[name] = {"equations": len(program.equations), "work": program.work}

    def refuses(self, refused: Refused) -> None:
        """Note the gate that refused."""
        self.refused = {"gate": refused.gate, "sentence": refused.sentence, "detail": refused.details}

    def json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


class Admission(NamedTuple):
    """The outcome of an examination: `authored` is None where a gate refused."""

    report: Report
    authored: Authored | None

    def demand(self) -> Authored:
        """The functions; BadInput with the gate's sentence where there are none."""
        if self.authored is None:
            assert self.report.refused is not None
            raise Refused(*(self.report.refused[name] for name in ("gate", "sentence", "detail")))
        return self.authored


def time_into(report: Report, name: str, work: Callable[[], Any]) -> Any:
    began = time.perf_counter()
    try:
        return work()
    finally:
        report.seconds[name] = round(time.perf_counter() - began, 3)


def versions() -> dict[str, str]:
    return {
        "covey": covey.__version__,
        "python": platform.python_version(),
        "jax": jax.__version__,
        "jaxlib": jaxlib.version.__version__,
    }
