"""Critics of the DDPG family: parts that say what agents' actions are worth.

A `GroupCritic` draws the parameters of all groups that learn, and values what happened for all agents of a group. Most
are written for one agent and one sample (`Critic`): `arrange` lays parameters out as one network per agent of a group
(gathering what agents share), `value` evaluates one of those networks on one `View` of everybody. `Neighbors` sees only
whom the environment lists, with one network a group.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.core.checks import within
from covey.core.errors import BadInput
from covey.core.types import Groups, Metrics, Spec, action_size
from covey.learning.targets import masked_mean
from covey.nn.joint import View, others, ravel, views
from covey.nn.neighbors import Slots, gathered, neighborhood, products, row_size, slots, table
from covey.nn.nets import MLP, Linear, linears
from covey.nn.pieces import in_pieces

ACTIVATIONS: dict[str, Callable] = {"relu": jax.nn.relu, "tanh": jnp.tanh, "identity": lambda x: x}
Activation = Literal["relu", "tanh", "identity"]


class Attention(NamedTuple):
    """What an attention critic looked at: scalar head values q_k (figure 9a) and weights W_k (equation 8), [K]."""

    values: Any
    weights: Any


def sizes(spec: Spec, name: str) -> tuple[int, int, int, int]:
    """Floats in a view of group `name`: own observation, own action, others' observations, others' actions."""
    obs = {g: group.obs_size for g, group in spec.groups.items()}
    act = {g: action_size(group.action) for g, group in spec.groups.items()}
    total_obs = sum(group.size * obs[g] for g, group in spec.groups.items())
    total_act = sum(group.size * act[g] for g, group in spec.groups.items())
    return obs[name], act[name], total_obs - obs[name], total_act - act[name]


class Scene(NamedTuple):
    """A batch [B] of what everybody sees and does, of which critics of one group are asked."""

    obs: Groups  # [B, n, D]  zero where padded or dead
    action: Groups  # [B, n, A]  embedded, zero where dead
    own: Any  # [B, n, A]  what the agents of that group do, in the place of `action`
    alive: Groups  # [B, n]
    neighbors: Groups  # [B, n, M]  (index, mask), where the environment lists them


class GroupCritic(eqx.Module):
    """Base of all critics; `width` is the size of every hidden layer."""

    width: eqx.AbstractVar[int]
    """Units of every hidden layer."""

    shares: ClassVar[Literal["nothing", "something", "everything"]] = "nothing"
    """Which parameters are of no single agent."""
    alone: ClassVar[bool] = False
    """Does it see nothing but what its own agent sees and does?"""

    def __check_init__(self):
        within(self, "[1, inf)", "width")

    @abc.abstractmethod
    def init(self, key: Any, spec: Spec, groups: tuple[str, ...]) -> Any:
        """Parameters for every agent of `groups`."""

    @abc.abstractmethod
    def values(self, params: Any, spec: Spec, name: str, scene: Scene) -> tuple[Any, Any]:
        """Q [B, n] of every agent of group `name`, and what the critics attended to (if they attend)."""


class Critic(GroupCritic):
    """A critic of one agent and one sample, who sees everybody."""

    def values(self, params, spec, name, scene):
        def see(obs, action, own):
            return views(spec, name, obs, action)._replace(own_action=own)

        # Agents outside, samples inside: one matrix product per agent and layer, and no transposition between layers.
        view = jax.vmap(see, out_axes=1)(scene.obs, scene.action, scene.own)
        value = jax.vmap(jax.vmap(self.value, (None, 0)), out_axes=1)
        return value(self.arrange(params, spec, name), view)

    def arrange(self, params: Any, spec: Spec, name: str) -> Any:
        """One network per agent of group `name`: leaves with leading [n]."""
        return params[name]

    @abc.abstractmethod
    def value(self, net: Any, view: View) -> tuple[Any, Attention | tuple[()]]:
        """Q of one agent for one sample, and what the critic attended to (if it attends)."""


def per_agent(key: Any, spec: Spec, groups: tuple[str, ...], draw: Callable[..., Any]) -> Any:
    """One `draw(key, name)` per agent, stacked over the agents of each group."""
    keys = dict(zip(groups, jax.random.split(key, len(groups)), strict=True))
    return {
        name: jax.vmap(partial(draw, name=name))(jax.random.split(keys[name], spec.groups[name].size))
        for name in groups
    }


class Independent(Critic):
    """Q_i(o_i, a_i): nobody else exists (IDDPG)."""

    width: int = eqx.field(static=True, default=32)
    layers: int = eqx.field(static=True, default=2)
    """Hidden layers."""

    alone = True

    def init(self, key, spec, groups):
        def draw(key, name):
            return MLP(key, (sum(sizes(spec, name)[:2]), *[self.width] * self.layers, 1))

        return per_agent(key, spec, groups, draw)

    def value(self, net, view):
        return net(ravel(view.own_obs, view.own_action))[0], ()


class SharedIndependent(GroupCritic):
    """Q(o_i, a_i) with the same parameters for all agents of a group, which are not told apart (LAMARL)."""

    width: int = eqx.field(static=True, default=32)
    layers: int = eqx.field(static=True, default=2)
    """Hidden layers."""

    shares = "everything"
    alone = True

    def init(self, key, spec, groups):
        keys = zip(groups, jax.random.split(key, len(groups)), strict=True)
        hidden = [self.width] * self.layers
        return {name: MLP(k, (sum(sizes(spec, name)[:2]), *hidden, 1)) for name, k in keys}

    def values(self, params, spec, name, scene):
        return params[name](jnp.concatenate([scene.obs[name], scene.own], -1))[..., 0], ()


class Joint(Critic):
    """Q_i(o, a): everything in one vector (MADDPG, Lowe et al. 2017)."""

    width: int = eqx.field(static=True, default=32)

    def init(self, key, spec, groups):
        return per_agent(
            key, spec, groups, lambda key, name: MLP(key, (sum(sizes(spec, name)), self.width, self.width, 1))
        )

    def value(self, net, view):
        return net(ravel(*view))[0], ()


class SharedTrunk(Critic):
    """Q_i(o, a) whose first layer is shared by the agents of a group (PSMADDPGV2, Chu & Ye 2017: the choice of what to
    share is ours, the paper's text does not give it)."""

    width: int = eqx.field(static=True, default=32)

    shares = "something"

    def init(self, key, spec, groups):
        k_trunk, k_own = jax.random.split(key)
        trunks = {
            name: linears(k, (self.width, sum(sizes(spec, name))))[0]
            for name, k in zip(groups, jax.random.split(k_trunk, len(groups)), strict=True)
        }
        own = per_agent(k_own, spec, groups, lambda key, name: MLP(key, (self.width, self.width, 1)))
        return {"trunk": trunks, "own": own}

    def arrange(self, params, spec, name):
        size = spec.groups[name].size
        trunk = jax.tree.map(lambda x: jnp.broadcast_to(x, (size, *x.shape)), params["trunk"][name])
        return trunk, params["own"][name]

    def value(self, net, view):
        trunk, own = net
        return own(jax.nn.relu(trunk(ravel(*view))))[0], ()


class NeighborNet(NamedTuple):
    """The critic of a group."""

    message: Linear | None  # [o_i, a_i; row of a neighbor] -> message, where those are pooled
    out: MLP  # [o_i, a_i; the mean message, or every row] -> Q


MESSAGES = 2**19
"""Numbers in messages that are computed at a time on a CPU, so that they stay in its cache: an update of 200 agents
takes a tenth less time. An accelerator computes all at once."""


class Neighbors(GroupCritic):
    """Q(o_i, a_i, what the listed neighbors see and do), with the same parameters for all agents of a group.

    Pooled by their mean, the order of neighbors means nothing:

        m_ij = relu(W [o_i, a_i; x_j] + b)      Q_i = MLP([o_i, a_i; mean_j m_ij])

    x_j is neighbor j's row of `covey.nn.neighbors:table`: its group, observation and action. Who is masked, dead or not
    there counts for nothing; the mean of nobody is zero. Parameters do not grow with the number of agents.
    """

    width: int = eqx.field(static=True, default=32)
    pool: Literal["mean", "concat"] = eqx.field(static=True, default="mean")
    """The mean over neighbors, in whatever order, or one after the other, as the environment lists them."""

    shares = "everything"

    def init(self, key, spec, groups):
        seen = row_size(spec, {name: sum(sizes(spec, name)[:2]) for name in spec.groups})
        listed, width = neighborhood(spec), self.width

        def draw(key, name):
            k_message, k_out = jax.random.split(key)
            own = sum(sizes(spec, name)[:2])
            if self.pool == "concat":
                return NeighborNet(None, MLP(k_out, (own + listed * seen, width, width, 1)))
            return NeighborNet(linears(k_message, (width, own + seen))[0], MLP(k_out, (own + width, width, width, 1)))

        keys = jax.random.split(key, len(groups))
        return {name: draw(k, name) for name, k in zip(groups, keys, strict=True)}

    def values(self, params, spec, name, scene):
        net, where = params[name], slots(spec, scene.alive, scene.neighbors[name])
        data = {group: jnp.concatenate([scene.obs[group], scene.action[group]], -1) for group in spec.groups}
        rows, own = table(spec, scene.alive, data), jnp.concatenate([scene.obs[name], scene.own], -1)
        if net.message is None:
            around = gathered(rows, where).reshape(*own.shape[:-1], -1)
        else:
            around = self._mean_message(net.message, own, rows, where)
        return net.out(jnp.concatenate([own, around], -1))[..., 0], ()

    def _mean_message(self, layer: Linear, own: Any, rows: Any, where: Slots) -> Any:
        """The mean message [B, n, width] to agents with data `own` [B, n, D], from their neighbors' rows."""
        mine, theirs = jnp.split(layer.weight, [own.shape[-1]], axis=1)

        def mean_message(own: Any, rows: Any, *where: Any) -> Any:
            there = where[1]
            message = jax.nn.relu((own @ mine.T + layer.bias)[..., None, :] + products(rows, theirs, Slots(*where)))
            return jnp.where(there[..., None], message, 0.0).sum(-2) / jnp.maximum(there.sum(-1, keepdims=True), 1)

        at_once = MESSAGES // (where.row[0].size * self.width) if jax.default_backend() == "cpu" else len(own)
        return in_pieces(mean_message, at_once, own, rows, *where)


class HeadsNet(NamedTuple):
    """The parameters of one agent's K-head critic."""

    state: Linear  # [o; a_i] -> z
    heads: Linear  # K layers z -> Q^k, stacked
    team: Linear | None  # a_-i -> h
    out: Linear  # Q^c -> Q
    encoders: Any = None  # shared encoders of every observation and action, if any


class Heads(Critic):
    """K heads without attention (Khead-MADDPG, the ablation of section 4.1 of the paper).

    Literal: the heads' outputs are concatenated into the last layer and nothing sees the teammates' actions. The fair
    form feeds them to the heads (`teammate_actions`) and may average instead (`merge="mean"`).
    """

    heads: int = eqx.field(static=True, default=4)
    """How many heads, K."""
    width: int = eqx.field(static=True, default=32)
    merge: Literal["concat", "mean"] = eqx.field(static=True, default="concat")
    """Concatenate the heads' outputs (literal), or average them (the fair form)."""
    teammate_actions: bool = eqx.field(static=True, default=False)
    """Show the heads the teammates' actions (the fair form)."""

    def __check_init__(self):
        check_heads(self.heads)

    def init(self, key, spec, groups):
        def draw(key, name):
            own_obs, own_act, obs, act = sizes(spec, name)
            seen = own_obs + own_act + obs + act * self.teammate_actions
            merged = self.width * (self.heads if self.merge == "concat" else 1)
            state, heads, out = linears(key, (self.width, seen), (self.heads, self.width, self.width), (1, merged))
            return HeadsNet(state, heads, None, out)

        return per_agent(key, spec, groups, draw)

    def value(self, net, view):
        seen = ravel(view.own_obs, view.own_action, view.obs, *([view.action] if self.teammate_actions else []))
        z = jax.nn.relu(net.state(seen))
        heads = jax.vmap(lambda head: jax.nn.relu(head(z)))(net.heads)
        merged = heads.reshape(-1) if self.merge == "concat" else heads.mean(0)
        return net.out(merged)[0], ()


class AttentionHeads(Critic):
    """The attention critic of ATT-MADDPG (Mao et al. 2018, figure 3 and equations 8 and 9).

    K heads see every observation and the own action, never the teammates' actions, which act only through h_i: they
    choose how to weigh the heads. `encoder="shared"` is the authors' later code.
    """

    heads: int = eqx.field(static=True, default=4)
    """How many heads, K."""
    width: int = eqx.field(static=True, default=32)
    encoder: Literal["none", "shared"] = eqx.field(static=True, default="none")
    """One encoding layer before each input, shared by the critics of all agents, or none."""
    activation: Activation = eqx.field(static=True, default="relu")
    """Of every hidden layer."""
    scale: float = 1.0
    """Multiplies the dot product: 1 is the paper's, 0 means 1/√width."""

    def __check_init__(self):
        check_heads(self.heads)
        within(self, "[0, inf)", "scale")

    def init(self, key, spec, groups):
        if spec.agents < 2:
            raise BadInput(
                f"an attention critic needs teammates, and {spec.name} has one agent: use 'iddpg', which is plain DDPG."
            )
        k_own, k_obs, k_act = jax.random.split(key, 3)
        own = per_agent(k_own, spec, groups, partial(self._draw, spec=spec))
        if self.encoder == "none":
            return {"own": own}
        everyone = tuple(spec.groups)
        sees = {name: sizes(spec, name)[:2] for name in everyone}
        obs = per_agent(k_obs, spec, everyone, lambda k, name: linears(k, (self.width, sees[name][0]))[0])
        act = per_agent(k_act, spec, everyone, lambda k, name: linears(k, (self.width, sees[name][1]))[0])
        return {"own": own, "obs": obs, "action": act}

    def _draw(self, key, name, spec):
        own_obs, own_act, obs, act = sizes(spec, name)
        if self.encoder == "shared":
            own_obs, own_act, obs, act = (self.width * count for count in (1, 1, spec.agents - 1, spec.agents - 1))
        width, seen = self.width, own_obs + obs + own_act
        return HeadsNet(*linears(key, (width, seen), (self.heads, width, width), (width, act), (1, width)))

    def arrange(self, params, spec, name):
        own = params["own"][name]
        if self.encoder == "none":
            return own
        return own._replace(
            encoders=View(
                params["obs"][name],
                params["action"][name],
                _others_of(spec, name, params["obs"]),
                _others_of(spec, name, params["action"]),
            )
        )

    def value(self, net, view):
        act = ACTIVATIONS[self.activation]
        if net.encoders is not None:
            view = _encode(net.encoders, view)
        z = act(net.state(ravel(view.own_obs, view.obs, view.own_action)))
        heads = jax.vmap(lambda head: act(head(z)))(net.heads)  # Q_i^k  [K, H]
        h = act(net.team(ravel(view.action)))  # h_i  [H]
        scale = jnp.where(self.scale == 0, self.width**-0.5, self.scale)
        weights = jax.nn.softmax(scale * (heads @ h))  # W_i^k, equation 8
        q = net.out(weights @ heads)[0]  # equation 9, then "real Q-value"
        return q, Attention(values=jax.vmap(net.out)(heads)[:, 0], weights=weights)


def attention_metrics(name: str, attention: Any, weight: Any) -> Metrics:
    """Mean weight and value of every head, and the mean entropy of the weights in nats, over living agents."""
    if not isinstance(attention, Attention):
        return {}
    entropy = -jnp.sum(attention.weights * jnp.log(attention.weights + 1e-12), -1)
    metrics = {f"attention/{name}/entropy": masked_mean(entropy, weight)}
    for k in range(attention.weights.shape[-1]):
        metrics[f"attention/{name}/weight/head_{k}"] = masked_mean(attention.weights[..., k], weight)
        metrics[f"attention/{name}/value/head_{k}"] = masked_mean(attention.values[..., k], weight)
    return metrics


def check_heads(heads: int) -> None:
    if heads < 1:
        raise BadInput(f"a critic needs at least one head, got heads={heads}: the paper uses 2 to 16.")


def _others_of(spec: Spec, name: str, params: Any) -> tuple[Any, ...]:
    """`others`, leaf by leaf of stacked parameters: per group, the others' parameters [n, others, ...]."""
    structure = jax.tree.structure(params[name])
    leaves = {group: jax.tree.leaves(value) for group, value in params.items()}
    arranged = [
        others(spec, name, {group: values[i] for group, values in leaves.items()}) for i in range(structure.num_leaves)
    ]
    return tuple(jax.tree.unflatten(structure, leaf) for leaf in zip(*arranged, strict=True))


def _encode(encoders: View, view: View) -> View:
    """Every observation and action through its agent's encoder and a ReLU."""
    return View(
        jax.nn.relu(encoders.own_obs(view.own_obs)),
        jax.nn.relu(encoders.own_action(view.own_action)),
        tuple(jax.nn.relu(jax.vmap(lambda f, x: f(x))(f, x)) for f, x in zip(encoders.obs, view.obs, strict=True)),
        tuple(
            jax.nn.relu(jax.vmap(lambda f, x: f(x))(f, x)) for f, x in zip(encoders.action, view.action, strict=True)
        ),
    )
