"""Networks that split traffic, trained by gradients through the simulator: how good can a policy of these inputs be?

The world is differentiable in the splits, so no critic is needed: the mean reward of unrolled steps is maximized as it
stands. With everybody's observations and one network this is the idea of DOTE (Perry et al., NSDI 2023); with a network
per router that sees its own observation, it shows what decentralized execution costs. Neither uses held-out demand: the
last part of the training demand decides which weights are kept.

Where training demands are few, a network learns them by heart. On Abilene, one day of training leaves it no better than
the best constant split. Two disturbances of the demands mend that: every pair is multiplied by a random number, and
moved in time by a random number of steps, so that no two episodes are alike.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from covey.core.types import Groups, Splits, TimeStep
from covey.environments.routing.programs import cached
from covey.environments.routing.world import Bank, Routing
from covey.nn.heads import Parts
from covey.nn.nets import MLP

Sees = Literal["own", "all"]


class Settings(NamedTuple):
    """How the networks are trained."""

    updates: int = 2000  # gradient steps
    lanes: int = 64  # episodes side by side
    episode: int = 20  # steps of an episode
    window: int = 5  # of them under one gradient
    width: int = 64  # of both hidden layers
    learning_rate: float = 3e-3  # at the beginning; it falls to 0 like a cosine
    clip: float = 1.0  # largest norm of a gradient
    jitter: float = 0.0  # largest deviation of the logarithm of what a pair's demand is multiplied by
    shift: int = 0  # most steps that a pair's demand is moved in time
    seed: int = 0


PLENTY = Settings()
SCARCE = Settings(updates=2000, episode=10, width=128, learning_rate=1e-3, jitter=0.6, shift=6)
ENOUGH = 16  # training steps a pair from which on demands are not scarce

RECIPE = 1  # part of the name of what is kept on disk: raise it when the search finds something else
CHECKS = 20  # how often the weights are tried on the validation part
VALIDATION = 8  # that part is one in so many of the training steps
LEAST = 1e-2  # share that no component begins below
DIM = 0.05  # demand, in units of its mean, that is taken for little


class Splitter(eqx.Module):
    """A policy: one network for everybody's observations, or a network for each router's own (leading [n]).

    Of a history of demands it reads the newest and the mean, as logarithms. Where all demands are seen and flows settle
    at once they say everything, and nothing else is read.
    """

    nets: MLP
    logits: Any  # [n, A]  the networks' outputs are added to these
    scale: Any  # [n, F]  the size of every feature
    space: Splits = eqx.field(static=True)
    demands: tuple[int, int]  = eqx.field(static=True)  # pairs and steps at the head of an observation, if any
    sees: Sees = eqx.field(static=True)

    def __call__(self, now: TimeStep, key: Any) -> Groups:
        seen = self.features(now.obs["router"]) 
        if self.sees == "all":
            logits = self.nets(seen.reshape(-1)).reshape(len(seen), -1)
        else:
            logits = jax.vmap(lambda net, x: net(x))(self.nets, seen)
        return {"router": jax.vmap(Parts(self.space.parts).softmax)(self.logits + logits, now.legal["router"])}
