"""An environment, its contract and views, and sources that are as they should be."""

from __future__ import annotations

import jax
import pytest
from sources import GREEDY

import covey
from covey.authored.cage import isolation
from covey.authored.contract import contract_of
from covey.authored.rollouts import sample_views

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
