"""Two algorithms with five seeds each: who is better, by how much, and how soon?"""

import covey
from covey.runs.compare import compare

folders = []
for algorithm in ("ippo", "iql"):
    run = covey.train(
        algorithm,
        "toy/discrete",
        steps=20_000,
        envs=8,
        seeds=5,
        evaluate_every=4_000,
        out=f"runs/example-{algorithm}",
    )
    folders.append(str(run.folder))
for row in compare([*folders, "optimal", "random"]).rows:
    print(row)
covey.plot(*folders, metric="return/team_sum").savefig("runs/example-curves.png")
