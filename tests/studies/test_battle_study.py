"""The parts of the battle's study: equal budgets, equal parameters, blinded policies, and kills that are counted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import covey
from covey import environments
from covey.runs.tournament import Contender, Estimate
from covey.studies.mean_field import armies
from covey.studies.mean_field.armies import _size, blinded, learner
from covey.studies.mean_field.battle import ABLATIONS, MAIN, _even, _less, _more
from covey.studies.mean_field.magent import Counted

WORLD = environments.make("battle", size=12, time_limit=20, minimap=True, features=True, sides=True)
NAMES = sorted({*MAIN, *(name for pair in ABLATIONS for name in pair)})
STEPS = 1024


@pytest.mark.parametrize("name", NAMES)
def test_every_arm_takes_as_many_gradient_steps(name):
    """One for every 32 steps that are played in 8 battles, of which none is left out."""
    inner: Any = learner(WORLD, name, STEPS).inner
    rollout = 8 * inner.plan.horizon
    steps = inner.updates if hasattr(inner, "updates") else inner.epochs
    assert steps / rollout == 1 / 32


def parameters(name: str) -> int:
    inner: Any = learner(WORLD, name, STEPS).inner
    return _size(inner.values, inner.shape(inner.groups[0]))


def test_independent_learners_may_have_as_many_parameters():
    field, alone, wide = (parameters(name) for name in ("mfq", "iql", "iql, as wide"))
    assert alone < field
    assert abs(wide / field - 1) < 0.02


@pytest.mark.parametrize(("noise", "total"), [(False, 0.0), (True, 1.0)])
def test_a_blinded_policy_does_not_see_what_happened(noise, total):
    algorithm = learner(WORLD, "mfq", STEPS)
    changed = blinded(Contender("mfq", algorithm, ()), noise)
    own: Any = changed.algorithm
    own = own.inner
    _, now = WORLD.reset(jax.random.key(0))
    action = {"blue": jnp.array([3, 3])}
    memory = own.field.memory(own.spec, own.groups)
    seen = own.field.after(own.spec, memory, now, action, jax.random.key(1)).mean["blue"]
    true = algorithm.inner.field.after(own.spec, memory, now, action, jax.random.key(1)).mean["blue"]
    np.testing.assert_allclose(seen.sum(1), total, rtol=1e-6)
    assert true[:, 3].tolist() == [1.0, 1.0]
    assert changed.label == ("mfq, noise seen" if noise else "mfq, nothing seen")


class Shown:
    """A host world of two lanes that shows these rewards, one step after the other; lane 0 ends first."""

    lanes = 2
    spec = WORLD.spec

    def __init__(self):
        self.steps = [
            ({"blue": [[4.9, 0], [-0.1, 4.9]], "red": [[0, 0], [4.9, 4.9]]}, [True, False]),
            ({"blue": [[4.9, 0], [0.1, 0]], "red": [[0, 0], [4.9, 0]]}, [False, True]),
        ]

    def reset(self):
        return "begun"

    def step(self, action):
        reward, last = self.steps.pop(0)
        then = SimpleNamespace(reward=reward, last=np.array(last))
        return then, "next"


def test_kills_count_in_the_first_battle_of_every_lane():
    counted = Counted(Shown())
    assert counted.sides == ("blue", "red")
    assert counted.reset() == "begun"
    for _ in range(2):
        counted.step({})
    assert counted.rounds[0].tolist() == [[1, 0], [1, 3]]


def test_verdicts_take_the_interval():
    better, open_, worse = Estimate(0.6, 0.55, 0.7), Estimate(0.5, 0.45, 0.58), Estimate(0.3, 0.2, 0.4)
    assert [_more(x) for x in (better, open_, worse)] == [True, None, False]
    assert [_less(x) for x in (better, open_, worse)] == [False, None, True]
    assert [_even(x) for x in (better, open_, worse)] == [False, True, False]
    assert _even(Estimate(0.5, 0.3, 0.7)) is None
    same = Estimate(0.5, 0.5, 0.5)
    assert (_more(same), _less(same), _even(same)) == (False, False, True)


@pytest.mark.slow
def test_the_best_of_late_is_what_scored_most_of_every_seed(tmp_path, monkeypatch):
    """Two seeds, three policies of each: the first seed was best in its second, the other in its third."""
    world = environments.make("toy/duel")
    covey.train("self-play/mfac", world, steps=96, seeds=2, envs=1, out=tmp_path, keep_every=32, quiet=True)
    newest_first = [armies.trained("x", tmp_path, world, step) for step in (96, 64, 32)]
    scores = np.array([0.5, 0.1, 0.9, 0.2, 0.4, 0.3])  # by step, newest first, then by seed

    def matched(every, last, world, games, number):
        assert (every.seeds, last.seeds, games, number) == (6, 2, 2 * 6 * 2, 1)
        return np.broadcast_to(scores[:, None, None, None], (6, 2, 1, 2))

    monkeypatch.setattr(armies, "matched", matched)
    found = armies.best(newest_first[0], tmp_path, world, games=1)
    assert (found.label, found.seeds) == ("x, best of 3", 2)
    for seed, which in enumerate((1, 2)):
        same = jax.tree.map(lambda a, b, s=seed: bool((a[s] == b[s]).all()), found.states, newest_first[which].states)
        assert jax.tree.all(same)
        other = jax.tree.map(lambda a, b, s=seed: bool((a[s] == b[s]).all()), found.states, newest_first[0].states)
        assert not jax.tree.all(other)
