"""From a topology and demands to a routing environment: wiring, banks of demand with their optima, failures, the
spec."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from covey.core.errors import BadInput
from covey.environments.routing.environment import Routing, lead, router_spec
from covey.environments.routing.flow import LINE, Wiring, by_router, by_source, wire_hops, wire_paths
from covey.environments.routing.hops import NextHops, downhill, every_path, next_hops
from covey.environments.routing.network import Network
from covey.environments.routing.paths import Paths
from covey.environments.routing.programs import path_optimum
from covey.environments.routing.records import Bank, Control, Failures, Payoff, Setting, Sight, Sketch


class Options(NamedTuple):
    """How a routing environment behaves; `Routing` says what each one means."""

    control: Control = "path"
    delays: bool = False
    history: int = 1
    setting: Setting = "omniscient"
    see: Sight = "own"
    payoff: Payoff = "1-mlu"
    terminate: bool = True
    penalty: float = 1.0
    bonus: float = 0.0
    failure_rate: float = 0.0
    time_limit: int = 20


def build(
    name: str, paths: Paths, train: np.ndarray, test: np.ndarray, options: Options, *, whole_test: bool
) -> Routing:
    """The environment over demands `train` [N, T, D] (T ticks a step), with `test` [M, T, D] held out for evaluation.

    `whole_test`: evaluate in one episode over all of `test`, in order, instead of in episodes of the training's length.
    """
    _check(options)
    hops = _hops(paths) if options.control == "hop" else None
    wiring = wire_paths(paths) if hops is None else wire_hops(paths, hops)
    paths = paths if hops is None else every_path(hops, paths.pairs)
    ahead = lead(wiring, train.shape[1], options.history, options.delays)
    for demand, steps in ((train, options.time_limit), (test, 1 if whole_test else options.time_limit)):
        _check_length(name, len(demand), steps, ahead)
    down = _droppable(paths) if options.failure_rate > 0 else []
    links = paths.network.links
    out = _padded([np.flatnonzero(links[:, 0] == agent) for agent in wiring.agents], len(links))
    own = _padded([np.flatnonzero(paths.pairs[:, 0] == agent) for agent in wiring.agents], len(paths.pairs))
    labels = [paths.network.nodes[agent] for agent in wiring.agents]
    widths = _widths(wiring, out, own, options)
    return Routing(
        wiring=wiring,
        bank=_bank(paths, train, test, down),
        failures=_failures(wiring, hops, paths, down),
        unit=float((train if train.any() else test).mean((0, 1)).max()),
        penalty=options.penalty,
        bonus=options.bonus,
        failure_rate=options.failure_rate,
        out=out,
        own=own,
        spec=router_spec(name, wiring, labels, widths, options.time_limit, options.bonus > 0),
        delays=options.delays,
        history=options.history,
        setting=options.setting,
        see=options.see,
        payoff=options.payoff,
        terminate=options.terminate,
        span=(0, len(train)),
        episode=options.time_limit,
        whole_test=whole_test,
        paths=paths,
        hops=hops,
        sketch=_sketch(paths.network),
    )


def _check(options: Options) -> None:
    if options.time_limit < 1 or options.history < 1:
        raise BadInput(
            f"a routing episode needs at least one step and one step of history, got time_limit={options.time_limit} "
            f"and history={options.history}."
        )
    if not 0 <= options.failure_rate <= 1:
        raise BadInput(f"`failure_rate` is a probability, between 0 and 1, got {options.failure_rate}.")
    for field in ("penalty", "bonus"):
        if not math.isfinite(getattr(options, field)) or getattr(options, field) < 0:
            raise BadInput(f"`{field}` must be a finite number of at least 0, got {getattr(options, field)}.")


def _hops(paths: Paths) -> NextHops:
    """The next hops that the candidate paths use; where those would make loops, all that lead closer."""
    try:
        return next_hops(paths)
    except BadInput:
        return downhill(paths.network, paths.pairs[:, 1])


def _check_length(name: str, steps: int, episode: int, ahead: int) -> None:
    if steps < episode + ahead:
        raise BadInput(
            f"{name} has demand for {steps} steps and needs {episode + ahead} (an episode and {ahead} steps before "
            "it): give it more matrices or shorter episodes."
        )


def _bank(paths: Paths, train: np.ndarray, test: np.ndarray, down: list[int]) -> Bank:
    """Training and held-out demand, with its optima per failure state."""
    ticks = np.concatenate([train, test]).astype(np.float32)
    mean = ticks.mean(1)
    optimum = np.stack([path_optimum(paths, mean, avoid=link).optimum for link in (None, *down)])
    return Bank(ticks, mean, optimum.astype(np.float32), training=len(train))


def _sketch(network: Network) -> Sketch:
    """What the network looks like."""
    places, links = network.coordinates.tolist(), network.links.tolist()
    return Sketch(network.nodes, tuple((x, y) for x, y in places), tuple((a, b) for a, b in links))


def _widths(wiring: Wiring, out: np.ndarray, own: np.ndarray, options: Options) -> dict:
    """Per observation field: shape, unit and how much of it is real for every agent."""
    agents, goals = len(wiring.agents), wiring.goal.shape[1]
    links = tuple((out < len(wiring.capacity)).sum(1).tolist())
    pairs = tuple((own < own.max() + 1).sum(1).tolist()) if own.size else (0,) * agents
    if options.delays:
        traffic = {
            "buffer": ((2 * goals,), "largest mean demand", None),
            "links": ((out.shape[1] * LINE * goals,), "capacity", tuple(n * LINE * goals for n in links)),
        }
    else:
        valid = tuple(n * options.history for n in pairs)
        traffic = {"demand": ((own.shape[1] * options.history,), "largest mean demand", valid)}
    widths = traffic | {
        "action": ((wiring.legal.shape[1],), "share", None),
        "utilization": ((out.shape[1],), "capacity", links),
    }
    return widths | ({"probe": ((len(wiring.capacity),), "capacity", None)} if options.see == "probe" else {})


def _padded(lists: list[np.ndarray], filler: int) -> np.ndarray:
    """Lists of indices as rows of one int32 array, filled up with `filler`."""
    rows = np.full((len(lists), max(1, *(len(row) for row in lists))), filler, np.int32)
    for row, values in zip(rows, lists, strict=True):
        row[: len(values)] = values
    return rows


# ---------------------------------------------------------------------------------------------------------------------
# Failures


def _droppable(paths: Paths) -> list[int]:
    """Links that carry candidates and whose loss leaves every pair at least one."""
    used = (paths.incidence > 0) & paths.valid[..., None]  # [D, K, L]
    survives = (paths.valid[..., None] & ~used).any(1).all(0)
    down = np.flatnonzero(survives & used.any((0, 1))).tolist()
    if not down:
        raise BadInput(
            f"no link of {paths.network.name} may fail without cutting a pair off: set `failure_rate` to 0 or give "
            "more candidate paths."
        )
    return down


def _failures(wiring: Wiring, hops: NextHops | None, paths: Paths, down: list[int]) -> Failures:
    up = np.ones((1 + len(down), len(wiring.capacity)), bool)
    up[np.arange(1, len(up)), down] = False
    if hops is None:
        broken = np.einsum("dkl,fl->fdk", paths.incidence, ~up) > 0
        return Failures(up, by_source(paths, paths.valid & ~broken))
    return Failures(up, np.stack([_of_hops(wiring, hops, state) for state in up]))


def _of_hops(wiring: Wiring, hops: NextHops, up: np.ndarray) -> np.ndarray:
    """[n, A] which next hops lead to their destination over links that are up."""
    links = hops.network.links
    live = np.zeros_like(hops.allowed)  # [G, L]
    for goal, (destination, allowed) in enumerate(zip(hops.destinations, hops.allowed, strict=True)):
        reaches = {int(destination)}
        for _ in hops.network.nodes:
            live[goal] = allowed & up & np.isin(links[:, 1], list(reaches))
            reaches |= set(links[live[goal], 0].tolist())
    return by_router(wiring.agents, hops.gather(live.astype(float)) > 0) & wiring.legal
