"""Tables of results, for terminals and pipes."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from covey.core.environment import Reference
from covey.runs.compare import Comparison
from covey.runs.config import Config
from covey.runs.evaluate import Evaluation
from covey.runs.live import spread
from covey.runs.tournament import Estimate, Tournament

WIDE = 10_000
"""Columns that a file or a pipe has: no line of a table is folded there."""


def show_evaluation(evaluation: Evaluation, config: Config) -> None:
    """Every metric: its mean over the seeds, with a 95 % interval, beside the reference's on the same episodes."""
    seeds = range(config.seed, config.seed + config.seeds)
    table = Table("metric", box=None, pad_edge=False)
    table.add_column(f"seeds {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}", justify="right")
    if evaluation.reference:
        table.add_column("reference", justify="right")
    reference = evaluation.reference_summary()
    for name, values in sorted(evaluation.per_seed().items()):
        theirs = [f"{reference[name]:.4g}" if name in reference else ""] if evaluation.reference else []
        table.add_row(name, spread(values), *theirs)
    _print(table, evaluation.about)


def show_comparison(comparison: Comparison) -> None:
    """One row per contender and group."""
    groups = {row.group for row in comparison.rows}
    table = Table(title=comparison.world, title_justify="left", box=None, pad_edge=False)
    table.add_column("what", overflow="fold")
    if len(groups) > 1:
        table.add_column("group")
    for name in ("return, mean agent", "per step", "regret"):
        table.add_column(f"{name} [95 %]", justify="right")
    table.add_column("over")
    table.add_column("knows", overflow="fold")
    for row in comparison.rows:
        numbers = [spread(x) for x in (row.returns, row.per_step)] + ["" if row.regret is None else spread(row.regret)]
        table.add_row(row.label, *([row.group] if len(groups) > 1 else []), *numbers, row.over, row.knows)
    _print(table, comparison.reference)


def show_tournament(tournament: Tournament) -> None:
    """What every row scored of all points against every column, in percent; and ratings, the strongest first."""
    ratings, shares, sides = tournament.ratings(), tournament.shares(), tournament.by_side()
    order = sorted(range(len(ratings)), key=lambda i: -ratings[i].value)
    table = Table(title=f"{tournament.world}: points, % [95 %]", title_justify="left", box=None, pad_edge=False)
    table.add_column("", overflow="fold")
    table.add_column("Elo [95 %]", justify="right")
    for j in order:
        table.add_column(f"against {tournament.labels[j]}", justify="right", overflow="fold")
    for i in order:
        cells = [f"{100 * shares[i, j].value:.1f} [{_percent(shares[i, j])}]" if i != j else "" for j in order]
        rating = ratings[i]
        table.add_row(tournament.labels[i], f"{rating.value:.0f} [{rating.low:.0f}, {rating.high:.0f}]", *cells)
    _print(table, None)
    first, second = tournament.sides
    apart = max(sides, key=lambda pair: abs(sides[pair][0] - sides[pair][1]))
    one, other = (tournament.labels[i] for i in apart)
    said = "the side makes no difference"
    if sides[apart][0] != sides[apart][1]:
        shares_by_side = f"{100 * sides[apart][0]:.1f} % as {first}, {100 * sides[apart][1]:.1f} % as {second}"
        said = f"the side matters most to {one} against {other}: {shares_by_side}"
    print(f"{tournament.games} games a pair, half on either side; {said}.")


def _percent(share: Estimate) -> str:
    return f"{100 * share.low:.1f}, {100 * share.high:.1f}"


def _print(table: Table, reference: Reference | None) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)
    console.print(table)
    if reference is not None:
        who = f" ({reference.algorithm})" if reference.algorithm else ""
        text = f"reference: {reference.kind}{who}. {reference.how}"
        console.print(text, markup=False, highlight=False)
