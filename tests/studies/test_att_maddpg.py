"""The studies of ATT-MADDPG: what they train and what they read, without training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from covey import environments
from covey.algorithms.critics import AttentionHeads, Joint
from covey.core.errors import BadInput
from covey.core.registry import locate
from covey.studies.att_maddpg.abilene import on_abilene
from covey.studies.att_maddpg.benchmarks import PLANE, TABLE_2, on_the_plane, regret_to
from covey.studies.att_maddpg.common import best_rule, named, published, scaled, with_gap
from covey.studies.reproduce import STUDIES, reproduce
from covey.studies.trials import Outcome

GRAPH = environments.make("toy/graph")


def outcome(label, *returns):
    """Seeds with one episode of two steps each."""
    values = {"return/router/mean_agent": np.array(returns)[:, None], "steps/episode": np.full((len(returns), 1), 2.0)}
    return Outcome(label, "nothing", values, lambda seed: pytest.fail("nothing is replayed here"))


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_is_where_its_entry_says(name):
    assert callable(locate(STUDIES[name].path, "study"))


@pytest.mark.parametrize(("how", "seeds"), [({}, 5), ({"quick": True}, 2), ({"quick": True, "seeds": 7}, 7)])
def test_a_study_takes_as_many_seeds_as_it_is_told(how, seeds, tmp_path, monkeypatch):
    taken = []
    monkeypatch.setattr("covey.studies.tag.tag", lambda **given: taken.append(given["seeds"]))
    reproduce("mappo/tag", out=tmp_path, **how)
    assert taken == [seeds]


def test_one_seed_is_no_study(tmp_path):
    with pytest.raises(BadInput, match="at least 2 seeds, not 1"):
        reproduce("mappo/tag", seeds=1, out=tmp_path)


def test_scaled_changes_attention_only():
    attention, joint = (scaled(named(name, GRAPH, gamma=0.3), width=8) for name in ("att_maddpg", "maddpg"))
    assert attention.critic == AttentionHeads(width=8, scale=0.0)
    assert joint.critic == Joint(width=8)
    assert attention.gamma == joint.gamma == 0.3


def test_learners_of_a_study_differ_in_their_critics_only():
    pursuit = environments.make("pursuit")
    for settings in (lambda name: on_abilene(name, GRAPH, 1000), lambda name: on_the_plane(name, pursuit, 1000, 0.1)):
        first, second = settings("maddpg"), settings("att-maddpg")
        assert type(first.critic) is not type(second.critic)
        names = {name for name in vars(first) if name != "critic"}
        assert {name: getattr(first, name) for name in names} == {name: getattr(second, name) for name in names}


@pytest.mark.parametrize("title", PLANE)
def test_worlds_of_the_benchmarks_can_be_made(title):
    name, options, *_ = PLANE[title]
    assert environments.make(name, **options).reference().algorithm


def test_table_2_is_in_the_published_order():
    for values in TABLE_2.values():
        assert list(values.values()) == sorted(values.values(), reverse=True)


def test_the_gap_is_counted_from_the_best_static_rule():
    outcomes = {
        row.label: row
        for row in (
            outcome("ecmp", 1, 1),
            outcome("equal", 2, 2),
            outcome("us", 5, 5),
            outcome("decentralized-bound", 6, 6),
        )
    }
    assert best_rule(outcomes).label == "equal"
    (gap,) = [column for column in with_gap(outcomes) if column.title.startswith("gap closed (equal = 0")]
    closed: Any = gap.value(outcomes["us"])
    assert closed.mean == pytest.approx(0.75)


def test_regret_is_in_percent_of_the_oracle():
    regret: Any = regret_to(outcome("oracle", -4, -4)).value(outcome("us", -5, -6))
    np.testing.assert_allclose(regret, [25, 50])


def test_published_curves_have_a_hundred_points():
    for figure in ("fig5_small", "fig6_large", "fig7_smallK", "fig8_largeK"):
        assert {len(values) for values in published(figure).values()} == {100}
    final = {name: values[-10:].mean() for name, values in published("fig5_small").items()}
    assert final["ATT-MADDPG"] == pytest.approx(13.88, abs=0.01)
    assert final["MADDPG"] == pytest.approx(11.87, abs=0.01)
