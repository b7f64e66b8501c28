"""Where JaxMARL's environments come from: its ids, its maps, and the options of its constructors."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import inspect
import io
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from covey.core.errors import BadInput, require_extra, unknown
from covey.core.settings import is_plain
from covey.environments.jaxmarl.families import (
    CoinGame,
    Family,
    Hanabi,
    JaxNav,
    Overcooked,
    Particles,
    Smax,
    SwitchRiddle,
)

OLDEST = (0, 2)
"""The first version that has the interface which we know."""

ALIASES = {"smax": "HeuristicEnemySMAX"}
"""Other names of ids, which need a map."""

ENVIRONMENTS: dict[str, tuple[str, Family]] = {
    "HeuristicEnemySMAX": ("HeuristicEnemySMAX", Smax()),
    "SMAX": ("SMAX", Smax()),
    "MPE_simple_v3": ("SimpleMPE", Particles()),
    "MPE_simple_tag_v3": ("SimpleTagMPE", Particles()),
    "MPE_simple_world_comm_v3": ("SimpleWorldCommMPE", Particles()),
    "MPE_simple_spread_v3": ("SimpleSpreadMPE", Particles()),
    "MPE_simple_crypto_v3": ("SimpleCryptoMPE", Particles()),
    "MPE_simple_speaker_listener_v4": ("SimpleSpeakerListenerMPE", Particles()),
    "MPE_simple_push_v3": ("SimplePushMPE", Particles()),
    "MPE_simple_adversary_v3": ("SimpleAdversaryMPE", Particles()),
    "MPE_simple_reference_v3": ("SimpleReferenceMPE", Particles()),
    "MPE_simple_facmac_v1": ("SimpleFacmacMPE", Particles()),
    "MPE_simple_facmac_3a_v1": ("SimpleFacmacMPE3a", Particles()),
    "MPE_simple_facmac_6a_v1": ("SimpleFacmacMPE6a", Particles()),
    "MPE_simple_facmac_9a_v1": ("SimpleFacmacMPE9a", Particles()),
    "overcooked": ("Overcooked", Overcooked()),
    "overcooked_v2": ("OvercookedV2", Overcooked()),
    "hanabi": ("Hanabi", Hanabi()),
    "switch_riddle": ("SwitchRiddle", SwitchRiddle()),
    "coin_game": ("CoinGame", CoinGame()),
    "jaxnav": ("JaxNav", JaxNav()),
}
"""What we know of JaxMARL's ids: the constructor, and the family. Ids of a later version are made without options."""

_STORM = "has no observations and actions by agent, as JaxMARL's interface says"
_BRAX = "needs brax, with which JaxMARL has deprecated its environments: covey has not been tried with them"
REFUSED = {
    "LearnedPolicyEnemySMAX": "needs the enemies' policy: make it in Python, and covey's environment of it with "
    "`covey.environments.jaxmarl:wrapped`",
    **dict.fromkeys(("storm", "storm_2p", "storm_np"), _STORM),
    **dict.fromkeys(("ant_4x2", "halfcheetah_6x1", "hopper_3x1", "humanoid_9|8", "walker2d_2x3"), _BRAX),
}
"""Ids that cannot be made by their names, and why."""

ROBOTARIUM = "JaxRobotarium"
"""What the ids of a package of its own begin with."""

FAILURES = (TypeError, ValueError, KeyError, IndexError, AssertionError, NotImplementedError, ArithmeticError)
"""What JaxMARL's constructors raise where an option does not suit them."""


class Source(NamedTuple):
    """An environment of JaxMARL: its constructor, the arguments that its id has decided, and its family."""

    make: Callable[..., Any]
    decided: dict[str, Any]
    family: Family

    def options(self) -> dict[str, inspect.Parameter]:
        """Options that can be written on a command line, with their types and defaults."""
        hidden = {*self.decided, *self.family.withheld, *(self.family.of_place if self.decided else ())}
        found = {name: plain(one) for name, one in parameters(self.make, self.family).items() if name not in hidden}
        return {name: one for name, one in found.items() if one is not None}

    def __call__(self, options: Mapping[str, Any], what: str) -> Any:
        """The `MultiAgentEnv`; BadInput, in which `what` names it, where the options do not suit it."""
        try:
            with warnings.catch_warnings(action="ignore"):  # advice on which environment to use instead
                return self.make(**self.decided, **options)
        except FAILURES as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise BadInput(f"{what} cannot be made with {dict(options) or 'no options'}: {reason}.") from error


def source(name: str) -> Source:
    """The environment that `jaxmarl:NAME` means; BadInput where JaxMARL is missing, or has no such environment."""
    known = installed().registered_envs
    first, slash, place = name.partition("/")
    id = ALIASES.get(first, first)
    if id not in known:
        places = [f"{alias}/{place}" for alias, id in ALIASES.items() for place in maps(id)]
        raise unknown("the environment of JaxMARL", name, [*known, *places])
    if id in REFUSED:
        raise BadInput(f"jaxmarl:{id} {REFUSED[id]}.")
    if id.startswith(ROBOTARIUM):
        raise BadInput(f"jaxmarl:{id} needs the package jaxrobotarium, which covey has not been tried with.")
    constructor, family = ENVIRONMENTS.get(id, ("", Family()))
    module = importlib.import_module("jaxmarl.registration")
    make = getattr(module, constructor) if constructor else functools.partial(module.make, id)
    if not slash and first not in ALIASES:
        return Source(make, {}, family)
    there = maps(id)
    if not there:
        raise BadInput(f"jaxmarl:{id} has no maps: leave out '/{place}'.")
    if not place:
        raise BadInput(f"jaxmarl:{first} needs a {family.place}, such as `jaxmarl:{first}/{next(iter(there))}`.")
    if place not in there:
        raise unknown(f"of jaxmarl:{first} the {family.place}", place, there)
    return Source(make, {family.place_option: there[place]}, family)


def family_of(env: Any) -> Family:
    """The family of an environment that somebody has made, by its class or the nearest one it is made from."""
    known = dict(ENVIRONMENTS.values()) | {"EnemySMAX": Smax()}
    return next((known[kind.__name__] for kind in type(env).__mro__ if kind.__name__ in known), Family())


def maps(id: str) -> dict[str, Any]:
    """The maps of an environment by name, as its constructor takes them."""
    match id:
        case "SMAX" | "HeuristicEnemySMAX":
            return importlib.import_module("jaxmarl.environments.smax.smax_env").MAP_NAME_TO_SCENARIO
        case "overcooked":
            return importlib.import_module("jaxmarl.environments").overcooked_layouts
        case "overcooked_v2":
            return importlib.import_module("jaxmarl.environments").overcooked_v2_layouts
    return {}


def installed() -> Any:
    """The package; BadInput where it is missing or too old."""
    try:
        version = importlib.metadata.version("jaxmarl")
    except importlib.metadata.PackageNotFoundError as error:
        raise require_extra("jaxmarl", "jaxmarl", "an environment of JaxMARL") from error
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise BadInput(
            f"JaxMARL {version} is too old, and covey needs {oldest} or later: run `pip install -U 'covey[jaxmarl]'`."
        )
    try:
        with quiet():
            return importlib.import_module("jaxmarl")
    except ModuleNotFoundError as error:
        raise BadInput(
            f"JaxMARL cannot be imported, there is no module {error.name!r}: run `pip install 'covey[jaxmarl]'`."
        ) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """JaxMARL prints while it is imported, and puts `sys.stdout` and `sys.stderr` back to those of the process,
    whatever stands in for them (`findings/jaxmarl-import-resets-stdout.sh`)."""
    before = sys.stdout, sys.stderr, sys.__stdout__
    sys.stdout = sys.__stdout__ = io.StringIO()  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        sys.stdout, sys.stderr, sys.__stdout__ = before  # type: ignore[misc]


# ---------------------------------------------------------------------------------------------------------------------
# Options


def parameters(make: Callable[..., Any], family: Family) -> dict[str, inspect.Parameter]:
    """The named parameters of a constructor, and those of the one to which it hands on the rest."""
    own = inspect.signature(make).parameters
    named = {name: one for name, one in own.items() if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
    if not family.base or not any(one.kind is one.VAR_KEYWORD for one in own.values()):
        return named
    base = getattr(importlib.import_module("jaxmarl.registration"), family.base)
    rest = inspect.signature(base).parameters
    return {name: rest[name] for name in family.inherited} | named


def plain(parameter: inspect.Parameter) -> inspect.Parameter | None:
    """The parameter as a keyword with a type; None where its values are no plain ones."""
    hint = parameter.annotation
    if hint is parameter.empty or not is_plain(hint):
        hint = type(parameter.default)
    if not is_plain(hint) or parameter.default is parameter.empty:
        return None
    return parameter.replace(annotation=hint, kind=parameter.KEYWORD_ONLY)
