"""The cadence of updates, and algorithms made of others, against numbers worked out by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stairs import SPEC, Scribe, Stairs

from covey.core import loop
from covey.core.algorithm import Frozen, Mixed, Plan, Scripted, paced
from covey.core.errors import BadInput

KEY = jax.random.key(0)

# ---------------------------------------------------------------------------------------------------------------------
# paced


def counted(plan, step, taken=4):
    """How many updates a rollout of `taken` steps that began at `step` brings, the counts they saw, and the metrics."""

    def update(carry, key, count):
        return jnp.append(carry[1:], count), {"count": count.astype(jnp.float32)}

    seen, metrics = paced(plan, jnp.int32(step), taken, update, jnp.full(4, -1), KEY)
    return [int(x) for x in seen if x >= 0], float(metrics["count"])


def test_updates_run_and_their_metrics_are_averaged():
    assert counted(Plan(updates=3), step=0) == ([0, 1, 2], 1.0)


def test_counts_go_on_from_the_step():
    assert counted(Plan(updates=2), step=12)[0] == [6, 7]


@pytest.mark.parametrize(("step", "due"), [(0, False), (4, False), (8, True), (12, True)])
def test_nothing_happens_before_warm_up_is_complete(step, due):
    seen, metric = counted(Plan(warmup=12), step)  # complete with the rollout of steps 8 to 11
    assert bool(seen) == due
    assert np.isnan(metric) != due


@pytest.mark.parametrize(("step", "due"), [(0, False), (4, False), (8, True), (12, False), (20, True)])
def test_every_third_rollout_brings_updates(step, due):
    assert bool(counted(Plan(every=3), step)[0]) == due


def test_counts_skip_the_rollouts_without_updates():
    assert counted(Plan(every=3, updates=2), step=20)[0] == [2, 3]


# ---------------------------------------------------------------------------------------------------------------------
# Mixed


def mixed(a=1, b=1, **choices):
    parts = {
        name: Scribe(SPEC, (name,), choices.get(name, 0), horizon) for name, horizon in (("a", a), ("b", b))
    }
    return Mixed(parts)


def test_every_part_decides_for_its_own_group():
    algorithm = mixed(choice_a=0)
    assert set(algorithm.groups) == {"a", "b"}
    run = loop.start(Stairs(), mixed(), KEY[None], 2)
    action, memory, extra = Mixed({"a": Scribe(SPEC, ("a",), 1), "b": Scribe(SPEC, ("b",), 0)}).act(
        jax.tree.map(lambda x: x[0], run.agent), (0, 5), jax.tree.map(lambda x: x[0, 0], run.now), KEY, 0, explore=True
    )
    assert {name: x.tolist() for name, x in action.items()} == {"a": [1, 1], "b": [0]}
    assert (memory, extra) == ((1, 6), (0, 5))


def test_the_horizon_is_the_longest_and_shorter_parts_learn_from_pieces():
    algorithm = mixed(a=4, b=2)
    assert algorithm.plan.horizon == 4
    run = loop.start(Stairs(), algorithm, KEY[None], 3)
    run, total = loop.iterate(Stairs(), algorithm, run)
    run, total = loop.iterate(Stairs(), algorithm, run)
    a, b = run.agent
    assert (a.count.tolist(), b.count.tolist()) == ([2], [4])
    assert (a.step.tolist(), b.step.tolist()) == ([4 * 3], [4 * 3 + 2 * 3])  # where the last piece began
    # `b` is one agent that earns t: its pieces sum to its reward in the whole rollout, and the report is their mean.
    assert set(total) >= {"a/earned", "b/earned"}
    assert float(total["b/earned"].count[0]) == 1
    np.testing.assert_allclose(total["b/earned"].sum[0] * 2, b.earned[0] - first_rollout_of_b(algorithm))


def first_rollout_of_b(algorithm):
    run, _ = loop.iterate(Stairs(), algorithm, loop.start(Stairs(), algorithm, KEY[None], 3))
    return run.agent[1].earned[0]


def test_a_mixed_asks_for_every_group_exactly_once():
    with pytest.raises(BadInput, match="one part per group"):
        Mixed({"a": Scribe(SPEC, ("a",))})
    with pytest.raises(BadInput, match=r"groups=\('b',\)"):
        Mixed({"a": Scribe(SPEC, ("a",)), "b": Scribe(SPEC, ("a", "b"))})


def test_horizons_that_do_not_divide_are_refused():
    with pytest.raises(BadInput, match="does not divide"):
        mixed(a=4, b=3)


# ---------------------------------------------------------------------------------------------------------------------
# Frozen and Scripted


def test_a_frozen_algorithm_acts_greedily_and_learns_nothing():
    inner = Scribe(SPEC, ("a", "b"), choice=1, horizon=3)
    frozen = Frozen(inner, inner.init(KEY, 1))
    run = loop.start(Stairs(), frozen, KEY[None], 2)
    run, rollout, _ = loop.collect(Stairs(), frozen, run, KEY[None], 4, explore=True)
    assert set(np.unique(rollout.action["a"])) == {0}, "greedy is 1 - choice, whatever the loop asks for"
    assert run.agent == ()
    assert frozen.learn((), rollout, KEY, 0) == ((), {})
    assert (frozen.spec, frozen.groups) == (SPEC, ("a", "b"))


def test_a_frozen_algorithm_keeps_its_memory():
    inner = Scribe(SPEC, ("a", "b"))
    frozen = Frozen(inner, inner.init(KEY, 1))
    _, memory, extra = frozen.act((), jnp.int32(3), None, KEY, 0, explore=True)
    assert (int(memory), extra) == (4, ())


def test_a_scripted_algorithm_is_its_rule():
    rule = Scripted(SPEC, ("b",), lambda now, key: {"b": now.obs["b"][:, 0].astype(jnp.int32) + 1})
    _, now = Stairs().reset(KEY)
    action, memory, extra = rule.act((), (), now, KEY, 0, explore=False)
    assert action["b"].tolist() == [1]
    assert (memory, extra, rule.init(KEY, 3)) == ((), (), ())
    assert rule.plan == Plan()
