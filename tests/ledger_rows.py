"""Makes small ledgers for tests: a real file from the migration and the views, and calls put into it directly."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ccostdb.clock import calendar_row
from ccostdb.resources import sql, sql_names
from ccostdb.views import view_statements


def make_ledger(path: Path, home_tz: str = "UTC") -> sqlite3.Connection:
    """An empty ledger in a new file, and a connection to it that commits each statement."""
    con = sqlite3.connect(path, isolation_level=None)
    con.execute("pragma journal_mode = wal")
    for name in sql_names("migrations"):
        con.executescript(sql(f"migrations/{name}.sql"))
    for _, create in view_statements():
        con.execute(create)
    con.execute("insert into ledger values (1, 0, 'test', ?, null, null)", (home_tz,))
    return con


def add_source(con: sqlite3.Connection, kind: str, name: str | None = None, counted: bool | None = None) -> int:
    """A source that has calls; returns its id."""
    con.execute(
        "insert into source (kind, name, address, counted_setting, has_calls) values (?1, ?2, ?2, ?3, 1)",
        (kind, name or kind, counted),
    )
    return int(con.execute("select last_insert_rowid()").fetchone()[0])


def add_name(con: sqlite3.Connection, table: str, name: str) -> int:
    """The id of an interned model, project, agent or session."""
    con.execute(f"insert or ignore into {table} (name) values (?)", (name,))
    return int(con.execute(f"select {table}_id from {table} where name = ?", (name,)).fetchone()[0])


def add_calls(con: sqlite3.Connection, calls: Iterable[dict[str, Any]]) -> None:
    """Rows of `call` by column name, each with its quarter hour in the calendar; in one transaction."""
    zone = ZoneInfo(con.execute("select home_tz from ledger").fetchone()[0])
    con.execute("begin")
    for call in calls:
        add_quarter_hour(con, call["occurred_ns"], zone)
        names = ", ".join(call)
        con.execute(f"insert into call ({names}) values (:{', :'.join(call)})", call)
    con.execute("commit")


def add_quarter_hour(con: sqlite3.Connection, occurred_ns: int, zone: ZoneInfo) -> None:
    """The calendar row that a call at that time needs."""
    bucket_s = occurred_ns // 900_000_000_000 * 900
    con.execute("insert or ignore into calendar values (?, ?, ?, ?, ?)", calendar_row(bucket_s, zone))
