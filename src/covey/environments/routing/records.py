"""What the routing environment is made of, for its rules, its solvers and its pictures too."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import equinox as eqx
import numpy as np

from covey.environments.routing.flow import Pipes

Control = Literal["path", "hop"]
Setting = Literal["predictive", "omniscient"]
Sight = Literal["own", "probe"]
Payoff = Literal["1-mlu", "-mlu", "-ratio"]


class Bank(eqx.Module):
    """Demands of consecutive steps, and what the linear program makes of them.

    `ticks` [N, T, D] demand per tick (one tick a step without delays), `mean` [N, D] its mean per step; `optimum`
    [F, N] the least MLU for the mean demand, per failure state (state 0: every link is up). Training sees the first
    `training` steps; the rest is held out.
    """

    ticks: Any
    mean: Any
    optimum: Any
    training: int = eqx.field(static=True)


class Failures(eqx.Module):
    """Links that may be down, one at a time: state 0 is the whole network."""

    up: np.ndarray  # [F, L] bool
    legal: np.ndarray  # [F, n, A] bool  components that still lead somewhere


class Sketch(NamedTuple):
    """What a picture needs of the network: names of nodes, their places, and the two ends of every link."""

    nodes: tuple[str, ...]
    places: tuple[tuple[float, float], ...]
    links: tuple[tuple[int, int], ...]


class State(NamedTuple):
    """Where the network is."""

    start: Any  # []  int32  index of the episode's first step in the bank
    clock: Any  # []  int32  steps taken
    failure: Any  # []  int32
    pipes: Pipes | tuple[()]  # what is under way, with delays
    action: Any  # [n, A]  the last splits
    utilization: Any  # [L]  mean over the last step
    mlu: Any  # []  maximum of it
    optimum: Any  # []  least MLU for the last step's mean demand
