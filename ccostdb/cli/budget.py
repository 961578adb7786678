"""`ccostdb budget`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from ccostdb.cli.options import current_settings, open_ledger, table_options
from ccostdb.cli.terminal import show
from ccostdb.words import printable

if TYPE_CHECKING:
    from ccostdb.budgets.standing import Standing


@click.command()
@click.option("--check", is_flag=True, help="Exit with 1 when a limit is reached now.")
@click.option("--at", type=click.FloatRange(0, min_open=True), metavar="SHARE", help="With --check: 0.8 of a limit.")
@table_options
def budget(form: str | None, check: bool, at: float | None) -> None:
    """Show what is spent and left of each budget.

    In its current day, ISO week or month of the home time zone.

    Pace: the share that is spent over the share of the time that has passed; at 100 %, the limit just lasts.
    """
    from ccostdb.reports.budgets import budget_report, budgets_of

    if at is not None and not check:
        raise click.UsageError("--at goes with --check.")
    settings = current_settings()
    with open_ledger(settings) as con:
        table, standings = budget_report(con, budgets_of(con, settings), time.time_ns())
    show(table, form)
    if check:
        _check(standings, at or 1.0)


def _check(standings: list[Standing], share: float) -> None:
    """Says which limits are reached, and exits with 1 where there is one."""
    reached = [each for each in standings if each.is_reached(share)]
    if reached:
        listed = ", ".join(f"{each.budget} ({each.span.label})" for each in reached)
        click.echo(printable(f"Reached {share * 100:g} %: {listed}."), err=True)
        click.get_current_context().exit(1)
