"""Studies by name: `covey reproduce att-maddpg/routing-small`. Each prints ours, theirs, an interval and a verdict."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from covey.core.errors import unknown
from covey.core.registry import locate


class Study(NamedTuple):
    """An entry of `STUDIES`: where the function `(quick, out, say) -> None` is, and one line on what it shows."""

    path: str
    summary: str


STUDIES: dict[str, Study] = {
    "att-maddpg/demo": Study(
        "covey.studies.att_maddpg.routing:demo",
        "Routers learn to share a link: learners beside rules, bound and optimum, 5 min.",
    ),
    "att-maddpg/routing-small": Study(
        "covey.studies.att_maddpg.routing:routing_small",
        "Figure 5: two routers and a contended link, with and without a probe.",
    ),
    "att-maddpg/routing-large": Study(
        "covey.studies.att_maddpg.routing:routing_large", "Figure 6: seven routers, hop by hop."
    ),
    "att-maddpg/heads": Study(
        "covey.studies.att_maddpg.routing:heads", "Figure 7: how many heads, and the ablation without attention."
    ),
    "att-maddpg/benchmarks": Study(
        "covey.studies.att_maddpg.benchmarks:benchmarks", "Table 2: cooperative navigation and predator-prey."
    ),
    "att-maddpg/abilene": Study(
        "covey.studies.att_maddpg.abilene:abilene", "Traffic engineering on Abilene, real matrices where you have them."
    ),
    "mappo/tag": Study("covey.studies.tag:tag", "Predators and prey that learn together, and cross-play with rules."),
    "credit/e1": Study(
        "covey.studies.credit.games:e1", "Additive games: does credit raise the signal, and by how much?"
    ),
    "credit/e2": Study("covey.studies.credit.games:e2", "Games in which choices interact, and parity."),
    "credit/e3": Study("covey.studies.credit.games:e3", "Decisions of several steps: which credit is biased?"),
    "credit/e4": Study("covey.studies.credit.games:e4", "The Gaussian squeeze: does credit help where many act?"),
    "credit/e5": Study("covey.studies.credit.spread:e5", "Lazy and redundant agents, and one without motors."),
    "credit/e6": Study("covey.studies.credit.games:e6", "Is IGM needed? Value-based controls beside every mixer."),
    "credit/e7": Study("covey.studies.credit.spread:e7", "Predators that pay for coming too early, with every mixer."),
    "credit/e8": Study("covey.studies.credit.spread:e8", "Spread with 3, 6 and 10 agents."),
    "credit/e9": Study("covey.studies.credit.spread:e9", "Do traced credits agree with forked worlds?"),
    "credit/e10": Study("covey.studies.credit.spread:e10", "Which parts of the credit matter?"),
    "mean-field/ising": Study(
        "covey.studies.mean_field.ising:ising", "Order of spins against temperature, beside the heat bath and Onsager."
    ),
    "mean-field/squeeze": Study(
        "covey.studies.mean_field.squeeze:squeeze", "Up to 5000 agents look for the sum that pays."
    ),
    "mean-field/battle": Study(
        "covey.studies.mean_field.battle:battle", "Armies of learners against each other, and inside MAgent2."
    ),
    "mean-field/battle-large": Study(
        "covey.studies.mean_field.battle:battle_large", "The same with 64 soldiers on either side, for a GPU."
    ),
}


def reproduce(
    name: str, *, quick: bool = False, out: str | Path | None = None, say: Callable[[str], None] = print
) -> Path:
    """Run a study; its runs, tables and pictures go to `out` (default `runs/<study>`). Returns that folder."""
    if name not in STUDIES:
        raise unknown("the study", name, STUDIES)
    folder = Path(out) if out else Path("runs") / name.replace("/", "-")
    folder = folder / "quick" if quick and not out else folder
    folder.mkdir(parents=True, exist_ok=True)
    for stale in ("table.md", "results.json"):
        (folder / stale).unlink(missing_ok=True)
    locate(STUDIES[name].path, "study")(quick=quick, out=folder, say=say)
    return folder
