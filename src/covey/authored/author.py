"""From a sentence to functions that passed the gates: ask, examine, repair, and keep everything.

    written = author(environment, "Spread evenly over the region.", Client(endpoint), out=Path("authored/spread"))
    written.authored                               two pure JAX functions of one agent

A candidate is a dialogue of its own (`covey.authored.prompts`) whose code goes through all gates (`Judge`); what a gate
says goes back to the model, at most `repairs` times, and not after it has said the same twice. Candidates ask an
endpoint at once, within one budget. Of those that pass, the one whose prior earns most in the environment is taken.
Whatever stops this, what was exchanged is on disk, and so is the best candidate so far.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from covey.authored import folder, prompts
from covey.authored.at_once import lead_at_once
from covey.authored.contract import Contract, contract_of
from covey.authored.dialogue import Candidate, Dialogue, Judging, Tell, silent
from covey.authored.exchange import Fault, Fixed, Provider, answers_at_once
from covey.authored.functions import Authored
from covey.authored.judging import Judge
from covey.authored.limits import Limits
from covey.authored.prompts import Style
from covey.authored.recording import Recorder
from covey.authored.report import Admission
from covey.authored.trial import Trial
from covey.core.errors import BadInput

FORMAT = 1

DEFAULT = Style()


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
    judge: Judging | None = None,
    tell: Tell = silent,
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
    how = {"seed": seed, "give_up_isolation": give_up_isolation, "form": style.form}
    judge = judge or Judge(environment, contract, limits, **how)
    found: list[Candidate] = []

    def dialogue(number: int, judge: Judging, tell: Tell) -> Dialogue:
        return Dialogue(contract, task, recorder.dialogue(number), style, repairs, judge, limits or Limits(), tell)

    def keep() -> None:
        chosen = best(found)
        if out is not None and chosen is not None:
            folder.save(out, chosen.rounds[-1].source, _authored(chosen), style.form)

    faults: list[Fault | None] = []
    report: dict[str, Any] = {}
    try:
        if candidates > 1 and answers_at_once(provider):
            tell(f"{candidates} candidates at once")
            found += [Candidate(number) for number in range(1, candidates + 1)]
            try:
                faults += lead_at_once(found, dialogue, judge, tell, keep)
            except BaseException:
                recorder.stop()
                raise
        else:
            for number in range(1, candidates + 1):
                if candidates > 1:
                    tell(f"candidate {number} of {candidates}")
                found.append(Candidate(number))
                faults.append(dialogue(number, judge, tell).lead(found[-1]))
                keep()
                if _ends_everything(faults[-1], provider, number):
                    break
    finally:
        keep()
        asked = {"task": task, "group": group, "candidates": candidates, "repairs": repairs, "seed": seed}
        report = _report(contract, asked | style._asdict(), recorder, found, _fault(faults))
        if out is not None:
            folder.save_report(out, report)
    fault = _fault(faults)
    chosen = best(found)
    if chosen is None:
        raise _nothing(found, fault, out)
    assert chosen.judgment is not None
    assert chosen.judgment.trial is not None
    source = chosen.rounds[-1].source
    return Written(_authored(chosen), chosen.judgment.admission, chosen.judgment.trial, source, report, out)


def _ends_everything(fault: Fault | None, provider: Provider, number: int) -> bool:
    """Is there no use in another candidate? In an exchange of candidates that asked at once, others were asked too."""
    holds = getattr(provider, "holds", None)
    return fault is not None and fault.final and not (holds is not None and holds(number + 1))


def _fault(faults: list[Fault | None]) -> Fault | None:
    """Of what ended the candidates, the first that ended everything, or else what ended the last."""
    return next((fault for fault in faults if fault is not None and fault.final), faults[-1] if faults else None)


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
