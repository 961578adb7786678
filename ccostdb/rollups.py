"""call → rollup_quarter_hour → rollup_day: recomputed where calls changed; nothing is incremented, so nothing drifts.

What is marked in `dirty_bucket` the views read from `call`: a report is right before, between and after refreshes.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from ccostdb.clock import calendar_row
from ccostdb.views import statement, view_statements

if TYPE_CHECKING:
    import aiosqlite  # asyncio is 40 ms that a reader does without

MOST_REFRESHED = 3000  # quarter hours a transaction

# Which cells a statement of sql/rollups recomputes: its CTE `todo`.
_DIRTY_BUCKETS = "select bucket_s from dirty_bucket where bucket_s <= :last"
_DIRTY_DAYS = f"select distinct day from calendar where bucket_s in ({_DIRTY_BUCKETS})"
_ALL_BUCKETS = "select bucket_s from calendar"
_ALL_DAYS = "select distinct day from calendar"
# What the calendar must hold: the quarter hours of calls, and those that it was given for calls to come.
_NAMED_BUCKETS = f"{_ALL_BUCKETS} union select occurred_ns / 900000000000 * 900 from call"

# What a rollup does not claim, since the views do not read it there.
_UNCLAIMED = {
    "rollup_quarter_hour": "bucket_s in (select bucket_s from dirty_bucket)",
    "rollup_day": "day in (select day from calendar where bucket_s in (select bucket_s from dirty_bucket))",
}
_KEY_COLUMNS = {"calendar": 1, "rollup_quarter_hour": 6, "rollup_day": 6}

Row = tuple[int | str | None, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """A derived row that is not what the calls say; `stored` or `right` is None where there is, or should be, none."""

    table: str
    key: Row
    stored: Row | None
    right: Row | None


async def refresh(db: aiosqlite.Connection, *, limit: int = MOST_REFRESHED) -> int:
    """Recompute up to `limit` dirty quarter hours, oldest first, and their days, in one transaction; returns how many.

    Call it until it returns 0. `db` is the writer's connection, outside of a transaction.
    """
    if await _one(db, "select not exists (select 1 from dirty_bucket)"):
        return 0
    async with transaction(db):
        last = await _one(
            db, "select max(bucket_s) from (select bucket_s from dirty_bucket order by bucket_s limit ?)", limit
        )
        upto = {"last": last}
        await db.execute(f"delete from rollup_quarter_hour where bucket_s in ({_DIRTY_BUCKETS})", upto)
        await db.execute(_recompute("rollup_quarter_hour", _DIRTY_BUCKETS), upto)
        await db.execute(f"delete from rollup_day where day in ({_DIRTY_DAYS})", upto)
        await db.execute(_recompute("rollup_day", _DIRTY_DAYS), upto)
        cleared = await db.execute("delete from dirty_bucket where bucket_s <= :last", upto)
    return cleared.rowcount


async def rebuild(db: aiosqlite.Connection) -> int:
    """Forget all rollups and recompute them and the calendar from the calls; returns how many quarter hours have any.

    Reports stay right meanwhile, and when it is killed: what is not yet recomputed is dirty.
    """
    zone = ZoneInfo(await _one(db, "select home_tz from ledger"))
    async with transaction(db):
        await _name_quarter_hours(db, zone)
        await db.execute("delete from rollup_quarter_hour")
        await db.execute("delete from rollup_day")
        await db.execute("insert or ignore into dirty_bucket select bucket_s from calendar")
    while await refresh(db):
        pass
    return int(await _one(db, "select count(distinct bucket_s) from rollup_quarter_hour"))


async def rezone(db: aiosqlite.Connection, zone: ZoneInfo) -> None:
    """Make `zone` the home time zone: its calendar and its days, in one transaction. Quarter hours know no zone."""
    async with transaction(db):
        await db.execute("update ledger set home_tz = ?", (zone.key,))
        await _name_quarter_hours(db, zone)
        await db.execute("delete from rollup_day")
        await db.execute(_recompute("rollup_day", _ALL_DAYS))


def verify(con: sqlite3.Connection) -> list[Difference]:
    """The rows of calendar and rollups that differ from a recomputation out of the calls; what is dirty claims nothing.

    A read-only connection will do: temporary tables take what the statements of `refresh` recompute.
    """
    con.execute("savepoint verify")  # one moment for all reads, and its rollback drops the temporary tables
    try:
        zone = ZoneInfo(con.execute("select home_tz from ledger").fetchone()[0])
        stored: set[Row] = {tuple(row) for row in con.execute("select * from calendar")}
        right: set[Row] = {calendar_row(row[0], zone) for row in con.execute(_NAMED_BUCKETS)}
        found = _differences("calendar", stored - right, right - stored)
        for table, todo in (("rollup_quarter_hour", _ALL_BUCKETS), ("rollup_day", _ALL_DAYS)):
            _make_temporary(con, table)
            con.execute(_recompute(table, todo))  # temp comes before main in the lookup of a name
            surplus = (_surplus(con, table, "main", "temp"), _surplus(con, table, "temp", "main"))
            found += _differences(table, *surplus)
        return found
    finally:
        con.execute("rollback to verify")
        con.execute("release verify")


def use_zone(
    con: sqlite3.Connection, zone: ZoneInfo, since_day: str | None = None, until_day: str | None = None
) -> None:
    """Let `con` (read-only will do) see local days of `zone` in all views, by temporary tables and views.

    Cost views then show the calls from `since_day` to `until_day`, both included; None: from the first, to the last.
    This holds for one moment, so it begins a transaction if there is none; the caller's rollback ends both.
    """
    if not con.in_transaction:
        con.execute("begin")
    first_s = _midnight_s(since_day, -1) if since_day else -(2**63)
    end_s = _midnight_s(until_day, 2) if until_day else 2**63 - 1
    buckets = con.execute(
        "select bucket_s from main.calendar where bucket_s >= ? and bucket_s < ?", (first_s, end_s)
    ).fetchall()
    rows = (calendar_row(bucket[0], zone) for bucket in buckets)
    for table in ("calendar", "rollup_day"):
        _make_temporary(con, table)
    con.executemany(
        "insert into temp.calendar values (?, ?, ?, ?, ?)",
        (row for row in rows if (since_day or "") <= row.day and (until_day is None or row.day <= until_day)),
    )
    con.execute(_recompute("rollup_day", _ALL_DAYS))
    for _, create in view_statements(temporary=True):
        con.execute(create)


def _recompute(table: str, todo: str) -> str:
    """The statement that recomputes a rollup table where the select `todo` says."""
    key = "bucket_s" if table == "rollup_quarter_hour" else "day"
    return f"with todo ({key}) as ({todo})\n{statement(f'rollups/{table}.sql')}"


def _make_temporary(con: sqlite3.Connection, table: str) -> None:
    """An empty temporary table of the same name and columns, with the same indexes."""
    made = "select sql from main.sqlite_master where tbl_name = ? and type in ('table', 'index') and sql is not null"
    for row in con.execute(f"{made} order by type desc", (table,)).fetchall():
        con.execute(re.sub(r"(?i)^create (table|index) ", r"create \1 temp.", row[0]))


def _surplus(con: sqlite3.Connection, table: str, one: str, other: str) -> set[Row]:
    """The rows that `one` schema's table has and the other's has not."""
    claimed = f"where not ({_UNCLAIMED[table]})"
    rows = con.execute(f"select * from {one}.{table} {claimed} except select * from {other}.{table} {claimed}")
    return {tuple(row) for row in rows}


def _differences(table: str, stored: set[Row], right: set[Row]) -> list[Difference]:
    """Pair surplus rows of both sides by their key."""
    width = _KEY_COLUMNS[table]
    stored_by_key = {row[:width]: row for row in stored}
    right_by_key = {row[:width]: row for row in right}
    keys = sorted(stored_by_key.keys() | right_by_key.keys())
    return [Difference(table, key, stored_by_key.get(key), right_by_key.get(key)) for key in keys]


def _midnight_s(day: str, days_later: int) -> int:
    """UTC midnight of a day, some days later: wide enough for any zone's day of that name."""
    return ((date.fromisoformat(day) - date(1970, 1, 1)) // timedelta(days=1) + days_later) * 86400


async def _name_quarter_hours(db: aiosqlite.Connection, zone: ZoneInfo) -> None:
    """Rewrite the calendar for a zone."""
    buckets = await db.execute_fetchall(_NAMED_BUCKETS)
    rows = [calendar_row(bucket[0], zone) for bucket in buckets]
    await db.executemany("replace into calendar values (?, ?, ?, ?, ?)", rows)


async def _one(db: aiosqlite.Connection, question: str, *values: int) -> Any:
    """The single value that a query answers."""
    (row,) = await db.execute_fetchall(question, values)
    return row[0]


@asynccontextmanager
async def transaction(db: aiosqlite.Connection) -> AsyncIterator[None]:
    """All or nothing, with the write lock from the start."""
    try:
        await db.execute("begin immediate")
        yield
        await db.execute("commit")
    except BaseException:
        await roll_back(db)
        raise


async def roll_back(db: aiosqlite.Connection) -> None:
    """Takes the open transaction back, if there is one."""
    # Without asking whether there is: a `begin` that was cancelled still runs in the connection's thread.
    with suppress(sqlite3.OperationalError):  # there is none, or SQLite has taken it back where the disk was full
        await db.execute("rollback")
