"""Rows out: any view or question, over the days that were asked for, streamed as the ledger holds it."""

from __future__ import annotations

import re
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from ccostdb.clock import iso, midnight_ns
from ccostdb.errors import BadArgument
from ccostdb.export.cco_costs import COLUMNS as CCO_COLUMNS
from ccostdb.export.cco_costs import cco_costs
from ccostdb.export.text import Row, csv_chunks, json_chunks, ndjson_chunks
from ccostdb.reports import read_days
from ccostdb.resources import sql, sql_names
from ccostdb.setting_values import read_zone
from ccostdb.views import report_names, report_sql, statement
from ccostdb.words import nearest

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

__all__ = ["csv_chunks", "json_chunks", "names", "ndjson_chunks", "parameters_of", "select", "view_names"]

_CCO_COSTS = "cco_costs"  # neither view nor question: SQL alone cannot tell the parts of a cost
_USAGE = ("daily_usage", "hourly_usage")
# Views whose rows are rows of a table with an index on occurred_ns: the table is narrowed, and the view reads that.
_EVENTS = {
    **dict.fromkeys(("calls", "cost_differences"), "call"),
    "activities": "activity",
    **dict.fromkeys(("approvals", "checkpoints", "compactions", "context_health", "daemon_events"), "daemon_event"),
}
# Of any other view, the first of these columns says when a row was; text is as `iso` writes it, or a local day.
_WHEN = ("day", "occurred_ns", "polled_ns", "occurred_at", "to_at", "started_at", "at")
_SESSION_BEGAN = "coalesce(started_at, last_heartbeat_at, ended_at)"  # its start may not have been heard
_COUNTS = {"rows", "calls"}  # parameters that are whole numbers
_DAYS = {"day": "2026-07-01", "month": "2026-07"}  # parameters that are one
_PARAMETER = re.compile(r"(?<![:\w]):([a-z]\w*)")


@dataclass(frozen=True)
class _Asked:
    """Local days of a zone, both included; None is open."""

    since: date | None
    until: date | None
    zone: ZoneInfo
    is_zoned: bool

    @cached_property
    def bounds(self) -> dict[str, int | str]:
        """The bounds that are set: `since` and `until` are days; with `_ns` they are times, with `_at` texts of these.

        A day `until` is in, a time `until` is out.
        """
        found: dict[str, int | str] = {}
        if self.since:
            start_ns = midnight_ns(self.since, self.zone)
            found |= {"since": str(self.since), "since_ns": start_ns, "since_at": iso(start_ns)}
        if self.until:
            end_ns = midnight_ns(self.until + timedelta(days=1), self.zone)
            found |= {"until": str(self.until), "until_ns": end_ns, "until_at": iso(end_ns)}
        return found


def select(
    con: sqlite3.Connection,
    name: str,
    *,
    since: str | None = None,
    until: str | None = None,
    tz: str | None = None,
    parameters: Mapping[str, object] | None = None,
    now_ns: int | None = None,
) -> tuple[list[str], Iterable[Row]]:
    """The columns and the rows of a view or question, of the days from `since` to `until` as reports take them.

    `tz` names the zone of these days, and in cost views that of all days (the connection keeps it: rollback ends it).
    `parameters` are a question's own; what is not given is NULL, which sets no bound. Raises BadArgument for a name
    that is not there, days that are none, and what does not go with the name. now_ns None: the clock's.
    """
    asked = _understand(con, since, until, tz, time.time_ns() if now_ns is None else now_ns)
    if parameters and name not in sql_names("questions"):
        raise BadArgument(f"{name[:80]!r} is no question: it has no parameters.")
    if name in view_names(con):
        text, values = _of_view(con, name, asked)
    elif name in sql_names("questions"):
        text, values = _of_question(con, name, asked, parameters or {})
    elif name == _CCO_COSTS:
        return CCO_COLUMNS, cco_costs(con, asked.since, asked.until, asked.zone)
    else:
        raise BadArgument(f"There is no view or question {name[:80]!r}.", nearest(name, names(con)))
    cursor = con.cursor()
    cursor.row_factory = None
    cursor.execute(text, values)
    return [column[0] for column in cursor.description], cursor


def names(con: sqlite3.Connection) -> list[str]:
    """Everything that `select` knows."""
    return [*view_names(con), *sql_names("questions"), _CCO_COSTS]


def view_names(con: sqlite3.Connection) -> list[str]:
    """The views of this ledger."""
    return [row[0] for row in con.execute("select name from main.sqlite_schema where type = 'view' order by name")]


def parameters_of(question: str) -> list[str]:
    """The names of a question's parameters."""
    lines = sql(f"questions/{question}.sql").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("--"))
    return list(dict.fromkeys(_PARAMETER.findall(text)))


def _understand(con: sqlite3.Connection, since: str | None, until: str | None, tz: str | None, now_ns: int) -> _Asked:
    (home_tz,) = con.execute("select home_tz from ledger").fetchone()
    zone = read_zone(home_tz if tz is None else tz)
    today = datetime.fromtimestamp(now_ns // 1_000_000_000, zone).date()
    first = read_days(since, today)[0] if since is not None else None
    last = read_days(until, today)[1] if until is not None else None
    if first and last and first > last:
        raise BadArgument(f"The first day, {first}, is after the last, {last}.")
    return _Asked(first, last, zone, is_zoned=zone.key != home_tz)


def _of_view(con: sqlite3.Connection, name: str, asked: _Asked) -> tuple[str, Mapping[str, object]]:
    """A select of the view, and its values."""
    since = str(asked.since) if asked.since else None
    until = str(asked.until) if asked.until else None
    is_report = name in report_names()
    if asked.is_zoned and (is_report or name in _USAGE):
        from ccostdb.rollups import use_zone

        use_zone(con, asked.zone, since, until)
    if is_report and (asked.bounds or asked.is_zoned):
        return report_sql(name, since_day=since, until_day=until, is_zoned=asked.is_zoned)
    if not asked.bounds:
        return f'select * from "{name}"', {}
    if name in _EVENTS:
        table = _EVENTS[name]
        narrowed = f"with {table} as (select * from main.{table} where {_within('occurred_ns', '_ns', asked.bounds)})"
        return f"{narrowed}\nselect * from (\n{statement(f'views/{name}.sql')})", asked.bounds
    columns = [column[0] for column in con.execute(f'select * from "{name}" limit 0').description]
    when = next((column for column in _WHEN if column in columns), None)
    if when is None:
        raise BadArgument(f"{name} says no time: it cannot be asked for some days.")
    kind = "" if when == "day" else "_ns" if when.endswith("_ns") else "_at"
    within = _within(_SESSION_BEGAN if name == "daemon_sessions" else when, kind, asked.bounds)
    return f'select * from "{name}" where {within}', asked.bounds


def _within(when: str, kind: str, bounds: Mapping[str, object]) -> str:
    """The condition that an SQL expression is within the bounds of a kind: days, or times as `_ns` or `_at`."""
    tests = {"since": f"{when} >= :since{kind}", "until": f"{when} {'<' if kind else '<='} :until{kind}"}
    return " and ".join(test for bound, test in tests.items() if bound in bounds)


def _of_question(
    con: sqlite3.Connection, name: str, asked: _Asked, parameters: Mapping[str, object]
) -> tuple[str, Mapping[str, object]]:
    """A question, and all its values."""
    known = parameters_of(name)
    for each in parameters:
        if each not in known:
            hint = nearest(each, known) if known else "It has none."
            raise BadArgument(f"{name} has no parameter {each[:80]!r}.", hint)
        if each in asked.bounds:
            raise BadArgument(f"{each} is given twice: as a day, and as a parameter.")
    for each in _COUNTS & parameters.keys():
        if not re.fullmatch(r"\d{1,18}|", "" if parameters[each] is None else str(parameters[each]), re.ASCII):
            raise BadArgument(f"{each} is a whole number, not {str(parameters[each])[:80]!r}.")
    if asked.bounds and not asked.bounds.keys() & known:
        example = next((f"{each}={day}" for each, day in _DAYS.items() if each in known), None)
        raise BadArgument(
            f"{name} cannot be asked for the days from one to another.",
            f"It has a parameter for that: -p {example}" if example else None,
        )
    if asked.is_zoned:
        from ccostdb.rollups import use_zone

        use_zone(con, asked.zone)
    return sql(f"questions/{name}.sql"), defaultdict(lambda: None, {**asked.bounds, **parameters})
