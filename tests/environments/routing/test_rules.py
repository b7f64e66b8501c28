"""Routing rules by hand, what each is told, and that all of them split what is legal."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import constant, contended

from covey import environments
from covey.core.algorithm import Scripted
from covey.core.errors import BadInput
from covey.environments.routing import rules, topologies
from covey.environments.routing.programs import path_optimum

KEY = jax.random.key(0)
UNTRAINED = (
    "equal", "ecmp", "wcmp-link", "wcmp-path", "wcmp-residual", "static-optimal", "stale-optimal", "optimal-routing",
)  # fmt: skip


def splits(algorithm, now):
    return np.asarray(algorithm.act((), algorithm.memory(KEY), now, KEY, 0, explore=False)[0]["router"])


def first(world, name):
    """What the rule does in the first step, that step's state, and what comes of it."""
    state, now = jax.jit(world.reset)(KEY)
    action = splits(world.rules()[name](), now)
    return action, state, jax.jit(world.step)(None, state, {"router": jnp.asarray(action)})


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("equal", [[1 / 2, 1 / 2], [1 / 2, 1 / 2]]),
        ("ecmp", [[1, 0], [1, 0]]),  # one hop against three
        ("wcmp-link", [[1 / 2, 1 / 2], [1 / 2, 1 / 2]]),  # all links are as wide
        ("wcmp-path", [[1 / 2, 1 / 2], [1 / 2, 1 / 2]]),
        ("static-optimal", [[5 / 9, 4 / 9], [5 / 6, 1 / 6]]),  # 100/3 on A-C, B-D and E-F
        ("stale-optimal", [[5 / 9, 4 / 9], [5 / 6, 1 / 6]]),
        ("optimal-routing", [[5 / 9, 4 / 9], [5 / 6, 1 / 6]]),
    ],
)
def test_shares_by_hand(name, share):
    action, _, _ = first(contended([60, 40], ticks=1), name)
    np.testing.assert_allclose(action, share, atol=1e-5)


def test_free_capacity_by_hand():
    """After a direct step A-C is used by .6 and B-D by .4, and nobody sees the links behind its own."""
    world = contended([60, 40], ticks=1)
    state, _ = world.reset(KEY)
    _, now = world.step(None, state, {"router": jnp.array([[1.0, 0.0], [1.0, 0.0]])})
    action = splits(world.rules()["wcmp-residual"](), now)
    np.testing.assert_allclose(action, [[0.4 / 1.4, 1 / 1.4], [0.6 / 1.6, 1 / 1.6]], rtol=1e-5)


def test_with_a_probe_free_capacity_counts_on_every_link():
    """After equal splits A-C is used by .3, B-D by .2, and both detours by E-F's .5."""
    world = contended([60, 40], ticks=1, see="probe")
    state, _ = world.reset(KEY)
    _, now = world.step(None, state, {"router": jnp.full((2, 2), 0.5)})
    action = splits(world.rules()["wcmp-residual"](), now)
    np.testing.assert_allclose(action, [[0.7 / 1.2, 0.5 / 1.2], [0.8 / 1.3, 0.5 / 1.3]], rtol=1e-5)


def test_the_program_knows_this_step_and_the_stale_one_the_last():
    world = environments.make("routing/small-contended", steps=64, delays=False)
    demand, paths = world.bank.mean, world.paths
    for name, lag in (("optimal-routing", 0), ("stale-optimal", 1)):
        action, state, (after, _) = first(world, name)
        step = int(state.start)
        np.testing.assert_allclose(action, path_optimum(paths, demand[[step - lag]]).splits[0], atol=1e-4)
        assert (float(world.measure(after)["mlu_ratio"]) < 1 + 1e-4) == (lag == 0)


@pytest.mark.parametrize("name", ["static-optimal", "stale-optimal", "optimal-routing"])
def test_hop_by_hop_a_path_split_puts_the_same_on_every_link(name):
    used = []
    for control in ("path", "hop"):
        world = constant(topologies.large().paths, np.linspace(10, 60, 4), ticks=1, control=control)
        used.append(first(world, name)[2][0].utilization)
    np.testing.assert_allclose(used[0], used[1], atol=2e-3)


@pytest.mark.parametrize("id", ["small-contended", "large", "abilene"])
@pytest.mark.parametrize("name", UNTRAINED)
def test_every_rule_splits_what_is_legal(id, name):
    options = {"steps": 64, "time_limit": 4} | ({} if id == "abilene" else {"failure_rate": 1.0})
    world = environments.make(f"routing/{id}", **options)
    if (id, name) == ("abilene", "ecmp"):
        with pytest.raises(BadInput, match="no candidate"):
            world.rules()[name]()
        return
    action, state, _ = first(world, name)
    legal = np.asarray(world.failures.legal[int(state.failure)])
    parts = action.reshape(len(action), -1, world.wiring.action.parts[0])
    np.testing.assert_allclose(parts.sum(-1), legal.reshape(parts.shape).any(-1), atol=1e-5)
    assert (action[~legal] == 0).all()
    assert (action >= 0).all()


def test_what_ecmp_gets_is_known_where_it_cannot_be_played():
    np.testing.assert_allclose(rules.ecmp_mlu(contended([60, 40], ticks=1)), 0.6, rtol=1e-6)
    world = environments.make("routing/abilene", control="hop", steps=64, time_limit=4)
    _, state, (after, _) = first(world, "ecmp")
    assert float(after.mlu) == pytest.approx(rules.ecmp_mlu(world)[int(state.start)], rel=1e-4)


def test_every_rule_says_what_it_knows():
    own, probe = (contended([60, 40], ticks=1, see=see).rules() for see in ("own", "probe"))
    assert knows(own["wcmp-residual"]()) == "last utilization of its own links"
    assert knows(probe["wcmp-residual"]()) == "last utilization of every link"
    assert knows(own["optimal-routing"]()) == "all demands of this step"


def knows(rule):
    assert isinstance(rule, Scripted)
    return rule.knows
