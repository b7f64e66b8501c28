"""Training in an environment that breaks its own spec ends in one sentence before anything is compiled."""

from __future__ import annotations

import jax.numpy as jnp
import pytest

import covey
from covey.core.errors import BadInput
from covey.core.structure import demand_structure
from covey.environments import toy


class Own:
    """`toy/discrete`, changed by who inherits from it."""

    def __init__(self):
        self.inner = toy.discrete()
        self.spec = self.inner.spec

    def reset(self, key):
        return self.inner.reset(key)

    def step(self, key, state, action):
        return self.inner.step(key, state, action)


class StateAlone(Own):
    def reset(self, key):
        return self.inner.reset(key)[0]


class RewardsInOne(Own):
    def step(self, key, state, action):
        state, then = self.inner.step(key, state, action)
        return state, then._replace(reward={name: x.sum() for name, x in then.reward.items()})


class WideObservation(Own):
    def reset(self, key):
        state, now = self.inner.reset(key)
        return state, now._replace(obs={name: jnp.concatenate([x, x], -1) for name, x in now.obs.items()})


class OtherState(Own):
    def step(self, key, state, action):
        state, then = self.inner.step(key, state, action)
        return (state, jnp.float32(0)), then


BROKEN = {
    StateAlone: "`reset` returned a",
    RewardsInOne: "has the shape ()",
    WideObservation: "`obs` of group",
    OtherState: "are of different kinds, in the structure",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_the_spec_does_not_announce_is_one_sentence(kind, tmp_path):
    with pytest.raises(BadInput, match=f"the environment '{kind.__name__}' cannot be trained in: ") as raised:
        covey.train("iddpg", kind(), steps=10, out=tmp_path / "run", quiet=True)
    assert BROKEN[kind] in str(raised.value)


def test_an_unsound_spec_comes_first():
    own = Own()
    own.spec = own.spec._replace(time_limit=0)
    with pytest.raises(BadInput, match="time limit is 0"):
        demand_structure(own)


def test_a_sound_environment_passes():
    demand_structure(Own())
