"""Networks that split traffic, trained by gradients through the simulator: how good can a policy of these inputs be?

The environment is differentiable in the splits, so no critic is needed: the mean reward of unrolled steps is maximized
as it stands. With everybody's observations and one network this is the idea of DOTE (Perry et al., NSDI 2023); with a
network per router that sees its own observation, it shows what decentralized execution costs. Neither uses held-out
demand: the last part of the training demand decides which weights are kept.

Where training demands are few, a network learns them by heart. On Abilene, one day of training leaves it no better than
the best constant split. Two disturbances of the demands mend that: every pair is multiplied by a random number, and
moved in time by a random number of steps, so that no two episodes are alike.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from covey.core.types import Group, Groups, Splits, TimeStep
from covey.environments.routing.programs import cached
from covey.environments.routing.records import Bank, State
from covey.nn.heads import Parts
from covey.nn.nets import MLP

if TYPE_CHECKING:
    from covey.environments.routing.environment import Routing

Sees = Literal["own", "all"]


class Settings(NamedTuple):
    """How the networks are trained."""

    updates: int = 2000  # gradient steps
    lanes: int = 64  # episodes side by side
    episode: int = 20  # steps of an episode
    window: int = 5  # of them under one gradient
    width: int = 64  # of both hidden layers
    learning_rate: float = 3e-3  # at the beginning; it falls to 0 like a cosine
    clip: float = 1.0  # largest norm of a gradient
    jitter: float = 0.0  # largest deviation of the logarithm of what a pair's demand is multiplied by
    shift: int = 0  # most steps that a pair's demand is moved in time
    seed: int = 0


PLENTY = Settings()
SCARCE = Settings(updates=4000, episode=4, window=4, width=128, learning_rate=1e-3, jitter=0.6, shift=6)
ENOUGH = 16  # training steps a pair from which on demands are not scarce

RECIPE = 2  # part of the name of what is kept on disk: raise it when the search finds something else
CHECKS = 20  # how often the weights are tried on the validation part
VALIDATION = 8  # that part is one in so many of the training steps
LEAST = 1e-2  # share that no component begins below
DIM = 0.05  # demand, in units of its mean, that is taken for little


class Splitter(eqx.Module):
    """A policy: one network for everybody's observations, or a network for each router's own (leading [n]).

    Of a history of demands it reads the newest and the mean, as logarithms. Where all demands are seen and flows settle
    at once they say everything, and nothing else is read.
    """

    nets: Any  # MLP
    logits: Any  # [n, A]  the networks' outputs are added to these
    scale: Any  # [n, D]  the size of every input
    space: Splits = eqx.field(static=True)
    group: Group = eqx.field(static=True)
    history: int = eqx.field(static=True)  # steps of demand in an observation, where there are any
    sees: Sees = eqx.field(static=True)

    def __call__(self, now: TimeStep, key: Any) -> Groups:
        seen = self.features(now.obs["router"])
        if self.sees == "all":
            logits = self.nets(seen.reshape(-1)).reshape(self.logits.shape)
        else:
            logits = jax.vmap(lambda net, x: net(x))(self.nets, seen)
        return {"router": jax.vmap(Parts(self.space.parts).softmax)(self.logits + logits, now.legal["router"])}

    def features(self, obs: Any) -> Any:
        """[n, F] what the networks read of observations [n, D]."""
        seen = obs / self.scale
        fields = self.group.fields_of(seen)
        if "demand" not in fields:
            return seen
        history = jnp.log(fields.pop("demand").reshape(len(seen), -1, self.history) + DIM)
        read = [history[..., 0], history.mean(-1)] if self.history > 1 else [history[..., 0]]
        return jnp.concatenate(read if self.sees == "all" else [*read, *fields.values()], 1)


def optimize(environment: Routing, *, sees: Sees, begin: np.ndarray, settings: Settings | None = None) -> Splitter:
    """The best `Splitter` that `settings` find for the training demand; found once and kept on disk.

    `begin` [n, A] are constant splits near which the search starts. Deterministic in the seed.
    """
    world = training_world(environment)
    settings = settings or suited(world, sees)
    policy = first_policy(world, sees, begin, settings)
    leaves, structure = jax.tree.flatten(policy)

    def solve() -> tuple[np.ndarray, ...]:
        return tuple(np.asarray(leaf) for leaf in jax.tree.leaves(search(world, policy, settings)))

    key = (RECIPE, str(world), sees, settings, *map(np.asarray, jax.tree.leaves((world, leaves))))
    return jax.tree.unflatten(structure, cached("direct", key, solve))


def training_world(environment: Routing) -> Routing:
    """The environment over training demand alone, in which every episode lasts as long as it can."""
    bank, count = environment.bank, environment.bank.training
    known = Bank(bank.ticks[:count], bank.mean[:count], bank.optimum[:, :count], count)
    world = dataclasses.replace(environment, bank=known, terminate=False, penalty=0.0)
    return world.over((0, count), environment.episode)


def suited(world: Routing, sees: Sees) -> Settings:
    """Settings for as many demands as `world` has. A network that sees all demands needs no more than one step."""
    count, pairs = world.bank.mean.shape
    settings = PLENTY if count >= ENOUGH * pairs else SCARCE
    longest = 1 if sees == "all" and not world.delays else world.episode
    return settings._replace(episode=min(settings.episode, longest), window=min(settings.window, longest))


# ---------------------------------------------------------------------------------------------------------------------
# The search


class Search(NamedTuple):
    """Where the search is."""

    nets: Any
    optimizer: Any
    lanes: Lanes
    key: Any


def search(world: Routing, policy: Splitter, settings: Settings) -> Splitter:
    """Gradient steps on the training part; of all checks, the weights that did best on the validation part."""
    train, validation = _parts(world)
    key = jax.random.key(settings.seed)
    nets: Any = policy.nets
    now = Search(nets, _optimizer(settings).init(nets), fresh(train, key, settings), key)
    best, most = policy, -np.inf
    for check in range(CHECKS + 1):
        tried = dataclasses.replace(policy, nets=now.nets)
        reward = float(mean_reward(validation, tried, settings.lanes))
        if reward > most:
            best, most = tried, reward
        if check < CHECKS:
            now = _improved(train, policy, now, settings)
    return best


def _parts(world: Routing) -> tuple[Routing, Routing]:
    """The environment over its first steps, to train, and over its last, to validate (all of them where they are
    few)."""
    count, least = world.bank.training, world.lead + world.episode
    held = max(count // VALIDATION, least)
    if count - held < least:
        return world, world
    return world.over((0, count - held), world.episode), world.over((count - held, count), world.episode)


def first_policy(world: Routing, sees: Sees, begin: np.ndarray, settings: Settings) -> Splitter:
    """A policy that splits almost as in `begin`, whatever it sees."""
    group = world.spec.groups["router"]
    agents, inputs = group.size, group.obs_size
    logits = jnp.log(jnp.maximum(begin, LEAST))
    key = jax.random.key(settings.seed)

    def net(key: Any, inputs: int, outputs: int) -> MLP:
        return MLP(key, (inputs, settings.width, settings.width, outputs), last=0.1)

    policy = Splitter(None, logits, jnp.ones((agents, inputs)), world.wiring.action, group, world.history, sees)
    features = jax.eval_shape(policy.features, policy.scale).shape[1]
    if sees == "all":
        nets = net(key, agents * features, logits.size)
    else:
        nets = jax.vmap(lambda k: net(k, features, logits.shape[1]))(jax.random.split(key, agents))
    policy = dataclasses.replace(policy, nets=nets)
    return dataclasses.replace(policy, scale=_scales(world, policy, settings))


def _scales(world: Routing, policy: Splitter, settings: Settings) -> Any:
    """[n, D] mean size of every input while `policy` plays, 1 where it is always 0."""
    lanes = fresh(world, jax.random.key(settings.seed), settings._replace(jitter=0.0, shift=0))
    _, (seen, _) = play(world, policy, lanes, settings.episode)
    size = jnp.abs(seen).mean((0, 1))
    return jnp.where(size > 1e-6, size, 1.0)


def _optimizer(settings: Settings) -> optax.GradientTransformation:
    schedule = optax.cosine_decay_schedule(settings.learning_rate, settings.updates)
    return optax.chain(optax.clip_by_global_norm(settings.clip), optax.adam(schedule))


@eqx.filter_jit
def _improved(world: Routing, policy: Splitter, begun: Search, settings: Settings) -> Search:
    """The search one check later."""

    def loss(nets: MLP, lanes: Lanes) -> Any:
        lanes, (_, reward) = play(world, dataclasses.replace(policy, nets=nets), lanes, settings.window)
        return -reward.mean(), lanes

    def update(now: Search, _: Any) -> tuple[Search, None]:
        key, k_fresh = jax.random.split(now.key)
        over = now.lanes.state.clock[0] + settings.window > settings.episode  # all lanes begin and end together
        lanes = jax.lax.cond(over, lambda: fresh(world, k_fresh, settings), lambda: now.lanes)
        gradient, lanes = jax.grad(loss, has_aux=True)(now.nets, lanes)
        step, optimizer = _optimizer(settings).update(gradient, now.optimizer)
        return Search(eqx.apply_updates(now.nets, step), optimizer, lanes, key), None

    return jax.lax.scan(update, begun, None, length=settings.updates // CHECKS)[0]


@eqx.filter_jit
def mean_reward(world: Routing, policy: Splitter, lanes: int) -> Any:
    """Mean reward per step over whole episodes, always the same ones."""
    settings = Settings(lanes=lanes, episode=world.episode)
    _, (_, reward) = play(world, policy, fresh(world, jax.random.key(0), settings), world.episode)
    return reward.mean()


# ---------------------------------------------------------------------------------------------------------------------
# Many episodes side by side


class Lanes(NamedTuple):
    """Episodes under way, each with demands of its own."""

    bank: Bank
    state: State
    now: TimeStep


def fresh(world: Routing, key: Any, settings: Settings) -> Lanes:
    """Episodes at their beginnings, over demands that are disturbed as told."""
    world = world.over(world.span, settings.episode)
    length = world.lead + settings.episode

    def one(key: Any) -> Lanes:
        k_start, k_gain, k_size, k_shift, k_reset = jax.random.split(key, 5)
        begin, end = world.span
        start = jax.random.randint(k_start, (), begin, end - length + 1)
        pairs = world.bank.mean.shape[1]
        shift = jax.random.randint(k_shift, (pairs,), -settings.shift, settings.shift + 1)
        size = settings.jitter * jax.random.uniform(k_size)
        gain = jnp.exp(size * jax.random.normal(k_gain, (pairs,)))
        rows = start + jnp.arange(length)
        moved = jnp.clip(rows[:, None] + shift, begin, end - 1)  # [length, D]
        ticks = jnp.swapaxes(jnp.asarray(world.bank.ticks), 1, 2)[moved, jnp.arange(pairs)]  # [length, D, T]
        ticks = jnp.swapaxes(ticks * gain[:, None], 1, 2)
        bank = Bank(ticks, ticks.mean(1), jnp.asarray(world.bank.optimum)[:, rows], training=length)
        return Lanes(bank, *_within(world, bank).reset(k_reset))

    return jax.vmap(one)(jax.random.split(key, settings.lanes))


def _within(world: Routing, bank: Any) -> Routing:
    """The environment over the demands of one episode."""
    return dataclasses.replace(world, bank=bank, span=(0, bank.training))


def play(world: Routing, policy: Splitter, lanes: Lanes, steps: int) -> Any:
    """`steps` steps of all lanes: (lanes, (what was observed, reward)), with leading [steps, lanes]."""

    def one(lane: Lanes) -> Any:
        action = policy(lane.now, None)
        state, then = _within(world, lane.bank).step(None, lane.state, action)
        return Lanes(lane.bank, state, then), (lane.now.obs["router"], then.reward["router"].mean())

    return jax.lax.scan(lambda lanes, _: jax.vmap(one)(lanes), lanes, None, length=steps)
