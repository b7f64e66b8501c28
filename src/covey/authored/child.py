"""The child that parses and traces: the only place where text of a language model is executed.

Run in the cage by `covey.authored.gates`, never imported. It reads a request from its standard input, sets its limits,
looks whether its cage holds, checks the text statically (G1, G2), executes the definitions, traces both functions with
abstract values (G3), and answers with two programs made of data. The answer is not trusted by whoever reads it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from covey.authored.allow_list import BUILTINS, FUNCTIONS, check_static, parse, statements
from covey.authored.confinement import serve
from covey.authored.refusal import Refused


def main(request: dict[str, Any]) -> dict[str, Any]:
    """The programs of a source text, and the names of the reward's sub-goals."""
    tree = parse(request["source"])
    check_static(tree)
    functions = define(tree)
    programs, goals = {}, []
    for name in FUNCTIONS:
        programs[name], goals = trace(name, functions[name], request["contract"])
    return {"programs": programs, "goals": goals}


def define(tree: ast.Module) -> dict[str, Callable]:
    """The functions that the text defines, in a namespace of their own."""
    import builtins

    import jax

    namespace: dict[str, Any] = {"jax": jax, "jnp": jax.numpy, "lax": jax.lax}
    namespace["__builtins__"] = {name: getattr(builtins, name) for name in BUILTINS}
    module = ast.Module(body=list(statements(tree)), type_ignores=[])
    try:
        exec(compile(module, "<authored>", "exec"), namespace)
    except Exception as error:
        raise Refused("G3", f"the functions cannot be defined: {_words(error)}.", str(error)) from error
    return {name: namespace[name] for name in FUNCTIONS}


def trace(name: str, function: Callable, contract: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A function's program for the inputs of a contract, and the names of what it returns beside its value."""
    import jax
    import numpy as np

    from covey.authored.encoding import encode

    names = [(entry, tuple(shape)) for entry, shape in contract["view"]]
    shapes = [jax.ShapeDtypeStruct(shape, np.float32) for _, shape in names]
    shapes += [jax.ShapeDtypeStruct((), np.float32)] * len(contract["constants"])
    goals: list[str] = []

    def flat(*values: Any) -> list[Any]:
        view = {entry: value for (entry, _), value in zip(names, values[: len(names)], strict=True)}
        p = dict(zip(contract["constants"], values[len(names) :], strict=True))
        made = function(view, p)
        value, more = made if name == "reward" and isinstance(made, tuple) and len(made) == 2 else (made, {})
        if not isinstance(more, dict) or not all(isinstance(key, str) for key in more):
            raise Refused("G3", "the reward must return a number, or a number and a dict of named sub-goals.")
        goals.extend(sorted(more))
        return [_check_output(f"{name!r}", value, tuple(contract["gives"][name])), *(
            _check_output(f"the sub-goal {goal!r}", more[goal], ()) for goal in sorted(more)
        )]  # fmt: skip

    try:
        closed = jax.make_jaxpr(flat)(*shapes)
    except Refused:
        raise
    except (Exception, RecursionError, MemoryError) as error:
        raise Refused("G3", f"{name!r} cannot be traced: {_words(error)}.", str(error)) from error
    return encode(closed), goals


def _check_output(what: str, value: Any, shape: tuple[int, ...]) -> Any:
    import jax.numpy as jnp

    try:
        value = jnp.asarray(value)
    except Exception as error:
        raise Refused("G3", f"{what} returns no array: {_words(error)}.", str(error)) from error
    if value.shape != shape or value.dtype != jnp.float32:
        found, wanted = f"{value.dtype}{list(value.shape)}", f"float32{list(shape)}"
        raise Refused("G3", f"{what} returns {found}, and has to return {wanted}.")
    return value


def _words(error: BaseException) -> str:
    """The kind of an error and where the text met it."""
    line, step = None, error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == "<authored>":
            line = step.tb_lineno
        step = step.tb_next
    return f"{type(error).__name__}{'' if line is None else f' in line {line}'}"


if __name__ == "__main__":
    serve(main)
