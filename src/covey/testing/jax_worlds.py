"""What `check_environment` asks of an environment in JAX, in stages: each leans on the ones before it."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import covey
from covey.core.algorithm import Algorithm
from covey.core.environment import Reference
from covey.core.optional import offered
from covey.core.structure import carry_problems, transition_problems
from covey.core.types import Spec, action_shape
from covey.testing.compare import difference, plain
from covey.testing.rules import DEATH, RETURN, Flags, broken_at_reset, broken_by_step, random_actions

LANES = 8  # episodes played side by side
ROUNDING = 1e-5  # what another program may change
KINDS = ("optimum", "bound", "rule")


def jax_problems(environment: Any, steps: int, key: Any) -> list[str]:
    """Problems of a JAX environment whose spec is sound."""
    for stage in (shape_problems, purity_problems, program_problems):
        problems = stage(environment, key)
        if problems:
            return problems
    return episode_problems(environment, steps, key) + extras_problems(environment, key)


class Raised(Exception):
    """A method of the environment raised; the message is the sentence to report."""


def attempt(what: str, call: Callable, *args: Any) -> Any:
    try:
        return call(*args)
    except Exception as error:
        first = (str(error).strip() or "no message").splitlines()[0]
        raise Raised(f"{what} raised {type(error).__name__}{place_of(error)}: {first}") from error


def place_of(error: BaseException) -> str:
    """Where the user's own code was when `error` was raised: the innermost line that no package holds."""
    packages = (sysconfig.get_paths()["purelib"], sysconfig.get_paths()["stdlib"], str(Path(covey.__file__).parent))
    lines = [x for x in traceback.extract_tb(error.__traceback__) if not x.filename.startswith((*packages, "<"))]
    return f" in {Path(lines[-1].filename).name}:{lines[-1].lineno}" if lines else ""


def reported(stage: Callable[[Any, Any], list[str]]) -> Callable[[Any, Any], list[str]]:
    """A stage in which an exception of the environment is a problem like any other."""

    def guarded(environment: Any, key: Any) -> list[str]:
        try:
            return stage(environment, key)
        except Raised as raised:
            return [str(raised)]

    return guarded


# ---------------------------------------------------------------------------------------------------------------------
# Shapes


@reported
def shape_problems(environment: Any, key: Any) -> list[str]:
    """One reset and one step, held against the spec."""
    k_reset, k_action, k_step = jax.random.split(key, 3)
    begun = attempt("`reset(key)`", environment.reset, k_reset)
    problems = transition_problems(environment.spec, begun, "reset")
    if problems:
        return problems
    action = random_actions(environment.spec, begun[1], k_action)
    moved = attempt("`step(key, state, action)`", environment.step, k_step, begun[0], action)
    return transition_problems(environment.spec, moved, "step") or carry_problems(begun, moved)


# ---------------------------------------------------------------------------------------------------------------------
# Purity


@reported
def purity_problems(environment: Any, key: Any) -> list[str]:
    """The same call twice gives the same result, and changes nothing it was given."""
    k_reset, k_action, k_step = jax.random.split(key, 3)
    begun = environment.reset(k_reset)
    problems = _twice("`reset`", "key", begun, attempt("a second `reset(key)`", environment.reset, k_reset))
    action = random_actions(environment.spec, begun[1], k_action)
    given = begun[0], action
    before, attributes = jax.tree.map(lambda x: plain(x).copy(), given), _attributes(environment)
    moved = attempt("`step`", environment.step, k_step, *given)
    if difference(before, jax.tree.map(plain, given)):
        problems.append("`step` changed the state or the action that it was given: return new ones instead.")
    changed = [name for name, value in attributes.items() if _attributes(environment).get(name) != value]
    if changed:
        problems.append(f"`step` changed the attributes {changed} of the environment: keep what changes in the state.")
    if problems:
        return problems
    again = attempt("a second `step` from the same state", environment.step, k_step, *given)
    return problems + _twice("`step`", "key, state and action", moved, again)


def _attributes(environment: Any) -> dict[str, Any]:
    """The plain values among the attributes of an environment."""
    values = vars(environment) if hasattr(environment, "__dict__") else {}
    return {name: value for name, value in values.items() if isinstance(value, (bool, int, float, str))}


def _twice(method: str, inputs: str, first: Any, second: Any) -> list[str]:
    found = difference(first, second)
    if not found:
        return []
    return [
        f"{method} is not pure: the same {inputs} gave another result the second time, in {found}. Draw all chance "
        "from the key, and keep all memory in the state."
    ]


# ---------------------------------------------------------------------------------------------------------------------
# Programs


@reported
def program_problems(environment: Any, key: Any) -> list[str]:
    """Compiled, mapped over lanes or called as it is: the environment does the same."""
    k_reset, k_action, k_step = jax.random.split(key, 3)
    begun = environment.reset(k_reset)
    action = random_actions(environment.spec, begun[1], k_action)
    moved = environment.step(k_step, begun[0], action)
    advice = "(use jnp instead of np, and jnp.where or jax.lax.cond instead of `if` on arrays)"

    compiled_begun = attempt(f"`reset` under jax.jit {advice}", jax.jit(environment.reset), k_reset)
    compiled_moved = attempt(f"`step` under jax.jit {advice}", jax.jit(environment.step), k_step, begun[0], action)
    problems = _disagree("`reset`", "compiled and as it is", begun, compiled_begun)
    problems += _disagree("`step`", "compiled and as it is", moved, compiled_moved)

    many = jax.tree.map(lambda x: jnp.stack([x, x, x]), (k_step, begun[0], action))
    lanes_moved = attempt(f"`step` under jax.vmap {advice}", jax.jit(jax.vmap(environment.step)), *many)
    for lane in range(3):
        problems += _disagree("`step`", "alone and in a vmap", moved, jax.tree.map(lambda x, i=lane: x[i], lanes_moved))
    after = attempt(
        "`step` after it had been compiled (does it keep traced values?)", environment.step, k_step, begun[0], action
    )
    return list(dict.fromkeys(problems)) or _twice("`step`", "key, state and action", moved, after)


def _disagree(method: str, ways: str, one: Any, other: Any) -> list[str]:
    found = difference(one, other, ROUNDING)
    return [f"{method} gives different results {ways}, in {found}."] if found else []


# ---------------------------------------------------------------------------------------------------------------------
# Episodes


def episode_problems(environment: Any, steps: int, key: Any) -> list[str]:
    """Rules that are broken within `steps` steps of a few episodes of random legal actions."""
    first = jax.jit(jax.vmap(partial(play, environment, steps)))(jax.random.split(key, LANES))
    return sentences(environment.spec, {rule: int(at.min()) for rule, at in first.items() if at.min() <= steps})


def play(environment: Any, steps: int, key: Any) -> Flags:
    """One episode: the step at which each rule was first broken, `steps` + 1 if never."""
    spec = environment.spec
    k_reset, k_play = jax.random.split(key)
    state, now = environment.reset(k_reset)
    never = jnp.int32(steps + 1)

    def tick(carry, t):
        state, now, over, playing = carry
        k_action, k_step = jax.random.split(jax.random.fold_in(k_play, t))
        state, then = environment.step(k_step, state, random_actions(spec, now, k_action))
        broken = broken_by_step(spec, over, t + 1, now, then)
        first = {rule: jnp.where(playing & flag, t + 1, never) for rule, flag in broken.items()}
        over = {name: over[name] | (then.discount[name] == 0) for name in spec.groups}
        return (state, then, over, playing & ~then.last), first

    nobody = {name: jnp.zeros(group.size, bool) for name, group in spec.groups.items()}
    _, first = jax.lax.scan(tick, (state, now, nobody, jnp.bool_(True)), jnp.arange(steps))
    at_reset: Flags = {rule: jnp.where(flag, 0, never) for rule, flag in broken_at_reset(spec, now).items()}
    earliest = {rule: at.min() for rule, at in first.items()}
    return at_reset | {rule: jnp.minimum(at, at_reset.get(rule, never)) for rule, at in earliest.items()}


def sentences(spec: Spec, first: dict[str, int]) -> list[str]:
    """The rules that were broken, with the step at which each was first."""
    excused = set()
    for name in spec.groups:
        if RETURN.format(name) in first:
            excused |= {RETURN.format(name), DEATH.format(name)}
    return [
        f"{rule} (first seen {f'at step {at}' if at else 'after a reset'})."
        for rule, at in first.items()
        if rule not in excused
    ]


# ---------------------------------------------------------------------------------------------------------------------
# What an environment may offer besides


def rule_problems(environment: Any, key: Any) -> list[str]:
    """Rules that cannot be made, or whose actions are not what the environment takes."""
    if offered(environment, "rules") is None:
        return []
    rules = attempt("`rules()`", environment.rules)
    if not isinstance(rules, dict):
        return [f"`rules` returned a {type(rules).__name__}, not a dict of functions by name."]
    return [problem for name, make in rules.items() for problem in _problems_of_rule(environment, name, make, key)]


def _problems_of_rule(environment: Any, name: str, make: Any, key: Any) -> list[str]:
    if not callable(make) or isinstance(make, Algorithm):
        return [f"the rule {name!r} is a {type(make).__name__}, not a function without arguments that makes one."]
    rule = attempt(f"making the rule {name!r}", make)
    if not isinstance(rule, Algorithm):
        return [f"the function of the rule {name!r} made a {type(rule).__name__}, not an algorithm such as a Scripted."]

    def acted(key: Any) -> Any:
        _, now = environment.reset(key)
        return rule.act(rule.init(key, 1), rule.memory(key), now, key, jnp.int32(0), explore=False)[0]

    done, problems = attempt(f"the rule {name!r}", jax.eval_shape, acted, key), []
    groups = environment.spec.groups
    if not isinstance(done, dict) or set(done) != set(rule.groups) or not set(done) <= set(groups):
        given = sorted(done) if isinstance(done, dict) else type(done).__name__
        return [f"the rule {name!r} acts for {given}, and has to for the groups {sorted(rule.groups)}."]
    for group, action in done.items():
        shape, dtype = action_shape(groups[group].action)
        wanted = f"{dtype}[{', '.join(map(str, (groups[group].size, *shape)))}]"
        found = f"{action.dtype}[{', '.join(map(str, action.shape))}]"
        if found != wanted:
            problems.append(f"the rule {name!r} gives {found} for the group {group!r}, and has to give {wanted}.")
    return problems


def draw_problems(environment: Any, key: Any) -> list[str]:
    """One frame, drawn as a film would."""
    if offered(environment, "draw") is None:
        return []
    from matplotlib.figure import Figure

    state, now = jax.tree.map(np.asarray, jax.jit(environment.reset)(key))
    attempt("`draw(axes, state, now)`", environment.draw, Figure().add_subplot(), state, now)
    return []


@reported
def extras_problems(environment: Any, key: Any) -> list[str]:
    """`measure`, `reference`, `rules` and `draw`, where the environment has them."""
    problems = rule_problems(environment, key) + draw_problems(environment, key)
    if offered(environment, "measure"):
        state, _ = environment.reset(key)
        measured = attempt("`measure(state)`", environment.measure, state)
        if not isinstance(measured, dict):
            return [f"`measure` returned a {type(measured).__name__}, not a dict of scalars."]
        problems += [
            f"`measure` reports {name!r} with the shape {jnp.shape(value)}: it has to be a scalar."
            for name, value in measured.items()
            if jnp.shape(value) != ()
        ]
    if offered(environment, "reference"):
        reference = attempt("`reference()`", environment.reference)
        if reference is not None and (not isinstance(reference, Reference) or reference.kind not in KINDS):
            problems.append(
                f"`reference` returned {reference!r}, not None or a Reference whose kind is one of {KINDS}."
            )
    return problems
