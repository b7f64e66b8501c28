"""One evaluation episode of an environment outside JAX, recorded while the environment draws itself."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np
from PIL import Image

from covey.core.errors import BadInput
from covey.core.optional import offered
from covey.core.types import Groups, TimeStep
from covey.runs.episode import Episode
from covey.runs.evaluate import demand_end
from covey.runs.policy import Policy

LARGEST = 640
"""Pixels of the longer side of a picture; larger ones are reduced."""


class Reel:
    """Pictures of an episode whose length is not known: evenly spread, `most` of them, and the last."""

    def __init__(self, most: int):
        self.most, self.count, self.stride = most, 0, 1
        self.kept: dict[int, np.ndarray] = {}
        self.last: np.ndarray | None = None

    def append(self, picture: np.ndarray) -> None:
        """The next step, RGB uint8 [height, width, 3]."""
        self.last = reduced(picture)
        if self.count % self.stride == 0:
            self.kept[self.count] = self.last
        if len(self.kept) > self.most:
            self.stride *= 2
            self.kept = {t: kept for t, kept in self.kept.items() if t % self.stride == 0}
        self.count += 1

    def frames(self) -> dict[int, np.ndarray]:
        """Pictures by step, in order."""
        return self.kept if self.last is None else self.kept | {self.count - 1: self.last}


def reduced(picture: np.ndarray) -> np.ndarray:
    """The picture, no larger than is of use."""
    height, width = picture.shape[:2]
    scale = LARGEST / max(height, width)
    if scale >= 1.0:
        return picture
    size = max(round(scale * width), 1), max(round(scale * height), 1)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


class Filmed(NamedTuple):
    """An episode without states, and pictures of some of its steps."""

    episode: Episode
    frames: dict[int, np.ndarray]


def film_hosted(policy: Policy, key: Any, *, lanes: int, number: int, most: int) -> Filmed:
    """Episode `number` of one seed's evaluation with `key`, in which it has `lanes` lanes; about `most` frames of it.

    BadInput for environments that cannot draw themselves.
    """
    if offered(policy.environment, "camera") is None:
        raise BadInput(
            f"episodes of {policy.environment.spec.name!r} cannot be drawn: its state lives outside JAX, and it has no "
            "method `camera(watch)` that makes a lane which draws itself."
        )
    reel = Reel(most)
    stage = policy.environment.camera(reel.append)
    try:
        key = jax.random.fold_in(key, number // lanes)  # as `evaluate` does, round after round
        return Filmed(_play(stage, policy, _Lane(lanes, number % lanes), key), reel.frames())
    finally:
        stage.close()


class _Lane(NamedTuple):
    """One of the lanes that a key is split over."""

    lanes: int
    index: int

    def of(self, key: Any) -> Any:
        return jax.random.split(key, self.lanes)[self.index]


def _play(stage: Any, policy: Policy, lane: _Lane, key: Any) -> Episode:
    """One greedy episode of the only lane of `stage`, with the keys that `evaluate` gives to `lane`."""
    if offered(stage, "reseed"):
        stage.reseed([int(jax.random.randint(lane.of(key), (), 0, 2**31 - 1))])
    now, memory = _only(stage.reset()), policy.memory(lane.of(key))
    steps: list[TimeStep] = [now]
    actions: list[Groups] = []
    while not steps[-1].last:
        demand_end(policy.environment.spec, len(actions))
        k = lane.of(jax.random.fold_in(key, len(actions)))
        action, memory = policy.act(steps[-1], memory, k)
        actions.append(jax.device_get(action))
        then, _ = stage.step(jax.tree.map(lambda x: x[None], actions[-1]))
        steps.append(_only(then))
    return Episode((), jax.tree.map(lambda *x: np.stack(x), *steps), jax.tree.map(lambda *x: np.stack(x), *actions), {})


def _only(now: TimeStep) -> TimeStep:
    return jax.tree.map(lambda x: x[0], now)
