"""Every operation that a program may use gives what the direct call gives, bit for bit, on 10,000 inputs."""

from __future__ import annotations

import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from covey.authored.encoding import encode
from covey.authored.limits import Limits
from covey.authored.operations import CUMULATIVE, ELEMENTWISE, OPERATIONS, REDUCTIONS
from covey.authored.program import rebuilt
from covey.authored.program_reader import read_program

COUNT = 10_000
AWKWARD = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-38, -1e38, 1e-45, 0.5, 2.5], np.float32)


def floats(*shape: int) -> np.ndarray:
    """Numbers of every size, with those at the edges among them, [10_000, *shape]."""
    draws = (
        np.random.default_rng(len(shape)).normal(size=(COUNT, *shape))
        * 10.0 ** np.arange(COUNT).reshape(-1, *[1] * len(shape)) ** 0.25
    )
    values = draws.astype(np.float32)
    values.reshape(COUNT, -1)[: len(AWKWARD)] = AWKWARD[:, None]
    values.reshape(COUNT, -1)[len(AWKWARD) : 2 * len(AWKWARD), 0] = AWKWARD
    return values


def wholes(*shape: int, below: int = 10) -> np.ndarray:
    return np.random.default_rng(7).integers(-below, below, (COUNT, *shape)).astype(np.int32)


def truths(*shape: int) -> np.ndarray:
    return wholes(*shape) > 0


LOGIC = {"and": lax.bitwise_and, "or": lax.bitwise_or, "xor": lax.bitwise_xor}
ADDED = lax.ScatterDimensionNumbers((), (0,), (0,))

DIRECT = {
    **{name: (getattr(lax, name), [floats(3)] * count) for name, count in ELEMENTWISE.items()},
    **{name: (partial(getattr(lax, name), axes=(1,)), [floats(2, 3)]) for name in REDUCTIONS[:4]},
    **{name: (partial(getattr(lax, name), axes=(0,)), [truths(2, 3)]) for name in REDUCTIONS[4:]},
    **{name: (partial(getattr(lax, name), axis=1, reverse=True), [floats(2, 3)]) for name in CUMULATIVE},
    "cumlogsumexp": (lambda x: lax.cumlogsumexp(x, 1), [floats(2, 3)]),
    **{name: (f, [wholes(3), wholes(3)]) for name, f in LOGIC.items()},
    "not": (lax.bitwise_not, [truths(3)]),
    "pow": (lambda x, y: lax.pow(jnp.abs(x), y), [floats(3), floats(3)]),
    "clamp": (lambda x: lax.clamp(jnp.float32(-1.0), x, jnp.float32(2.0)), [floats(3)]),
    "div": (lambda x, y: (lax.div(x, y), lax.div(y, x)), [wholes(3), wholes(3)]),
    "rem": (lambda x, y, a, b: (lax.rem(x, y), lax.rem(a, b)), [wholes(3), wholes(3), floats(3), floats(3)]),
    "round": (lambda x: lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN), [floats(3)]),
    "integer_pow": (lambda x: (lax.integer_pow(x, 3), lax.integer_pow(x, -2)), [floats(3)]),
    "select_n": (lambda c, x, y: lax.select_n(c, x, y), [truths(3), floats(3), floats(3)]),
    "convert_element_type": (
        lambda x, y: (lax.convert_element_type(y, np.float32), x.astype(np.int32), y.astype(np.uint8), y.astype(bool)),
        [floats(3), wholes(3)],
    ),
    "copy": (lambda x: jnp.array(x, copy=True), [floats(3)]),
    "iota": (lambda x: x + lax.broadcasted_iota(np.int32, (2, 3), 1), [wholes(2, 3)]),
    "argmax": (lambda x: lax.argmax(x, 1, np.int32), [floats(2, 3)]),
    "argmin": (lambda x: lax.argmin(x, 0, np.int32), [floats(2, 3)]),
    "sort": (lambda x, y: lax.sort((x, y), dimension=0, num_keys=1), [floats(5), wholes(5)]),
    "top_k": (lambda x: lax.top_k(x, 2), [floats(5)]),
    "dot_general": (lambda x, y: (x @ y, jnp.einsum("ij,ij->i", x, x)), [floats(2, 3), floats(3, 4)]),
    "broadcast_in_dim": (lambda x: lax.broadcast_in_dim(x, (3, 4), (0,)), [floats(3)]),
    "reshape": (lambda x: lax.reshape(x, (3, 2)), [floats(2, 3)]),
    "squeeze": (lambda x: lax.squeeze(x, (1,)), [floats(2, 1)]),
    "transpose": (lambda x: lax.transpose(x, (1, 0)), [floats(2, 3)]),
    "rev": (lambda x: lax.rev(x, (1,)), [floats(2, 3)]),
    "concatenate": (lambda x, y: lax.concatenate([x, y, x], 0), [floats(2, 3), floats(1, 3)]),
    "split": (lambda x: lax.split(x, (1, 2), 1), [floats(2, 3)]),
    "pad": (lambda x: lax.pad(x, jnp.float32(1.5), [(1, -1, 0), (0, 2, 1)]), [floats(2, 3)]),
    "slice": (lambda x: lax.slice(x, (0, 1), (2, 5), (1, 2)), [floats(2, 5)]),
    "dynamic_slice": (lambda x, k: lax.dynamic_slice(x, (k, jnp.int32(0)), (1, 2)), [floats(3, 2), wholes()]),
    "dynamic_update_slice": (
        lambda x, y, k: lax.dynamic_update_slice(x, y, (k,)),
        [floats(5), floats(2), wholes()],
    ),
    "gather": (
        lambda x, k: [jnp.take(x, k, axis=0, mode=mode) for mode in ("fill", "clip")] + [x[k % 3]],
        [floats(3, 2), wholes(4)],
    ),
    "scatter": (lambda x, k, y: x.at[k].set(y), [floats(5), wholes(), floats()]),
    "scatter-add": (lambda x, k, y: lax.scatter_add(x, k[:, None], y, ADDED), [floats(5), wholes(3), floats(3)]),
}
"""By operation: a function that uses it, and inputs [10_000, ...]."""


def operations_of(document) -> set[str]:
    return {equation["op"] for equation in document["equations"]}


def test_none_is_forgotten():
    assert set(DIRECT) == set(OPERATIONS)
    assert len(OPERATIONS) > 60


@pytest.mark.parametrize("name", DIRECT)
def test_operations_are_what_jax_computes(name):
    function, inputs = DIRECT[name]
    document = encode(jax.make_jaxpr(lambda *xs: function(*xs))(*(x[0] for x in inputs)))
    assert name in operations_of(document)
    made = rebuilt(read_program(json.loads(json.dumps(document)), Limits()))
    wanted = jax.tree.leaves(jax.jit(jax.vmap(lambda *xs: function(*xs)))(*inputs))
    found = jax.jit(jax.vmap(made))(*inputs)
    for a, b in zip(wanted, found, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_array_equal(np.asarray(a).view(np.uint8), np.asarray(b).view(np.uint8))
