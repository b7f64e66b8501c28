"""Linear programs: the least possible max link utilization (MLU), which every result in this environment is compared
to.

`path_optimum` splits over candidate paths, `edge_optimum` over next hops (every link: the unrestricted optimum),
`best_constant_split` finds the one split that is best on average. All are solved by HiGHS on sparse matrices.

Many matrices are solved as one block-diagonal program: HiGHS then does the looping. On one core that is about 20000
programs a second on `small` and 300 a second on Abilene with 4 paths.

Optimal splits are seldom unique. Here the tie goes to the split that loads the links least on average: the objective
is MLU + `TIE` x (mean link utilization). That leaves the optimum where it is (to 1e-9, measured), makes the split
steady from one matrix to the next, and leaves no cycles in hop-by-hop flows. It matters: on Abilene the split of the
previous matrix costs 1.06 times the optimum with it, 1.11 to 1.13 without.
"""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from covey.core.errors import BadInput
from covey.environments.routing.hops import NextHops, every_link
from covey.environments.routing.network import Network, Pairs, check_pairs, digest
from covey.environments.routing.paths import Paths, without
from covey.environments.routing.splits import equal_splits, loads, max_utilization
from covey.environments.shares import normalize

TIE = 1e-4  # weight of the mean link utilization beside the largest one
BLOCK = 8000  # variables of one block-diagonal program: the fastest size of those measured


class PathOptimum(NamedTuple):
    """Solutions of the path program."""

    optimum: np.ndarray  # [T] least MLU, attained by `splits`
    splits: np.ndarray  #  [T, D, K]


class EdgeOptimum(NamedTuple):
    """Solutions of the edge program."""

    optimum: np.ndarray  # [T] least MLU, attained by `ratios`
    ratios: np.ndarray  #  [T, V, G, N] hop ratios over `hops`
    hops: NextHops


# ------------------------------------------------------------------------------------------------ the three programs
def path_optimum(
    paths: Paths, demands: np.ndarray, *, avoid: int | None = None, tie: float = TIE, cache: bool = True
) -> PathOptimum:
    """Least MLU over the candidate paths, for each of the demands [T, D] (in the network's unit).

        min u   s.t.   Σ_k x_dk = 1,   Σ_dk D_d x_dk [l in path dk] ≤ u c_l,   x ≥ 0.

    `avoid` is a link that is down: candidates that use it get nothing. Pairs without demand get equal shares. Solutions
    are cached on disk unless `cache=False`.
    """
    if avoid is not None:
        left = without(paths, avoid)
        optimum, splits = path_optimum(left, demands, tie=tie, cache=cache)
        spread = np.zeros((len(splits), *paths.valid.shape))
        spread[:, paths.valid & (paths.incidence[..., avoid] == 0)] = splits[:, left.valid]
        return PathOptimum(optimum, spread)
    demands = _checked(demands, len(paths.pairs))
    different, which = _different(demands)

    def solve() -> tuple[np.ndarray, ...]:
        per_block = max(1, BLOCK // int(paths.valid.sum()))
        return (np.concatenate([_solve_paths(paths, block, tie) for block in _blocks(different, per_block)]),)

    (splits,) = cached("path", (paths.digest, different, tie), solve) if cache else solve()
    splits = splits[which]
    return PathOptimum(max_utilization(paths.network, loads(paths, splits, demands)), splits)


def edge_optimum(
    network: Network,
    demands: np.ndarray,
    *,
    pairs: Pairs | None = None,
    hops: NextHops | None = None,
    tie: float = TIE,
    cache: bool = True,
) -> EdgeOptimum:
    """Least MLU of hop-by-hop routing, for each of the demands [T, D] of `pairs` (default: every ordered pair).

    With f_e^g the traffic to destination g on link e, one flow a destination (that has the optimum of one a pair):

        min u   s.t.   Σ_out f^g - Σ_in f^g = D_vg for every v ≠ g,   Σ_g f_e^g ≤ u c_e,   f ≥ 0.

    `hops` restricts each destination to some links (default: every link, the unrestricted optimum). The ratio of a
    link is its share of the flow that leaves its node; nodes without flow share equally.
    """
    pairs = check_pairs(network, network.all_pairs() if pairs is None else pairs)
    demands = _checked(demands, len(pairs))
    hops = every_link(network, pairs[:, 1]) if hops is None else hops

    def solve() -> tuple[np.ndarray, ...]:
        per_block = max(1, BLOCK // int(hops.allowed.sum()))
        return (np.concatenate([_solve_edges(hops, pairs, block, tie) for block in _blocks(demands, per_block)]),)

    (flows,) = cached("edge", (hops.digest, pairs, demands, tie), solve) if cache else solve()
    return EdgeOptimum(max_utilization(network, flows.sum(1)), normalize(hops.gather(flows), hops.valid), hops)


def best_constant_split(paths: Paths, demands: np.ndarray, *, cache: bool = True) -> np.ndarray:
    """[D, K] the one split that minimizes the mean MLU over the demands [T, D]: the rule `static-optimal`.

    One program over all of them: about a second for 300 matrices of Abilene or 2000 of `large`.
    """
    demands = _checked(demands, len(paths.pairs))

    def solve() -> tuple[np.ndarray, ...]:
        return (_solve_constant(paths, demands),)

    return (cached("constant", (paths.digest, demands), solve) if cache else solve())[0]


def _different(demands: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the demands without repetitions, in the order of their first appearance; which of them each one is)."""
    _, first, which = np.unique(demands, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return demands[first[order]], np.argsort(order)[which.reshape(-1)]


# ----------------------------------------------------------------------------------------------------- path programs
def _solve_paths(paths: Paths, demands: np.ndarray, tie: float) -> np.ndarray:
    """[B, D, K] optimal splits of one block of demands: variables are (x of every valid path, u) for each matrix."""
    count, width = len(demands), int(paths.valid.sum()) + 1
    links, owner, scale = len(paths.network.links), np.nonzero(paths.valid)[0], _scale(paths, demands)
    price = (paths.incidence @ (1 / paths.network.capacity))[paths.valid] / links  # of a unit of flow on each path
    cost = np.concatenate([tie * demands[:, owner] * price / scale[:, None], np.ones((count, 1))], -1)
    limit = _tiled(*_utilization(paths, demands, scale), (links, width)) - _at_u(count, links, width)
    whole = _tiled(owner, np.arange(width - 1), np.ones((count, width - 1)), (len(paths.pairs), width))
    solution = _minimize(cost.ravel(), limit, whole, np.ones(count * len(paths.pairs))).reshape(count, width)
    return _as_splits(paths, solution[:, :-1], demands)


def _solve_constant(paths: Paths, demands: np.ndarray) -> np.ndarray:
    """[D, K]: variables are the x of every valid path, and one u for each matrix; mean demand breaks ties."""
    count, links, variables = len(demands), len(paths.network.links), int(paths.valid.sum())
    rows, cols, use = _utilization(paths, demands, _scale(paths, demands.mean(0, keepdims=True)))
    offset = links * np.arange(count)[:, None]
    shape = (count * links, variables)
    shared = sparse.coo_array((use.ravel(), ((rows + offset).ravel(), np.tile(cols, count))), shape=shape)
    u = sparse.kron(sparse.eye_array(count), np.ones((links, 1)))
    cost = np.ones(variables + count)
    cost[:variables] = TIE * np.asarray(shared.sum(0)).ravel() / links
    owner = np.nonzero(paths.valid)[0]
    ones, places = np.ones(variables), (owner, np.arange(variables))
    whole = sparse.csr_array((ones, places), shape=(len(paths.pairs), variables + count))
    limit = sparse.hstack([shared, -u], format="csr")
    solution = _minimize(cost, limit, whole, np.ones(len(paths.pairs)), "highs-ipm")  # simplex slows down with T
    return _as_splits(paths, solution[None, :variables], demands.sum(0, keepdims=True))[0]


def _utilization(paths: Paths, demands: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(link, path variable, [T, entries] utilization of the link by the pair's whole demand), divided by `scale`."""
    pair, slot = np.nonzero(paths.valid)
    variable, link = np.nonzero(paths.incidence[pair, slot])
    return link, variable, demands[:, pair[variable]] / paths.network.capacity[link] / scale[:, None]


def _scale(paths: Paths, demands: np.ndarray) -> np.ndarray:
    """[T] the MLU of the equal split, or 1 without demand. (HiGHS' tolerances are absolute: MLUs near 1 are best.)"""
    mlu = max_utilization(paths.network, loads(paths, equal_splits(paths), demands))
    return np.where(mlu > 0, mlu, 1.0)


def _as_splits(paths: Paths, solution: np.ndarray, demands: np.ndarray) -> np.ndarray:
    """[B, D, K] from the variables [B, paths], made exactly a split; equal shares where a pair has no demand."""
    splits = np.zeros((len(solution), *paths.valid.shape))
    splits[:, paths.valid] = np.maximum(solution, 0)
    return normalize(np.where(demands[..., None] > 0, splits, 0.0), paths.valid)


# ----------------------------------------------------------------------------------------------------- edge programs
def _solve_edges(hops: NextHops, pairs: np.ndarray, demands: np.ndarray, tie: float) -> np.ndarray:
    """[B, G, L] optimal flows of one block: variables are (f of every allowed destination and link, u) a matrix."""
    network, (goal, link) = hops.network, np.nonzero(hops.allowed)
    count, width, links, nodes = len(demands), len(goal) + 1, len(network.links), len(network.nodes)
    total = np.maximum(demands.sum(-1, keepdims=True), np.finfo(float).tiny)  # flows are shares of it
    use = np.tile(network.capacity.mean() / network.capacity[link], (count, 1))
    cost = np.concatenate([tie * use / links, np.ones((count, 1))], -1)
    limit = _tiled(link, np.arange(width - 1), use, (links, width)) - _at_u(count, links, width)

    balance_of = goal * nodes + network.links[link].T  # [2, variables]: rows of the near and the far end
    variables, sign = np.tile(np.arange(width - 1), 2), np.repeat([1.0, -1.0], width - 1)
    shape = (len(hops.destinations) * nodes, width)
    balance = _tiled(balance_of.ravel(), variables, np.tile(sign, (count, 1)), shape)
    sent = np.zeros((count, len(hops.destinations), nodes))
    sent[:, hops.goal_of(pairs), pairs[:, 0]] = demands / total
    inner = np.ones(sent.shape, bool)
    inner[:, np.arange(len(hops.destinations)), hops.destinations] = False
    solution = _minimize(cost.ravel(), limit, balance[inner.ravel()], sent[inner]).reshape(count, width)

    flows = np.zeros((count, *hops.allowed.shape))
    flows[:, goal, link] = np.maximum(solution[:, :-1], 0) * total
    return flows


# ----------------------------------------------------------------------------------------------------------- helpers
def _tiled(rows: np.ndarray, cols: np.ndarray, data: np.ndarray, shape: tuple[int, int]) -> sparse.csr_array:
    """Block-diagonal matrix of len(data) blocks of one shape and one pattern, with the values data[B, entries]."""
    block = np.arange(len(data))[:, None]
    places = ((rows + block * shape[0]).ravel(), (cols + block * shape[1]).ravel())
    return sparse.csr_array((data.ravel(), places), shape=(len(data) * shape[0], len(data) * shape[1]))


def _at_u(count: int, links: int, width: int) -> sparse.csr_array:
    """Ones at the last variable (u) of each block, for every link row."""
    rows = np.arange(links)
    return _tiled(rows, np.full(links, width - 1), np.ones((count, links)), (links, width))


def _minimize(cost: np.ndarray, limit: Any, equal: Any, value: np.ndarray, method: str = "highs-ds") -> np.ndarray:
    """min cost·x  s.t.  limit x ≤ 0,  equal x = value,  x ≥ 0, with sparse `limit` and `equal`."""
    result = linprog(cost, limit, np.zeros(limit.shape[0]), equal, value, method=method)
    if result.x is None:
        raise BadInput(f"the linear program has no solution ({result.message}): check that every pair can be reached.")
    return result.x


def _blocks(demands: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (demands[i : i + size] for i in range(0, len(demands), size))


def _checked(demands: np.ndarray, pairs: int) -> np.ndarray:
    demands = np.asarray(demands, float)
    if demands.ndim != 2 or demands.shape[1] != pairs or not len(demands):
        raise BadInput(
            f"demands have shape {demands.shape}: pass [T, {pairs}], one row a matrix and one column a pair."
        )
    if not (np.isfinite(demands).all() and (demands >= 0).all()):
        raise BadInput("a demand is negative or not finite: pass non-negative numbers.")
    return demands


# ------------------------------------------------------------------------------------------------------------- cache
def cache_folder() -> Path:
    """`$COVEY_CACHE`, or `~/.cache/covey`."""
    return Path(os.environ.get("COVEY_CACHE") or Path.home() / ".cache" / "covey")


def cached(kind: str, key: tuple, solve: Callable[[], tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
    """The arrays of `solve()`, kept in one file a key. A cache that cannot be read or written is as good as none."""
    file = cache_folder() / f"{kind}-{digest(*key)}.npz"
    try:
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as saved:
            return tuple(saved[name] for name in saved.files)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        arrays = solve()
        _write(file, arrays)
        return arrays


def _write(file: Path, arrays: tuple[np.ndarray, ...]) -> None:
    """Write aside, flush, rename: no reader ever sees half a file."""
    aside = None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".tmp", delete=False) as stream:
            aside = Path(stream.name)
            np.savez(stream, *arrays)
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(file)
    except OSError:
        if aside is not None:
            aside.unlink(missing_ok=True)
