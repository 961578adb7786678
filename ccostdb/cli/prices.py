"""`ccostdb prices`, `reprice` and `explain`."""

from __future__ import annotations

import time

import click

from ccostdb.cli.options import current_settings, db_option, open_ledger, table_options
from ccostdb.cli.terminal import show as show_table


@click.group()
@db_option
def prices() -> None:
    """Look into the price book."""


@prices.command("list")
@click.argument("part", default="", metavar="[PART]")
@table_options
def list_(part: str, form: str | None) -> None:
    """Show today's standard rates, in USD per million tokens.

    PART: only models whose name holds it.
    """
    from ccostdb.reports.prices import list_prices

    with open_ledger(current_settings(), is_priced=True) as con:
        show_table(list_prices(con, part, int(time.time())), form)


@prices.command()
@click.argument("model")
@table_options
def show(model: str, form: str | None) -> None:
    """Show every rate that may price MODEL today, the weakest first."""
    from ccostdb.reports.prices import show_price

    with open_ledger(current_settings(), is_priced=True) as con:
        show_table(show_price(con, model, int(time.time())), form)


@prices.command()
@db_option
def sync() -> None:
    """Bring the ledger's price book up to date.

    Every command that writes or shows prices does so where they differ. Costs stay as they are until reprice.
    """
    from ccostdb.lock import writing_lock
    from ccostdb.schema import prepare, refuse_absent

    settings = current_settings()
    refuse_absent(settings)
    with writing_lock(settings.db):
        prepare(settings)
    with open_ledger(settings) as con:
        rates, models = con.execute("select count(*), count(distinct ordinal) from price").fetchone()
    click.echo(f"The price book is up to date: {rates:,} rates for {models:,} models.")


@click.command()
@db_option
def reprice() -> None:
    """Compute every cost again from the price book."""
    import asyncio

    changed = asyncio.run(_reprice())
    click.echo("1 cost has changed." if changed == 1 else f"{changed:,} costs have changed.")


async def _reprice() -> int:
    from ccostdb.reprice import reprice as compute
    from ccostdb.schema import refuse_absent
    from ccostdb.store import open_store

    settings = current_settings()
    refuse_absent(settings)
    async with open_store(settings) as store:
        return await compute(store)


@click.command()
@click.argument("call")
@table_options
def explain(call: str, form: str | None) -> None:
    """Show which rates make the cost of a call.

    CALL is a call_id, as ccostdb export calls shows it.
    """
    from ccostdb.reports.prices import explain as ask

    with open_ledger(current_settings()) as con:
        show_table(ask(con, call), form)
