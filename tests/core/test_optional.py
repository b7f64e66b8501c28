"""What may be offered is listed, is looked for in one way, and is missed nowhere."""

from __future__ import annotations

import ast
from pathlib import Path

import jax
import pytest

import covey
from covey.core.algorithm import Scripted, ledgers
from covey.core.environment import evaluation_world, measures
from covey.core.optional import ALGORITHM, ENVIRONMENT, HOST, KNOWN, offered
from covey.environments import toy

PACKAGE = Path(covey.__file__).parent
DOCS = PACKAGE.parents[1] / "docs"


def names_looked_for(source: str) -> set[str]:
    """Names in `hasattr(x, "name")` and `getattr(x, "name", default)`."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    named = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id in ("hasattr", "getattr")]
    return {call.args[1].value for call in named if isinstance(call.args[1], ast.Constant)}  # type: ignore


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_what_may_be_offered_is_looked_for_in_one_way(path):
    assert not names_looked_for(path.read_text()) & set(KNOWN), "ask `covey.core.optional.offered`"


def test_only_what_is_listed_is_looked_for():
    with pytest.raises(AssertionError, match="not listed"):
        offered(object(), "reserve")


class Bare:
    """An environment with what it needs and nothing more."""

    def __init__(self):
        inner = toy.continuous()
        self.spec, self.reset, self.step = inner.spec, inner.reset, inner.step


def test_what_is_not_offered_is_not_missed():
    bare = Bare()
    state, _ = bare.reset(jax.random.key(0))
    assert all(offered(bare, name) is None for name in ENVIRONMENT)
    assert evaluation_world(bare) is bare
    assert measures(bare, state) == {}
    rule = Scripted(bare.spec, tuple(bare.spec.groups), lambda now, key: {})
    assert ledgers(rule, (), None) == {}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("page", "listed"), [("your-environment", {**ENVIRONMENT, **HOST}), ("your-algorithm", ALGORITHM)]
)
def test_the_pages_name_all_of_it(page, listed):
    text = (DOCS / f"{page}.md").read_text()
    assert [name for name in listed if f"`{name}" not in text] == []
