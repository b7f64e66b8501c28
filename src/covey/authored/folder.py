"""A folder of authored functions: what is in it, and how the functions come back. Nothing in it is ever executed.

source.py        the text, to be read by people; terms.json where it is no code but a document of terms
program.json     both functions as programs of data, and the contract that they keep
report.json      the task, the gates, the score, every attempt, and SHA-256 of the other files
exchange.jsonl   what the model was asked and what it answered
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from covey.authored.contract import Contract, contract_of
from covey.authored.frames import Malformed, read_json
from covey.authored.functions import Authored, Kept, read_authored
from covey.authored.limits import Limits
from covey.authored.refusal import Refused
from covey.core.errors import BadInput
from covey.core.files import content, reading, write_atomically

TEXTS = {"code": "source.py", "terms": "terms.json"}
"""What was admitted, by its form."""

PROGRAM, REPORT, EXCHANGE = "program.json", "report.json", "exchange.jsonl"

MOST_REPORT = 16 * 2**20
"""Bytes of a report that is read."""

BOUND = ("view", "constants", "gives")
"""Entries of a contract's document that have to be the same; bounds of actions may differ."""


def is_authored(path: Path) -> bool:
    """Is it a folder of authored functions, or the program of one?"""
    return (path / PROGRAM).is_file() or (path.suffix == ".json" and path.is_file())


def begin(folder: Path) -> None:
    """Make an empty folder; BadInput where something is in it."""
    with reading(f"the folder {folder}"):
        if folder.exists() and not folder.is_dir():
            raise BadInput(f"the folder {folder} is a file: choose another name.")
        if folder.exists() and any(folder.iterdir()):
            raise BadInput(f"the folder {folder} is not empty: choose another one.")
        folder.mkdir(parents=True, exist_ok=True)


def save(folder: Path, text: str, authored: Authored, form: str = "code") -> None:
    """Write the text and the programs."""
    contract = authored.contract
    about = {"environment": contract.environment, "group": contract.name, "contract": contract.document()}
    write_atomically(folder / TEXTS[form], text.encode())
    write_atomically(folder / PROGRAM, json.dumps(about | authored.document(), indent=1).encode("ascii"))


def save_report(folder: Path, report: dict[str, Any]) -> None:
    """Write the report, with the digests of the files that are there."""
    files = [name for name in (*TEXTS.values(), PROGRAM, EXCHANGE) if (folder / name).exists()]
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files}
    write_atomically(folder / REPORT, json.dumps(report | {"sha256": digests}, indent=1).encode("ascii"))


def asked(folder: Path) -> dict[str, Any]:
    """What the functions in a folder were asked for with, by the names of `covey.authored.author:author`; nothing
    where its report does not say so."""
    file = folder / REPORT
    if not file.is_file() or file.stat().st_size > MOST_REPORT:
        return {}
    with reading(f"the file {file}"):
        text = file.read_bytes()
    try:
        document = read_json(text, 2 * Limits().nesting)
    except (Malformed, UnicodeDecodeError):
        return {}
    said = document.get("asked") if isinstance(document, dict) else None
    kinds = {"task": str, "candidates": int, "repairs": int, "seed": int, "form": str}
    kinds |= dict.fromkeys(("staged", "chain_of_thought", "apis"), bool)
    kept = said if isinstance(said, dict) and all(type(said.get(name)) is kind for name, kind in kinds.items()) else {}
    return {name: kept[name] for name in kinds if kept}


def load(
    path: Path, environment: Any, limits: Limits | None = None, *, name: str | None = None, sha256: str | None = None
) -> Authored:
    """The functions in a folder, or in its program, for an environment; BadInput where they are not for it.

    name: what the folder is called (None: its path). sha256: of the program that it has to be (None: any).
    """
    limits = limits or Limits()
    file = path / PROGRAM if path.is_dir() else path
    if path.is_dir() and not file.exists():
        raise BadInput(f"the folder {path} holds no authored functions (it has no {PROGRAM}).")
    text = _text(file, limits)
    found = hashlib.sha256(text).hexdigest()
    if sha256 not in (None, found):
        raise BadInput(
            f"the authored functions {path} are not those that the run was trained with (the SHA-256 of {PROGRAM} is "
            f"{found[:12]}..., and was {sha256[:12]}...): put those back, or train anew."
        )
    document = _document(file, text, limits)
    try:
        contract = contract_of(environment, document["group"])
    except BadInput as error:
        raise BadInput(f"the authored functions {path} are for another environment: {error}") from error
    _demand_same(path, document, contract)
    try:
        functions = read_authored({name: document[name] for name in ("programs", "goals")}, contract, limits)
    except Refused as refused:
        raise BadInput(f"the file {file} holds no authored functions: {refused.sentence}") from refused
    return dataclasses.replace(functions, kept=Kept(name or str(path), file, found, text))


def _text(file: Path, limits: Limits) -> bytes:
    with reading(f"the file {file}"):
        if file.is_file() and file.stat().st_size > 2 * limits.answer_bytes:
            raise BadInput(f"the file {file} is larger than a program of authored functions can be.")
        text = content(file)
    if text is None:
        raise BadInput(f"there is no file {file}.")
    return text


def _document(file: Path, text: bytes, limits: Limits) -> dict[str, Any]:
    """The document in a file, whose entries may be anything."""
    try:
        document = read_json(text, limits.nesting)
    except (Malformed, UnicodeDecodeError) as error:
        raise BadInput(f"the file {file} holds no authored functions: {error}.") from error
    names = {"environment": str, "group": str, "contract": dict, "programs": dict, "goals": list}
    if not isinstance(document, dict) or not all(isinstance(document.get(x), kind) for x, kind in names.items()):
        raise BadInput(f"the file {file} holds no authored functions: `covey author` writes such files.")
    return document


def _demand_same(path: Path, document: dict[str, Any], contract: Contract) -> None:
    wanted, found = contract.document(), document["contract"]
    for name in BOUND:
        if found.get(name) != wanted[name]:
            what = {"view": "agents see other things", "constants": "other numbers are known"}
            raise BadInput(
                f"the authored functions {path} were written for {document['environment']!a}, and in "
                f"{contract.environment!r} {what.get(name, 'agents do other things')}: run `covey author` for it."
            )
