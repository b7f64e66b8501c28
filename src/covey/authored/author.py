"""From a sentence to functions that passed the gates: ask, examine, repair, and keep everything.

    written = author(environment, "Spread evenly over the region.", Client(endpoint), out=Path("authored/spread"))
    written.authored                               two pure JAX functions of one agent

A candidate is a dialogue of its own (`covey.authored.prompts`) whose code goes through all gates (`Judge`); what a gate
says goes back to the model, at most `repairs` times, and not after it has said the same twice. Of the candidates that
pass, the one whose prior earns most in the environment is taken. Whatever stops this, what was exchanged is on disk.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from covey.authored import folder, prompts
from covey.authored.contract import Contract, contract_of
from covey.authored.exchange import Fault, Fixed, Messages, Provider, Recorder, digest
from covey.authored.gates import GATES, Admission, Authored, extract_source
from covey.authored.judging import Judge, Judgment
from covey.authored.limits import Limits
from covey.authored.prompts import Plan, Style, Unreadable, Verdict
from covey.authored.refusal import Refused
from covey.authored.trial import Trial
from covey.core.errors import BadInput

T = TypeVar("T")

FORMAT = 1

DEFAULT = Style()

PASSED = "it passed every gate"
TWICE = "a gate said the same twice"
SPENT = "no repairs were left"
"""How a candidate ends, beside faults."""


class NothingAdmitted(BadInput):
    """No candidate passed."""


class Written(NamedTuple):
    """What was admitted: functions, the gates' account of them, how they did at play; and the report of everything."""

    authored: Authored
    admission: Admission
    trial: Trial
    source: str
    report: dict[str, Any]
    folder: Path | None


class Round(NamedTuple):
    """One source text and what became of it; gate and sentence are None where it passed."""

    source: str
    gate: str | None
    sentence: str | None
    seconds: float

    def json(self) -> dict[str, Any]:
        return {"source_sha256": digest(self.source), **self._asdict()}


@dataclasses.dataclass
class Candidate:
    """One dialogue, as far as it went."""

    number: int
    constraints: tuple[prompts.Constraint, ...] = ()
    plan: Plan | None = None
    rounds: list[Round] = dataclasses.field(default_factory=list)
    judgment: Judgment | None = None
    review: tuple[Verdict, ...] = ()
    ended: str = ""

    @property
    def passed(self) -> bool:
        return self.judgment is not None and self.judgment.refused is None

    def json(self) -> dict[str, Any]:
        judged = self.judgment
        played = None if judged is None or judged.trial is None else judged.trial._asdict()
        return {
            "number": self.number,
            "ended": self.ended,
            "passed": self.passed,
            "score": judged.score if judged is not None and played is not None else None,
            "constraints": [constraint._asdict() for constraint in self.constraints],
            "plan": None if self.plan is None else self.plan.json(),
            "rounds": [round.json() for round in self.rounds],
            "gates": None if judged is None else judged.admission.report.json(),
            "trial": played,
            "review": [verdict._asdict() for verdict in self.review],
        }


def silent(line: str) -> None:
    """Tells nobody."""


def author(
    environment: Any,
    task: str,
    provider: Provider,
    *,
    group: str | None = None,
    candidates: int = 1,
    repairs: int = 4,
    style: Style = DEFAULT,
    limits: Limits | None = None,
    seed: int = 0,
    out: Path | None = None,
    give_up_isolation: bool = False,
    judge: Callable[[str], Judgment] | None = None,
    tell: Callable[[str], None] = silent,
) -> Written:
    """Functions for a group of an environment (None: the only one) that do a task, written by whoever answers.

    candidates, repairs: dialogues, and repairs in each of them. style: how the provider is asked. seed: of the views
    and episodes on which functions are tried. out: a new folder for everything that is worth keeping
    (`covey.authored.folder`). judge: what decides about texts (default: all gates). tell: is told of every stage.
    BadInput where nothing passes, or nobody answers.
    """
    if candidates < 1 or repairs < 0:
        raise BadInput(f"there have to be 1 or more candidates, and 0 or more repairs: got {candidates} and {repairs}.")
    contract = contract_of(environment, group)
    prompts.check_task(task)
    if isinstance(provider, Fixed):  # who says the same whatever is asked is asked once
        candidates, repairs, style = 1, 0, style._replace(staged=False)
    if out is not None:
        folder.begin(out)
    recorder = Recorder(provider, None if out is None else out / folder.EXCHANGE, prompts.VERSION)
    tell(f"context: the group {contract.name!r} of {contract.environment}, {len(contract.view)} fields of a view")
    judge = judge or Judge(environment, contract, limits, seed=seed, give_up_isolation=give_up_isolation)
    dialogue = Dialogue(contract, task, recorder, style, repairs, judge, limits or Limits(), tell)
    found: list[Candidate] = []
    fault = None
    report: dict[str, Any] = {}
    try:
        for number in range(1, candidates + 1):
            if candidates > 1:
                tell(f"candidate {number} of {candidates}")
            found.append(Candidate(number))
            fault = dialogue.lead(found[-1])
            if out is not None and best(found) is found[-1]:
                folder.save(out, found[-1].rounds[-1].source, _authored(found[-1]))
            if fault is not None and fault.final:
                break
    finally:
        asked = {"task": task, "group": group, "candidates": candidates, "repairs": repairs, "seed": seed}
        report = _report(contract, asked | style._asdict(), recorder, found, fault)
        if out is not None:
            folder.save_report(out, report)
    chosen = best(found)
    if chosen is None:
        raise _nothing(found, fault, out)
    assert chosen.judgment is not None
    assert chosen.judgment.trial is not None
    source = chosen.rounds[-1].source
    return Written(_authored(chosen), chosen.judgment.admission, chosen.judgment.trial, source, report, out)


def best(found: list[Candidate]) -> Candidate | None:
    """Of the candidates that passed, the one that earns most, then the one whose reward tells most; of equals the
    first."""
    passed = [candidate for candidate in found if candidate.passed]

    def merit(candidate: Candidate) -> tuple[float, float]:
        assert candidate.judgment is not None
        assert candidate.judgment.trial is not None
        return candidate.judgment.score, candidate.judgment.trial.preferred

    return max(passed, key=merit, default=None)


def _authored(candidate: Candidate) -> Authored:
    assert candidate.judgment is not None
    return candidate.judgment.admission.demand()


def _nothing(found: list[Candidate], fault: Fault | None, out: Path | None) -> BadInput:
    """Why nothing was admitted, in a sentence."""
    kept = "" if out is None else f" What was exchanged is in {out / folder.EXCHANGE}."
    if fault is not None:
        return Fault(fault.name, f"{fault}{kept}", fault.final)
    last = next(candidate.rounds[-1] for candidate in reversed(found) if candidate.rounds)
    tries = sum(len(candidate.rounds) for candidate in found)
    texts = "the only text" if tries == 1 else f"the last of {tries} texts"
    return NothingAdmitted(f"nothing was admitted: {texts} failed at {last.gate}: {last.sentence}{kept}")


def _report(
    contract: Contract, asked: dict[str, Any], recorder: Recorder, found: list[Candidate], fault: Fault | None
) -> dict[str, Any]:
    chosen = best(found)
    return {
        "format": FORMAT,
        "environment": contract.environment,
        "group": contract.name,
        "asked": asked,
        "provider": recorder.about,
        "models": recorder.models,
        "usage": recorder.usage,
        "prompt_version": prompts.VERSION,
        "contract": contract.document(),
        "chosen": None if chosen is None else chosen.number,
        "fault": None if fault is None else {"name": fault.name, "sentence": str(fault)},
        "candidates": [candidate.json() for candidate in found],
    }


# ---------------------------------------------------------------------------------------------------------------------
# One candidate


class Dialogue:
    """Leads candidates through the stages."""

    def __init__(
        self,
        contract: Contract,
        task: str,
        provider: Provider,
        style: Style,
        repairs: int,
        judge: Callable[[str], Judgment],
        limits: Limits,
        tell: Callable[[str], None] = silent,
    ):
        self.about = (contract, task, style)
        self.provider = provider
        self.repairs = repairs
        self.judge = judge
        self.limits = limits
        self.tell = tell

    def lead(self, candidate: Candidate) -> Fault | None:
        """From the first question to the end of a candidate; the fault that ended it, if one did."""
        try:
            answer = self._draft(candidate)
            self._repair(candidate, answer)
            if candidate.passed and self.about[2].staged:
                candidate.review = self._review(candidate)
        except Unreadable as unreadable:
            candidate.ended = f"{unreadable.gate}: {unreadable}"
            candidate.rounds.append(Round("", unreadable.gate, unreadable.sentence, 0.0))
            self.tell(f"{unreadable.gate}: given up, because {unreadable}")
        except Fault as fault:
            candidate.ended = candidate.ended or f"fault: {fault.name}"
            self.tell(f"fault: {fault}")
            return fault
        return None

    def _draft(self, candidate: Candidate) -> str:
        """The first answer with code: S2 to S4."""
        if not self.about[2].staged:
            fixed = self.provider.about.get("kind") == "text"
            self.tell(
                f"S4 code: {self.provider.about['name']}" if fixed else "S2 to S4: constraints, plan, code at once"
            )
            return self.provider.answer("single", prompts.ask_everything(*self.about)).text
        candidate.constraints = self._ask("constraints", prompts.ask_constraints(*self.about), prompts.read_constraints)
        basic = sum(constraint.kind == "basic" for constraint in candidate.constraints)
        self.tell(f"S2 constraints: {len(candidate.constraints)}, {basic} of them basic")

        def read(answer: str) -> Plan:
            return prompts.read_plan(answer, candidate.constraints)

        candidate.plan = self._ask("plan", prompts.ask_plan(*self.about, candidate.constraints), read)
        self.tell(f"S3 plan: {_names(candidate.plan.skills)}; goals: {_names(candidate.plan.goals)}")
        self.tell("S4 code")
        return self.provider.answer("code", prompts.ask_code(*self.about, candidate.plan)).text

    def _ask(self, stage: str, messages: Messages, read: Callable[[str], T]) -> T:
        """What `read` makes of an answer; asked again with what was wrong, like code."""
        said: str | None = None
        question = messages
        for left in range(self.repairs, -1, -1):
            answer = self.provider.answer(stage, question).text
            try:
                return read(answer)
            except Unreadable as unreadable:
                if left == 0 or unreadable.sentence == said:
                    raise
                said = unreadable.sentence
                self.tell(f"{unreadable.gate} asked again: {said}")
                question = prompts.ask_again(messages, answer, said)
        raise AssertionError("the last answer is either read or refused")

    def _repair(self, candidate: Candidate, answer: str) -> None:
        """S6: examine, and ask for a repair, until it passes or there is no use in going on."""
        for number in range(self.repairs + 1):
            source, judgment = self._examine(candidate, answer)
            refused = judgment.refused
            if refused is None:
                candidate.ended = PASSED
                return
            before = candidate.rounds[-2:-1]
            if before and (before[0].gate, before[0].sentence) == (refused.gate, refused.sentence):
                candidate.ended = TWICE
                self.tell(TWICE)
                return
            if number < self.repairs:
                self.tell(f"S6 repair {number + 1} of at most {self.repairs}")
                said = prompts.refusal_words(refused.sentence, refused.details)
                question = prompts.ask_repair(*self.about, source, refused.gate, GATES[refused.gate], said)
                answer = self.provider.answer("repair", question).text
        candidate.ended = SPENT

    def _examine(self, candidate: Candidate, answer: str) -> tuple[str, Judgment]:
        """One round: the source in an answer, and the judgment on it."""
        began = time.monotonic()
        judgment = self.judge(answer)
        try:
            source = extract_source(answer, self.limits)
        except Refused:
            source = answer[: self.limits.source_bytes]
        candidate.judgment = judgment
        gate, sentence = (
            (None, None) if judgment.refused is None else (judgment.refused.gate, judgment.refused.sentence)
        )
        candidate.rounds.append(Round(source, gate, sentence, round(time.monotonic() - began, 2)))
        self.tell("gates: passed" if gate is None else f"gates: refused at {gate}: {sentence}")
        return source, judgment

    def _review(self, candidate: Candidate) -> tuple[Verdict, ...]:
        """S5: advice, which nothing depends on."""
        question = prompts.ask_review(*self.about, candidate.plan, candidate.rounds[-1].source)
        try:
            review = prompts.read_review(self.provider.answer("review", question).text)
        except (Unreadable, Fault) as error:
            self.tell(f"S5 review: none ({error})")
            return ()
        doubts = [verdict.name for verdict in review if not verdict.holds]
        self.tell(
            f"S5 review: {len(review) - len(doubts)} of {len(review)} hold" + "".join(f", not {x}" for x in doubts)
        )
        return review


def _names(items: tuple[prompts.Item, ...]) -> str:
    return ", ".join(item.name for item in items)
