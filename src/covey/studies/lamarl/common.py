"""What the studies of LAMARL share: learners with the settings that were found, one run a seed, and where they play."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from covey import algorithms, environments
from covey.algorithms import presets
from covey.algorithms.ddpg import DDPG
from covey.core.algorithm import Algorithm
from covey.core.errors import BadInput
from covey.core.loop import start
from covey.core.settings import with_settings
from covey.environments.assembly import Assembly
from covey.environments.assembly.shapes import PAPER, Region
from covey.runs import checkpoint
from covey.runs.evaluate import FINAL, Player, Values, evaluation_keys, players
from covey.runs.guides import guide
from covey.runs.policy import transferred
from covey.studies.saying import Say
from covey.studies.trials import one_by_one

UNEVENNESS = "world/final_unevenness"
"""M2 of the paper, at the end of an episode."""


RATE = 1000.0
"""Environment steps a second of one learner of 30 robots with its updates, on two cores, for the plan."""


class Scale(NamedTuple):
    """How large a study is."""

    robots: int
    steps: int  # of each seed in training
    envs: int  # lanes of each seed
    kept: int  # policies that are kept of a run
    episodes: int  # of each shape and seed in an evaluation
    length: int  # steps of such an episode; the paper evaluates in 300

    @property
    def keep_every(self) -> int:
        return max(self.steps // self.kept, 1)


def scale(quick: bool) -> Scale:
    """As the settings that were found say, or tiny."""
    found = presets.FOUND["lamarl", "assembly"]
    if quick:
        return Scale(robots=6, steps=640, envs=4, kept=4, episodes=1, length=30)
    return Scale(robots=30, steps=found.steps, envs=found.envs, kept=30, episodes=2, length=300)


def say_plan(learners: int, size: Scale, seeds: int, out: Path, say: Say) -> None:
    """How long so many learners take."""
    steps = learners * seeds * size.steps
    say(f"plan: {steps:,} environment steps, about {steps / RATE / 3600:.1f} h on two cores; runs are in {out}")


def learner(environment: Any, **settings: Any) -> DDPG:
    """`lamarl` with the settings that were found for `assembly`, and some changed."""
    return with_settings(algorithms.make("lamarl", environment, preset="assembly"), settings, "lamarl")


# ---------------------------------------------------------------------------------------------------------------------
# Training


class Learned(NamedTuple):
    """What the seeds of a learner have learned: a run folder for each."""

    label: str
    algorithm: Algorithm
    environment: Assembly
    folders: tuple[Path, ...]

    @property
    def steps(self) -> list[int]:
        """At which there is a policy of every seed: 0, and those that were kept."""
        kept = [set(checkpoint.steps(folder / checkpoint.POLICIES)) for folder in self.folders]
        return [0, *sorted(set.intersection(*kept))]

    def agents(self, step: int) -> Any:
        """What acts after so many steps [S, ...]."""
        keys = jax.vmap(jax.random.key)(np.arange(len(self.folders)))

        def begin(keys: Any) -> Any:
            return self.algorithm.acting(start(self.environment, self.algorithm, keys, 1).agent)

        if step == 0:
            return jax.jit(begin)(keys)
        like = jax.eval_shape(begin, keys[:1])
        each = [checkpoint.restore(_kept(folder, step), like, part="agent") for folder in self.folders]
        return jax.tree.map(lambda *x: np.concatenate(x), *each)


def _kept(folder: Path, step: int) -> checkpoint.Saved:
    saved = checkpoint.at(folder / checkpoint.POLICIES, step)
    if saved is None:
        raise BadInput(f"{folder} has no policy of step {step}: train it anew, in another folder.")
    return saved


def learn(label: str, size: Scale, out: Path, seeds: int, say: Say, *, reward: str = "llm", **settings: Any) -> Learned:
    """Train a learner with some settings changed, one seed after the other. `reward` is that of `assembly` in
    training."""
    options: dict[str, Any] = {"robots": size.robots} | ({} if reward == "llm" else {"reward": reward})
    environment = environments.make("assembly", **options)
    algorithm = learner(environment, **settings)
    runs = one_by_one(
        label,
        algorithm,
        "assembly",
        seeds=seeds,
        out=out,
        say=say,
        options=options,
        steps=size.steps,
        envs=size.envs,
        episodes=1,
        keep_every=size.keep_every,
    )
    folders = tuple(run.folder for run in runs)
    return Learned(label, algorithm.with_guides(partial(guide, environment)), environment, folders)


# ---------------------------------------------------------------------------------------------------------------------
# Playing


class Stage(NamedTuple):
    """Where policies are compared: for each shape an environment with that shape alone, upright and in the middle as in
    the paper's evaluation. They differ in the values of their arrays only."""

    shapes: tuple[str, ...]
    environments: tuple[Assembly, ...]

    @property
    def environment(self) -> Assembly:
        """Any of them."""
        return self.environments[0]


def stage(shapes: Sequence[str] = PAPER, **options: Any) -> Stage:
    """The shapes in environments with some options."""
    whole = environments.make("assembly", shapes=tuple(shapes), placement="centered", **options)

    def alone(number: int) -> Assembly:
        return dataclasses.replace(whole, bank=Region(*(x[number : number + 1] for x in whole.bank)))

    return Stage(tuple(shapes), tuple(alone(number) for number in range(len(shapes))))


class Judge(NamedTuple):
    """Plays an algorithm on a stage; whatever plays there meets the same episodes."""

    on: Stage
    plays: tuple[Player, ...]

    def __call__(self, agents: Any, seeds: int, step: int = 0) -> dict[str, Values]:
        """What `agents` [S, ...] reach, by shape: metrics [S, episodes]."""
        keys = evaluation_keys(FINAL, seeds)
        return {shape: play(agents, keys, step) for shape, play in zip(self.on.shapes, self.plays, strict=True)}


def judge(on: Stage, algorithm: Algorithm, episodes: int) -> Judge:
    """Of an algorithm that is of this stage's environments."""
    return Judge(on, tuple(players(on.environments, algorithm, episodes)))


def play_rule(on: Stage, rule: str, seeds: int, episodes: int) -> dict[str, Values]:
    """What a rule reaches, by shape: metrics [S, episodes]."""
    algorithm = algorithms.make(rule, on.environment)
    states = jax.vmap(partial(algorithm.init, lanes=episodes))(evaluation_keys(FINAL, seeds))
    return judge(on, algorithm, episodes)(states, seeds)


def play_learned(on: Stage, learned: Learned, episodes: int) -> dict[str, Values]:
    """What a learner reaches in the end, by shape: metrics [S, episodes]."""
    at_end = learned.steps[-1]
    plays = judge(on, transferred(learned.algorithm, on.environment), episodes)
    return plays(learned.agents(at_end), len(learned.folders), at_end)


def per_seed(played: Mapping[str, Values], metric: str) -> np.ndarray:
    """Means over shapes and their episodes [S]."""
    return np.mean([values[metric].mean(1) for values in played.values()], axis=0)
