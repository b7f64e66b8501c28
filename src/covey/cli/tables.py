"""What commands print: tables of results, and the same as JSON."""

from __future__ import annotations

from typing import Any

from covey.core.environment import Reference
from covey.runs.compare import Comparison
from covey.runs.config import Config
from covey.runs.evaluate import Evaluation, describe, interval
from covey.runs.live import spread
from covey.runs.tables import Column, Table
from covey.runs.tournament import Estimate, Tournament


def evaluation_table(evaluation: Evaluation, config: Config) -> Table:
    """Every metric: its mean over the seeds, with a 95 % interval, beside the reference's on the same episodes."""
    seeds = range(config.seed, config.seed + config.seeds)
    over = f"seeds {seeds[0]} to {seeds[-1]} [95 %]" if len(seeds) > 1 else f"seed {seeds[0]}"
    columns = [Column("metric"), Column(over, right=True)]
    columns += [Column("reference", right=True)] if evaluation.reference else []
    reference = evaluation.reference_summary()
    rows = []
    for name, values in sorted(evaluation.per_seed().items()):
        theirs = [f"{reference[name]:.4g}" if name in reference else ""] if evaluation.reference else []
        rows.append([name, spread(values), *theirs])
    episodes = evaluation.values["steps/episode"].shape[1]
    title = f"means over {episodes} episodes of each seed; returns are sums over an episode"
    return Table(tuple(columns), rows, title, _about(evaluation.about))


def evaluation_summary(evaluation: Evaluation, config: Config) -> dict[str, Any]:
    """The same, for JSON."""
    about = evaluation.about
    return {
        "seeds": list(range(config.seed, config.seed + config.seeds)),
        "episodes": evaluation.values["steps/episode"].shape[1],
        "evaluation": evaluation.summary(),
        "reference": None if about is None else about._asdict() | {"evaluation": evaluation.reference_summary()},
    }


def comparison_table(comparison: Comparison) -> Table:
    """One row per contender and group."""
    groups = {row.group for row in comparison.rows}
    regrets = any(row.regret is not None for row in comparison.rows)
    several = len({row.label for row in comparison.rows}) > 1
    titles = ["return per episode", "per step", *["regret per episode"] * regrets]
    titles += ["ahead of the first"] * several
    columns = [Column("what")] + [Column("group")] * (len(groups) > 1)
    columns += [Column(title, right=True) for title in titles] + [Column("over"), Column("knows", prose=True)]
    rows = []
    for row in comparison.rows:
        numbers = [spread(x) for x in (row.returns, row.per_step)]
        numbers += ["" if row.regret is None else spread(row.regret)] * regrets
        numbers += ["" if row.ahead is None else spread(row.ahead)] * several
        rows.append([row.label, *([row.group] if len(groups) > 1 else []), *numbers, row.over, row.knows])
    title = f"{comparison.world}: means over the agents of a group [95 %]"
    return Table(tuple(columns), rows, title, (*_about(comparison.reference), *_apart(comparison)))


def _apart(comparison: Comparison) -> tuple[str, ...]:
    """Who cannot be told from the first contender."""
    alike = []
    for row in comparison.rows:
        if row.ahead is not None:
            _, low, high = interval(row.ahead)
            if not (low > 0 or high < 0):
                alike.append(row.label)
    if not alike:
        return ()
    return (f"may differ from the first by chance only: {', '.join(dict.fromkeys(alike))}.",)


def comparison_summary(comparison: Comparison) -> dict[str, Any]:
    """The same, for JSON."""
    about = comparison.reference
    rows = [
        {"label": row.label, "group": row.group, "knows": row.knows, "over": row.over}
        | {"return": _interval(row.returns), "return_per_step": _interval(row.per_step)}
        | {"regret": None if row.regret is None else _interval(row.regret)}
        | {"more_than_first": None if row.ahead is None else _interval(row.ahead)}
        for row in comparison.rows
    ]
    return {"environment": comparison.world, "reference": None if about is None else about._asdict(), "rows": rows}


def _interval(values: Any) -> dict[str, Any]:
    described = describe(values)
    return {"mean": described["mean"], "low": described["low"], "high": described["high"], "values": described["seeds"]}


def tournament_table(tournament: Tournament) -> Table:
    """What every row scored of all points against every column, in percent; and ratings, the strongest first."""
    ratings, shares, sides = tournament.ratings(), tournament.shares(), tournament.by_side()
    order = sorted(range(len(ratings)), key=lambda i: -ratings[i].value)
    columns = [Column("who"), Column("Elo [95 %]", right=True)]
    columns += [Column(f"against {tournament.labels[j]}", right=True) for j in order]
    rows = []
    for i in order:
        cells = [f"{100 * shares[i, j].value:.1f} [{_percent(shares[i, j])}]" if i != j else "" for j in order]
        rating = ratings[i]
        rows.append([tournament.labels[i], f"{rating.value:.0f} [{rating.low:.0f}, {rating.high:.0f}]", *cells])
    first, second = tournament.sides
    apart = max(sides, key=lambda pair: abs(sides[pair][0] - sides[pair][1]))
    one, other = (tournament.labels[i] for i in apart)
    said = "the side makes no difference"
    if sides[apart][0] != sides[apart][1]:
        shares_by_side = f"{100 * sides[apart][0]:.1f} % as {first}, {100 * sides[apart][1]:.1f} % as {second}"
        said = f"the side matters most to {one} against {other}: {shares_by_side}"
    note = f"{tournament.games} games a pair, half on either side; {said}."
    return Table(tuple(columns), rows, f"{tournament.world}: points, % [95 %]", (note,))


def _percent(share: Estimate) -> str:
    return f"{100 * share.low:.1f}, {100 * share.high:.1f}"


def _about(reference: Reference | None) -> tuple[str, ...]:
    if reference is None:
        return ()
    who = f" ({reference.algorithm})" if reference.algorithm else ""
    return (f"reference: {reference.kind}{who}. {reference.how}",)
