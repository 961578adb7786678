"""`ccostdb export`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from ccostdb.cli.options import current_settings, db_option, open_ledger
from ccostdb.cli.terminal import write_rows
from ccostdb.errors import BadArgument

FORMATS = ("csv", "json", "ndjson", "parquet")
ROWS_PER_STEP = 1000

Row = Sequence[object]


@click.command()
@click.argument("name")
@click.option("--format", "form", type=click.Choice(FORMATS), help="By the ending of FILE if not given, else csv.")
@click.option("-o", "--output", metavar="FILE", help="Where to write; without it, or with -, to stdout.")
@click.option("--since", metavar="DAY", help="From this day: 2026-07-01, 2026-07, today, yesterday or 7d.")
@click.option("--until", metavar="DAY", help="To the end of this day.")
@click.option("--tz", "zone", metavar="ZONE", help="Local days of this zone, such as Asia/Kolkata.")
@click.option("-p", "--parameter", "given", metavar="NAME=VALUE", multiple=True, help="A parameter of a question.")
@db_option
def export(
    *,
    name: str,
    form: str | None,
    output: str | None,
    since: str | None,
    until: str | None,
    zone: str | None,
    given: tuple[str, ...],
) -> None:
    """Write a view or a question as CSV, JSON, NDJSON or Parquet."""
    from ccostdb.export import select

    target = None if output in (None, "-") else Path(output or "")
    ending = target.suffix.lstrip(".").lower() if target else ""
    form = form or (ending if ending in FORMATS else "csv")
    settings = current_settings()
    if target:
        from ccostdb.export.files import refuse_ledger

        refuse_ledger(target, settings.db)
    with open_ledger(settings) as con:
        columns, rows = select(con, name, since=since, until=until, tz=zone, parameters=_parameters(given))
        _write(form, columns, rows, target)


def _parameters(given: Iterable[str]) -> dict[str, str]:
    """`day=2026-07-01` by name."""
    found = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals:
            raise BadArgument(f"{each[:80]!r} is no parameter.", "Write -p NAME=VALUE, as in -p day=2026-07-01.")
        found[name] = value
    return found


def _write(form: str, columns: Sequence[str], rows: Iterable[Row], target: Path | None) -> None:
    """Writes the rows to a file, or to stdout."""
    if target is None and form != "parquet":
        with _counted(rows) as each:
            write_rows(form, columns, each, sys.stdout)
        return
    if target is None:
        if sys.stdout.isatty():
            raise BadArgument("Parquet is nothing for a terminal.", "Name a file: -o FILE.parquet")
        _write_bytes(form, columns, rows, sys.stdout.buffer)
        return
    from ccostdb.export.files import new_file

    with new_file(target) as out:
        _write_bytes(form, columns, rows, out)


def _write_bytes(form: str, columns: Sequence[str], rows: Iterable[Row], out: BinaryIO) -> None:
    with _counted(rows) as each:
        if form == "parquet":
            from ccostdb.export.parquet import write_parquet

            write_parquet(columns, each, out)
        else:
            from ccostdb.export.text import CHUNKS

            out.writelines(chunk.encode() for chunk in CHUNKS[form](columns, each))


@contextmanager
def _counted(rows: Iterable[Row]) -> Iterator[Iterable[Row]]:
    """The rows; on a terminal that does not show them, their number is shown as it grows."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield rows
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.completed:,} rows"), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("rows", total=None)

        def counted() -> Iterator[Row]:
            for number, row in enumerate(rows, start=1):
                if number % ROWS_PER_STEP == 0:
                    bars.update(task, completed=number)
                yield row

        yield counted()
