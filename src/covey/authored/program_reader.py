"""How a program is checked (gate G4): every name is known, every size bounded, the type of every value derived anew and
compared with what is declared."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

import jax
import numpy as np

from covey.authored.limits import Limits
from covey.authored.operations import DTYPES, MODES, MOST_ENTRIES, MOST_NUMBER, OPERATIONS, Operation
from covey.authored.program import Equation, Literal, Program, Type
from covey.authored.refusal import Refused

MOST_AXES = 8
MOST_INPUTS = 256
MOST_SCANS = 4
"""Scans inside each other."""


@dataclasses.dataclass
class _Budget:
    """What is left of the limits while a program is read."""

    equations: int
    constant_bytes: int
    work: int


def read_program(document: Any, limits: Limits, inputs: tuple[Type, ...] | None = None) -> Program:
    """The program that a JSON value describes; Refused (G4) where anything about it is not as it must be.

    inputs: the types that it has to take.
    """
    budget = _Budget(limits.equations, limits.constant_bytes, limits.work)
    program = _Reader(limits, budget, "the program", 1, 0).read(document)
    if inputs is not None and program.inputs != inputs:
        refuse("the program takes other inputs than the contract names")
    return program


def refuse(what: str) -> NoReturn:
    raise Refused("G4", f"{what}.")


class _Reader(NamedTuple):
    """Reads one program. `trips`: how often it runs, because of the scans around it; `depth`: how many these are."""

    limits: Limits
    budget: _Budget
    place: str
    trips: int
    depth: int

    def read(self, document: Any) -> Program:
        entries = self.record(document, self.place, "inputs", "constants", "equations", "outputs")
        inputs = tuple(self.type(x) for x in self.list(entries["inputs"], MOST_INPUTS, "inputs"))
        constants = tuple(self.constant(x) for x in self.list(entries["constants"], MOST_INPUTS, "constants"))
        types = [*inputs, *(Type(str(x.dtype), x.shape) for x in constants)]
        equations = []
        for number, entry in enumerate(self.list(entries["equations"], 10 * self.limits.equations, "equations")):
            reader = self._replace(place=f"equation {number} of {self.place}")
            equation = reader.equation(entry, types)
            equations.append(equation)
            types.extend(equation.outputs)
        outputs = self.operands(entries["outputs"], types, "outputs")
        spent = self.limits.work - self.budget.work
        return Program(inputs, constants, tuple(equations), outputs, tuple(types), spent)

    def equation(self, entry: Any, types: list[Type]) -> Equation:
        named = self.record(entry, self.place, "op", "in", "params", "out")
        self.budget.equations -= 1
        if self.budget.equations < 0:
            refuse(f"the program has more than {self.limits.equations} equations")
        op = named["op"]
        if not isinstance(op, str) or not (op in OPERATIONS or op == "scan"):
            refuse(f"{self.place} uses {_shown(op)}, which is not on the list of operations")
        operands = self.operands(named["in"], types, "operands")
        outputs = tuple(self.type(x) for x in self.list(named["out"], MOST_ENTRIES, "outputs"))
        of = [Type(x.dtype, ()) if isinstance(x, Literal) else types[x] for x in operands]
        if op == "scan":
            equation = self.scan(named["params"], operands, of, outputs)
        else:
            equation = self.operation(op, named["params"], operands, of, outputs)
        if outputs != equation.outputs:
            refuse(f"{self.place} ({op}) declares {_types(outputs)}, but gives {_types(equation.outputs)}")
        return equation

    def operation(self, op: str, params: Any, operands: Any, of: list[Type], declared: tuple[Type, ...]) -> Equation:
        operation = OPERATIONS[op]
        least, most = operation.operands
        if not least <= len(of) <= most:
            refuse(f"{self.place} ({op}) has {len(of)} operands")
        entries = self.record(params, f"`params` of {self.place}", *operation.params)
        values = {name: self.param(kind, entries[name], name) for name, kind in operation.params.items()}
        given = tuple(derive_types(operation, of, values, f"{self.place} ({op})"))
        for made in given:
            if made.size > self.limits.elements or len(made.shape) > MOST_AXES or made.dtype not in DTYPES:
                refuse(f"{self.place} ({op}) gives {_types((made,))}, which is too large or of another kind")
        shapes = [x.shape for x in of]
        self.spend(sum(x.size for x in given) + operation.cost(shapes, values) + max([0, *(x.size for x in of)]))
        return Equation(op, operands, values, given)

    def scan(self, params: Any, operands: Any, of: list[Type], declared: tuple[Type, ...]) -> Equation:
        entries = self.record(params, f"`params` of {self.place}", "length", "reverse", "consts", "carry", "body")
        length, consts, carry = (self.whole(entries[name], name) for name in ("length", "consts", "carry"))
        reverse = self.param("bool", entries["reverse"], "reverse")
        if not 0 <= length <= self.limits.trips:
            refuse(f"{self.place} (scan) runs {length} times, more than {self.limits.trips}")
        if self.depth >= MOST_SCANS:
            refuse(f"the program has more than {MOST_SCANS} scans inside each other")
        if consts < 0 or carry < 0 or consts + carry > len(of):
            refuse(f"{self.place} (scan) has {len(of)} operands, fewer than it says")
        over = of[consts + carry :]
        if any(not x.shape or x.shape[0] != length for x in over):
            refuse(f"{self.place} (scan) goes over values that do not have {length} entries")
        place, trips = f"the body of {self.place}", self.trips * max(length, 1)
        body = self._replace(place=place, trips=trips, depth=self.depth + 1).read(entries["body"])
        taken = (*of[: consts + carry], *(Type(x.dtype, x.shape[1:]) for x in over))
        if body.inputs != taken:
            refuse(f"{place} takes {_types(body.inputs)}, and is given {_types(taken)}")
        state, stacked = body.gives[:carry], body.gives[carry:]
        if len(body.gives) < carry or state != taken[consts : consts + carry]:
            refuse(f"{place} does not give what it carries")
        given = (*state, *(Type(x.dtype, (length, *x.shape)) for x in stacked))
        if any(x.size > self.limits.elements or len(x.shape) > MOST_AXES for x in given):
            refuse(f"{self.place} (scan) gives a value of more than {self.limits.elements} elements")
        self.spend(sum(x.size for x in given))
        values = {"length": length, "reverse": reverse, "consts": consts, "carry": carry}
        return Equation("scan", operands, values, given, body)

    def spend(self, work: int) -> None:
        self.budget.work -= work * self.trips
        if self.budget.work < 0:
            refuse(f"the program computes more than {self.limits.work} elements for one view")

    # -- entries

    def record(self, value: Any, what: str, *names: str) -> dict[str, Any]:
        if not isinstance(value, dict) or set(value) != set(names):
            wanted = f"exactly the entries {', '.join(names)}" if names else "no entries"
            refuse(f"{what} must have {wanted}")
        return value

    def list(self, value: Any, most: int, what: str) -> list[Any]:
        if not isinstance(value, list) or len(value) > most:
            refuse(f"the {what} of {self.place} must be a list of at most {most}")
        return value

    def whole(self, value: Any, what: str, most: int = MOST_NUMBER) -> int:
        if type(value) is not int or abs(value) > most:
            refuse(f"`{what}` of {self.place} must be a whole number within ±{most}")
        return value

    def wholes(self, value: Any, what: str) -> tuple[int, ...]:
        return tuple(self.whole(x, what) for x in self.list(value, MOST_ENTRIES, what))

    def type(self, value: Any) -> Type:
        dtype, shape = self.pair(value, "a type")
        if dtype not in DTYPES:
            refuse(f"{self.place} has a value of type {_shown(dtype)}; there are {', '.join(DTYPES)}")
        sizes = tuple(self.whole(x, "shape") for x in self.list(shape, MOST_AXES, "axes"))
        if any(size < 0 for size in sizes) or math.prod(sizes) > self.limits.elements:
            refuse(f"{self.place} has a value of more than {self.limits.elements} elements, or of fewer than none")
        return Type(dtype, sizes)

    def pair(self, value: Any, what: str) -> tuple[Any, Any]:
        if not isinstance(value, list) or len(value) != 2 or not isinstance(value[0], str):
            refuse(f"{self.place} has {what} that is no pair of a word and a value")
        return value[0], value[1]

    def number(self, dtype: str, value: Any) -> Any:
        kinds = {"float32": (int, float), "bool": (bool,)}.get(dtype, (int,))
        if type(value) not in kinds:
            refuse(f"{self.place} has a constant of {dtype} that is {_shown(value)}")
        top = {"float32": 3.4028235e38, "int32": MOST_NUMBER, "uint8": 255, "bool": 1}[dtype]
        low = {"float32": -top, "int32": -top - 1}.get(dtype, 0)
        if not low <= value <= top:
            refuse(f"{self.place} has a constant of {dtype} that is not finite or too large: use 1e9, not infinity")
        return value

    def constant(self, value: Any) -> np.ndarray:
        entries = self.record(value, f"a constant of {self.place}", "type", "values")
        kind = self.type(entries["type"])
        values = entries["values"]
        if not isinstance(values, list) or len(values) != kind.size:
            refuse(f"a constant of {self.place} does not have as many values as its shape")
        self.budget.constant_bytes -= kind.size * np.dtype(kind.dtype).itemsize
        if self.budget.constant_bytes < 0:
            refuse(f"the constants of the program take more than {self.limits.constant_bytes} bytes")
        return np.array([self.number(kind.dtype, x) for x in values], kind.dtype).reshape(kind.shape)

    def operands(self, value: Any, types: list[Type], what: str) -> tuple[int | Literal, ...]:
        return tuple(self.operand(x, len(types)) for x in self.list(value, 4 * MOST_ENTRIES, what))

    def operand(self, value: Any, known: int) -> int | Literal:
        if type(value) is int:
            if not 0 <= value < known:
                refuse(f"{self.place} uses value {value}, which is not there yet")
            return value
        dtype, number = self.pair(value, "an operand")
        if dtype not in DTYPES:
            refuse(f"{self.place} has a value of type {_shown(dtype)}; there are {', '.join(DTYPES)}")
        return Literal(dtype, self.number(dtype, number))

    def param(self, kind: str, value: Any, name: str) -> Any:
        match kind:
            case "int":
                return self.whole(value, name)
            case "ints":
                return self.wholes(value, name)
            case "number?" | "ints?" | "dtype?" if value is None:
                return None
            case "number?":
                return self.number("float32" if isinstance(value, float) else "int32", value)
            case "ints?":
                return self.wholes(value, name)
            case "axes":
                left, right = self.list(value, 2, name) if isinstance(value, list) and len(value) == 2 else ((), None)
                return self.wholes(left, name), self.wholes(right, name)
            case "bool" if isinstance(value, bool):
                return value
            case "dtype" | "dtype?" if value in DTYPES:
                return value
            case "mode" if value in MODES:
                return value
        refuse(f"`{name}` of {self.place} is {_shown(value)}")


def derive_types(operation: Operation, of: list[Type], params: dict[str, Any], place: str) -> Iterator[Type]:
    """The types that an operation gives, by abstract evaluation; Refused (G4) where it does not fit its operands."""
    abstract = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in of]
    try:
        made = jax.eval_shape(lambda *xs: operation.call(*xs, **params), *abstract)
    except Exception as error:  # whatever JAX says of parameters that do not fit
        raise Refused("G4", f"{place} does not fit its operands.", str(error)) from error
    for value in made if isinstance(made, (list, tuple)) else [made]:
        yield Type(str(value.dtype), tuple(value.shape))


def _types(types: tuple[Type, ...]) -> str:
    return ", ".join(f"{x.dtype}{list(x.shape)}" for x in types[:6]) or "nothing"


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 40 else text[:37] + "..."
