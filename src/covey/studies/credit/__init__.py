"""Does credit help a team of PPO agents, and how many; does its mixer matter? Experiments with stated predictions."""
