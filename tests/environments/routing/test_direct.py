"""The direct search: what it reads, where it begins, and that it finds an optimum that is known."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import contended

from covey import environments
from covey.core.types import Field, Group, Splits
from covey.environments.routing import direct
from covey.environments.routing.direct import PLENTY, SCARCE, Settings, optimize, suited, training_world
from covey.environments.routing.rules import static_optimal

KEY = jax.random.key(0)
BRIEF = Settings(updates=400, lanes=4, episode=4, window=4, width=8, learning_rate=3e-3)
EQUAL = np.full((2, 2), 0.5)


@pytest.fixture(autouse=True)
def a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("COVEY_CACHE", str(tmp_path))


@pytest.mark.learn
@pytest.mark.parametrize(("sees", "ticks"), [("own", 1), ("own", 7), ("all", 1), ("all", 7)])
def test_it_finds_the_optimum_of_a_constant_demand(sees, ticks):
    """60 and 40 over 100, 100 and a shared 100: the busiest link is used by a third."""
    world = contended([60, 40], ticks=ticks, time_limit=4)
    policy = optimize(world, sees=sees, begin=EQUAL, settings=BRIEF)
    after, _ = played(world, policy, 4)
    assert float(after.mlu) == pytest.approx(1 / 3, abs=0.01)


def played(world, policy, steps):
    state, now = world.reset(KEY)
    for _ in range(steps):
        state, now = jax.jit(world.step)(None, state, policy(now, KEY))
    return state, now


@pytest.mark.slow
def test_what_is_found_is_kept(monkeypatch):
    world = contended([60, 40], ticks=1, time_limit=4)
    brief = BRIEF._replace(updates=20)
    found = optimize(world, sees="own", begin=EQUAL, settings=brief)
    monkeypatch.setattr(direct, "search", None)  # nobody searches again
    again = optimize(contended([60, 40], ticks=1, time_limit=4), sees="own", begin=EQUAL, settings=brief)
    jax.tree.map(np.testing.assert_array_equal, found, again)
    with pytest.raises(TypeError):
        optimize(world, sees="own", begin=EQUAL, settings=brief._replace(seed=1))


@pytest.mark.slow
def test_it_begins_near_what_it_is_given():
    world = training_world(environments.make("routing/abilene", steps=64, time_limit=4))
    begin = static_optimal(world)
    now = world.reset(KEY)[1]
    for sees in ("own", "all"):
        policy = direct.first_policy(world, sees, begin, SCARCE)
        assert float(jnp.abs(policy(now, KEY)["router"] - begin).max()) < 0.15


def test_what_is_read_of_a_history_by_hand():
    """Two pairs, three steps: of the logarithms, the newest and the mean; and the rest for a router on its own."""
    obs = jnp.array([[1.0, 2.0, 3.0, 4.0, 4.0, 4.0, 0.5]])
    space = Splits((2,))
    group = Group(("router",), (Field("demand", (6,)), Field("utilization", (1,))), space)
    policy = direct.Splitter(None, None, jnp.ones((1, 7)), space, group, 3, "own")
    mean = np.log([1.05, 2.05, 3.05]).mean()
    np.testing.assert_allclose(policy.features(obs), [[np.log(1.05), np.log(4.05), mean, np.log(4.05), 0.5]], rtol=1e-5)


def test_held_out_demand_is_not_used():
    world = environments.make("routing/small-contended", steps=64)
    known = training_world(world)
    assert len(known.bank.mean) == known.bank.training == world.bank.training
    train, validation = direct._parts(known)
    assert train.span[1] == validation.span[0]
    assert validation.span[1] == world.bank.training


def test_few_demands_are_disturbed_and_many_are_not():
    few = training_world(environments.make("routing/abilene", steps=64, time_limit=4))
    many = training_world(environments.make("routing/small-contended", steps=64))
    assert suited(few, "own") == SCARCE
    assert suited(few, "all") == SCARCE._replace(episode=1, window=1)  # what it does has no consequences
    assert suited(many, "own") == PLENTY


def test_disturbances_keep_to_the_training_part():
    world = training_world(environments.make("routing/abilene", steps=64, time_limit=4))
    settings = SCARCE._replace(lanes=16)
    as_is = direct.fresh(world, KEY, settings._replace(jitter=0.0, shift=0)).bank.mean
    known = np.asarray(world.bank.mean)
    for lane in np.asarray(as_is):
        assert (np.abs(known - lane[0]).sum(1) < 1e-3).any()  # rows of the bank, as they are
    disturbed = direct.fresh(world, KEY, settings).bank.mean
    ratio = np.log(np.asarray(disturbed) / np.asarray(as_is))
    assert 0.1 < ratio.std() < 1.5
    np.testing.assert_array_equal(np.isfinite(ratio), True)
