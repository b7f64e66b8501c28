"""Modules of users, by name: where they are looked for, and from where they came.

The current folder counts, as it does for `python -m`, though only for modules that somebody names: what else Python
imports is looked for where it always was.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import sysconfig
from collections.abc import Iterable
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from covey.core.errors import BadInput


def import_named(module: str) -> ModuleType:
    """The module of this name, from the current folder where it has one. What it lacks is a ModuleNotFoundError."""
    find(module, [Path.cwd()])
    return importlib.import_module(module)


def find(module: str, folders: Iterable[str | Path]) -> bool:
    """Is there a module (or package) of this name? The first of `folders` that has it is then searched for imports.

    A folder of that name without an `__init__.py` counts only where there is no real module.
    """
    top = module.partition(".")[0]
    if top in sys.modules:
        return True
    importlib.invalidate_caches()  # the file may have been written a moment ago
    specs = {str(folder): _spec(top, str(folder)) for folder in folders}
    for folder, spec in specs.items():
        if spec is not None and spec.has_location:
            return _search(folder)
    if _spec(top) is not None:
        return True
    return any(_search(folder) for folder, spec in specs.items() if spec is not None)


def demand_same(module: str, folders: Iterable[str | Path]) -> None:
    """BadInput where `module` is loaded from elsewhere though one of `folders` has one of its name too."""
    top = module.partition(".")[0]
    for folder in folders:
        spec, loaded = _spec(top, str(folder)), getattr(sys.modules.get(top), "__file__", None)
        if loaded and spec is not None and spec.has_location:
            if Path(str(spec.origin)).resolve() != Path(loaded).resolve():
                raise BadInput(
                    f"the module {top!r} is wanted from {folder}, and this process has loaded another one of that name "
                    f"from {Path(loaded).parent}: use two processes, or rename one of them."
                )
            return


def home(module: str) -> Path | None:
    """The folder that makes `module`, which is loaded, importable; None where Python finds it by itself."""
    top = sys.modules.get(module.partition(".")[0])
    file = getattr(top, "__file__", None)
    places = getattr(top, "__path__", None) or ([file] if file else [])  # of a package its folders, else the file
    installed = {Path(place).resolve() for place in sysconfig.get_paths().values()}
    folders = [Path(place).absolute().parent for place in places]
    return next((folder for folder in folders if folder.resolve() not in installed), None)


def _search(folder: str) -> bool:
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return True


def _spec(top: str, folder: str | None = None) -> ModuleSpec | None:
    """How a top-level module would be imported: from `folder`, or the usual way."""
    try:
        return importlib.util.find_spec(top) if folder is None else PathFinder.find_spec(top, [folder])
    except (ImportError, ValueError):  # an empty name, or one that only looks like a module
        return None
