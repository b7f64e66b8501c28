"""The rules of an episode, checked step by step in ONE lane, and random legal actions to get through it.

A rule is a sentence about what is wrong, with a flag that says whether it is: `{sentence: bool []}`. Flags are arrays,
so that rules can be compiled and mapped over lanes with the environment they are about.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from covey.algorithms.random import random
from covey.core.types import Groups, MultiDiscrete, Space, Spec, TimeStep

Flags = dict[str, Any]

DEATH = "an agent of group {!r} died with a discount of 1 and never came back: a death has to set its discount to 0"
RETURN = (
    "an agent of group {!r} came back"  # no rule is broken if it does, but then a death may leave the discount at 1
)


def random_actions(spec: Spec, now: TimeStep, key: Any) -> Groups:
    """A random legal action for every agent of ONE lane."""
    return random(spec).act((), (), now, key, 0, explore=True)[0]


# ---------------------------------------------------------------------------------------------------------------------
# Rules


def broken_at_reset(spec: Spec, now: TimeStep) -> Flags:
    """Rules that the time step after a reset breaks."""
    flags = {"the time step after a reset has `last`: an episode cannot end before it begins": now.last}
    for name in spec.groups:
        flags |= {
            f"the reward of group {name!r} is not 0 after a reset": jnp.any(now.reward[name] != 0),
            f"the discount of group {name!r} is not 1 for a living agent after a reset": jnp.any(
                now.alive[name] & (now.discount[name] != 1)
            ),
        }
    return flags | broken_by_looks(spec, now)


def broken_by_step(spec: Spec, over: Groups, length: Any, now: TimeStep, then: TimeStep) -> Flags:
    """Rules that the step from `now` to `then` breaks.

    `over` [n] says whose future had ended before, `length` [] counts the steps of the episode, this one included.
    """
    everyone = jnp.concatenate([then.discount[name] for name in spec.groups])
    idle = "every agent's future is over (all discounts are 0) and `last` is False: end the episode"
    flags = {idle: jnp.all(everyone == 0) & ~then.last}
    if spec.time_limit is not None:
        late = (
            f"an episode goes on past the spec's time limit of {spec.time_limit} steps: set `last` there at the latest"
        )
        flags[late] = (length >= spec.time_limit) & ~then.last
    for name in spec.groups:
        discount, alive = then.discount[name], then.alive[name]
        flags |= {
            f"the discount of group {name!r} is neither 0 nor 1": jnp.any((discount != 0) & (discount != 1)),
            f"an agent of group {name!r} that was dead earned a reward: it has to be 0 after death": jnp.any(
                ~now.alive[name] & (then.reward[name] != 0)
            ),
            f"an agent of group {name!r} whose discount had been 0 is alive: its future was over": jnp.any(
                over[name] & alive
            ),
            f"the discount of an agent of group {name!r} went from 0 back to 1 within an episode": jnp.any(
                over[name] & (discount != 0)
            ),
            DEATH.format(name): jnp.any(now.alive[name] & ~alive & (discount != 0)),
            RETURN.format(name): jnp.any(~now.alive[name] & alive),
        }
    if spec.shared_reward:
        flags |= _unequal_rewards(spec, now, then)
    return flags | broken_by_looks(spec, then)


def broken_by_looks(spec: Spec, now: TimeStep) -> Flags:
    """Rules that every single time step has to keep."""
    flags = {}
    for name, group in spec.groups.items():
        flags |= {
            f"an observation of group {name!r} is not finite": ~_all_finite(now.obs[name]),
            f"a reward of group {name!r} is not finite": ~_finite(now.reward[name]),
        }
        valid = group.obs_valid()
        if valid is not None:
            filled = jax.tree.map(lambda real, x: jnp.any(~real & (x != 0)), valid, now.obs[name])
            flags[f"the padding in the observation of group {name!r} is not 0"] = jnp.any(
                jnp.stack(jax.tree.leaves(filled))
            )
        if name in now.legal:
            stuck = now.alive[name] & ~_can_act(group.action, now.legal[name])
            flags[f"a living agent of group {name!r} has no legal action"] = jnp.any(stuck)
        if name in now.neighbors:
            index, mask = now.neighbors[name]
            outside = mask & ((index < 0) | (index >= spec.agents))
            flags[f"a neighbor of group {name!r} is not an agent: indices go from 0 to {spec.agents - 1}"] = jnp.any(
                outside
            )
    if now.state is not None:
        flags["the global state is not finite"] = ~_finite(now.state)
    return flags


def _unequal_rewards(spec: Spec, now: TimeStep, then: TimeStep) -> Flags:
    rewards = jnp.concatenate([then.reward[name] for name in spec.groups])
    living = jnp.concatenate([now.alive[name] for name in spec.groups])
    low, high = jnp.where(living, rewards, jnp.inf).min(), jnp.where(living, rewards, -jnp.inf).max()
    return {"the spec says that the reward is shared, and living agents got different ones": low < high}


def _can_act(space: Space, legal: Any) -> Any:
    """Does each agent [n] have a legal option: in every part of a discrete choice, in any part of a split?"""
    if not isinstance(space, MultiDiscrete):
        return legal.any(axis=-1)
    parts = jnp.split(legal, np.cumsum(space.parts)[:-1], axis=-1)
    return jnp.stack([part.any(axis=-1) for part in parts]).all(axis=0)


def _all_finite(obs: Any) -> Any:
    return jnp.stack([_finite(x) for x in jax.tree.leaves(obs)]).all()


def _finite(x: Any) -> Any:
    return jnp.isfinite(x).all() if jnp.issubdtype(x.dtype, jnp.floating) else jnp.bool_(True)
