"""`ccostdb ingest`: everything that is found, or one source by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ccostdb.cli.options import FLAGS, Command, current_settings, db_option, setting_option
from ccostdb.cli.printable import printable
from ccostdb.errors import BadArgument, CcostError, nearest

if TYPE_CHECKING:
    from ccostdb.ingest import Outcome
    from ccostdb.settings import Settings

ONCE = "ccostdb.once"


class SourceGroup(click.Group):
    """Its subcommands are sources; another word is a person's error, not one of usage."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in self.commands and not name.startswith("-"):
            hint = nearest(name, self.commands)
            if Path(name).exists():
                hint = f"To record that path: ccostdb ingest claude-code {name}"
            raise BadArgument(f"There is no source {name!r}.", hint)
        return super().resolve_command(ctx, args)


def _remember_once(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[ONCE] = True


def ingest_options(command: Command) -> Command:
    """What every form of `ingest` takes, before and after the name of a source."""
    flag: Callable[..., Any] = partial(click.option, is_flag=True, expose_value=False)
    for option in (
        db_option,
        setting_option("--log-level", "log_level", metavar="LEVEL", help="debug, info, warning or error."),
        flag("--foreground", help="Stay in the foreground, as ingest always does."),
        flag("--once", callback=_remember_once, help="Catch up and exit."),
    ):
        command = option(command)
    return command


cco_url_option = setting_option("--cco-url", "cco_url", metavar="URL", help="Where CCO answers.")


@click.group(cls=SourceGroup, invoke_without_command=True)
@cco_url_option
@ingest_options
@click.pass_context
def ingest(ctx: click.Context) -> None:
    """Record every model call, and keep following.

    Without a source: every one that is found.
    """
    if ctx.invoked_subcommand is None:
        _record(ctx, None)


@ingest.command()
@cco_url_option
@ingest_options
@click.pass_context
def cco(ctx: click.Context) -> None:
    """Record what CCO streams."""
    _record(ctx, ["cco"])


@ingest.command("claude-code")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@ingest_options
@click.pass_context
def claude_code(ctx: click.Context, paths: tuple[str, ...]) -> None:
    """Record Claude Code's transcripts.

    PATH is a config folder, a projects folder or a file.
    """
    if paths:
        ctx.meta.setdefault(FLAGS, {})["claude_paths"] = paths
    _record(ctx, ["claude-code"])


def _record(ctx: click.Context, sources: list[str] | None) -> None:
    from ccostdb.cli.progress import progress
    from ccostdb.ingest import run

    settings = current_settings()
    _say_from(settings.log_level)
    if ONCE not in ctx.meta:
        click.echo(printable(_intent(settings, sources)), err=True)
    with progress() as on_progress:
        outcomes = run(settings, sources, once=ONCE in ctx.meta, on_progress=on_progress)
    for outcome in outcomes:
        click.echo(_sentence(outcome))
    if sources is None and all(outcome.outcome == "absent" for outcome in outcomes):
        click.echo("No source was found. To see what it would look like: ccostdb demo", err=True)
    for outcome in outcomes:
        if outcome.outcome == "failed":
            raise CcostError(f"{outcome.source}: {outcome.error}")


def _intent(settings: Settings, sources: list[str] | None) -> str:
    """What is followed, or looked for, until it is stopped."""
    at = {"claude-code": ", ".join(map(str, settings.claude_paths)), "cco": settings.cco_url}
    if sources:
        followed = " and ".join(f"{source} at {at[source]}" for source in sources)
        return f"Following {followed}. Ctrl-C stops it."
    listed = "; ".join(f"{source} at {place}" for source, place in at.items())
    return f"Following what there is, and looking for the rest: {listed}. Ctrl-C stops it."


def _say_from(level: str) -> None:
    """What sources have to say goes to stderr; the libraries under them stay silent."""
    import logging

    log = logging.getLogger("ccostdb")
    log.setLevel(level.upper())
    log.handlers = [logging.StreamHandler()]
    log.propagate = False


def _sentence(outcome: Outcome) -> str:
    """One line on how a source went: `claude-code: ok, 899 new calls in 12 files, 2 rejected, 0.3 s`."""
    if outcome.outcome == "absent":
        return f"{outcome.source}: not found"
    from ccostdb.reports import count_of

    seen = count_of(outcome.files, "file") if outcome.files else count_of(outcome.events, "new event")
    counts = [f"{count_of(outcome.calls, 'new call')} in {seen}"]
    counts += [f"{outcome.rejected:,} rejected"] if outcome.rejected else []
    counts += [count_of(outcome.gaps, "gap")] if outcome.gaps else []
    how = outcome.outcome.replace("_", " ")
    return f"{outcome.source}: {how}, {', '.join(counts)}, {outcome.seconds:.1f} s"
