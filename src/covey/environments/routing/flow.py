"""Traffic as a fluid: what flows over every link, given demands and splits. Flow is conserved, always.

Traffic carries a label that says where it is going: a destination where routers decide hop by hop, a path where the
ingress decides. A link passes the share `ratio` [L, M] of its source's traffic of each label. `settled` is the flow of
a network without delays, `Pipes` and `tick` move it through routers and links that take time.

Axis letters: V nodes, L links, M labels, D pairs, K paths, n agents, A split components.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from covey.core.errors import BadInput
from covey.core.types import Splits
from covey.environments.routing.hops import NextHops
from covey.environments.routing.paths import Paths

LINK_LAG = 4  # ticks from entering a link to leaving it (the demo's line of 5, written before it is read)
LINE = LINK_LAG + 1


class Wiring(eqx.Module):
    """A network and who controls what in it, as arrays. An index that points behind the actions means a constant."""

    source: np.ndarray  # [L] int32  the node a link leaves
    into: np.ndarray  # [V, L] float  1 where a link enters a node
    capacity: np.ndarray  # [L]
    absorbs: np.ndarray  # [V, M] float  1 where a node is the label's destination
    entry: np.ndarray  # [4, I] int32  where traffic enters: node, label, pair, index of its share in [actions, 0, 1]
    ratio: np.ndarray  # [L, M] int32  index of a link's ratio of a label in [actions, 0, 1]
    goal: np.ndarray  # [M, G] float  1 where a label's destination is the g-th
    legal: np.ndarray  # [n, A] bool  components an agent controls
    agents: tuple[int, ...] = eqx.field(static=True)  # the node of every agent
    action: Splits = eqx.field(static=True)
    by_path: bool = eqx.field(static=True)  # labels are paths, so that ratios are constant
    depth: int = eqx.field(static=True)  # links of the longest way through the network

    def ratios(self, action: Any) -> Any:
        """What share of a label's traffic takes each link out of the link's source: [L, M] from actions [n, A]."""
        if self.by_path:
            return (self.ratio == self.legal.size + 1).astype(jnp.float32)  # all or nothing, whatever the action
        return _with_constants(action)[self.ratio]

    def rates(self, action: Any, demand: Any) -> Any:
        """Traffic of every entry, [I], out of the demands [D]."""
        _, _, pair, share = self.entry
        return demand[pair] * _with_constants(action)[share]

    def inject(self, action: Any, demand: Any) -> Any:
        """Traffic that enters the nodes, [V, M], out of the demands [D]."""
        node, label, _, _ = self.entry
        return jnp.zeros(self.absorbs.shape).at[node, label].add(self.rates(action, demand))


def _with_constants(action: Any) -> Any:
    return jnp.concatenate([action.reshape(-1), jnp.array([0.0, 1.0])])


def share_out(space: Splits, weights: Any, legal: Any) -> Any:
    """Weights [n, A] as splits that sum to 1 over what is legal; equal where a part has no weight on any of it."""
    shape = (*legal.shape[:-1], len(space.parts), space.parts[0])
    legal = legal.reshape(shape)
    kept = jnp.where(legal, jnp.maximum(weights.reshape(shape), 0.0), 0.0)
    kept = jnp.where(kept.sum(-1, keepdims=True) > 1e-6, kept, legal.astype(kept.dtype))
    return (kept / jnp.maximum(kept.sum(-1, keepdims=True), 1e-9)).reshape(weights.shape)


def settled(wiring: Wiring, action: Any, demand: Any) -> Any:
    """Flow on every link per label, [L, M], once it has settled (no delays)."""
    ratio = wiring.ratios(action)
    if wiring.by_path:
        return ratio * wiring.rates(action, demand)  # entries are in the order of labels
    entering = wiring.inject(action, demand)
    flow = jnp.zeros_like(ratio)
    for _ in range(wiring.depth):
        at_node = entering + (1.0 - wiring.absorbs) * (wiring.into @ flow)
        flow = at_node[wiring.source] * ratio
    return flow


def settled_load(wiring: Wiring, action: Any, demand: Any) -> Any:
    """Traffic on every link, [L], once it has settled: `settled` summed over labels."""
    if wiring.by_path:
        return wiring.ratios(action) @ wiring.rates(action, demand)
    return settled(wiring, action, demand).sum(1)


class Pipes(NamedTuple):
    """What is under way in a network with delays."""

    buffer: Any  # [V, M]  in the routers: arrived in the last tick, leaves in the next
    before: Any  # [V, M]  what was in the routers one tick earlier (only to be looked at)
    line: Any  # [LINE, L, M]  on the links, by the tick it entered, newest last; the oldest has just arrived
    injected: Any  # []  total so far
    delivered: Any  # []  total so far


def empty(wiring: Wiring) -> Pipes:
    nodes, labels = wiring.absorbs.shape
    at_nodes, on_links = jnp.zeros((nodes, labels)), jnp.zeros((LINE, len(wiring.capacity), labels))
    return Pipes(at_nodes, at_nodes, on_links, jnp.float32(0), jnp.float32(0))


def tick(wiring: Wiring, pipes: Pipes, ratio: Any, entering: Any) -> tuple[Pipes, Any]:
    """One tick: routers send what they hold, links deliver what entered them `LINK_LAG` ticks ago.

    Returns the pipes and the traffic that entered every link, [L, M]. A router takes one tick, a link four.
    """
    sent = pipes.buffer[wiring.source] * ratio
    arrived = wiring.into @ pipes.line[1]
    kept = (1.0 - wiring.absorbs) * arrived
    moved = Pipes(
        buffer=entering + kept,
        before=pipes.buffer,
        line=jnp.concatenate([pipes.line[1:], sent[None]]),
        injected=pipes.injected + entering.sum(),
        delivered=pipes.delivered + (wiring.absorbs * arrived).sum(),
    )
    return moved, sent


def in_flight(pipes: Pipes) -> Any:
    """Traffic between injection and delivery; injected = delivered + in flight, always."""
    return pipes.buffer.sum() + pipes.line[1:].sum()


# ---------------------------------------------------------------------------------------------------------------------
# Wiring a network


def by_source(paths: Paths, values: np.ndarray) -> np.ndarray:
    """[..., D, K] values of the candidate paths as [..., n, A] values of what agents control, 0 where padded."""
    sources = paths.pairs[:, 0]
    mine = [values[..., sources == agent, :] for agent in np.unique(sources)]
    most = max(own.shape[-2] for own in mine)
    rows = [np.concatenate([own, np.zeros_like(own, shape=_padding(own, most))], -2) for own in mine]
    return np.stack(rows, -3).reshape(*values.shape[:-2], len(mine), -1)


def _padding(own: np.ndarray, most: int) -> tuple[int, ...]:
    return (*own.shape[:-2], most - own.shape[-2], own.shape[-1])


def by_router(agents: tuple[int, ...], values: np.ndarray) -> np.ndarray:
    """[..., V, G, N] values of the next hops as [..., n, A] values of what agents control."""
    return values[..., list(agents), :, :].reshape(*values.shape[:-3], len(agents), -1)


def wire_paths(paths: Paths) -> Wiring:
    """Path control: the source of every pair splits its traffic over the pair's candidate paths."""
    most, legal = paths.valid.shape[1], by_source(paths, paths.valid)
    pair, path = np.nonzero(paths.valid)  # labels, in this order
    labels = np.arange(len(pair))
    place = np.zeros(paths.valid.shape, np.int32)
    place[pair, path] = labels
    index = np.zeros(len(labels), np.int32)  # of a label's share in the actions
    index[by_source(paths, place)[legal]] = np.flatnonzero(legal)
    zero, one = legal.size, legal.size + 1
    return _wiring(
        paths,
        agents=tuple(np.unique(paths.pairs[:, 0]).tolist()),
        legal=legal,
        action=Splits((most,) * (legal.shape[1] // most)),
        entry=(paths.pairs[pair, 0], labels, pair, index),
        by_path=True,
        ratio=np.where(paths.incidence[pair, path].T > 0, one, zero).astype(np.int32),
        target=paths.pairs[pair, 1],
        depth=int(paths.hops.max()),
    )


def wire_hops(paths: Paths, hops: NextHops) -> Wiring:
    """Hop control: every router with a choice splits the traffic of each destination over its next hops."""
    network, valid = paths.network, hops.valid  # [V, G, N]
    agents = tuple(np.flatnonzero((valid.sum(-1) > 1).any(1)).tolist())
    if not agents:
        raise BadInput(f"no router of {network.name} has two next hops to choose from: there is nothing to learn.")
    _, goals, most = valid.shape
    legal = by_router(agents, valid & (valid.sum(-1, keepdims=True) > 1))
    zero, one = legal.size, legal.size + 1
    ratio = np.full((len(network.links), goals), zero, np.int32)
    for node, goal, hop in zip(*np.nonzero(valid), strict=True):
        at = (agents.index(node) * goals + goal) * most + hop if valid[node, goal].sum() > 1 else one
        ratio[hops.choices[node, goal, hop], goal] = at
    label = hops.goal_of(paths.pairs)
    pair = np.arange(len(paths.pairs))
    return _wiring(
        paths,
        agents=agents,
        legal=legal,
        action=Splits((most,) * goals),
        entry=(paths.pairs[:, 0], label, pair, np.full(len(pair), one)),
        by_path=False,
        ratio=ratio,
        target=hops.destinations,
        depth=_longest(hops),
    )


def _longest(hops: NextHops) -> int:
    """Links of the longest way over the allowed next hops."""
    links, longest = hops.network.links, 1
    for allowed in hops.allowed:
        length = np.zeros(len(hops.network.nodes), int)
        for _ in range(len(hops.network.nodes)):
            for source, target in links[allowed]:
                length[source] = max(length[source], length[target] + 1)
        longest = max(longest, int(length.max()))
    return longest


def _wiring(paths: Paths, *, agents, legal, action, entry, by_path, ratio, target, depth) -> Wiring:
    network = paths.network
    nodes = np.arange(len(network.nodes))[:, None]
    goals = np.unique(paths.pairs[:, 1])
    return Wiring(
        source=network.links[:, 0].astype(np.int32),
        into=(network.links[:, 1] == nodes).astype(np.float32),
        capacity=network.capacity.astype(np.float32),
        absorbs=(target == nodes).astype(np.float32),
        entry=np.stack(entry).astype(np.int32),
        by_path=by_path,
        ratio=ratio,
        goal=(target[:, None] == goals).astype(np.float32),
        legal=legal,
        agents=agents,
        action=action,
        depth=depth,
    )
