"""The law of replay: what is drawn was played, and its successor is the true one.

Nothing is trained here. Every step has a number, which is written into all that agents see, do and get; episodes end at
random, by a cut, by deaths, or by both. So whatever a sampler returns can be looked up in what was played.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from covey.core.program import program
from covey.core.types import Box, Discrete, Field, Group, Groups, Spec, Table, TimeStep, Transition
from covey.learning.replay import Replay
from covey.learning.samplers import Sampler, StepSampler

SEEDS = 2
AGENTS = Table(
    {
        "eyes": Group(
            ("eye",), (Field("picture", (2, 1, 3), dtype="uint8"), Field("speed", (2,))), Box((-1.0,), (1.0,))
        ),
        "ears": Group(("left", "right"), (Field("heard", (2,)),), Discrete(3)),
    }
)


class Phase(NamedTuple):
    """How episodes end for a while."""

    ends: float  # chance that one ends after a step
    cuts: float  # share of the ends that are cuts: everybody has a future, as at a time limit


PHASES = (Phase(0.2, 0.5), Phase(1.0, 0.7), Phase(0.5, 1.0), Phase(0.02, 0.5), Phase(0.2, 0.0))
"""Now and then; after every step; often, and long before the time limit; rarely; only by deaths."""


class Played(NamedTuple):
    """Every step that was played [T, S, E, ...], before any is drawn."""

    number: Any  # []  of the step; 0 is nobody's
    after: Any  # []  number of what was seen next, which at the end of an episode is one of its own
    discount: Groups  # [n]
    last: Any  # []

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.number.shape


def law_replay(
    replay: Replay,
    sampler: Sampler,
    *,
    count: int = 32,
    lanes: int = 3,
    horizon: int = 2,
    rollouts: int = 100,
    phases: Sequence[Phase] = PHASES,
    time_limit: int = 30,
    seed: int = 0,
) -> int:
    """Draws `count` things after each of `rollouts` rollouts of `horizon` steps; how many steps were looked up.

    An episode ends at random, in one `Phase` of the play after the other, and at the time limit at the latest. An
    AssertionError says which step was wrong, and how.
    """
    spec = Spec("numbers", AGENTS, time_limit, state=(Field("whole"),), neighborhood=1)
    rng = np.random.default_rng(seed)
    played = play(rng, (rollouts * horizon, SEEDS, lanes), phases, time_limit)
    batches = _drawn(spec, replay, sampler, count, horizon, played, jax.random.key(seed))
    agents = [(name, i) for name, group in AGENTS.items() for i in range(group.size)]
    apart = isinstance(sampler, StepSampler) and sampler.apart
    checked = sum(_look_up(batches, played, horizon, agent) for agent in (agents if apart else [None]))
    assert checked, "nothing was drawn."
    return checked


def play(rng: Any, shape: tuple[int, int, int], phases: Sequence[Phase], time_limit: int) -> Played:
    """Steps [T, S, E] with random ends."""
    phase = np.arange(shape[0]) * len(phases) // shape[0]
    ends, cuts = (np.asarray(x)[phase][:, None, None] for x in zip(*phases, strict=True))
    last = rng.random(shape) < ends
    for t in range(time_limit - 1, len(last)):
        last[t] |= ~last[t - time_limit + 1 : t].any(0)
    number = 1 + np.arange(last.size).reshape(shape)
    after = np.where(last, number + last.size, np.concatenate([number[1:], number[-1:] + 2 * last.size]))
    cut = rng.random(shape) < cuts
    dead = {name: rng.random((*shape, group.size)) < 0.5 for name, group in AGENTS.items()}
    discount = {name: np.where(last[..., None] & ~cut[..., None], ~x, 1.0).astype("f4") for name, x in dead.items()}
    return Played(number, after, discount, last)


def seen(number: Any) -> TimeStep:
    """What agents see where a number [...] stands."""
    blank = {name: group.blank() for name, group in AGENTS.items()}
    obs = jax.tree.map(lambda x: _marked(number, x.shape, str(x.dtype)), blank)
    alive = {name: _marked(number, (group.size,), "bool") for name, group in AGENTS.items()}
    near = {
        name: (_marked(number, (g.size, 1), "int32"), _marked(number, (g.size, 1), "bool"))
        for name, g in AGENTS.items()
    }
    legal = {"ears": _marked(number, (2, 3), "bool")}
    return TimeStep(obs, {}, {}, alive, None, legal, _marked(number, (1,), "float32"), near)


def done(number: Any) -> Groups:
    """What agents do in the step of a number [...]."""
    return {"eyes": _marked(number, (1, 1), "float32"), "ears": _marked(number, (2,), "int32")}


def earned(number: Any) -> Groups:
    """What they get for it."""
    return {name: _marked(number, (group.size,), "float32") for name, group in AGENTS.items()}


def _marked(number: Any, shape: tuple[int, ...], dtype: str) -> Any:
    """An array [..., *shape] from which the number can be told, or some bits of it; zero where the number is."""
    size = int(np.prod(shape))
    number = np.asarray(number)[..., None]
    digits = {"uint8": number >> (8 * (np.arange(size) % 3)) & 255, "bool": number >> np.arange(size) & 1}
    values = digits.get(dtype, number * (1 + np.arange(size)))
    return values.astype(dtype).reshape(*number.shape[:-1], *shape)


def _drawn(
    spec: Spec, replay: Replay, sampler: Sampler, count: int, horizon: int, played: Played, key: Any
) -> tuple[Any, Any]:
    """The batches [I, S, ...] that are drawn after each rollout, as NumPy arrays."""
    steps, seeds, lanes = played.shape
    then = seen(played.after)._replace(reward=earned(played.number), discount=played.discount, last=played.last)
    beside = {name: np.stack([played.number.astype(np.int32)] * group.size, -1) for name, group in AGENTS.items()}
    rollout = Transition(seen(played.number), done(played.number), then, beside)
    rollouts = jax.tree.map(lambda x: x.reshape(-1, horizon, *x.shape[1:]), rollout)

    def go_on(buffer, rollout, key, step):
        buffer = replay.add(spec, buffer, rollout, step, rollout.extra)
        return buffer, sampler.sample(spec, buffer, count, key, step + horizon * lanes)

    def body(buffers, xs):
        index, rollout = xs
        keys = jax.random.split(jax.random.fold_in(key, index), seeds)
        return jax.vmap(go_on, (0, 1, 0, None))(buffers, rollout, keys, index * horizon * lanes)

    @program
    def everything(rollouts):
        beside = {name: jnp.zeros(group.size, jnp.int32) for name, group in AGENTS.items()}
        one = replay.init(spec, lanes, horizon, beside, state=True)
        buffers = jax.tree.map(lambda x: jnp.stack([x] * seeds), one)
        return jax.lax.scan(body, buffers, (jnp.arange(steps // horizon), rollouts))[1]

    return jax.tree.map(np.asarray, everything(rollouts))


# ---------------------------------------------------------------------------------------------------------------------
# Looking up


def _look_up(batch: Any, played: Played, horizon: int, agent: tuple[str, int] | None) -> int:
    """How many steps of all batches [I, S, ...] were right; AssertionError where one is not.

    agent: whose part of them is looked at, by group and place; None: everybody's, which is of one step.
    """
    name, place = agent or (next(iter(AGENTS)), 0)
    weight, number = batch.weight, batch.extra[name][..., place]

    def part(rows: Any) -> Any:
        return rows if agent is None else _part_of(rows, name, place)

    assert np.isin(weight, (0, 1)).all(), f"weights are 0 or 1, got {np.unique(weight)}."
    _, seeds, lanes = played.shape
    row, drawn = seeds * lanes, weight > 0
    if weight.ndim == 4:
        _look_up_pieces(drawn, number, played.last.reshape(-1), row)
    iteration, seed, *_ = np.nonzero(drawn)
    so_far = (iteration + 1) * horizon  # steps of a lane until then
    batch, number = jax.tree.map(lambda x: x[drawn], (batch, number))
    index = number - 1
    strange = (index < 0) | (index // row >= so_far) | (index // lanes % seeds != seed)
    assert not strange.any(), f"{strange.sum()} steps were drawn that had not been played."

    last, after = played.last.reshape(-1)[index], played.after.reshape(-1)[index]
    discount = {name: x.reshape(-1, x.shape[-1])[index] for name, x in played.discount.items()}
    sizes = {name: group.size for name, group in AGENTS.items()}
    right = {
        "what agents saw": (batch.now, seen(number)),
        "the actions": (batch.action, done(number)),
        "the rewards": (batch.then.reward, earned(number)),
        "the discounts": (batch.then.discount, discount),
        "the next actions": (batch.next_action, done(np.where(last, 0, number + row))),
        "what was kept beside them": (batch.extra, {name: np.stack([number] * n, -1) for name, n in sizes.items()}),
    }
    if agent is None:
        right["the ends of episodes"] = batch.then.last, last
    for what, (found, true) in right.items():
        wrong = _differ(part(found), part(true))
        assert not wrong.any(), f"{wrong.sum()} of {drawn.sum()} steps that were drawn have {what} of another step."
    then = batch.then._replace(reward={}, discount={}, last=None)
    over = last & ~np.any([(x > 0).any(-1) for x in discount.values()], axis=0)  # what is seen then is nobody's
    wrong = _differ(part(then), part(seen(after))) & (~over | _differ(part(then), part(seen(0 * after))))
    assert not wrong.any(), f"{wrong.sum()} of {drawn.sum()} steps that were drawn have the wrong successor."
    newest = ~last & (index // row == so_far - 1)
    assert not newest.any(), f"{newest.sum()} steps were drawn whose next actions are not known yet."
    return int(drawn.sum())


def _part_of(rows: Any, name: str, place: int) -> Any:
    """One agent's part of a time step, or of a mapping by group, over rows [N]."""
    if isinstance(rows, TimeStep):
        groups = {part: _part_of(getattr(rows, part), name, place) for part in ("obs", "alive", "legal", "neighbors")}
        return rows._replace(state=None, **groups)
    return jax.tree.map(lambda x: x[:, place], {name: rows[name]} if name in rows else {})


def _look_up_pieces(drawn: Any, number: Any, last: Any, row: int) -> None:
    """Of sequences [I, S, B, L]: steps in a row of one episode, and no step twice in a batch."""
    follows = drawn[..., 1:]
    assert not (follows & ~drawn[..., :-1]).any(), "a sequence has a hole."
    assert (np.diff(number, axis=-1)[follows] == row).all(), "the steps of a sequence do not follow one another."
    assert not last[number[..., :-1][follows] - 1].any(), "a sequence goes on beyond the end of its episode."
    iteration, *_ = np.nonzero(drawn)
    once = len(np.unique(np.stack([iteration, number[drawn]]), axis=1).T)
    assert once == drawn.sum(), f"{drawn.sum() - once} steps are in a batch more than once."


def _differ(found: Any, true: Any) -> Any:
    """Which of the rows [N, ...] of two trees are not the same."""
    assert jax.tree.structure(found) == jax.tree.structure(true), "what was drawn has another structure."
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(true), strict=True)
    return np.any([(a != b).any(tuple(range(1, a.ndim))) for a, b in pairs], axis=0)
