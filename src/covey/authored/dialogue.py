"""One candidate: the stages that it goes through, from the first question to its end."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from covey.authored import plans, prompts
from covey.authored.contract import Contract
from covey.authored.exchange import Fault, Messages, Provider, digest
from covey.authored.gates import extract_source
from covey.authored.judging import Judgment
from covey.authored.limits import Limits
from covey.authored.plans import Plan, Unreadable, Verdict
from covey.authored.prompts import Style
from covey.authored.refusal import Refused
from covey.authored.report import GATES
from covey.authored.terms_gates import ABOUT_TERMS, extract_document

T = TypeVar("T")

Judging = Callable[[str], Judgment]
Tell = Callable[[str], None]

ABOUT = {"code": GATES, "terms": ABOUT_TERMS}
"""What the gates are about, by form."""

PASSED = "it passed every gate"
TWICE = "a gate said the same twice"
SPENT = "no repairs were left"
"""How a candidate ends, beside faults."""


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
    constraints: tuple[plans.Constraint, ...] = ()
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


class Dialogue:
    """Leads candidates through the stages."""

    def __init__(
        self,
        contract: Contract,
        task: str,
        provider: Provider,
        style: Style,
        repairs: int,
        judge: Judging,
        limits: Limits,
        tell: Tell = silent,
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
        form = self.about[2].form
        if not self.about[2].staged:
            fixed = self.provider.about.get("kind") == "text"
            self.tell(f"S4 {form}: {self.provider.about['name']}" if fixed else f"S2 to S4: plan and {form} at once")
            return self.provider.answer("single", prompts.ask_everything(*self.about)).text
        candidate.constraints = self._ask("constraints", prompts.ask_constraints(*self.about), plans.read_constraints)
        basic = sum(constraint.kind == "basic" for constraint in candidate.constraints)
        self.tell(f"S2 constraints: {len(candidate.constraints)}, {basic} of them basic")

        def read(answer: str) -> Plan:
            return plans.read_plan(answer, candidate.constraints)

        candidate.plan = self._ask("plan", prompts.ask_plan(*self.about, candidate.constraints), read)
        self.tell(f"S3 plan: {_names(candidate.plan.skills)}; goals: {_names(candidate.plan.goals)}")
        self.tell(f"S4 {form}")
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
                about = ABOUT[self.about[2].form][refused.gate]
                question = prompts.ask_repair(*self.about, source, refused.gate, about, said)
                answer = self.provider.answer("repair", question).text
        candidate.ended = SPENT

    def _examine(self, candidate: Candidate, answer: str) -> tuple[str, Judgment]:
        """One round: the source in an answer, and the judgment on it."""
        began = time.monotonic()
        judgment = self.judge(answer)
        try:
            extract = extract_document if self.about[2].form == "terms" else extract_source
            source = extract(answer, self.limits)
        except Refused:
            source = answer[: self.limits.source_bytes]
        gate, sentence = (
            (None, None) if judgment.refused is None else (judgment.refused.gate, judgment.refused.sentence)
        )
        candidate.rounds.append(Round(source, gate, sentence, round(time.monotonic() - began, 2)))
        candidate.judgment = judgment  # after its source: others may look at any time
        self.tell("gates: passed" if gate is None else f"gates: refused at {gate}: {sentence}")
        return source, judgment

    def _review(self, candidate: Candidate) -> tuple[Verdict, ...]:
        """S5: advice, which nothing depends on."""
        question = prompts.ask_review(*self.about, candidate.plan, candidate.rounds[-1].source)
        try:
            review = plans.read_review(self.provider.answer("review", question).text)
        except (Unreadable, Fault) as error:
            self.tell(f"S5 review: none ({error})")
            return ()
        doubts = [verdict.name for verdict in review if not verdict.holds]
        self.tell(
            f"S5 review: {len(review) - len(doubts)} of {len(review)} hold" + "".join(f", not {x}" for x in doubts)
        )
        assert candidate.judgment is not None
        report = candidate.judgment.admission.report
        report.review = [verdict._asdict() for verdict in review]
        if not doubts:
            report.passes("G7")
        return review


def _names(items: tuple[plans.Item, ...]) -> str:
    return ", ".join(item.name for item in items)
