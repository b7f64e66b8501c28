"""The loop, against numbers worked out by hand: what is summed, when lanes restart, and what a chunk reports."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stairs import SPEC, Scribe, Stairs, begun, iterator

from covey import algorithms, environments
from covey.core import loop
from covey.core.types import TimeStep
from covey.environments import toy
from covey.testing import AsHost
from covey.testing.as_host import loop_draws
from covey.testing.compare import difference

LANES, SEEDS = 8, 2
KEYS = jax.random.split(jax.random.key(7), SEEDS)


def begin(algorithm):
    return begun(algorithm, KEYS, LANES)


@functools.cache
def collected(horizon=6, explore=True):
    algorithm = Scribe(SPEC, ("a", "b"))
    keys = jax.random.split(jax.random.key(1), SEEDS)
    collect = jax.jit(lambda run: loop.collect(Stairs(), algorithm, run, keys, horizon, explore))
    return collect(begin(algorithm))


def test_a_run_begins_with_types_that_no_chunk_changes():
    """Else the second chunk would be compiled anew."""

    class Weak(Scribe):
        def init(self, key, lanes):
            return super().init(key, lanes)._replace(earned=jnp.asarray(0.5))

    assert not begin(Weak(SPEC, ("a", "b"))).agent.earned.weak_type


@pytest.mark.parametrize("id", ["matrix/climbing", "particle/spread"])
def test_a_chunk_gives_back_the_types_that_it_took(id):
    """In worlds whose steps are weakly typed: else, again, the second chunk would be compiled anew."""
    world = environments.make(id)
    algorithm = algorithms.make("random", world)
    keys = jax.random.split(jax.random.key(0), 1)
    begun = jax.eval_shape(lambda: loop.start(world, algorithm, keys, 2))
    after, _ = jax.eval_shape(functools.partial(loop.iterate, world, algorithm), begun)
    assert jax.tree.leaves(after) == jax.tree.leaves(begun)


# ---------------------------------------------------------------------------------------------------------------------
# The score of one lane


def shown(alive, reward=(0.0, 0.0), last=False):
    return TimeStep(
        obs={},
        reward={"a": jnp.array(reward, jnp.float32)},
        discount={"a": jnp.ones(2)},
        alive={"a": jnp.array(alive)},
        last=jnp.bool_(last),
    )


def scored(*steps):
    """The last summary and score of an episode that is given as (who was alive, reward, last)."""
    measured = {"height": jnp.float32(0)}
    score = loop.nothing_scored(shown((True, True)), measured)
    for number, (alive, reward, last) in enumerate(steps):
        then = shown((True, True), reward, last)
        score, summary = loop.tally(score, shown(alive), then, {"height": jnp.float32(number)})
    return score, {name: float(value) for name, value in summary.items()}


def test_an_episode_is_summed_when_it_ends():
    both = (True, True)
    _, summary = scored((both, (1, 10), False), (both, (2, 20), False), (both, (3, 30), True))
    assert summary == {
        "return/a/mean_agent": 33.0,  # (6 + 60) / 2
        "return/team_sum": 66.0,
        "steps/episode": 3.0,
        "world/height": 1.0,  # mean of 0, 1, 2
    }


def test_the_dead_earn_nothing_but_their_last_reward_counts():
    both, one = (True, True), (True, False)
    _, summary = scored((both, (1, 10), False), (one, (2, 20), False), (one, (3, 30), True))
    assert summary["return/team_sum"] == 1 + 2 + 3 + 10
    assert summary["return/a/mean_agent"] == 8.0  # over both agents, dead or not


def test_nothing_is_reported_before_the_end_and_everything_starts_again_after_it():
    both = (True, True)
    score, summary = scored((both, (1, 10), False))
    assert all(np.isnan(value) for value in summary.values())
    assert score.reward["a"].tolist() == [1, 10]
    score, _ = scored((both, (1, 10), True))
    assert score.reward["a"].tolist() == [0, 0]
    assert (int(score.length), *map(float, score.measure["height"])) == (0, 0, 0)


def test_a_measure_that_is_not_made_in_every_step_is_a_mean_over_the_others():
    score = loop.nothing_scored(shown((True, True)), {"sometimes": jnp.float32(0), "never": jnp.float32(0)})
    for sometimes, last in ((np.nan, False), (3.0, False), (5.0, True)):
        measured = {"sometimes": jnp.float32(sometimes), "never": jnp.float32(np.nan)}
        score, summary = loop.tally(score, shown((True, True)), shown((True, True), last=last), measured)
    assert float(summary["world/sometimes"]) == 4
    assert np.isnan(summary["world/never"])


# ---------------------------------------------------------------------------------------------------------------------
# Collecting


def test_a_rollout_leads_with_time_seeds_and_lanes():
    run, rollout, summary = collected()
    assert rollout.now.obs["a"].shape == (6, SEEDS, LANES, 2, 1)
    assert rollout.extra.shape == (6, SEEDS, LANES)
    assert summary["return/team_sum"].shape == (6, SEEDS, LANES)
    assert int(run.step) == 6 * LANES


def test_then_is_the_true_successor_and_now_the_reset_where_an_episode_ended():
    run, rollout, _ = collected()
    then, following = rollout.then.obs["b"][..., 0, 0], jnp.append(rollout.now.obs["b"][1:], run.now.obs["b"][None], 0)
    last = np.asarray(rollout.then.last)
    assert last.any()
    assert not last.all()
    assert (np.asarray(then)[last] >= 2).all()  # an episode ends after 2 or 3 steps, and its end is kept
    assert (np.asarray(following[..., 0, 0]) == np.where(last, 0, then)).all()


def test_lanes_restart_one_by_one_with_a_fresh_memory():
    _, rollout, _ = collected()
    ends = np.asarray(rollout.then.last).reshape(6, -1)
    remembered = np.asarray(rollout.extra).reshape(6, -1)
    for lane in range(ends.shape[1]):
        since = 0
        for t in range(6):
            assert remembered[t, lane] == since
            since = 0 if ends[t, lane] else since + 1
    assert len({tuple(column) for column in ends.T}) > 1, "all lanes ended together: nothing was tested"


def test_summaries_are_those_of_the_episodes():
    _, rollout, summary = collected()
    # Agents of `a` earn t and 10 + t, `b` earns t: 3·(1 + 2) + 20 = 29 after 2 steps, 3·(1 + 2 + 3) + 30 = 48 after 3.
    length = np.asarray(rollout.then.obs["b"][..., 0, 0])
    expected = np.where(rollout.then.last, np.where(length == 2, 29.0, 48.0), np.nan)
    np.testing.assert_array_equal(summary["return/team_sum"], expected)
    mean_time = np.where(rollout.then.last, (length + 1) / 2, np.nan)
    np.testing.assert_array_equal(summary["world/time"], mean_time)


def test_exploring_or_not_is_passed_on():
    greedy, eager = collected(explore=False)[1].action, collected(explore=True)[1].action
    assert set(np.unique(greedy["a"])) == {1}
    assert set(np.unique(eager["a"])) == {0}


def test_every_seed_and_lane_has_chance_of_its_own():
    start = jax.jit(lambda keys: loop.start(toy.continuous(), Scribe(SPEC, ("a", "b")), keys, LANES))
    offsets = np.asarray(start(KEYS).now.obs["mover"][:, :, 0, :2]).reshape(-1, 2)
    assert len(np.unique(offsets, axis=0)) == SEEDS * LANES


# ---------------------------------------------------------------------------------------------------------------------
# Means


def test_totals_leave_out_nan_and_means_weigh_every_report_alike():
    nan = jnp.nan
    summary = {"r": jnp.array([[[1.0, nan], [nan, nan]], [[2.0, 6.0], [nan, nan]]])}  # [T, S, E]
    total = loop.totals(summary, {"loss": jnp.array([4.0, nan])})
    later = loop.totals({"r": jnp.full((1, 2, 2), 7.0)}, {"loss": jnp.array([nan, nan])})
    means = loop.means(jax.tree.map(jnp.add, total, later))
    np.testing.assert_allclose(means["r"], [(1 + 2 + 6 + 7 + 7) / 5, 7.0], rtol=1e-6)
    np.testing.assert_allclose(means["loss"], [4.0, nan], rtol=1e-6)


def test_an_iteration_learns_from_its_rollout_with_the_step_at_which_it_began():
    algorithm = Scribe(SPEC, ("a", "b"), choice=1, horizon=2)
    iterate = iterator(algorithm)
    run, total = iterate(begin(algorithm))
    # Nobody has restarted: steps 1 and 2 pay 3·1 + 10 and 3·2 + 10 to the three agents, and 3 for their actions each.
    assert loop.means(total)["earned"].tolist() == [LANES * (13 + 16 + 3 + 3)] * SEEDS
    assert run.agent.step.tolist() == [0, 0]
    run, _ = iterate(run)
    assert run.agent.count.tolist() == [2, 2]
    assert run.agent.step.tolist() == [2 * LANES, 2 * LANES]
    assert int(run.step) == 4 * LANES


# ---------------------------------------------------------------------------------------------------------------------
# Chunks


def test_a_chunk_is_its_iterations():
    algorithm = Scribe(SPEC, ("a", "b"), horizon=2)
    iterate = iterator(algorithm)
    run, sums = iterate(begin(algorithm))
    for _ in range(2):
        run, total = iterate(run)
        sums = jax.tree.map(jnp.add, sums, total)
    chunked, means = loop.compiled(Stairs(), algorithm)(begin(algorithm), 3)
    assert not difference(chunked, run)
    assert not difference(means, loop.means(sums), 1e-6)


def test_a_chunk_of_no_iterations_changes_nothing_and_reports_nothing():
    algorithm = Scribe(SPEC, ("a", "b"))
    run, means = loop.compiled(Stairs(), algorithm)(begin(algorithm), 0)
    assert not difference(run, begin(algorithm))
    assert all(np.isnan(value).all() for value in means.values())


def test_a_hosted_chunk_is_the_compiled_one():
    algorithm = Scribe(SPEC, ("a", "b"), horizon=2)
    host = AsHost(Stairs(), SEEDS * LANES, loop_draws(KEYS, LANES, 2))
    run, means = loop.hosted(host, algorithm)(loop.start_hosted(host, algorithm, KEYS, LANES), 4)
    expected, expected_means = loop.compiled(Stairs(), algorithm)(begin(algorithm), 4)
    for part in ("agent", "now", "memory", "key", "step"):
        assert not difference(getattr(run, part), getattr(expected, part)), part
    assert not difference(run.score.reward, expected.score.reward)
    assert not difference(means, {name: expected_means[name] for name in means}, 1e-6)
    assert set(expected_means) - set(means) == {"world/time"}


@pytest.mark.parametrize(
    ("value", "is_argument"), [(0.1, True), (np.ones(2), True), (3, False), (True, False), ("relu", False)]
)
def test_what_a_program_takes_as_an_argument(value, is_argument):
    (arrays,), _ = loop.as_arguments((value,))
    assert (jax.tree.leaves(arrays) != []) == is_argument
