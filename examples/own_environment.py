"""An environment of your own: two walkers on a line want to meet."""

import jax
import jax.numpy as jnp

import covey
from covey.core.types import Discrete, Field, Group, Spec, Table, TimeStep

WALKERS = Group(("walker_0", "walker_1"), obs=(Field("own"), Field("other")), action=Discrete(3))


class Rendezvous:
    spec = Spec("rendezvous", Table({"walker": WALKERS}), time_limit=8, shared_reward=True)

    def reset(self, key):
        state = jnp.int32(0), jax.random.permutation(key, 5)[:2]  # the clock, and two different places
        return state, self.show(state, earned=0.0)

    def step(self, key, state, action):
        clock, place = state
        state = clock + 1, jnp.clip(place + action["walker"] - 1, 0, 4)
        return state, self.show(state, earned=-jnp.abs(jnp.diff(state[1]))[0].astype(jnp.float32))

    def show(self, state, earned):
        clock, place = state
        met = place[0] == place[1]
        return TimeStep(
            obs={"walker": jnp.stack([place, place[::-1]], 1).astype(jnp.float32)},
            reward={"walker": jnp.full(2, earned, jnp.float32)},
            discount={"walker": jnp.where(met, jnp.zeros(2), jnp.ones(2))},
            alive={"walker": jnp.ones(2, bool)},
            last=met | (clock >= self.spec.time_limit),
        )


run = covey.train("mappo", Rendezvous(), steps=30_000, envs=16, out="runs/example-own-environment")
print(run.summary["evaluation"]["return/walker/mean_agent"])
