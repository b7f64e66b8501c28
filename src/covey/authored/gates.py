"""From an answer of a language model to two checked programs, gate by gate.

G0 extract, G1 parse, G2 static allow-list, G3 trace in the cage, G4 program of data, G5 numbers. The first that fails
ends the examination with its code and one sentence, which can be sent back to whoever wrote the answer.
"""

from __future__ import annotations

import dataclasses
import hashlib
import platform
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jaxlib.version

import covey
from covey.authored.allow_list import FUNCTIONS
from covey.authored.cage import Isolation, Job, ask, demand_isolation
from covey.authored.contract import Contract, goal_names
from covey.authored.limits import Limits
from covey.authored.program import Program, digest, read_program, rebuilt
from covey.authored.refusal import Refused, printable
from covey.authored.views import KINDS, Views

GATES = {
    "cage": "a child can be locked in",
    "G0": "one source text with both functions, not too long",
    "G1": "it is Python, and both functions take `view` and `p`",
    "G2": "it uses nothing beyond the allow-list, and nothing runs at definition",
    "G3": "both functions can be traced in the cage, and return what they have to",
    "G4": "what came out of the cage is a program of known operations within the limits",
    "G5": "the numbers are finite, in bounds, not constant, and repeat to the bit",
    "G6": "the prior beats random play, and the reward rises with it",
}
"""In their order. G6 plays (`covey.authored.trial`) and is asked for separately."""

FENCE = "```"
SLOW = 200_000
"""Views per second below which a function is called slow; hand-written ones reach millions."""

FROM_CHILD = ("cage", "G1", "G2", "G3", "G4")
"""Gates that the child may name."""


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
    isolation: str = ""
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    limits: dict[str, Any] = dataclasses.field(default_factory=dict)
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


class Kept(NamedTuple):
    """From which file functions were read: as it was named, where it is, its SHA-256 and its bytes."""

    name: str
    file: Path
    sha256: str
    document: bytes


@dataclasses.dataclass(frozen=True, eq=False)
class Authored:
    """Two admitted functions of ONE agent, and the documents they are rebuilt from. Both are pure: jit, vmap, grad.

    Static: it holds no arrays that are learned, and equals itself alone.
    """

    contract: Contract
    documents: dict[str, Any]
    programs: dict[str, Program]
    goals: tuple[str, ...]
    kept: Kept | None = None
    """Where they were read (`covey.authored.folder`); None: they come from no file."""

    def prior_policy(self, view: dict[str, Any], p: dict[str, Any] | None = None) -> Any:
        """What the prior prefers, float32 [A]; `Contract.action_of` makes an action of it."""
        return rebuilt(self.programs["prior_policy"])(*self._inputs(view, p))[0]

    def reward(self, view: dict[str, Any], p: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """The reward, [] in [0, 1], and the sub-goals by name, [] each."""
        value, *goals = rebuilt(self.programs["reward"])(*self._inputs(view, p))
        return value, dict(zip(self.goals, goals, strict=True))

    def _inputs(self, view: dict[str, Any], p: dict[str, Any] | None) -> list[Any]:
        constants = dict(self.contract.constants) | (p or {})
        seen = [jnp.asarray(view[field.name], jnp.float32) for field in self.contract.view]
        return [*seen, *(jnp.float32(constants[name]) for name, _ in self.contract.constants)]

    def document(self) -> dict[str, Any]:
        """As JSON, to be kept with a run: `read_authored` gives the functions back."""
        return {"programs": self.documents, "goals": list(self.goals)}


def read_authored(document: Any, contract: Contract, limits: Limits | None = None) -> Authored:
    """The functions of a document that was kept, checked as if a child had sent it: Refused (G4) where it is forged."""
    programs = document.get("programs") if isinstance(document, dict) else None
    if not isinstance(programs, dict) or set(document) != {"programs", "goals"} or set(programs) != set(FUNCTIONS):
        raise Refused("G4", "the document does not hold both programs and the names of the sub-goals.")
    goals = goal_names(document["goals"])
    read = {name: read_program(programs[name], limits or Limits()) for name in FUNCTIONS}
    for name, program in read.items():
        contract.check(name, program, goals if name == "reward" else [])
    return Authored(contract, programs, read, tuple(goals))


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


def examine(
    answer: str, contract: Contract, views: Views, limits: Limits | None = None, *, give_up_isolation: bool = False
) -> Admission:
    """Send an answer through the gates G0 to G5. Nothing of it is executed in this process.

    give_up_isolation: run the child that executes the text without a cage, so that the text can do whatever the caller
    can. Only for texts that one has read.
    """
    report = Report(contract.environment, contract.name, versions=_versions(), limits={})
    try:
        return Admission(report, _pass_gates(answer, contract, views, limits or Limits(), give_up_isolation, report))
    except Refused as refused:
        report.refused = {"gate": refused.gate, "sentence": refused.sentence, "detail": refused.details}
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
    document = _time(report, "trace", lambda: trace_in_cage(source, contract, limits, isolated, report))
    authored = _time(report, "check", lambda: read_authored(document, contract, limits))
    report.passed.append("G4")
    for name, program in authored.programs.items():
        report.program_sha256[name] = digest(authored.documents[name])
        report.program[name] = {"equations": len(program.equations), "work": program.work}
    _time(report, "numbers", lambda: check_numbers(authored, views, limits, isolated, report))
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


def check_numbers(authored: Authored, views: Views, limits: Limits, isolated: Isolation | None, report: Report) -> None:
    """G5: both programs on every view, in a second child of our own code."""
    contract = authored.contract
    request = {
        "programs": authored.documents,
        "contract": contract.document(),
        "views": views.document(),
        "admission": dataclasses.asdict(limits),
    }
    job = Job("covey.authored.numeric_check", request, limits.numeric_s, "G5")
    found = read_answer(ask(job, limits, isolated), "G5")
    try:
        warnings = [judge(name, found[name], contract) for name in FUNCTIONS]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        if isinstance(error, Refused):
            report.statistics = found
            raise
        raise Refused("G5", "the child's answer is refused: its statistics are not complete.") from error
    report.statistics = found
    report.warnings += [warning for some in warnings for warning in some]
    if views.count < limits.views:
        report.warnings.append(f"only {views.count} views were tried, fewer than {limits.views}.")
    report.passed.append("G5")


def judge(name: str, found: dict[str, Any], contract: Contract) -> list[str]:
    """Warnings about a function's statistics; Refused (G5) where they are no good."""
    for kind in KINDS:
        if found["infinite"][kind]:
            share = f"{found['infinite'][kind]} of the views of kind {kind!r}"
            raise Refused("G5", f"{name!r} is not finite on {share}: guard divisions, roots and logarithms at zero.")
    if not found["repeats"]:
        raise Refused("G5", f"{name!r} gives other numbers when it is asked again.")
    if found["constant"]:
        raise Refused("G5", f"{name!r} is the same on all {found['views']} views: it has to depend on what is seen.")
    if name == "reward" and not (found["least"] >= 0 and found["most"] <= 1):
        raise Refused("G5", f"the reward goes from {found['least']:g} to {found['most']:g}, and must stay in [0, 1].")
    bounds = contract.document()["bounds"]
    if name == "prior_policy" and bounds is not None:
        _check_bounds(found, *bounds)
    warnings = [f"{name!r} depends on padded entries: multiply by the mask."] if found["sees_padding"] else []
    if any(low == high for low, high in found["goals"]):
        warnings.append("a sub-goal is the same on all views.")
    if found["views_per_s"] < SLOW:
        warnings.append(f"{name!r} takes {1e6 / found['views_per_s']:.0f} μs for a view, which slows training down.")
    return warnings


def _check_bounds(found: dict[str, Any], low: list[float], high: list[float]) -> None:
    for k, (least, most) in enumerate(zip(low, high, strict=True)):
        slack = 1e-4 * (most - least)
        if found["low"][k] < least - slack or found["high"][k] > most + slack:
            span = f"from {found['low'][k]:g} to {found['high'][k]:g}"
            raise Refused("G5", f"component {k} of 'prior_policy' goes {span}, and must stay in [{least:g}, {most:g}].")
    if found["saturated"] == 1.0:
        raise Refused("G5", "every action of 'prior_policy' stands at its bounds: scale it, so that it can be gentle.")


def read_answer(answer: Any, gate: str) -> dict[str, Any]:
    """What a child answered; Refused where it refused, in words that are cleaned and cut."""
    if not isinstance(answer, dict) or len(answer) != 1:
        raise Refused(gate, "the child's answer is refused: it is neither an answer nor a refusal.")
    if isinstance(answer.get("answer"), dict):
        return answer["answer"]
    refusal = answer.get("refused")
    if not isinstance(refusal, dict) or not all(
        isinstance(refusal.get(x), str) for x in ("gate", "sentence", "detail")
    ):
        raise Refused(gate, "the child's answer is refused: it is neither an answer nor a refusal.")
    named = refusal["gate"] if refusal["gate"] in FROM_CHILD else gate
    raise Refused(named, printable(" ".join(refusal["sentence"].split()))[:400], refusal["detail"])


def _time(report: Report, name: str, work: Callable[[], Any]) -> Any:
    began = time.perf_counter()
    try:
        return work()
    finally:
        report.seconds[name] = round(time.perf_counter() - began, 3)


def _versions() -> dict[str, str]:
    return {
        "covey": covey.__version__,
        "python": platform.python_version(),
        "jax": jax.__version__,
        "jaxlib": jaxlib.version.__version__,
    }
