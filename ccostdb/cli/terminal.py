"""What a terminal may see, and the choice between a table for people and rows for a pipe."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ccostdb.reports import Table

# Control characters could move the cursor or rewrite what was printed; bidirectional ones reorder it.
_UNSEEN = dict.fromkeys([*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)], "�")
_UNSEEN[ord("\t")] = _UNSEEN[ord("\n")] = " "


def printable(text: str) -> str:
    """The text with every control character replaced."""
    return text.translate(_UNSEEN)


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
