"""Where PettingZoo's environments come from: modules, and ids of its registry."""

from __future__ import annotations

import difflib
import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from covey.core.errors import BadInput
from covey.core.modules import import_named

if TYPE_CHECKING:
    import numpy as np

    from covey.environments.pettingzoo.lanes import Lanes

NEEDED = ("gymnasium", "pettingzoo")
MISSING = "PettingZoo is not installed: `pip install 'covey[pettingzoo]'`."

MOVED = {"mpe": "mpe2", "magent": "magent2"}
"""Families that have left PettingZoo, and the packages that have them now."""

FAMILIES = ("atari", "butterfly", "classic", "sisl")
"""Families that PettingZoo has still, each with an extra of its own name."""


class Source(NamedTuple):
    """What it takes to make lanes of an environment, in this process or in another."""

    module: str
    settings: dict[str, Any]
    time_limit: int | None = None
    state: bool = False

    def __call__(self, seeds: Sequence[int], watch: Callable[[np.ndarray], None] | None = None) -> Lanes:
        """One game for each seed, in this process; `watch` is shown pictures of the first."""
        from covey.environments.pettingzoo.lanes import Lanes

        make = functools.partial(game_of, self.module, self.settings)
        return Lanes(make, seeds, f"pettingzoo:{self.module}", self.time_limit, self.state, watch)

    def drawn(self) -> Source:
        """The same, of environments that can draw themselves."""
        return self._replace(settings=self.settings | {"render_mode": "rgb_array"})


def game_of(module: str, settings: dict[str, Any]) -> Any:
    """One `ParallelEnv`."""
    from pettingzoo.utils.conversions import aec_to_parallel

    make = maker_of(module)
    try:
        env = make(**settings)
    except TypeError as error:
        raise BadInput(f"pettingzoo:{module} cannot be made with {settings or 'no arguments'}: {error}.") from error
    except ModuleNotFoundError as error:
        name = f"pettingzoo.{module.replace('/', '.')}" if "/" in module else module
        raise without(f"pettingzoo:{module}", name, error) from error
    if hasattr(env, "agent_iter"):  # agents move one after the other
        if not env.metadata.get("is_parallelizable", False):
            raise BadInput(
                f"in pettingzoo:{module} agents move one after the other, and its metadata does not say that it "
                "`is_parallelizable`: give covey a module whose `parallel_env` wraps it in PettingZoo's "
                "`turn_based_aec_to_parallel`, where everybody but one waits."
            )
        env = aec_to_parallel(env)
    return env


def maker_of(module: str) -> Callable[..., Any]:
    """The function `parallel_env`, or `env`, of a module; or what makes an id of PettingZoo's registry."""
    if "/" in module:
        return registered(module)
    found = imported(f"pettingzoo:{module}", module)
    make = getattr(found, "parallel_env", None) or getattr(found, "env", None)
    if not callable(make):
        raise BadInput(f"the module {module!r} is no PettingZoo environment: it has neither `parallel_env` nor `env`.")
    return make


def registered(id: str) -> Callable[..., Any]:
    """What makes the environment that PettingZoo's registry calls `id`, in the parallel form where it has one."""
    try:
        from pettingzoo.env_registry import exceptions, registration
    except ModuleNotFoundError as error:
        raise BadInput(f"pettingzoo:{id} asks for PettingZoo's registry: `pip install 'covey[pettingzoo]'`.") from error
    for kind in ("parallel", "aec"):
        try:
            spec = registration.spec(kind, id)  # type: ignore[call-overload]
        except exceptions.PettingZooRegistryError:
            continue
        if isinstance(spec.entry_point, str):  # imported by us first, who know what to install
            imported(f"pettingzoo:{id}", spec.entry_point.partition(":")[0])
        return functools.partial(registration.make, kind, spec)  # type: ignore[call-overload]
    known = {name.replace("-v", "_v") for name in (*registration.parallel_registry, *registration.aec_registry)}
    family, _, name = id.partition("/")
    if family in MOVED:
        raise moved(f"pettingzoo:{id}", family, name)
    raise BadInput(f"PettingZoo's registry does not have {id!r}{meant(id.replace('-v', '_v'), known)}")


# ---------------------------------------------------------------------------------------------------------------------
# What is not there


def imported(what: str, module: str) -> Any:
    """The module, imported; BadInput that says what to install, or what was meant."""
    try:
        return import_named(module)
    except ImportError as error:
        package, family, rest, *_ = [*module.split(".", 2), "", ""]
        if package == "pettingzoo" and family in MOVED:  # PettingZoo itself refuses to import it
            raise moved(what, family, rest) from error
        if isinstance(error, ModuleNotFoundError):
            raise without(what, module, error) from error
        raise


def moved(what: str, family: str, name: str) -> BadInput:
    """What to say of the environment `name` of a family that has a package of its own."""
    package = MOVED[family]
    place = f"{package}.environments" if family == "magent" else package
    return BadInput(
        f"{what} has left PettingZoo: `pip install {package}`, and write 'pettingzoo:{place}.{name or 'NAME'}'."
    )


def without(what: str, module: str, error: ModuleNotFoundError) -> BadInput:
    """What to say where a module is missing: `module` itself, or one that it needs."""
    missing = error.name or str(error)
    if missing in NEEDED:
        return BadInput(MISSING)
    if module == missing or module.startswith(f"{missing}."):
        return BadInput(f"{what} cannot be imported: there is no module {missing!r}{meant(missing, beside(missing))}")
    package, family, *_ = [*module.split("."), ""]
    known = package == "pettingzoo" and family in FAMILIES
    cure = f"`pip install 'pettingzoo[{family}]'`" if known else "install the package that has it"
    return BadInput(f"{what} cannot be imported: there is no module {missing!r}, which it needs: {cure}.")


def beside(module: str) -> list[str]:
    """Modules that stand where `module` would, by their full names."""
    parent = module.rpartition(".")[0]
    if not parent:
        return [found.name for found in pkgutil.iter_modules()]
    path = getattr(importlib.import_module(parent), "__path__", ())
    return [f"{parent}.{found.name}" for found in pkgutil.iter_modules(path)]


def meant(name: str, known: Iterable[str]) -> str:
    """The end of a sentence on an unknown `name`: what was meant, where one of `known` is near."""
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.7)
    return f": did you mean {near[0]!r}?" if near else "."
