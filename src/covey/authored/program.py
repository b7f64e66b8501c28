"""A program made of data: a traced function as JSON, and how it runs.

    {"inputs": [["float32", [2]], ...],
     "constants": [{"type": ["float32", [3]], "values": [0.5, 1.0, 2.0]}, ...],
     "equations": [{"op": "mul", "in": [0, ["float32", 2.0]], "params": {}, "out": [["float32", [2]]]}, ...],
     "outputs": [7]}

Values are numbered: inputs, constants, then the outputs of each equation in order; an operand is such a number or a
literal `[dtype, value]`. A `scan` of known length carries another such program as its `body`. There is nothing else.

`covey.authored.program_reader:read_program` makes a `Program` of it, and trusts no entry. `rebuilt` then runs the
equations one after the other with `jax.lax`, so that the result compiles, maps and differentiates as if it had been
written here.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from covey.authored.operations import OPERATIONS


class Type(NamedTuple):
    """Of one value."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape)


class Literal(NamedTuple):
    """A number where an operand stands, []."""

    dtype: str
    value: Any

    def array(self) -> np.ndarray:
        return np.array(self.value, self.dtype)


class Equation(NamedTuple):
    """outputs = op(*operands, **params). Of a scan, `body` is its program."""

    op: str
    operands: tuple[int | Literal, ...]
    params: dict[str, Any]
    outputs: tuple[Type, ...]
    body: Program | None = None


class Program(NamedTuple):
    """A checked program. `types` has the type of every numbered value, `work` is what one view costs."""

    inputs: tuple[Type, ...]
    constants: tuple[np.ndarray, ...]
    equations: tuple[Equation, ...]
    outputs: tuple[int | Literal, ...]
    types: tuple[Type, ...]
    work: int

    @property
    def gives(self) -> tuple[Type, ...]:
        return tuple(self.type_of(output) for output in self.outputs)

    def type_of(self, operand: int | Literal) -> Type:
        return Type(operand.dtype, ()) if isinstance(operand, Literal) else self.types[operand]


def digest(document: Any) -> str:
    """SHA-256 of a program's JSON."""
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


# ---------------------------------------------------------------------------------------------------------------------
# Running


def rebuilt(program: Program) -> Callable[..., list[Any]]:
    """The function of a program: arrays of its inputs' types -> list of its outputs."""

    def function(*inputs: Any) -> list[Any]:
        values = [*inputs, *program.constants]
        for equation in program.equations:
            values.extend(_run(equation, [_operand(x, values) for x in equation.operands]))
        return [jnp.asarray(_operand(x, values)) for x in program.outputs]

    return function


def _operand(operand: int | Literal, values: list[Any]) -> Any:
    return operand.array() if isinstance(operand, Literal) else values[operand]


def _run(equation: Equation, operands: list[Any]) -> list[Any]:
    if equation.body is not None:
        return _run_scan(equation, operands)
    made = OPERATIONS[equation.op].call(*operands, **equation.params)
    return list(made) if isinstance(made, (list, tuple)) else [made]


def _run_scan(equation: Equation, operands: list[Any]) -> list[Any]:
    assert equation.body is not None
    consts, carry, length = (equation.params[name] for name in ("consts", "carry", "length"))
    fixed, begin, over = operands[:consts], operands[consts : consts + carry], operands[consts + carry :]
    body = rebuilt(equation.body)

    def step(state: list[Any], x: list[Any]) -> tuple[list[Any], list[Any]]:
        made = body(*fixed, *state, *x)
        return made[:carry], made[carry:]

    begin = [jnp.asarray(x) for x in begin]
    end, stacked = lax.scan(step, begin, over, length, reverse=equation.params["reverse"])
    return [*end, *stacked]
