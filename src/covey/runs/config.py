"""What a run is made of, as an object and as `config.yaml`: the file alone is enough to run again.

    environment: {id: routing/large, options: {}}
    algorithm: {id: att-maddpg, preset: tuned, object: {type: "covey.algorithms.ddpg:DDPG", gamma: 0.5, ...}}
    steps: 1000000
    ...

The fields of `object` decide; `id` says where they came from. Arrays lie in a `.npz` of the same name.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import io
import platform
import re
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import yaml

from covey import algorithms, environments
from covey.core.algorithm import Algorithm
from covey.core.environment import HostEnvironment
from covey.core.errors import BadInput, unknown
from covey.core.registry import conform, hints_of
from covey.runs.fields import Arrays, Unwritable, decode, encode, listed
from covey.runs.files import write_atomically

FORMAT = 1
STEP_LIMIT = 2**31 - 1  # steps are counted in int32


class Origin(NamedTuple):
    """The ids that a run's world and algorithm were made from; None where they were given as objects."""

    environment: str | None = None
    options: dict[str, Any] = {}  # noqa: RUF012
    algorithm: str | None = None
    preset: str = "tuned"


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
        """Does the world live outside JAX?"""
        return isinstance(self.environment, HostEnvironment)

    @property
    def name(self) -> str:
        """A short name: algorithm and world."""
        algorithm = self.origin.algorithm or type(self.algorithm).__name__.lower()
        world = self.origin.environment or self.environment.spec.name
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
    """Write `config` to the YAML file `path`, and its arrays, if any, beside it."""
    arrays: Arrays = {}
    document = {"format": FORMAT, "versions": versions()} | _document(config, arrays)
    if arrays:
        packed = io.BytesIO()
        np.savez(packed, **arrays)  # type: ignore[arg-type]
        write_atomically(path.with_suffix(".npz"), packed.getvalue())
    text = yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)
    write_atomically(path, text.encode())


def fingerprint(config: Config) -> dict[str, str]:
    """What has to stay the same for a run to be continued, by name: algorithm, world, seeds and lanes."""
    arrays: Arrays = {}
    world = _object(config.environment, None, arrays, "environment") or config.origin.environment
    algorithm = _object(config.algorithm, config.environment.spec, arrays, "algorithm") or config.origin.algorithm
    counts = {name: str(getattr(config, name)) for name in ("seeds", "envs", "seed")}
    return listed(world, arrays, "environment") | listed(algorithm, arrays, "algorithm") | counts


def settings(config: Config) -> dict[str, Any]:
    """The plain settings of a run, with the ids it was made from."""
    made = {"environment": config.origin.environment, "algorithm": config.origin.algorithm}
    return made | {name: getattr(config, name) for name in _SETTINGS}


def _document(config: Config, arrays: Arrays) -> dict[str, Any]:
    parts = {"environment": _environment(config, arrays), "algorithm": _algorithm(config, arrays)}
    return parts | {name: getattr(config, name) for name in _SETTINGS}


_SETTINGS = tuple(
    field.name for field in dataclasses.fields(Config) if field.name not in ("algorithm", "environment", "origin")
)


def _environment(config: Config, arrays: Arrays) -> dict[str, Any]:
    if config.origin.environment is not None:
        return {"id": config.origin.environment, "options": dict(config.origin.options)}
    return {"name": config.environment.spec.name, "object": _object(config.environment, None, arrays, "environment")}


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


def read(path: str | Path, environment: Any = None) -> Config:
    """The configuration in the YAML file `path`.

    `environment` stands in for a world that was given as an object and cannot be written as text. Anything that is not
    a configuration is a BadInput.
    """
    path = Path(path)
    document = _load(path)
    known = ["format", "versions", "environment", "algorithm", *_SETTINGS]
    for name in document:
        if name not in known:
            raise unknown(f"in {path} the entry", name, known)
    for name in ("environment", "algorithm"):
        if name not in document:
            raise BadInput(f"{path} lacks the entry {name!r}.")
    if document.get("format", FORMAT) != FORMAT:
        raise BadInput(f"{path} has format {document['format']}, and this covey reads format {FORMAT}.")
    arrays = _arrays(path.with_suffix(".npz"))
    world, origin = _read_environment(document["environment"], arrays, path, environment)
    algorithm, origin = _read_algorithm(document["algorithm"], world, arrays, path, origin)
    hints = hints_of(Config)
    given = {n: conform(document[n], hints[n], f"in {path} the entry {n!r}") for n in _SETTINGS if n in document}
    return Config(algorithm, world, origin, **given)


def _load(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"the configuration {path} cannot be read: {(error.strerror or str(error)).lower()}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"the configuration {path} is not valid YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(document, dict):
        raise BadInput(f"the configuration {path} must be a mapping of names to values.")
    return document


def _arrays(path: Path) -> Arrays:
    if not path.exists():
        return {}
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BadInput(f"the arrays in {path} cannot be read: {error}.") from error


def _read_environment(entry: Any, arrays: Arrays, path: Path, given: Any) -> tuple[Any, Origin]:
    match entry:
        case str(id):
            return given or environments.make(id), Origin(id)
        case {"id": str(id), **rest}:
            options = rest.get("options") or {}
            if not isinstance(options, dict):
                raise BadInput(f"in {path} the environment's `options` must be a mapping, got {options!r}.")
            return given or environments.make(id, **options), Origin(id, options)
        case {"object": dict(tree)}:
            return given or decode(tree, None, arrays, "environment"), Origin()
    if given is None:
        raise BadInput(f"{path} does not hold its environment (it was given as an object): pass it as `environment=`.")
    return given, Origin()


def _read_algorithm(
    entry: Any, environment: Any, arrays: Arrays, path: Path, origin: Origin
) -> tuple[Algorithm, Origin]:
    id, preset, tree = entry if isinstance(entry, str) else None, "tuned", None
    if isinstance(entry, dict):
        id, preset, tree = entry.get("id"), entry.get("preset", "tuned"), entry.get("object")
    origin = origin._replace(algorithm=id, preset=preset)
    if tree is not None:
        algorithm = decode(tree, environment.spec, arrays, "algorithm")
        if not isinstance(algorithm, Algorithm):
            raise BadInput(f"in {path} the entry 'algorithm' is not an algorithm but a {type(algorithm).__name__}.")
        return algorithm, origin
    if id is None:
        raise BadInput(f"{path} does not hold its algorithm: it was given as an object that cannot be written as text.")
    return algorithms.make(id, environment, preset=preset), origin
