"""Does a critic point where the environment goes, and does it know what the team earns now?

    alignment   the gradient of the learned value beside that of the simulator's reward
    foresight   the learned value beside the reward of fresh, exploring steps

A deterministic policy follows ∇_a Q_i at its own action. In an environment whose step can be differentiated and where
only the present reward counts (γ = 0), the true direction is ∇_a r. Both are taken with respect to the logits of the
splits, so that only differences between the shares of a part count.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from covey.algorithms.ddpg import DDPG
from covey.core.errors import BadInput
from covey.core.loop import as_arguments, collect, start
from covey.core.types import Groups, Splits, TimeStep
from covey.nn.joint import actions
from covey.runs.episode import Episode
from covey.runs.policy import Policy


def alignment(policy: Policy, episode: Episode) -> np.ndarray:
    """[T] cosine of the angle between the two gradients, over all agents' logits, along an episode of `policy`.

    0 where the reward does not depend on the action. BadInput where there is no critic, or actions are not splits.
    """
    world, algorithm = policy.environment, policy.algorithm
    group, *more = world.spec.groups.values()
    if not isinstance(algorithm, DDPG) or not isinstance(group.action, Splits) or more:
        raise BadInput("gradients can be compared for the DDPG family, where one group of agents splits.")
    now, states = (jax.tree.map(lambda x: jnp.asarray(x[:-1]), x) for x in (episode.steps, episode.states))
    return np.asarray(_cosine(algorithm, policy.state.nets.critic[0], world, now, states, episode.actions))


@eqx.filter_jit
def _cosine(algorithm: DDPG, critic: Any, world: Any, now: TimeStep, states: Any, action: Groups) -> Any:
    ((name, group),) = world.spec.groups.items()
    critic, obs = algorithm.encoders.enter(critic, jax.vmap(algorithm.encoders.inputs)(now))
    taken = jax.vmap(lambda now, action: actions(world.spec, now, action))(now, action)

    def value(own):
        return algorithm.value(critic, name, now, obs, taken, own_action=own)[0].sum()

    def reward(own):
        key = jax.random.key(0)
        return jax.vmap(lambda s, a: world.step(key, s, {name: a})[1].reward[name].mean())(states, own).sum()

    own = taken[name]
    learned, exact = (of_logits(jax.grad(f)(own), own, group.action.parts) for f in (value, reward))
    sizes = jnp.linalg.norm(learned, axis=1) * jnp.linalg.norm(exact, axis=1)
    return jnp.where(sizes > 0, (learned * exact).sum(1) / jnp.maximum(sizes, 1e-30), 0.0)


class Foresight(NamedTuple):
    """Per agent [n]: what its critic promises beyond the reward, on average, and the share of the reward's variance
    that it explains (1 at best, negative where a constant would do better)."""

    bias: np.ndarray
    explained: np.ndarray


def foresight(policy: Policy, key: Any, lanes: int = 32) -> Foresight:
    """How well critics know the reward of what the team does now: `lanes` episodes of training, while exploring.

    BadInput where there is no critic, or where it promises more than the present reward.
    """
    world, algorithm = policy.environment, policy.algorithm
    if not isinstance(algorithm, DDPG) or algorithm.gamma != 0 or len(world.spec.groups) > 1:
        raise BadInput("a critic can be held against rewards for the DDPG family with γ = 0, where there is one group.")
    arrays, static = as_arguments(world, algorithm)

    @jax.jit
    def play(arrays, agent, keys, step):
        world, algorithm = eqx.combine(arrays, static)
        run = start(world, algorithm, keys, lanes)._replace(agent=jax.tree.map(lambda x: x[None], agent), step=step)
        _, rollout, _ = collect(world, algorithm, run, keys, world.spec.time_limit)
        now, action, then = jax.tree.map(lambda x: x.reshape(-1, *x.shape[3:]), rollout[:3])
        (name,) = world.spec.groups
        critic, seen = algorithm.encoders.enter(agent.nets.critic[0], jax.vmap(algorithm.encoders.inputs)(now))
        done = jax.vmap(lambda now, action: actions(world.spec, now, action))(now, action)
        promised, _ = algorithm.value(critic, name, now, seen, done)
        return promised, then.reward[name]

    promised, reward = jax.device_get(play(arrays, policy.state, key[None], jnp.int32(policy.step)))
    error = promised - reward
    return Foresight(error.mean(0), 1.0 - (error**2).mean(0) / reward.var(0))


def of_logits(gradient: Any, shares: Any, parts: tuple[int, ...]) -> Any:
    """Gradients in shares [T, n, A] as gradients in the logits of their softmax, flat [T, n A]: s (g - Σ s g)."""
    cuts = np.cumsum(parts)[:-1]
    pieces = zip(jnp.split(gradient, cuts, -1), jnp.split(shares, cuts, -1), strict=True)
    logits = [s * (g - (s * g).sum(-1, keepdims=True)) for g, s in pieces]
    return jnp.concatenate(logits, -1).reshape(len(shares), -1)
