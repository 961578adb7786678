"""`ccostdb top`."""

from __future__ import annotations

import sys

import click

from ccostdb.cli.options import current_settings, db_option, open_ledger
from ccostdb.errors import CcostError


@click.command()
@db_option
def top() -> None:
    """Watch what is spent, live, on this terminal.

    Reads only. Press ? for its keys, q to leave.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise CcostError("ccostdb top needs a terminal.", "In a pipe, ask for a table: ccostdb report daily --json")
    settings = current_settings()
    with open_ledger(settings):  # brings an old one up to date, once: later it is only read
        pass
    from ccostdb.tui.app import Top

    Top(settings).run()
