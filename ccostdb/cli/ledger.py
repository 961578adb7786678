"""`ccostdb migrate` and `ccostdb rollup`."""

from __future__ import annotations

import click

from ccostdb.cli.options import current_settings, db_option, either, open_ledger
from ccostdb.errors import CcostError


@click.command()
@db_option
def migrate() -> None:
    """Make the ledger, or bring it up to date."""
    from ccostdb.lock import writing_lock
    from ccostdb.schema import prepare, schema_version

    settings = current_settings()
    with writing_lock(settings.db):
        prepare(settings)
    click.echo(f"{settings.db} is ready, schema {schema_version()}.")


@click.command()
@either(
    "task",
    verify="Compare with the calls; exit 1 where they differ.",
    rebuild="Recompute everything from the calls.",
)
@db_option
def rollup(task: str | None) -> None:
    """Bring the sums that reports read up to date."""
    if task == "verify":
        _verify()
    else:
        import asyncio

        asyncio.run(_refresh(is_rebuilt=task == "rebuild"))


def _verify() -> None:
    from ccostdb.rollups import verify

    with open_ledger(current_settings()) as con:
        differences = verify(con)
    if differences:
        first = differences[0]
        message = f"{len(differences):,} sums are not what the calls say, first {first.table} {first.key}."
        raise CcostError(message, "Recompute them: ccostdb rollup --rebuild")
    click.echo("Every sum is what the calls say.")


async def _refresh(*, is_rebuilt: bool) -> None:
    from ccostdb.rollups import rebuild
    from ccostdb.schema import refuse_absent
    from ccostdb.store import open_store

    settings = current_settings()
    refuse_absent(settings)
    async with open_store(settings) as store:
        if is_rebuilt:
            click.echo(f"{await rebuild(store.db):,} quarter hours recomputed.")
        else:
            await store.refresh()
            click.echo("The sums are up to date.")
