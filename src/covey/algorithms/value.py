"""Q-learning for teams: one rule, and the papers that are aliases of it.

Every agent has a value Q_i(o_i, a_i) of its own choices; a mixer makes the team's value of them, and the team's reward
teaches it. Each agent then does what is best by its own values alone.

    Q(s, a)  = f(Q_1(o_1, a_1), ..., Q_n(o_n, a_n); s) + b(s)
    y        = r + γ d Q'(s', a')      a'_i = argmax Q_i(o'_i, ·), with target networks for Q' (van Hasselt et al. 2016)
    L        = E[(y - Q(s, a))²]

s is what everybody sees. f = Σ_i, b = 0: VDN (Sunehag et al. 2018). f monotone in every Q_i: QMIX (Rashid et al. 2018).
The team is a group: its reward is the mean of its members'.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from covey.core.algorithm import Algorithm, Plan
from covey.core.checks import controls, within
from covey.core.errors import BadInput
from covey.core.types import Discrete, Groups, Metrics, MultiDiscrete, Spec
from covey.learning.descent import descended
from covey.learning.replay import Batch, Buffer, Replay, learn_from_replay
from covey.learning.targets import Linear, masked_mean, polyak
from covey.nn.encoders import Encoder, Encoders, Flat, encoder_for
from covey.nn.heads import Head
from covey.nn.joint import actions, legal, ravel
from covey.nn.members import Members, renumbered
from covey.nn.mixers import Mixer, Monotone, Sum, check_mixes_values
from covey.nn.nets import MLP


class Team(NamedTuple):
    """What is learned of one group."""

    own: Any  # an MLP, or one per agent [n, ...]: observation -> a value for every choice
    mix: Any  # the mixer's
    base: MLP | None  # b: context -> []


class Nets(NamedTuple):
    """Everything that is learned."""

    online: Any  # {name: Team}; behind encoders, where there are any (`Encoded`)
    target: Any
    opt: Any


class State(NamedTuple):
    nets: Nets
    buffer: Buffer


class Mixing(Algorithm):
    """The rule. Works for discrete choices, groups of any sizes, masks and deaths."""

    spec: Spec = eqx.field(static=True)
    groups: tuple[str, ...] = eqx.field(static=True)
    mixer: Mixer = Monotone()
    """How members' values make the team's."""
    base: bool = eqx.field(static=True, default=True)
    """Add a value b(s) that nobody's choice changes."""
    encoder: Encoder = Flat()
    """What comes before the networks: how observations become features."""
    replay: Replay = Replay(capacity=50_000, batch=256)
    shared: bool = eqx.field(static=True, default=True)
    """One network per group, told apart by identity, instead of one per agent."""
    width: int = eqx.field(static=True, default=64)
    """Units of every hidden layer."""
    horizon: int = eqx.field(static=True, default=4)
    """Steps of a rollout, per lane, between two learns."""
    updates: int = eqx.field(static=True, default=1)
    """Gradient steps per learn."""
    warmup: int = eqx.field(static=True, default=1000)
    """Environment steps before the first gradient step."""
    epsilon: Linear = Linear(1.0, 0.05, 50_000.0)
    """Chance that an agent chooses at random, over environment steps."""
    gamma: float = 0.99
    """Discount γ per step."""
    tau: float = 0.01
    """Share of the online networks in the targets per update."""
    lr: float = 5e-4
    """Adam's learning rate."""
    max_norm: float = 10.0
    """Largest global norm of a gradient."""

    def __check_init__(self):
        within(self, "[1, inf)", "width", "horizon", "updates")
        within(self, "[0, inf)", "warmup", "lr")
        within(self, "[0, 1]", "gamma")
        within(self.epsilon, "[0, 1]", "start", "end")
        within(self, "(0, 1]", "tau")
        within(self, "(0, inf]", "max_norm")
        check_mixes_values(self.mixer)
        self.replay.check(self.horizon)
        controls(self)
        for name in self.groups:
            if not isinstance(self.spec.groups[name].action, (Discrete, MultiDiscrete)):
                raise BadInput(
                    f"the group {name!r} of {self.spec.name} does not choose from a few actions, and Q-learning has to "
                    "compare all of them: use 'mappo' or 'maddpg'."
                )

    @property
    def plan(self):
        return Plan(horizon=self.horizon, warmup=self.warmup, updates=self.updates)

    @property
    def optimizer(self) -> Any:
        return optax.chain(optax.clip_by_global_norm(self.max_norm), optax.adam(self.lr))

    def head(self, name: str) -> Head:
        return Head(self.spec.groups[name].action)

    def members(self, name: str) -> Members:
        return Members(self.spec.groups[name].size, self.shared)

    @property
    def encoders(self) -> Encoders:
        return Encoders(self.encoder, self.spec)

    # ---------------------------------------------------------------------------------------------------------- acting

    def init(self, key, lanes):
        keys = zip(self.groups, jax.random.split(key, len(self.groups)), strict=True)
        online = {name: self._draw(name, k) for name, k in keys}
        online = self.encoders.join(jax.random.fold_in(key, 1), online, self.spec.groups)
        target = jax.tree.map(jnp.copy, online)  # every leaf of a state is an array of its own
        return State(
            Nets(online, target, self.optimizer.init(online)), self.replay.init(self.spec, lanes, self.horizon)
        )

    def _draw(self, name: str, key: Any) -> Team:
        k_own, k_mix, k_base = jax.random.split(key, 3)
        members = self.members(name)
        groups = self.encoders.spec.groups
        context = sum(group.size * group.obs_size for group in groups.values())
        sizes = groups[name].obs_size + members.identity, self.width, self.width, self.head(name).size
        return Team(
            own=members.init(k_own, lambda key: MLP(key, sizes)),
            mix=self.mixer.init(k_mix, members.size, context),
            base=MLP(k_base, (context, self.width, 1), last=0.1) if self.base else None,
        )

    def act(self, state, memory, now, key, step, *, explore):
        teams, obs = self.encoders.enter(state.nets.online, self.encoders.inputs(now))
        masks, action = legal(self.spec, now), {}
        for name, k in zip(self.groups, jax.random.split(key, len(self.groups)), strict=True):
            head, values = self.head(name), self.members(name)(teams[name].own, obs[name])
            if explore:
                values = self.explored(values, k, step)
            action[name] = jax.vmap(head.action)(jax.vmap(head.greedy)(values, masks[name]))
        return action, memory, ()

    def explored(self, values: Any, key: Any, step: Any) -> Any:
        """Values [n, A], or with the chance ε of an agent's noise in their place, whose largest is any."""
        k_chance, k_any = jax.random.split(key)
        anything = jax.random.bernoulli(k_chance, self.epsilon(step), values.shape[:1])
        return jnp.where(anything[:, None], jax.random.uniform(k_any, values.shape), values)

    def parameters(self, state):
        return state.nets

    def acting(self, state):
        return state._replace(nets=state.nets._replace(target={}, opt=()), buffer=())

    def rotate(self, state: State, shift: int) -> State | None:
        """The state with agent i's values given to agent i + shift of its group; None where a number means more."""
        if self.shared or not isinstance(self.mixer, Sum) or self.base:
            return None
        return state._replace(nets=renumbered(state.nets, shift))

    # -------------------------------------------------------------------------------------------------------- learning

    def learn(self, state, rollout, key, step):
        buffer, nets, metrics = learn_from_replay(
            self.replay, self.spec, self.plan, state.buffer, rollout, step, self.update, state.nets, key
        )
        return State(nets, buffer), metrics

    def update(self, nets: Nets, batch: Batch, key: Any, count: Any) -> tuple[Nets, Metrics]:
        """One gradient step of everybody's values and of the mixers, and the step of the targets that goes with it."""
        target = self.target(nets, batch)
        online, opt, metrics = descended(self.optimizer, self.loss, nets.online, nets.opt, target, batch)
        return Nets(online, polyak(nets.target, online, self.tau), opt), metrics

    def target(self, nets: Nets, batch: Batch) -> Groups:
        """y [B] of every group."""
        seen = jax.vmap(self.encoders.inputs)(batch.then)
        masks = jax.vmap(partial(legal, self.spec))(batch.then)
        (online, obs), (held, obs_held) = (self.encoders.enter(teams, seen) for teams in (nets.online, nets.target))
        y = {}
        for name in self.groups:
            values = self.members(name)(online[name].own, obs[name])
            best = jax.vmap(jax.vmap(self.head(name).greedy))(values, masks[name])
            future = self.value(held[name], name, obs_held, batch.then.alive[name], best)
            alive, discount = batch.now.alive[name], batch.then.discount[name]
            reward = masked_mean(batch.then.reward[name], alive, axis=1)
            y[name] = reward + self.gamma * discount.max(1) * future
        return y

    def loss(self, online: Any, target: Groups, batch: Batch) -> tuple[Any, Metrics]:
        """Σ L over the groups, over steps in which somebody of the group lived."""
        done = jax.vmap(partial(actions, self.spec))(batch.now, batch.action)
        teams, obs = self.encoders.enter(online, jax.vmap(self.encoders.inputs)(batch.now))
        loss, metrics = 0.0, {}
        for name in self.groups:
            value = self.value(teams[name], name, obs, batch.now.alive[name], done[name])
            weight = batch.weight * batch.now.alive[name].any(1)
            error = masked_mean((target[name] - value) ** 2, weight)
            loss += error
            metrics |= {f"loss/value/{name}": error, f"value/{name}": masked_mean(value, weight)}
        return loss, metrics

    def value(self, team: Team, name: str, obs: Groups, alive: Any, chosen: Any) -> Any:
        """Q(s, a) [B] of the embedded choices [B, n, A], where agents see `obs`; the dead bring nothing."""
        context = jax.vmap(lambda obs: ravel(*obs.values()))(obs)
        own = (self.members(name)(team.own, obs[name]) * chosen).sum(-1)
        own = jnp.where(alive, own, 0.0)[..., None]
        whole = jax.vmap(partial(self.mixer.value, team.mix))(own, context)
        return whole if team.base is None else whole + team.base(context)[..., 0]


# ---------------------------------------------------------------------------------------------------------------------
# Papers


def vdn(spec: Spec, *, groups: tuple[str, ...] | None = None) -> Mixing:
    """VDN: the team's value is the sum of its members' (Sunehag et al. 2018)."""
    return Mixing(spec, groups or tuple(spec.groups), mixer=Sum(), base=False, encoder=encoder_for(spec))


def qmix(spec: Spec, *, groups: tuple[str, ...] | None = None) -> Mixing:
    """QMIX: the team's value grows with each of its members' (Rashid et al. 2018)."""
    return Mixing(spec, groups or tuple(spec.groups), mixer=Monotone(), encoder=encoder_for(spec))
