"""`ccostdb statusline`, where click is asked: for its help. `__main__` prints the line without click."""

from __future__ import annotations

import click

from ccostdb.cli.options import FLAGS


@click.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
@click.option("--color", is_flag=True, help="In colours, unless NO_COLOR is set.")
@click.option("--db", metavar="PATH", help="The ledger's file.")
@click.pass_context
def statusline(ctx: click.Context, color: bool, db: str | None) -> None:
    """Say in one line what is spent, for Claude Code's status line.

    What the session and today cost, what the last hour did, how much of the input came from the cache, and the budgets
    of which 80 % is used.

    \b
    In ~/.claude/settings.json:
    {"statusLine": {"type": "command", "command": "ccostdb statusline --color"}}

    It reads what Claude Code sends on stdin, which may be nothing. The exit status is always 0.
    """
    from ccostdb.statusline import main

    db = db or ctx.meta.get(FLAGS, {}).get("db")
    ctx.exit(main([*(["--color"] if color else []), *(["--db", db] if db else [])]))
