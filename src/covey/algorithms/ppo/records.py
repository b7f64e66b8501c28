"""What PPO learns, remembers and learns from: records of arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

from covey.algorithms.credit import Lesson
from covey.core.types import Groups, Metrics
from covey.learning.credit import Moments
from covey.learning.normalisation import Scale
from covey.nn.recurrent import Net


class Actor(NamedTuple):
    net: Net
    log_std: Any  # [A], or [0] where actions are discrete


class Nets(NamedTuple):
    """Everything that is learned."""

    actor: Any  # one Actor per group, or per agent [n, ...]; behind encoders, where there are any (`Encoded`)
    critic: Any  # one Net per group, or per agent [n, ...]; likewise
    actor_opt: Any
    critic_opt: Any


class State(NamedTuple):
    nets: Nets
    scale: dict[str, Scale]  # of returns, per group
    credit: Any  # Known: who makes what; or (), where that is not learned


class Memory(NamedTuple):
    """What the recurrent units of one environment carry, per group [n, H]; H = 0 without."""

    actor: Groups
    critic: Groups
    prior: Any = ()  # what the prior remembers, if there is one


class Extra(NamedTuple):
    """What acting leaves for learning."""

    sample: Groups  # [n, A]
    log_prob: Groups  # [n]
    memory: Memory  # before the step
    advice: Any  # per group [n, A], the prior's actions; () without


class Data(NamedTuple):
    """What a group learns from: leading [E, C, L], a lane's sequences of steps; in each step agents [n]."""

    obs: Any  # [n, D], or what is encoded
    view: Any  # [n, G]  what the critic sees, or what that is made of (`Sight`)
    legal: Any  # [n, A] or None
    sample: Any  # [n, A]
    log_prob: Any  # [n]
    advice: Any  # [n, A]  the prior's action; () without
    value: Any  # [n]  what the old critic said, in its units
    target: Any  # [n]  in normalized units
    advantage: Any  # [n]
    alive: Any  # [n]
    counts: Any  # []  False while a unit is burning in
    fresh: Any  # []  an episode begins here
    carry: Any  # ([n, H], [n, H])  of actor and critic, before the step


class Judged(NamedTuple):
    """What a rollout [T, E, ...] showed of a group, and what its critics said."""

    obs: Any  # [n, D], or what is encoded
    view: Any  # [n, G]  what the critic sees, or what that is made of (`Sight`)
    looked: Any  # [n, G]  what the critic sees
    legal: Any  # [n, A] or None
    fresh: Any  # []  an episode begins here
    said: Any  # [n]  the critic's word, in its units
    value: Any  # [n]  the same in units of returns
    future: Any  # [n]  and of the true successor
    later: Any  # [n, G]  what the critic sees of that


class Prepared(NamedTuple):
    """What a rollout is to teach, per group."""

    data: dict[str, Data]  # actors and critics
    scale: dict[str, Scale]  # after the rollout
    lessons: dict[str, Lesson]  # models of credit
    trust: dict[str, Moments]  # in their baselines, after the rollout
    metrics: Metrics
