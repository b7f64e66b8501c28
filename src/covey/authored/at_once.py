"""Several candidates at once: a thread for each, which waits for answers and does nothing else.

Everything that computes, examines, prints or writes what was found stays in the calling thread. So Ctrl-C comes out of
it at once, and gates run one after the other, as with a single candidate.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from covey.authored.dialogue import Candidate, Dialogue, Judging, Tell
from covey.authored.exchange import Fault

POLL_S = 0.2
"""How often a thread looks whether it is still waited for."""


class Stopped(Exception):
    """Nobody waits for this dialogue any more."""


class Work(NamedTuple):
    """What the calling thread shall do, and where the value, or the exception, goes."""

    call: Callable[[], Any]
    answer: queue.SimpleQueue[tuple[Any, Exception | None]]


class End(NamedTuple):
    """A candidate has ended, with a fault or without; or something else was raised."""

    candidate: Candidate
    fault: Fault | None
    error: BaseException | None


def lead_at_once(
    candidates: list[Candidate],
    dialogue: Callable[[int, Judging, Tell], Dialogue],
    judge: Judging,
    tell: Tell,
    done: Callable[[], None],
) -> list[Fault | None]:
    """Lead candidates to their ends, all at once; for each the fault that ended it.

    dialogue: makes one, of a candidate's number, who judges and who is told. done: is called after each end.
    What is raised anywhere, Ctrl-C too, ends the waiting, and comes out here.
    """
    events: queue.SimpleQueue[Work | End] = queue.SimpleQueue()
    stopped = threading.Event()

    def in_caller(call: Callable[[], Any]) -> Any:
        work = Work(call, queue.SimpleQueue())
        events.put(work)
        while not stopped.is_set():
            try:
                value, error = work.answer.get(timeout=POLL_S)
            except queue.Empty:
                continue
            if error is not None:
                raise error
            return value
        raise Stopped

    def lead(candidate: Candidate) -> None:
        name = f"candidate {candidate.number}"
        asked = dialogue(
            candidate.number,
            lambda text: in_caller(lambda: judge(text)),
            lambda line: in_caller(lambda: tell(f"{name}: {line}")),
        )
        try:
            events.put(End(candidate, asked.lead(candidate), None))
        except Stopped:
            pass
        except BaseException as error:
            events.put(End(candidate, None, error))

    for candidate in candidates:
        threading.Thread(target=lead, args=(candidate,), daemon=True).start()
    faults: dict[int, Fault | None] = {}
    try:
        while len(faults) < len(candidates):
            match events.get():
                case Work(call, answer):
                    answer.put(_outcome(call))
                case End(candidate, fault, None):
                    faults[candidate.number] = fault
                    done()
                case End(_, _, BaseException() as error):
                    raise error
    finally:
        stopped.set()
    return [faults[candidate.number] for candidate in candidates]


def _outcome(call: Callable[[], Any]) -> tuple[Any, Exception | None]:
    try:
        return call(), None
    except Exception as error:
        return None, error
