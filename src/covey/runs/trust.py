"""A run folder is data: what it may name, and how a run that was trained here is known again.

Everybody's run may name what comes with covey: ids of environments and algorithms, and the records and functions that
these are made of. Any other name is code of somebody else's choice. It is imported only from a run that carries this
user's seal, or for a reader who trusts it (`--trust`, `trust=True`).

A seal is a keyed digest (HMAC-SHA256). The key is drawn once per user, in `covey/secret` below `$XDG_STATE_HOME`
(default `~/.local/state`), and never leaves this file. So a folder may be moved, renamed and copied and stays known,
and nobody without the key can make one that is.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import importlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from covey.algorithms import SELF_PLAY
from covey.core.errors import BadInput
from covey.core.registry import is_record
from covey.core.types import Table
from covey.environments import FILES, PACKAGES, SCHEMES, WORLDS
from covey.runs.fields import imports
from covey.runs.files import content, demand_plain, reading

OF_COVEY = re.compile(r"covey\.(core|nn|learning|algorithms|environments)(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
"""Where the parts of algorithms and environments are."""

ELSEWHERE = re.compile(r"covey\.environments\.pettingzoo\b")
"""Modules of covey that import other packages."""

_NETS = (jnp.tanh, jax.nn.relu, jax.nn.elu, jax.nn.gelu, jax.nn.silu, jax.nn.sigmoid, jax.nn.softplus)
ACTIVATIONS = tuple(f"{function.__module__}:{function.__qualname__}" for function in _NETS)
"""Functions of networks, as they call themselves."""

KEY_BYTES = 32


class Foreign(NamedTuple):
    """Something that a configuration names and that does not come with covey, and the module it is in."""

    name: str
    module: str


# ---------------------------------------------------------------------------------------------------------------------
# What everybody's run may name


def foreign(document: dict[str, Any], with_environment: bool = True) -> list[Foreign]:
    """Whatever a configuration would import that does not come with covey. Nothing else is imported to find out.

    with_environment: False where the environment is given, and what the document says of it is not made.
    """
    names = list(_algorithm_names(document.get("algorithm")))
    if with_environment:
        names += _environment_names(document.get("environment"))
    return list(dict.fromkeys(names))


def _environment_names(entry: Any) -> Iterator[Foreign]:
    id = entry.get("id") if isinstance(entry, dict) else entry
    if isinstance(id, str) and id not in WORLDS:
        scheme, colon, rest = id.partition(":")
        if scheme in SCHEMES and scheme not in FILES:
            yield Foreign(id, scheme if "/" in rest else rest)
        elif colon and scheme not in FILES and scheme not in PACKAGES:
            yield Foreign(id, scheme)
    yield from _tree_names(entry)


def _algorithm_names(entry: Any) -> Iterator[Foreign]:
    id, tree = (entry.get("id"), entry.get("object")) if isinstance(entry, dict) else (entry, None)
    if tree is None and isinstance(id, str) and ":" in id:
        learner = id[len(SELF_PLAY) :] if id.replace("_", "-").startswith(SELF_PLAY) else id
        yield Foreign(id, learner.partition(":")[0])
    yield from _tree_names(entry)


def _tree_names(entry: Any) -> Iterator[Foreign]:
    tree = entry.get("object") if isinstance(entry, dict) else None
    for path in imports(tree):
        if not comes_with_covey(path):
            yield Foreign(path, path.partition(":")[0])


def comes_with_covey(path: str) -> bool:
    """Is `package.module:name` a record of covey's, or a function that is marked as a `part`, where it is defined?"""
    if path in ACTIVATIONS:
        return True
    if not OF_COVEY.fullmatch(path) or ELSEWHERE.match(path):
        return False
    module, _, name = path.partition(":")
    try:
        thing = vars(importlib.import_module(module)).get(name)
    except ModuleNotFoundError:
        return False
    at_home = getattr(thing, "__module__", None) == module and getattr(thing, "__qualname__", None) == name
    return at_home and (is_record(thing) or thing is Table or getattr(thing, "is_part", False) is True)


def demand_safe(folder: Path, trust: bool) -> None:
    """BadInput where a run folder has links that lead out of it, if it is neither this user's own nor trusted."""
    with reading(f"the run folder {folder}"):
        if not (trust or is_own(folder / "config.yaml")):
            demand_plain(folder)


def refusal(path: Path, names: list[Foreign]) -> BadInput:
    """BadInput for a configuration that nobody trusts."""
    first = names[0]
    return BadInput(
        f"{path} names {first.name!r}, code of the module {first.module!r} that does not come with covey, and the run "
        "was not trained by this user on this machine: if you trust whoever made it, add `--trust` (in Python: "
        "`trust=True`), and the module is imported."
    )


# ---------------------------------------------------------------------------------------------------------------------
# Seals


def seal(purpose: str, *contents: bytes) -> str | None:
    """The seal of some bytes; None where the user's key can neither be read nor written."""
    key = _key() or _new_key()
    return None if key is None else _digest(key, purpose, contents)


def is_sealed(claim: Any, purpose: str, *contents: bytes) -> bool:
    """Did this user's `seal` of these bytes, for this purpose, give `claim`?"""
    key = _key()
    if key is None or not isinstance(claim, str) or not claim.isascii():
        return False
    return hmac.compare_digest(claim, _digest(key, purpose, contents))


def seal_config(path: Path) -> None:
    """Seal a configuration that was just written, in a file beside it."""
    claim = seal(*_config(path))
    place = path.with_suffix(".seal")
    if claim is None:
        place.unlink(missing_ok=True)
    else:
        place.write_text(claim)


def is_own(path: Path) -> bool:
    """Was the run with this configuration trained by this user on this machine, and is the configuration unchanged?"""
    with contextlib.suppress(OSError):
        claim = content(path.with_suffix(".seal"))
        return claim is not None and is_sealed(claim.decode("ascii", "replace").strip(), *_config(path))
    return False


def _config(path: Path) -> tuple[str, bytes, bytes]:
    return "config", content(path) or b"", content(path.with_suffix(".npz")) or b""


def _digest(key: bytes, purpose: str, contents: tuple[bytes, ...]) -> str:
    parts = [purpose.encode(), *(hashlib.sha256(x).digest() for x in contents)]
    return hmac.new(key, b"\0".join(parts), "sha256").hexdigest()


def key_file() -> Path:
    """Where this user's key is kept."""
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    return (state if state.is_absolute() else Path.home() / ".local" / "state") / "covey" / "secret"


def _key() -> bytes | None:
    with contextlib.suppress(OSError, RuntimeError):  # the latter: there is no home
        key = content(key_file())
        return key if key is not None and len(key) == KEY_BYTES else None
    return None


def _new_key() -> bytes | None:
    """Draw the key; of several processes that do so at once, one wins and all get the same."""
    with contextlib.suppress(OSError, RuntimeError):
        file = key_file()
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside = file.with_name(f".secret.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as opened:
                opened.write(secrets.token_bytes(KEY_BYTES))
            with contextlib.suppress(FileExistsError):
                os.link(aside, file)
        finally:
            aside.unlink(missing_ok=True)
    return _key()
