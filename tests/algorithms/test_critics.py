"""What the wiring of the critics implies, whatever their parameters are."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.algorithms.critics import AttentionHeads, Critic, Heads, Independent, Joint, SharedTrunk
from covey.core.errors import BadInput
from covey.core.types import Box, Field, Group, Spec, Table
from covey.nn.joint import View


def world(agents: int = 3, obs: int = 4, action: int = 2) -> Spec:
    names = tuple(f"agent_{i}" for i in range(agents))
    box = Box((-1.0,) * action, (1.0,) * action)
    return Spec("critics", Table({"agent": Group(names, (Field("o", (obs,)),), box)}))


SPEC = world()


def net_of(critic: Critic, spec: Spec = SPEC, agent: int = 0):
    """One agent's network, with biases that are not zero."""
    nets = critic.arrange(critic.init(jax.random.key(0), spec, ("agent",)), spec, "agent")
    draw = np.random.default_rng(0)
    return jax.tree.map(lambda x: x[agent] + 0.3 * draw.normal(size=x.shape[1:]).astype(np.float32), nets)


def view_of(seed: int) -> View:
    draw = np.random.default_rng(seed)
    a, b, c, d = (draw.normal(size=shape).astype(np.float32) for shape in ((4,), (2,), (2, 4), (2, 2)))
    return View(a, b, (c,), (d,))


def team_gradient(critic: Critic, net, view: View):
    return jax.grad(lambda action: critic.value(net, view._replace(action=action))[0])(view.action)[0]


@pytest.mark.parametrize("encoder", ["none", "shared"])
@pytest.mark.parametrize("seed", range(3))
def test_q_is_the_weighted_sum_of_the_heads_values(encoder, seed):
    critic = AttentionHeads(heads=5, width=8, encoder=encoder)
    q, attention = critic.value(net_of(critic), view_of(seed))
    np.testing.assert_allclose(attention.weights.sum(), 1.0, rtol=1e-6)
    np.testing.assert_allclose(q, attention.weights @ attention.values, rtol=1e-5, atol=1e-6)
    assert attention.values.min() - 1e-5 <= q <= attention.values.max() + 1e-5


def test_heads_do_not_see_teammates_actions():
    critic = AttentionHeads(heads=4, width=8)
    net, view = net_of(critic), view_of(0)
    moved = view._replace(action=view_of(1).action)
    (q, before), (other, after) = critic.value(net, view), critic.value(net, moved)
    np.testing.assert_array_equal(before.values, after.values)
    assert not np.allclose(before.weights, after.weights)
    assert q != other


def test_one_head_is_blind_to_teammates():
    critic = AttentionHeads(heads=1, width=8)
    net, view = net_of(critic), view_of(0)
    assert critic.value(net, view)[0] == critic.value(net, view._replace(action=view_of(1).action))[0]
    np.testing.assert_array_equal(team_gradient(critic, net, view), 0.0)
    assert np.any(team_gradient(AttentionHeads(heads=2, width=8), net_of(AttentionHeads(heads=2, width=8)), view))


def test_the_order_of_the_heads_is_arbitrary():
    critic = AttentionHeads(heads=4, width=8)
    net, view = net_of(critic), view_of(0)
    order = jnp.array([2, 0, 3, 1])
    shuffled = net._replace(heads=jax.tree.map(lambda x: x[order], net.heads))
    (q, attention), (same, moved) = critic.value(net, view), critic.value(shuffled, view)
    np.testing.assert_allclose(q, same, rtol=1e-5)
    np.testing.assert_allclose(attention.weights[order], moved.weights, rtol=1e-5)


def test_a_dead_team_layer_weighs_evenly_and_a_loud_one_picks_a_head():
    critic = AttentionHeads(heads=4, width=8)
    net, view = net_of(critic), view_of(0)
    dead = net._replace(team=net.team._replace(bias=jnp.full(8, -100.0)))
    np.testing.assert_allclose(critic.value(dead, view)[1].weights, 0.25, rtol=1e-6)
    loud = net._replace(team=jax.tree.map(lambda x: 1e4 * x, net.team))
    np.testing.assert_allclose(np.sort(critic.value(loud, view)[1].weights), [0, 0, 0, 1], atol=1e-6)


def test_scale():
    net, view = net_of(AttentionHeads(width=16)), view_of(0)
    plain, scaled, quarter = (AttentionHeads(width=16, scale=s).value(net, view)[0] for s in (1.0, 0.0, 0.25))
    np.testing.assert_allclose(scaled, quarter, rtol=1e-6)  # 0 stands for 1 / √width
    assert plain != scaled


def test_parameter_count():
    """Two routers of the small network, as in the paper: counted by hand in its section 4."""
    params = AttentionHeads(heads=4, width=32).init(jax.random.key(0), world(agents=2, obs=28), ("agent",))
    assert sum(x[0].size for x in jax.tree.leaves(params)) == 6241


@pytest.mark.parametrize("merge", ["concat", "mean"])
def test_teammates_actions_reach_khead_only_if_asked(merge):
    view = view_of(0)
    literal, fair = (Heads(width=8, merge=merge, teammate_actions=seen) for seen in (False, True))
    np.testing.assert_array_equal(team_gradient(literal, net_of(literal), view), 0.0)
    assert np.any(team_gradient(fair, net_of(fair), view))


def test_what_others_do_matters_to_joint_critics_only():
    view = view_of(0)
    for critic, sees in ((Independent(8), False), (Joint(8), True), (SharedTrunk(8), True)):
        assert np.any(team_gradient(critic, net_of(critic), view)) == sees


def test_a_shared_trunk_is_shared():
    critic = SharedTrunk(8)
    trunk, own = critic.arrange(critic.init(jax.random.key(0), SPEC, ("agent",)), SPEC, "agent")
    np.testing.assert_array_equal(trunk.weight[0], trunk.weight[1])
    assert not np.array_equal(own.layers[0].weight[0], own.layers[0].weight[1])


@pytest.mark.parametrize("critic", [AttentionHeads, Heads])
def test_refuses_no_heads(critic):
    with pytest.raises(BadInput, match="at least one head"):
        critic(heads=0)


def test_refuses_attention_to_nobody():
    with pytest.raises(BadInput, match="needs teammates"):
        AttentionHeads().init(jax.random.key(0), world(agents=1), ("agent",))
