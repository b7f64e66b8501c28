"""Networks that split traffic, trained by gradients through the simulator: how good can a policy of these inputs be?

The world is differentiable in the splits, so no critic is needed: the mean reward of unrolled steps is maximized as it
stands. With everybody's observations and one network this is the idea of DOTE (Perry et al., NSDI 2023); with a network
per router that sees its own observation, it shows what decentralized execution costs. Neither uses held-out demand: the
last part of the training demand decides which weights are kept.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from covey.core.types import Groups, Splits, TimeStep
from covey.environments.routing.programs import cached
from covey.environments.routing.world import Bank, Routing
from covey.nn.heads import Parts
from covey.nn.nets import MLP

Sees = Literal["own", "all"]


class Settings(NamedTuple):
    """How the networks are trained."""

    updates: int = 2000  # gradient steps
    lanes: int = 64  # episodes side by side
    window: int = 5  # steps unrolled under one gradient
    width: int = 64  # of both hidden layers
    learning_rate: float = 3e-3  # at the beginning; it falls to 0 like a cosine
    clip: float = 1.0  # largest norm of a gradient
    seed: int = 0


DEFAULT = Settings()
RECIPE = 1  # part of the name of what is kept on disk: raise it when the search finds something else
CHECKS = 20  # how often the weights are tried on the validation part
VALIDATION = 8  # that part is one in so many of the training steps
LEAST = 1e-2  # share that no component begins below


class Splitter(eqx.Module):
    """A policy: one network for everybody's observations, or a network for each router's own (leading [n])."""

    nets: MLP
    logits: Any  # [n, A]  the networks' outputs are added to these
    scale: Any  # [n, D]  the size of every input
    space: Splits = eqx.field(static=True)
    sees: Sees = eqx.field(static=True)

    def __call__(self, now: TimeStep, key: Any) -> Groups:
        seen = now.obs["router"] / self.scale
        if self.sees == "all":
            logits = self.nets(seen.reshape(-1)).reshape(len(seen), -1)
        else:
            logits = jax.vmap(lambda net, x: net(x))(self.nets, seen)
        return {"router": jax.vmap(Parts(self.space.parts).softmax)(self.logits + logits, now.legal["router"])}


def optimize(environment: Routing, *, sees: Sees, begin: np.ndarray, settings: Settings = DEFAULT) -> Splitter:
    """The best `Splitter` that `settings` find for the training demand; found once and kept on disk.

    `begin` [n, A] are constant splits near which the search starts. Deterministic in the seed.
    """
    world = _training_world(environment)
    policy = _begin(world, sees, begin, settings)
    leaves, structure = jax.tree.flatten(policy)

    def solve() -> tuple[np.ndarray, ...]:
        return tuple(np.asarray(leaf) for leaf in jax.tree.leaves(_search(world, policy, settings)))

    key = (RECIPE, str(world), sees, settings, *map(np.asarray, jax.tree.leaves((world, leaves))))
    return jax.tree.unflatten(structure, cached("direct", key, solve))


def _training_world(environment: Routing) -> Routing:
    """The world over training demand alone, in which every episode lasts as long as it can."""
    bank, count = environment.bank, environment.bank.training
    known = Bank(bank.ticks[:count], bank.mean[:count], bank.optimum[:, :count], count)
    world = dataclasses.replace(environment, bank=known, terminate=False, penalty=0.0)
    return world.over((0, count), environment.episode)


def _parts(world: Routing) -> tuple[Routing, Routing]:
    """The world over its first steps, to train, and over its last, to validate (all of them where they are few)."""
    count, least = world.bank.training, world.lead + world.episode
    held = max(count // VALIDATION, least)
    if count - held < least:
        return world, world
    return world.over((0, count - held), world.episode), world.over((count - held, count), world.episode)


# ---------------------------------------------------------------------------------------------------------------------
# The search


def _begin(world: Routing, sees: Sees, begin: np.ndarray, settings: Settings) -> Splitter:
    """A policy that splits almost as in `begin`, whatever it sees."""
    agents, inputs = world.spec.groups["router"].size, world.spec.groups["router"].obs_size
    logits = jnp.log(jnp.maximum(begin, LEAST))
    key = jax.random.key(settings.seed)

    def net(key: Any, inputs: int, outputs: int) -> MLP:
        return MLP(key, (inputs, settings.width, settings.width, outputs), last=0.1)

    if sees == "all":
        nets = net(key, agents * inputs, logits.size)
    else:
        nets = jax.vmap(lambda k: net(k, inputs, logits.shape[1]))(jax.random.split(key, agents))
    unscaled = Splitter(nets, logits, jnp.ones((agents, inputs)), world.wiring.action, sees)
    return dataclasses.replace(unscaled, scale=_scales(world, unscaled, settings))


def _scales(world: Routing, policy: Splitter, settings: Settings) -> Any:
    """[n, D] root mean square of every input while `policy` plays an episode, 1 where it is always 0."""
    lanes = _fresh(world, jax.random.key(settings.seed), settings.lanes)
    _, (seen, _) = jax.lax.scan(partial(_play, world, policy), lanes, None, length=world.episode)
    size = jnp.sqrt((seen**2).mean((0, 1)))
    return jnp.where(size > 1e-6, size, 1.0)


class Search(NamedTuple):
    """Where the search is."""

    nets: Any
    optimizer: Any
    lanes: Any  # (state, time step) of every lane
    key: Any


def _search(world: Routing, policy: Splitter, settings: Settings) -> Splitter:
    """Gradient steps on the training part; of all checks, the weights that did best on the validation part."""
    train, validation = _parts(world)
    key = jax.random.key(settings.seed)
    nets: Any = policy.nets
    search = Search(nets, _optimizer(settings).init(nets), _fresh(train, key, settings.lanes), key)
    best, most = policy, -np.inf
    for check in range(CHECKS + 1):
        tried = dataclasses.replace(policy, nets=search.nets)
        reward = float(_mean_reward(validation, tried, settings.lanes))
        if reward > most:
            best, most = tried, reward
        if check < CHECKS:
            search = _improved(train, policy, search, settings)
    return best


def _optimizer(settings: Settings) -> optax.GradientTransformation:
    schedule = optax.cosine_decay_schedule(settings.learning_rate, settings.updates)
    return optax.chain(optax.clip_by_global_norm(settings.clip), optax.adam(schedule))


@eqx.filter_jit
def _improved(world: Routing, policy: Splitter, search: Search, settings: Settings) -> Search:
    """The search one check later."""

    def loss(nets: MLP, lanes: Any) -> Any:
        tried = dataclasses.replace(policy, nets=nets)
        lanes, (_, reward) = jax.lax.scan(partial(_play, world, tried), lanes, None, length=settings.window)
        return -reward.mean(), lanes

    def update(search: Search, _: Any) -> tuple[Search, None]:
        key, k_fresh = jax.random.split(search.key)
        over = search.lanes[0].clock[0] + settings.window > world.episode  # all lanes begin and end together
        lanes = jax.lax.cond(over, lambda: _fresh(world, k_fresh, settings.lanes), lambda: search.lanes)
        gradient, lanes = jax.grad(loss, has_aux=True)(search.nets, lanes)
        step, optimizer = _optimizer(settings).update(gradient, search.optimizer)
        return Search(eqx.apply_updates(search.nets, step), optimizer, lanes, key), None

    return jax.lax.scan(update, search, None, length=settings.updates // CHECKS)[0]


@eqx.filter_jit
def _mean_reward(world: Routing, policy: Splitter, lanes: int) -> Any:
    """Mean reward per step over whole episodes, always the same ones."""
    begun = _fresh(world, jax.random.key(0), lanes)
    return jax.lax.scan(partial(_play, world, policy), begun, None, length=world.episode)[1][1].mean()


# ---------------------------------------------------------------------------------------------------------------------
# Many episodes side by side


def _fresh(world: Routing, key: Any, lanes: int) -> Any:
    return jax.vmap(world.reset)(jax.random.split(key, lanes))


def _play(world: Routing, policy: Splitter, lanes: Any, _: Any) -> Any:
    """One step of all lanes: (lanes, (what was observed, reward))."""

    def one(state: Any, now: TimeStep) -> Any:
        state, then = world.step(None, state, policy(now, None))
        return (state, then), (now.obs["router"], then.reward["router"].mean())

    return jax.vmap(one)(*lanes)
