"""From an answer of a language model to two checked programs, gate by gate.

G0 extract, G1 parse, G2 static allow-list, G3 trace in the cage, G4 program of data, G5 numbers. The first that fails
ends the examination with its code and one sentence, which can be sent back to whoever wrote the answer.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from typing import Any

from covey.authored.allow_list import FUNCTIONS
from covey.authored.cage import Isolation, Job, ask, demand_isolation
from covey.authored.contract import Contract
from covey.authored.functions import Authored, read_authored
from covey.authored.limits import Limits
from covey.authored.numbers import check_numbers, read_answer
from covey.authored.refusal import Refused
from covey.authored.report import GATES, Admission, Report, time_into, versions
from covey.authored.views import Views

FENCE = "```"


def examine(
    answer: str, contract: Contract, views: Views, limits: Limits | None = None, *, give_up_isolation: bool = False
) -> Admission:
    """Send an answer through the gates G0 to G5. Nothing of it is executed in this process.

    give_up_isolation: run the child that executes the text without a cage, so that the text can do whatever the caller
    can. Only for texts that one has read.
    """
    report = Report(contract.environment, contract.name, versions=versions(), limits={})
    try:
        return Admission(report, _pass_gates(answer, contract, views, limits or Limits(), give_up_isolation, report))
    except Refused as refused:
        report.refuses(refused)
        report.passed = list(GATES)[: list(GATES).index(refused.gate)]
        return Admission(report, None)


def _pass_gates(
    answer: str, contract: Contract, views: Views, limits: Limits, give_up_isolation: bool, report: Report
) -> Authored:
    report.limits = dataclasses.asdict(limits)
    isolated = demand_isolation(give_up_isolation)
    report.isolation = "none: given up by the caller" if isolated is None else isolated.words()
    report.passed.append("cage")
    source = extract_source(answer, limits)
    report.source_sha256 = hashlib.sha256(source.encode()).hexdigest()
    report.passed.append("G0")
    document = time_into(report, "trace", lambda: trace_in_cage(source, contract, limits, isolated, report))
    authored = time_into(report, "check", lambda: read_authored(document, contract, limits))
    report.describes(authored)
    time_into(report, "numbers", lambda: check_numbers(authored, views, limits, isolated, report))
    return authored


# ---------------------------------------------------------------------------------------------------------------------
# The gates


def extract_source(answer: str, limits: Limits) -> str:
    """G0: the source in an answer, which is one fenced block of Python or nothing but source."""
    if "\0" in answer or len(answer) > 64 * limits.source_bytes:
        raise Refused("G0", "the answer is no text, or far too long.")
    found = blocks(answer)
    python = [text for kind, text in found if kind in ("python", "py")] or [text for kind, text in found if not kind]
    if len(python) > 1:
        raise Refused("G0", f"the answer has {len(python)} blocks of Python: give exactly one.")
    source = python[0] if python else answer
    for name in FUNCTIONS:
        if not re.search(rf"^def {name}\b", source, re.MULTILINE):
            raise Refused("G0", f"the answer has no function {name!r}: define {' and '.join(FUNCTIONS)} in one block.")
    try:
        size = len(source.encode())
    except UnicodeEncodeError:
        raise Refused("G0", "the answer holds characters that no text has.") from None
    if size > limits.source_bytes:
        raise Refused("G0", f"the source has {size} bytes, more than {limits.source_bytes}.")
    return source


def blocks(answer: str) -> list[tuple[str, str]]:
    """The fenced blocks of an answer, (word behind the fence, text); Refused (G0) where the last one is not closed."""
    found, kind, inside = [], None, []
    for line in answer.splitlines():
        if not line.startswith(FENCE):
            inside.append(line)
        elif kind is None:
            kind, inside = line[len(FENCE) :].strip().lower(), []
        else:
            found.append((kind, "\n".join([*inside, ""])))
            kind = None
    if kind is not None:
        raise Refused("G0", "the last block of the answer is not closed: the answer seems to be cut off.")
    return found


def trace_in_cage(
    source: str, contract: Contract, limits: Limits, isolated: Isolation | None, report: Report
) -> dict[str, Any]:
    """G1 to G3, in the child: the programs and the names of the sub-goals as it reports them, unchecked."""
    request = {"source": source, "contract": contract.document()}
    job = Job("covey.authored.child", request, limits.trace_s, "G3")
    answer = read_answer(ask(job, limits, isolated), "G3")
    report.passed += ["G1", "G2", "G3"]
    return answer
