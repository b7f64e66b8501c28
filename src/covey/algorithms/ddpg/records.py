"""What the DDPG rule learns, and what its actors remember."""

from __future__ import annotations

from typing import Any, NamedTuple

from covey.core.types import Groups
from covey.learning.replay import Buffer


class Nets(NamedTuple):
    """Everything that is learned."""

    actor: Any  # one MLP per agent [n, ...], or one per group if shared; behind encoders, if any (`Encoded`)
    critic: tuple[Any, ...]  # one, or two with twin critics; likewise
    target_actor: Any
    target_critic: tuple[Any, ...]
    actor_opt: Any
    critic_opt: Any


class State(NamedTuple):
    nets: Nets
    buffer: Buffer


class Memory(NamedTuple):
    """What acting remembers in one environment."""

    noise: Groups  # [n, A]  of the exploration
    prior: Any  # of the prior, if there is one
