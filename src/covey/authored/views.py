"""The views on which authored functions are tried: what random play shows, and what happens rarely but does happen."""

from __future__ import annotations

import base64
from typing import Any, NamedTuple

import numpy as np

KINDS = ("play", "zeros", "first", "last", "coincident", "tiny", "huge", "constants")
"""Where a view comes from: random play; all zero; only the first or the last entry of each field; all entries of a
field the same; scaled by 1e-12 and 1e4; and constants a tenth and ten times as large."""

TINY, HUGE = 1e-12, 1e4
EDGES = 64
"""Views of play that each other kind is made of."""


class Views(NamedTuple):
    """Inputs of a contract's programs, [N, *shape] float32 each, and the kind of each view, int32 [N]."""

    inputs: tuple[np.ndarray, ...]
    kind: np.ndarray

    @property
    def count(self) -> int:
        return len(self.kind)

    def document(self) -> dict[str, Any]:
        """As JSON, for a child."""
        packed = [base64.b64encode(np.ascontiguousarray(x, "<f4").tobytes()).decode() for x in self.inputs]
        return {"inputs": packed, "kind": self.kind.tolist()}


def read_views(document: dict[str, Any], shapes: list[tuple[int, ...]]) -> Views:
    """The inverse of `Views.document`, for inputs of these shapes."""
    kind = np.array(document["kind"], np.int32)
    flat = [np.frombuffer(base64.b64decode(x), "<f4") for x in document["inputs"]]
    return Views(tuple(x.reshape(len(kind), *s) for x, s in zip(flat, shapes, strict=True)), kind)


def add_edge_cases(view: list[np.ndarray], markers: list[bool], constants: list[np.ndarray]) -> Views:
    """Views of play, [N, *shape] each, and in front of them views of every other kind. `markers`: which are masks."""
    some, fixed = [x[:EDGES] for x in view], [x[:EDGES] for x in constants]

    def changed(change: Any) -> list[np.ndarray]:
        return [x if marker else change(x).astype(np.float32) for x, marker in zip(some, markers, strict=True)]

    edges = {
        "zeros": ([np.zeros_like(x) for x in some], fixed),
        "first": (changed(lambda x: _kept(x, slice(0, 1))), fixed),
        "last": (changed(lambda x: _kept(x, slice(-1, None))), fixed),
        "coincident": (changed(lambda x: np.broadcast_to(x[:, :1], x.shape) if x.ndim > 2 else x), fixed),
        "tiny": (changed(lambda x: x * TINY), fixed),
        "huge": (changed(lambda x: x * HUGE), fixed),
        "constants": (some, [np.where(np.arange(len(x)) % 2, x * 10, x / 10).astype(np.float32) for x in fixed]),
    }
    kinds = [(KINDS.index(kind), [*seen, *numbers]) for kind, (seen, numbers) in edges.items()]
    kinds.append((KINDS.index("play"), [*view, *constants]))
    inputs = tuple(np.concatenate(parts) for parts in zip(*(values for _, values in kinds), strict=True))
    return Views(inputs, np.concatenate([np.full(len(values[0]), k, np.int32) for k, values in kinds]))


def _kept(x: np.ndarray, which: slice) -> np.ndarray:
    kept = np.zeros_like(x)
    if x.ndim > 1:
        kept[:, which] = x[:, which]
    return kept
