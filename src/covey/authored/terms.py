"""The weakest form: no code at all. A JSON document names forces and predicates, and covey makes the functions itself.

    {"speed": 0.25,
     "forces": [{"force": "toward-nearest", "field": "landmarks", "weight": 1.0},
                {"force": "away-within", "field": "mates", "weight": 0.5, "radius": 0.1}],
     "goals": [{"goal": "covered", "predicate": "any-within", "field": "landmarks", "radius": 0.05},
               {"goal": "apart", "predicate": "none-within", "field": "mates", "radius": 0.02}]}

The prior is the weighted sum of the forces, shortened to `speed`; the reward is 1 where every goal is reached. For
agents that act in a `Box` of d numbers and see vectors, [d] or [k, d], in the units of the observation. Rows of m d
numbers are m vectors: `neighbors.0` are the first d numbers of each row of `neighbors`, `neighbors.1` the next. For
endpoints that one does not trust with a program; the documents of gate G4 come out all the same, and no cage is needed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from covey.authored.contract import MOST_GOALS, Contract, goal_names
from covey.authored.encoding import encode
from covey.authored.frames import Malformed, read_json
from covey.authored.functions import Authored, read_authored
from covey.authored.limits import Limits
from covey.authored.refusal import Refused
from covey.core.types import Box, Field

MOST_TERMS = 16
LARGEST = 1e3
"""Terms of a kind, and the magnitude of weights and lengths."""

TINY = 1e-12

Points = tuple[Any, Any]
"""Relative positions [k, d] and which of them are real [k]."""


class Term(NamedTuple):
    """A named function of points, what it is in words, and the numbers that it needs besides."""

    call: Callable[..., Any]
    text: str
    numbers: tuple[str, ...] = ()


class Vectors(NamedTuple):
    """Of a field, numbers `start` to `start + size` of each row: vectors that terms are about."""

    field: Field
    start: int
    size: int

    @property
    def unit(self) -> str:
        """Of these vectors, where the field has several units, one for each."""
        units = self.field.unit.split(", ")
        several = len(units) * self.size == self.field.shape[-1]
        return units[self.start // self.size] if several else self.field.unit

    def of(self, view: dict[str, Any]) -> Points:
        """The vectors of a view, and which of them are real."""
        rows = view[self.field.name].reshape(-1, self.field.shape[-1])
        mask = view.get(f"{self.field.name}_mask")
        real = jnp.ones(len(rows), bool) if mask is None else mask.reshape(len(rows), -1).min(-1) > 0
        return rows[:, self.start : self.start + self.size], real


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


def mean_within(points: Points, radius: Any) -> Any:
    """Is there a vector at all, and the mean of all of them within the radius?"""
    return points[1].any() & (length(toward_mean(points)) < radius)


FORCES = {
    "toward-nearest": Term(toward_nearest, "the direction of the nearest one, 1 long; 0 if there is none or it is 0"),
    "toward-mean": Term(toward_mean, "the mean of them: the way to their middle"),
    "along": Term(toward_mean, "the mean of them, for velocities: to move as they do"),
    "away-within": Term(
        away_within, "away from each within the radius, 1 at no distance and falling to 0 at the radius", ("radius",)
    ),
}
"""Vectors [d]."""

PREDICATES = {
    "any-within": Term(lambda points, radius: (distances(points) < radius).any(), "one is within it", ("radius",)),
    "none-within": Term(lambda points, radius: ~(distances(points) < radius).any(), "none is within it", ("radius",)),
    "mean-within": Term(mean_within, "there are some, and their mean is within it (velocities: slow)", ("radius",)),
}
"""Truth values."""


def from_terms(text: str, contract: Contract, limits: Limits | None = None) -> Authored:
    """The functions that a document of terms describes; Refused (G0) where it describes none."""
    limits = limits or Limits()
    if not text.isascii() or len(text) > limits.source_bytes:
        raise Refused("G0", f"the terms must be ASCII, of at most {limits.source_bytes} bytes.")
    try:
        document = read_json(text.encode(), 8)
    except Malformed as error:
        raise Refused("G0", f"the terms cannot be read: {error}.") from error
    demand_box(contract)
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
    term: Term = known[name]
    entries = _record(entry, f"the {kind} {name!r}", kind, "field", *more, *term.numbers)
    numbers = [_number(entries[x], x) for x in term.numbers]
    if "weight" in more:
        _number(entries["weight"], "weight", positive=False)
    if "goal" in more and not isinstance(entries["goal"], str):
        raise Refused("G0", "a goal must have a name.")
    found, name = vectors(contract), entries["field"]
    if not isinstance(name, str) or name not in found:
        size = contract.gives["prior_policy"][0]
        raise Refused("G0", f"a field must be one of {', '.join(found) or 'none'}: vectors of {size} numbers.")
    return lambda view: term.call(found[name].of(view), *numbers), entries


def vectors(contract: Contract) -> dict[str, Vectors]:
    """What terms can be about, by name: the fields whose rows are one vector, or several."""
    size, found = contract.gives["prior_policy"][0], {}
    for field in contract.group.obs:
        parts, left = divmod(field.shape[-1], size)
        if left or len(field.shape) > 2:
            continue
        names = [field.name] if parts == 1 else [f"{field.name}.{k}" for k in range(parts)]
        found |= {name: Vectors(field, k * size, size) for k, name in enumerate(names)}
    return found


# ---------------------------------------------------------------------------------------------------------------------
# For whoever writes them


def text(contract: Contract) -> str:
    """What somebody who writes a document has to know: what agents see, the terms, and the rules."""
    demand_box(contract)
    lines = [*contract.head(), "Terms are about vectors that ONE agent sees:", ""]
    for name, of in vectors(contract).items():
        rows = f"a list of up to {of.field.shape[0]}" if len(of.field.shape) == 2 else "one"
        part = f", numbers {of.start} to {of.start + of.size - 1} of each row" if of.size < of.field.shape[-1] else ""
        lines.append(f"- `{name}`: {rows}{part}, {of.unit or 'no unit'}")
    if contract.constants:
        lines += ["", f"Numbers to know: {', '.join(f'{name} is {value:g}' for name, value in contract.constants)}."]
    lines += ["", "Forces, each with a `field` and a `weight` (negative: the other way):", "", *_listed(FORCES)]
    lines += ["", "Predicates of goals, each with a `field`:", "", *_listed(PREDICATES)]
    low, high = (list(x) for x in (contract.action.low, contract.action.high))  # type: ignore[union-attr]
    lines += [
        "",
        "The action is the weighted sum of the forces, shortened to the length `speed` and clipped to",
        f"{low} and {high}. There are 1 to {MOST_TERMS} forces and 1 to {MOST_GOALS} goals, and no other entries.",
    ]
    return "\n".join(lines)


def example(contract: Contract) -> str:
    """A document of the right form, about the first list of vectors, or the first vector."""
    found = vectors(contract)
    field = next((name for name, of in found.items() if len(of.field.shape) == 2), next(iter(found), "FIELD"))
    forces = [{"force": "toward-nearest", "field": field, "weight": 1.0}]
    forces += [{"force": "away-within", "field": field, "weight": 0.5, "radius": 0.1}]
    goals = [{"goal": "arrived", "predicate": "any-within", "field": field, "radius": 0.05}]
    return json.dumps({"speed": 1.0, "forces": forces, "goals": goals}, indent=1)


def demand_box(contract: Contract) -> None:
    """Refused (G0) where agents do not act in a `Box`."""
    if not isinstance(contract.action, Box):
        raise Refused("G0", "terms are forces, and the agents of this group do not act in a `Box`.")


def _listed(terms: dict[str, Term]) -> list[str]:
    numbers = {
        name: f" (and a `{'`, a `'.join(term.numbers)}`)" if term.numbers else "" for name, term in terms.items()
    }
    return [f"- `{name}`{numbers[name]}: {term.text}" for name, term in terms.items()]


# ---------------------------------------------------------------------------------------------------------------------
# Reading


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
