"""The child that compiles checked programs and evaluates them on many views (gate G5). It runs covey's own code only.

In a cage with a deadline, because a program that passed every check may still compile slowly, or use more memory than
it should. It answers with statistics; `covey.authored.gates` judges them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from covey.authored.confinement import serve
from covey.authored.limits import Limits

BATCH = 10_000
BATCH_WORK = 50_000_000
"""Views that are evaluated at once, and the elements that they may compute."""

GARBAGE = 7.25
"""What padded entries are set to, to see whether anything depends on them."""


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Statistics by function."""
    from covey.authored.program import read_program
    from covey.authored.views import read_views

    contract, limits = request["contract"], Limits(**request["admission"])
    shapes = [tuple(shape) for _, shape in contract["view"]] + [()] * len(contract["constants"])
    views = read_views(request["views"], shapes)
    masks = _masks(contract)
    found = {}
    for name, document in request["programs"].items():
        program = read_program(document, limits)
        bounds = contract["bounds"] if name == "prior_policy" else None
        found[name] = statistics(program, views, bounds, masks)
    return found


def statistics(program: Any, views: Any, bounds: Any, masks: dict[int, int]) -> dict[str, Any]:
    """Of a program over views: what is finite, its range, and whether it repeats to the bit."""
    import jax
    import numpy as np

    from covey.authored.program import rebuilt
    from covey.authored.views import KINDS

    compiled = jax.jit(jax.vmap(rebuilt(program)))
    batch = max(1, min(BATCH, BATCH_WORK // max(program.work, 1), views.count))
    began = time.perf_counter()
    first = evaluate_batches(compiled, views.inputs, batch)
    middle = time.perf_counter()
    again = evaluate_batches(compiled, views.inputs, batch)
    seconds = time.perf_counter() - middle
    rows = first[0].reshape(views.count, -1)
    finite = np.isfinite(np.concatenate([x.reshape(views.count, -1) for x in first], axis=1)).all(axis=1)
    infinite = [int(np.count_nonzero(~finite & (views.kind == k))) for k in range(len(KINDS))]
    played = rows[(views.kind == KINDS.index("play")) & finite]
    sound = rows[finite]
    return {
        "views": views.count,
        "infinite": dict(zip(KINDS, infinite, strict=True)),
        "low": [float(x) for x in played.min(0)] if len(played) else [],
        "high": [float(x) for x in played.max(0)] if len(played) else [],
        "least": float(sound.min()) if len(sound) else 0.0,
        "most": float(sound.max()) if len(sound) else 0.0,
        "constant": bool(len(sound) == 0 or (sound == sound[0]).all()),
        "saturated": _saturated(played, bounds),
        "repeats": all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, again, strict=True)),
        "sees_padding": _sees_padding(compiled, views, batch, masks, first),
        "goals": [[float(x.min()), float(x.max())] if np.isfinite(x).all() else [0.0, 0.0] for x in first[1:]],
        "first_s": middle - began,
        "views_per_s": views.count / max(seconds, 1e-9),
    }


def evaluate_batches(compiled: Callable, inputs: Any, batch: int) -> list[Any]:
    """Outputs [N, ...], computed in batches of one size; the last one is filled up by repeating its end."""
    import numpy as np

    count = len(inputs[0])
    pieces = []
    for start in range(0, count, batch):
        rows = np.minimum(np.arange(start, start + batch), count - 1)
        pieces.append([np.asarray(x)[: count - start] for x in compiled(*(x[rows] for x in inputs))])
    return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]


def _saturated(played: Any, bounds: Any) -> float:
    """The share of views in which every component of an action stands at a bound."""
    import numpy as np

    if bounds is None or not len(played):
        return 0.0
    low, high = np.asarray(bounds, np.float32)
    slack = 1e-3 * (high - low)
    return float(((played <= low + slack) | (played >= high - slack)).all(1).mean())


def _sees_padding(compiled: Callable, views: Any, batch: int, masks: dict[int, int], first: list[Any]) -> bool:
    import numpy as np

    if not masks:
        return False
    inputs = list(views.inputs)
    for field, mask in masks.items():
        inputs[field] = np.where(inputs[mask] > 0, inputs[field], np.float32(GARBAGE))
    other = evaluate_batches(compiled, inputs, batch)
    return not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, other, strict=True))


def _masks(contract: dict[str, Any]) -> dict[int, int]:
    """By the number of a field that of its mask."""
    numbers = {name: k for k, (name, _) in enumerate(contract["view"])}
    return {numbers[name]: numbers[f"{name}_mask"] for name in numbers if f"{name}_mask" in numbers}


if __name__ == "__main__":
    serve(main)
