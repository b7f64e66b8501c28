"""The host's side of training: chunk, report, evaluate, save, until the steps are done.

    train    ids or objects -> Config
    execute  Config -> run folder and Result: `begin` the run, then a `Session` to its end

A run folder holds `config.yaml` (enough to run again), `metrics.jsonl`, `checkpoints/` and, at the end, `summary.json`.
What is computed depends on the configuration alone; time only decides how often to report and to save.
"""

from __future__ import annotations

import contextlib
import datetime
import inspect
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

from covey import algorithms, environments
from covey.algorithms.presets import found
from covey.core.algorithm import Algorithm
from covey.core.environment import HostEnvironment
from covey.core.errors import BadInput
from covey.core.settings import flattened, names, with_settings
from covey.core.vocabulary import meant
from covey.runs import config as configs
from covey.runs import journal
from covey.runs.begin import begin
from covey.runs.config import Config, Origin
from covey.runs.files import locked, reading
from covey.runs.guides import rewarded
from covey.runs.live import view
from covey.runs.session import Result, Session
from covey.runs.signals import Stopped, requests
from covey.runs.trust import demand_safe


def train(
    algorithm: str | Algorithm,
    environment: Any,
    *,
    steps: int,
    seeds: int = 1,
    envs: int | None = None,
    seed: int = 0,
    preset: str | None = None,
    reward: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    trust: bool = False,
    evaluate_every: int | None = None,
    episodes: int = 32,
    checkpoint_every_s: float = 300.0,
    keep_every: int | None = None,
    chunk: int | None = None,
    quiet: bool = False,
    trackers: Iterable[str | journal.Tracker] = (),
) -> Result:
    """Train `algorithm` in `environment` (ids or objects) for `steps` environment steps of each of `seeds` seeds.

    envs: lanes of each seed (default 1, what the preset says, or what a host environment has). settings: of the
    algorithm, by the names that they have on the command line, such as `{"gamma": 0.9, "critic": "joint",
    "replay.capacity": 9_000}`; a mapping stands for the settings of a part as well, `{"replay": {"capacity":
    20_000}}`. preset, options: for an algorithm and an environment given by id; options are the keywords of
    `covey.make`, and the preset is by default what was found for the two (`covey.algorithms.presets`), else
    "tuned". reward: a folder of `covey author`, whose reward agents learn from; they are evaluated by the
    environment's own. out: the run folder (default: a new one under `runs/`). resume: go on from the newest
    checkpoint in `out`, or begin there if it has none. trust: resume a run of somebody else's that has links out of
    its folder or a saved environment. The rest is explained in `Config`.
    """
    world, origin = environment, Origin()
    ours = isinstance(environment, str)
    if ours:
        options = dict(options or {})
        world, origin = environments.make(environment, **options), Origin(environment, options)
    elif options:
        raise BadInput("`options` are for an environment given by id: this one is an object, already made.")
    if reward is not None:
        origin = origin._replace(reward=str(reward))
        world = rewarded(world, origin.reward)
    usual = lanes(world, seeds)
    if isinstance(algorithm, str):
        preset = preset or algorithms.preset_for(algorithm, origin.environment)
        special = found(algorithm, origin.environment, preset)
        usual = special.envs if special else usual
        origin = origin._replace(algorithm=algorithm, preset=preset)
        algorithm = algorithms.make(algorithm, world, preset=preset)
    config = Config(
        algorithm=configured(algorithm, settings or {}, origin.algorithm or type(algorithm).__name__),
        environment=world,
        origin=origin,
        steps=steps,
        seeds=seeds,
        envs=usual if envs is None else envs,
        seed=seed,
        evaluate_every=evaluate_every,
        episodes=episodes,
        checkpoint_every_s=checkpoint_every_s,
        keep_every=keep_every,
        chunk=chunk,
    )
    with made_here(world) if ours else contextlib.nullcontext():
        return execute(config, out=out, resume=resume, trust=trust, quiet=quiet, trackers=trackers)


@contextlib.contextmanager
def made_here(environment: Any) -> Iterator[None]:
    """Closes an environment outside JAX, with its workers, in the end: who made it does."""
    try:
        yield
    finally:
        if isinstance(environment, HostEnvironment):
            environment.close()


def configured(algorithm: Algorithm, settings: Mapping[str, Any], name: str) -> Algorithm:
    """`algorithm` with these settings; those that are arguments of `train` are sent there."""
    own, can_be_set = inspect.signature(train).parameters, names(algorithm)
    for setting in flattened(settings):
        arguments = meant(setting, [argument.replace("_", "-") for argument in own])
        if arguments and setting not in can_be_set:
            argument = arguments[0].replace("-", "_")
            raise BadInput(f"{setting!r} is no setting of {name}: give `{argument}=...` to `train` itself.")
    return with_settings(algorithm, settings, name)


def lanes(environment: Any, seeds: int) -> int:
    """Lanes of each of `seeds` seeds, where nobody says how many: 1, or what a host environment has."""
    return max(environment.lanes // max(seeds, 1), 1) if isinstance(environment, HostEnvironment) else 1


def execute(
    config: Config,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    trust: bool = False,
    quiet: bool = False,
    trackers: Iterable[str | journal.Tracker] = (),
) -> Result:
    """Run `config` in the folder `out`. A signal that asks it to stop makes it save and raise `Stopped`."""
    use_compilation_cache()
    folder = run_folder(config, out, resume)
    demand_safe(folder, trust)
    trackers = list(trackers)
    journal.require(trackers)
    with contextlib.ExitStack() as stack:
        stack.enter_context(locked(folder))
        request, screen = stack.enter_context(requests(stack.enter_context(view(quiet))))
        if config.origin.preset == config.origin.environment is not None:
            screen.note(f"settings found for {config.origin.environment}; `--preset tuned` takes the usual ones.")
        try:
            run, progress = begin(config, folder, resume, screen, request.obey, trust)
        except Stopped as stopped:
            stopped.sentence = "stopped before training began: nothing was changed."
            screen.note(stopped.sentence)
            raise
        configs.write(config, folder / "config.yaml")
        following = journal.track(trackers, folder, folder.name, configs.settings(config))
        log = stack.enter_context(journal.opened(folder, following))
        return Session(config, folder, run, progress, log, screen, request).to_the_end()


def run_folder(config: Config, out: str | Path | None, resume: bool) -> Path:
    """The folder of this run: new or empty, unless it is to be resumed."""
    if out is None:
        if resume:
            raise BadInput("which run should be resumed? Give its folder as `out` (--out DIR).")
        stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        return Path("runs") / f"{config.name}-{stamp}-{os.getpid()}"
    folder = Path(out)
    with reading(f"the run folder {folder}"):
        if folder.exists() and not folder.is_dir():
            raise BadInput(f"the run folder {folder} is a file: choose another name.")
        taken = [name for name in os.listdir(folder) if name != "run.lock"] if folder.exists() else []
    if taken and not resume:
        raise BadInput(f"the run folder {folder} is not empty: resume its run (--resume) or choose another folder.")
    return folder


def use_compilation_cache() -> None:
    """Keep compiled programs between processes, unless the user has said where or that they should not be kept."""
    if jax.config.values["jax_compilation_cache_dir"] is None:
        folder = os.environ.get("COVEY_CACHE") or Path.home() / ".cache" / "covey"
        jax.config.update("jax_compilation_cache_dir", str(Path(folder) / "xla"))
