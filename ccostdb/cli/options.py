"""Options that several commands share. A flag that is a setting waits in the context till settings load."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ccostdb.errors import CcostError

if TYPE_CHECKING:
    import sqlite3

    from ccostdb.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])
FLAGS = "ccostdb.flags"
LEDGER = "ccostdb.ledger"  # its path, for the sentence of an error


def remember(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """A callback that keeps a flag's value under the name of its setting; the innermost command's wins."""

    def keep(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        if value is not None:
            ctx.meta.setdefault(FLAGS, {})[name] = value

    return keep


def setting_option(flag: str, name: str, **attributes: Any) -> Callable[[Command], Command]:
    """An option that sets the field `name` of Settings."""
    return click.option(flag, callback=remember(name), expose_value=False, **attributes)


db_option = setting_option("--db", "db", metavar="PATH", help="The ledger's file.")
log_level_option = setting_option("--log-level", "log_level", metavar="LEVEL", help="debug, info, warning or error.")
health_host_option = setting_option(
    "--health-host", "health_host", metavar="HOST", help="The address that /health is bound to."
)
health_port_option = setting_option(
    "--health-port", "health_port", metavar="PORT", help="Where /health answers; 0: nowhere."
)
cco_url_option = setting_option("--cco-url", "cco_url", metavar="URL", help="Where CCO answers.")
ccd_url_option = setting_option("--ccd-url", "ccd_url", metavar="URL", help="Where CCD's event stream is.")
cca_url_option = setting_option("--cca-url", "cca_url", metavar="URL", help="Where CCA answers.")


def current_settings() -> Settings:
    """The settings in force for this command, its flags included."""
    from pathlib import Path

    from ccostdb.settings import load_settings

    try:
        folder = Path.cwd()
    except FileNotFoundError as error:
        raise CcostError("The working folder is no longer there.", "Go to another one, as with: cd ~") from error
    told = click.get_current_context().meta
    settings = load_settings(told.get(FLAGS), folder=folder)
    told[LEDGER] = settings.db
    return settings


@contextmanager
def open_ledger(settings: Settings, *, is_priced: bool = False) -> Iterator[sqlite3.Connection]:
    """The ledger for reading, as it is at one moment; with `is_priced`, with the price book of the settings."""
    from ccostdb.schema import open_reader

    con = open_reader(settings, is_priced=is_priced, say=partial(click.echo, err=True))
    try:
        con.execute("begin")
        yield con
    finally:
        con.close()


def either(name: str, **meanings: str) -> Callable[[Command], Command]:
    """Flags of which one may be given, with what they mean: the argument `name` is its word, or None."""

    def keep(ctx: click.Context, option: click.Parameter, is_given: bool) -> None:
        earlier = ctx.params.setdefault(name, None)
        if is_given and earlier:
            raise click.UsageError(f"Give --{earlier} or --{option.name}, not both.", ctx)
        if is_given:
            ctx.params[name] = option.name

    def add(command: Command) -> Command:
        for word in reversed(meanings):
            flag = click.option(f"--{word}", is_flag=True, expose_value=False, callback=keep, help=meanings[word])
            command = flag(command)
        return command

    return add


def process_options(command: Command) -> Command:
    """What every process that records takes: its ledger, its log, its endpoint."""
    for option in (db_option, log_level_option, health_host_option, health_port_option):
        command = option(command)
    return command


def url_options(command: Command) -> Command:
    """The addresses of all sources that have one."""
    for option in (cca_url_option, ccd_url_option, cco_url_option):
        command = option(command)
    return command


def table_options(command: Command) -> Command:
    """`--json` and `--csv`, as the argument `form`."""
    return db_option(either("form", json="A list of objects.", csv="CSV, as in a pipe.")(command))
