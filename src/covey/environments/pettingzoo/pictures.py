"""Smaller pictures: gray, and each number the mean of a square of pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv
from pettingzoo.utils import BaseParallelWrapper
from PIL import Image

from covey.core.errors import BadInput


def reduced(env: ParallelEnv, factor: int) -> ParallelEnv:
    """The environment, whose agents see `factor` times fewer rows and columns, without colors: uint8 [H/f, W/f].

    BadInput where an agent observes anything but a picture: uint8 [H, W] or [H, W, 3].
    """
    if factor < 1:
        raise BadInput(f"`factor` must be at least 1, got {factor}.")
    return Reduced(env, factor)


class Reduced(BaseParallelWrapper):
    """See `reduced`."""

    def __init__(self, env: ParallelEnv, factor: int):
        super().__init__(env)
        self.factor = factor
        self._spaces = {agent: self._space(agent) for agent in env.possible_agents}

    def observation_space(self, agent: Any) -> spaces.Space:
        return self._spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict]:
        observations, infos = super().reset(seed=seed, options=options)
        return self._smaller(observations), infos

    def step(self, actions: dict) -> tuple[dict, dict, dict, dict, dict]:
        observations, rewards, terminated, truncated, infos = super().step(actions)
        return self._smaller(observations), rewards, terminated, truncated, infos

    def _space(self, agent: Any) -> spaces.Space:
        whole = self.env.observation_space(agent)
        shape = whole.shape or ()
        if whole.dtype != np.uint8 or len(shape) not in (2, 3) or shape[2:] not in ((), (3,)):
            raise BadInput(f"the agent {agent!r} observes {whole}, which is no picture: only pictures are reduced.")
        return spaces.Box(0, 255, smaller(np.zeros(shape, np.uint8), self.factor).shape, np.uint8)

    def _smaller(self, observations: dict) -> dict:
        return {agent: smaller(picture, self.factor) for agent, picture in observations.items()}


def smaller(picture: np.ndarray, factor: int) -> np.ndarray:
    """One picture in gray, `factor` times smaller, uint8 [H/f, W/f] (rounded up)."""
    return np.asarray(Image.fromarray(picture).convert("L").reduce(factor))
