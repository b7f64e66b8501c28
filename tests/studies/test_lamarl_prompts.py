"""The ablation of the prompt with answers made by hand: each ends where it was made to end, and all are counted."""

from __future__ import annotations

import json
from urllib.request import Request, urlopen

import pytest

import covey
from covey.authored import prompts
from covey.authored.ablation import CONDITIONS
from covey.authored.cage import isolation
from covey.authored.contract import contract_of
from covey.core.errors import BadInput
from covey.studies.lamarl.answers import ANSWERS, DECKS
from covey.studies.lamarl.prompts import GOOD, TASK, Deck, dealt
from covey.studies.lamarl.server import serving
from covey.studies.reproduce import reproduce, tables_of

ENDS = {
    "prose": "G0",
    "two blocks": "G0",
    "cut off": "G0",
    "a slip": "G1",
    "numpy": "G2",
    "annotations": "G2",
    "a branch": "G3",
    "another field": "G3",
    "all landmarks": "G3",
    "unguarded": "G5",
    "too fast": "G5",
    "a distance": "G5",
    "the other way": "G6",
    "generous": "G6",
}
"""Where the answers that are no good were made to end."""


def test_every_answer_is_good_or_bad_and_dealt():
    assert set(ANSWERS) == {*GOOD, *ENDS}
    assert list(DECKS) == list(CONDITIONS)
    assert {name for deck in DECKS.values() for name in deck} == set(ANSWERS)
    assert {len(deck) for deck in DECKS.values()} == {20}
    assert dealt("both", 21)[20] == DECKS["both"][0]


@pytest.mark.parametrize(("condition", "style"), CONDITIONS.items(), ids=CONDITIONS)
def test_answers_are_dealt_by_what_a_prompt_offers(condition, style):
    question = prompts.ask_everything(contract_of(covey.make("navigation")), TASK, style)
    deck = Deck()
    said = [deck.answer([message._asdict() for message in question]) for _ in range(3)]
    assert said == [ANSWERS[name] for name in DECKS[condition][:3]]


def test_the_server_speaks_the_protocol():
    with serving(lambda messages: messages[-1]["content"].upper(), "m") as url:
        body = json.dumps({"model": "x", "messages": [{"role": "user", "content": "yes"}]}).encode()
        with urlopen(Request(f"{url}/chat/completions", body, {"Content-Type": "application/json"})) as response:
            answer = json.load(response)
    assert answer["choices"][0]["message"]["content"] == "YES"
    assert (answer["model"], answer["choices"][0]["finish_reason"]) == ("m", "stop")


@pytest.mark.slow
def test_the_study(tmp_path):
    """All answers of a deck; what they were made to be is what the gates say."""
    pytest.importorskip("openai", reason="the package openai is not installed (extra `authored`)")
    if isolation() is None:
        pytest.skip("bubblewrap is not installed, or cannot run here")
    said = []
    folder = reproduce("lamarl/prompts", quick=True, seeds=20, out=tmp_path / "study", say=said.append)
    (table,) = tables_of(folder)
    rows = table["values"]["rows"]
    assert [row["condition"] for row in rows] == list(CONDITIONS)
    for row in rows:
        names = DECKS[row["condition"]]
        assert row["passed"] == sum(name in GOOD for name in names)
        ends = [ENDS[name] for name in names if name in ENDS]
        assert row["failures"] == {gate: ends.count(gate) for gate in sorted(set(ends))}
    assert len(table["values"]["contrasts"]) == 3
    assert sum(line.startswith("CONFIRMED") for line in said) == 2
    assert "made by hand" in (folder / "table.md").read_text()
    (folder / "exchange" / "mine.txt").touch()
    with pytest.raises(BadInput, match="holds other files"):
        reproduce("lamarl/prompts", quick=True, out=folder, say=said.append)
