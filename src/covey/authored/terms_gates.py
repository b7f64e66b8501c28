"""The gates of the form without code: G0 a document of known terms, G4 its programs, G5 their numbers.

Nothing that somebody wrote is executed, so there is no cage: covey's own code makes the programs, and a plain child of
ours computes their numbers.
"""

from __future__ import annotations

import dataclasses
import hashlib

from covey.authored.contract import Contract
from covey.authored.gates import blocks
from covey.authored.limits import Limits
from covey.authored.numbers import check_numbers
from covey.authored.refusal import Refused
from covey.authored.report import GATES, Admission, Report, time_into, versions
from covey.authored.terms import from_terms
from covey.authored.views import Views

ABOUT_TERMS = {"G0": "one document of known terms, not too long"} | {
    gate: GATES[gate] for gate in ("G4", "G5", "G6", "G7", "G8")
}
"""The gates that a document of terms meets, and what they are about."""


def examine_terms(answer: str, contract: Contract, views: Views, limits: Limits | None = None) -> Admission:
    """Send an answer with a document of terms through the gates."""
    limits = limits or Limits()
    report = Report(contract.environment, contract.name, versions=versions(), limits=dataclasses.asdict(limits))
    report.isolation = "none needed: there is no code"
    try:
        document = extract_document(answer, limits)
        report.source_sha256 = hashlib.sha256(document.encode()).hexdigest()
        authored = time_into(report, "check", lambda: from_terms(document, contract, limits))
        report.passes("G0")
        report.describes(authored)
        time_into(report, "numbers", lambda: check_numbers(authored, views, limits, None, report))
        return Admission(report, authored)
    except Refused as refused:
        report.refuses(refused)
        return Admission(report, None)


def extract_document(answer: str, limits: Limits) -> str:
    """G0: the document in an answer, which is one fenced block of JSON or nothing but JSON."""
    if "\0" in answer or len(answer) > 64 * limits.source_bytes:
        raise Refused("G0", "the answer is no text, or far too long.")
    found = blocks(answer)
    documents = [text for kind, text in found if kind == "json"] or [text for kind, text in found if not kind]
    if len(documents) > 1:
        raise Refused("G0", f"the answer has {len(documents)} blocks of JSON: give exactly one.")
    if found and not documents:
        raise Refused("G0", "the answer has no block of JSON: give exactly one.")
    return documents[0] if documents else answer
