"""Unwanted and broken answers: each is refused at its gate, in one sentence, and leaves no trace."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sources import EXTRACTED, GREEDY, NUMERIC, PARSED, PURSUE, STATIC, TRACED, TRANSLATED, returning, with_prior

import covey
from covey.authored.allow_list import check_static, parse
from covey.authored.contract import contract_of
from covey.authored.functions import read_authored
from covey.authored.gates import blocks, examine, extract_source
from covey.authored.limits import Limits
from covey.authored.numbers import read_answer
from covey.authored.refusal import Refused
from covey.authored.report import GATES
from covey.authored.rollouts import sample_views
from covey.authored.trial import trial
from covey.core.errors import BadInput


def one_sentence(text: str) -> bool:
    return text.endswith(".") and "\n" not in text and 10 < len(text) <= 400


def refused(gate: str, words: str, call) -> None:
    with pytest.raises(Refused) as caught:
        call()
    assert (caught.value.gate, words in caught.value.sentence) == (gate, True), caught.value
    assert one_sentence(caught.value.sentence)


# ---------------------------------------------------------------------------------------------------------------------
# Without a child


@pytest.mark.parametrize(("answer", "words"), EXTRACTED.values(), ids=EXTRACTED)
def test_answers_without_a_source(answer, words):
    refused("G0", words, lambda: extract_source(answer, Limits()))


@pytest.mark.parametrize(("source", "words"), PARSED.values(), ids=PARSED)
def test_sources_that_are_no_python(source, words):
    refused("G1", words, lambda: parse(source))


@pytest.mark.parametrize(("source", "words"), STATIC.values(), ids=STATIC)
def test_sources_beyond_the_allow_list(source, words):
    refused("G2", words, lambda: check_static(parse(source)))


def test_many_unwanted_answers_are_tried():
    """Each has its gate and its words; children, programs and documents of terms that are none come on top."""
    tried = (EXTRACTED, PARSED, STATIC, TRACED, TRANSLATED, NUMERIC)
    assert sum(map(len, tried)) >= 150
    assert all(words for cases in tried for _, words in cases.values())


@pytest.mark.parametrize("source", [GREEDY, PURSUE])
def test_good_sources_pass_the_static_gates(source):
    check_static(parse(source))


@pytest.mark.parametrize(
    "text", [GREEDY, f"```python\n{GREEDY}```", f"Reasons.\n```json\n{{}}\n```\n``` py\n{GREEDY}```\nMore."]
)
def test_a_source_is_found_where_it_is(text):
    assert extract_source(text, Limits()).strip() == GREEDY.strip()


def test_blocks_by_their_word():
    assert blocks("a\n```python x\nb\n```\nc\n```\nd\n```") == [("python x", "b\n"), ("", "d\n")]


ANSWERS = {
    "a list": [],
    "nothing": None,
    "two things": {"answer": {}, "refused": {}},
    "an answer that is a list": {"answer": []},
    "a refusal without words": {"refused": {"gate": "G2"}},
    "a refusal of numbers": {"refused": {"gate": 2, "sentence": 3, "detail": 4}},
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_answers_of_another_form(answer):
    refused("G3", "neither an answer nor a refusal", lambda: read_answer(answer, "G3"))


def test_words_of_a_child_are_cleaned():
    """Colors, line feeds and length are taken from them, and a gate that a child may not name is not believed."""
    refusal = {"gate": "G6", "sentence": "red \x1b[31m\n" + "x" * 5_000, "detail": "\x07" * 9 + "y" * 5_000}
    with pytest.raises(Refused) as caught:
        read_answer({"refused": refusal}, "G3")
    assert caught.value.gate == "G3"
    assert caught.value.sentence.isprintable()
    assert len(caught.value.sentence) == 400
    assert len(caught.value.details) == 1_000
    assert "\x07" not in caught.value.details


# ---------------------------------------------------------------------------------------------------------------------
# In the cage


def outcome(answer, contract, views, limits=None):
    report = examine(answer, contract, views, limits).report
    assert json.loads(json.dumps(report.json())) == report.json()
    return report


def expect(report, gate: str, words: str) -> None:
    assert report.refused is not None, "nothing was refused"
    assert report.refused["gate"] == gate, report.refused
    assert words in report.refused["sentence"] + report.refused["detail"]
    assert one_sentence(report.refused["sentence"])
    assert report.passed == list(GATES)[: list(GATES).index(gate)]


def reaches_the_child(source: str) -> bool:
    return all(f"\ndef {name}" in source for name in ("prior_policy", "reward"))


CHILDREN = {**{f"G1 {name}": ("G1", *case) for name, case in PARSED.items() if reaches_the_child(case[0])},
            **{f"G2 {name}": ("G2", *case) for name, case in STATIC.items()}}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("gate", "source", "words"), CHILDREN.values(), ids=CHILDREN)
def test_the_child_refuses_the_same(gate, source, words, contract, views, isolated, tmp_path):
    mark = tmp_path / "mark"
    expect(outcome(source.replace("MARK", str(mark)), contract, views), gate, words)
    assert not list(tmp_path.iterdir())


CASES = [
    *(("G3", name, *case) for name, case in TRACED.items()),
    *(("G4", name, *case) for name, case in TRANSLATED.items()),
    *(("G5", name, *case) for name, case in NUMERIC.items()),
]
FIRST = {"a branch on a value", "not a number at zero distance"}
"""Cases that are always run; a child that starts JAX takes a second."""


@pytest.mark.parametrize(
    ("gate", "source", "words"),
    [pytest.param(g, s, w, id=f"{g} {n}", marks=[] if n in FIRST else pytest.mark.slow) for g, n, s, w in CASES],
)
def test_functions_that_do_not_work(gate, source, words, contract, views, isolated):
    report = outcome(source, contract, views)
    expect(report, "G2" if "attribute" in words else gate, words)


def test_work_without_an_end(contract, views, isolated):
    """Static checks cannot see how long nested loops take; the deadline ends them."""
    source = with_prior(*(f"{'    ' * k}for a{k} in range(999999):" for k in range(4)), f"{'    ' * 4}pass")
    expect(outcome(source, contract, views, Limits(trace_s=3.0)), "G3", "did not answer within 3 s")


@pytest.mark.slow
def test_more_memory_than_the_limit(contract, views, isolated):
    """A little more than what is left of a small address space, in Python alone."""
    source = with_prior("x = [0.0] * 999999", "y = [x * 99 for k in range(9)]")
    report = outcome(source, contract, views, Limits(memory_bytes=2**30))
    expect(report, "G3", "MemoryError")


@pytest.mark.slow
def test_numbers_that_take_too_long(contract, views, isolated):
    source = returning("lax.fori_loop(0, 100, lambda k, x: jnp.sort(x * 1.01), jnp.ones(10000) * gap[0, 0])[:2] * 0.01")
    report = outcome(source, contract, views, Limits(numeric_s=3.0, work=10**9))
    expect(report, "G5", "within 3 s")


def test_without_isolation_nothing_is_run(contract, views, monkeypatch):
    monkeypatch.setattr("covey.authored.cage.isolation", lambda: None)
    report = examine(GREEDY, contract, views).report
    assert report.refused is not None
    assert report.refused["gate"] == "cage"
    assert "give_up_isolation=True" in report.refused["sentence"]
    assert report.passed == []


@pytest.mark.slow
def test_isolation_can_be_given_up_by_name(contract, views, monkeypatch):
    monkeypatch.setattr("covey.authored.cage.isolation", lambda: None)
    admission = examine(GREEDY, contract, views, give_up_isolation=True)
    assert admission.report.isolation == "none: given up by the caller"
    assert admission.demand().goals == ("close",)


DOCUMENTS = {
    "nothing": (None, "does not hold both programs"),
    "one program": ({"programs": {"reward": {}}, "goals": []}, "does not hold both programs"),
    "programs of nothing": ({"programs": {"prior_policy": {}, "reward": {}}, "goals": []}, "exactly the entries"),
    "goals of no name": ({"programs": {"prior_policy": {}, "reward": {}}, "goals": [1]}, "sub-goals must be"),
    "more than that": ({"programs": {"prior_policy": {}, "reward": {}}, "goals": [], "source": ""}, "does not hold"),
}


@pytest.mark.parametrize(("document", "words"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_documents_that_hold_no_functions(document, words, contract):
    refused("G4", words, lambda: read_authored(document, contract))


def test_a_refusal_can_be_demanded(contract, views):
    with pytest.raises(BadInput, match="no function"):
        examine("", contract, views, give_up_isolation=True).demand()


# ---------------------------------------------------------------------------------------------------------------------
# The whole way


def direct(source: str) -> dict:
    """Functions that were written here, as Python defines them."""
    namespace: dict = {}
    exec(source, namespace)  # the text is in this file's folder
    return namespace


WHOLE = [
    ("navigation", {}, GREEDY, ("close",)),
    pytest.param("pursuit", {}, PURSUE, ("alone", "near"), marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "options", "source", "goals"), WHOLE)
def test_admitted_functions_are_what_was_written(name, options, source, goals, isolated):
    """Bit for bit under jit and over agents and lanes, with finite gradients."""
    environment = covey.make(name, **options)
    contract = contract_of(environment)
    views = sample_views(contract, environment, jax.random.key(1), count=2_000)
    admission = examine(f"I would do this:\n```python\n{source}```\n", contract, views)
    authored = admission.demand()
    assert admission.report.passed == ["cage", "G0", "G1", "G2", "G3", "G4", "G5"]
    assert admission.report.warnings == [f"only {views.count} views were tried, fewer than 10000."]
    assert authored.goals == goals
    kept = read_authored(json.loads(json.dumps(authored.document())), contract)
    assert kept.programs["reward"].outputs == authored.programs["reward"].outputs
    written = direct(source)

    def seen(*values):
        return dict(zip([field.name for field in contract.view], values[: len(contract.view)], strict=True))

    lanes = [jnp.asarray(x[: len(x) // 6 * 6].reshape(-1, 3, 2, *x.shape[1:])[:, :, 0]) for x in views.inputs]
    over = jax.vmap(jax.vmap(lambda *values: authored.prior_policy(seen(*values))))
    same = jax.vmap(jax.vmap(lambda *values: written["prior_policy"](seen(*values), {})))
    np.testing.assert_array_equal(jax.jit(over)(*lanes), jax.jit(same)(*lanes))
    over = jax.vmap(jax.vmap(lambda *values: authored.reward(seen(*values))))
    same = jax.vmap(jax.vmap(lambda *values: written["reward"](seen(*values), {})))
    jax.tree.map(np.testing.assert_array_equal, jax.jit(over)(*lanes), jax.jit(same)(*lanes))

    def total(*values):
        return jax.vmap(jax.vmap(lambda *x: authored.prior_policy(seen(*x)).sum()))(*values).sum()

    gradients = jax.jit(jax.grad(total, argnums=tuple(range(len(lanes)))))(*lanes)
    assert all(np.isfinite(x).all() for x in gradients)
    assert any(np.abs(x).max() > 0 for x in gradients)


ANYWHERE = """
import jax.numpy as jnp


def seen(view):
    return sum([jnp.tanh(jnp.sum(view["{field}"] * 0.01))] + [jnp.mean(view["{field}"]) * 0.001])


def prior_policy(view, p):
    return {value}


def reward(view, p):
    return jnp.clip(jnp.abs(seen(view)), 0.0, 1.0)
"""
OTHERS = {
    "preferences": ("toy/discrete", "a", "signal", "jnp.tanh(view['signal'] + 0.1) * view['mates_mask'][0]", False),
    "splits": ("toy/graph", "router", "wanted", "jnp.maximum(view[\"wanted\"] * view['legal'], 0.0)", True),
    "pictures": ("toy/pictures", "reader", "picture", "jnp.ones(4) * seen(view)", False),
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "group", "field", "value", "padded"), OTHERS.values(), ids=OTHERS)
def test_other_actions_and_fields(name, group, field, value, padded, isolated):
    """One way for every environment; a function that reads padding is refused."""
    environment = covey.make(name)
    contract = contract_of(environment, group)
    views = sample_views(contract, environment, jax.random.key(0), count=500)
    source = ANYWHERE.format(field=field, value=value)
    if padded:
        expect(outcome(source, contract, views), "G5", "depends on padded entries")
        shown = f'view["{field}"]'
        source = source.replace(shown, f'jnp.where(view["{field}_mask"] > 0, {shown}, 0.0)')
    admission = examine(source, contract, views)
    assert admission.report.refused is None
    found = trial(environment, admission.demand(), jax.random.key(1), lanes=8, steps=5)
    assert np.isfinite([found.prior_return, found.prior_reward]).all()
