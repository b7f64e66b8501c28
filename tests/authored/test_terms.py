"""Forces and goals by name: what they do, and what is not one."""

from __future__ import annotations

import copy
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import covey
from covey.authored.contract import contract_of
from covey.authored.handwritten import TERMS as OWN
from covey.authored.judging import Judge
from covey.authored.limits import Limits
from covey.authored.numeric_check import statistics
from covey.authored.refusal import Refused
from covey.authored.terms import (
    away_within,
    example,
    from_terms,
    mean_within,
    text,
    toward_mean,
    toward_nearest,
    vectors,
)
from covey.authored.terms_gates import examine_terms, extract_document
from covey.authored.trial import demand_useful, trial

TERMS = {
    "speed": 0.25,
    "forces": [
        {"force": "toward-nearest", "field": "landmarks", "weight": 1.0},
        {"force": "away-within", "field": "mates", "weight": 0.5, "radius": 0.1},
        {"force": "along", "field": "mates_velocity", "weight": 0.01},
    ],
    "goals": [
        {"goal": "covered", "predicate": "any-within", "field": "landmarks", "radius": 0.1},
        {"goal": "apart", "predicate": "none-within", "field": "mates", "radius": 0.02},
    ],
}


def test_terms_make_useful_functions(navigation, contract, views):
    authored = from_terms(json.dumps(TERMS), contract)
    assert authored.goals == ("apart", "covered")
    for name, bounds in (("prior_policy", contract.document()["bounds"]), ("reward", None)):
        found = statistics(authored.programs[name], views, bounds, {})
        assert not any(found["infinite"].values())
        assert found["repeats"]
        assert not found["constant"]
    demand_useful(trial(navigation, authored, jax.random.key(0), lanes=32))


def test_forces_are_what_they_say():
    points = jnp.array([[3.0, 0.0], [0.0, 0.5], [9.0, 9.0]]), jnp.array([True, True, False])
    np.testing.assert_allclose(toward_nearest(points), [0.0, 1.0], atol=1e-6)
    np.testing.assert_allclose(toward_mean(points), [1.5, 0.25])
    np.testing.assert_allclose(away_within(points, 1.0), [0.0, -0.5], atol=1e-6)
    nothing = points[0], jnp.zeros(3, bool)
    for force in (toward_nearest, toward_mean, lambda x: away_within(x, 1.0)):
        np.testing.assert_array_equal(force(nothing), [0.0, 0.0])


def changed(*path, to):
    document = copy.deepcopy(TERMS)
    owner = document
    for step in path[:-1]:
        owner = owner[step]
    owner[path[-1]] = to
    return json.dumps(document)


WRONG = {
    "no JSON": ("forces: none", "no valid JSON"),
    "code": ("__import__('os')", "no valid JSON"),
    "beyond ASCII": ('{"speed": "é"}', "must be ASCII"),
    "too long": (" " * 20_000, "at most 16384 bytes"),
    "a list": ("[]", "exactly the entries speed, forces, goals"),
    "an entry more": (changed("code", to="x"), "exactly the entries"),
    "speed in words": (changed("speed", to="fast"), "`speed` must be a number"),
    "speed below zero": (changed("speed", to=-1), "`speed` must be a number"),
    "infinite speed": ('{"speed": Infinity}', "which is no number"),
    "huge speed": (changed("speed", to=1e300), "`speed` must be a number"),
    "no forces": (changed("forces", to=[]), "list of 1 to 16"),
    "forces without end": (changed("forces", to=TERMS["forces"] * 6), "list of 1 to 16"),
    "an unknown force": (changed("forces", 0, "force", to="teleport"), "a force must be one of"),
    "a force that is a list": (changed("forces", 0, "force", to=[]), "a force must be one of"),
    "a force in words": (changed("forces", 0, to="toward-nearest"), "a force must be one of"),
    "a weight that is true": (changed("forces", 0, "weight", to=True), "`weight` must be a number"),
    "an unknown field": (changed("forces", 0, "field", to="prey"), "a field must be one of velocity, landmarks"),
    "a radius too many": (changed("forces", 0, "radius", to=1.0), "exactly the entries"),
    "a radius of zero": (changed("forces", 1, "radius", to=0), "`radius` must be a number above 0"),
    "an unknown predicate": (changed("goals", 0, "predicate", to="won"), "a predicate must be one of"),
    "a goal of no name": (changed("goals", 0, "goal", to="not plain"), "plain names"),
    "a goal that is a number": (changed("goals", 0, "goal", to=3), "must have a name"),
    "a goal twice": (changed("goals", 0, "goal", to="apart"), "each once"),
}


@pytest.mark.parametrize(("text", "words"), WRONG.values(), ids=WRONG)
def test_documents_that_are_none(text, words, contract):
    with pytest.raises(Refused, match=words):
        from_terms(text, contract)


def test_agents_that_do_not_act_in_a_box():
    other = contract_of(covey.make("pursuit", discrete=True))
    for work in (lambda: from_terms(json.dumps(TERMS), other), lambda: text(other)):
        with pytest.raises(Refused, match="do not act in a `Box`"):
            work()


# ---------------------------------------------------------------------------------------------------------------------
# Rows of several vectors, and lists


@pytest.fixture(scope="module")
def assembly():
    return contract_of(covey.make("assembly", robots=6, time_limit=20))


def test_rows_of_several_vectors_have_names(assembly):
    found = vectors(assembly)
    assert list(found) == [
        *("position", "velocity", "neighbors.0", "neighbors.1", "target_position", "target_velocity", "cells")
    ]
    view = {"neighbors": jnp.arange(24.0).reshape(6, 4), "neighbors_mask": jnp.array([1.0, 1.0, 0.0, 0.0, 0.0, 0.0])}
    place, real = found["neighbors.1"].of(view)
    np.testing.assert_array_equal(place[1], [6.0, 7.0])
    assert real.tolist() == [True, True, False, False, False, False]


def test_a_field_of_several_vectors_is_not_one(assembly):
    document = json.loads(OWN["assembly"])
    document["forces"][1]["field"] = "neighbors"
    with pytest.raises(Refused, match=r"a field must be one of position, velocity, neighbors.0, neighbors.1, "):
        from_terms(json.dumps(document), assembly)


def test_a_mean_of_nothing_is_within_nothing():
    points = jnp.zeros((3, 2)), jnp.zeros(3, bool)
    assert not mean_within(points, 1.0)
    assert mean_within((points[0], points[1].at[0].set(True)), 1.0)


def test_what_is_said_about_terms(assembly):
    said = text(assembly)
    for words in (
        "`neighbors.0`: a list of up to 6, numbers 0 to 1 of each row, plane units\n",
        "`neighbors.1`: a list of up to 6, numbers 2 to 3 of each row, plane units per second\n",
        "`cells`: a list of up to 80, plane units",
        "avoid is 0.2",
        "- `away-within` (and a `radius`): away from each",
        "- `mean-within` (and a `radius`): there are some",
        "clipped to\n[-1.0, -1.0] and [1.0, 1.0]",
    ):
        assert words in said
    assert "jnp" not in said
    from_terms(example(assembly), assembly)


# ---------------------------------------------------------------------------------------------------------------------
# The gates, without a cage


ANSWERS = {
    "nothing but JSON": json.dumps(TERMS),
    "a block": f"I think so:\n```json\n{json.dumps(TERMS)}\n```\nDone.",
    "a block without a word": f"```\n{json.dumps(TERMS)}\n```",
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_a_document_is_found_where_it_is(answer, contract):
    assert json.loads(extract_document(answer, Limits())) == TERMS


NONE = {
    "two blocks": ("```json\n{}\n```\n```json\n{}\n```\n", "2 blocks of JSON"),
    "a block of code": ("```python\nx = 1\n```\n", "no block of JSON"),
    "a block that is cut off": ('```json\n{"speed": 1', "cut off"),
    "a zero byte": ("{}\0", "no text"),
    "far too long": ("{" * 2_000_000, "far too long"),
    "prose": ("I would head for the nearest landmark.", "no valid JSON"),
    "code": ("def prior_policy(view, p):\n    import os\n", "no valid JSON"),
}


@pytest.mark.parametrize(("answer", "words"), NONE.values(), ids=NONE)
def test_answers_without_a_document(answer, words, contract, views):
    report = examine_terms(answer, contract, views).report
    assert report.refused is not None
    assert report.refused["gate"] == "G0"
    assert words in report.refused["sentence"]
    assert report.passed == []


def test_terms_pass_without_a_cage(contract, views, monkeypatch):
    """Nothing that somebody wrote is executed, so that none is needed."""
    monkeypatch.setattr("covey.authored.cage.isolation", lambda: None)
    report = examine_terms(json.dumps(TERMS), contract, views).report
    assert report.refused is None
    assert report.passed == ["G0", "G4", "G5"]
    assert report.isolation == "none needed: there is no code"
    assert json.loads(json.dumps(report.json())) == report.json()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "to", "gate", "words"),
    [
        (("goals",), [TERMS["goals"][1] | {"radius": 1e-9}], "G5", "is the same on all"),
        (("forces", 0, "weight"), -1.0, "G6", "it has to beat it"),
    ],
)
def test_terms_that_are_no_good(path, to, gate, words, navigation, contract):
    judged = Judge(navigation, contract, Limits(views=500), form="terms")(changed(*path, to=to))
    assert judged.refused is not None
    assert (judged.refused.gate, words in judged.refused.sentence) == (gate, True), judged.refused.sentence
