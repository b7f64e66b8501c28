"""The cadence of updates, and algorithms made of others, against numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stairs import SPEC, Scribe, Stairs, begun, iterator

from covey.core import loop
from covey.core.algorithm import Frozen, Mixed, Plan, Scripted, paced
from covey.core.errors import BadInput

KEY = jax.random.key(0)
FROZEN: Any = Frozen  # type checkers take its abstract fields for arguments

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


def mixed(a=1, b=1):
    """Parts with these horizons; the one for `a` always takes 1, the one for `b` takes 0."""
    return Mixed({"a": Scribe(SPEC, ("a",), 1, a), "b": Scribe(SPEC, ("b",), 0, b)})


def test_every_part_decides_for_its_own_group():
    algorithm = mixed()
    assert set(algorithm.groups) == {"a", "b"}
    _, now = Stairs().reset(KEY)
    state, memory = algorithm.init(KEY, 1), (jnp.int32(0), jnp.int32(5))
    action, memory, extra = algorithm.act(state, memory, now, KEY, 0, explore=True)
    assert {name: x.tolist() for name, x in action.items()} == {"a": [1, 1], "b": [0]}
    assert (memory, extra) == ((1, 6), (0, 5))


def test_the_horizon_is_the_longest_and_shorter_parts_learn_from_pieces():
    algorithm, lanes = mixed(a=4, b=2), 3
    assert algorithm.plan.horizon == 4
    iterate = iterator(algorithm)
    first, _ = iterate(begun(algorithm, KEY[None], lanes))
    run, total = iterate(first)
    a, b = run.agent
    assert (a.count.tolist(), b.count.tolist()) == ([2], [4])
    assert (a.step.tolist(), b.step.tolist()) == ([4 * lanes], [6 * lanes])  # where the last piece began
    # The report of `b` is the mean over its two pieces, which together hold what it earned in this iteration.
    in_two_pieces = b.earned[0] - first.agent[1].earned[0]
    np.testing.assert_allclose(loop.means(total)["b/earned"][0] * 2, in_two_pieces, rtol=1e-6)


def test_pieces_are_consecutive_steps_of_all_lanes():
    algorithm = mixed(a=2, b=1)
    run, total = iterator(algorithm)(begun(algorithm, KEY[None], 3))
    # Nobody has restarted: `b` earns 1 and then 2 in each lane, and the mean of the pieces is 3·(1 + 2) / 2.
    assert loop.means(total)["b/earned"].tolist() == [4.5]
    assert run.agent[1].earned.tolist() == [9.0]


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
    frozen = FROZEN(inner, inner.init(KEY, 1))
    collect = jax.jit(lambda run: loop.collect(Stairs(), frozen, run, KEY[None], 4, explore=True))
    run, rollout, _ = collect(begun(frozen, KEY[None], 2))
    assert set(np.unique(rollout.action["a"])) == {0}, "greedy is 1 - choice, whatever the loop asks for"
    assert run.agent == ()
    assert frozen.learn((), rollout, KEY, 0) == ((), {})
    assert (frozen.spec, frozen.groups) == (SPEC, ("a", "b"))


def test_a_frozen_algorithm_keeps_its_memory():
    inner = Scribe(SPEC, ("a", "b"))
    frozen = FROZEN(inner, inner.init(KEY, 1))
    _, memory, extra = frozen.act((), jnp.int32(3), Stairs().reset(KEY)[1], KEY, 0, explore=True)
    assert (int(memory), extra) == (4, ())


def test_a_scripted_algorithm_is_its_rule():
    rule = Scripted(SPEC, ("b",), lambda now, key: {"b": now.obs["b"][:, 0].astype(jnp.int32) + 1})
    _, now = Stairs().reset(KEY)
    action, memory, extra = rule.act((), (), now, KEY, 0, explore=False)
    assert action["b"].tolist() == [1]
    assert (memory, extra, rule.init(KEY, 3)) == ((), (), ())
    assert rule.plan == Plan()
