"""The weakest form: no code at all. A JSON document names forces and predicates, and covey makes the functions itself.

    {"speed": 0.25,
     "forces": [{"force": "toward-nearest", "field": "landmarks", "weight": 1.0},
                {"force": "away-within", "field": "mates", "weight": 0.5, "radius": 0.1}],
     "goals": [{"goal": "covered", "predicate": "any-within", "field": "landmarks", "radius": 0.05},
               {"goal": "apart", "predicate": "none-within", "field": "mates", "radius": 0.02}]}

The prior is the weighted sum of the forces, shortened to `speed`; the reward is 1 where every goal is reached. For
agents that act in a `Box` of d numbers and see relative positions, [d] or [k, d], in the units of the observation. For
endpoints that one does not trust with a program; the documents of gate G4 come out all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from covey.authored.contract import MOST_GOALS, Contract, goal_names
from covey.authored.encoding import encode
from covey.authored.frames import Malformed, read_json
from covey.authored.gates import Authored, read_authored
from covey.authored.limits import Limits
from covey.authored.refusal import Refused
from covey.core.types import Box

MOST_TERMS = 16
LARGEST = 1e3
"""Terms of a kind, and the magnitude of weights and lengths."""

TINY = 1e-12

Points = tuple[Any, Any]
"""Relative positions [k, d] and which of them are real [k]."""


class Term(NamedTuple):
    """A named function of points, and the numbers that it needs besides."""

    call: Callable[..., Any]
    numbers: tuple[str, ...] = ()


def length(x: Any) -> Any:
    """Of vectors [..., d]; its gradient is finite at zero."""
    return jnp.sqrt((x * x).sum(-1) + TINY)


def distances(points: Points) -> Any:
    """[k]; those of padding are far away."""
    place, real = points
    return jnp.where(real, length(place), 1e9)


def toward_nearest(points: Points) -> Any:
    """The direction of the nearest point."""
    distance = distances(points)
    nearest = jnp.argmin(distance)
    return jnp.where(points[1].any(), points[0][nearest] / jnp.maximum(distance[nearest], 1e-6), 0.0)


def toward_mean(points: Points) -> Any:
    """The way to the middle of all points."""
    place, real = points
    return jnp.where(real[:, None], place, 0.0).sum(0) / jnp.maximum(real.sum(), 1)


def away_within(points: Points, radius: Any) -> Any:
    """Away from every point within the radius, the more the nearer it is."""
    distance = distances(points)
    push = jnp.maximum(0.0, 1.0 - distance / radius) / jnp.maximum(distance, 1e-6)
    return -(jnp.where(points[1], push, 0.0)[:, None] * points[0]).sum(0)


FORCES = {
    "toward-nearest": Term(toward_nearest),
    "toward-mean": Term(toward_mean),
    "along": Term(toward_mean),
    "away-within": Term(away_within, ("radius",)),
}
"""Vectors [d]. `along` is the mean of a field of velocities: what the others do."""

PREDICATES = {
    "any-within": Term(lambda points, radius: (distances(points) < radius).any(), ("radius",)),
    "none-within": Term(lambda points, radius: ~(distances(points) < radius).any(), ("radius",)),
    "mean-within": Term(lambda points, radius: length(toward_mean(points)) < radius, ("radius",)),
}
"""Truth values. `mean-within` of a velocity says that it is slow."""


def from_terms(text: str, contract: Contract, limits: Limits | None = None) -> Authored:
    """The functions that a document of terms describes; Refused (G0) where it describes none."""
    limits = limits or Limits()
    if not text.isascii() or len(text) > limits.source_bytes:
        raise Refused("G0", f"the terms must be ASCII, of at most {limits.source_bytes} bytes.")
    try:
        document = read_json(text.encode(), 8)
    except Malformed as error:
        raise Refused("G0", f"the terms cannot be read: {error}.") from error
    if not isinstance(contract.action, Box):
        raise Refused("G0", "terms are forces, and the agents of this group do not act in a `Box`.")
    entries = _record(document, "the document", "speed", "forces", "goals")
    speed = _number(entries["speed"], "speed")
    forces = [_term(x, FORCES, "force", contract, ("weight",)) for x in _list(entries["forces"], MOST_TERMS, "forces")]
    goals = [
        _term(x, PREDICATES, "predicate", contract, ("goal",)) for x in _list(entries["goals"], MOST_GOALS, "goals")
    ]
    names = goal_names(sorted(goal["goal"] for _, goal in goals))

    def prior(view: dict[str, Any]) -> list[Any]:
        total = sum(entry["weight"] * call(view) for call, entry in forces)
        low, high = jnp.array(contract.action.low), jnp.array(contract.action.high)  # type: ignore[union-attr]
        return [jnp.clip(total * jnp.minimum(1.0, speed / length(total)), low, high)]

    def reward(view: dict[str, Any]) -> list[Any]:
        reached = {entry["goal"]: call(view).astype(jnp.float32) for call, entry in goals}
        return [jnp.stack(list(reached.values())).min(), *(reached[name] for name in names)]

    programs = {name: _trace(f, contract) for name, f in (("prior_policy", prior), ("reward", reward))}
    return read_authored({"programs": programs, "goals": names}, contract, limits)


def _trace(function: Callable[[dict[str, Any]], list[Any]], contract: Contract) -> dict[str, Any]:
    names = [field.name for field in contract.view]
    shapes = [jax.ShapeDtypeStruct(kind.shape, kind.dtype) for kind in contract.inputs]
    return encode(jax.make_jaxpr(lambda *xs: function(dict(zip(names, xs[: len(names)], strict=True))))(*shapes))


def _term(
    entry: Any, known: dict[str, Term], kind: str, contract: Contract, more: tuple[str, ...]
) -> tuple[Callable[[dict[str, Any]], Any], dict[str, Any]]:
    """What a term computes of a view, and its entries."""
    name = entry.get(kind) if isinstance(entry, dict) else None
    if not isinstance(name, str) or name not in known:
        raise Refused("G0", f"a {kind} must be one of {', '.join(known)}.")
    term = known[name]
    entries = _record(entry, f"the {kind} {name!r}", kind, "field", *more, *term.numbers)
    numbers = [_number(entries[x], x) for x in term.numbers]
    if "weight" in more:
        _number(entries["weight"], "weight", positive=False)
    if "goal" in more and not isinstance(entries["goal"], str):
        raise Refused("G0", "a goal must have a name.")
    field, mask = _field(entries["field"], contract), f"{entries['field']}_mask"

    def call(view: dict[str, Any]) -> Any:
        place = view[field.name].reshape(-1, field.shape[-1])
        real = view[mask].reshape(place.shape).min(-1) > 0 if mask in view else jnp.ones(len(place), bool)
        return term.call((place, real), *numbers)

    return call, entries


def _field(name: Any, contract: Contract) -> Any:
    size = contract.gives["prior_policy"][0]
    fitting = {field.name: field for field in contract.view if field.shape[-1:] == (size,) and len(field.shape) <= 2}
    if not isinstance(name, str) or name not in fitting:
        raise Refused("G0", f"a field must be one of {', '.join(fitting) or 'none'}: vectors of {size} numbers.")
    return fitting[name]


def _record(value: Any, what: str, *names: str) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != set(names):
        raise Refused("G0", f"{what} must have exactly the entries {', '.join(names)}.")
    return value


def _list(value: Any, most: int, what: str) -> list[Any]:
    if not isinstance(value, list) or not 1 <= len(value) <= most:
        raise Refused("G0", f"`{what}` must be a list of 1 to {most} entries.")
    return value


def _number(value: Any, name: str, positive: bool = True) -> float:
    if type(value) not in (int, float) or not abs(value) <= LARGEST or (positive and value <= 0):
        above = "above 0 and " if positive else ""
        raise Refused("G0", f"`{name}` must be a number {above}within {LARGEST:g}.")
    return float(value)
