"""What a language model answers in JSON: constraints, a plan, a review. Read by `json`, and never beyond it."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from covey.authored.frames import nesting
from covey.authored.gates import blocks
from covey.authored.refusal import Refused
from covey.core.errors import BadInput

MOST_JSON = 65_536
MOST_DEEP = 8
MOST_ENTRIES = 32
"""Characters of a model's JSON, brackets inside each other, and entries of a list."""

KINDS = ("basic", "complex")


class Constraint(NamedTuple):
    """Something that the task demands. kind: "basic" where one agent can see to it by itself, else "complex"."""

    id: str
    text: str
    kind: str


class Item(NamedTuple):
    """A skill or a sub-goal: a plain name, what it does or when it holds, and the constraints it serves."""

    name: str
    text: str
    constraints: tuple[str, ...]


class Plan(NamedTuple):
    """What the functions are made of: the prior of skills, the reward of sub-goals."""

    skills: tuple[Item, ...]
    goals: tuple[Item, ...]

    def json(self) -> dict[str, Any]:
        return {name: [item._asdict() for item in items] for name, items in self._asdict().items()}


class Verdict(NamedTuple):
    """Of a review: does a skill or a sub-goal do what the plan says, and why not."""

    name: str
    holds: bool
    text: str


class Unreadable(BadInput):
    """An answer that is not what a stage asks for. gate: the stage; it can be asked again with the sentence."""

    def __init__(self, gate: str, sentence: str):
        super().__init__(sentence)
        self.gate = gate
        self.sentence = sentence
        self.details = ""


# ---------------------------------------------------------------------------------------------------------------------
# Reading


def json_of(answer: str, gate: str) -> Any:
    """The JSON of an answer, which is nothing but JSON or has one block of it; Unreadable where there is none."""
    try:
        fenced = blocks(answer)
    except Refused as refused:
        raise Unreadable(gate, refused.sentence) from refused
    found = [text for kind, text in fenced if kind == "json"] or [text for kind, text in fenced if not kind]
    if len(found) > 1:
        raise Unreadable(gate, f"the answer has {len(found)} blocks of JSON: give exactly one.")
    text = found[0] if found else answer
    if len(text) > MOST_JSON or nesting(text.encode("utf-8", "replace")) > MOST_DEEP:
        raise Unreadable(gate, "the JSON of the answer is too long, or nested too deeply.")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise Unreadable(gate, f"the answer has no valid JSON{where}: give one block of it.") from error


def read_constraints(answer: str) -> tuple[Constraint, ...]:
    """S2: at least one constraint, each with an id of its own."""
    entries = _entries(_document(json_of(answer, "S2"), "S2"), "constraints", "S2")
    found = tuple(Constraint(*(_text(entry, name, "S2") for name in Constraint._fields)) for entry in entries)
    for constraint in found:
        if constraint.kind not in KINDS:
            raise Unreadable("S2", f"the constraint {_short(constraint.id)} must be of kind {' or '.join(KINDS)}.")
    _once([constraint.id for constraint in found], "constraints", "S2")
    return found


def read_plan(answer: str, constraints: tuple[Constraint, ...]) -> Plan:
    """S3: skills and sub-goals with plain names, which cover every constraint, and each basic one by a skill."""
    document = _document(json_of(answer, "S3"), "S3")
    plan = Plan(*(tuple(_item(entry) for entry in _entries(document, name, "S3")) for name in Plan._fields))
    for name, items in plan._asdict().items():
        _once([item.name for item in items], name, "S3")
    known = {constraint.id for constraint in constraints}
    strange = sorted({id for item in (*plan.skills, *plan.goals) for id in item.constraints} - known)
    if strange:
        raise Unreadable("S3", f"the plan names the constraint {_short(strange[0])}, which is not among them.")
    by_skills = {id for item in plan.skills for id in item.constraints}
    covered = by_skills | {id for item in plan.goals for id in item.constraints}
    for constraint in constraints:
        if constraint.id not in covered:
            raise Unreadable("S3", f"no skill and no sub-goal serves the constraint {_short(constraint.id)}.")
        if constraint.kind == "basic" and constraint.id not in by_skills:
            raise Unreadable("S3", f"no skill serves the basic constraint {_short(constraint.id)}.")
    return plan


def read_review(answer: str) -> tuple[Verdict, ...]:
    """S5."""
    entries = _entries(_document(json_of(answer, "S5"), "S5"), "verdicts", "S5")
    found = []
    for entry in entries:
        if not isinstance(entry.get("holds"), bool):
            raise Unreadable("S5", "every verdict must have an entry `holds` that is true or false.")
        found.append(Verdict(_text(entry, "name", "S5"), entry["holds"], _text(entry, "text", "S5")))
    return tuple(found)


def _document(value: Any, gate: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unreadable(gate, "the JSON of the answer must be an object of the form that was asked for.")
    return value


def _entries(document: dict[str, Any], name: str, gate: str) -> list[dict[str, Any]]:
    entries = document.get(name)
    if not isinstance(entries, list) or not 1 <= len(entries) <= MOST_ENTRIES:
        raise Unreadable(gate, f"the JSON of the answer must have a list {name!r} of 1 to {MOST_ENTRIES} entries.")
    if not all(isinstance(entry, dict) for entry in entries):
        raise Unreadable(gate, f"every entry of {name!r} must be an object.")
    return entries


def _text(entry: dict[str, Any], name: str, gate: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str) or not value.strip():
        raise Unreadable(gate, f"every entry must have a text {name!r}.")
    return value.strip()


def _item(entry: dict[str, Any]) -> Item:
    name, ids = _text(entry, "name", "S3"), entry.get("constraints")
    if not (name.isidentifier() and name.isascii() and len(name) <= 40):
        raise Unreadable("S3", f"{_short(name)} is no plain name: use letters, digits and underscores.")
    if not isinstance(ids, list) or not ids or not all(isinstance(id, str) for id in ids):
        raise Unreadable("S3", f"{_short(name)} must list the ids of the constraints that it serves.")
    return Item(name, _text(entry, "text", "S3"), tuple(ids))


def _once(names: list[str], what: str, gate: str) -> None:
    if len(set(names)) < len(names):
        raise Unreadable(gate, f"two entries of {what!r} have the same name or id.")


def _short(name: str) -> str:
    return ascii(name if len(name) <= 40 else name[:37] + "...")
