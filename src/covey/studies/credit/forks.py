"""Credit by trying it out: environments are forked, one agent does each of its actions in turn, and everybody plays on.

The forks of a state share their keys, so that what differs between them is the agent's choice and what follows from it.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from covey.algorithms.credit import Modelled
from covey.algorithms.ppo import PPO
from covey.core.types import Groups, TimeStep
from covey.learning.targets import masked_mean
from covey.nn.joint import legal, observations
from covey.nn.members import with_identity


class Fidelity(NamedTuple):
    """What the model and the forks say of each choice of each agent in each state, and how likely it is [states, n, A].

    What is never chosen is never seen by a model: everything is weighted with how likely a choice is, 0 where an agent
    is dead.
    """

    model: np.ndarray
    forks: np.ndarray
    chance: np.ndarray

    @property
    def correlation(self) -> float:
        """Pearson's. Both are centered already: in every state their means over an agent's choices are 0."""
        both = (self.chance * self.model * self.forks).sum()
        each = (self.chance * self.model**2).sum() * (self.chance * self.forks**2).sum()
        return float(both / np.sqrt(max(each, 1e-12)))

    @property
    def signs(self) -> float:
        """Chance that the model has the sign of a credit, among those above the median of the forks'."""
        large = np.abs(self.forks) >= np.median(np.abs(self.forks)[self.chance > 0])
        right = np.sign(self.model) == np.sign(self.forks)
        return float((self.chance * large * right).sum() / (self.chance * large).sum())


def fidelity(
    world: Any, algorithm: PPO, agent_state: Any, key: Any, group: str, *, states: int = 32, forks: int = 128
) -> Fidelity:
    """How good the model's credits A_i(s, a) are, in `states` states that the policies lead to.

    For groups whose agents choose one of few actions, algorithms without memory, and a mixer that is a sum.
    """
    keys = jax.random.split(key, states)
    return Fidelity(*jax.device_get(compared(world, algorithm, agent_state, keys, group=group, forks=forks)))


@eqx.filter_jit  # compiled once for all the seeds of a run
def compared(
    world: Any, algorithm: PPO, agent_state: Any, keys: Any, *, group: str, forks: int
) -> tuple[Any, Any, Any]:
    """What the model and the forks say in one state for each key, and the policies' probabilities."""

    @jax.vmap
    def one(key):
        k_walk, k_fork = jax.random.split(key)
        at, now = somewhere(world, algorithm, agent_state, k_walk)
        play = partial(every_choice, world, algorithm, agent_state, group, at, now)
        earned = jax.vmap(play)(jax.random.split(k_fork, forks)).mean(0)
        said, chance = credited(algorithm, agent_state, group, now)
        centered = earned - (chance * earned).sum(-1, keepdims=True)
        return said, centered, jnp.where(now.alive[group][:, None], chance, 0.0)

    return one(keys)


def somewhere(world: Any, algorithm: PPO, agent_state: Any, key: Any) -> tuple[Any, TimeStep]:
    """A state of the environment, and what it shows: after some steps of an episode, as many as not, and before its
    end."""
    k_reset, k_when, k_play = jax.random.split(key, 3)
    when = jax.random.randint(k_when, (), 0, max(world.spec.time_limit - 1, 1))

    def tick(carry, t):
        state, now = carry
        k_act, k_step = jax.random.split(jax.random.fold_in(k_play, t))
        action, _, _ = algorithm.act(agent_state, algorithm.memory(key), now, k_act, 0, explore=True)
        after = world.step(k_step, state, action)
        going_on = (t < when) & ~after[1].last
        return jax.tree.map(lambda new, old: jnp.where(going_on, new, old), after, carry), None

    return jax.lax.scan(tick, world.reset(k_reset), jnp.arange(world.spec.time_limit))[0]


def every_choice(world: Any, algorithm: PPO, agent_state: Any, group: str, state: Any, now: TimeStep, key: Any) -> Any:
    """What the team earns from here on [n, A] where agent i begins with action a, and everything else is by chance."""
    about = world.spec.groups[group]

    def fork(agent, choice):
        def change(action: Groups) -> Groups:
            return action | {group: action[group].at[agent].set(choice)}

        return _rest(world, algorithm, agent_state, group, state, now, key, change)

    agents, choices = jnp.arange(about.size), jnp.arange(about.action.n)
    return jax.vmap(lambda i: jax.vmap(lambda a: fork(i, a))(choices))(agents)


def _rest(
    world: Any, algorithm: PPO, agent_state: Any, group: str, state: Any, now: TimeStep, key: Any, change: Any
) -> Any:
    """The discounted rest of the episode, for a group as a team, with the first action changed."""

    def tick(carry, t):
        state, now, scale, earned = carry
        k_act, k_step = jax.random.split(jax.random.fold_in(key, t))
        action, _, _ = algorithm.act(agent_state, algorithm.memory(key), now, k_act, 0, explore=True)
        changed = change(action)
        action = jax.tree.map(lambda new, old: jnp.where(t == 0, new, old), changed, action)
        state, then = world.step(k_step, state, action)
        earned += scale * masked_mean(then.reward[group], now.alive[group])
        return (state, then, jnp.where(then.last, 0.0, scale * algorithm.gamma), earned), None

    begin = state, now, jnp.float32(1), jnp.float32(0)
    return jax.lax.scan(tick, begin, jnp.arange(world.spec.time_limit))[0][3]


def credited(algorithm: PPO, agent_state: Any, group: str, now: TimeStep) -> tuple[Any, Any]:
    """The model's A_i of every choice [n, A], in units of returns, and the policies' probabilities [n, A]."""
    from covey.algorithms.credit import choices_of
    from covey.algorithms.views import views

    kind = algorithm.credit
    assert isinstance(kind, Modelled)
    spec, policy, members = algorithm.spec, algorithm.policy(group), algorithm.members(group)
    size = spec.groups[group].size
    obs, masks = observations(spec, now)[group], legal(spec, now)[group]
    actor = agent_state.nets.actor[group]
    _, raw = members.step(actor.net, jnp.zeros((size, 0)), obs)
    std = jnp.broadcast_to(members.each(actor.log_std), (size, policy.spread))
    taken = jnp.zeros((size, policy.size))
    choices = choices_of(policy, 1, raw, std, taken, masks, jax.random.key(0))
    view = with_identity(views(spec, algorithm.groups, algorithm.sees, now)[group])
    _, instead = kind.brought(agent_state.credit.model[group], view, choices, now.alive[group])
    return agent_state.scale[group].moments[1] * instead[..., 0], choices.weight
