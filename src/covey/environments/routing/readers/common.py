"""What the grammars share: text, numbers, arcs, matrices, and errors that name the file and the line."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from covey.core.errors import BadInput
from covey.environments.routing.network import Network, Pairs, frozen_array, make_network

BITS = {"bit/s": 1.0, "kbit/s": 1e3, "Mbit/s": 1e6, "Gbit/s": 1e9}  # units that can be converted
UNSTATED = "unit"

Tunnels = dict[tuple[int, int], tuple[tuple[int, ...], ...]]


@dataclass(frozen=True, eq=False)
class Matrices:
    """Demand matrices in the order of time."""

    values: np.ndarray  # [T, V, V] demand from row to column; the diagonal is 0
    unit: str  #          as `Network.unit`
    labels: tuple[str, ...]  # T, where each comes from: a time, or a file

    def demands(self, pairs: Pairs) -> np.ndarray:
        """[T, D] the demands of the pairs."""
        source, target = np.asarray(pairs).T
        return self.values[:, source, target]

    def pairs(self) -> np.ndarray:
        """[D, 2] int32, by source, then target: the pairs that ever demand anything."""
        return np.argwhere(self.values.any(0)).astype(np.int32)

    def to(self, unit: str) -> Matrices:
        """The same in another unit; `BadInput` where the units do not convert."""
        if unit == self.unit or UNSTATED in (unit, self.unit):
            return Matrices(self.values, unit if self.unit == UNSTATED else self.unit, self.labels)
        if not {unit, self.unit} <= set(BITS):
            raise BadInput(f"demand in {self.unit} cannot be converted to {unit}: use one of {', '.join(BITS)}.")
        return Matrices(frozen_array(self.values * (BITS[self.unit] / BITS[unit]), float), unit, self.labels)


class Arc(NamedTuple):
    """A link as a file states it, in one direction or (in undirected files) for both."""

    source: int
    target: int
    capacity: float = math.nan  # nan: the file states none
    weight: float = 1.0
    delay: float = 0.0  # milliseconds
    line: int = 0  # 0: unknown
    doubt: str = ""  # why the capacity is nan, as what follows "the link A→B"


class Parsed(NamedTuple):
    """What a topology file holds: the network, and matrices where they are in the same file."""

    network: Network
    matrices: Matrices | None = None


# -------------------------------------------------------------------------------------------------------------- text
def fail(path: Path, line: int, what: str) -> BadInput:
    """`BadInput` at a line of a file (0: the whole file)."""
    return BadInput(f"{path}, line {line}: {what}" if line else f"{path}: {what}")


def read_text(path: Path) -> str:
    """The text of a file; `BadInput` if it is missing, unreadable, empty or not text."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}): check the path and its permissions.") from None
    if not data.strip():
        raise BadInput(f"{path} is empty: it may be a failed download, fetch it again.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise BadInput(f"{path} is not a text file: unpack it, or save it as UTF-8.")
    return text


def natural(path: Path) -> tuple:
    """Sort key that puts `2.hist` before `10.hist`."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name))


def numbers(path: Path, line: int, words: Sequence[str], count: int) -> np.ndarray:
    """[count] the words of a line as finite numbers."""
    if len(words) != count:
        raise fail(path, line, f"{len(words)} values where {count} are expected; the file may be cut off.")
    try:
        values = np.array(words, float)
    except ValueError:
        wrong = next(word for word in words if not is_number(word))
        raise fail(path, line, f"{wrong!r} is not a number; correct it.") from None
    if not np.isfinite(values).all():
        raise fail(path, line, f"{words[int(np.argmin(np.isfinite(values)))]!r} is not finite; correct it.")
    return values


def is_number(word: Any) -> bool:
    """Can `float` read it? Truth values are no numbers."""
    if isinstance(word, bool):
        return False
    try:
        float(word)
    except (TypeError, ValueError):
        return False
    return True


def indices(path: Path, line: int, words: Sequence[str], count: int) -> list[int]:
    """Words as node indices below `count`."""
    for word in words:
        if not word.isdigit() or int(word) >= count:
            raise fail(path, line, f"{word!r} is no node: use indices from 0 to {count - 1}.")
    return [int(word) for word in words]


# ------------------------------------------------------------------------------------------------------------- networks
def assemble(
    path: Path,
    nodes: Sequence[str],
    arcs: Iterable[Arc],
    *,
    both: bool,
    unit: str = UNSTATED,
    coordinates: Any = None,
    capacity: float | None = None,
) -> Network:
    """The `Network` of a file. `both` adds the reverse of every arc; parallel links become one of their total capacity.

    `capacity` stands in for what the file does not state. A merged link has the least weight and delay of its parts.
    """
    merged: dict[tuple[int, int], Arc] = {}
    for arc in arcs:
        arc = _checked(path, nodes, arc, capacity)
        for ends in ((arc.source, arc.target), (arc.target, arc.source))[: 2 if both else 1]:
            other = merged.get(ends)
            merged[ends] = arc if other is None else _merge(arc, other)
    return make_network(
        path.stem,
        nodes,
        list(merged),
        [arc.capacity for arc in merged.values()],
        weight=[arc.weight for arc in merged.values()],
        delay=[arc.delay for arc in merged.values()],
        coordinates=coordinates,
        unit=unit,
    )


def _merge(a: Arc, b: Arc) -> Arc:
    return a._replace(capacity=a.capacity + b.capacity, weight=min(a.weight, b.weight), delay=min(a.delay, b.delay))


def _checked(path: Path, nodes: Sequence[str], arc: Arc, capacity: float | None) -> Arc:
    ends = f"{nodes[arc.source]}→{nodes[arc.target]}"
    if arc.source == arc.target:
        raise fail(path, arc.line, f"the link {ends} leads back to its own node; remove it.")
    if math.isnan(arc.capacity):
        if capacity is None:
            what = f"{arc.doubt}; state one rate" if arc.doubt else "has no capacity; add one"
            raise fail(path, arc.line, f"the link {ends} {what}, or pass capacity= for all of these.")
        arc = arc._replace(capacity=float(capacity))
    for what in ("capacity", "weight"):
        value = getattr(arc, what)
        if not (math.isfinite(value) and value > 0):
            raise fail(path, arc.line, f"the link {ends} has {what} {value:g}; make it positive and finite.")
    return arc


# ------------------------------------------------------------------------------------------------------------- matrices
def make_matrices(values: Sequence[np.ndarray], unit: str, labels: Sequence[str]) -> Matrices:
    """`Matrices` from T arrays [V, V] that were checked while they were read; drops the diagonal."""
    stacked = np.array(values, float)
    node = np.arange(stacked.shape[-1])
    stacked[:, node, node] = 0
    return Matrices(frozen_array(stacked, float), unit, tuple(labels))


def from_demands(
    path: Path, count: int, demands: Iterable[tuple[int, int, float, int]], unit: str, label: str | None = None
) -> Matrices:
    """One matrix from (source, target, value, line); several demands of one pair add up."""
    values = np.zeros((count, count))
    for source, target, value, line in demands:
        if not (math.isfinite(value) and value >= 0):
            raise fail(path, line, f"the demand {value:g} is negative or not finite; correct it.")
        values[source, target] += value
    return make_matrices([values], unit, [label or path.name])


def plain_matrices(path: Path, text: str, count: int, *, unit: str = UNSTATED, scale: float = 1.0) -> Matrices:
    """One matrix a line: count x count numbers in row-major order, the row being the source."""
    values = []
    for line, content in enumerate(text.splitlines(), 1):
        if content.strip():
            row = numbers(path, line, content.split(), count * count)
            if row.min() < 0:
                raise fail(path, line, f"the demand {row.min():g} is negative; correct it.")
            values.append(row.reshape(count, count) * scale)
    return make_matrices(values, unit, [f"{path.name}:{i + 1}" for i in range(len(values))])


def stack(matrices: Sequence[Matrices]) -> Matrices:
    """Several `Matrices` of one network, one after the other, in the unit of the first."""
    unit = matrices[0].unit
    values = np.concatenate([part.to(unit).values for part in matrices])
    return Matrices(frozen_array(values, float), unit, tuple(label for part in matrices for label in part.labels))
