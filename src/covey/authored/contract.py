"""What an authored function sees and gives, out of an environment's own fields: types, text and checks from one place.

A function is written for ONE agent. It sees `view`, a dict of float32 arrays by the names of the group's fields, and
`p`, a dict of numbers that the environment calls its constants. It gives a preferred action or a reward.
"""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from covey.authored.allow_list import FUNCTIONS, JNP, LAX, NN
from covey.authored.program import Program, Type
from covey.authored.refusal import Refused
from covey.core.errors import BadInput, unknown
from covey.core.optional import offered
from covey.core.structure import demand_structure_of_others
from covey.core.types import Box, Field, Group, Space, Spec, Splits, action_size
from covey.nn.heads import Head

EQUAL = 1e-6
"""Added to every weight of a split, so that weights of nothing but zeros mean equal shares."""

MOST_GOALS = 16


class Contract(NamedTuple):
    """Of one group of an environment, static.

    view: what a function sees of ONE agent; beside the fields of the observation `<field>_mask` (1 where an entry is
    real) for fields that are partly padding and for lists (a number for each row), and `legal` (1 where an action is
    legal) where the environment restricts actions. constants: names and values of `p`. about: what the environment
    says of itself.
    """

    environment: str
    group: Group
    name: str
    view: tuple[Field, ...]
    constants: tuple[tuple[str, float], ...]
    restricted: bool
    about: str

    @property
    def action(self) -> Space:
        return self.group.action

    @property
    def inputs(self) -> tuple[Type, ...]:
        """Types of a program's inputs: the view in its order, then the constants."""
        of_view = (Type("float32", field.shape) for field in self.view)
        return (*of_view, *(Type("float32", ()) for _ in self.constants))

    @property
    def gives(self) -> dict[str, tuple[int, ...]]:
        """Shape of what each function returns, float32."""
        return {"prior_policy": (action_size(self.action),), "reward": ()}

    def document(self) -> dict[str, Any]:
        """As JSON, for a child."""
        bounds = [list(self.action.low), list(self.action.high)] if isinstance(self.action, Box) else None
        return {
            "view": [[field.name, list(field.shape)] for field in self.view],
            "lists": list(lists(self.group)),
            "constants": [name for name, _ in self.constants],
            "gives": {name: list(shape) for name, shape in self.gives.items()},
            "bounds": bounds,
        }

    def view_of(self, obs: Any, legal: Any = None) -> dict[str, Any]:
        """Observations [..., n, D] (or by field) and legal actions [..., n, A] -> the view, [..., n, *shape] each."""
        fields = self.group.fields_of(obs)
        lead = next(iter(fields.values())).shape[: -len(self.group.obs[0].shape) or None]
        view = {name: jnp.asarray(value, jnp.float32) for name, value in fields.items()}
        for name, mask in masks(self.group).items():
            view[f"{name}_mask"] = jnp.broadcast_to(mask, (*lead, *mask.shape[1:]))
        view |= there(self.group, view)
        if self.restricted:
            view["legal"] = jnp.asarray(legal, jnp.float32)
        return view

    def action_of(self, preference: Any, legal: Any = None) -> Any:
        """What a prior gives for ONE agent, [A], and its legal actions [A] -> an action of the environment."""
        match self.action:
            case Box(low, high):
                return jnp.clip(preference, np.asarray(low, np.float32), np.asarray(high, np.float32))
            case Splits():
                return Head(self.action).parts.normalize(jnp.maximum(preference, 0.0) + EQUAL, legal)
            case _:
                head = Head(self.action)
                return head.action(head.greedy(preference, legal))

    def check(self, name: str, program: Program, goals: list[str]) -> None:
        """Refused (G4) unless a program takes and gives what the function `name` has to."""
        wanted = (Type("float32", self.gives[name]), *(Type("float32", ()) for _ in goals))
        if program.inputs != self.inputs or program.gives != wanted:
            raise Refused("G4", f"the program of {name!r} takes or gives other types than the contract names.")

    def head(self) -> list[str]:
        """The lines about the environment."""
        return [f"Environment `{self.environment}`, agents of the group `{self.name}`.", "", self.about, ""]

    def text(self) -> str:
        """What somebody who writes the functions has to know: names, shapes, units, meaning, and the rules."""
        lines = [*self.head(), "`view` is a dict of float32 arrays, what ONE agent sees:", ""]
        lines += [f"- `view[{field.name!r}]`: {list(field.shape)}{_unit(field.unit)}" for field in self.view]
        if names := lists(self.group):
            which = " and ".join(f"`{name}`" for name in names)
            lines += [
                "",
                f"Of lists ({which}) the order of the rows must not matter, nor what stands where there is none.",
            ]
        if self.constants:
            lines += ["", "`p` is a dict of numbers:", ""]
            lines += [f"- `p[{name!r}]`: {value:g} here" for name, value in self.constants]
        else:
            lines += ["", "`p` is an empty dict."]
        lines += ["", f"`prior_policy(view, p)` returns {_gives(self.action)}"]
        lines += [
            f"`reward(view, p)` returns a float32 number in [0, 1], or that and a dict of up to {MOST_GOALS} named"
        ]
        lines += ["sub-goals, each a float32 number: 1.0 where it is reached, 0.0 where not.", "", RULES]
        return "\n".join(lines)


RULES = f"""Rules: define both functions with exactly these parameters, and helper functions as needed. They are traced
by JAX: no branch may depend on a value of the view (use `jnp.where`), there is no randomness, no state and no other
import than `jax.numpy as jnp` and `from jax import lax`. Loops run over `range` of a fixed size. No decorators,
defaults, annotations, classes, `while`, `try`, f-strings or names that begin with an underscore; at the top level only
functions and `NAME = number`. Constants are finite: write 1e9, not infinity. A distance may be zero: never divide by
it unguarded.

`jnp`: {" ".join(sorted(JNP))}
`lax`: {" ".join(sorted(LAX))}
`jax.nn`: {" ".join(sorted(NN))}
Also `jnp.linalg.norm` and `jax.vmap`."""


def contract_of(environment: Any, group: str | None = None) -> Contract:
    """The contract of a group (None: the only one) of any environment of covey or of a user's own."""
    spec: Spec = environment.spec
    if group is None and len(spec.groups) > 1:
        raise BadInput(f"{spec.name!r} has the groups {', '.join(spec.groups)}: say which one the functions are for.")
    name = next(iter(spec.groups)) if group is None else group
    if name not in spec.groups:
        raise unknown(f"in {spec.name!r} the group", name, spec.groups)
    of = spec.groups[name]
    restricted = name in _shown(environment).legal
    view = [Field(field.name, field.shape, field.unit) for field in of.obs]
    view += [
        Field(f"{field}_mask", mask.shape[1:], "1 where real, 0 where padding") for field, mask in masks(of).items()
    ]
    view += [Field(f"{name}_mask", shape, "1 where there is a row, 0 where none") for name, shape in lists(of).items()]
    if restricted:
        view.append(Field("legal", (action_size(of.action),), "1 where the action is legal, 0 where not"))
    if len({field.name for field in view}) < len(view):
        raise BadInput(f"the fields of the group {name!r} of {spec.name!r} need names of their own, without `_mask`.")
    about = (inspect.getdoc(type(environment)) or "").strip()
    return Contract(spec.name, of, name, tuple(view), _constants(environment, spec.name), restricted, about)


def masks(group: Group) -> dict[str, np.ndarray]:
    """Of the fields that are padding for some agents, float32 [n, *shape]: 1 where an entry is real."""
    return {
        field.name: (np.arange(field.size) < np.asarray(field.valid)[:, None])
        .reshape(-1, *field.shape)
        .astype(np.float32)
        for field in group.obs
        if field.valid is not None
    }


def lists(group: Group) -> dict[str, tuple[int, ...]]:
    """Of the fields that are lists, how many rows they have, [1]."""
    return {field.name: field.shape[:1] for field in group.obs if field.listed and field.valid is None}


def there(group: Group, view: dict[str, Any]) -> dict[str, Any]:
    """Masks of lists: 1 where a row is more than zeros, float32 [..., rows]."""
    shapes = {field.name: field.shape for field in group.obs}
    axes = {name: tuple(range(1 - len(shapes[name]), 0)) for name in lists(group)}
    return {f"{name}_mask": jnp.any(view[name] != 0, axis=axes[name]).astype(jnp.float32) for name in axes}


def goal_names(value: Any) -> list[str]:
    """The names of sub-goals that a child reports; Refused (G4) where they are no short plain names."""
    plain = isinstance(value, list) and len(value) <= MOST_GOALS and all(isinstance(x, str) for x in value)
    if not plain or not all(x.isidentifier() and x.isascii() and len(x) <= 40 for x in value):
        raise Refused("G4", f"sub-goals must be at most {MOST_GOALS}, with plain names of at most 40 characters.")
    if sorted(set(value)) != value:
        raise Refused("G4", "sub-goals must be sorted by name, each once.")
    return value


def _constants(environment: Any, name: str) -> tuple[tuple[str, float], ...]:
    constants = offered(environment, "constants")
    values = {} if constants is None else dict(constants())
    for key, value in values.items():
        if not (isinstance(key, str) and key.isidentifier() and np.isfinite(value)):
            raise BadInput(
                f"the constant {key!r} of {name!r} must have a plain name and a finite value, got {value!r}."
            )
    return tuple((key, float(values[key])) for key in sorted(values))


def _shown(environment: Any) -> Any:
    """A time step of an environment; abstract where it is written in JAX, and BadInput where it breaks its spec."""
    if hasattr(environment, "lanes"):
        return environment.reset()
    demand_structure_of_others(environment)
    return jax.eval_shape(environment.reset, jax.random.key(0))[1]


def _unit(unit: str) -> str:
    return f", {unit}" if unit else ""


def _gives(space: Space) -> str:
    match space:
        case Box(low, high):
            return f"float32 [{len(low)}], the action, between {list(low)} and {list(high)}."
        case Splits(parts):
            return (
                f"float32 [{sum(parts)}], weights of at least 0 for {len(parts)} splits of {list(parts)} shares each."
            )
        case _:
            sizes = " + ".join(str(n) for n in space.parts)
            return f"float32 [{sizes}], how much each action is preferred; the largest legal one is taken."


assert set(FUNCTIONS) == {"prior_policy", "reward"}
