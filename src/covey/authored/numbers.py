"""Gates G5 and G8: what both functions compute on many views, and what that costs."""

from __future__ import annotations

import dataclasses
from typing import Any

from covey.authored.allow_list import FUNCTIONS
from covey.authored.cage import Isolation, Job, ask
from covey.authored.contract import Contract
from covey.authored.functions import Authored
from covey.authored.limits import Limits
from covey.authored.refusal import Refused, printable
from covey.authored.report import Report
from covey.authored.views import KINDS, Views

BY_CHANCE = 0.01
"""The share of views on which a threshold may be met otherwise, because sums are rounded in another order."""

FROM_CHILD = ("cage", "G1", "G2", "G3", "G4")
"""Gates that the child may name."""


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
    report.passes("G5")


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
    if found["sees_padding"]:
        raise Refused("G5", f"{name!r} depends on padded entries: choose by the mask, with `jnp.where`.")
    if found["reordered"] > BY_CHANCE:
        raise Refused(
            "G5",
            f"{name!r} changes on {found['reordered']:.0%} of the views when the rows of a list change places: choose "
            "rows by what they say (the nearest, a sum, a mean), and not by their number.",
        )
    warnings = []
    if any(low == high for low, high in found["goals"]):
        warnings.append("a sub-goal is the same on all views.")
    return warnings


def _check_bounds(found: dict[str, Any], low: list[float], high: list[float]) -> None:
    for k, (least, most) in enumerate(zip(low, high, strict=True)):
        slack = 1e-4 * (most - least)
        if found["low"][k] < least - slack or found["high"][k] > most + slack:
            span = f"from {found['low'][k]:g} to {found['high'][k]:g}"
            raise Refused("G5", f"component {k} of 'prior_policy' goes {span}, and must stay in [{least:g}, {most:g}].")
    if found["saturated"] == 1.0:
        raise Refused("G5", "every action of 'prior_policy' stands at its bounds: scale it, so that it can be gentle.")


def check_cost(report: Report, contract: Contract, limits: Limits) -> None:
    """G8: the elements that a function computes for one view are bounded. How long that takes is measured and noted,
    and refuses nothing: it depends on the machine, and on who else uses it."""
    most = max(limits.cost, limits.cost_of_input * sum(kind.size for kind in contract.inputs))
    for name, counts in report.program.items():
        if counts["work"] > most:
            raise Refused(
                "G8", f"{name!r} computes {counts['work']} elements for one view, more than {most}: make it cheaper."
            )
    report.passes("G8")


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
