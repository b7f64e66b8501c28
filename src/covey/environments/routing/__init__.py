"""Packet routing: presets of one environment, and environments from files.

routing/small, routing/small-contended, routing/large   the paper's networks with the demo's capacities
routing/abilene                                         the Abilene backbone, with synthetic traffic of our own
routing:FILE                                            a topology of yours, with its matrices where it has any
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import numpy as np

from covey.core.errors import BadInput
from covey.environments.routing import topologies
from covey.environments.routing.build import Options, build
from covey.environments.routing.environment import Routing
from covey.environments.routing.network import Network
from covey.environments.routing.paths import shortest_paths, tunnel_paths
from covey.environments.routing.readers import BESIDE, Matrices, Tunnels, read
from covey.environments.routing.records import Control, Payoff, Setting, Sight
from covey.environments.routing.topologies import Topology
from covey.environments.routing.traffic import gravity, moments

NONE = "none"  # instead of a path of matrices: synthetic traffic
TICKS = 7  # ticks a step: router delay 2 + link delay 5 of the demo


def _preset(
    name: str,
    topology: Callable[[], Topology],
    pairs: tuple[str, ...],
    summary: str,
    *,
    scale: float = 1.0,
    control: Control = "path",
    time_limit: int = 20,
) -> Callable[..., Routing]:
    """The maker of a network of the paper: its demand is the demo's times `scale`; the rest are defaults of options."""

    def make(
        delays: bool = True,
        control: Control = control,
        see: Sight = "own",
        payoff: Payoff = "1-mlu",
        time_limit: int = time_limit,
        terminate: bool = True,
        penalty: float = 1.0,
        bonus: float = 0.0,
        failure_rate: float = 0.0,
        demand_scale: float = 1.0,
        steps: int = 4096,
        traffic_seed: int = 0,
    ) -> Routing:
        """A network of the paper.

        Args:
            delays: traffic takes time in routers and on links; otherwise flows settle within a step.
            control: "path": ingress routers split over whole paths; "hop": every router splits over next hops.
            see: "own": what a router can measure itself; "probe": also the last utilization of every link.
            payoff: reward per step: 1 - MLU, -MLU, or -MLU over the linear program's.
            time_limit: steps per episode.
            terminate: end an episode when a link is overloaded.
            penalty: what an overload costs, if it ends the episode.
            bonus: training only, exploration bonus on the idleness of a router's own links.
            failure_rate: probability that one link is down during an episode.
            demand_scale: multiplies every demand.
            steps: length of the synthetic traffic, in steps.
            traffic_seed: seed of the synthetic traffic.
        """
        options = Options(
            control=control,
            delays=delays,
            see=see,
            payoff=payoff,
            terminate=terminate,
            penalty=penalty,
            bonus=bonus,
            failure_rate=failure_rate,
            time_limit=time_limit,
        )
        return _demo(name, topology(), pairs, scale * demand_scale, steps, traffic_seed, options)

    _, _, explained = inspect.cleandoc(make.__doc__ or "").partition("\n")
    make.__doc__ = f"{summary}\n{explained}"
    return make


small = _preset(
    "routing/small",
    topologies.small,
    ("AC", "BD"),
    "Two routers, each with a direct path and one over a shared link that is wide enough for both.",
)
small_contended = _preset(
    "routing/small-contended",
    topologies.small_contended,
    ("AC", "BD"),
    "`small` with a shared link that is too narrow for both: the routers have to coordinate.",
)
large = _preset(
    "routing/large",
    topologies.large,
    ("AC", "AD", "BC", "BD"),
    "Twelve routers, four pairs, twenty paths; seven routers decide hop by hop.",
    scale=4.0,
    control="hop",
    time_limit=50,
)


def abilene(
    control: Control = "path",
    see: Sight = "own",
    setting: Setting = "predictive",
    payoff: Payoff = "-ratio",
    history: int = 12,
    time_limit: int = 48,
    failure_rate: float = 0.0,
    target: float = 0.3,
    steps: int = 2016,
    traffic_seed: int = 0,
) -> Routing:
    """The Abilene backbone with a week of synthetic daily traffic; every node splits over four paths per pair.

    Args:
        control: "path": ingress routers split over whole paths; "hop": every router splits over next hops.
        see: "own": what a router can measure itself; "probe": also the last utilization of every link.
        setting: "predictive": act before the step's matrix is seen; "omniscient": after.
        payoff: reward per step: 1 - MLU, -MLU, or -MLU over the linear program's.
        history: matrices in an observation.
        time_limit: steps per episode.
        failure_rate: probability that one link is down during an episode.
        target: mean MLU of ECMP, which sets the amount of traffic.
        steps: length of the synthetic traffic, in steps of five minutes; the last quarter is held out.
        traffic_seed: seed of the synthetic traffic.
    """
    network, paths = topologies.abilene()
    demand = gravity(network, steps, seed=traffic_seed, pairs=paths.pairs, target=target)
    cut = round(0.75 * len(demand))
    train, test = demand[:cut, None], demand[cut:, None]
    options = Options(
        control=control,
        history=history,
        setting=setting,
        see=see,
        payoff=payoff,
        terminate=False,
        penalty=0.0,
        failure_rate=failure_rate,
        time_limit=time_limit,
    )
    return build("routing/abilene", paths, train, test, options, whole_test=True)


def from_file(
    path: str,
    matrices: str | None = BESIDE,
    tunnels: str | None = None,
    grammar: str | None = None,
    capacity: float | None = None,
    control: Control = "path",
    see: Sight = "own",
    setting: Setting = "predictive",
    payoff: Payoff = "-ratio",
    paths: int = 4,
    history: int = 12,
    time_limit: int = 48,
    train_share: float = 0.75,
    failure_rate: float = 0.0,
    demand_scale: float = 1.0,
    target: float = 0.3,
    traffic_seed: int = 0,
) -> Routing:
    """A network of yours, from any of the grammars that covey reads.

    Args:
        path: the topology file.
        matrices: file or folder of demand matrices; "beside": what lies beside the topology or in it, else synthetic;
            "none": synthetic.
        tunnels: file of candidate paths; by default what lies beside the topology, else shortest paths.
        grammar: how the file is written, where its name and content do not say.
        capacity: capacity of links that state none for certain.
        control: "path": ingress routers split over whole paths; "hop": every router splits over next hops.
        see: "own": what a router can measure itself; "probe": also the last utilization of every link.
        setting: "predictive": act before the step's matrix is seen; "omniscient": after.
        payoff: reward per step: 1 - MLU, -MLU, or -MLU over the linear program's.
        paths: candidate paths per pair, shortest first.
        history: matrices in an observation.
        time_limit: steps per episode.
        train_share: the share of the matrices, from the first on, that is for training; the rest is held out.
        failure_rate: probability that one link is down during an episode.
        demand_scale: multiplies every demand.
        target: mean MLU of ECMP of the synthetic traffic.
        traffic_seed: seed of the synthetic traffic.
    """
    if paths < 1:
        raise BadInput(f"`paths` must be at least 1, got {paths}.")
    if not 0 < train_share < 1:
        raise BadInput(f"`train_share` must lie between 0 and 1, got {train_share}.")
    _check_scale(demand_scale)
    matrices = None if matrices == NONE else matrices
    network, found, listed = read(path, matrices=matrices, tunnels=tunnels, grammar=grammar, capacity=capacity)
    asked = None if found is None else _asked(path, network, found, listed)
    candidates = tunnel_paths(network, listed) if listed else shortest_paths(network, paths, pairs=asked)
    if found is None:
        demand = gravity(network, 2016, seed=traffic_seed, pairs=candidates.pairs, target=target)
    else:
        demand = found.demands(candidates.pairs)
    train, test = _played(demand * demand_scale, train_share, time_limit, history)
    options = Options(
        control=control,
        history=history,
        setting=setting,
        see=see,
        payoff=payoff,
        terminate=False,
        penalty=0.0,
        failure_rate=failure_rate,
        time_limit=time_limit,
    )
    return build(f"routing:{Path(path).name}", candidates, train, test, options, whole_test=True)


def _asked(path: str, network: Network, found: Matrices, listed: Tunnels | None) -> np.ndarray:
    """The pairs that ever demand anything; `BadInput` where there are none, or one has no tunnel among those listed."""
    pairs = found.pairs()
    if not len(pairs):
        raise BadInput(f"the matrices of {path} demand nothing: give at least one positive demand.")
    for source, target in pairs.tolist():
        if listed and (source, target) not in listed:
            ends = f"{network.nodes[source]} to {network.nodes[target]}"
            raise BadInput(f"the matrices of {path} have demand from {ends}, for which no tunnel is listed: add one.")
    return pairs


def _demo(
    name: str, topology: Topology, pairs: tuple[str, ...], scale: float, steps: int, seed: int, options: Options
) -> Routing:
    """An environment of the paper with synthetic traffic; held-out traffic has its own seed and a quarter of the
    length."""
    _check_scale(scale)
    if steps < 1:
        raise BadInput(f"`steps`, the length of the synthetic traffic, must be at least 1, got {steps}.")
    count = len(pairs)
    train, test = (
        moments(TICKS * length, seed=draw, series=pairs, scale=scale).reshape(length, TICKS, count)
        for length, draw in ((steps, 2 * seed), (max(steps // 4, 256), 2 * seed + 1))
    )
    order = [pairs.index(_pair(topology, source, target)) for source, target in topology.paths.pairs]
    return build(name, topology.paths, train[..., order], test[..., order], options, whole_test=False)


def _pair(topology: Topology, source: int, target: int) -> str:
    return topology.network.nodes[source] + topology.network.nodes[target]


def _check_scale(scale: float) -> None:
    if not (np.isfinite(scale) and scale > 0):
        raise BadInput(f"`demand_scale` must be a positive number, got {scale}.")


def _played(demand: np.ndarray, share: float, limit: int, history: int) -> tuple[np.ndarray, np.ndarray]:
    """Demands [N, D] for training and for evaluation, [M, 1, D], each long enough for an episode with its history.

    Where there are too few matrices they are played again and again: in training from every one of them on, in
    evaluation each equally often. A single one serves both.
    """
    cut = min(max(round(len(demand) * share), 1), max(len(demand) - 1, 1))
    train, test = demand[:cut, None], demand[cut if len(demand) > 1 else 0 :, None]
    if len(train) < limit + history:
        train = np.resize(train, (len(train) + limit + history - 1, *train.shape[1:]))
    if len(test) < 1 + history:
        rounds = -(-limit // len(test))
        test = np.resize(test, (history + rounds * len(test), *test.shape[1:]))
    return train, test
