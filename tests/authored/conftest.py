"""An environment, its contract and views, and sources that are as they should be."""

from __future__ import annotations

import re

import jax
import pytest
from sources import GREEDY

import covey
from covey.authored.cage import isolation
from covey.authored.contract import contract_of
from covey.authored.judging import Judgment
from covey.authored.refusal import Refused
from covey.authored.report import Admission, Report
from covey.authored.rollouts import sample_views
from covey.authored.trial import Trial

LOCKED = isolation()


@pytest.fixture(scope="session")
def isolated():
    """How children are locked in; the test is skipped where none can be."""
    if LOCKED is None:
        pytest.skip("bubblewrap is not installed, or cannot run here")
    return LOCKED


@pytest.fixture(scope="session")
def navigation():
    return covey.make("navigation")


@pytest.fixture(scope="session")
def contract(navigation):
    return contract_of(navigation)


@pytest.fixture(scope="session")
def views(contract, navigation):
    return sample_views(contract, navigation, jax.random.key(0), count=2_000)


@pytest.fixture
def source():
    return GREEDY


@pytest.fixture(scope="session")
def quick(contract):
    """A judge who reads the words `refused at GATE: SENTENCE` and `score NUMBER` in a text, and runs nothing."""
    from test_trial import authored

    functions = authored(contract)

    def judge(text):
        said = re.search(r"refused at (G\d): (.*)", text)
        report = Report("navigation", "agent")
        if said:
            return Judgment(Admission(report, None), None, Refused(said[1], said[2], "what lies behind it"))
        scored = re.search(r"score (\S+)", text)
        score = float(scored[1]) if scored else 1.0
        return Judgment(Admission(report, functions), Trial(score, 0.0, 0.5, 0.1, 0.9, {}, {}), None)

    return judge
