"""PettingZoo environments of a few lines, whose every number is known; and some that break the contract."""

from __future__ import annotations

import functools
import os

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv


class Parade(ParallelEnv):
    """Two walkers, a painter and a late one, for `length` steps.

    walker_0 dies in step 2. painter_0 leaves in step 1 without an end, and is back in step 3. late_0 comes in step 2.
    Walkers see (clock, luck of the episode), the painter a picture of 2 x 2, the late one a number out of 4.
    """

    metadata = {"name": "parade", "render_modes": []}  # noqa: RUF012
    render_mode = None

    def __init__(self, length=5, truncate=True):
        self.length, self.truncate = length, truncate
        self.possible_agents = ["walker_0", "walker_1", "painter_0", "late_0"]
        self.agents = []
        self.rng = np.random.default_rng(0)
        self.taken = []

    @functools.cache  # noqa: B019
    def observation_space(self, agent):
        if agent == "painter_0":
            return spaces.Box(0, 255, (2, 2), np.uint8)
        if agent == "late_0":
            return spaces.Dict({"observation": spaces.Discrete(4), "action_mask": spaces.Box(0, 1, (3,), np.int8)})
        return spaces.Box(-100, 100, (2,), np.float64)

    @functools.cache  # noqa: B019
    def action_space(self, agent):
        if agent == "painter_0":
            return spaces.Box(np.array([[-1.0], [0.0]]), np.array([[1.0], [5.0]]), dtype=np.float64)
        if agent == "late_0":
            return spaces.Discrete(3, start=10)
        return spaces.MultiDiscrete([2, 3])

    def _see(self, agent):
        if agent == "painter_0":
            return np.full((2, 2), 10 * self.clock, np.uint8)
        if agent == "late_0":
            return {"observation": np.int64(self.clock % 4), "action_mask": np.array([1, 0, 1], np.int8)}
        return np.array([self.clock, self.luck])

    def reset(self, seed=None, options=None):
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self.clock, self.luck = 0, self.rng.uniform()
        self.agents = ["walker_0", "walker_1", "painter_0"]
        return {agent: self._see(agent) for agent in self.agents}, {agent: {} for agent in self.agents}

    def step(self, actions):
        self.taken.append(actions)
        assert set(actions) == set(self.agents)
        acting, self.clock = self.agents, self.clock + 1
        over = self.clock == self.length
        terminated = {a: (a == "walker_0" and self.clock == 2) or (over and not self.truncate) for a in acting}
        truncated = {a: over and self.truncate and not terminated[a] for a in acting}
        there = {
            "walker_0": self.clock < 2,
            "walker_1": True,
            "painter_0": self.clock not in (1, 2),
            "late_0": self.clock >= 2,
        }
        self.agents = [] if over else [a for a in self.possible_agents if there[a]]
        shown = {*acting, *self.agents}
        rewards = {a: float(self.clock) for a in acting}
        return {a: self._see(a) for a in shown}, rewards, terminated, truncated, {a: {} for a in shown}

    def state(self):
        return np.array([self.clock, 7.0])

    def close(self):
        pass


def parallel_env(length=5, truncate=True):
    return Parade(length, truncate)


class Broken(Parade):
    """`fault` says what is wrong."""

    def __init__(self, fault):
        super().__init__()
        self.fault = fault
        if fault == "nobody":
            self.possible_agents = []
        if fault == "twins":
            self.possible_agents = ["1", 1]

    def observation_space(self, agent):
        if self.fault == "sequence":
            return spaces.Sequence(spaces.Discrete(2))
        return super().observation_space(agent)

    def action_space(self, agent):
        return {
            "endless": spaces.Box(-np.inf, np.inf, (2,)),
            "whole numbers": spaces.Box(0, 5, (2,), np.int64),
            "tuple": spaces.Tuple([spaces.Discrete(2)]),
        }.get(self.fault, super().action_space(agent))

    def reset(self, seed=None, options=None):
        observations, infos = super().reset(seed)
        if self.fault == "empty":
            self.agents = []
        if self.fault == "stranger":
            self.agents = [*self.agents, "nobody_9"]
        if self.fault == "old reset":
            return observations
        return observations, infos

    def step(self, actions):
        observations, rewards, terminated, truncated, infos = super().step(actions)
        match self.fault:
            case "old step":
                return observations, rewards, terminated, infos
            case "silent":
                del observations["walker_1"]
            case "unpaid":
                del rewards["walker_1"]
            case "infinite":
                rewards["walker_1"] = np.inf
            case "shape":
                observations["walker_1"] = np.zeros(3)
            case "growing picture" if self.clock == 4:
                observations["painter_0"] = np.zeros((2, 3), np.uint8)
            case "nan":
                observations["walker_1"] = np.array([np.nan, 0.0])
            case "revived" if self.clock == 3:
                self.agents = [*self.agents, "walker_0"]
                observations["walker_0"] = np.zeros(2)
            case "list":
                rewards = list(rewards.values())
            case "raises" if self.clock == 2:
                raise RuntimeError("the world fell over")
            case "dies" if self.clock == 2:
                os._exit(3)
        return observations, rewards, terminated, truncated, infos
