"""`lamarl/prompts`: do the reasoning and the offered functions help a model to write what passes the gates?

Without a model. A server on this machine speaks the protocol and gives answers that were made by hand
(`covey.studies.lamarl.answers`), so the table shows the tool. `covey author ENVIRONMENT --ablation N --endpoint URL
--model NAME` asks a model the same questions, and prints the same table.
"""

from __future__ import annotations

import functools
import itertools
import json
from pathlib import Path

from covey import environments
from covey.authored import handwritten
from covey.authored.ablation import CONDITIONS, Row, ablate, contrasts, document
from covey.authored.cage import demand_isolation
from covey.authored.client import Client
from covey.authored.contract import contract_of
from covey.authored.endpoint import Endpoint
from covey.authored.folder import EXCHANGE, REPORT
from covey.authored.judging import Judge
from covey.authored.limits import Limits
from covey.authored.prompts import STEPS
from covey.authored.recording import Replayed
from covey.core.errors import BadInput
from covey.runs.tables import Column, Table, show
from covey.studies.lamarl.answers import ANSWERS, DECKS
from covey.studies.lamarl.server import serving
from covey.studies.saying import Say, verdict

TASK = "Cover all landmarks."
MODEL = "made-by-hand"
PUBLISHED = (28.5, 67.5)
"""Percentage points by which reasoning and functions together raise the share of answers that work (abstract of Zhu et
al. 2025); what an answer that works is, and of how many, is not published."""


def prompts(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """`seeds` answers under each of the four conditions, in `navigation`; if quick, on fewer views."""
    demand_isolation(give_up_isolation=False)
    say("Answers made by hand, not by a model: the table shows the tool. With a model:")
    say("  covey author navigation --ablation 40 --endpoint URL --model NAME --calls 400")
    say("Prediction: as many answers pass as were made to pass; a recorded exchange gives the same table again.")
    environment = environments.make("navigation")
    limits = Limits(views=500) if quick else Limits()
    judge = functools.cache(Judge(environment, contract_of(environment), limits))  # one text is judged once
    folder = out / "exchange"
    _forget(folder)
    with serving(Deck().answer, MODEL) as url:
        endpoint = Endpoint(url, MODEL, calls=8 * seeds, tokens=10**9, deadline_s=3600.0)
        rows = ablate(environment, TASK, Client(endpoint), answers=seeds, judge=judge, out=folder, tell=say)
    _table(rows, out)
    again = ablate(environment, TASK, Replayed(folder), answers=seeds, judge=judge)
    verdict(say, "the exchange gives the same table again", again == rows, f"{4 * seeds} answers")
    wanted = [sum(name in GOOD for name in dealt(condition, seeds)) for condition in CONDITIONS]
    found = [row.passed for row in rows]
    verdict(say, "as many pass as were made to pass", found == wanted, f"{found}, made: {wanted}")
    both = contrasts(rows)[-1]
    low, high = PUBLISHED
    say(f"published for a model: +{low} to +{high} points; here, made by hand, {both.condition}: {both.text()}")


GOOD = ("whole", "short", "gentle")
"""Answers that were made to pass."""


def dealt(condition: str, count: int) -> list[str]:
    """The names of the first answers under a condition."""
    return list(itertools.islice(itertools.cycle(DECKS[condition]), count))


class Deck:
    """Answers in turn, by what a prompt offers and asks for."""

    def __init__(self) -> None:
        self.turns = {name: itertools.cycle(deck) for name, deck in DECKS.items()}

    def answer(self, messages: list[dict[str, str]]) -> str:
        question = messages[-1]["content"]
        asks, offers = STEPS.strip() in question, handwritten.LENGTHS.strip() in question
        for name, style in CONDITIONS.items():
            if (style.chain_of_thought, style.apis) == (asks, offers):
                return ANSWERS[next(self.turns[name])]
        raise AssertionError("there is a condition for every pair of truths")


def _forget(folder: Path) -> None:
    """Take away what an earlier study has left in its folder."""
    for name in (EXCHANGE, REPORT):
        (folder / name).unlink(missing_ok=True)
    if folder.exists() and any(folder.iterdir()):
        raise BadInput(f"the folder {folder} holds other files: choose another one with --out.")


def _table(rows: list[Row], out: Path) -> None:
    """Print the rows and the differences, and write them as every study does."""
    titles = ("prompt", "answers", "passed [95 %]", "more than the task alone [95 %]", "ended at")
    apart = {contrast.condition: contrast.text() for contrast in contrasts(rows)}
    cells = [
        (
            *(row.condition, str(row.answers), row.share.text(), apart.get(row.condition, "")),
            ", ".join(f"{name}: {count}" for name, count in row.failures.items()),
        )
        for row in rows
    ]
    title = "Answers made by hand, under four prompts (navigation)"
    show(Table(tuple(Column(name) for name in titles), cells, title))
    lines = [titles, ["---"] * len(titles), *cells]
    with (out / "table.md").open("a") as file:
        file.write(f"\n{title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n")
    with (out / "results.json").open("a") as file:
        file.write(json.dumps({"title": title, "columns": titles, "rows": cells, "values": document(rows)}) + "\n")
