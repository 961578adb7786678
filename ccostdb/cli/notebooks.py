"""`ccostdb notebooks`."""

from __future__ import annotations

from pathlib import Path

import click

from ccostdb.cli.options import current_settings, db_option


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default="ccostdb-notebooks", metavar="[DIR]")
@click.option("--open", "is_opened", is_flag=True, help="Start Jupyter Lab in DIR; what is there stays as it is.")
@click.option("--force", is_flag=True, help="Overwrite notebooks of the same name.")
@db_option
def notebooks(folder: Path, is_opened: bool, force: bool) -> None:
    """Copy notebooks out, or open them in Jupyter Lab.

    They are: where the money goes, what caching saves, sessions and agents, forecasting the month. They go to DIR,
    or to ccostdb-notebooks, and are yours to change.
    """
    from ccostdb.notebooks import copy_notebooks, open_jupyter, refuse_without_jupyter

    settings = current_settings()
    if is_opened:
        refuse_without_jupyter()
    copied = copy_notebooks(folder, is_forced=force, is_kept=is_opened)
    for path in copied:
        click.echo(path)
    if is_opened:
        open_jupyter(folder, settings.db)
    else:
        click.echo(f"Copied {len(copied)} notebooks. Start Jupyter with: ccostdb notebooks {folder} --open", err=True)
