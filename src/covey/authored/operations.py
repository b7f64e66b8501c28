"""The array operations that a program may consist of: about 80 primitives of JAX, by its own names.

Each has its own small list of parameters: numbers, words, and tuples of whole numbers. Everything else that a
traced equation carries must say nothing (`NEUTRAL`), or the equation is not encoded. `call` is the public function of
`jax.lax` that gives the same equation again. Nothing here draws random numbers, calls back, loops without a bound or
calls into a library.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax

DTYPES = ("float32", "int32", "bool", "uint8")
"""Of values. What else JAX knows (64 bits, halves, complex numbers, keys) is refused."""

MOST_NUMBER = 2**31 - 1
MOST_ENTRIES = 64
"""Of a parameter: the largest whole number and the longest tuple."""


class Operation(NamedTuple):
    """call(*operands, **params) -> array or list of arrays; `operands`: least and most; `params`: kinds by name.

    renamed: JAX's name of a parameter, where ours differs. cost: what it computes besides its outputs.
    """

    call: Callable[..., Any]
    operands: tuple[int, int]
    params: dict[str, str] = {}  # noqa: RUF012
    cost: Callable[[list[Any], dict[str, Any]], int] = lambda shapes, params: 0


def _same(call: Callable[..., Any], count: int = 1, **params: str) -> Operation:
    return Operation(call, (count, count), params)


# ---------------------------------------------------------------------------------------------------------------------
# Operations whose parameters are records in JAX


def _dot_general(a: Any, b: Any, *, contracted: Any, batched: Any, preferred_element_type: Any) -> Any:
    return lax.dot_general(a, b, (contracted, batched), preferred_element_type=preferred_element_type)


def _dot_cost(shapes: list[tuple[int, ...]], params: dict[str, Any]) -> int:
    """Multiply-adds: every entry of the left operand meets the free axes of the right one."""
    left, right = shapes
    axes = {*params["contracted"][1], *params["batched"][1]}
    return math.prod(left) * math.prod(size for axis, size in enumerate(right) if axis not in axes)


def _gather(x: Any, indices: Any, *, slice_sizes: Any, mode: str, fill_value: Any, **numbers: Any) -> Any:
    dimensions = lax.GatherDimensionNumbers(**numbers)
    return lax.gather(x, indices, dimensions, slice_sizes, mode=mode, fill_value=fill_value)


def _scatter_with(scatter: Callable[..., Any]) -> Callable[..., Any]:
    def call(x: Any, indices: Any, updates: Any, *, mode: str, **numbers: Any) -> Any:
        return scatter(x, indices, updates, lax.ScatterDimensionNumbers(**numbers), mode=mode)

    return call


def _sort(*xs: Any, dimension: int, is_stable: bool, num_keys: int) -> Any:
    return lax.sort(xs, dimension, is_stable=is_stable, num_keys=num_keys)


def _sort_cost(shapes: list[tuple[int, ...]], params: dict[str, Any]) -> int:
    size = math.prod(shapes[0])
    return len(shapes) * size * max(1, size.bit_length())


def _reduce_with(reduce: Callable[..., Any]) -> Callable[..., Any]:
    def call(x: Any, *, axes: Any) -> Any:
        if len(set(axes)) < len(axes) or not all(0 <= axis < x.ndim for axis in axes):
            raise ValueError("no such axes")
        return reduce(x, axes)

    return call


def _cumlogsumexp(x: Any, *, axis: int, reverse: bool) -> Any:
    if x.dtype != jnp.float32:
        raise TypeError("of floats only")
    return lax.cumlogsumexp(x, axis, reverse)


def _top_k(x: Any, *, k: int, axis: int) -> Any:
    if not -x.ndim <= axis < x.ndim:
        raise ValueError("no such axis")
    return [jnp.moveaxis(y, -1, axis) for y in lax.top_k(jnp.moveaxis(x, axis, -1), k)]


def _reshape(x: Any, *, new_sizes: Any) -> Any:
    if math.prod(new_sizes) != x.size:  # JAX leaves that to the compiler
        raise ValueError("another number of elements")
    return lax.reshape(x, new_sizes)


def _split(x: Any, *, sizes: Any, axis: int) -> Any:
    if min(sizes) < 0:
        raise ValueError("sizes below 0")
    return lax.split(x, sizes, axis)


def _pad(x: Any, value: Any, *, low: Any, high: Any, interior: Any) -> Any:
    return lax.pad(x, value, list(zip(low, high, interior, strict=True)))


def _round(x: Any, *, rounding_method: int) -> Any:
    return lax.round(x, lax.RoundingMethod(rounding_method))


def _dynamic_slice(x: Any, *starts: Any, slice_sizes: Any) -> Any:
    return lax.dynamic_slice(x, starts, slice_sizes, allow_negative_indices=False)


def _dynamic_update_slice(x: Any, update: Any, *starts: Any) -> Any:
    return lax.dynamic_update_slice(x, update, starts, allow_negative_indices=False)


def _search_along(search: Callable[..., Any]) -> Callable[..., Any]:
    def call(x: Any, *, axes: Any) -> Any:
        (axis,) = axes
        return search(x, axis, jnp.int32)

    return call


def _iota(*, dtype: str, shape: Any, dimension: int) -> Any:
    return lax.broadcasted_iota(jnp.dtype(dtype), shape, dimension)


def _convert(x: Any, *, new_dtype: str) -> Any:
    return lax.convert_element_type(x, jnp.dtype(new_dtype))


ELEMENTWISE = {
    "neg": 1, "sign": 1, "abs": 1, "floor": 1, "ceil": 1, "exp": 1, "exp2": 1, "expm1": 1, "log": 1, "log1p": 1,
    "sqrt": 1, "rsqrt": 1, "cbrt": 1, "square": 1, "sin": 1, "cos": 1, "tan": 1, "asin": 1, "acos": 1, "atan": 1,
    "sinh": 1, "cosh": 1, "tanh": 1, "asinh": 1, "acosh": 1, "atanh": 1, "logistic": 1, "erf": 1, "is_finite": 1,
    "stop_gradient": 1, "add": 2, "sub": 2, "mul": 2, "div": 2, "rem": 2, "pow": 2, "max": 2, "min": 2, "atan2": 2,
    "eq": 2, "ne": 2, "lt": 2, "le": 2, "gt": 2, "ge": 2, "clamp": 3,
}  # fmt: skip
"""Of which a function of `jax.lax` has the name, with the number of operands."""

REDUCTIONS = ("reduce_sum", "reduce_prod", "reduce_max", "reduce_min", "reduce_and", "reduce_or")
CUMULATIVE = ("cumsum", "cumprod", "cummax", "cummin")

OPERATIONS: dict[str, Operation] = {
    **{name: _same(getattr(lax, name), count) for name, count in ELEMENTWISE.items()},
    **{name: _same(_reduce_with(getattr(lax, name)), axes="ints") for name in REDUCTIONS},
    **{name: _same(getattr(lax, name), axis="int", reverse="bool") for name in CUMULATIVE},
    "cumlogsumexp": _same(_cumlogsumexp, axis="int", reverse="bool"),
    "and": _same(lax.bitwise_and, 2),
    "or": _same(lax.bitwise_or, 2),
    "xor": _same(lax.bitwise_xor, 2),
    "not": _same(lax.bitwise_not),
    "round": _same(_round, rounding_method="int"),
    "integer_pow": _same(lax.integer_pow, y="int"),
    "select_n": Operation(lax.select_n, (2, MOST_ENTRIES)),
    "convert_element_type": _same(_convert, new_dtype="dtype"),
    "copy": _same(lambda x: x),
    "iota": _same(_iota, 0, dtype="dtype", shape="ints", dimension="int"),
    "argmax": _same(_search_along(lax.argmax), axes="ints"),
    "argmin": _same(_search_along(lax.argmin), axes="ints"),
    "sort": Operation(
        _sort, (1, 8), {"dimension": "int", "is_stable": "bool", "num_keys": "int"}, _sort_cost
    ),
    "top_k": Operation(_top_k, (1, 1), {"k": "int", "axis": "int"}, _sort_cost),
    "dot_general": Operation(
        _dot_general,
        (2, 2),
        {"contracted": "axes", "batched": "axes", "preferred_element_type": "dtype?"},
        _dot_cost,
    ),
    "broadcast_in_dim": _same(lax.broadcast_in_dim, shape="ints", broadcast_dimensions="ints"),
    "reshape": _same(_reshape, new_sizes="ints"),
    "squeeze": _same(lax.squeeze, dimensions="ints"),
    "transpose": _same(lax.transpose, permutation="ints"),
    "rev": _same(lax.rev, dimensions="ints"),
    "concatenate": Operation(lambda *xs, dimension: lax.concatenate(xs, dimension), (1, MOST_ENTRIES * 4),
                             {"dimension": "int"}),
    "split": _same(_split, sizes="ints", axis="int"),
    "pad": _same(_pad, 2, low="ints", high="ints", interior="ints"),
    "slice": _same(lax.slice, start_indices="ints", limit_indices="ints", strides="ints?"),
    "dynamic_slice": Operation(_dynamic_slice, (1, MOST_ENTRIES), {"slice_sizes": "ints"}),
    "dynamic_update_slice": Operation(_dynamic_update_slice, (2, MOST_ENTRIES)),
    "gather": _same(
        _gather, 2,
        offset_dims="ints", collapsed_slice_dims="ints", start_index_map="ints", operand_batching_dims="ints",
        start_indices_batching_dims="ints", slice_sizes="ints", mode="mode", fill_value="number?",
    ),
    **{
        name: _same(
            _scatter_with(call), 3,
            update_window_dims="ints", inserted_window_dims="ints", scatter_dims_to_operand_dims="ints",
            operand_batching_dims="ints", scatter_indices_batching_dims="ints", mode="mode",
        )
        for name, call in (("scatter", lax.scatter), ("scatter-add", lax.scatter_add))
    },
}  # fmt: skip
"""By JAX's own names. `scan` is not here: it has a program inside (`covey.authored.program`)."""

MODES = ("clip", "fill", "promise_in_bounds")
"""What happens to indices out of bounds. Even under the last XLA clips them, so that no memory is read beyond."""
