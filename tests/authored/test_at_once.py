"""Candidates that ask at once: one budget for all, an exchange that answers again, and nothing lost when stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time

import pytest
from scripted import completion, error, serving
from test_author import CODE, CONSTRAINTS, PLAN, REVIEW, TASK, Scripted

from covey.authored.author import NothingAdmitted, author
from covey.authored.budget import Budget
from covey.authored.client import Client
from covey.authored.dialogue import PASSED
from covey.authored.endpoint import Endpoint
from covey.authored.exchange import Fault
from covey.authored.prompts import Style
from covey.authored.recording import Replayed
from covey.core.errors import BadInput


@pytest.fixture
def write(navigation, quick, tmp_path):
    """Candidates of an endpoint, judged quickly, in the folder `new`."""
    pytest.importorskip("openai", reason="the package openai is not installed (extra `authored`)")

    def write(server, candidates=3, out="new", endpoint=None, **how):
        client = Client(Endpoint(server.url, "m", **(endpoint or {})))
        options = {"judge": quick, "out": tmp_path / out, "candidates": candidates} | how
        return author(navigation, TASK, client, **options)

    return write


def entries(folder):
    return [json.loads(line) for line in (folder / "exchange.jsonl").read_text().splitlines()]


class Gate:
    """A server's script that answers when `count` questions are there, and not before."""

    def __init__(self, count, replies):
        self.barrier = threading.Barrier(count, timeout=20)
        self.replies = replies
        self.number = iter(range(10_000))

    def __call__(self, request):
        number = next(self.number)
        self.barrier.wait()
        return self.replies[number % len(self.replies)]


def test_they_ask_at_the_same_time_and_the_best_is_taken(write, tmp_path):
    """Each answer waits for all three questions: one after the other would never be answered."""
    replies = [completion("score 1"), completion("score 3"), completion("score 2")]
    told = []
    with serving(Gate(3, replies)) as server:
        written = write(server, tell=told.append)
    assert written.trial.prior_return == 3
    assert sorted(candidate["score"] for candidate in written.report["candidates"]) == [1.0, 2.0, 3.0]
    assert [candidate["number"] for candidate in written.report["candidates"]] == [1, 2, 3]
    assert (tmp_path / "new" / "source.py").read_text() == "score 3"
    assert sorted(entry["candidate"] for entry in entries(tmp_path / "new")) == [1, 2, 3]
    assert all(re.match(r"(context|3 candidates|candidate \d: )", line) for line in told)


def staged(request):
    """Answers to every stage, slower for some than for others."""
    question = request["messages"][-1]["content"]
    time.sleep(0.02 * (int(request["seed"]) // 1000 == 1))
    if "List the constraints" in question:
        return completion(CONSTRAINTS)
    if "Now plan both functions" in question:
        return completion(PLAN)
    if "verdicts" in question:
        return completion(REVIEW)
    if "Gate G3" in question:
        return completion(f"score {int(request['seed'])}")
    return completion("refused at G3: line 4: no.")


def test_the_exchange_answers_again(write, navigation, quick, tmp_path):
    """Lines of candidates mix, and each is played again in its own order, one candidate after the other."""
    with serving(staged) as server:
        first = write(server, style=Style(staged=True), endpoint={"seed": 5})
    seeds = [int(request["seed"]) for request in server.requests]
    assert sorted(seeds) == [5 + 1000 * k + j for k in range(3) for j in range(5)]
    replayed = Replayed(tmp_path / "new")
    assert [replayed.holds(k) for k in (1, 2, 3, 4)] == [True, True, True, False]
    again = author(
        navigation, TASK, replayed, candidates=3, style=Style(staged=True), judge=quick, out=tmp_path / "again"
    )
    assert again.source == first.source == "score 2008"
    for one, other in zip(first.report["candidates"], again.report["candidates"], strict=True):
        assert [r["source"] for r in one["rounds"]] == [r["source"] for r in other["rounds"]]
        assert one["ended"] == other["ended"] == PASSED
    sums = [json.loads((tmp_path / name / "report.json").read_text())["sha256"] for name in ("new", "again")]
    assert sums[0]["program.json"] == sums[1]["program.json"]


def test_a_final_fault_ends_its_candidate(write, navigation, quick, tmp_path):
    """The budget holds for all: two of three questions are sent, and the exchange gives the same candidate again."""
    with serving([completion("score 1")]) as server:
        written = write(server, endpoint={"calls": 2})
    assert len(server.requests) == 2
    ends = sorted(candidate["ended"] for candidate in written.report["candidates"])
    assert ends == ["fault: budget", PASSED, PASSED]
    assert written.report["fault"]["name"] == "budget"
    again = author(navigation, TASK, Replayed(tmp_path / "new"), candidates=3, judge=quick)
    assert again.source == "score 1"
    assert [c["ended"] for c in again.report["candidates"]] == [c["ended"] for c in written.report["candidates"]]


def test_nothing_passes(write, tmp_path):
    with serving([completion("refused at G2: a.")]) as server, pytest.raises(NothingAdmitted, match="of 6 texts"):
        write(server)
    assert len(entries(tmp_path / "new")) == 6


def test_a_key_that_is_refused(write):
    with serving([error(401)]) as server, pytest.raises(Fault, match="refuses the key"):
        write(server)


def test_what_is_raised_comes_out(write, tmp_path):
    def judge(text):
        raise BadInput("the disk is full.")

    with serving([completion(CODE)]) as server, pytest.raises(BadInput, match="the disk is full"):
        write(server, judge=judge)
    assert (tmp_path / "new" / "report.json").exists()


def test_ctrl_c_keeps_what_was_exchanged_and_the_best_so_far(write, tmp_path):
    """One has passed, one waits for its answer, one for its second: SIGINT ends all of it at once."""
    number = iter(range(100))
    waiting = threading.Event()

    def answer(request):
        if "was examined, and refused" in request["messages"][-1]["content"]:
            waiting.set()
            return completion("late")._replace(wait_s=20.0)
        return [completion("score 1"), completion("refused at G2: a."), completion("late")._replace(wait_s=20.0)][
            next(number)
        ]

    def interrupt():
        waiting.wait(20)
        deadline = time.monotonic() + 20
        while not (tmp_path / "new" / "program.json").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    began = time.monotonic()
    with serving(answer) as server, pytest.raises(KeyboardInterrupt):
        write(server)
    thread.join()
    assert time.monotonic() - began < 15
    assert (tmp_path / "new" / "source.py").read_text() == "score 1"
    kept = entries(tmp_path / "new")
    assert sorted(entry["fault"]["name"] for entry in kept if "fault" in entry) == ["stopped", "stopped"]
    assert sum("answer" in entry for entry in kept) == 2
    assert [entry["number"] for entry in kept] == [0, 1, 2, 3]
    report = json.loads((tmp_path / "new" / "report.json").read_text())
    assert report["chosen"] is not None


# ---------------------------------------------------------------------------------------------------------------------
# The budget


def budget(**limits):
    return Budget(Endpoint("http://127.0.0.1:1/v1", "m", **limits), time.monotonic)


def test_calls_are_counted_exactly():
    shared, sent, refused = budget(calls=100), [], []

    def ask():
        for _ in range(20):
            try:
                with shared.call(1):
                    sent.append(1)
                    shared.spend(3)
            except Fault as fault:
                refused.append(fault.name)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (shared.calls, len(sent), len(refused)) == (100, 100, 220)
    assert shared.tokens == 300
    assert set(refused) == {"budget"}


def test_a_request_that_might_not_fit_waits():
    """The second begins after the first has been answered, and finds that the budget is spent."""
    shared, order = budget(tokens=100, max_tokens=60), []

    def second():
        try:
            with shared.call(10):
                order.append("second began")
        except Fault as fault:
            order.append(fault.name)

    with shared.call(10):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.1)
        order.append("first answered")
        shared.spend(100)
    thread.join()
    assert order == ["first answered", "budget"]


def test_two_that_fit_are_sent_at_once():
    shared = budget(tokens=200, max_tokens=60)
    with shared.call(10), shared.call(10):
        assert shared.calls == 2


def test_a_budget_that_was_stopped():
    shared = budget()
    shared.stop()
    with pytest.raises(Fault, match="are over"), shared.call(1):
        pass


def test_those_who_wait_are_let_go_when_it_is_stopped():
    shared, found = budget(tokens=100, max_tokens=60), []

    def second():
        try:
            with shared.call(10):
                pass
        except Fault as fault:
            found.append(fault.name)

    with shared.call(10):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.05)
        shared.stop()
        thread.join(5)
    assert found == ["deadline"]


def test_a_sequential_provider_is_asked_in_turn(navigation, quick):
    provider = Scripted("score 1", "score 2")
    written = author(navigation, TASK, provider, candidates=2, judge=quick)
    assert written.trial.prior_return == 2
