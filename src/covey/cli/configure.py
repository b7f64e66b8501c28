"""From the command line of `covey train` to a `Config`.

Which flags there are depends on the algorithm and the environment. So the command line is read twice: first the two
names (or the file), the environment's options and the kinds of the parts; then, with all flags known, everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from covey import algorithms, environments
from covey.algorithms.presets import found
from covey.authored.reward import OWN
from covey.cli.environment import ENV, environment_options
from covey.cli.options import Entry, filled, form, form_of
from covey.cli.parse import flags, parse
from covey.cli.settings import Settings
from covey.core.algorithm import Algorithm
from covey.core.errors import BadInput
from covey.core.settings import with_parts
from covey.runs import config as configs
from covey.runs.config import Config, Origin
from covey.runs.guides import rewarded
from covey.runs.train import lanes

CONFIGURED = (
    *("steps", "seeds", "envs", "seed", "evaluate_every", "episodes"),
    *("checkpoint_every_s", "keep_every", "chunk"),
)
"""Settings that are fields of `Config`."""


class Start(NamedTuple):
    """What the names or the file say: the algorithm, the environment, where they came from, and the settings so far."""

    algorithm: Algorithm
    environment: Any
    origin: Origin
    settings: Settings
    world_form: Any  # the answers about the environment's options; None where it has none

    @property
    def names(self) -> str:
        """The two names, as they are given on a command line."""
        algorithm = self.origin.algorithm or type(self.algorithm).__name__
        return f"{algorithm} {self.origin.environment or self.environment.spec.name}"


def configure(
    args: Sequence[str], words: list[str], given: Mapping[str, str], file: Path | None
) -> tuple[Config, Settings]:
    """The configuration that `args` ask for, and the settings that are not part of it.

    words, given: the first look at `args`, by `scan`. file: the `config.yaml` to begin with, instead of two words.
    """
    start = from_names(words, given) if file is None else from_file(file, words, given)
    algorithm = with_parts(start.algorithm, given)
    whole = everything(start, algorithm)
    answers = parse(type(whole), without(words[:2], args), f"train {start.names}")
    settings = answers.run
    chosen = {name: getattr(settings, name) for name in CONFIGURED}
    if settings.envs is None:
        chosen["envs"] = lanes(start.environment, settings.seeds)
    algorithm = filled(algorithm, getattr(answers, "algorithm", None))
    return Config(algorithm, start.environment, start.origin, **chosen), settings


def without(words: list[str], args: Sequence[str]) -> list[str]:
    """`args` without the first occurrence of each word."""
    rest = list(args)
    for word in words:
        rest.remove(word)
    return rest


def everything(start: Start, algorithm: Algorithm) -> Any:
    """The form of all that can be set."""
    own = form_of(algorithm, taken=set(flags(Settings)))
    entries = [Entry("run", None, start.settings, "")]
    entries += [Entry("algorithm", None, own, "algorithm")] if own else []
    entries += [Entry(ENV, None, start.world_form, ENV)] if start.world_form else []
    whole = form("Train", entries)
    type(whole).__doc__ = f"Everything that can be set for {start.names}."
    return whole


# ---------------------------------------------------------------------------------------------------------------------
# The first reading


def from_names(words: list[str], given: Mapping[str, str]) -> Start:
    """Made by ids, with the environment's options and the preset."""
    name, id = words[:2]
    preset = given.get("preset") or algorithms.preset_for(name, id)
    special = found(name, id, preset)
    begun = Settings(preset=preset, steps=special.steps, envs=special.envs) if special else Settings(preset=preset)
    answers, options = environment_options(id, {}, given)
    reward = given.get("reward", OWN)
    environment = rewarded(environments.make(id, **options), reward)
    algorithm = algorithms.make(name, environment, preset=preset)
    return Start(algorithm, environment, Origin(id, options, name, preset, reward), begun, answers)


def from_file(file: Path, words: list[str], given: Mapping[str, str]) -> Start:
    """As the file says. The environment is made again where a flag changes its options."""
    if "preset" in given:
        raise BadInput(f"--preset cannot be combined with {file}, which holds every setting: leave one of them out.")
    trust = "trust" in given
    config = configs.read(file, trust=trust)
    origin, answers = config.origin, None
    if words and words[:2] != [origin.algorithm, origin.environment]:
        raise BadInput(
            f"{file} is for {origin.algorithm} in {origin.environment}, and the command line says "
            f"{' '.join(words[:2])}: leave out the names or the file."
        )
    if origin.environment is not None:
        answers, options = environment_options(origin.environment, origin.options, given)
        if options != origin.options:
            config = configs.read(file, environments.make(origin.environment, **options), trust)
            origin = origin._replace(options=options)
    places = origin.places.without(given.values())
    origin = origin._replace(reward=given.get("reward", origin.reward), places=places)
    environment = rewarded(config.environment, origin.reward, places) if "reward" in given else config.environment
    begun = {name: getattr(config, name) for name in CONFIGURED}
    settings = Settings(preset=origin.preset, reward=origin.reward, **begun)
    return Start(config.algorithm, environment, origin, settings, answers)
