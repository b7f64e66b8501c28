"""The structure of an environment: is its spec sound, and do `reset` and `step` return what the spec announces?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from covey.core.errors import BadInput
from covey.core.types import (
    Box,
    Discrete,
    Field,
    Fields,
    Group,
    MultiDiscrete,
    Space,
    Spec,
    Splits,
    TimeStep,
    action_shape,
    action_size,
    by_name,
    fields_shape,
)

PER_AGENT = {"reward": "float32", "discount": "float32", "alive": "bool"}


# ---------------------------------------------------------------------------------------------------------------------
# Specs


def spec_problems(environment: Any) -> list[str]:
    """Problems of `environment.spec`."""
    spec = environment.spec
    if not isinstance(spec, Spec):
        return [f"`spec` is a {type(spec).__name__}, not a covey.core.types.Spec."]
    try:
        hash(spec)
    except TypeError as error:
        return [
            f"the spec is not hashable ({error}): use tuples instead of lists, and a `Table` of the groups, not a dict."
        ]
    problems = []
    if environment.spec != spec:
        problems.append("two reads of `spec` differ: it has to be the same before, during and after a run.")
    if not spec.groups:
        problems.append("the spec has no groups: an environment needs at least one agent.")
    if spec.time_limit is not None and spec.time_limit < 1:
        problems.append(f"the spec's time limit is {spec.time_limit}: it has to be at least 1, or None.")
    names = [name for group in spec.groups.values() for name in group.names]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        problems.append(f"the agents {twice} are named twice: names have to differ over all groups.")
    for name, group in spec.groups.items():
        problems += _group_problems(name, group)
    return problems + _fields_problems("the global state", spec.state, agents=None)


def _group_problems(name: str, group: Group) -> Iterator[str]:
    if not group.names:
        yield f"group {name!r} has no agents: name them in `Group.names`."
    if not group.obs:
        yield f"group {name!r} observes nothing: give its `obs` a Field."
    yield from _fields_problems(f"the observation of group {name!r}", group.obs, len(group.names))
    yield from _space_problems(name, group.action)


def _fields_problems(whose: str, fields: Fields, agents: int | None) -> list[str]:
    """Problems of fields; those of a global state, which nobody has (`agents` None), share one vector."""
    problems = [problem for field in fields for problem in _field_problems(whose, field, agents)]
    try:
        by_name(fields, fields)
        if fields and agents is None:
            fields_shape(fields)
    except BadInput as error:
        problems.append(f"{whose}: {error}")
    return problems


def _field_problems(whose: str, field: Field, agents: int | None) -> Iterator[str]:
    if any(size < 1 for size in field.shape):
        yield f"{whose} has the field {field.name!r} of shape {field.shape}: every axis needs at least one entry."
    try:
        np.dtype(field.dtype)
    except TypeError:
        yield f"{whose} has the field {field.name!r} with the dtype {field.dtype!r}, which NumPy does not know."
    if field.listed and len(field.shape) < 2:
        yield f"{whose} has the list {field.name!r} of shape {field.shape}: it needs an axis of rows and others."
    if field.valid is None or agents is None:
        return
    if len(field.valid) != agents:
        yield f"{whose} has {agents} agents and the field {field.name!r} gives {len(field.valid)} counts in `valid`."
    elif not all(0 <= count <= field.size for count in field.valid):
        yield f"{whose} has the field {field.name!r} with `valid` outside 0 to {field.size}: {field.valid}."


def _space_problems(name: str, space: Space) -> Iterator[str]:
    match space:
        case Box(low, high):
            bounds = np.asarray(low, float), np.asarray(high, float)
            if bounds[0].ndim != 1 or bounds[0].shape != bounds[1].shape or not bounds[0].size:
                yield f"the action of group {name!r} is a Box whose bounds {low} and {high} do not match."
            elif not np.isfinite(bounds).all():
                yield f"the action of group {name!r} is a Box with infinite bounds: clip them to what is useful."
            elif (bounds[0] >= bounds[1]).any():
                yield f"the action of group {name!r} is a Box whose low is not below its high: {low} and {high}."
        case Discrete() | MultiDiscrete() | Splits():
            if not space.parts or any(size < 1 for size in space.parts):
                yield f"the action of group {name!r}, {space}, leaves nothing to choose: every part needs an option."
        case _:
            yield f"the action of group {name!r} is {space!r}: use Discrete, MultiDiscrete, Box or Splits."


# ---------------------------------------------------------------------------------------------------------------------
# Time steps


def time_step_problems(spec: Spec, now: Any, where: str, lead: tuple[int, ...] = ()) -> list[str]:
    """Arrays of a time step that are not what the spec announces; `lead` are the axes in front (lanes)."""
    if not isinstance(now, TimeStep):
        return [f"{where} is a {type(now).__name__}, not a covey.core.types.TimeStep."]
    problems = list(_array_problems(f"`last` of {where}", now.last, lead, "bool"))
    problems += _groups_problems(spec, f"`obs` of {where}", now.obs)
    for part in PER_AGENT:
        problems += _groups_problems(spec, f"`{part}` of {where}", getattr(now, part))
    if problems:
        return problems
    for name, group in spec.groups.items():
        own = f"of group {name!r} in {where}"
        problems += _obs_problems(group, f"`obs` {own}", now.obs[name], lead)
        for part, dtype in PER_AGENT.items():
            problems += _array_problems(f"`{part}` {own}", getattr(now, part)[name], (*lead, group.size), dtype)
    problems += _legal_problems(spec, now, where, lead)
    problems += _state_problems(spec, now, where, lead)
    return problems + list(_neighbor_problems(spec, now, where, lead))


def _groups_problems(spec: Spec, label: str, value: Any) -> list[str]:
    if not isinstance(value, dict):
        return [f"{label} is a {type(value).__name__}, not a dict with one entry per group."]
    problems = [f"{label} lacks the group {name!r}." for name in spec.groups if name not in value]
    return problems + [
        f"{label} has the group {name!r}, which the spec lacks." for name in value if name not in spec.groups
    ]


def _obs_problems(group: Group, label: str, obs: Any, lead: tuple[int, ...]) -> Iterator[str]:
    like = group.blank()
    if not isinstance(like, dict):
        yield from _array_problems(label, obs, (*lead, *like.shape), like.dtype.name)
    elif not isinstance(obs, dict) or set(obs) != set(like):
        found = f"has the fields {sorted(obs)}" if isinstance(obs, dict) else f"is a {type(obs).__name__}"
        yield f"{label} {found}, and its fields have several dtypes: it has to be a dict with the fields {list(like)}."
    else:
        for field, x in like.items():
            yield from _array_problems(f"the field {field!r} of {label}", obs[field], (*lead, *x.shape), x.dtype.name)


def _array_problems(label: str, value: Any, shape: tuple[int, ...], dtype: str) -> Iterator[str]:
    if not hasattr(value, "dtype"):
        yield f"{label} is a Python {type(value).__name__}, not an array."
    elif tuple(value.shape) != shape:
        yield f"{label} has the shape {tuple(value.shape)}, and the spec says {shape}."
    elif value.dtype != np.dtype(dtype):
        yield f"{label} has the dtype {value.dtype}, and it should be {dtype}."


def _legal_problems(spec: Spec, now: TimeStep, where: str, lead: tuple[int, ...]) -> Iterator[str]:
    for name, mask in now.legal.items():
        label = f"`legal` of group {name!r} in {where}"
        if name not in spec.groups:
            yield f"{label} is for a group that the spec lacks."
            continue
        group = spec.groups[name]
        if isinstance(group.action, Box):
            yield f"{label} is a mask for a Box, which has nothing to mask: leave it out."
        else:
            yield from _array_problems(label, mask, (*lead, group.size, action_size(group.action)), "bool")


def _state_problems(spec: Spec, now: TimeStep, where: str, lead: tuple[int, ...]) -> Iterator[str]:
    if not spec.state:
        if now.state is not None:
            yield f"{where} has a global `state` that the spec does not announce: list its fields in `Spec.state`."
    elif now.state is None:
        yield f"{where} has no global `state`, and the spec announces one."
    else:
        shape, dtype = fields_shape(spec.state)
        yield from _array_problems(f"`state` of {where}", now.state, (*lead, *shape), dtype)


def _neighbor_problems(spec: Spec, now: TimeStep, where: str, lead: tuple[int, ...]) -> Iterator[str]:
    if not spec.neighborhood:
        if now.neighbors:
            yield f"{where} has `neighbors`, and the spec's neighborhood is 0: say how many each agent lists."
        return
    for name, group in spec.groups.items():
        label = f"`neighbors` of group {name!r} in {where}"
        pair = now.neighbors.get(name)
        if not isinstance(pair, tuple) or len(pair) != 2:
            yield f"{label} is not a pair (index, mask), and the spec announces {spec.neighborhood} neighbors."
            continue
        shape = (*lead, group.size, spec.neighborhood)
        yield from _array_problems(f"the index in {label}", pair[0], shape, "int32")
        yield from _array_problems(f"the mask in {label}", pair[1], shape, "bool")


# ---------------------------------------------------------------------------------------------------------------------
# What `reset` and `step` return


def demand_structure(environment: Any) -> None:
    """BadInput where the spec of a JAX environment is unsound, or where `reset` or `step` returns something that it
    does not announce. Nothing is computed: both are traced once."""
    problems = spec_problems(environment) or traced_problems(environment)
    if problems:
        others = len(problems) - 1
        more = f" ({others} more: `covey check` lists them)" if others else ""
        raise BadInput(f"the environment {type(environment).__name__!r} cannot be trained in: {problems[0]}{more}")


def demand_structure_of_others(environment: Any) -> None:
    """`demand_structure` of an environment that is not covey's. Tests hold covey's to it."""
    if not type(environment).__module__.startswith("covey."):
        demand_structure(environment)


def traced_problems(environment: Any) -> list[str]:
    """Problems of one reset and one step, traced with zeros as actions."""
    spec, key = environment.spec, jax.random.key(0)
    begun = jax.eval_shape(environment.reset, key)
    problems = transition_problems(spec, begun, "reset")
    if problems:
        return problems
    shapes = {name: action_shape(group.action) for name, group in spec.groups.items()}
    still = {name: jnp.zeros((spec.groups[name].size, *shape), dtype) for name, (shape, dtype) in shapes.items()}
    moved = jax.eval_shape(environment.step, key, begun[0], still)
    return transition_problems(spec, moved, "step") or carry_problems(begun, moved)


def transition_problems(spec: Spec, returned: Any, method: str) -> list[str]:
    """Problems of the pair (state, time step) that `method` returned."""
    if not isinstance(returned, tuple) or len(returned) != 2:
        return [f"`{method}` returned a {type(returned).__name__}, not a pair (state, time step)."]
    not_arrays = [
        f"the state that `{method}` returned holds a {type(leaf).__name__} at {jax.tree_util.keystr(path)}: "
        "every leaf has to be an array, such as jnp.int32(0)."
        for path, leaf in jax.tree_util.tree_leaves_with_path(returned[0])
        if not hasattr(leaf, "dtype")
    ]
    return not_arrays + time_step_problems(spec, returned[1], f"the time step of `{method}`")


def carry_problems(begun: Any, moved: Any) -> list[str]:
    """What `reset` and `step` return has to be of one kind, because a loop carries it."""
    problems = []
    for what, ours, theirs in zip(("state", "time step"), begun, moved, strict=True):
        found = _kinds_differ(ours, theirs)
        if found:
            problems.append(f"the {what} of `reset` and that of `step` are of different kinds, in {found}.")
    return problems


def _kinds_differ(one: Any, other: Any) -> str | None:
    """The first place where shapes, dtypes or the structure of two trees differ, or None."""
    ours, structure = jax.tree_util.tree_flatten_with_path(one)
    theirs, other_structure = jax.tree_util.tree_flatten_with_path(other)
    if structure != other_structure:
        return f"the structure: {structure} against {other_structure}"
    for (path, a), (_, b) in zip(ours, theirs, strict=True):
        if (a.shape, a.dtype) != (b.shape, b.dtype):
            where = jax.tree_util.keystr(path) or "the array"
            return f"{where}: {a.dtype}{list(a.shape)} against {b.dtype}{list(b.shape)}"
    return None
