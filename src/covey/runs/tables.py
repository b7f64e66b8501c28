"""Tables as text that stays readable, on wide and narrow terminals and in files and pipes; and results as JSON.

In a file or a pipe a row is a line, however long. On a terminal a table that is too wide folds its one column of prose
where enough room is left for that; else every row becomes a heading and the row's values below it.
"""

from __future__ import annotations

import contextlib
import json
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.cells import cell_len
from rich.console import Console

from covey.runs.files import write_atomically

GAP = "  "
"""Between columns."""

INDENT = "    "
"""Of what belongs to the line above."""

PROSE = 24
"""Columns in which prose can still be read."""


class Column(NamedTuple):
    """What stands at the head of a column, with its unit, and how its cells are set."""

    title: str
    right: bool = False  # numbers end below each other
    prose: bool = False  # sentences, which may be folded; at most one column of a table


class Table(NamedTuple):
    """Cells of text below columns, with a line above and sentences below."""

    columns: tuple[Column, ...]
    rows: Sequence[Sequence[str]]
    title: str = ""
    notes: tuple[str, ...] = ()


def show(table: Table, console: Console | None = None) -> None:
    """Print a table as it suits where the output goes."""
    console = console or Console()
    width = console.width if console.is_terminal else None
    print(*lines(table, width), sep="\n", file=console.file)


def lines(table: Table, width: int | None = None) -> list[str]:
    """A table in lines of at most `width` columns; None: as wide as it takes."""
    body = _body(table, width)
    notes = [line for note in table.notes for line in _folded(note, width)]
    return [*(_folded(table.title, width) if table.title else []), *body, *notes]


def _body(table: Table, width: int | None) -> list[str]:
    titles = [column.title for column in table.columns]
    widths = [max(map(cell_len, cells)) for cells in zip(titles, *table.rows, strict=True)]
    excess = 0 if width is None else sum(widths) + len(GAP) * (len(widths) - 1) - width
    prose = next((i for i, column in enumerate(table.columns) if column.prose), None)
    if excess <= 0:
        return _grid(table, widths)
    if prose is not None and widths[prose] - excess >= PROSE:
        widths[prose] -= excess
        return _grid(table, widths)
    return [line for row in table.rows for line in _record(table.columns, row, width or 0)]


def _grid(table: Table, widths: Sequence[int]) -> list[str]:
    """Everything below its heading; without one where all headings are empty."""
    titles = [column.title for column in table.columns]
    rows = [titles, *table.rows] if any(titles) else table.rows
    return [line for row in rows for line in _row(table.columns, row, widths)]


def _row(columns: Sequence[Column], row: Sequence[str], widths: Sequence[int]) -> list[str]:
    """The lines of a row: one, or several where prose is folded."""
    cells = [
        _folded(cell, width) if column.prose else [cell]
        for cell, width, column in zip(row, widths, columns, strict=True)
    ]
    found = []
    for i in range(max(map(len, cells))):
        parts = [cell[i] if i < len(cell) else "" for cell in cells]
        set_in = [
            _padded(text, width, column.right) for text, width, column in zip(parts, widths, columns, strict=True)
        ]
        found.append(GAP.join(set_in).rstrip())
    return found


def _record(columns: Sequence[Column], row: Sequence[str], width: int) -> list[str]:
    """A row as a heading, of its cells up to the first number, and its other cells behind their titles below."""
    head = max(next((i for i, column in enumerate(columns) if column.right), 1), 1)
    named = [(column.title, cell) for column, cell in zip(columns[head:], row[head:], strict=True) if cell]
    room = max((cell_len(title) for title, _ in named), default=0)
    found = _folded(GAP.join(cell for cell in row[:head] if cell), width)
    for title, cell in named:
        first, *more = _folded(cell, max(width - len(INDENT + GAP) - room, PROSE))
        found.append(f"{INDENT}{_padded(title, room, right=False)}{GAP}{first}")
        found += [" " * (len(INDENT + GAP) + room) + line for line in more]
    return found


def _folded(text: str, width: int | None) -> list[str]:
    if width is None or cell_len(text) <= width:
        return [text]
    return textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False)


def _padded(text: str, width: int, right: bool) -> str:
    space = " " * (width - cell_len(text))
    return space + text if right else text + space


# ---------------------------------------------------------------------------------------------------------------------
# JSON

STDOUT = "-"
"""The file name that stands for standard output."""


def give(table: Table, summary: Any, json_file: str | None) -> None:
    """Print `table`, and write `summary` to `json_file` if that is given; to `-`, instead of the table."""
    if json_file != STDOUT:
        show(table)
    write_json(summary, json_file)


def write_json(summary: Any, json_file: str | None) -> None:
    """Write `summary` to `json_file`; `-` is standard output, None nowhere."""
    text = json.dumps(summary, indent=1)
    if json_file == STDOUT:
        print(text)
    elif json_file is not None:
        write_atomically(Path(json_file), text.encode())


@contextlib.contextmanager
def reports(json_file: str | None) -> Iterator[None]:
    """What is printed meanwhile goes to standard error where JSON alone should be on standard output."""
    with contextlib.redirect_stdout(sys.stderr) if json_file == STDOUT else contextlib.nullcontext():
        yield
