"""What `ccostdb doctor` looks at: settings, file and ledger → findings. A problem is what only a person can mend."""

from __future__ import annotations

import importlib.util
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from ccostdb.errors import CcostError, StoreBusy
from ccostdb.resources import sql
from ccostdb.schema import SQLITE_FLOOR, Condition, inspect, open_reader, schema_version, writing_lock
from ccostdb.settings import KEYS, LISTS, Settings

OK, NOTE, PROBLEM = "ok", "note", "problem"
DAMAGED = "Keep a copy of the file, then restore a backup."


class Finding(NamedTuple):
    """One line: about what, and whether it is `ok`, a `note` or a `problem`.

    `detail` says what to do; of a setting where it came from; of a source its error. None: nothing more to say.
    """

    topic: str
    name: str
    state: str
    value: str
    detail: str | None = None


def examine(settings: Settings) -> Iterator[Finding]:
    """Every finding about the settings and the ledger they name. A ledger that is behind is brought up to date."""
    yield from _settings(settings)
    yield from _sqlite()
    if not settings.db.exists():
        yield Finding("ledger", "file", NOTE, "there is none yet", "Make one: ccostdb ingest")
        return
    try:
        with closing(open_reader(settings)) as con:
            yield from _file(settings.db.resolve())
            yield from _ledger(con, settings)
            condition = inspect(settings)
            yield from _sources(con, settings.db, condition)
            yield from _rejects(con)
            yield from _prices(con, condition)
    except CcostError as error:
        yield Finding("ledger", "file", PROBLEM, error.message, error.hint)
    except sqlite3.OperationalError as error:
        yield Finding(
            "ledger", "file", PROBLEM, f"{settings.db} cannot be read: {error}", "Check the path and its disk."
        )
    except sqlite3.DatabaseError as error:
        yield Finding("ledger", "integrity", PROBLEM, f"SQLite says: {error}", DAMAGED)


def _settings(settings: Settings) -> Iterator[Finding]:
    for key in KEYS:
        value = getattr(settings, key.name)
        shown = ", ".join(map(str, value)) if isinstance(value, tuple) else "auto" if value is None else str(value)
        shown = "set, not shown" if key.is_secret and value else shown
        yield Finding("settings", key.name, OK, shown, settings.origins.get(key.name, "default"))
    for name, field in LISTS.items():
        if entries := getattr(settings, field):
            yield Finding("settings", name, OK, f"entries: {len(entries)}", settings.origins[field])


def _sqlite() -> Iterator[Finding]:
    is_old = sqlite3.sqlite_version_info < SQLITE_FLOOR
    hint = f"ccostdb needs {'.'.join(map(str, SQLITE_FLOOR[:2]))}: use a newer build of Python." if is_old else None
    yield Finding("ledger", "sqlite", PROBLEM if is_old else OK, sqlite3.sqlite_version, hint)
    if importlib.util.find_spec("pysqlite3"):
        value = "pysqlite3 is installed too: two SQLite libraries in one process break file locks"
        yield Finding("ledger", "pysqlite3", PROBLEM, value, "Remove it: pip uninstall pysqlite3 pysqlite3-binary")


def _file(path: Path) -> Iterator[Finding]:
    files = [each for each in (path, *(Path(f"{path}{end}") for end in ("-wal", "-shm", ".lock"))) if each.exists()]
    size = sum(each.stat().st_size for each in files)
    yield Finding("ledger", "file", OK, f"{path}, {size / 1e6:,.1f} MB")
    is_open = [each for each in files if each.stat().st_mode & 0o077]
    if is_open:
        hint = f"Close it: chmod 600 {' '.join(str(each) for each in is_open)}"
        yield Finding("ledger", "mode", PROBLEM, "others on this machine may read the ledger", hint)


def _ledger(con: sqlite3.Connection, settings: Settings) -> Iterator[Finding]:
    version = con.execute("pragma user_version").fetchone()[0]
    yield Finding("ledger", "schema", OK, f"{version} of {schema_version()}")
    broken = [row[0] for row in con.execute("pragma quick_check(3)") if row[0] != "ok"]
    if broken:
        yield Finding("ledger", "integrity", PROBLEM, "; ".join(broken), DAMAGED)
    else:
        yield Finding("ledger", "integrity", OK, "quick_check says ok")
    (home_tz,) = con.execute("select home_tz from ledger").fetchone()
    if settings.home_tz in (None, home_tz):
        yield Finding("ledger", "home zone", OK, home_tz)
    else:
        hint = f"The next ingest makes it {settings.home_tz}, as set."
        yield Finding("ledger", "home zone", NOTE, home_tz, hint)
    (dirty,) = con.execute("select count(*) from dirty_bucket").fetchone()
    if dirty:
        hint = "Reports are right all the same. To bring them up to date: ccostdb rollup"
        yield Finding("ledger", "rollups", NOTE, f"quarter hours behind: {dirty:,}", hint)
    else:
        yield Finding("ledger", "rollups", OK, "up to date")


def _sources(con: sqlite3.Connection, path: Path, condition: Condition) -> Iterator[Finding]:
    if not condition.is_counted:
        hint = "Another ccostdb process writes. It holds once that has ended."
        yield Finding("sources", "cco", NOTE, "whether it counts is not yet as the settings say", hint)
    for row in _rows(con, "select * from source_health order by source"):
        counted = "" if row["counted"] else ", not counted in totals"
        last = f", last event {row['last_event_at']}" if row["last_event_at"] else ""
        how, state, detail = row["outcome"] or row["state"] or "never run", OK, row["error"]
        if row["outcome"] == "failed":
            # One that never said a word was perhaps only looked for at a wrong address.
            state, how = (PROBLEM, how) if row["frames"] else (NOTE, f"not found at {row['address']}")
        elif row["last_run_at"] and row["outcome"] is None and not _is_written(path):
            how, state, detail = f"killed while {how}", NOTE, "The next ingest goes on where it stopped."
        yield Finding("sources", row["source"], state, f"{how}, rows: {row['rows']:,}{last}{counted}", detail)
        if row["gaps"]:
            calls = "unknown" if row["missing_calls"] is None else f"{row['missing_calls']:,}"
            money = "" if row["missing_cost_usd"] is None else f", ${row['missing_cost_usd']:,.2f}"
            value = f"gaps: {row['gaps']:,}, missing calls: {calls}{money}"
            yield Finding("sources", row["source"], NOTE, value, "See them: ccostdb export gaps")


def _is_written(path: Path) -> bool:
    """Whether a process records into the ledger now."""
    try:
        with writing_lock(path):
            return False
    except StoreBusy:
        return True


def _rejects(con: sqlite3.Connection) -> Iterator[Finding]:
    for row in _rows(con, sql("queries/reject_reasons.sql")):
        value = f"rejected {row['times']:,} ×: {row['reason']}"
        yield Finding("sources", row["source"], NOTE, value, "See them: ccostdb export rejects")


def _prices(con: sqlite3.Connection, condition: Condition) -> Iterator[Finding]:
    if not condition.is_priced:
        hint = "Compute the costs with them: ccostdb reprice"
        yield Finding("prices", "price book", NOTE, "prices have changed since", hint)
    for row in _rows(con, sql("queries/unpriced_models.sql")):
        model = row["model"] or "no model named"
        if row["calls"]:
            hint = "Give a rate under [[price]] in the settings, then: ccostdb reprice"
            yield Finding("prices", model, PROBLEM, f"calls without a price: {row['calls']:,}", hint)
        if row["unsplit_calls"]:
            hint = "No rate can price these: the source sends neither cost nor kinds of tokens."
            yield Finding("prices", model, NOTE, f"calls without a cost: {row['unsplit_calls']:,}", hint)


def _rows(con: sqlite3.Connection, query: str) -> list[dict[str, Any]]:
    cursor = con.execute(query)
    names: Sequence[str] = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]
