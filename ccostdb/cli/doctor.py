"""`ccostdb doctor`."""

from __future__ import annotations

import sys
import time
from itertools import groupby
from typing import TYPE_CHECKING

import click

from ccostdb.cli.options import current_settings, table_options
from ccostdb.cli.terminal import write_rows
from ccostdb.words import printable

if TYPE_CHECKING:
    from ccostdb.health.doctor import Finding

MARKS = {"ok": ("✓", "green"), "note": ("•", "yellow"), "problem": ("✗", "red")}


@click.command()
@table_options
def doctor(form: str | None) -> None:
    """Check settings, ledger and sources.

    Exits with 1 when something needs a person.
    """
    from ccostdb.health.doctor import Finding, examine

    findings = list(examine(current_settings(), time.time_ns()))
    if form:
        write_rows(form, Finding._fields, findings, sys.stdout)
    else:
        _print(findings)
    if any(finding.state == "problem" for finding in findings):
        click.get_current_context().exit(1)


def _print(findings: list[Finding]) -> None:
    width = max(len(finding.name) for finding in findings)
    for topic, group in groupby(findings, key=lambda finding: finding.topic):
        click.secho(topic.capitalize(), bold=True)
        for _, name, state, value, detail in group:
            mark, color = MARKS[state]
            rest = click.style(f"  {printable(detail)}", dim=True) if detail and state == "ok" else ""
            click.echo(f"  {click.style(mark, fg=color)} {printable(name):{width}}  {printable(value)}{rest}")
            if detail and state != "ok":
                click.echo(f"    {'':{width}}  {printable(detail)}")
