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
from covey.authored.numeric_check import statistics
from covey.authored.refusal import Refused
from covey.authored.terms import away_within, from_terms, toward_mean, toward_nearest
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
    with pytest.raises(Refused, match="do not act in a `Box`"):
        from_terms(json.dumps(TERMS), contract_of(covey.make("pursuit", discrete=True)))
