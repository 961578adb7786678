"""`ccostdb service`: the system keeps it running."""

from __future__ import annotations

import click

from ccostdb.cli.daemon import NOT_RUNNING
from ccostdb.cli.options import current_settings, db_option
from ccostdb.words import printable


@click.group()
@db_option
def service() -> None:
    """Let the system start it at log-in and keep it running."""


def _say(text: str) -> None:
    click.echo(printable(text))


@service.command()
@click.option("--force", is_flag=True, help="Also where the service records into another ledger.")
@db_option
@click.pass_context
def install(ctx: click.Context, force: bool) -> None:
    """Write a systemd user unit, a launchd agent or a Windows task, and start it.

    It sees config.toml and the ledger of now, nothing else: keys belong into config.toml.
    """
    from ccostdb.daemon.service import describe
    from ccostdb.daemon.service import install as install_service

    settings = current_settings()
    made = describe(settings)
    if not install_service(made, settings, _say, is_forced=force):
        ctx.exit(1)
    _say("It runs, and starts again at each log-in. See how it is: ccostdb status")
    if made.manager == "systemd":
        _say("To have it run while you are logged out, too: loginctl enable-linger")


@service.command()
@db_option
def uninstall() -> None:
    """Stop it and remove what install wrote.

    The ledger stays.
    """
    from ccostdb.daemon.service import describe
    from ccostdb.daemon.service import uninstall as uninstall_service

    settings = current_settings()
    made = describe(settings)
    if uninstall_service(made, _say):
        _say(f"The ledger stays at {settings.db}.")
    else:
        _say(f"Nothing to remove: there is no {made.path}.")


@service.command()
@db_option
@click.pass_context
def status(ctx: click.Context) -> None:
    """Say whether it is installed and active.

    Exits with 3 when it is not.
    """
    from ccostdb.daemon.service import describe, is_active

    made = describe(current_settings())
    if not made.path.exists():
        _say(f"Not installed: there is no {made.path}.")
        ctx.exit(NOT_RUNNING)
    _say(f"Installed: {made.path}.")
    if (problem := is_active(made)) is not None:
        _say(f"Not active: {problem}")
        ctx.exit(NOT_RUNNING)
    _say(f"Active, as {made.manager} says.")
