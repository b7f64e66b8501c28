"""Studies by name: `covey reproduce att-maddpg/routing-small`. Each prints ours, theirs, an interval and a verdict."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from covey.core.errors import BadInput, unknown
from covey.core.registry import locate


class Study(NamedTuple):
    """An entry of `STUDIES`: where the function `(quick, seeds, out, say) -> None` is, one line on what it shows, and
    how many seeds it takes unless told (two if quick)."""

    path: str
    summary: str
    seeds: int


STUDIES: dict[str, Study] = {
    "att-maddpg/demo": Study(
        "covey.studies.att_maddpg.routing:demo",
        "Routers learn to share a link: learners beside rules, bound and optimum, 5 min.",
        5,
    ),
    "att-maddpg/routing-small": Study(
        "covey.studies.att_maddpg.routing:routing_small",
        "Figure 5: two routers and a contended link, with and without a probe.",
        10,
    ),
    "att-maddpg/routing-large": Study(
        "covey.studies.att_maddpg.routing:routing_large", "Figure 6: seven routers, hop by hop.", 6
    ),
    "att-maddpg/heads": Study(
        "covey.studies.att_maddpg.routing:heads", "Figure 7: how many heads, and the ablation without attention.", 10
    ),
    "att-maddpg/benchmarks": Study(
        "covey.studies.att_maddpg.benchmarks:benchmarks", "Table 2: cooperative navigation and predator-prey.", 6
    ),
    "att-maddpg/abilene": Study(
        "covey.studies.att_maddpg.abilene:abilene",
        "Traffic engineering on Abilene, real matrices where you have them.",
        4,
    ),
    "maddpg/neighbors": Study(
        "covey.studies.neighbors:line", "Twenty agents on a line: critics of neighbors beside critics of everybody.", 5
    ),
    "lamarl/prior-ablation": Study(
        "covey.studies.lamarl.ablation:prior_ablation", "Shape assembly: how many episodes does the prior save?", 5
    ),
    "lamarl/shapes": Study(
        "covey.studies.lamarl.shapes:shapes",
        "Shape assembly beside rules, on unseen shapes and with other numbers of robots.",
        5,
    ),
    "lamarl/switches": Study(
        "covey.studies.lamarl.switches:switches", "Which ways for a prior to take part help, and which critic.", 5
    ),
    "lamarl/elsewhere": Study(
        "covey.studies.lamarl.elsewhere:elsewhere", "Priors for MADDPG, PPO and ATT-MADDPG, in other environments.", 5
    ),
    "mappo/tag": Study(
        "covey.studies.tag:tag", "Predators and prey that learn together, and cross-play with rules.", 5
    ),
    "credit/e1": Study(
        "covey.studies.credit.games:e1", "Additive games: does credit raise the signal, and by how much?", 10
    ),
    "credit/e2": Study("covey.studies.credit.games:e2", "Games in which choices interact, and parity.", 10),
    "credit/e3": Study("covey.studies.credit.games:e3", "Decisions of several steps: which credit is biased?", 10),
    "credit/e4": Study("covey.studies.credit.games:e4", "The Gaussian squeeze: does credit help where many act?", 10),
    "credit/e5": Study("covey.studies.credit.spread:e5", "Lazy and redundant agents, and one without motors.", 5),
    "credit/e6": Study("covey.studies.credit.games:e6", "Is IGM needed? Value-based controls beside every mixer.", 10),
    "credit/e7": Study(
        "covey.studies.credit.spread:e7", "Predators that pay for coming too early, with every mixer.", 5
    ),
    "credit/e8": Study("covey.studies.credit.spread:e8", "Spread with 3, 6 and 10 agents.", 5),
    "credit/e9": Study("covey.studies.credit.spread:e9", "Do traced credits agree with forked worlds?", 5),
    "credit/e10": Study("covey.studies.credit.spread:e10", "Which parts of the credit matter?", 5),
    "lamarl/prompts": Study(
        "covey.studies.lamarl.prompts:prompts", "Do reasoning and functions to copy help to write what passes?", 40
    ),
    "matwm/spread": Study(
        "covey.studies.matwm.spread:spread",
        "Three agents, 50,000 steps: a learner with a world model beside three without, and how good the model is.",
        3,
    ),
    "matwm/tag": Study(
        "covey.studies.matwm.tag:tag", "Predators and prey with a world model, against rules and each other.", 3
    ),
    "matwm/ablations": Study(
        "covey.studies.matwm.spread:ablations", "Table 5: which of three parts of MATWM matter, in 20,000 steps.", 3
    ),
    "matwm/squeeze": Study(
        "covey.studies.matwm.squeeze:squeeze", "A game with a known optimum: regret after few rounds.", 3
    ),
    "mean-field/ising": Study(
        "covey.studies.mean_field.ising:ising",
        "Order of spins against temperature, beside the heat bath and Onsager.",
        8,
    ),
    "mean-field/squeeze": Study(
        "covey.studies.mean_field.squeeze:squeeze", "Up to 5000 agents look for the sum that pays.", 5
    ),
    "mean-field/battle": Study(
        "covey.studies.mean_field.battle:battle", "Armies of learners against each other, and inside MAgent2.", 5
    ),
    "mean-field/battle-large": Study(
        "covey.studies.mean_field.battle:battle_large", "The same with 64 soldiers on either side, for a GPU.", 5
    ),
}


def reproduce(
    name: str,
    *,
    quick: bool = False,
    seeds: int | None = None,
    out: str | Path | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """Run a study; its runs, tables and pictures go to `out` (default `runs/<study>`). Returns that folder.

    `seeds`: how many, None: as the study is reported. More seeds begin with those of fewer.
    """
    if name not in STUDIES:
        raise unknown("the study", name, STUDIES)
    if seeds is not None and seeds < 2:
        raise BadInput(f"a study needs at least 2 seeds, not {seeds}: one says nothing about how much they differ.")
    folder = Path(out) if out else Path("runs") / name.replace("/", "-")
    folder = folder / "quick" if quick and not out else folder
    folder.mkdir(parents=True, exist_ok=True)
    for stale in ("table.md", "results.json"):
        (folder / stale).unlink(missing_ok=True)
    study = STUDIES[name]
    locate(study.path, "study")(quick=quick, seeds=seeds or (2 if quick else study.seeds), out=folder, say=say)
    return folder


def tables_of(folder: Path) -> list[dict[str, Any]]:
    """The tables that a study has printed: titles, columns, rows as text, and values as numbers."""
    file = folder / "results.json"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
