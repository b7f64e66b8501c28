"""Gate G6: authored functions at play, in any environment: does the prior beat chance, and the reward rise with it?"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from covey.authored.gates import Authored
from covey.authored.refusal import Refused
from covey.authored.rollouts import Act, Play, at_random, play
from covey.authored.rule import AuthoredRule
from covey.core.types import Groups, TimeStep

LONGEST = 200
"""Steps that are played where nobody says how many."""

RARE = 0.5
"""The most that a reward may give to random play on average: a reward that is mostly earned by chance says little."""


class Trial(NamedTuple):
    """Means per step and agent of the group. `preferred`: how often an episode of the prior earns more of the authored
    reward than one of random play does (ties count half), the area under the curve of Mann and Whitney."""

    prior_return: float
    random_return: float
    prior_reward: float
    random_reward: float
    preferred: float
    prior_measures: dict[str, float]
    random_measures: dict[str, float]


def acting(authored: Authored, spec: Any) -> Act:
    """The prior as a policy of its group; other groups act at random."""
    own, others = AuthoredRule(authored), at_random(spec)

    def act(now: TimeStep, key: Any) -> Groups:
        return {**others(now, key), **own(now, key)}

    return act


def trial(environment: Any, authored: Authored, key: Any, lanes: int = 64, steps: int | None = None) -> Trial:
    """Play the prior and random actions from the same resets for `steps` (None: one episode, at most 200)."""
    length = steps or min(environment.spec.time_limit or LONGEST, LONGEST)
    chance = at_random(environment.spec)
    ours = _earnings(play(environment, acting(authored, environment.spec), key, lanes, length), authored)
    theirs = _earnings(play(environment, chance, key, lanes, length), authored)
    higher, equal = ours.reward[:, None] > theirs.reward, ours.reward[:, None] == theirs.reward
    return Trial(
        prior_return=ours.earned,
        random_return=theirs.earned,
        prior_reward=float(ours.reward.mean()),
        random_reward=float(theirs.reward.mean()),
        preferred=float(higher.mean() + 0.5 * equal.mean()),
        prior_measures=ours.measured,
        random_measures=theirs.measured,
    )


class _Earnings(NamedTuple):
    """Of one play: the environment's reward, the authored one [E], and the environment's measures."""

    earned: float
    reward: np.ndarray
    measured: dict[str, float]


def _earnings(played: Play, authored: Authored) -> _Earnings:
    contract, then = authored.contract, played.then
    alive = played.now.alive[contract.name]
    earned = jnp.where(alive, then.reward[contract.name], 0.0).sum() / jnp.maximum(alive.sum(), 1)
    view = contract.view_of(then.obs[contract.name], then.legal.get(contract.name))
    rewarded = jax.vmap(jax.vmap(jax.vmap(lambda view: authored.reward(view)[0])))
    reward = jnp.where(then.alive[contract.name], jax.jit(rewarded)(view), 0.0).mean(axis=(0, 2))
    measured = {name: np.asarray(value, float) for name, value in played.measured.items()}
    means = {name: float(np.nanmean(value)) for name, value in measured.items() if not np.isnan(value).all()}
    return _Earnings(float(earned), np.asarray(reward), means)


def demand_useful(found: Trial) -> None:
    """Refused (G6) unless the prior earns more than chance, and its episodes earn more of the authored reward."""
    if found.prior_return <= found.random_return:
        earned = f"the prior earns {found.prior_return:.4g} a step and random play {found.random_return:.4g}"
        raise Refused("G6", f"{earned}: it has to beat it.")
    if found.random_reward > RARE:
        raise Refused(
            "G6", f"random play earns {found.random_reward:.2g} of the reward, more than {RARE:g}: ask for more."
        )
    if found.preferred < 0.5:
        raise Refused("G6", f"the reward prefers the prior to random play in {found.preferred:.0%} of the cases only.")
