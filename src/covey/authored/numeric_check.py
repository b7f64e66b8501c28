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

ROUNDING = 1e-3
"""What outputs may differ by, absolutely and relatively, when sums are taken in another order."""

COSTED, REPEATS = 2_000, 5
"""Views that are timed, and how often."""

GARBAGE = 7.25
"""What padded entries are set to, to see whether anything depends on them."""


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Statistics by function."""
    from covey.authored.program_reader import read_program
    from covey.authored.views import read_views

    contract, limits = request["contract"], Limits(**request["admission"])
    shapes = [tuple(shape) for _, shape in contract["view"]] + [()] * len(contract["constants"])
    views = read_views(request["views"], shapes)
    masks = _masks(contract)
    found = {}
    for name, document in request["programs"].items():
        program = read_program(document, limits)
        bounds = contract["bounds"] if name == "prior_policy" else None
        found[name] = statistics(program, views, bounds, masks, _lists(contract, masks))
    return found


def statistics(
    program: Any, views: Any, bounds: Any, masks: dict[int, int], lists: tuple[tuple[int, int], ...] = ()
) -> dict[str, Any]:
    """Of a program over views: what is finite, its range, whether it repeats to the bit, whether padding matters.

    masks, lists: numbers of fields and of their masks.
    """
    import jax
    import numpy as np

    from covey.authored.program import rebuilt
    from covey.authored.views import KINDS

    compiled = jax.jit(jax.vmap(rebuilt(program)))
    batch = max(1, min(BATCH, BATCH_WORK // max(program.work, 1), views.count))
    first = evaluate_batches(compiled, views.inputs, batch)
    again = evaluate_batches(compiled, views.inputs, batch)
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
        "reordered": _reordered(compiled, views, batch, lists, first),
        "goals": [[float(x.min()), float(x.max())] if np.isfinite(x).all() else [0.0, 0.0] for x in first[1:]],
        "cost_ms": cost_ms(compiled, views.inputs),
    }


def cost_ms(compiled: Callable, inputs: Any) -> float:
    """Milliseconds for `COSTED` views, the best of a few."""
    import jax
    import numpy as np

    rows = [x[np.arange(COSTED) % len(x)] for x in inputs]
    jax.block_until_ready(compiled(*rows))
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        jax.block_until_ready(compiled(*rows))
        seconds.append(time.perf_counter() - began)
    return 1e3 * min(seconds)


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
    """Do the outputs on views of play change when something else stands in padded entries?"""
    import numpy as np

    from covey.authored.views import KINDS

    if not masks:
        return False
    inputs = list(views.inputs)
    for field, mask in masks.items():
        real = inputs[mask].reshape(*inputs[mask].shape, *[1] * (inputs[field].ndim - inputs[mask].ndim)) > 0
        inputs[field] = np.where(real, inputs[field], np.float32(GARBAGE))
    other, play = evaluate_batches(compiled, inputs, batch), views.kind == KINDS.index("play")
    return not all(np.array_equal(a[play], b[play], equal_nan=True) for a, b in zip(first, other, strict=True))


def _reordered(
    compiled: Callable, views: Any, batch: int, lists: tuple[tuple[int, int], ...], first: list[Any]
) -> float:
    """The share of the views of play on which the outputs change when the rows of the lists change places."""
    import numpy as np

    from covey.authored.views import KINDS

    if not lists:
        return 0.0
    inputs, chance = list(views.inputs), np.random.default_rng(0)
    for field, mask in lists:
        order = chance.random(inputs[mask].shape).argsort(1)
        inputs[mask] = np.take_along_axis(inputs[mask], order, 1)
        order = order.reshape(*order.shape, *[1] * (inputs[field].ndim - 2))
        inputs[field] = np.take_along_axis(inputs[field], order, 1)
    other = evaluate_batches(compiled, inputs, batch)
    pairs = [(a.reshape(views.count, -1), b.reshape(views.count, -1)) for a, b in zip(first, other, strict=True)]
    same = [np.isclose(a, b, rtol=ROUNDING, atol=ROUNDING, equal_nan=True).all(1) for a, b in pairs]
    return float(1.0 - np.all(same, axis=0)[views.kind == KINDS.index("play")].mean())


def _lists(contract: dict[str, Any], masks: dict[int, int]) -> tuple[tuple[int, int], ...]:
    numbers = [k for k, (name, _) in enumerate(contract["view"]) if name in contract["lists"]]
    return tuple((k, masks[k]) for k in numbers)


def _masks(contract: dict[str, Any]) -> dict[int, int]:
    """By the number of a field that of its mask."""
    numbers = {name: k for k, (name, _) in enumerate(contract["view"])}
    return {numbers[name]: numbers[f"{name}_mask"] for name in numbers if f"{name}_mask" in numbers}


if __name__ == "__main__":
    serve(main)
