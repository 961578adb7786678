"""`ccostdb start`, `stop` and `status`."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from ccostdb.cli.options import FLAGS, current_settings, db_option, process_options, url_options
from ccostdb.health.source_words import source_word
from ccostdb.words import printable

if TYPE_CHECKING:
    from ccostdb.daemon.record import Record

NOT_RUNNING = 3  # as for the init scripts of the Linux Standard Base

# What `ingest` is started with, as given to `start`. (ccd_url may hold a key: it goes another way.)
PASSED_ON = {
    "cco_url": "--cco-url",
    "cca_url": "--cca-url",
    "health_port": "--health-port",
    "health_host": "--health-host",
    "log_level": "--log-level",
}


@click.command()
@click.option("--foreground", is_flag=True, help="Stay in the foreground: the same as ccostdb ingest.")
@url_options
@process_options
@click.pass_context
def start(ctx: click.Context, foreground: bool) -> None:
    """Record in the background.

    Waits until it answers. Where it runs already, says so.
    """
    if foreground:
        from ccostdb.cli.ingest import ingest

        ctx.invoke(ingest)
        return
    from ccostdb.daemon import background

    settings = current_settings()
    given = ctx.meta.get(FLAGS, {})
    arguments = [f"{flag}={getattr(settings, name)}" for name, flag in PASSED_ON.items() if name in given]
    record, is_new = background.start(settings, arguments, say=partial(click.echo, err=True))
    click.echo(f"{'Started' if is_new else 'Already running'}, pid {record.pid}.")
    for line in _where(record):
        click.echo(printable(line))
    if not is_new and given.keys() - {"db"}:
        click.echo("It goes on with the settings that it has. For others, first: ccostdb stop", err=True)
    elif is_new and record.health_url is None and settings.health_port:
        port = f"port {settings.health_port} of {settings.health_host}"
        click.echo(
            f"/health does not answer: {port} is in use or not ours, as the log says. It records all the same.",
            err=True,
        )


def _where(record: Record) -> list[str]:
    places = {"Health": record.health_url, "Log": record.log_path}
    return [f"{name}: {place}" for name, place in places.items() if place]


@click.command()
@click.option("--force", is_flag=True, help="End it at once where it does not stop within 10 s.")
@db_option
def stop(force: bool) -> None:
    """Stop recording in the background.

    Everything that has been read is written before.
    """
    from ccostdb.daemon import background

    record = background.stop(current_settings(), is_forced=force)
    click.echo(f"Stopped, pid {record.pid}." if record else "Nothing to stop: it is not running.")


@click.command()
@click.option("--json", "is_json", is_flag=True, help="One object.")
@db_option
@click.pass_context
def status(ctx: click.Context, is_json: bool) -> None:
    """Say whether it records, and how its sources do.

    Exits with 3 when it is not running.
    """
    from ccostdb.daemon import background

    settings = current_settings()
    told = background.status(settings)
    if is_json:
        click.echo(json.dumps(told, indent=2))
    else:
        for line in _lines(told, str(settings.db)):
            click.echo(printable(line))
    if told["status"] != "running":
        ctx.exit(NOT_RUNNING)


def _lines(told: dict[str, Any], db: str) -> list[str]:
    if told["status"] == "running":
        lines = [f"Running for {_duration(told['uptime_seconds'])}, pid {told['pid']}, ccostdb {told['version']}."]
    elif told["status"] == "busy":
        lines = ["Not running in the background, but some other ccostdb process writes the ledger now."]
    else:
        lines = ["Not running. To start it: ccostdb start"]
    lines.append(f"Ledger: {db}" if told["ledger"] else f"There is no ledger at {db} yet.")
    if told["health_url"]:
        lines.append(f"Health: {told['health'] or 'no answer'} at {told['health_url']}")
    elif told["status"] == "running":
        lines.append("Health: there is no endpoint.")
    if told["log"]:
        lines.append(f"Log: {told['log']}")
    return lines + [_source_line(source, is_running=told["pid"] is not None) for source in told["sources"]]


def _source_line(source: dict[str, Any], *, is_running: bool) -> str:
    how = source_word(source["state"], source["outcome"], source["frames"], is_running=is_running)
    last = f"last event {source['last_event_at']}" if source["last_event_at"] else "no event yet"
    return f"{source['source']}: {', '.join(part for part in (how, last, source['error']) if part)}"


def _duration(seconds: int) -> str:
    """The two largest units: 3 d 4 h, 5 min 12 s."""
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])
