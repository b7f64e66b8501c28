"""Train a team, open what was learned, and play one episode with it."""

import jax

import covey

run = covey.train("mappo", "toy/discrete", steps=40_000, envs=16, out="runs/example-act")
policy = covey.load(run.folder, seed=0)

key = jax.random.key(0)
state, now = policy.environment.reset(key)
memory, earned = policy.memory(key), 0.0
while not now.last:
    key, k_act, k_step = jax.random.split(key, 3)
    actions, memory = policy.act(now, memory, k_act)
    state, now = policy.environment.step(k_step, state, actions)
    earned += sum(float(reward.sum()) for reward in now.reward.values())
best = run.summary["reference"]["evaluation"]["return/team_sum"]
print(f"the team earned {earned:.1f}; the best there is earns {best:.1f}")
