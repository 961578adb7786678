"""`ccostdb serve`."""

from __future__ import annotations

from pathlib import Path

import click

from ccostdb.cli.options import current_settings, db_option

PORT = 8001


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), show_default=str(PORT), help="0: any that is free.")
@click.option("--uds", type=click.Path(path_type=Path), metavar="FILE", help="A Unix socket in place of the port.")
@click.option("--open", "is_opened", is_flag=True, help="Open it in the browser.")
@db_option
def serve(port: int | None, uds: Path | None, is_opened: bool) -> None:
    """Show the ledger in the browser: pages, charts, tables, your own SQL.

    It only reads, and answers this machine alone. Ctrl-C stops it.
    """
    if uds and (port is not None or is_opened):
        raise click.UsageError(f"--uds and {'--open' if port is None else '--port'} do not go together.")
    from ccostdb.serve import run

    run(current_settings(), port=PORT if port is None else port, uds=uds, is_opened=is_opened, say=click.echo)
