"""Train in an environment of PettingZoo, and play the policy in PettingZoo's own loop."""

import jax
from mpe2 import simple_spread_v3

import covey

run = covey.train("ippo", "pettingzoo:mpe2.simple_spread_v3", steps=4_000, envs=4, options={"lanes": 4})
policy = covey.load(run.folder, seed=0, trust=True)  # trust: a module outside covey is imported

environment = simple_spread_v3.parallel_env()
observations, infos = environment.reset(seed=0)
key = jax.random.key(0)
memory, earned = policy.memory(key), 0.0
while environment.agents:
    key, k_act = jax.random.split(key)
    actions, memory = policy.actions(observations, infos, environment.agents, memory, k_act)
    observations, rewards, terminations, truncations, infos = environment.step(actions)
    earned += sum(rewards.values())
print(f"the team earned {earned:.1f} in an episode")
