"""`ccostdb demo`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
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

    click.echo("Recording a simulated CCO, and sample transcripts of Claude Code, into a ledger of their own:")
    given = ctx.meta.get(FLAGS, {}).get("db")
    _show(run(Path(given).expanduser() if given else None))


def _show(done: Demo) -> None:
    from ccostdb.cli.printable import printable

    for sentence in sentences(done):
        click.echo(sentence)
    click.echo()
    saved = _draw_weeks(done.db)
    click.echo(f"\n{saved}\n")
    click.echo(f"The ledger stays at {printable(str(done.db))}. Ask it more:")
    for words in ("report models", "report agents", "savings"):
        click.echo(f"  ccostdb {words} --db {printable(shlex.quote(str(done.db)))}")


def sentences(done: Demo) -> Iterator[str]:
    """What was recorded from where, and whether that is all."""
    files, stream = done.transcripts, done.stream
    yield (
        f"  claude-code: {files.files:,} transcripts tell {files.sightings:,} times of {files.calls:,} calls; "
        f"{files.recorded_calls:,} recorded."
    )
    yield (
        f"  cco: {stream.frames:,} frames show {stream.shown_events:,} events of {stream.calls:,} calls; "
        f"{stream.recorded_calls:,} recorded + {stream.missing_calls:,} missing."
    )
    if (files.recorded_calls, stream.recorded_calls) == (files.calls, stream.calls):
        yield "Nothing was lost, and nothing recorded twice. Both count: they are different work."
    elif stream.recorded_calls + stream.missing_calls == stream.calls:
        yield "What the stream never showed is known to be missing. Both count: they are different work."
    else:
        yield "The stream was left before its end."
    yield "(Agents have names in this CCO. A real one sends none.)"


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
    prompts, responses = (
        sum(row[savings.columns.index(name)] or 0.0 for row in savings.rows)
        for name in ("prompt_cache_savings_usd", "response_cache_savings_usd_estimate")
    )
    return f"Caching saved ${prompts:,.2f} in Claude Code's prompts, and an estimated ${responses:,.2f} at CCO."
