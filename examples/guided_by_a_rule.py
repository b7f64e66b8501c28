"""A rule that works already guides the learners: `--prior`, from Python."""

import covey

for prior in ("none", "greedy-pursuit"):
    run = covey.train(
        "maddpg",
        "navigation",
        steps=8_000,
        envs=8,
        settings={"prior": prior, "prior.alpha": {"start": 1.0, "end": 0.0, "steps": 4_000}},
        out=f"runs/example-prior-{prior}",
    )
    print(prior, run.summary["evaluation"]["return/agent/mean_agent"]["mean"])
