"""The choice between a table for people and rows for a pipe."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from ccostdb.cli.printable import printable

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
        from ccostdb.export import WRITERS

        WRITERS[form or "csv"](table.columns, table.rows, sys.stdout)
    for note in table.notes:
        click.echo(printable(note), err=not is_drawn)
