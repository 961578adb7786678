"""`ccostdb export`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ccostdb.cli.options import current_settings, db_option, open_ledger
from ccostdb.cli.terminal import write_rows

FORMATS = ("csv", "json", "ndjson")


@click.command()
@click.argument("name")
@click.option("--format", "form", type=click.Choice(FORMATS), help="By the ending of FILE if not given, else csv.")
@click.option("-o", "--output", metavar="FILE", help="Where to write; without it, or with -, to stdout.")
@db_option
def export(name: str, form: str | None, output: str | None) -> None:
    """Write a view or a query as CSV, JSON or NDJSON."""
    from ccostdb.export import new_file, select

    ending = Path(output or "").suffix.lstrip(".").lower()
    form = form or (ending if ending in FORMATS else "csv")
    with open_ledger(current_settings()) as con:
        columns, rows = select(con, name)
        if output in (None, "-"):
            write_rows(form, columns, rows, sys.stdout)
        else:
            with new_file(Path(output or "")) as out:
                write_rows(form, columns, rows, out)
