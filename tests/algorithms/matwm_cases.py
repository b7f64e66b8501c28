"""What the tests of MATWM share: a small world model, and episodes in which every number says where it belongs."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from covey.algorithms.matwm import matwm
from covey.algorithms.matwm.actor_critic import ActorCritic
from covey.algorithms.matwm.model import WorldModel
from covey.algorithms.matwm.records import Context, Sequences
from covey.algorithms.matwm.replay import SequenceReplay
from covey.algorithms.matwm.rule import MATWM, Imagination
from covey.core.types import Discrete, Field, Group, Spec, Table, TimeStep, Transition

SPEC = Spec(
    "numbered",
    Table(
        {
            "x": Group(("x_0", "x_1"), (Field("place", (2,)),), Discrete(2)),
            "y": Group(("y_0",), (Field("place", (1,)),), Discrete(3)),
        }
    ),
    time_limit=9,
)
"""Three agents in two groups, which differ in what they see and do."""

MODEL = WorldModel(
    latents=3,
    classes=4,
    width=8,
    layers=2,
    heads=2,
    feedforward=8,
    dropout=0.0,
    encoder_layers=1,
    head_layers=1,
    bins=11,
    bound=4.0,
    teammate_width=8,
    teammate_layers=1,
    lr=1e-3,
)
INNER = ActorCritic(width=8, layers=1, bins=11, bound=4.0)


def small(spec: Spec = SPEC, groups: tuple[str, ...] | None = None, **settings: Any) -> MATWM:
    """MATWM of the smallest size."""
    usual: dict[str, Any] = {
        "model": MODEL,
        "inner": INNER,
        "replay": SequenceReplay(capacity=64, sequences=4, length=4),
        "imagination": Imagination(batch=4, horizon=3, context=2),
        "history": 3,
        "horizon": 2,
        "warmup": 0,
    }
    return dataclasses.replace(matwm(spec, groups=groups), **(usual | settings))


def noisy(nets: Any, seed: int = 1) -> Any:
    """Networks in which no weight is zero any more."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda x: jnp.asarray(x + 0.3 * rng.normal(size=x.shape), jnp.float32), nets)


def drawn(algorithm: MATWM, seed: int = 0) -> Any:
    """Networks of the algorithm's world model, in which nothing is zero."""
    init = jax.jit(lambda key: algorithm.model.init(key, algorithm.agents, algorithm.positions))
    return noisy(init(jax.random.key(seed)))


def played(*episodes: tuple[int, bool], begun: int = 0, dies: int | None = None) -> Transition:
    """Episodes [T, 1, ...] of these lengths, each with whether its end is terminal.

    In step t of episode k agents see 100 k + t, x_i does (t + i) mod 2 and y_0 does t mod 3. Rewards are t + 1, and 10
    more for each agent before. dies: x_1 takes its last step at this t of every episode.
    """
    rows = []
    for k, (length, terminal) in enumerate(episodes, begun):
        for t in range(length):
            last = t == length - 1
            alive = dies is None or t <= dies
            lives_on = dies is None or t + 1 <= dies
            over = np.float32(0.0 if last and terminal else 1.0)
            now, then = (_shown(100 * k + at, lives) for at, lives in ((t, alive), (t + 1, lives_on)))
            then = then._replace(
                reward={"x": np.array([t + 1, t + 11], np.float32), "y": np.array([t + 21], np.float32)},
                discount={"x": np.array([over, over * lives_on], np.float32), "y": np.array([over])},
                last=np.bool_(last),
            )
            action = {"x": np.array([t % 2, (t + 1) % 2], np.int32), "y": np.array([t % 3], np.int32)}
            rows.append(Transition(now, action, then))
    return jax.tree.map(lambda *x: jnp.stack(x)[:, None], *rows)


def _shown(number: int, lives: bool) -> TimeStep:
    return TimeStep(
        obs={"x": np.array([[number, 0], [number, 1]], np.float32), "y": np.array([[number]], np.float32)},
        reward={"x": np.zeros(2, np.float32), "y": np.zeros(1, np.float32)},
        discount={"x": np.ones(2, np.float32), "y": np.ones(1, np.float32)},
        alive={"x": np.array([True, lives]), "y": np.array([True])},
        last=np.bool_(False),
    )


def sequences(algorithm: MATWM, seed: int = 0) -> Sequences:
    """Three sequences of up to four steps, one of each agent: the first is full, the second stops after two steps with
    a final observation, and the third after three with an end of which nothing more is known."""
    rng, agents = np.random.default_rng(seed), algorithm.agents
    steps = np.arange(4) < np.array([[4], [2], [3]])
    follows = steps & (np.arange(4) != np.array([[9], [9], [2]]))
    discount = np.ones((3, 4), np.float32)
    discount[2, 2] = 0.0
    batch = Sequences(
        focal=np.arange(3),
        obs=rng.normal(size=(3, 5, agents.obs_size)).astype(np.float32) * agents.seen[:, None],
        alive=np.concatenate([steps[:, :1], follows], 1),
        steps=steps,
        follows=follows,
        legal=np.broadcast_to(agents.can[:, None], (3, 4, *agents.can.shape[1:])),
        action=rng.integers(0, 2, (3, 4, agents.parts)).astype(np.int32),
        reward=rng.normal(size=(3, 4)).astype(np.float32),
        discount=discount,
        others=rng.integers(0, 2, (3, 4, 2, agents.parts)).astype(np.int32),
        others_alive=rng.random((3, 4, 2)) < 0.8,
    )
    return jax.tree.map(jnp.asarray, batch)


def contexts(algorithm: MATWM, seed: int = 0) -> Context:
    """Contexts of two steps for three agents: with both steps, with one, and with none."""
    rng, agents = np.random.default_rng(seed), algorithm.agents
    return jax.tree.map(
        jnp.asarray,
        Context(
            focal=np.arange(3),
            obs=rng.normal(size=(3, 3, agents.obs_size)).astype(np.float32) * agents.seen[:, None],
            action=rng.integers(0, 2, (3, 2, agents.parts)).astype(np.int32),
            exists=np.array([[True, True, True], [False, True, True], [False, False, True]]),
        ),
    )
