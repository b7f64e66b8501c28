"""One evaluation episode, recorded: every state of the environment, what it showed, what the team did.

`record` plays the very episode that an evaluation with the same key plays in the lane of that number, so a picture and
a table of results speak of the same thing.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from covey.core.algorithm import Algorithm
from covey.core.environment import HostEnvironment, measures
from covey.core.errors import BadInput
from covey.core.loop import as_arguments
from covey.core.types import Groups, TimeStep
from covey.runs.files import write_atomically, writing


class Episode(NamedTuple):
    """T steps of one lane as NumPy arrays. Entry 0 of states, steps and measures is the reset."""

    states: Any  # [T + 1, ...]  the environment's states
    steps: TimeStep  # [T + 1, ...]
    actions: Groups  # [T, n, ...]  action t leads from step t to step t + 1
    measures: dict[str, Any]  # [T + 1]

    @property
    def length(self) -> int:
        """Its length in steps, T."""
        return len(self.steps.last) - 1

    def state(self, t: int) -> Any:
        """The environment's state after t steps."""
        return jax.tree.map(lambda x: x[t], self.states)

    def step(self, t: int) -> TimeStep:
        """What the environment showed after t steps."""
        return jax.tree.map(lambda x: x[t], self.steps)

    def returns(self) -> dict[str, float]:
        """`return/<group>/mean_agent`: rewards count for agents that were alive when they acted."""
        steps = self.steps
        earned = {name: (reward[1:] * steps.alive[name][:-1]).sum(0) for name, reward in steps.reward.items()}
        return {f"return/{name}/mean_agent": float(total.mean()) for name, total in earned.items()}


def record(
    environment: Any, algorithm: Algorithm, agent_state: Any, key: Any, *, lane: int = 0, step: Any = 0
) -> Episode:
    """The episode that one seed's evaluation with `key` plays in lane `lane`, without exploring.

    `step`: the environment steps that the state has been trained for, where acting depends on it. BadInput for
    environments outside JAX, whose states nobody can record, and for environments without a time limit.
    """
    spec = environment.spec
    if isinstance(environment, HostEnvironment):
        raise BadInput(f"episodes of {spec.name!r} cannot be recorded: its state lives outside JAX.")
    if spec.time_limit is None:
        raise BadInput(f"episodes of {spec.name!r} cannot be recorded: give its spec a `time_limit`.")
    arrays, static = as_arguments(environment, algorithm)

    @jax.jit
    def program(arrays, agent, key, step):
        environment, algorithm = eqx.combine(arrays, static)
        return _play(environment, algorithm, agent, key, step, lane)

    episode = jax.device_get(program(arrays, agent_state, key, jnp.int32(step)))
    length = int(np.argmax(episode.steps.last[1:])) + 1  # the first boundary; later steps are of no episode
    if not episode.steps.last[length]:
        raise BadInput(f"an episode of {spec.name!r} goes on beyond its time limit of {spec.time_limit} steps.")
    cut = jax.tree.map(lambda x: x[: length + 1], episode)
    return cut._replace(actions=jax.tree.map(lambda x: x[:length], episode.actions))


def _play(environment: Any, algorithm: Algorithm, agent: Any, key: Any, step: Any, lane: int) -> Episode:
    """`time_limit` steps of one lane, with the keys that `evaluate` and `loop.collect` would give it."""

    def of_lane(key):
        return jax.random.split(key, lane + 1)[lane]

    k_world, k_memory, k_play = jax.random.split(key, 3)
    world, now = environment.reset(of_lane(k_world))

    def tick(carry, t):
        world, now, memory = carry
        k_act, k_step, _ = jax.random.split(jax.random.fold_in(k_play, t), 3)
        action, memory, _ = algorithm.act(agent, memory, now, of_lane(k_act), step, explore=False)
        world, now = environment.step(of_lane(k_step), world, action)
        return (world, now, memory), (world, now, action, measures(environment, world))

    begun = (world, now, measures(environment, world))
    carry = (world, now, algorithm.memory(of_lane(k_memory)))
    _, (worlds, steps, actions, measured) = jax.lax.scan(tick, carry, jnp.arange(environment.spec.time_limit))
    whole = jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), begun, (worlds, steps, measured))
    return Episode(whole[0], whole[1], actions, whole[2])


# ---------------------------------------------------------------------------------------------------------------------
# On disk


def save(episode: Episode, path: Path) -> None:
    """Write the episode's arrays to a `.npz` file, named by their place in it."""
    packed = io.BytesIO()
    np.savez_compressed(packed, **{name: _plain(x) for name, x in _named(episode)})  # type: ignore[arg-type]
    with writing(f"the episode {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, packed.getvalue())


def load(path: Path, environment: Any, algorithm: Algorithm) -> Episode:
    """The episode in a `.npz` file that `save` wrote; it must be of this world."""
    key = jax.random.key(0)
    like = jax.eval_shape(lambda k: _play(environment, algorithm, algorithm.init(k, 1), k, jnp.int32(0), 0), key)
    try:
        with np.load(path, allow_pickle=False) as file:
            leaves = [_filled(file[name], leaf) for name, leaf in _named(like)]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise BadInput(f"{path} is no recorded episode of {environment.spec.name!r}: record it again.") from error
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _named(episode: Any) -> list[tuple[str, Any]]:
    paths, _ = jax.tree.flatten_with_path(episode)
    return [(jax.tree_util.keystr(path, simple=True, separator="."), leaf) for path, leaf in paths]


def _plain(x: Any) -> np.ndarray:
    """`x` as numbers: a random key as its data."""
    return np.asarray(jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x)


def _filled(array: np.ndarray, like: Any) -> Any:
    if jnp.issubdtype(like.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(jnp.asarray(array))
    return array
