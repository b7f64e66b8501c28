"""What a run is made of, as an object and as `config.yaml`: the file alone is enough to run again.

    environment: {id: routing/large, options: {}}       # `reward: FOLDER`: agents learn from an authored one
    algorithm: {id: att-maddpg, preset: tuned, object: {type: "covey.algorithms.ddpg:DDPG", gamma: 0.5, ...}}
    steps: 1000000
    ...

The fields of `object` decide; `id` says where they came from. Arrays lie in a `.npz` of the same name.
"""

from __future__ import annotations

import dataclasses
import errno
import importlib.metadata
import io
import json
import os
import platform
import re
import zipfile
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from covey import algorithms, environments
from covey.authored.reward import OWN, without_authored_reward
from covey.core import modules
from covey.core.algorithm import Algorithm
from covey.core.documents import read_yaml, write_yaml
from covey.core.environment import HostEnvironment, demand_environment
from covey.core.errors import BadInput, unknown
from covey.core.registry import conform, hints_of
from covey.core.settings import with_settings
from covey.core.types import STEP_LIMIT
from covey.runs import provenance
from covey.runs import trust as trusting
from covey.runs.fields import Arrays, Unwritable, decode, encode, listed
from covey.runs.files import content, reading, write_atomically
from covey.runs.guides import guide, rewarded
from covey.runs.provenance import HERE, Places
from covey.runs.trust import Foreign

FORMAT = 1


class Origin(NamedTuple):
    """The ids that a run's environment and algorithm were made from; None where they were given as objects."""

    environment: str | None = None
    options: dict[str, Any] = {}  # noqa: RUF012
    algorithm: str | None = None
    preset: str = "tuned"
    reward: str = OWN
    """The authored folder whose reward agents learn from; none: they learn from the environment's own."""
    places: Places = HERE
    """Where the folders are that names stand for."""


NO_ORIGIN = Origin()


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that decides what a run computes (first part) and when it reports (second part)."""

    algorithm: Algorithm
    environment: Any
    origin: Origin = NO_ORIGIN
    steps: int = 100_000
    """Environment steps of each seed, summed over its lanes; rounded up to a whole iteration."""
    seeds: int = 1
    """How many runs, side by side, with the seeds `seed`, `seed + 1`, ..."""
    envs: int = 1
    """Environments (lanes) of each seed."""
    seed: int = 0
    """The first seed."""
    evaluate_every: int | None = None
    """Environment steps between evaluations; None: only at the end."""
    episodes: int = 32
    """Episodes of each seed in an evaluation."""
    checkpoint_every_s: float = 300.0
    """Seconds between checkpoints."""
    keep_every: int | None = None
    """Environment steps between policies that are kept for good, beside the newest two checkpoints; None: none are."""
    chunk: int | None = None
    """Iterations between two reports; None: about a second's worth, measured once."""

    def __post_init__(self) -> None:
        guides = partial(guide, self.environment, places=self.origin.places)
        object.__setattr__(self, "algorithm", self.algorithm.with_guides(guides))
        for name in ("steps", "seeds", "envs", "episodes"):
            if getattr(self, name) < 1:
                raise BadInput(f"`{name}` must be at least 1, got {getattr(self, name)}.")
        for name in ("evaluate_every", "keep_every", "chunk"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise BadInput(f"`{name}` must be at least 1 or left out, got {getattr(self, name)}.")
        if self.checkpoint_every_s < 0:
            raise BadInput(f"`checkpoint_every_s` must not be negative, got {self.checkpoint_every_s}.")
        if not 0 <= self.seed <= STEP_LIMIT - self.seeds:
            raise BadInput(f"`seed` must be between 0 and {STEP_LIMIT - self.seeds}, got {self.seed}.")
        if self.end > STEP_LIMIT:
            raise BadInput(f"`steps` must be at most {STEP_LIMIT} (2³¹ - 1) for each seed, got {self.steps}.")
        for name in ("envs", "episodes"):
            if self.seeds * getattr(self, name) > STEP_LIMIT:
                raise BadInput(f"`seeds` times `{name}` must be at most {STEP_LIMIT} (2³¹ - 1).")
        missing = set(self.environment.spec.groups) - set(self.algorithm.groups)
        if missing:
            raise BadInput(
                f"the algorithm controls {list(self.algorithm.groups)}, and nobody controls {sorted(missing)}: combine "
                "it with an algorithm for the other groups in a `Mixed`."
            )

    @property
    def iteration(self) -> int:
        """Environment steps of one iteration, for each seed."""
        return self.algorithm.plan.horizon * self.envs

    @property
    def end(self) -> int:
        """`steps`, rounded up to a whole iteration."""
        return -(-self.steps // self.iteration) * self.iteration

    @property
    def keys(self) -> jax.Array:
        """The key of each seed [S]; seed number s has the same key in every batch."""
        return jax.vmap(jax.random.key)(np.arange(self.seed, self.seed + self.seeds))

    @property
    def hosted(self) -> bool:
        """Does the environment live outside JAX?"""
        return isinstance(self.environment, HostEnvironment)

    @property
    def name(self) -> str:
        """A short name: algorithm and world."""
        algorithm = self.origin.algorithm or type(self.algorithm).__name__.lower()
        world = self.environment.spec.name
        return re.sub(r"[^\w.-]+", "-", f"{algorithm}-{world}")


def versions() -> dict[str, str]:
    """What a run's bits depend on, beside its configuration."""
    return {
        "covey": importlib.metadata.version("covey"),
        "jax": jax.__version__,
        "python": platform.python_version(),
        "device": jax.devices()[0].device_kind,
        "devices": str(jax.device_count()),
    }


# ---------------------------------------------------------------------------------------------------------------------
# Writing


def write(config: Config, path: Path) -> None:
    """Write `config` to the YAML file `path`; beside it arrays and authored functions, if any, and the user's seal."""
    arrays: Arrays = {}
    document = _document(config, arrays)
    head = {"format": FORMAT, "versions": versions()} | _whereabouts(document)
    if arrays:
        packed = io.BytesIO()
        np.savez(packed, **arrays)  # type: ignore[arg-type]
        write_atomically(path.with_suffix(".npz"), packed.getvalue())
    write_atomically(path, write_yaml(head | document).encode())
    trusting.seal_config(path)
    provenance.keep(path.parent, provenance.kept(config.environment, config.algorithm))


def _whereabouts(document: dict[str, Any]) -> dict[str, Any]:
    """Where training found what the names stand for: `folder`, of relative file names, and `path`, of modules."""
    homes = [modules.home(name.module) for name in trusting.foreign(document)]
    found = {"path": list(dict.fromkeys(str(folder) for folder in homes if folder is not None))} if homes else {}
    id = document["environment"].get("id", "")
    named = id in environments.FILE_OPTIONS or id.partition(":")[0] in environments.FILES or "authored" in document
    return found | ({"folder": str(Path.cwd())} if named else {})


def fingerprint(config: Config) -> dict[str, str]:
    """What has to stay the same for a run to be continued, by name: algorithm, environment, seeds and lanes."""
    arrays: Arrays = {}
    own = without_authored_reward(config.environment)
    world = _object(own, None, arrays, "environment")
    options = {}
    if world is None:
        world = config.origin.environment
        if not config.hosted:  # the options of others may say how many processes there are
            options = {"environment options": json.dumps(config.origin.options, sort_keys=True, default=str)}
    algorithm = _object(config.algorithm, config.environment.spec, arrays, "algorithm") or config.origin.algorithm
    counts = {name: str(getattr(config, name)) for name in ("seeds", "envs", "seed")}
    kept = provenance.kept(config.environment, config.algorithm).values()
    authored = {"reward": config.origin.reward} | {f"{one.name} (SHA-256)": one.sha256 for one in kept}
    return listed(world, arrays, "environment") | options | listed(algorithm, arrays, "algorithm") | counts | authored


def settings(config: Config) -> dict[str, Any]:
    """The plain settings of a run, with the ids it was made from."""
    made = {name: getattr(config.origin, name) for name in ("environment", "algorithm", "reward")}
    return made | {name: getattr(config, name) for name in _SETTINGS}


def _document(config: Config, arrays: Arrays) -> dict[str, Any]:
    parts = {"environment": _environment(config, arrays), "algorithm": _algorithm(config, arrays)}
    kept = provenance.kept(config.environment, config.algorithm)
    parts |= {"authored": {name: one.sha256 for name, one in kept.items()}} if kept else {}
    return parts | {name: getattr(config, name) for name in _SETTINGS}


_SETTINGS = tuple(
    field.name for field in dataclasses.fields(Config) if field.name not in ("algorithm", "environment", "origin")
)


def _environment(config: Config, arrays: Arrays) -> dict[str, Any]:
    origin, own = config.origin, without_authored_reward(config.environment)
    reward = {} if origin.reward == OWN else {"reward": origin.reward}
    if origin.environment is not None:
        return {"id": origin.environment, "options": dict(origin.options)} | reward
    return {"name": own.spec.name, "object": _object(own, None, arrays, "environment")} | reward


def _algorithm(config: Config, arrays: Arrays) -> dict[str, Any]:
    origin = config.origin
    made = {"id": origin.algorithm, "preset": origin.preset} if origin.algorithm is not None else {}
    return made | {"object": _object(config.algorithm, config.environment.spec, arrays, "algorithm")}


def _object(value: Any, spec: Any, arrays: Arrays, where: str) -> Any:
    """`value` as fields; None where it cannot be written (then its id, or the caller, has to bring it back)."""
    own: Arrays = {}
    try:
        tree = encode(value, spec, own, where)
    except Unwritable:
        return None
    arrays.update(own)
    return tree


# ---------------------------------------------------------------------------------------------------------------------
# Reading


def read(path: str | Path, environment: Any = None, trust: bool = False) -> Config:
    """The configuration in the YAML file `path`.

    `environment` stands in for an environment that was given as an object and cannot be written as text. An authored
    reward is put around it. Code that does not
    come with covey is imported only from a run of this user's own, or with `trust` (`covey.runs.trust`). Anything that
    is not a configuration is a BadInput.
    """
    path = Path(path)
    document, arrays = _load(path)
    _demand_known(path, document)
    names = trusting.foreign(document, with_environment=environment is None)
    if names:
        _admit(path, names, document.get("path", []), trust)
    folder = conform(document.get("folder", os.getcwd()), str, f"in {path} the entry 'folder'")
    try:
        world, origin = _read_environment(document["environment"], arrays, path, environment, folder)
        origin = origin._replace(places=provenance.places(path, Path(folder), document.get("authored", {})))
        world = rewarded(world, origin.reward, origin.places)
        algorithm, origin = _read_algorithm(document["algorithm"], world, arrays, path, origin)
        hints = hints_of(Config)
        given = {n: conform(document[n], hints[n], f"in {path} the entry {n!r}") for n in _SETTINGS if n in document}
        return Config(algorithm, world, origin, **given)
    except (OverflowError, MemoryError) as error:
        raise BadInput(f"a number in {path} is too large for this machine: {error}.") from error


def _demand_known(path: Path, document: dict[str, Any]) -> None:
    known = ["format", "versions", "path", "folder", "authored", "environment", "algorithm", *_SETTINGS]
    for name in document:
        if name not in known:
            raise unknown(f"in {path} the entry", str(name), known)
    for name in ("environment", "algorithm"):
        if name not in document:
            raise BadInput(f"{path} lacks the entry {name!r}.")
    if document.get("format", FORMAT) != FORMAT:
        raise BadInput(f"{path} has format {document['format']}, and this covey reads format {FORMAT}.")


def _admit(path: Path, names: list[Foreign], folders: Any, trust: bool) -> None:
    """Let the modules of `names` be imported, from where they were in training; BadInput where nobody trusts them."""
    if not (trust or trusting.is_own(path)):
        raise trusting.refusal(path, names)
    folders = conform(folders, tuple[str, ...], f"in {path} the entry 'path'")
    for name, module in names:
        modules.demand_same(module, folders)
        if not modules.find(module, folders) and not trust:
            raise BadInput(
                f"{path} names {name!r}, and there is no module {module!r} where training found it "
                f"({', '.join(folders) or 'among the installed packages'}): put it back there, or add `--trust` (in "
                "Python: `trust=True`) to take it from the current folder."
            )


def _load(path: Path) -> tuple[dict[str, Any], Arrays]:
    with reading(f"the configuration {path}"):
        text, packed = content(path), content(path.with_suffix(".npz"))
        if text is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    try:
        document = read_yaml(text.decode(), f"the configuration {path}")
    except UnicodeDecodeError as error:
        raise BadInput(f"the configuration {path} is not valid YAML: {error}.") from error
    if not isinstance(document, dict):
        raise BadInput(f"the configuration {path} must be a mapping of names to values.")
    return document, {} if packed is None else _arrays(path.with_suffix(".npz"), packed)


def _arrays(path: Path, packed: bytes) -> Arrays:
    try:
        if any(part.compress_type != zipfile.ZIP_STORED for part in zipfile.ZipFile(io.BytesIO(packed)).infolist()):
            raise ValueError("they are compressed, and covey writes them as they are")
        with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise BadInput(f"the arrays in {path} cannot be read: {error}.") from error


def _demand_entries(entry: dict, path: Path, what: str, known: tuple[str, ...], where: str) -> None:
    """BadInput for what a hand-written entry says beside `known`; `where` says where settings belong."""
    for name in entry:
        if name not in known:
            raise BadInput(f"in {path} the {what} has no entry {name!r}, only {', '.join(known)}: {where}.")


def _read_environment(entry: Any, arrays: Arrays, path: Path, given: Any, folder: str) -> tuple[Any, Origin]:
    """The environment of an entry (its files are relative to `folder`), or the one that is `given`; its own reward."""
    options: Any = {}
    reward = OWN
    if isinstance(entry, dict):
        kinds = (*(("id", "options") if "id" in entry else ("name", "object")), "reward")
        _demand_entries(entry, path, "environment", kinds, "its options stand in `options: {NAME: VALUE}`")
        id, tree, options = entry.get("id"), entry.get("object"), entry.get("options") or {}
        reward = conform(entry.get("reward", OWN), str, f"in {path} the environment's `reward`")
        if not isinstance(options, dict) or not all(isinstance(name, str) for name in options):
            raise BadInput(f"in {path} the environment's `options` must be a mapping of names, got {options!r}.")
    else:
        id, tree = entry, None
    if isinstance(id, str):
        if folder != os.getcwd():
            id, options = environments.in_folder(id, options, Path(folder))
        return environments.make(id, **options) if given is None else given, Origin(id, options, reward=reward)
    origin = Origin(reward=reward)
    if given is None and isinstance(tree, dict):
        return demand_environment(decode(tree, None, arrays, "environment"), f"the environment in {path}"), origin
    if given is None:
        raise BadInput(f"{path} does not hold its environment (it was given as an object): pass it as `environment=`.")
    return given, origin


def _read_algorithm(
    entry: Any, environment: Any, arrays: Arrays, path: Path, origin: Origin
) -> tuple[Algorithm, Origin]:
    tree, preset, id, settings = None, "tuned", entry, {}
    if isinstance(entry, dict):
        where = "its settings stand in `settings: {NAME: VALUE}`"
        _demand_entries(entry, path, "algorithm", ("id", "preset", "settings", "object"), where)
        tree, id = entry.get("object"), entry.get("id")
        settings = conform(entry.get("settings") or {}, dict, f"in {path} the algorithm's `settings`")
        preset = conform(entry.get("preset", "tuned"), str, f"in {path} the algorithm's `preset`")
    if isinstance(id, str):
        origin = origin._replace(algorithm=id, preset=preset)
    if tree is not None:
        made = decode(tree, environment.spec, arrays, "algorithm")
        made = algorithms.demand_algorithm(made, f"in {path} the entry 'algorithm'")
    elif isinstance(id, str):
        made = algorithms.make(id, environment, preset=preset)
    else:
        raise BadInput(f"{path} does not hold its algorithm: it was given as an object that cannot be written as text.")
    return with_settings(made, settings, f"the algorithm in {path}"), origin
