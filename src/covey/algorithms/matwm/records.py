"""What MATWM learns, remembers and learns from: records of arrays.

Axis letters besides those of `covey.core.types`: Q sequences of a batch, L steps of one, R rows, H imagined steps; N
agents that learn, M agents of the environment, P parts of an action, C choices of a part. Observations are vectors of D
numbers; where agents see pictures, they are fields by name, with these axes in front (`covey.algorithms.matwm.agents`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from covey.learning.buffer import Buffer


class Nets(NamedTuple):
    """Everything that is learned."""

    model: Any  # the world model's networks
    model_opt: Any
    inner: Any  # what the learner in imagination learns, its optimizer included


class State(NamedTuple):
    nets: Nets
    buffer: Buffer


class History(NamedTuple):
    """The last W steps of the running episode in one environment, the newest one last."""

    obs: Any  # [W, N, D], or by field
    action: Any  # [W, N, P]  int32
    exists: Any  # [W, N]  bool: there was such a step, and the agent lived


class Sequences(NamedTuple):
    """Steps in a row, each sequence of one agent (the focal one) and of one episode, and what came after the last."""

    focal: Any  # [Q]  whose it is, of N
    obs: Any  # [Q, L + 1, D], or by field
    alive: Any  # [Q, L + 1]  bool: the focal agent saw this
    steps: Any  # [Q, L]  bool: it took this step
    follows: Any  # [Q, L]  bool: and what it saw next is known
    legal: Any  # [Q, L, P, C]  bool
    action: Any  # [Q, L, P]  int32
    reward: Any  # [Q, L]
    discount: Any  # [Q, L]  0 where its future was over, also 1 at a time limit
    others: Any  # [Q, L, M - 1, P]  int32: what the others chose
    others_alive: Any  # [Q, L, M - 1]  bool


class Context(NamedTuple):
    """What agents see, and the up to L steps of the episode before that, the newest one last: R rows."""

    focal: Any  # [R]  whose it is, of N
    obs: Any  # [R, L + 1, D], or by field; the last one is what is seen now
    action: Any  # [R, L, P]  int32
    exists: Any  # [R, L + 1]  bool


class Imagined(NamedTuple):
    """H steps that were imagined. A reward is earned by the action of its row, which was taken in the state of its row;
    state H is where the last one led to."""

    state: Any  # [H + 1, ..., F]
    legal: Any  # [H, ..., P, C]  bool
    action: Any  # [H, ..., P, C]  one-hot
    reward: Any  # [H, ...]
    discount: Any  # [H, ...]  the chance that there is a future after the step
    extra: Any = ()  # [H, ...]  what acting leaves for learning
