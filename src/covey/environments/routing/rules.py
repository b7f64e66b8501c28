"""What a practitioner would do, and what nobody can beat: routing rules, each with what it is allowed to know.

| rule                  | splits                                                        | knows                        |
|-----------------------|---------------------------------------------------------------|------------------------------|
| `equal`               | the same share for every candidate path                       | the network                  |
| `ecmp`                | the same share for every next hop of least weight             | the network                  |
| `wcmp-link`           | next hops by the capacity of their link                       | the network                  |
| `wcmp-path`           | paths by the capacity of their bottleneck                     | the network                  |
| `wcmp-residual`       | paths or next hops by what is left of their bottleneck        | utilizations it observes     |
| `static-optimal`      | the constant split that is best on average in training        | all training demands         |
| `stale-optimal`       | the linear program for the demands of the last step           | all demands of the last step |
| `optimal-routing`     | the linear program for the demands of this step               | all demands of this step     |
| `direct-splitter`     | one network for all, trained by gradients through routing     | everybody's observations     |
| `decentralized-bound` | a network per router, trained likewise                        | own observation              |

Where routers decide hop by hop, path splits are written as the hop ratios that carry them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from covey.core.algorithm import Algorithm, Scripted
from covey.core.errors import BadInput
from covey.core.types import Group, Groups, Splits, TimeStep
from covey.environments.routing.direct import Sees, Splitter, optimize
from covey.environments.routing.flow import by_router, by_source, share_out
from covey.environments.routing.hops import equal_cost, every_path
from covey.environments.routing.programs import best_constant_split, path_optimum
from covey.environments.routing.splits import (
    ecmp_splits,
    equal_ratios,
    equal_splits,
    link_fractions,
    max_utilization,
    path_to_hop,
    wcmp_link_ratios,
    wcmp_link_splits,
    wcmp_path_splits,
)
from covey.environments.shares import normalize

if TYPE_CHECKING:
    from covey.environments.routing.environment import Routing

FLOOR = 1e-3  # least free capacity that `wcmp-residual` reckons with, as a share of the largest capacity


def rules(environment: Routing) -> dict[str, Callable[[], Algorithm]]:
    """Builders of an environment's rules, by name. A builder raises `BadInput` where its rule cannot be played."""
    utilizations = "last utilization of " + ("every link" if environment.see == "probe" else "its own links")
    table = {
        "equal": ("the network", lambda: constant(environment, equal)),
        "ecmp": ("the network", lambda: constant(environment, ecmp)),
        "wcmp-link": ("the network", lambda: constant(environment, wcmp_link)),
        "wcmp-path": ("the network", lambda: constant(environment, wcmp_path)),
        "wcmp-residual": (utilizations, lambda: residual(environment)),
        "static-optimal": ("all training demands", lambda: constant(environment, static_optimal)),
        "stale-optimal": ("all demands of the last step", lambda: lookup(environment, lag=1)),
        "optimal-routing": ("all demands of this step", lambda: lookup(environment, lag=0)),
        "direct-splitter": ("everybody's observations", lambda: trained(environment, "all")),
        "decentralized-bound": ("own observation", lambda: trained(environment, "own")),
    }

    def build(knows: str, rule: Callable[[], Any]) -> Algorithm:
        return Scripted(environment.spec, ("router",), rule(), knows)

    return {name: partial(build, knows, rule) for name, (knows, rule) in table.items()}


def trained(environment: Routing, sees: Sees) -> Splitter:
    """The networks of `direct`, from near the best constant split on."""
    return optimize(environment, sees=sees, begin=static_optimal(environment))


# ---------------------------------------------------------------------------------------------------------------------
# Constant splits


class Constant(eqx.Module):
    """The same weights always, shared out over what is up."""

    space: Splits = eqx.field(static=True)
    weights: np.ndarray  # [n, A]

    def __call__(self, now: TimeStep, key: Any) -> Groups:
        return {"router": share_out(self.space, self.weights, now.legal["router"])}


def constant(environment: Routing, weights: Callable[[Routing], np.ndarray]) -> Constant:
    """The rule that always splits by `weights(environment)` [n, A]."""
    return Constant(environment.wiring.action, weights(environment).astype(np.float32))


def controls(environment: Routing, splits: np.ndarray, demand: np.ndarray | None = None) -> np.ndarray:
    """[..., n, A] what agents do to split as in [..., D, K]; hop by hop it is exact for a demand like `demand`."""
    paths, hops = environment.paths, environment.hops
    if hops is None:
        return by_source(paths, splits)
    return by_router(environment.wiring.agents, path_to_hop(paths, hops, splits, demand))


def equal(environment: Routing) -> np.ndarray:
    """[n, A] the same share for every candidate path."""
    return controls(environment, equal_splits(environment.paths))


def ecmp(environment: Routing) -> np.ndarray:
    """[n, A] ECMP; `BadInput` where it uses what the agents cannot choose (`ecmp_mlu` then says what it would get)."""
    paths, hops = environment.paths, environment.hops
    if hops is None:
        return by_source(paths, ecmp_splits(paths))
    cheapest = equal_cost(paths.network, hops.destinations).allowed
    if (cheapest & ~hops.allowed).any():
        raise BadInput(
            f"ECMP uses next hops that the routers of {environment.spec.name} may not choose: it cannot be played here."
        )
    return by_router(environment.wiring.agents, normalize(hops.gather(cheapest.astype(float)), hops.valid))


def ecmp_mlu(environment: Routing) -> np.ndarray:
    """[steps] MLU of ECMP, over whatever paths it takes, on the mean demand of every step, without delays."""
    network, pairs = environment.paths.network, environment.paths.pairs
    hops = equal_cost(network, pairs[:, 1])
    demand = environment.bank.mean[slice(*environment.span)]
    return max_utilization(network, demand @ link_fractions(hops, equal_ratios(hops), pairs))


def wcmp_link(environment: Routing) -> np.ndarray:
    """[n, A] in proportion to the capacity of the outgoing links."""
    if environment.hops is None:
        return by_source(environment.paths, wcmp_link_splits(environment.paths))
    return by_router(environment.wiring.agents, wcmp_link_ratios(environment.hops))


def wcmp_path(environment: Routing) -> np.ndarray:
    """[n, A] in proportion to the bottleneck capacity of the paths."""
    return controls(environment, wcmp_path_splits(environment.paths))


def static_optimal(environment: Routing) -> np.ndarray:
    """[n, A] the constant path split with the least mean MLU over all training demands."""
    demand = environment.bank.mean[: environment.bank.training]
    return controls(environment, best_constant_split(environment.paths, demand), demand.mean(0))


# ---------------------------------------------------------------------------------------------------------------------
# What is left of the capacity


class Residual(eqx.Module):
    """WCMP by free capacity: every component weighs what is left of the widest way that begins with it.

    An agent knows the last utilization of the links it observes and takes all others for idle.
    """

    space: Splits = eqx.field(static=True)
    group: Group = eqx.field(static=True)
    field: str = eqx.field(static=True)  # of the observation, which holds utilizations
    links: np.ndarray  # [n, S] int32  of which links, L where padded
    capacity: np.ndarray  # [L]
    ways: np.ndarray  # [n, A, W, L] bool  the links of every way that begins with a component

    def __call__(self, now: TimeStep, key: Any) -> Groups:
        used = self.group.fields_of(now.obs["router"])[self.field]
        agents = jnp.arange(len(self.links))[:, None]
        load = jnp.zeros((len(self.links), len(self.capacity) + 1)).at[agents, self.links].set(used)[:, :-1]
        free = jnp.maximum(self.capacity * (1.0 - load), FLOOR * self.capacity.max())
        left = jnp.where(self.ways, free[:, None, None, :], jnp.inf).min(-1)  # [n, A, W]
        widest = jnp.where(self.ways.any(-1), left, 0.0).max(-1)
        return {"router": share_out(self.space, widest, now.legal["router"])}


def residual(environment: Routing) -> Residual:
    """`wcmp-residual`, with what the routers of `environment` observe."""
    wiring = environment.wiring
    every = np.tile(np.arange(len(wiring.capacity), dtype=np.int32), (len(wiring.agents), 1))
    field, links = ("probe", every) if environment.see == "probe" else ("utilization", environment.out)
    group = environment.spec.groups["router"]
    return Residual(wiring.action, group, field, links, wiring.capacity, _ways(environment))


def _ways(environment: Routing) -> np.ndarray:
    """[n, A, W, L] bool: the links of the paths that begin with each component."""
    paths, hops, agents = environment.paths, environment.hops, environment.wiring.agents
    if hops is None:
        used = by_source(paths, np.moveaxis(paths.incidence > 0, -1, 0))  # [L, n, A]
        return np.moveaxis(used, 0, -1)[:, :, None]
    node, goal = np.nonzero(hops.valid.any(-1) & np.isin(np.arange(len(hops.valid)), agents)[:, None])
    onward = every_path(hops, np.stack([node, hops.destinations[goal]], -1)).incidence > 0  # [pair, W, L]
    ways = np.zeros((*onward.shape[1:], *hops.valid.shape), bool)
    for links, v, g in zip(onward, node, goal, strict=True):
        for hop in np.flatnonzero(hops.valid[v, g]):
            begins = links[:, hops.choices[v, g, hop]]
            ways[:, :, v, g, hop] = links & begins[:, None]
    return np.moveaxis(by_router(agents, ways), (0, 1), (2, 3))


# ---------------------------------------------------------------------------------------------------------------------
# Solved splits


class Lookup(eqx.Module):
    """Splits by failure state and step of the bank, `lag` steps late."""

    space: Splits = eqx.field(static=True)
    lag: int = eqx.field(static=True)
    weights: np.ndarray  # [F, N, n, A]

    def __call__(self, now: TimeStep, key: Any) -> Groups:
        step, failure = now.state
        weights = jnp.asarray(self.weights)[failure, step - self.lag]
        return {"router": share_out(self.space, weights, now.legal["router"])}


def lookup(environment: Routing, lag: int) -> Lookup:
    """The linear program's splits for the demands of `lag` steps ago, for training and held-out demands."""
    return Lookup(environment.wiring.action, lag, _solved(environment))


def _solved(environment: Routing) -> np.ndarray:
    """[F, N, n, A] optimal controls for every failure state and step of the bank."""
    paths, demand, up = environment.paths, environment.bank.mean, environment.failures.up
    avoid = [None, *np.argmin(up[1:], 1).tolist()]
    solved = [path_optimum(paths, demand, avoid=link).splits for link in avoid]
    return np.stack([controls(environment, splits, demand).astype(np.float32) for splits in solved])
