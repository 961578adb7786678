"""The choice between a table for people and rows for a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TextIO

import click

from ccostdb.cli.streams import wrapped
from ccostdb.words import printable

if TYPE_CHECKING:
    from ccostdb.reports import Table


def is_terminal() -> bool:
    return sys.stdout.isatty()


def show(table: Table, form: str | None) -> None:
    """Prints a table: drawn on a terminal, else CSV, or the form that was asked for.

    What the totals leave out stands under a drawn table, and goes to stderr otherwise.
    """
    is_drawn = form is None and is_terminal()
    if is_drawn:
        from ccostdb.cli.tables import draw

        draw(table)
    else:
        write_rows(form or "csv", table.columns, table.rows, sys.stdout)
    for note in table.notes:
        click.echo(wrapped(printable(note)) if is_drawn else printable(note), err=not is_drawn)


def write_rows(form: str, columns: Sequence[str], rows: Iterable[Sequence[object]], out: TextIO) -> None:
    """Writes rows as CSV, JSON or NDJSON: as they are, but to a terminal without control characters."""
    from ccostdb.export.text import CHUNKS

    if out.isatty():
        columns = [printable(name) for name in columns]
        rows = ([printable(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    for chunk in CHUNKS[form](columns, rows):
        out.write(chunk)
