"""`ccostdb report` and `ccostdb savings`."""

from __future__ import annotations

import time

import click

from ccostdb.cli.options import Command, current_settings, open_ledger, table_options
from ccostdb.cli.terminal import show

KINDS = ("daily", "weekly", "monthly", "hourly", "models", "projects", "agents", "sessions", "sources")


def range_options(command: Command) -> Command:
    """Which calls: `--since`, `--until`, `--tz`, `--source`."""
    for option in (
        click.option("--source", metavar="NAME", help="Only this source's calls, counted or not."),
        click.option("--tz", "zone", metavar="ZONE", help="Local days of this zone, such as Asia/Kolkata."),
        click.option("--until", metavar="DAY", help="To the end of this day."),
        click.option("--since", metavar="DAY", help="From this day: 2026-07-01, 2026-07, today, yesterday or 7d."),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("kind", type=click.Choice(KINDS), default="daily", metavar="[KIND]")
@range_options
@click.option("--by", type=click.Choice(("model", "project", "agent")), help="A row for each, with daily or monthly.")
@click.option("--cost", type=click.Choice(("auto", "reported", "computed")), help="auto: reported, else computed.")
@table_options
def report(kind: str, by: str | None, cost: str | None, form: str | None, **asked: str | None) -> None:
    """Show what was spent, by time or by what it was spent on.

    KIND is daily (the default), weekly, monthly, hourly, models, projects, agents, sessions or sources.
    """
    _show(form, kind=kind, by=by, cost=cost, **asked)


@click.command()
@range_options
@table_options
def savings(form: str | None, **asked: str | None) -> None:
    """Show what caching saved, by month and model.

    Prompt caching: net of what the writes cost, so a cache that was never read is a loss. Response caching:
    an estimate, from what the source's other calls of the model cost.
    """
    _show(form, kind="savings", **asked)


def _show(form: str | None, *, kind: str, cost: str | None = None, **asked: str | None) -> None:
    from ccostdb.reports import Question
    from ccostdb.reports import report as ask

    settings = current_settings()
    with open_ledger(settings) as con:
        show(ask(con, Question(kind, cost=cost or settings.cost, **asked), time.time()), form)
