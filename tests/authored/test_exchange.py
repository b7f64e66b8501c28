"""What is asked and answered is on disk at once, and answers again to the same questions alone."""

from __future__ import annotations

import json

import pytest

import covey
from covey.authored.exchange import Answer, Fault, Fixed, Message, Usage, from_file, offline
from covey.authored.recording import Recorder, Replayed
from covey.core.errors import BadInput

ASKED = (Message("system", "You answer."), Message("user", "Is it so? ≥ 1"))


class Scripted:
    """Gives its answers in turn; exceptions are raised."""

    about = {"kind": "script"}  # noqa: RUF012

    def __init__(self, *answers):
        self.answers = list(answers)

    def answer(self, stage, messages):
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


ANSWERS = (Answer("Yes.\ud800", "m-1", "stop", Usage(3, 4)), Fault("cut-off", "it is cut off."), Answer("No."))


@pytest.fixture
def recorded(tmp_path):
    """An exchange of an answer, a fault and an answer."""
    recorder = Recorder(Scripted(*ANSWERS), tmp_path / "exchange.jsonl", "1")
    for stage, answer in zip(("plan", "plan", "code"), ANSWERS, strict=True):
        if isinstance(answer, Fault):
            with pytest.raises(Fault):
                recorder.answer(stage, ASKED)
        else:
            assert recorder.answer(stage, ASKED) == answer
    return recorder


def test_every_exchange_is_kept(recorded):
    lines = [json.loads(line) for line in recorded.path.read_text().splitlines()]
    assert [line["stage"] for line in lines] == ["plan", "plan", "code"]
    assert [line["number"] for line in lines] == [0, 1, 2]
    assert lines[0]["messages"][1] == {"role": "user", "content": "Is it so? ≥ 1"}
    assert lines[0]["answer"]["usage"] == {"prompt": 3, "completion": 4}
    assert lines[1]["fault"] == {"name": "cut-off", "sentence": "it is cut off.", "final": False}
    assert lines[0]["request_sha256"] == lines[1]["request_sha256"] != lines[2]["request_sha256"]
    assert recorded.usage == {"exchanges": 3, "prompt": 3, "completion": 4}
    assert recorded.models == ["m-1"]


def test_an_interrupt_is_kept(tmp_path):
    recorder = Recorder(Scripted(Answer("Yes."), KeyboardInterrupt()), tmp_path / "x.jsonl", "1")
    recorder.answer("code", ASKED)
    with pytest.raises(KeyboardInterrupt):
        recorder.answer("code", ASKED)
    first, second = (json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines())
    assert first["answer"]["text"] == "Yes."
    assert second["fault"]["name"] == "stopped"


def test_it_answers_again(recorded):
    replayed = Replayed(recorded.path.parent)
    assert replayed.answer("plan", ASKED) == ANSWERS[0]
    with pytest.raises(Fault, match="cut off") as caught:
        replayed.answer("plan", ASKED)
    assert (caught.value.name, caught.value.final) == ("cut-off", False)
    assert replayed.answer("code", ASKED) == ANSWERS[2]
    with pytest.raises(BadInput, match="ends after 3 answers"):
        replayed.answer("code", ASKED)


@pytest.mark.parametrize(
    "asked", [("code", ASKED), ("plan", ASKED[:1]), ("plan", (*ASKED[:1], Message("user", "No?")))]
)
def test_other_questions_are_not_answered(asked, recorded):
    with pytest.raises(BadInput, match="the answer to another question at line 1"):
        Replayed(recorded.path).answer(*asked)


CHANGED = {
    "another answer": (lambda text: text.replace("No.", "On."), "line 3 .* was changed: its SHA-256 differs"),
    "half a line": (lambda text: text[:-40], "line 3 .* is not what covey writes"),
    "no JSON": (lambda text: "hello\n", "line 1 .* is not what covey writes"),
    "a list": (lambda text: "[]\n", "line 1 .* is not what covey writes"),
    "no digest": (lambda text: text.replace("request_sha256", "sha"), "line 1 .* is not what covey writes"),
    "brackets": (lambda text: "[" * 100_000, "line 1 .* is not what covey writes"),
}


@pytest.mark.parametrize(("change", "words"), CHANGED.values(), ids=CHANGED)
def test_exchanges_that_are_none(change, words, recorded):
    recorded.path.write_text(change(recorded.path.read_text()))
    with pytest.raises(BadInput, match=words):
        Replayed(recorded.path)


def test_files_that_are_none(tmp_path):
    with pytest.raises(BadInput, match=r"there is no recorded exchange .*exchange.jsonl"):
        Replayed(tmp_path)
    with pytest.raises(BadInput, match="there is no source file"):
        from_file(tmp_path / "none.py")
    with pytest.raises(BadInput, match="cannot be read"):
        from_file(tmp_path)
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="is no text in UTF-8"):
        from_file(tmp_path / "bytes.py")


def test_a_full_disk(tmp_path, monkeypatch):
    recorder = Recorder(Scripted(Answer("Yes.")), tmp_path / "missing" / "x.jsonl", "1")
    with pytest.raises(BadInput, match="cannot be written"):
        recorder.answer("code", ASKED)


def test_texts_that_are_there_already(tmp_path):
    (tmp_path / "mine.py").write_text("x = 1\n")
    found = from_file(tmp_path / "mine.py")
    assert found == Fixed("x = 1\n", "mine.py")
    assert found.answer("code", ASKED).text == found.answer("repair", ()).text == "x = 1\n"
    assert "def prior_policy" in offline(covey.make("navigation")).text
    with pytest.raises(BadInput, match=r"of its own for 'toy/graph' .*--endpoint URL --model NAME"):
        offline(covey.make("toy/graph"))
