"""`ccostdb demo`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccostdb.cli.options import FLAGS, db_option, open_ledger

if TYPE_CHECKING:
    from ccostdb.demo import Demo


@click.command()
@db_option
@click.pass_context
def demo(ctx: click.Context) -> None:
    """Show it all with a simulated CCO and sample transcripts.

    Nothing else is needed, and nothing of yours is read or written: it makes a ledger of its own, and leaves it.
    """
    from ccostdb.demo import run

    click.echo("A simulated CCO and three weeks of sample transcripts are recorded …")
    given = ctx.meta.get(FLAGS, {}).get("db")
    _show(run(Path(given).expanduser() if given else None))


def _show(done: Demo) -> None:
    from ccostdb.cli.terminal import printable

    for sentence in (*_recorded(done), ""):
        click.echo(sentence)
    saved = _draw_weeks(done.db)
    click.echo(f"\n{saved}")
    path = printable(shlex.quote(str(done.db)))
    click.echo(f"The ledger is {printable(str(done.db))}. Ask it more:")
    for words in ("report models", "report agents", "savings"):
        click.echo(f"  ccostdb {words} --db {path}")


def _recorded(done: Demo) -> list[str]:
    """What was recorded from where, and whether all of it."""
    files, stream = done.transcripts, done.stream
    lost = "nothing was lost" if done.is_whole else "the rest is known to be missing"
    return [
        f"  claude-code  {files.files:,} transcripts say {files.sightings:,} times what {files.calls:,} calls used: "
        f"{files.recorded_calls:,} recorded",
        f"  cco          {stream.frames:,} frames show {stream.shown_events:,} events of {stream.calls:,} calls: "
        f"{stream.recorded_calls:,} recorded + {stream.missing_calls:,} missing",
        f"Each call once, and {lost}. (Agents have names in this CCO; a real one sends none.)",
    ]


def _draw_weeks(db: Path) -> str:
    """Draws what was spent by week; returns the sentence on what caching saved."""
    import time

    from ccostdb.cli.tables import draw
    from ccostdb.reports import Question, report
    from ccostdb.settings import Settings

    with open_ledger(Settings(db)) as con:
        weeks = report(con, Question("weekly"), time.time())
        savings = report(con, Question("savings"), time.time())
    draw(weeks)
    for note in weeks.notes:
        click.echo(note)
    prompt_usd, response_usd = (
        sum(row[savings.columns.index(name)] or 0.0 for row in savings.rows)
        for name in ("prompt_cache_savings_usd", "response_cache_savings_usd_estimate")
    )
    return f"Caching saved ${prompt_usd:,.2f} in Claude Code's prompts and about ${response_usd:,.2f} at CCO."
