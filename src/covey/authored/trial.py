"""Gate G6: authored functions at play, in any environment: does the prior beat chance, and the reward rise with it?"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from covey.authored.functions import Authored
from covey.authored.refusal import Refused
from covey.authored.rollouts import Act, Play, at_random, play
from covey.authored.rule import AuthoredRule
from covey.core.environment import Demands
from covey.core.optional import offered
from covey.core.types import Groups, TimeStep

LONGEST = 200
"""Steps that are played where nobody says how many."""

RARE = 0.5
"""The most that a reward may give to random play on average: a reward that is mostly earned by chance says little."""


class Trial(NamedTuple):
    """Means per step and agent of the group.

    preferred: how often an episode of the prior earns more of the authored reward than one of random play (ties count
    half), the area under the curve of Mann and Whitney. rule_preferred: the same of the rule that the environment names
    (None: it names none). goals: of each sub-goal the least and the largest value that was seen.
    """

    prior_return: float
    random_return: float
    prior_reward: float
    random_reward: float
    preferred: float
    prior_measures: dict[str, float]
    random_measures: dict[str, float]
    rule_preferred: float | None = None
    goals: dict[str, tuple[float, float]] = {}  # noqa: RUF012


def acting(authored: Authored, spec: Any) -> Act:
    """The prior as a policy of its group; other groups act at random."""
    own, others = AuthoredRule(authored), at_random(spec)

    def act(now: TimeStep, key: Any) -> Groups:
        return {**others(now, key), **own(now, key)}

    return act


def trial(environment: Any, authored: Authored, key: Any, lanes: int = 64, steps: int | None = None) -> Trial:
    """Play the prior, random actions and a rule that the environment names from the same resets for `steps` (None: one
    episode, at most 200)."""
    length = steps or min(environment.spec.time_limit or LONGEST, LONGEST)
    chance = at_random(environment.spec)
    ours = _earnings(play(environment, acting(authored, environment.spec), key, lanes, length), authored)
    theirs = _earnings(play(environment, chance, key, lanes, length), authored)
    demands, rule = demands_of(environment), None
    if demands is not None:
        expert = environment.rules()[demands.rule]()
        rule = _earnings(play(environment, lambda now, key: expert.rule(now, key), key, lanes, length), authored)
    seen = [x.goals for x in (ours, theirs, rule) if x is not None]
    return Trial(
        prior_return=ours.earned,
        random_return=theirs.earned,
        prior_reward=float(ours.reward.mean()),
        random_reward=float(theirs.reward.mean()),
        preferred=preference(ours.reward, theirs.reward),
        prior_measures=ours.measured,
        random_measures=theirs.measured,
        rule_preferred=None if rule is None else preference(rule.reward, theirs.reward),
        goals={name: (min(x[name][0] for x in seen), max(x[name][1] for x in seen)) for name in authored.goals},
    )


def preference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The area under the curve of Mann and Whitney: how often one of ours is above one of theirs, ties count half."""
    higher, equal = ours[:, None] > theirs, ours[:, None] == theirs
    return float(higher.mean() + 0.5 * equal.mean())


def demands_of(environment: Any) -> Demands | None:
    """What the environment demands of functions that are written for it, if it says so."""
    demands = offered(environment, "demands")
    return None if demands is None else demands()


class _Earnings(NamedTuple):
    """Of one play: the environment's reward, the authored one [E], the environment's measures, ranges of sub-goals."""

    earned: float
    reward: np.ndarray
    measured: dict[str, float]
    goals: dict[str, tuple[float, float]]


def _earnings(played: Play, authored: Authored) -> _Earnings:
    contract, then = authored.contract, played.then
    alive = played.now.alive[contract.name]
    earned = jnp.where(alive, then.reward[contract.name], 0.0).sum() / jnp.maximum(alive.sum(), 1)
    view = contract.view_of(then.obs[contract.name], then.legal.get(contract.name))
    rewarded = jax.jit(jax.vmap(jax.vmap(jax.vmap(authored.reward))))
    reward, goals = rewarded(view)
    reward = jnp.where(then.alive[contract.name], reward, 0.0).mean(axis=(0, 2))
    measured = {name: np.asarray(value, float) for name, value in played.measured.items()}
    means = {name: float(np.nanmean(value)) for name, value in measured.items() if not np.isnan(value).all()}
    ranges = {name: (float(value.min()), float(value.max())) for name, value in goals.items()}
    return _Earnings(float(earned), np.asarray(reward), means, ranges)


def demand_useful(found: Trial, demands: Demands | None = None) -> None:
    """Refused (G6) unless the prior earns more than chance, and its episodes earn more of the authored reward; and
    unless they reach what the environment demands."""
    if found.prior_return <= found.random_return:
        earned = f"the prior earns {found.prior_return:.4g} a step and random play {found.random_return:.4g}"
        raise Refused("G6", f"{earned}: it has to beat it.")
    most = RARE if demands is None else demands.random_reward
    if found.random_reward > most:
        raise Refused(
            "G6", f"random play earns {found.random_reward:.2g} of the reward, more than {most:g}: ask for more."
        )
    if demands is None and found.preferred < 0.5:
        raise Refused("G6", f"the reward prefers the prior to random play in {found.preferred:.0%} of the cases only.")
    if demands is not None:
        _demand_measures(found, demands)
        _demand_telling(found, demands)


def _demand_measures(found: Trial, demands: Demands) -> None:
    measured = found.prior_measures
    for name, least in demands.least.items():
        if not measured[name] >= least:
            raise Refused(
                "G6", f"where the prior plays, `{name}` is {measured[name]:.3g}, and has to be {least:g} or more."
            )
    for name, most in demands.most.items():
        if not measured[name] <= most:
            raise Refused(
                "G6", f"where the prior plays, `{name}` is {measured[name]:.3g}, and has to be {most:g} or less."
            )
    for name in demands.below:
        if not measured[name] < found.random_measures[name]:
            both = f"{measured[name]:.3g}, and {found.random_measures[name]:.3g} where actions are random"
            raise Refused("G6", f"where the prior plays, `{name}` is {both}: it has to be lower.")


def _demand_telling(found: Trial, demands: Demands) -> None:
    assert found.rule_preferred is not None
    if found.rule_preferred < demands.preferred:
        share = f"{found.rule_preferred:.0%} of the cases, fewer than {demands.preferred:.0%}"
        raise Refused("G6", f"the reward prefers the rule {demands.rule!r} to random play in {share}.")
    for name, (least, most) in found.goals.items():
        if not (least < 0.5 < most):
            always = "reached in every step" if least >= 0.5 else "never reached"
            raise Refused("G6", f"the sub-goal {name!r} is {always}, whoever plays: it says nothing.")
