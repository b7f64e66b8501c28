"""How good a world model is, in episodes that it never learned from.

From a step on, the model is given what the agents did and predicts what they see and earn, one step after the other. It
is compared with two predictions that need no model: nothing changes, and the mean of these very episodes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from covey.algorithms.matwm import MATWM
from covey.algorithms.matwm.imagination import Learned
from covey.algorithms.matwm.losses import teammate_loss
from covey.algorithms.matwm.records import Context, Sequences
from covey.algorithms.matwm.replay import focal_sequences
from covey.core import loop
from covey.learning.buffer import Batch
from covey.runs.policy import load
from covey.studies.statistics import Interval
from covey.studies.trials import write_table

Errors = dict[tuple[str, int, str], float]
"""Mean squared errors by what is predicted (`obs`, per number; `reward`; `future`), after how many steps, and by whom:
`model`, `nothing changes` or `mean`."""

WHO = ("model", "nothing changes", "mean")

TITLES = {"obs": "observation, per number", "reward": "reward", "future": "is there a future"}


def held_out(algorithm: MATWM, state: Any, environment: Any, lanes: int = 128, at_random: bool = False) -> Batch:
    """The first episode of every lane, [E, T, ...], as the agents play it while they explore; or at random."""
    playing = dataclasses.replace(algorithm, warmup=10**9 if at_random else 0)
    run = loop.start(environment, playing, jax.random.split(jax.random.key(7), 1), lanes)
    run = run._replace(agent=jax.tree.map(lambda x: x[None], state), step=jnp.int32(0))
    length = environment.spec.time_limit

    @jax.jit
    def play(run, keys):
        return loop.collect(environment, playing, run, keys, length)[1]

    rollout = play(run, jax.random.split(jax.random.key(8), 1))
    rollout = jax.tree.map(lambda x: jnp.swapaxes(x[:, 0], 0, 1), rollout)
    last = rollout.then.last
    first = jnp.cumsum(last, 1) - last == 0
    return Batch(rollout.now, rollout.action, rollout.then, rollout.action, first.astype(jnp.float32))


def foretold(algorithm: MATWM, nets: Any, own: Sequences, begin: Any, steps: int, samples: int) -> tuple[Any, Any, Any]:
    """What the model expects of the `steps` steps from step `begin` of every sequence on, when it is told the actions:
    observations after each [Q, H, D], rewards and futures [Q, H]. Means over samples of the prior."""
    agents, length = algorithm.agents, algorithm.imagination.context
    dynamics = Learned(algorithm.model, nets, agents)

    def before(x, count):  # the `count` rows that end at `begin`
        padded = jnp.pad(x, [(0, 0), (length, 0)] + [(0, 0)] * (x.ndim - 2))
        return jax.lax.dynamic_slice_in_dim(padded, begin, count, 1)

    context = Context(own.focal, before(own.obs, length + 1), before(own.action, length), before(own.alive, length + 1))
    actions = jnp.moveaxis(agents.one_hot(jax.lax.dynamic_slice_in_dim(own.action, begin, steps, 1)), 1, 0)

    def once(key):
        k_begin, k_steps = jax.random.split(key)

        def tick(moment, step):
            moment, reward, future = dynamics.advance(moment, *step)
            return moment, (nets.decoder(moment.latent), reward, future)

        moment = dynamics.begin(context, steps, k_begin)
        return jax.lax.scan(tick, moment, (actions, jax.random.split(k_steps, steps)))[1]

    found = jax.lax.map(once, jax.random.split(jax.random.key(1), samples))
    return jax.tree.map(lambda x: jnp.moveaxis(x.mean(0), 0, 1), found)


def errors(
    algorithm: MATWM,
    nets: Any,
    batch: Batch,
    after: Sequence[int] = (1,),
    begins: Sequence[int] = (0, 4, 8, 12),
    samples: int = 32,
) -> Errors:
    """Of predictions from some steps of the episodes on, of all agents together. The mean is that of the very numbers
    that are predicted."""
    agents, steps = algorithm.agents, max(after)
    begins = [begin for begin in begins if begin + steps <= batch.weight.shape[1]]
    squares: dict[tuple[str, int], list[np.ndarray]] = {}  # [3, .]: of the model, of the two others

    @jax.jit
    def look(nets, batch, who):
        own = focal_sequences(agents, batch, jnp.full(len(batch.weight), who))
        return own, jax.lax.map(lambda begin: foretold(algorithm, nets, own, begin, steps, samples), jnp.array(begins))

    for who in range(agents.count):
        own, found = jax.tree.map(np.asarray, look(nets, batch, who))
        for k in after:
            each = [
                _triples(own, begin, k, jax.tree.map(lambda x, i=i: x[i], found), agents.seen[who])
                for i, begin in enumerate(begins)
            ]
            for what in TITLES:
                target, said, same = (np.concatenate(x) for x in zip(*(case[what] for case in each), strict=True))
                apart = np.stack([said, same, np.broadcast_to(target.mean(0), target.shape)]) - target
                squares.setdefault((what, k), []).append((apart**2).reshape(3, -1))
    means = {case: np.concatenate(found, 1).mean(1) for case, found in squares.items()}
    return {(*case, name): float(x) for case, found in means.items() for name, x in zip(WHO, found, strict=True)}


def _triples(own: Sequences, begin: int, k: int, said: Any, real: np.ndarray) -> dict[str, list[np.ndarray]]:
    """By what is predicted `k` steps from step `begin` on: what came of it, what the model says of it, and what it
    would be if nothing changed. Rows [., ...] of the sequences that go on for so long."""
    seen, earned, future = said
    at = begin + k - 1
    follows, took = own.follows[:, at], own.steps[:, at]
    before = own.reward[:, begin - 1] if begin else np.zeros(len(own.reward))
    unchanged = np.ones(len(own.reward))
    cases = {
        "obs": (follows, own.obs[:, at + 1][:, real], seen[:, k - 1][:, real], own.obs[:, begin][:, real]),
        "reward": (took, own.reward[:, at], earned[:, k - 1], before),
        "future": (took, own.discount[:, at], future[:, k - 1], unchanged),
    }
    return {what: [x[there] for x in numbers] for what, (there, *numbers) in cases.items()}


def guesses(algorithm: MATWM, nets: Any, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Shares of others' actions that the teammate predictor guesses right, of every agent and episode [N · E]; and that
    the most frequent action of each of them would be."""
    agents, model = algorithm.agents, algorithm.model

    def one(nets, own):
        own = jax.tree.map(lambda x: x[None], own)
        latent = model.sample(model.posterior(nets, own.obs), jax.random.key(0))[:, :-1]
        return teammate_loss(nets, model, agents, own, latent, None)[1]

    @jax.jit
    def look(nets, batch, who):
        own = focal_sequences(agents, batch, jnp.full(len(batch.weight), who))
        return own, jax.vmap(one, (None, 0))(nets, own)

    right, usual = [], []
    for who in range(agents.count):
        own, share = jax.tree.map(np.asarray, look(nets, batch, who))
        counts = own.others_alive & own.steps[..., None]
        alike = np.zeros(counts.shape)
        for j in range(counts.shape[-1]):
            chosen = own.others[:, :, j][counts[:, :, j]]  # [., P]
            common = [np.bincount(chosen[:, p]).argmax() for p in range(chosen.shape[-1])]
            alike[..., j] = (own.others[:, :, j] == common).mean(-1)
        right.append(share)
        usual.append((alike * counts).sum((1, 2)) / np.maximum(counts.sum((1, 2)), 1))
    return np.concatenate(right), np.concatenate(usual)


def of_runs(folders: Sequence[Path], environment: Any, after: Sequence[int], episodes: int) -> tuple[Any, Any]:
    """Errors of each run's model by case [S], and guesses as differences to the most frequent action [S], in play of
    its own policies."""
    every, gains = [], []
    for folder in folders:
        policy = load(folder, environment=environment)
        algorithm: Any = policy.algorithm
        batch = held_out(algorithm, policy.state, environment, episodes)
        nets = policy.state.nets.model
        every.append(errors(algorithm, nets, batch, after, samples=8))
        right, usual = guesses(algorithm, nets, batch)
        gains.append((right.mean(), usual.mean()))
    return {case: np.array([found[case] for found in every]) for case in every[0]}, np.array(gains)


def error_table(title: str, found: dict[tuple[str, int, str], np.ndarray], mean: Any, out: Path) -> None:
    """Print and write the errors [S] of every case: a row for each thing predicted and number of steps."""
    cases = dict.fromkeys((what, k) for what, k, _ in found)
    rows: list[list[Interval | str | None]] = [
        [TITLES[what], str(k), *(mean(found[what, k, name]) for name in WHO)] for what, k in cases
    ]
    write_table(title, ["predicted", "steps ahead", *WHO], rows, [0, 0, 4, 4, 4], out)
