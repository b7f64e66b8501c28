"""`check_algorithm`: an algorithm on an environment, held to the laws. Problems come back as sentences."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from covey.core.algorithm import Algorithm
from covey.core.types import Groups, Spec, action_shape
from covey.testing.laws import LAWS, LAWS_OF_DEVICES, LAWS_ON_DISK, Pair, Silent


def check_algorithm(make: Callable[[Spec], Algorithm], environment: Any) -> list[str]:
    """Problems of the algorithm `make(spec)` on `environment`, in plain sentences; none is good news.

    Runs the laws of `covey.testing.laws` on a few iterations, with at least one update (so keep `plan.warmup` small).
    The environment should have passed `check_environment`.
    """
    algorithm = make(environment.spec)
    problems = interface_problems(algorithm, environment)
    if problems:
        return problems
    pair = Pair(algorithm, environment)
    laws: list[Callable[[], None]] = [partial(law, pair) for law in LAWS]
    laws += [partial(law, pair) for law in LAWS_OF_DEVICES if len(jax.devices()) > 1]
    with tempfile.TemporaryDirectory() as folder:
        for law in LAWS_ON_DISK:
            own = Path(folder) / law.__name__
            own.mkdir()
            laws.append(partial(law, pair, own))
        return [problem for law in laws for problem in _broken(law)]


def _broken(law: Any) -> list[str]:
    try:
        law()
    except AssertionError as broken:
        return [str(broken)]
    except Silent:
        return []
    except Exception as error:
        name = law.func.__name__.removeprefix("law_").replace("_", " ")
        return [f"the law {name!r} could not be tried: {type(error).__name__}: {str(error).splitlines()[0]}"]
    return []


# ---------------------------------------------------------------------------------------------------------------------
# The interface


def interface_problems(algorithm: Any, environment: Any) -> list[str]:
    """What keeps an algorithm from running at all; found without compiling anything."""
    if not isinstance(algorithm, Algorithm):
        return [f"the factory made a {type(algorithm).__name__}, not a covey.core.algorithm.Algorithm."]
    spec, groups = environment.spec, set(algorithm.groups)
    if groups != set(spec.groups):
        return [
            f"the algorithm controls {sorted(groups)} of the environment's {sorted(spec.groups)}: control all of them."
        ]
    for stage in (_state_problems, _action_problems, _learn_problems):
        try:
            problems = stage(algorithm, environment)
        except Exception as error:
            first = (str(error).strip() or "no message").splitlines()[0]
            return [f"{stage.__doc__} raised {type(error).__name__}: {first}"]
        if problems:
            return problems
    return []


def _state_problems(algorithm: Algorithm, environment: Any) -> list[str]:
    """`init` or `memory`"""
    key = jax.random.key(0)
    made = {"init": algorithm.init(key, 2), "memory": algorithm.memory(key)}
    return [
        f"`{method}` returned a {type(leaf).__name__} at {jax.tree_util.keystr(path)}: every leaf has to be an array."
        for method, tree in made.items()
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        if not hasattr(leaf, "dtype")
    ]


def _abstract(algorithm: Algorithm, environment: Any) -> tuple[Any, Any, Any, Any]:
    """Shapes of a state, a memory, a time step and a key."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    state = jax.eval_shape(partial(algorithm.init, lanes=2), key)
    return state, jax.eval_shape(algorithm.memory, key), jax.eval_shape(environment.reset, key)[1], key


def _action_problems(algorithm: Algorithm, environment: Any) -> list[str]:
    """`act`"""
    state, memory, now, key = _abstract(algorithm, environment)
    step = jax.ShapeDtypeStruct((), jnp.int32)
    problems = []
    for explore in (True, False):
        action, remembered, _ = jax.eval_shape(partial(algorithm.act, explore=explore), state, memory, now, key, step)
        problems += _wrong_actions(environment.spec, action)
        if _kinds(remembered) != _kinds(memory):
            problems.append(f"`act` (explore={explore}) returned another kind of memory than `memory` made.")
    return list(dict.fromkeys(problems))


def _wrong_actions(spec: Spec, action: Groups) -> list[str]:
    problems = []
    for name, group in spec.groups.items():
        shape, dtype = action_shape(group.action)
        wanted = f"{dtype}{[group.size, *shape]}"
        found = f"{action[name].dtype}{list(action[name].shape)}" if name in action else "absent"
        if found != wanted:
            problems.append(f"the action of group {name!r} is {found}, and its space asks for {wanted}.")
    return problems


def _learn_problems(algorithm: Algorithm, environment: Any) -> list[str]:
    """`learn`"""
    from covey.core import loop

    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 1))
    run = jax.eval_shape(partial(loop.start, environment, algorithm, lanes=2), keys)
    after, _ = jax.eval_shape(partial(loop.iterate, environment, algorithm), run)
    if _kinds(after.agent) != _kinds(run.agent):
        return [
            "`learn` returned another kind of state than `init` made: the same structure, shapes and dtypes are needed."
        ]
    return []


def _kinds(tree: Any) -> Any:
    """Structure, shapes and dtypes."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(leaf.shape, leaf.dtype) for leaf in leaves]
