"""An algorithm of your own: each agent follows the bandit's values of its actions, whatever it sees."""

import equinox as eqx
import jax
import jax.numpy as jnp

import covey
from covey.core.algorithm import Algorithm, Plan
from covey.core.types import Spec


class Bandit(Algorithm):
    spec: Spec = eqx.field(static=True)
    groups: tuple[str, ...] = eqx.field(static=True)
    rate: float = 0.05
    epsilon: float = 0.2

    @property
    def plan(self):
        return Plan(horizon=1)

    def init(self, key, lanes):
        return {name: jnp.zeros((g.size, g.action.n)) for name, g in self.spec.groups.items() if name in self.groups}

    def act(self, state, memory, now, key, step, *, explore):
        values = {name: x + explore * self.epsilon * jax.random.normal(key, x.shape) for name, x in state.items()}
        return {name: x.argmax(-1).astype(jnp.int32) for name, x in values.items()}, memory, ()

    def learn(self, state, rollout, key, step):
        def toward(values, chosen, reward):  # chosen and reward [T, E, n]
            hit = jax.nn.one_hot(chosen, values.shape[-1])
            return values + self.rate * (hit * (reward[..., None] - values)).mean((0, 1))

        state = {name: toward(x, rollout.action[name], rollout.then.reward[name]) for name, x in state.items()}
        return state, {f"value/{name}": x.max(-1).mean() for name, x in state.items()}


game = covey.make("matrix/additive")
run = covey.train(Bandit(game.spec, tuple(game.spec.groups)), game, steps=20_000, envs=8, out="runs/example-bandit")
print(run.summary["evaluation"]["regret/team_sum"])
