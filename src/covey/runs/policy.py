"""A trained policy, to look at and to act with.

policy = covey.load("runs/my-run", seed=0)
state, now = policy.environment.reset(key)
memory = policy.memory(key)
actions, memory = policy.act(now, memory, key)
state, then = policy.environment.step(key, state, actions)

In a PettingZoo environment of your own, `policy.actions` goes from its observations by agent to actions by agent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np

from covey.algorithms.prior import NOBODY, Prior
from covey.core.algorithm import Algorithm
from covey.core.errors import BadInput
from covey.core.optional import offered
from covey.core.types import Groups, Spec, TimeStep
from covey.runs import checkpoint, memory
from covey.runs import config as configs
from covey.runs.begin import identity
from covey.runs.config import Config
from covey.runs.evaluate import FINAL, Evaluation, evaluation_keys, evaluator
from covey.runs.files import reading
from covey.runs.guides import guide
from covey.runs.trust import demand_safe

KEY_BYTES = 16
"""Of the number and the key of a seed."""


class Trained(NamedTuple):
    """What a run folder holds: its configuration, and the states of all seeds [S] after `step` steps."""

    config: Config
    agents: Any
    step: int
    warnings: tuple[str, ...]  # sentences on damaged checkpoints that were passed over


class Policy(NamedTuple):
    """One seed's policy. It acts without exploring unless asked to."""

    environment: Any
    algorithm: Algorithm
    state: Any
    step: Any

    def memory(self, key: Any) -> Any:
        """What the actors of one environment remember; draw it anew at every reset."""
        return self.algorithm.memory(key)

    def act(self, now: TimeStep, memory: Any, key: Any, explore: bool = False) -> tuple[Groups, Any]:
        """Actions by group and the next memory, in one environment (map it with `jax.vmap` over many)."""
        _check_one(self.environment.spec, now)
        action, memory, _ = _act(self.algorithm, self.state, memory, now, key, self.step, explore)
        return action, memory

    def actions(
        self, observations: dict, infos: dict, agents: Sequence[Any], memory: Any, key: Any, explore: bool = False
    ) -> tuple[dict[Any, Any], Any]:
        """As `act`, in a PettingZoo environment of your own: actions by agent, and the next memory.

        observations, infos: what its `reset` or `step` returned. agents: its `agents`, who act next. BadInput where
        the policy was trained in no PettingZoo environment, or in one of another kind.
        """
        if offered(self.environment, "named") is None:
            raise BadInput(
                f"the policy was trained in {self.environment.spec.name!r}, which is not PettingZoo's: give `act` a "
                "time step of it."
            )
        now = self.environment.time_step(observations, infos, agents)
        action, memory = self.act(now, memory, key, explore)
        return self.environment.named(action, agents), memory

    def transferred(self, environment: Any) -> Policy:
        """The same policy in another environment, whose agents see and do the same but may be more or fewer.

        BadInput where what was learned depends on who or how many they are.
        """
        algorithm = transferred(self.algorithm, environment)
        needed, here = (_shapes(other) for other in (algorithm, self.algorithm))
        if needed != here:
            raise BadInput(
                f"what was learned in {self.environment.spec.name!r} depends on its {self.environment.spec.agents} "
                f"agents, and there are {environment.spec.agents}: train with one actor and one critic for all, which "
                "are not told apart, such as `lamarl` has (`--shared-actor --alike --critic shared-independent`)."
            )
        return self._replace(environment=environment, algorithm=algorithm)


def transferred(algorithm: Algorithm, environment: Any) -> Algorithm:
    """The same algorithm for another environment, where its prior, if any, is looked up anew. BadInput where the agents
    see or do other things there."""
    fields = {field.name for field in dataclasses.fields(algorithm)}
    if "spec" not in fields:
        raise BadInput(f"{type(algorithm).__name__} is made of other algorithms: transfer those.")
    spec, there = algorithm.spec, environment.spec
    for name, group in spec.groups.items():
        other = there.groups.get(name)
        if other is None or (other.obs, other.action) != (group.obs, group.action):
            raise BadInput(
                f"agents of the group {name!r} see or do other things in {there.name!r} than in {spec.name!r}: a "
                "policy goes to environments that differ in the number of agents only."
            )
    changed: dict[str, Any] = {"spec": there}
    prior = algorithm.prior if "prior" in fields else None  # type: ignore[attr-defined]
    if isinstance(prior, Prior) and prior.name != NOBODY:
        changed["prior"] = dataclasses.replace(prior, policy=None)
    return dataclasses.replace(algorithm, **changed).with_guides(partial(guide, environment))


def _shapes(algorithm: Algorithm) -> Any:
    """Of what the algorithm needs to act."""
    state = jax.eval_shape(lambda key: algorithm.acting(algorithm.init(key, 1)), jax.random.key(0))
    return [(x.shape, x.dtype) for x in jax.tree.leaves(state)]


def _check_one(spec: Spec, now: TimeStep) -> None:
    """BadInput for time steps of several environments."""
    name, alive = next(iter(now.alive.items()))
    lead = np.shape(alive)[:-1]
    if lead:
        raise BadInput(
            f"the time step is of {' x '.join(map(str, lead))} environments ({name!r} has the shape {np.shape(alive)} "
            f"instead of {(spec.groups[name].size,)}), and `act` takes one's: map it with `jax.vmap`, or pick one with "
            "`jax.tree.map(lambda x: x[0], now)`."
        )


@eqx.filter_jit
def _act(algorithm, state, memory, now, key, step, explore):
    return algorithm.act(state, memory, now, key, step, explore=explore)


class Place(NamedTuple):
    """A run folder, and a step in it; None: the newest."""

    folder: Path
    step: int | None = None


def place_of(run: str | Path) -> Place:
    """The folder and the step that `RUN` or `RUN@STEP` names."""
    folder, at, step = str(run).rpartition("@")
    if at and step.isdecimal() and step.isascii() and not Path(run).exists():
        return Place(Path(folder), int(step))
    return Place(Path(run))


def open_run(run: str | Path, environment: Any = None, step: int | None = None, trust: bool = False) -> Trained:
    """The newest whole checkpoint of a run folder; or what it has of a step (`step`, or a folder spelled `RUN@STEP`), a
    policy that was kept or a checkpoint. Where there are policies alone (a folder brought from elsewhere), the newest
    of those.

    `environment` is needed only for a run whose environment was given as an object that cannot be written as text.
    `trust`: import code that a run names and that does not come with covey, though the run was not trained here.
    """
    with reading(f"the run {run}"):
        folder, asked = place_of(run)
        if not (folder / "config.yaml").exists():
            raise BadInput(f"{folder} is not a run folder: it has no config.yaml.")
    demand_safe(folder, trust)
    config = configs.read(folder / "config.yaml", environment, trust)
    with reading(f"the run {run}"):
        return _restored(folder, config, _saved(folder, asked if step is None else step))


def _restored(folder: Path, config: Config, saved: checkpoint.Saved) -> Trained:
    checkpoint.check(saved, identity(config))
    memory.demand_room(config.seeds * KEY_BYTES, f"the seeds of the run {folder}")
    try:
        abstract = jax.eval_shape(jax.vmap(partial(config.algorithm.init, lanes=config.envs)), config.keys)
    except (OverflowError, MemoryError) as error:
        raise BadInput(f"a number in {folder / 'config.yaml'} is too large for this machine: {error}.") from error
    if saved.folder.parent == folder / checkpoint.POLICIES or not checkpoint.fits(saved, abstract, "agent"):
        abstract = config.algorithm.acting(abstract)  # what only learning needs may be of an earlier version
    memory.demand_room(checkpoint.nbytes(abstract), f"what the run {folder} learned")
    agents = checkpoint.restore(saved, abstract, part="agent")
    return Trained(config, agents, saved.step, saved.passed_over)


def _saved(folder: Path, step: int | None) -> checkpoint.Saved:
    places = folder / checkpoint.CHECKPOINTS, folder / checkpoint.POLICIES
    for place in places if step is None else places[::-1]:
        saved = checkpoint.latest(place) if step is None else checkpoint.at(place, step)
        if saved is not None:
            return saved
    there = sorted({step for place in places for step in checkpoint.steps(place)})
    if not there:
        raise BadInput(f"the run {folder} has no checkpoint yet: let it train longer.")
    raise BadInput(f"{folder} has no checkpoint of step {step}; those that it has: {', '.join(map(str, there))}.")


def load(
    folder: str | Path, seed: int = 0, environment: Any = None, step: int | None = None, trust: bool = False
) -> Policy:
    """The policy of a run's seed number `seed` (counted from 0), from its newest checkpoint, or of `step`.

    `environment`, `trust`: as of `open_run`. Without `trust`, somebody else's run is data: it imports no code but
    covey's own.
    """
    return policy_of(open_run(folder, environment, step, trust), folder, seed)


def policy_of(trained: Trained, folder: str | Path, seed: int) -> Policy:
    """As `load`, of a run that is open."""
    config, agents, step, _ = trained
    if not 0 <= seed < config.seeds:
        raise BadInput(f"the run {folder} has the seeds 0 to {config.seeds - 1}, and seed {seed} was asked for.")
    state = jax.tree.map(lambda x: x[seed], agents)
    return Policy(config.environment, config.algorithm, state, jax.numpy.int32(step))


def evaluate_run(
    folder: str | Path,
    episodes: int | None = None,
    environment: Any = None,
    step: int | None = None,
    trust: bool = False,
) -> Evaluation:
    """The final evaluation of a run, played again (as many episodes as the run's own); the rest as of `open_run`."""
    return evaluate_trained(open_run(folder, environment, step, trust), episodes)


def evaluate_trained(trained: Trained, episodes: int | None = None) -> Evaluation:
    """As `evaluate_run`, of a run that is open."""
    config, agents, step, _ = trained
    play = evaluator(config.environment, config.algorithm, config.episodes if episodes is None else episodes)
    return play(agents, evaluation_keys(FINAL, config.seeds), step)
