"""`mean-field/battle` and `battle-large`: armies that learned against themselves, against each other, and inside
MAgent2's own engine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from covey import environments
from covey.environments.battle.environment import Battle
from covey.runs.render import render
from covey.runs.tournament import Contender, Estimate, Tournament, play, ruler
from covey.studies.mean_field.armies import ENVS, KEPT, at_best, best, blinded, learner, trained
from covey.studies.mean_field.magent import inside_magent
from covey.studies.saying import Say, say_plan, verdict
from covey.studies.trials import Trial, run

RATE, SOLDIERS = 1_100.0, 12
"""Learning steps a second, all seeds together, of armies of so many, for the plans."""

MAIN, QUICK = ("iql", "ac", "mfq", "mfac"), ("iql", "mfq")
ABLATIONS = (
    ("ac, several steps", "ac"),
    ("mfac, several steps", "mfac"),
    ("mfac, several steps", "mfq"),
    ("mfq, Boltzmann", "mfq"),
    ("mfq, greedy", "mfq"),
    ("mfq, last steps left out", "mfq"),
    ("mfq", "iql, as wide"),
)
"""Who meets whom beside the four: (a) more gradient steps, (b) exploration, (c) last steps, (e) equal parameters. That
comrades are not seen (d) is a change of MF-Q that needs no training."""


class War(NamedTuple):
    """How large an experiment is."""

    size: int  # of the map
    limit: int  # steps of a battle
    steps: int  # of each seed
    games: int  # of every two contenders
    times: Mapping[str, int] = MappingProxyType({})  # as many seeds of these learners as of the others


TINY = War(12, 20, 640, 8)
SMALL = War(20, 400, 40_000, 200)
LARGE = War(40, 400, 400_000, 200, {"iql": 3, "mfq": 3})
"""12 v 12, and 64 v 64 with more seeds of those two that are hard to tell apart."""


def battle(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """12 v 12: IL, AC, MF-Q and MF-AC with equal budgets, cross-play on both sides, five ablations; and a policy that
    plays on the map of 40 in MAgent2's engine and in covey's."""
    say("Predictions: MF-Q > IL > AC and MF-AC, as published. AC and MF-AC gain by several steps on longer")
    say("rollouts, and stay behind. MF-Q with Boltzmann policies is no worse, without exploration it is worse, without")
    say("last steps it is the same; it beats IL with as many parameters; and if the mean action helps, it is worse")
    say("when that is not seen. What wins here wins in MAgent2, as often to within 5 points.")
    war, main, ablations = (TINY, QUICK, ()) if quick else (SMALL, MAIN, ABLATIONS)
    names = tuple(dict.fromkeys([*main, *(name for pair in ablations for name in pair)]))
    world, armies, cross = _met(war, main, names, seeds, out, say)
    pairs = {pair: tuple(armies[name] for name in pair) for pair in ablations}
    for changed in (blinded(armies["mfq"], noise=False), blinded(armies["mfq"], noise=True), at_best(armies["mfq"])):
        pairs[changed.label, "mfq"] = changed, armies["mfq"]
    found = {}
    for (one, other), contenders in pairs.items():
        found[one, other] = play(contenders, world, war.games).shares()[0, 1]
        say(f"· {one} against {other}: {_percent(found[one, other])}")
    (out / "ablations.json").write_text(
        json.dumps({f"{one} against {other}": x._asdict() for (one, other), x in found.items()}, indent=1)
    )
    if not quick:
        _order(cross, say)
        _judge(found, say)
    inside_magent(quick=quick, out=out, say=say)


def battle_large(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """64 v 64 on the map of 40, as published: IL, AC, MF-Q and MF-AC with equal budgets, and their cross-play. For a
    GPU: on two cores it takes most of a day."""
    say("Predictions: MF-Q > IL > AC and MF-AC, as published; what is best of the last ten changes nothing of that.")
    war, main = (TINY, QUICK) if quick else (LARGE, MAIN)
    _, _, cross = _met(war, main, main, seeds, out, say)
    if not quick:
        _order(cross, say)


def _met(
    war: War, main: Sequence[str], names: Sequence[str], seeds: int, out: Path, say: Say
) -> tuple[Battle, dict[str, Contender], Tournament]:
    """All `names` trained by self-play, and what `main` and two rules scored against each other: as they are at their
    end, and each seed as it was best of late."""
    size, limit, steps, games, times = war
    world = environments.make("battle", size=size, time_limit=limit, minimap=True, features=True, sides=True)
    trials = [Trial(name, learner(world, name, steps), steps, ENVS, keep=steps // KEPT) for name in names]
    counts = [seeds * times.get(name, 1) for name in names]
    planned = [trial for trial, count in zip(trials, counts, strict=True) for _ in range(count)]
    say_plan(say, planned, 1, RATE * (SOLDIERS / world.count))
    outcomes = {}
    for trial, count in zip(trials, counts, strict=True):
        outcomes |= run([trial], world, seeds=count, episodes=8, out=out, evaluations=1, say=say)
    armies = {name: trained(name, outcomes[name].run, world) for name in names}
    picture = render(outcomes["mfq"].run, out / "battle.gif", environment=world)
    say(f"picture: {', '.join(str(path) for path in picture)}")
    cross = play([*(armies[name] for name in main), *(ruler(id, world) for id in ("charge", "random"))], world, games)
    _tell("cross-play", cross, out, say)
    late = play([best(armies[name], outcomes[name].run, world, games=1) for name in main], world, games)
    _tell("cross-play of the best of the last ten", late, out, say)
    return world, armies, cross


def _percent(share: Estimate) -> str:
    return f"{100 * share.value:.1f} % ({100 * share.low:.1f} to {100 * share.high:.1f})"


def _tell(name: str, played: Tournament, out: Path, say: Say) -> None:
    """The table of who scored what against whom."""
    shares, ratings = played.shares(), played.ratings()
    titles = ["", "Elo", *(f"against {label}" for label in played.labels)]
    rows = []
    for i, label in enumerate(played.labels):
        cells = [_percent(shares[i, j]) if i != j else "" for j in range(len(played.labels))]
        rating = ratings[i]
        rows.append([label, f"{rating.value:.0f} ({rating.low:.0f} to {rating.high:.0f})", *cells])
    lines = ["| " + " | ".join(row) + " |" for row in [titles, ["---"] * len(titles), *rows]]
    with open(out / "table.md", "a") as file:
        file.write("\n".join([f"\n{name}, points", "", *lines]) + "\n")
    for line in lines:
        say(line)
    (out / f"{name}.json").write_text(json.dumps(played.summary(), indent=1))


def _order(cross: Tournament, say: Say) -> None:
    """Is the published order theirs?"""
    shares = cross.shares()
    for one, other in (("mfq", "iql"), ("iql", "ac"), ("iql", "mfac"), ("mfq", "ac"), ("mfq", "mfac")):
        share = shares[cross.labels.index(one), cross.labels.index(other)]
        verdict(say, f"{one} beats {other}", _more(share), _percent(share))


def _judge(found: dict[tuple[str, str], Estimate], say: Say) -> None:
    for kind in ("ac", "mfac"):
        pair = f"{kind}, several steps", kind
        verdict(say, f"(a) {pair[0]} beats {kind}", _more(found[pair]), _percent(found[pair]))
    behind = found["mfac, several steps", "mfq"]
    verdict(say, "(a) even so, it is behind mfq", _less(behind), _percent(behind))
    soft, none = (found[f"mfq, {how}", "mfq"] for how in ("Boltzmann", "greedy"))
    verdict(say, "(b) Boltzmann policies are no worse than ε-greedy ones", _not(_less(soft)), _percent(soft))
    verdict(say, "(b) without exploration it is worse", _less(none), _percent(none))
    mask = found["mfq, last steps left out", "mfq"]
    verdict(say, "(c) last steps do not matter", _even(mask), _percent(mask))
    for how in ("nothing", "noise"):
        blind = found[f"mfq, {how} seen", "mfq"]
        verdict(say, f"(d) with {how} seen of its comrades, mfq is worse", _less(blind), _percent(blind))
    calm = found["mfq, best choices", "mfq"]
    verdict(say, "without chance it is worse", _less(calm), _percent(calm))
    wide = found["mfq", "iql, as wide"]
    verdict(say, "(e) mfq beats iql with as many parameters", _more(wide), _percent(wide))


def _more(share: Estimate) -> bool | None:
    return True if share.low > 0.5 else False if share.high <= 0.5 else None


def _less(share: Estimate) -> bool | None:
    return True if share.high < 0.5 else False if share.low >= 0.5 else None


def _not(holds: bool | None) -> bool | None:
    return None if holds is None else not holds


def _even(share: Estimate) -> bool | None:
    return True if share.low > 0.4 and share.high < 0.6 else False if _more(share) is not None else None
