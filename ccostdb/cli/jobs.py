"""`ccostdb jobs`, `ccostdb prune` and `ccostdb backup`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccostdb.cli.options import current_settings, db_option, open_ledger, table_options
from ccostdb.cli.terminal import show
from ccostdb.words import printable

if TYPE_CHECKING:
    from ccostdb.settings import Settings

NEWEST = "select * from jobs order by started_at desc limit ?"


@click.command()
@click.option("--last", type=click.IntRange(1, 10_000), default=50, show_default=True, help="So many runs.")
@table_options
def jobs(form: str | None, last: int) -> None:
    """Show what the schedule did.

    The newest first. What runs each minute is listed only where it did something.
    """
    from ccostdb.reports import Table

    with open_ledger(current_settings()) as con:
        found = con.execute(NEWEST, (last,))
        rows = [tuple(row) for row in found]
        names = tuple(column[0] for column in found.description)
    if not rows and not form:
        click.echo("No job has run yet: they do while 'ccostdb ingest' or 'ccostdb start' keeps recording.", err=True)
    show(Table(names, rows, keys=2, is_summed=False), form)


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@db_option
def prune(dry_run: bool) -> None:
    """Delete raw rows that are older than the settings say.

    How long what is kept: [keep] in the settings. Calls and their sums stay for ever.
    """
    from ccostdb.jobs.prune import count_old, sentence

    settings = current_settings()
    if dry_run:
        with open_ledger(settings) as con:
            click.echo(f"It would delete: {sentence(count_old(con, settings, time.time_ns()))}.")
    else:
        click.echo(f"Deleted: {sentence(_prune(settings))}.")


def _prune(settings: Settings) -> dict[str, int]:
    import asyncio

    from ccostdb.errors import StoreBusy
    from ccostdb.jobs.prune import prune as delete_old
    from ccostdb.schema import refuse_absent
    from ccostdb.store import open_store

    refuse_absent(settings)

    async def run() -> dict[str, int]:
        async with open_store(settings) as store:
            return await delete_old(store, settings, time.time_ns())

    try:
        return asyncio.run(run())
    except StoreBusy as error:
        hint = "If it keeps recording, it prunes each night by itself; else wait until it has finished."
        raise StoreBusy(error.message, hint) from error


@click.command()
@click.option("--to", "folder", type=click.Path(path_type=Path), metavar="FOLDER", help="Instead of the settings'.")
@db_option
def backup(folder: Path | None) -> None:
    """Make a copy of the ledger, whoever writes it.

    The newest copies in the folder stay, as many as the settings say.
    """
    from ccostdb.jobs.backup import back_up, backup_folder

    settings = current_settings()
    click.echo(printable(str(back_up(settings, folder or backup_folder(settings), time.time_ns()))))
