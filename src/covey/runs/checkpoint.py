"""A run on disk: `checkpoints/<step>/` holds exactly the `Run`, what it belongs to, and a digest of every file.

    run/         the arrays of the run (orbax)
    world.bin    a saved host environment, where the environment offers one
    about.json   format, step, identity (algorithm, environment, shapes), versions, host facts, digests of the files
    above

`policies/<step>/` holds the same of what acts alone, a `Player`: no replay and nothing else that only learning needs.

Either is written aside, flushed, and renamed into place, so that at any moment every folder with a plain number for a
name is complete. The newest two checkpoints are kept, and all policies. One that does not match its digests is passed
over for the one before.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import reprlib
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from covey.core.errors import BadInput
from covey.core.moved import now_at
from covey.core.types import STEP_LIMIT
from covey.runs.files import sync, sync_tree, writing

FORMAT = 1
KEEP = 2
CHECKPOINTS, POLICIES = "checkpoints", "policies"
"""Their places in the folder of a run."""

ASIDE = ".writing"

MEASURES = ".score.measure"
"""Sums over the running episode of what an environment measures."""

GONE = ("whole_episode",)
"""Fields that records had once. What they said now stands in others (`upgrade` of the record)."""


class Identity(NamedTuple):
    """What a checkpoint belongs to. `settings` holds everything that decides the run's arithmetic, by name."""

    algorithm: str
    environment: str
    settings: dict[str, str]


class Player(NamedTuple):
    """What is kept of a run for good."""

    agent: Any  # [S, ...]  what acts, `Algorithm.acting`
    step: Any  # []


class Saved(NamedTuple):
    """A checkpoint that was found whole: where it is and what it says about itself."""

    folder: Path
    about: dict[str, Any]
    passed_over: tuple[str, ...] = ()  # sentences on newer checkpoints that were not whole

    @property
    def step(self) -> int:
        return self.about["step"]

    @property
    def world(self) -> bytes | None:
        """The saved host environment, if any."""
        file = self.folder / "world.bin"
        return file.read_bytes() if file.exists() else None


# ---------------------------------------------------------------------------------------------------------------------
# Trees <-> named plain arrays


def flat(tree: Any) -> dict[str, Any]:
    """Leaves by their path, typed keys as their data, without the leaves of size zero."""
    leaves = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
    return {name: _plain(leaf) for name, leaf in leaves.items() if leaf.size}


def unflat(arrays: dict[str, Any], abstract: Any, kinds: dict[str, str]) -> Any:
    """The inverse of `flat`: leaves of size zero are made anew, and keys are of their `kinds` again."""

    def leaf(path: Any, like: Any) -> Any:
        name = jax.tree_util.keystr(path)
        if not like.size:
            return jnp.empty(like.shape, like.dtype)
        return jax.random.wrap_key_data(arrays[name], impl=kinds[name]) if _is_key(like) else arrays[name]

    return jax.tree_util.tree_map_with_path(leaf, abstract)


def key_kinds(tree: Any) -> dict[str, str]:
    """The generator of every typed key of a tree, by its path."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(p): str(jax.random.key_impl(leaf)) for p, leaf in leaves if _is_key(leaf)}


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _plain(leaf: Any) -> Any:
    if not _is_key(leaf):
        return leaf
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return jax.eval_shape(jax.random.key_data, leaf)
    return jax.random.key_data(leaf)


def _shapes(arrays: dict[str, Any]) -> dict[str, str]:
    return {name: f"{array.dtype}{list(array.shape)}" for name, array in arrays.items()}


# ---------------------------------------------------------------------------------------------------------------------
# Saving


def save(
    folder: Path,
    run: Any,
    identity: Identity,
    versions: dict[str, str],
    host: dict[str, Any],
    world: bytes | None = None,
    keep: int | None = KEEP,
) -> Path:
    """Write `run` (a `Run` or a `Player`) under `folder` and return where; of older ones the newest `keep` stay.

    `host` is what the host's side of the loop needs to go on (JSON). A full or read-only disk is a BadInput, and leaves
    the earlier checkpoints as they were.
    """
    arrays = flat(run)
    step = int(run.step)
    aside, final = folder / f"{ASIDE}-{step}", folder / str(step)
    with writing(f"the checkpoint {final}"):
        _discard_leftovers(folder)
        _demand_space(folder, arrays)
        aside.mkdir(parents=True)
        try:
            _write_arrays(aside / "run", arrays)
            if world is not None:
                (aside / "world.bin").write_bytes(world)
            about = {
                "format": FORMAT,
                "step": step,
                "identity": identity._asdict(),
                "versions": versions,
                "host": host,
                "shapes": _shapes(arrays),
                "keys": key_kinds(run),
                "files": _digests(aside),
            }
            (aside / "about.json").write_text(json.dumps(about, indent=1))
            sync_tree(aside)
            if final.exists():  # only one that was passed over as damaged
                final.rename(folder / f"{ASIDE}-old-{step}")
            aside.rename(final)
            sync(folder)
        finally:
            _discard_leftovers(folder)
        for old in steps(folder)[keep:] if keep else ():
            shutil.rmtree(folder / str(old))
    return final


def forget_after(folder: Path, step: int) -> None:
    """Remove the checkpoints beyond `step`: they were passed over, and the run goes on from `step`."""
    with writing(f"the folder {folder}"):
        for later in [s for s in steps(folder) if s > step]:
            shutil.rmtree(folder / str(later))


def _write_arrays(folder: Path, arrays: dict[str, Any]) -> None:
    import orbax.checkpoint as ocp

    try:
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(folder.absolute(), arrays)
            checkpointer.wait_until_finished()
    except (OSError, RuntimeError, ValueError) as error:  # the storage layer's own types, with the system's words
        full = "No space left" in str(error) or "RESOURCE_EXHAUSTED" in str(error)
        if full or not folder.parent.is_dir():  # the latter: somebody removed it
            number = errno.ENOSPC if full else errno.ENOENT
            raise OSError(number, os.strerror(number)) from error
        raise


def _demand_space(folder: Path, arrays: dict[str, Any]) -> None:
    """Ask before writing: half a checkpoint helps nobody."""
    need = 1.1 * sum(array.nbytes for array in arrays.values()) + 1e6  # and what is written about them
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < need:
        raise BadInput(
            f"the checkpoint needs {need / 1e6:.1f} MB and {folder} has {free / 1e6:.1f} MB free: free some space and "
            "resume."
        )


def _discard_leftovers(folder: Path) -> None:
    """Remove what a writer that was killed left behind."""
    for leftover in folder.glob(f"{ASIDE}*"):
        shutil.rmtree(leftover)


def steps(folder: Path) -> list[int]:
    """Steps of what is complete below `folder`, newest first."""
    names = os.listdir(folder) if folder.is_dir() else []
    return sorted((int(name) for name in names if name.isdecimal()), reverse=True)


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below `folder`."""
    digests = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with path.open("rb") as file:
            digests[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


# ---------------------------------------------------------------------------------------------------------------------
# Restoring


def latest(folder: Path) -> Saved | None:
    """The newest checkpoint below `folder` that is whole; None if there never was one.

    Checkpoints that are damaged are passed over, and said so in `passed_over`; if all are, that is a BadInput.
    """
    complaints: list[str] = []
    for step in steps(folder):
        try:
            return Saved(folder / str(step), _about(folder / str(step)), tuple(complaints))
        except Damaged as fault:
            complaints.append(f"the checkpoint {folder / str(step)} is damaged ({fault}) and was passed over")
    if complaints:
        raise BadInput("; ".join(complaints) + "; no earlier one is left, so start the run anew in another folder.")
    return None


def at(folder: Path, step: int) -> Saved | None:
    """What is saved of one step below `folder`; None where it is not there, BadInput where it is damaged."""
    if step not in steps(folder):
        return None
    try:
        return Saved(folder / str(step), _about(folder / str(step)))
    except Damaged as fault:
        raise BadInput(f"the checkpoint {folder / str(step)} is damaged: {fault}.") from fault


class Damaged(Exception):
    """The files of a checkpoint are not what was written: the message says what is wrong."""


def _about(folder: Path) -> dict[str, Any]:
    """What a checkpoint says about itself, after a look at all of its files."""
    try:
        about = json.loads((folder / "about.json").read_text())
        _demand_form(about, dict)
        _demand_form(about, FORM if about["format"] == FORMAT else OTHER_FORM)
        there = _digests(folder)
    except KeyError as error:
        raise Damaged(f"about.json lacks {error}") from error
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise Damaged(f"about.json: {error}") from error
    if about["step"] != int(folder.name) or about["step"] > STEP_LIMIT:
        raise Damaged(f"about.json: it is of step {about['step']}")
    wrong = [name for name, value in about["files"].items() if there.get(name) != value]
    if wrong:
        raise Damaged(f"{wrong[0]} is missing or changed")
    return about


FORM = {
    "step": int,
    "identity": {"algorithm": str, "environment": str, "settings": dict},
    "versions": dict,
    "host": dict,
    "shapes": dict,
    "keys": dict,
    "files": dict,
}
"""The entries of about.json and their kinds."""

OTHER_FORM = {"step": int, "files": dict}
"""Those that every format has."""


def _demand_form(value: Any, form: Any, where: str = "it") -> None:
    """TypeError where `value` is not of the form, KeyError where it lacks an entry."""
    if not isinstance(value, form if isinstance(form, type) else dict):
        raise TypeError(f"{where} is {reprlib.repr(value)}")
    for name, inner in form.items() if isinstance(form, dict) else ():
        _demand_form(value[name], inner, repr(name))


def check(saved: Saved, identity: Identity) -> None:
    """BadInput unless `saved` belongs to this algorithm, environment and configuration."""
    if saved.about.get("format") != FORMAT:
        raise BadInput(
            f"the checkpoint {saved.folder} has format {saved.about.get('format')}, and this covey reads format "
            f"{FORMAT}: use the covey that wrote it ({saved.about.get('versions', {}).get('covey', 'unknown')})."
        )
    was = Identity(*(saved.about["identity"][name] for name in Identity._fields))
    for name in ("algorithm", "environment"):
        if getattr(was, name) != getattr(identity, name):
            raise BadInput(
                f"the checkpoint {saved.folder} is of the {name} {getattr(was, name)!r}, and not of "
                f"{getattr(identity, name)!r}: resume with what it was made with, or choose another folder."
            )
    for name, value in was.settings.items():  # what is new since then has its default, and is no difference
        now = identity.settings.get(name, "absent")
        value = f'"{now_at(text[1:-1])}"' if (text := str(value)).startswith('"') else value  # a text, as JSON
        if now != value and name.rpartition(".")[2] not in GONE:
            raise BadInput(
                f"the checkpoint {saved.folder} was made with {name} = {_short(value)}, and now it is {_short(now)}: "
                "resume with the settings of its config.yaml, or choose another folder."
            )


def _short(value: Any) -> str:
    value = str(value)
    return value if len(value) <= 60 else f"{value[:57]}..."


def restore(saved: Saved, abstract: Any, part: str = "") -> Any:
    """The pytree in `saved`, shaped like `abstract` (of `jax.eval_shape`).

    part: the name of one field of the run (such as "agent"), to restore that alone, or as much of it as `abstract`
    has; `abstract` is then that field's. An environment may have other measures by now: new ones begin at 0 in the
    running episode, and those that are gone are left out.
    """
    prefix = f".{part}" if part else ""
    wanted = {prefix + name: leaf for name, leaf in flat(abstract).items()}
    there = saved.about["shapes"]
    fresh = {n: jnp.zeros(x.shape, x.dtype) for n, x in wanted.items() if n.startswith(MEASURES) and n not in there}
    wanted = {name: leaf for name, leaf in wanted.items() if name not in fresh}
    shapes = {n: s for n, s in there.items() if n in wanted or not (part or n.startswith(MEASURES))}
    _demand_same_shapes(saved, shapes, _shapes(wanted))
    try:
        arrays = _read_arrays(saved.folder / "run", wanted) if wanted else {}
        _demand_same_shapes(saved, _shapes(arrays), _shapes(wanted))
        arrays |= fresh
        arrays, kinds = ({n.removeprefix(prefix): x for n, x in by.items()} for by in (arrays, saved.about["keys"]))
        return unflat(arrays, abstract, kinds)
    except BadInput:
        raise
    except (OSError, ValueError, TypeError, LookupError, RuntimeError, MemoryError) as error:  # of the storage layer
        raise BadInput(f"the checkpoint {saved.folder} is damaged: its arrays cannot be read ({error}).") from error


def fits(saved: Saved, abstract: Any, part: str) -> bool:
    """Is the field `part` of the run in `saved` shaped like `abstract`?"""
    wanted = {f".{part}{name}": shape for name, shape in _shapes(flat(abstract)).items()}
    return wanted == {n: s for n, s in saved.about["shapes"].items() if n.startswith(f".{part}")}


def _demand_same_shapes(saved: Saved, there: dict[str, str], wanted: dict[str, str]) -> None:
    for name in sorted(there.keys() | wanted.keys()):
        if there.get(name) != wanted.get(name):
            raise BadInput(
                f"the checkpoint {saved.folder} does not fit: {name} is {there.get(name, 'absent')} there and "
                f"{wanted.get(name, 'absent')} here; go on with the covey that wrote it, or begin a new run."
            )


def _read_arrays(folder: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """Arrays by name, bound to no device: a run that goes on is then compiled as a fresh one is."""
    import orbax.checkpoint as ocp

    restore_args = {name: ocp.RestoreArgs(restore_type=np.ndarray) for name in wanted}
    arguments = ocp.args.PyTreeRestore(item=wanted, restore_args=restore_args, partial_restore=True)
    with ocp.PyTreeCheckpointer() as checkpointer:
        arrays = checkpointer.restore(folder.absolute(), args=arguments)
    return {name: jnp.array(array) for name, array in arrays.items()}


def differences(saved: Saved, versions: dict[str, str]) -> list[str]:
    """What is not as it was when `saved` was written, in words: then a run goes on, but perhaps not to the bit."""
    was = saved.about.get("versions", {})
    return [f"{name} {was.get(name)} then, {now} now" for name, now in versions.items() if was.get(name) != now]


def nbytes(abstract: Any) -> int:
    """Bytes of the arrays of a tree, abstract or not."""
    return sum(int(np.prod(x.shape)) * x.dtype.itemsize for x in flat(abstract).values())
