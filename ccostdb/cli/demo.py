"""`ccostdb demo`."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccostdb.cli.options import FLAGS, db_option, open_ledger
from ccostdb.cli.streams import wrapped
from ccostdb.words import printable
from ccostdb.written import usd

if TYPE_CHECKING:
    from ccostdb.demo import Demo


@click.command()
@db_option
@click.pass_context
def demo(ctx: click.Context) -> None:
    """Show it all with a simulated CCO and sample transcripts.

    Nothing else is needed, and nothing of yours is read or written: it makes a ledger of its own, and leaves it.
    """
    from ccostdb.demo import check, run

    given = ctx.meta.get(FLAGS, {}).get("db")
    db = Path(given).expanduser() if given else None
    if db is not None:
        check(db)
    click.echo(wrapped("Recording a simulated CCO, and sample transcripts of Claude Code, into a ledger of their own:"))
    _show(run(db))


def _show(done: Demo) -> None:
    for sentence in sentences(done):
        click.echo(wrapped(sentence))
    click.echo()
    saved = _draw_weeks(done.db)
    click.echo(f"\n{wrapped(saved)}\n")
    click.echo(wrapped(f"The ledger stays at {printable(str(done.db))}. Look at it in the browser, or ask it more:"))
    for words in ("serve --open", "top", "report models", "savings"):
        click.echo(f"  {printable(program_words())} {words} --db {printable(shlex.quote(str(done.db)))}")


def program_words() -> str:
    """How a shell calls this program: as it was called now."""
    called, found = Path(sys.argv[0]), shutil.which("ccostdb")
    if called.name == "__main__.py":
        return f"{shlex.quote(sys.orig_argv[0])} -m ccostdb"
    is_on_path = found is not None and called.exists() and called.samefile(found)
    return "ccostdb" if is_on_path else shlex.quote(sys.argv[0])


def sentences(done: Demo) -> Iterator[str]:
    """What was recorded from where, and whether that is all."""
    from ccostdb.words import count_of

    files, stream = done.transcripts, done.stream
    yield (
        f"  claude-code: {count_of(files.calls, 'call')} in {count_of(files.files, 'transcript')}; "
        f"{files.recorded_calls:,} recorded."
    )
    yield (
        f"  cco: {count_of(stream.calls, 'call')}; {stream.recorded_calls:,} recorded, "
        f"{stream.missing_calls:,} missing."
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
        click.echo(wrapped(printable(note)))
    prompts, responses = (
        usd(sum(row[savings.columns.index(name)] or 0.0 for row in savings.rows) * 1e9)
        for name in ("prompt_cache_savings_usd", "response_cache_savings_usd_estimate")
    )
    return f"Caching saved {prompts} in Claude Code's prompts, and an estimated {responses} at CCO."
