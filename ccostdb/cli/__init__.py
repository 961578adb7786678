"""What a person types. A command's module is imported when it is called, so that `--help` answers at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ccostdb import __version__
from ccostdb.cli.failure import guarded
from ccostdb.cli.options import db_option

if TYPE_CHECKING:
    from typing import Any

# name: (module under ccostdb.cli, the first line of its help)
COMMANDS = {
    "ingest": ("ingest", "Record every model call, and keep following."),
    "start": ("daemon", "Record in the background."),
    "stop": ("daemon", "Stop recording in the background."),
    "status": ("daemon", "Say whether it records, and how its sources do."),
    "service": ("service", "Let the system start it at log-in and keep it running."),
    "demo": ("demo", "Show it all with a simulated CCO and sample transcripts."),
    "report": ("report", "Show what was spent, by time or by what it was spent on."),
    "savings": ("report", "Show what caching saved, by month and model."),
    "budget": ("budget", "Show what is spent and left of each budget."),
    "serve": ("serve", "Show the ledger in the browser: pages, charts, tables, your own SQL."),
    "top": ("top", "Watch what is spent, live, on this terminal."),
    "export": ("export", "Write a view or a question as CSV, JSON, NDJSON or Parquet."),
    "notebooks": ("notebooks", "Copy notebooks out, or open them in Jupyter Lab."),
    "statusline": ("statusline", "Say in one line what is spent, for Claude Code's status line."),
    "explain": ("prices", "Show which rates make the cost of a call."),
    "prices": ("prices", "Look into the price book."),
    "reprice": ("prices", "Compute every cost again from the price book."),
    "doctor": ("doctor", "Check settings, ledger and sources."),
    "jobs": ("jobs", "Show what the schedule did."),
    "prune": ("jobs", "Delete raw rows that are older than the settings say."),
    "backup": ("jobs", "Make a copy of the ledger, whoever writes it."),
    "migrate": ("ledger", "Make the ledger, or bring it up to date."),
    "rollup": ("ledger", "Bring the sums that reports read up to date."),
}


class LazyGroup(click.Group):
    """Knows its commands by name and help; imports one when it is called. Errors of people end here."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature, as below
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        from importlib import import_module

        command: click.Command = getattr(import_module(f"ccostdb.cli.{COMMANDS[cmd_name][0]}"), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            from ccostdb.words import nearest

            ctx.fail(f"There is no command {args[0]!r}. {nearest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        with guarded(ctx):
            return super().invoke(ctx)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ccostdb", message="%(prog)s %(version)s")
@db_option
def main() -> None:
    """A ledger for what AI agents spend: every model call on this machine, recorded once, priced exactly, in
    one SQLite file."""
