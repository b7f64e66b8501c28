"""How often each law asserted something: laws that say nothing about a pair skip, and a law that never speaks fails.

A pytest plugin, because the cases of a law are spread over test processes: it counts where all reports arrive.
"""

from __future__ import annotations

import re
from collections import Counter

import pytest

CASE = re.compile(r"test_laws\.py::Test_\w+::test_law\[(\w+)\]$")


class LawCounts:
    """Cases by law, of one test run."""

    def __init__(self):
        self.asserted: Counter[str] = Counter()
        self.silent: Counter[str] = Counter()

    def add(self, nodeid: str, when: str, outcome: str) -> None:
        """A report of pytest's; those of other tests, and of what comes before and after a test, do not count."""
        case = CASE.search(nodeid)
        if case is None or (when != "call" and outcome != "skipped"):
            return
        (self.silent if outcome == "skipped" else self.asserted)[case[1]] += 1

    def never_spoke(self) -> list[str]:
        return sorted(set(self.silent) - set(self.asserted))

    def lines(self) -> list[str]:
        """One line per law."""
        laws = sorted({*self.asserted, *self.silent})
        return [f"{law:16}{self.asserted[law]:4} of {self.asserted[law] + self.silent[law]}" for law in laws]

    def pytest_runtest_logreport(self, report):
        self.add(report.nodeid, report.when, report.outcome)

    def pytest_sessionfinish(self, session):
        if self.never_spoke() and asks_for_everything(session.config):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter, config):
        if not asks_for_everything(config) or not self.lines():
            return
        terminalreporter.section("cases in which a law asserted something")
        for line in self.lines():
            terminalreporter.line(line)
        for law in self.never_spoke():
            terminalreporter.line(f"FAILED: the law {law!r} never speaks: give it a pair that it is about.", red=True)


def asks_for_everything(config) -> bool:
    """Whether the tests were not picked by name or tier, so that silence is the laws' own."""
    picked = config.option.keyword or config.option.markexpr == "slow"
    return config.args_source is pytest.Config.ArgsSource.TESTPATHS and not picked
