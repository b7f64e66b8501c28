"""Programs as data: a forged one is refused for what is wrong with it; a good one says what it costs."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.authored.encoding import encode
from covey.authored.limits import Limits
from covey.authored.program import Type, digest, rebuilt
from covey.authored.program_reader import read_program
from covey.authored.refusal import Refused

F3 = ["float32", [3]]
GOOD = {
    "inputs": [F3, ["float32", []]],
    "constants": [{"type": F3, "values": [0.5, 1, 2.0]}],
    "equations": [
        {"op": "mul", "in": [0, 2], "params": {}, "out": [F3]},
        {"op": "add", "in": [3, ["float32", 1.5]], "params": {}, "out": [F3]},
        {"op": "reduce_sum", "in": [4], "params": {"axes": [0]}, "out": [["float32", []]]},
    ],
    "outputs": [5],
}
BODY = {
    "inputs": [F3],
    "constants": [],
    "equations": [{"op": "add", "in": [0, ["float32", 1.0]], "params": {}, "out": [F3]}],
    "outputs": [1],
}


def scan(**changes):
    """An equation that adds 1.0 five times to value 0."""
    params = {"length": 5, "reverse": False, "consts": 0, "carry": 1, "body": BODY} | changes
    return {"op": "scan", "in": [0], "params": params, "out": [F3]}


def change(path, value):
    """GOOD with `value` at the place `path`; None takes the place away."""
    forged = copy.deepcopy(GOOD)
    *way, last = path
    owner = forged
    for step in way:
        owner = owner[step]
    if value is None:
        del owner[last]
    else:
        owner[last] = value
    return forged


def single(op, operands, params, out, inputs=(F3,)):
    """A program of one equation."""
    equation = {"op": op, "in": operands, "params": params, "out": out}
    return {"inputs": list(inputs), "constants": [], "equations": [equation], "outputs": [len(inputs)]}


def nested(depth):
    """Scans inside each other."""
    body = BODY
    for _ in range(depth):
        body = {"inputs": [F3], "constants": [], "equations": [scan(body=body, length=2)], "outputs": [1]}
    return body


def custom_call(name):
    return single(name, [0], {}, [F3])


FORGED = {
    "no program": ([], "exactly the entries"),
    "a string": ("add", "exactly the entries"),
    "an entry too many": (GOOD | {"effects": []}, "exactly the entries"),
    "an entry too few": (change(["outputs"], None), "exactly the entries"),
    "equations in a dict": (change(["equations"], {}), "must be a list"),
    "an equation with an entry more": (change(["equations", 0, "name"], "x"), "exactly the entries"),
    "no name of an operation": (change(["equations", 0, "op"], 3), "not on the list of operations"),
    "a callback": (custom_call("pure_callback"), "not on the list of operations"),
    "an effect": (custom_call("io_callback"), "not on the list of operations"),
    "a custom call": (custom_call("custom_call"), "not on the list of operations"),
    "a foreign function": (custom_call("ffi_call"), "not on the list of operations"),
    "an unbounded loop": (custom_call("while"), "not on the list of operations"),
    "a branch": (custom_call("cond"), "not on the list of operations"),
    "random numbers": (custom_call("threefry2x32"), "not on the list of operations"),
    "a matrix library": (custom_call("cholesky"), "not on the list of operations"),
    "a call": (custom_call("jit"), "not on the list of operations"),
    "a method of our table": (custom_call("__class__"), "not on the list of operations"),
    "an operation that nobody knows": (custom_call("x" * 900), "not on the list of operations"),
    "operands that are missing": (change(["equations", 0, "in"], [0]), "has 1 operands"),
    "operands too many": (change(["equations", 0, "in"], [0, 0, 0]), "has 3 operands"),
    "a value from the future": (change(["equations", 0, "in"], [0, 4]), "not there yet"),
    "a value of its own": (change(["equations", 0, "in"], [0, 3]), "not there yet"),
    "a value before the first": (change(["equations", 0, "in"], [0, -1]), "not there yet"),
    "a value by a float": (change(["equations", 0, "in"], [0, 1.0]), "no pair"),
    "a value by a truth": (change(["equations", 0, "in"], [0, True]), "no pair"),
    "an output that is not there": (change(["outputs"], [6]), "not there yet"),
    "params in a list": (change(["equations", 0, "params"], []), "must have no entries"),
    "a parameter too many": (change(["equations", 0, "params"], {"accuracy": 1}), "must have no entries"),
    "a parameter too few": (change(["equations", 2, "params"], {}), "exactly the entries axes"),
    "an axis that is not there": (change(["equations", 2, "params"], {"axes": [1]}), "does not fit"),
    "an axis twice": (change(["equations", 2, "params"], {"axes": [0, 0]}), "does not fit"),
    "an axis in words": (change(["equations", 2, "params"], {"axes": ["0"]}), "must be a whole number"),
    "an axis beyond 31 bits": (change(["equations", 2, "params"], {"axes": [2**40]}), "must be a whole number"),
    "a huge axis": (change(["equations", 2, "params"], {"axes": [10**400]}), "must be a whole number"),
    "wrong shape declared": (change(["equations", 0, "out"], [["float32", [4]]]), "declares float32[4]"),
    "wrong dtype declared": (change(["equations", 0, "out"], [["int32", [3]]]), "declares int32[3]"),
    "an output more declared": (change(["equations", 0, "out"], [F3, F3]), "declares float32[3], float32[3]"),
    "no output declared": (change(["equations", 0, "out"], []), "declares nothing"),
    "shapes that do not fit": (change(["equations", 0, "in"], [0, ["int32", 1]]), "does not fit"),
    "64 bits": (change(["inputs", 0], ["float64", [3]]), "value of type 'float64'"),
    "half of a float": (change(["inputs", 0], ["bfloat16", [3]]), "value of type 'bfloat16'"),
    "a key": (change(["inputs", 0], ["key<fry>", []]), "value of type 'key<fry>'"),
    "an object": (change(["inputs", 0], ["object", []]), "value of type 'object'"),
    "a type in one word": (change(["inputs", 0], "float32"), "no pair"),
    "a size below zero": (change(["inputs", 0], ["float32", [-3]]), "fewer than none"),
    "a size that overflows": (change(["inputs", 0], ["float32", [2**31 - 1, 2**31 - 1]]), "more than 1000000 elements"),
    "a size of many digits": (change(["inputs", 0], ["float32", [10**300]]), "must be a whole number"),
    "axes without end": (change(["inputs", 0], ["float32", [1] * 9]), "at most 8"),
    "inputs without end": (change(["inputs"], [F3] * 300), "at most 256"),
    "a constant that is NaN": (change(["constants", 0, "values"], [0.5, float("nan"), 1.0]), "not finite"),
    "a constant that is infinite": (change(["constants", 0, "values"], [0.5, float("inf"), 1.0]), "not finite"),
    "a constant beyond float32": (change(["constants", 0, "values"], [0.5, 1e39, 1.0]), "not finite or too large"),
    "a constant of many digits": (change(["constants", 0, "values"], [0.5, 10**400, 1.0]), "not finite or too large"),
    "a constant in words": (change(["constants", 0, "values"], [0.5, "1", 1.0]), "constant of float32 that is '1'"),
    "a constant that is true": (change(["constants", 0, "values"], [0.5, True, 1.0]), "that is True"),
    "a constant too short": (change(["constants", 0, "values"], [0.5]), "as many values as its shape"),
    "a constant in bytes": (change(["constants", 0, "values"], "AAAA"), "as many values as its shape"),
    "a literal that is NaN": (change(["equations", 1, "in"], [3, ["float32", float("nan")]]), "not finite"),
    "a literal that is a list": (change(["equations", 1, "in"], [3, ["float32", [1.0]]]), "that is [1.0]"),
    "a byte of 256": (change(["equations", 1, "in"], [3, ["uint8", 256]]), "not finite or too large"),
    "a whole number beyond 32 bits": (change(["equations", 1, "in"], [3, ["int32", 2**31]]), "too large"),
    "a broadcast beyond memory": (
        single("broadcast_in_dim", [0], {"shape": [2**31 - 1, 3], "broadcast_dimensions": [1]}, [F3]),
        "too large",
    ),
    "an iota beyond memory": (
        single("iota", [], {"dtype": "int32", "shape": [2**31 - 1, 2**31 - 1], "dimension": 0}, [["int32", [3]]]),
        "too large",
    ),
    "a pad beyond memory": (
        single("pad", [0, ["float32", 0.0]], {"low": [2**31 - 1], "high": [0], "interior": [0]}, [F3]),
        "too large",
    ),
    "a pad of lists that differ": (
        single("pad", [0, ["float32", 0.0]], {"low": [1], "high": [0, 0], "interior": [0]}, [F3]),
        "does not fit",
    ),
    "a slice beyond its end": (
        single("slice", [0], {"start_indices": [0], "limit_indices": [9], "strides": None}, [["float32", [9]]]),
        "does not fit",
    ),
    "a reshape of another size": (single("reshape", [0], {"new_sizes": [4]}, [["float32", [4]]]), "does not fit"),
    "a conversion to 64 bits": (
        single("convert_element_type", [0], {"new_dtype": "float64"}, [F3]),
        "`new_dtype` of equation 0 of the program is 'float64'",
    ),
    "a mode that nobody knows": (
        single(
            "gather", [0, 0],
            {"offset_dims": [], "collapsed_slice_dims": [0], "start_index_map": [0], "operand_batching_dims": [],
             "start_indices_batching_dims": [], "slice_sizes": [1], "mode": "wild", "fill_value": None}, [F3],
        ),
        "`mode` of equation 0 of the program is 'wild'",
    ),
    "a way of rounding that nobody knows": (single("round", [0], {"rounding_method": 7}, [F3]), "does not fit"),
    "more largest than there are": (
        single("top_k", [0], {"k": 9, "axis": 0}, [["float32", [9]], ["int32", [9]]]),
        "does not fit",
    ),
    "a sort of nothing": (single("sort", [], {"dimension": 0, "is_stable": True, "num_keys": 1}, []), "has 0 operands"),
    "logic of floats": (single("and", [0, 0], {}, [F3]), "does not fit"),
    "a scan without its body": (GOOD | {"equations": [single("scan", [0], {}, [F3])["equations"][0]]}, "exactly the"),
    "a scan of a billion steps": (GOOD | {"equations": [scan(length=10**9)], "outputs": [3]}, "runs 1000000000 times"),
    "a scan of minus one step": (GOOD | {"equations": [scan(length=-1)], "outputs": [3]}, "runs -1 times"),
    "a scan that carries more than it has": (GOOD | {"equations": [scan(carry=2)], "outputs": [3]}, "fewer than it"),
    "a scan of negative parts": (GOOD | {"equations": [scan(consts=-1, carry=2)], "outputs": [3]}, "fewer than it"),
    "a scan over values of another length": (
        GOOD | {"equations": [scan(carry=0)], "outputs": [3]}, "that do not have 5 entries"),
    "a scan whose body takes something else": (
        GOOD | {"equations": [scan(body=GOOD)], "outputs": [3]}, "is given float32[3]"),
    "a scan whose body changes its state": (
        GOOD | {"equations": [scan(body=BODY | {"outputs": [["float32", 1.0]]})], "outputs": [3]}, "what it carries"),
    "a scan with a callback inside": (
        GOOD | {"equations": [scan(body=custom_call("pure_callback"))], "outputs": [3]}, "not on the list"),
    "scans inside each other": (nested(6), "scans inside each other"),
    "work that multiplies": (
        {"inputs": [["float32", [400]]], "constants": [], "outputs": [1], "equations": [
            {"op": "scan", "in": [0], "out": [["float32", [400]]], "params": {
                "length": 128, "reverse": False, "consts": 0, "carry": 1, "body": {
                    "inputs": [["float32", [400]]], "constants": [], "outputs": [1], "equations": [
                        {"op": "scan", "in": [0], "out": [["float32", [400]]], "params": {
                            "length": 128, "reverse": False, "consts": 0, "carry": 1, "body": {
                                "inputs": [["float32", [400]]], "constants": [], "outputs": [1], "equations": [
                                    {"op": "exp", "in": [0], "params": {}, "out": [["float32", [400]]]}]}}}]}}}]},
        "computes more than 10000000"),
    "a product that is too much": (
        single("dot_general", [0, 0], {"contracted": [[], []], "batched": [[], []], "preferred_element_type": None},
               [["float32", [900, 900, 900, 900]]], [["float32", [900, 900]]]),
        "more than 1000000 elements"),
    "equations without any end": (
        GOOD | {"equations": [{"op": "neg", "in": [0], "params": {}, "out": [F3]}] * 20_001}, "at most 20000"),
    "equations without end": (
        GOOD | {"equations": [{"op": "neg", "in": [0], "params": {}, "out": [F3]}] * 2_001}, "more than 2000"),
}  # fmt: skip


@pytest.mark.parametrize(("forged", "words"), FORGED.values(), ids=FORGED)
def test_forged_programs(forged, words):
    with pytest.raises(Refused) as caught:
        read_program(forged, Limits())
    assert caught.value.gate == "G4"
    assert words in caught.value.sentence
    assert caught.value.sentence.count("\n") == 0
    assert len(caught.value.sentence) < 300


LIMITED = {
    "constants": ({"constant_bytes": 11}, "take more than 11 bytes"),
    "equations": ({"equations": 2}, "more than 2 equations"),
    "elements": ({"elements": 2}, "more than 2 elements"),
    "work": ({"work": 15}, "more than 15 elements"),
}


@pytest.mark.parametrize(("limits", "words"), LIMITED.values(), ids=LIMITED)
def test_limits_bind(limits, words):
    with pytest.raises(Refused, match=words):
        read_program(GOOD, Limits(**limits))


def test_equations_in_bodies_count():
    two = GOOD | {"equations": [scan()], "outputs": [3]}
    read_program(two, Limits(equations=2))
    with pytest.raises(Refused, match="more than 1 equations"):
        read_program(two, Limits(equations=1))


def test_a_good_program():
    program = read_program(json.loads(json.dumps(GOOD)), Limits())
    assert program.gives == (Type("float32", ()),)
    assert program.work == 6 + 6 + 4  # elements read by the largest operand, and written
    x = jnp.array([1.0, 2.0, 3.0])
    (value,) = jax.jit(rebuilt(program))(x, 0.0)
    assert value == 0.5 + 2.0 + 6.0 + 3 * 1.5
    with pytest.raises(Refused, match="other inputs"):
        read_program(GOOD, Limits(), inputs=(Type("float32", (3,)),))


def test_a_good_scan():
    program = read_program({"inputs": [F3], "constants": [], "equations": [scan()], "outputs": [1]}, Limits())
    assert program.work == 5 * 6 + 3
    np.testing.assert_array_equal(rebuilt(program)(jnp.zeros(3))[0], np.full(3, 5.0))


def test_digests_are_of_the_content():
    assert digest(GOOD) == digest(json.loads(json.dumps(GOOD)))
    assert digest(GOOD) != digest(change(["outputs"], [4]))


VALUES = [None, True, -1, 0, 1, 3, 10**9, 2**31, 10**400, 1.5, float("inf"), float("nan"), "", "x", "int32", "add",
          "scan", "gather", [], {}, [[]], [0], ["float32", [3]], ["float32", 1.0]]  # fmt: skip


def places(value, path=()):
    """The path of every entry of a document."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, entry in entries:
        yield (*path, name)
        yield from places(entry, (*path, name))


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_changed_is_refused_or_sound(seed):
    """No entry that is replaced, lost or doubled leads to anything but a refusal or a program that is traced again."""
    draw = random.Random(seed)
    whole = GOOD | {"equations": [*GOOD["equations"], scan()]}
    refused = 0
    for _ in range(250):
        forged = copy.deepcopy(whole)
        way: Any
        *way, last = draw.choice(list(places(forged)))
        owner: Any = forged
        for step in way:
            owner = owner[step]
        match draw.choice(["replace", "replace", "lose", "double"]):
            case "replace":
                owner[last] = copy.deepcopy(draw.choice(VALUES))
            case "lose":
                del owner[last]
            case _ if isinstance(owner, list):
                owner.insert(int(last), copy.deepcopy(owner[-1]))
        try:
            program = read_program(forged, Limits())
        except Refused:
            refused += 1
        else:
            jax.eval_shape(rebuilt(program), *(jax.ShapeDtypeStruct(x.shape, x.dtype) for x in program.inputs))
    assert 150 < refused < 250


# ---------------------------------------------------------------------------------------------------------------------
# What is traced comes back


def through(function, *inputs):
    """A function, by way of JSON."""
    document = encode(jax.make_jaxpr(function)(*inputs))
    made = rebuilt(read_program(json.loads(json.dumps(document)), Limits()))
    return lambda *xs: made(*xs)


TRACED = {
    "nested calls": lambda x: jax.jit(lambda y: jax.jit(jnp.tanh)(y) + y)(x) * jax.nn.relu(x),
    "a call twice": lambda x: jax.jit(jnp.cos)(x) + jax.jit(jnp.cos)(2 * x),
    "a constant": lambda x: x @ np.arange(9.0, dtype=np.float32).reshape(3, 3),
    "a constant in a call": lambda x: jax.jit(lambda y: y + np.arange(3.0, dtype=np.float32))(x),
    "a branch": lambda x: jax.lax.cond(x[0, 0] > 0, lambda: x, lambda: -2 * x),
    "three branches": lambda x: jax.lax.switch(jnp.int32(x[0, 0]), [lambda y: y, jnp.negative, jnp.square], x),
    "a scan": lambda x: jax.lax.scan(lambda c, y: (c + y, c * y), x[0], x)[1],
    "a scan backwards": lambda x: jax.lax.scan(lambda c, y: (c + y, c * y), x[0], x, reverse=True)[1],
    "a scan with what it needs": lambda x: jax.lax.scan(lambda c, y: (c + y @ x.T @ x, 0.0), x[0], x)[0],
    "a scan in a scan": lambda x: jax.lax.fori_loop(
        0, 3, lambda k, c: jax.lax.fori_loop(0, 2, lambda j, d: d * 0.5, c) + k, x
    ),
    "softmax": lambda x: jax.nn.softmax(x),
    "a stack": lambda x: jnp.stack([x, 2 * x], axis=-1),
    "tiles": lambda x: jnp.tile(x, (2, 3)),
    "sorting": lambda x: jnp.take_along_axis(x, jnp.argsort(x, axis=1), axis=1),
    "an entry set": lambda x: x.at[1, 2].set(5.0).at[0].add(1.0),
    "rows taken": lambda x: jnp.take(x, jnp.argmin(x, axis=0), axis=0),
    "einsum": lambda x: jnp.einsum("ij,kj->ik", x, x),
    "a norm": lambda x: jnp.linalg.norm(x, axis=-1),
    "a map": lambda x: jax.vmap(lambda row: row[jnp.argmax(row)])(x),
    "an input as it came": lambda x: (x, jnp.float32(2.0)),
}  # fmt: skip


@pytest.mark.parametrize("function", TRACED.values(), ids=TRACED)
def test_traced_functions_come_back_bit_for_bit(function):
    x = np.random.default_rng(3).normal(size=(4, 3)).astype(np.float32)
    wanted, found = jax.tree.leaves(jax.jit(function)(x)), jax.jit(through(function, x))(x)
    assert [a.dtype for a in wanted] == [b.dtype for b in found]
    jax.tree.map(np.testing.assert_array_equal, wanted, found)


REFUSED = {
    "callback": (lambda x: jax.pure_callback(np.sin, x, x), "callback into Python"),
    "print": (lambda x: jax.debug.print("{}", x) or x, "effects"),
    "a loop without a bound": (lambda x: jax.lax.while_loop(lambda y: y[0] > 0, lambda y: y - 1, x), "known bound"),
    "random numbers": (lambda x: x + jax.random.normal(jax.random.key(0), (3,)), "random"),
    "a library": (lambda x: jnp.linalg.inv(jnp.outer(x, x)), "not on the list"),
    "unsigned numbers": (lambda x: x.astype(jnp.uint32), "uint32"),
    "halves": (lambda x: x.astype(jnp.bfloat16), "bfloat16"),
    "complex numbers": (lambda x: jnp.fft.fft(x).real, "complex64"),
    "infinity": (lambda x: jnp.where(x > 0, x, jnp.inf), "not finite"),
    "a precision of their own": (lambda x: jnp.dot(x, x, precision="highest"), "option 'precision'"),
}


@pytest.mark.parametrize(("function", "words"), REFUSED.values(), ids=REFUSED)
def test_what_programs_do_not_have(function, words):
    with pytest.raises(Refused, match=words) as caught:
        through(function, np.ones(3, np.float32))
    assert caught.value.gate == "G4"


def test_derivatives_are_of_the_equations():
    def function(x):
        return jnp.sum(jnp.tanh(x) ** 2 / (1.0 + x * x))

    assert jax.grad(lambda y: through(jax.nn.relu, y)(y)[0])(jnp.float32(0.0)) == 0.5  # and not 0: `max` has a tie
    x = np.linspace(-2, 2, 7, dtype=np.float32)
    made = through(function, x)
    np.testing.assert_allclose(jax.grad(lambda y: made(y)[0])(x), jax.grad(function)(x), rtol=1e-6)
    np.testing.assert_allclose(
        jax.jvp(lambda y: made(y)[0], (x,), (x,))[1], jax.jvp(function, (x,), (x,))[1], rtol=1e-6
    )
