"""A traced function as the JSON of `covey.authored.program`. Nobody trusts it: what it writes is read anew."""

from __future__ import annotations

from typing import Any

import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr
from jax.extend.core import Literal as JaxLiteral

from covey.authored.operations import DTYPES, OPERATIONS
from covey.authored.refusal import Refused

INLINED = {"jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "core_call": "call_jaxpr",
           "custom_jvp_call": "call_jaxpr", "custom_vjp_call": "call_jaxpr", "custom_vjp_call_jaxpr": "fun_jaxpr",
           "remat": "jaxpr", "checkpoint": "jaxpr"}  # fmt: skip
"""Calls whose equations are taken as they are. Derivatives that somebody defined by hand are lost with them."""

SILENT = {
    "is_stable",
    "indices_are_sorted",
    "unique_indices",
    "weak_type",
    "update_jaxpr",
    "update_consts",
    "index_dtype",
}
"""Parameters that do not change what is computed."""

REASONS = {
    "while": "a loop without a known bound: use `jax.lax.scan` or a `for` over `range`",
    "pure_callback": "a callback into Python",
    "io_callback": "a callback into Python",
    "debug_callback": "a callback into Python",
    "random_bits": "random numbers",
    "threefry2x32": "random numbers",
    "random_wrap": "random numbers",
    "random_seed": "random numbers",
    "random_unwrap": "random numbers",
}


def encode(closed: ClosedJaxpr) -> dict[str, Any]:
    """The program of a jaxpr; Refused (G4) where it uses what programs do not have."""
    if closed.effects:
        raise Refused("G4", "the function has effects: it may only compute what it returns.")
    return _Encoder().program(closed.jaxpr, closed.consts)


class _Encoder:
    """The numbered values of one program while its equations are written down."""

    def __init__(self) -> None:
        self.numbers: dict[Any, Any] = {}
        self.count = 0
        self.equations: list[dict[str, Any]] = []

    def program(self, jaxpr: Jaxpr, consts: list[Any]) -> dict[str, Any]:
        inputs = [self.type(var.aval) for var in jaxpr.invars]
        for var in jaxpr.invars:
            self.number(var)
        inner = _constants(jaxpr, consts)
        constants = [_constant(value) for value in inner.values()]
        self.known = {id(value): self.fresh() for value in inner.values()}
        self.kept = inner  # alive, so that no id is given twice
        for var, value in zip(jaxpr.constvars, consts, strict=True):
            self.numbers[var] = self.known[id(value)]
        self.inline(jaxpr)
        outputs = [self.operand(var) for var in jaxpr.outvars]
        return {"inputs": inputs, "constants": constants, "equations": self.equations, "outputs": outputs}

    def inline(self, jaxpr: Jaxpr) -> None:
        for equation in jaxpr.eqns:
            name = equation.primitive.name
            if name in INLINED:
                self.call(equation.params[INLINED[name]], equation.invars, equation.outvars)
            elif name == "cond":
                self.choice(equation)
            elif name == "scan":
                self.scan(equation)
            elif name in ("stack", "tile"):
                self.arrange(equation)
            elif not self.skip(equation):
                self.equation(equation)

    def skip(self, equation: Any) -> bool:
        """`max(-inf, x)` and `min(inf, x)` are x: `jax.nn.softmax` writes such, and constants are finite here."""
        neutral = {"max": -np.inf, "min": np.inf}.get(equation.primitive.name)
        for limit, var in (equation.invars, equation.invars[::-1]) if neutral is not None else ():
            if (
                isinstance(limit, JaxLiteral)
                and limit.val == neutral
                and var.aval.shape == equation.outvars[0].aval.shape
            ):
                self.numbers[equation.outvars[0]] = self.operand(var)
                return True
        return False

    def call(self, called: Any, invars: list[Any], outvars: list[Any]) -> None:
        closed = called if isinstance(called, ClosedJaxpr) else None
        jaxpr: Any = called if closed is None else closed.jaxpr
        inner = _Scope(self)
        for var, outer in zip(jaxpr.invars, invars, strict=True):
            inner.saved[var] = self.operand(outer)
        for var, value in zip(jaxpr.constvars, closed.consts if closed is not None else (), strict=True):
            inner.saved[var] = self.known[id(value)]
        given = inner.run(jaxpr)
        for var, number in zip(outvars, given, strict=True):
            self.numbers[var] = number

    def choice(self, equation: Any) -> None:
        """A `cond`: all branches, and a selection among what they give."""
        which, *operands = equation.invars
        branches = []
        for branch in equation.params["branches"]:
            outvars = [object() for _ in branch.jaxpr.outvars]
            self.call(branch, operands, outvars)
            branches.append([self.numbers[var] for var in outvars])
        picked = self.operand(which)
        if len(branches) == 2:
            picked = self.add("ne", [picked, ["int32", 0]], {}, [["bool", []]])[0]
        for var, cases in zip(equation.outvars, zip(*branches, strict=True), strict=True):
            (self.numbers[var],) = self.add("select_n", [picked, *cases], {}, [self.type(var.aval)])

    def arrange(self, equation: Any) -> None:
        """`stack` and `tile`, which older versions of JAX do not have, by what these have."""
        (given,) = (var.aval for var in equation.outvars)
        values = [self.operand(var) for var in equation.invars]
        if equation.primitive.name == "stack":
            axis = int(equation.params["axis"])
            shape = [1 if k == axis else int(size) for k, size in enumerate(given.shape)]
            kept = [k for k in range(len(shape)) if k != axis]
            layers = [self.broadcast(value, shape, kept, given) for value in values]
            (number,) = self.add("concatenate", layers, {"dimension": axis}, [self.type(given)])
        else:
            pairs = zip(equation.params["reps"], equation.invars[0].aval.shape, strict=True)
            shape = [int(size) for pair in pairs for size in pair]
            value = self.broadcast(values[0], shape, list(range(1, len(shape), 2)), given)
            params = {"new_sizes": [int(size) for size in given.shape]}
            (number,) = self.add("reshape", [value], params, [self.type(given)])
        self.numbers[equation.outvars[0]] = number

    def broadcast(self, value: Any, shape: list[int], kept: list[int], like: Any) -> int:
        params = {"shape": shape, "broadcast_dimensions": kept}
        return self.add("broadcast_in_dim", [value], params, [[_dtype(like.dtype), shape]])[0]

    def scan(self, equation: Any) -> None:
        params, body = equation.params, equation.params["jaxpr"]
        if "ft_in" in params:  # since JAX 0.12
            consts, carry, _ = (len(list(part)) for part in params["ft_in"].update(equation.invars).unpack())
        else:
            consts, carry = int(params["num_consts"]), int(params["num_carry"])
        entries = {
            "length": int(params["length"]),
            "reverse": bool(params["reverse"]),
            "consts": consts,
            "carry": carry,
            "body": _Encoder().program(getattr(body, "jaxpr", body), getattr(body, "consts", [])),
        }
        self.write(equation, "scan", entries)

    def equation(self, equation: Any) -> None:
        name = equation.primitive.name
        if name not in OPERATIONS:
            reason = REASONS.get(name, f"the operation {name!r}, which is not on the list of operations")
            raise Refused("G4", f"the function uses {reason}.")
        params = _flat(name, dict(equation.params))
        wanted = OPERATIONS[name].params
        entries = {entry: _plain(params.pop(entry, None)) for entry in wanted}
        for left, value in params.items():
            if left not in SILENT and not (value is None or value == ()):
                raise Refused("G4", f"the operation {name!r} has the option {left!r}, which is not on the list.")
        self.write(equation, name, entries)

    def write(self, equation: Any, name: str, entries: dict[str, Any]) -> None:
        operands = [self.operand(var) for var in equation.invars]
        numbers = self.add(name, operands, entries, [self.type(var.aval) for var in equation.outvars])
        self.numbers.update(zip(equation.outvars, numbers, strict=True))

    def add(self, op: str, operands: list[Any], params: dict[str, Any], types: list[Any]) -> list[int]:
        self.equations.append({"op": op, "in": operands, "params": params, "out": types})
        return [self.fresh() for _ in types]

    def operand(self, var: Any) -> Any:
        if isinstance(var, JaxLiteral):
            return [_dtype(self.type(var.aval)[0]), _number(var.val)]
        return self.numbers[var]

    def number(self, var: Any) -> None:
        self.numbers[var] = self.fresh()

    def fresh(self) -> int:
        self.count += 1
        return self.count - 1

    def type(self, aval: Any) -> list[Any]:
        return [_dtype(aval.dtype), [int(size) for size in aval.shape]]


class _Scope:
    """The variables of a call that is inlined; the same jaxpr may be called several times."""

    def __init__(self, encoder: _Encoder):
        self.encoder = encoder
        self.saved: dict[Any, Any] = {}

    def run(self, jaxpr: Jaxpr) -> list[Any]:
        outer, self.encoder.numbers = self.encoder.numbers, dict(self.saved)
        try:
            self.encoder.inline(jaxpr)
            return [self.encoder.operand(var) for var in jaxpr.outvars]
        finally:
            self.encoder.numbers = outer


def _constants(jaxpr: Jaxpr, consts: list[Any]) -> dict[int, Any]:
    """Every array that a jaxpr holds, also in the calls inside it, once each; scans have programs of their own."""
    found = {id(value): value for value in consts}
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        called = equation.params["branches"] if name == "cond" else [equation.params.get(INLINED.get(name, ""))]
        for inner in called:
            if isinstance(inner, ClosedJaxpr):
                found |= _constants(inner.jaxpr, inner.consts)
            elif isinstance(inner, Jaxpr):
                found |= _constants(inner, [])
    return found


def _constant(value: Any) -> dict[str, Any]:
    array = np.asarray(value)
    values = [_number(x) for x in array.ravel()]
    return {"type": [_dtype(array.dtype), list(array.shape)], "values": values}


def _dtype(dtype: Any) -> str:
    if str(dtype) not in DTYPES:
        raise Refused("G4", f"the function computes with {dtype}: use {', '.join(DTYPES)}.")
    return str(dtype)


def _number(value: Any) -> Any:
    plain = np.asarray(value).item()
    if isinstance(plain, float) and not np.isfinite(plain):
        raise Refused("G4", "the function has a constant that is not finite: use a large number such as 1e9.")
    return plain


def _flat(name: str, params: dict[str, Any]) -> dict[str, Any]:
    """The parameters of JAX by our names: records are taken apart."""
    numbers = params.pop("dimension_numbers", None)
    if name == "dot_general":
        params["contracted"], params["batched"] = numbers
    elif numbers is not None:
        fields = {field: getattr(numbers, field) for field in numbers.__dataclass_fields__ if field != "mode"} \
            if hasattr(numbers, "__dataclass_fields__") else numbers._asdict()  # fmt: skip
        params |= fields
    if name == "pad":
        params["low"], params["high"], params["interior"] = zip(*params.pop("padding_config"), strict=True) or ((),) * 3
    if "fill_value" in params:
        params["fill_value"] = _fill(params["fill_value"])
    if name == "reshape" and list(params.get("dimensions") or ()) == sorted(params.get("dimensions") or ()):
        params.pop("dimensions", None)
    if name == "top_k":
        params.setdefault("axis", -1)
    if "mode" in params:
        words = {"CLIP": "clip", "FILL_OR_DROP": "fill", "PROMISE_IN_BOUNDS": "promise_in_bounds"}
        params["mode"] = words[params["mode"].name]
    if "rounding_method" in params:
        params["rounding_method"] = int(params["rounding_method"])
    return params


def _fill(value: Any) -> Any:
    """What a gather gives out of bounds; None where that is JAX's own choice, NaN, true or the least whole number."""
    own = value is None or value != value or value is True or value == np.iinfo(np.int32).min
    return None if own else _number(value)


def _plain(value: Any) -> Any:
    """A parameter as JSON."""
    if value is None or isinstance(value, (bool, str, float)):
        return value
    if isinstance(value, (tuple, list)):
        return [_plain(x) for x in value]
    if isinstance(value, np.dtype):
        return str(value)
    return int(value)
