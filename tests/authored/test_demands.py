"""Lists, cost, review, and what an environment demands: what passes, and what is refused for which reason."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_trial import authored as navigating

import covey
from covey.authored.cage import isolation
from covey.authored.contract import contract_of, lists, there
from covey.authored.encoding import encode
from covey.authored.functions import Authored
from covey.authored.handwritten import ASSEMBLY, TERMS
from covey.authored.judging import Judge
from covey.authored.limits import Limits
from covey.authored.numbers import check_cost, judge
from covey.authored.numeric_check import cost_ms, statistics
from covey.authored.program_reader import read_program
from covey.authored.refusal import Refused
from covey.authored.report import Report
from covey.authored.rollouts import sample_views
from covey.authored.trial import Trial, demand_useful, demands_of, trial
from covey.core.structure import _field_problems
from covey.core.types import Box, Field, Group


@pytest.fixture(scope="module")
def assembly():
    return covey.make("assembly", robots=6, time_limit=20)


@pytest.fixture(scope="module")
def of_assembly(assembly):
    return contract_of(assembly)


@pytest.fixture(scope="module")
def seen(assembly, of_assembly):
    return sample_views(of_assembly, assembly, jax.random.key(0), count=1_000)


# ---------------------------------------------------------------------------------------------------------------------
# Lists


def test_lists_have_masks(assembly, of_assembly):
    assert lists(of_assembly.group) == {"neighbors": (6,), "cells": (80,)}
    assert of_assembly.document()["lists"] == ["neighbors", "cells"]
    names = [field.name for field in of_assembly.view]
    assert names[-2:] == ["neighbors_mask", "cells_mask"]
    _, now = assembly.reset(jax.random.key(0))
    view = of_assembly.view_of(now.obs["robot"])
    np.testing.assert_array_equal(view["neighbors_mask"], np.any(np.asarray(view["neighbors"]) != 0, axis=-1))
    assert list(view) == names
    assert "the order of the rows must not matter" in of_assembly.text()


def test_masks_of_rows_that_are_tensors():
    group = Group(("a",), (Field("maps", (3, 2, 2), listed=True), Field("own")), Box((-1.0,), (1.0,)))
    rows = jnp.zeros((5, 3, 2, 2)).at[1, 2, 0, 1].set(4.0)
    mask = there(group, {"maps": rows})["maps_mask"]
    assert mask.shape == (5, 3)
    assert mask.sum() == mask[1, 2] == 1.0


def test_a_list_needs_rows():
    assert "needs an axis of rows" in " ".join(_field_problems("it", Field("x", (3,), listed=True), 1))
    assert list(_field_problems("it", Field("x", (3, 2), listed=True), 1)) == []


def program(contract, function):
    """A program of the function of a view."""
    names = [field.name for field in contract.view]
    shapes = [jax.ShapeDtypeStruct(kind.shape, kind.dtype) for kind in contract.inputs]
    traced = jax.make_jaxpr(lambda *xs: [function(dict(zip(names, xs[: len(names)], strict=True)))])(*shapes)
    document = encode(traced)
    return document, read_program(document, Limits())


def mean_of_rows(view):
    mask = view["neighbors_mask"]
    return jnp.where(mask[:, None] > 0, view["neighbors"][:, :2], 0.0).sum(0) / jnp.maximum(mask.sum(), 1.0)


LISTED = {
    "a mean by the mask": (mean_of_rows, None),
    "the nearest by the mask": (
        lambda view: (
            view["neighbors"][jnp.where(view["neighbors_mask"] > 0, jnp.abs(view["neighbors"][:, 0]), 9.0).argmin()][:2]
            * view["neighbors_mask"].max()
        ),
        None,
    ),
    "a mean of all rows": (lambda view: view["neighbors"][:, :2].mean(0), "depends on padded entries"),
    "the nearest of all rows": (
        lambda view: view["cells"][jnp.abs(view["cells"][:, 0]).argmin()] + mean_of_rows(view),
        "depends on padded entries",
    ),
    "zeros taken for a mask": (
        lambda view: jnp.where(view["cells"].any(-1)[:, None], view["cells"], 0.0).mean(0),
        "depends on padded entries",
    ),
    "the first row": (
        lambda view: view["neighbors"][0, :2] * view["neighbors_mask"][0],
        "when the rows of a list change places",
    ),
    "rows by number": (
        lambda view: jnp.where(view["neighbors_mask"] > 0, jnp.arange(6.0), 0.0) @ view["neighbors"][:, :2] * 0.01,
        "when the rows of a list change places",
    ),
}


@pytest.mark.parametrize(("function", "words"), LISTED.values(), ids=LISTED)
def test_padding_and_order_must_not_matter(function, words, of_assembly, seen):
    numbers = {name: k for k, (name, _) in enumerate(of_assembly.document()["view"])}
    pairs = [(numbers[name], numbers[f"{name}_mask"]) for name in ("neighbors", "cells")]
    _, made = program(of_assembly, lambda view: jnp.clip(function(view), -1.0, 1.0))
    bounds = of_assembly.document()["bounds"]
    found = statistics(made, seen, bounds, dict(pairs), tuple(pairs))
    if words is None:
        assert judge("prior_policy", found, of_assembly) == []
        return
    with pytest.raises(Refused, match=words) as caught:
        judge("prior_policy", found, of_assembly)
    assert caught.value.gate == "G5"


# ---------------------------------------------------------------------------------------------------------------------
# Cost


def test_work_is_bounded(contract):
    report = Report("navigation", "agent", passed=["G6"])
    for work, view in ((20_000, 1), (20_001, 1)):
        report.program = {"reward": {"equations": view, "work": work}}
        if work > 20_000:
            with pytest.raises(
                Refused, match="'reward' computes 20001 elements for one view, more than 20000"
            ) as caught:
                check_cost(report, contract, Limits())
            assert caught.value.gate == "G8"
        else:
            check_cost(report, contract, Limits())
            assert report.passed == ["G6", "G8"]


def test_large_views_may_cost_more():
    """The bound grows with what is seen."""
    pictures = contract_of(covey.make("toy/pictures"))
    size = sum(kind.size for kind in pictures.inputs)
    report = Report("toy/pictures", "reader")
    report.program = {"reward": {"equations": 1, "work": 100 * size}}
    with pytest.raises(Refused, match=f"more than {20 * size}"):
        check_cost(report, pictures, Limits(cost=10))
    check_cost(report, pictures, Limits(cost=10, cost_of_input=100))


def test_cost_is_measured(contract, views):
    _, made = program(contract, lambda view: view["landmarks"].sum(0))
    found = statistics(made, views, None, {})
    assert 0.0 < found["cost_ms"] < 1_000
    assert cost_ms(lambda *xs: xs, views.inputs) >= 0.0


# ---------------------------------------------------------------------------------------------------------------------
# What an environment demands at play

GOOD = Trial(
    prior_return=0.1,
    random_return=0.01,
    prior_reward=0.1,
    random_reward=0.02,
    preferred=1.0,
    prior_measures={"final_entered": 0.95, "final_speed": 0.01, "final_collided": 0.2, "final_unevenness": 200.0},
    random_measures={"final_unevenness": 1700.0},
    rule_preferred=0.95,
    goals={"apart": (0.0, 1.0)},
)


def measured(**values):
    return {"prior_measures": GOOD.prior_measures | values}


DEMANDED = {
    "robots that do not enter": (measured(final_entered=0.8), "`final_entered` is 0.8, and has to be 0.9 or more"),
    "robots that do not stop": (measured(final_speed=0.3), "`final_speed` is 0.3, and has to be 0.1 or less"),
    "robots that collide": (measured(final_collided=0.6), "`final_collided` is 0.6, and has to be 0.5 or less"),
    "no number": (measured(final_speed=float("nan")), "`final_speed` is nan"),
    "robots on a heap": (
        measured(final_unevenness=1800.0),
        "and 1.7e\\+03 where actions are random: it has to be lower",
    ),
    "a reward for chance": ({"random_reward": 0.2}, "random play earns 0.2 of the reward, more than 0.1"),
    "a reward that tells nothing": (
        {"rule_preferred": 0.7},
        "the rule 'mean-shift' to random play in 70% of the cases",
    ),
    "a sub-goal of nobody": ({"goals": {"apart": (0.0, 0.0)}}, "the sub-goal 'apart' is never reached"),
    "a sub-goal of everybody": ({"goals": {"apart": (1.0, 1.0)}}, "the sub-goal 'apart' is reached in every step"),
    "a prior like chance": ({"prior_return": 0.01}, "it has to beat it"),
}


@pytest.mark.parametrize(("change", "words"), DEMANDED.values(), ids=DEMANDED)
def test_demands_of_assembly(change, words):
    demands = covey.make("assembly").demands()
    demand_useful(GOOD, demands)
    with pytest.raises(Refused, match=words) as caught:
        demand_useful(GOOD._replace(**change), demands)
    assert caught.value.gate == "G6"


def test_who_demands_what(navigation, assembly):
    assert demands_of(navigation) is None
    assert demands_of(assembly) is None  # its episodes are shorter than those that the demands are about
    assert covey.make("assembly").demands().rule in covey.make("assembly").rules()


def test_a_rule_plays_where_one_is_named(navigation, contract):
    found = trial(navigation, navigating(contract), jax.random.key(0), lanes=8, steps=10)
    assert (found.rule_preferred, found.goals) == (None, {})


@pytest.mark.slow
@pytest.mark.parametrize("form", ["code", "terms"])
def test_coveys_own_texts_reach_what_is_demanded(form):
    """At the usual size: every gate but the review, which nobody was asked for."""
    if form == "code" and isolation() is None:
        pytest.skip("bubblewrap is not installed, or cannot run here")
    environment = covey.make("assembly")
    judged = Judge(environment, contract_of(environment), form=form)(
        {"code": ASSEMBLY, "terms": TERMS["assembly"]}[form]
    )
    assert judged.refused is None, judged.refused
    gates = (
        ("G0", "G4", "G5", "G6", "G8") if form == "terms" else ("cage", "G0", "G1", "G2", "G3", "G4", "G5", "G6", "G8")
    )
    assert tuple(judged.admission.report.passed) == gates
    assert judged.admission.report.warnings == []
    assert judged.trial is not None
    assert judged.trial.rule_preferred is not None
    assert judged.trial.rule_preferred > 0.9
    assert isinstance(judged.admission.demand(), Authored)
