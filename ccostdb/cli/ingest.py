"""`ccostdb ingest`: everything that is found, or one source by name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ccostdb.cli.failure import INTERRUPTED
from ccostdb.cli.options import (
    FLAGS,
    Command,
    cca_url_option,
    ccd_url_option,
    cco_url_option,
    current_settings,
    process_options,
    url_options,
)
from ccostdb.errors import BadArgument, CcostError
from ccostdb.words import count_of, nearest, printable

if TYPE_CHECKING:
    from ccostdb.ingest import Asked, Outcome
    from ccostdb.settings import Settings

ONCE = "ccostdb.once"
LOG_FILE = "ccostdb.log_file"


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


def _remember_log(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value:
        ctx.meta[LOG_FILE] = Path(value).absolute()


def ingest_options(command: Command) -> Command:
    """What every form of `ingest` takes, before and after the name of a source."""
    flag: Callable[..., Any] = partial(click.option, is_flag=True, expose_value=False)
    for option in (
        process_options,
        flag("--foreground", help="Stay in the foreground, as ingest always does."),
        click.option(
            "--log-file",
            callback=_remember_log,
            expose_value=False,
            metavar="PATH",
            help="Log to a file, rotated, not to stderr.",
        ),
        flag("--once", callback=_remember_once, help="Catch up and exit."),
    ):
        command = option(command)
    return command


@click.group(cls=SourceGroup, invoke_without_command=True)
@url_options
@ingest_options
@click.pass_context
def ingest(ctx: click.Context) -> None:
    """Record every model call, and keep following.

    Without a source: every one that is found.
    """
    if ctx.invoked_subcommand is None:
        _record(ctx)


@ingest.command()
@cco_url_option
@ingest_options
@click.pass_context
def cco(ctx: click.Context) -> None:
    """Record what CCO streams."""
    _record(ctx, "cco")


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
    _record(ctx, "claude-code")


@ingest.command()
@click.argument("file", required=False, metavar="[FILE|-]")
@ccd_url_option
@ingest_options
@click.pass_context
def ccd(ctx: click.Context, file: str | None) -> None:
    """Record the events of a session daemon.

    FILE holds one event a line, and is followed as it grows; - is stdin, to its end. Without it: CCD's stream.
    """
    if file is not None and "ccd_url" in ctx.meta.get(FLAGS, {}):
        raise click.UsageError("Give FILE or --ccd-url, not both.", ctx)
    _record(ctx, "ccd", path=file)


@ingest.command()
@cca_url_option
@ingest_options
@click.pass_context
def cca(ctx: click.Context) -> None:
    """Record how CCA's agents and tasks change."""
    _record(ctx, "cca")


def _record(ctx: click.Context, source: str | None = None, path: str | None = None) -> None:
    from ccostdb.cli.progress import progress
    from ccostdb.ingest import Asked
    from ccostdb.logs import log_to, secrets_of

    settings = current_settings()
    log_to(ctx.meta.get(LOG_FILE) or sys.stderr, settings.log_level, secrets_of(settings))
    with progress() as on_progress:
        asked = Asked(source, path, ONCE in ctx.meta, on_progress)
        outcomes = _run(settings, asked)
    for outcome in outcomes:
        click.echo(_sentence(outcome))
    if source is None and all(outcome.outcome == "absent" for outcome in outcomes):
        click.echo("No source was found. To see what it would look like: ccostdb demo", err=True)
    for outcome in outcomes:
        if outcome.outcome == "failed":
            raise CcostError(f"{outcome.source}: {outcome.error}")
    if asked.once and any(outcome.outcome == "stopped" for outcome in outcomes):
        ctx.exit(INTERRUPTED)  # it has not caught up


def _run(settings: Settings, asked: Asked) -> list[Outcome]:
    """Catches up, or goes on until it is told to end: then with a schedule and, if it is wanted, /health."""
    from ccostdb import ingest as passes

    if asked.once:
        return passes.run(settings, asked)
    from ccostdb.daemon import process as daemon
    from ccostdb.logs import hidden, secrets_of

    click.echo(printable(hidden(_intent(settings, asked), secrets_of(settings))), err=True)
    is_asked = "health_port" in settings.origins
    is_on = asked.source is None or settings.origins.get("health_port") == "command line"
    return daemon.run(settings, asked, health_port=settings.health_port if is_on else 0, is_port_asked=is_asked)


def _intent(settings: Settings, asked: Asked) -> str:
    """What is followed, or looked for, until it is stopped."""
    from ccostdb.ingest import SOURCES

    names = [asked.source] if asked.source else list(SOURCES)
    places = [f"{name} at {asked.path or SOURCES[name].place(settings)}" for name in names]
    if asked.path == "-":
        return f"Reading {asked.source} from stdin, to its end."
    if asked.source:
        return f"Following {places[0]}. Ctrl-C stops it."
    return f"Following what there is, and looking for the rest: {'; '.join(places)}. Ctrl-C stops it."


def _sentence(outcome: Outcome) -> str:
    """One line on how a source went: `claude-code: ok, 899 new calls in 12 files, 2 rejected, 0.3 s`."""
    if outcome.outcome == "absent":
        return f"{outcome.source}: not found"
    if outcome.source == "claude-code":
        counts = [f"{count_of(outcome.calls, 'new call')} in {count_of(outcome.files, 'file')}"]
    elif outcome.source == "cco":
        counts = [f"{count_of(outcome.calls, 'new call')} in {count_of(outcome.events, 'new event')}"]
    elif outcome.source == "ccd":
        counts = [count_of(outcome.rows, "new event")]
    else:
        counts = [count_of(outcome.rows, "new answer")]
    counts += [f"{outcome.rejected:,} rejected"] if outcome.rejected else []
    counts += [count_of(outcome.gaps, "gap")] if outcome.gaps else []
    how = outcome.outcome.replace("_", " ")
    return f"{outcome.source}: {how}, {', '.join(counts)}, {outcome.seconds:.1f} s"
