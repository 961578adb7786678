"""The ledger → one frozen snapshot of what `top` shows, again and again. Blocks: it belongs in a thread of its own.

Sums are made again only when something was stored, and take at most a tenth of the time.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from ccostdb.budgets.standing import Standing
from ccostdb.clock import SECOND_NS
from ccostdb.daemon.record import Record, read_record
from ccostdb.errors import CcostError
from ccostdb.health.vitals import Rates, Row, SourceVitals, sources_of
from ccostdb.lock import is_written
from ccostdb.logs import secrets_of, without_secrets
from ccostdb.reports import Question, left_out
from ccostdb.reports.budgets import limits_now
from ccostdb.reports.spending import Breakdown, Spending, breakdowns, spending
from ccostdb.resources import sql
from ccostdb.schema import read_only_uri
from ccostdb.settings import Settings

RECENT = 100  # calls that are listed
MINUTES = 60  # that the rate of calls goes back
SUMS_SHARE = 0.1  # of the time, at most, is spent on adding up
SUMS_S = 30.0  # how old sums may grow where nothing is stored: time itself moves what is projected
WRITER_S = 3.0  # how long it is believed who writes: to ask may start a process


@dataclass(frozen=True, slots=True)
class Writer:
    """Who records now. `record` None: nobody does; or, with `is_busy`, a process that does not say who it is."""

    record: Record | None = None
    is_busy: bool = False


@dataclass(frozen=True, slots=True)
class Sums:
    """What is added up. `models`: of `period`, one of PERIODS. `limits`: those of the budgets, as they stand;
    `bad_budgets`: why they cannot be read. `notes`: what the sums of this month leave out.
    """

    period: str
    spending: Spending
    models: Breakdown
    limits: Sequence[Standing]
    bad_budgets: str | None
    notes: Sequence[str]
    has_calls: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that is shown, of one moment. `minutes`: calls in each of the last 60, the oldest first, of all sources.

    `sums` None: not read yet. `trouble`: why the ledger cannot be read; the rest is what it last said.
    """

    now_ns: int
    writer: Writer = Writer()
    sources: Sequence[SourceVitals] = ()
    sums: Sums | None = None
    recent: Sequence[sqlite3.Row] = ()
    minutes: Sequence[int] = ()
    trouble: str | None = None


class Reader:
    """Looks at a ledger that may be written, replaced or gone at any moment. One thread at a time may use it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._secrets = secrets_of(settings)
        self._con: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._seen: dict[str, tuple[object, ...]] = {}  # what a part was read for: data version, period, …
        self._sums_due_s = 0.0
        self._writer_due_s = 0.0
        self._rows: list[Row] = []
        self._losses: list[Row] = []
        self._rates = Rates()
        self._rated_pid: int | None = None
        self._last = Snapshot(0)

    def look(self, now_ns: int, period: str = "today") -> Snapshot:
        """The snapshot of now. Where the ledger cannot be read, the last one, and why."""
        try:
            self._last = self._look(now_ns, period)
        except (sqlite3.Error, CcostError, OSError) as error:
            self.close()
            self._last = replace(self._last, now_ns=now_ns, trouble=f"The ledger cannot be read: {_reason(error)}.")
        return self._last

    def interrupt(self) -> None:
        """Ends a query that runs, from any thread: the look comes back at once."""
        if self._con is not None:
            with suppress(sqlite3.ProgrammingError):
                self._con.interrupt()

    def close(self) -> None:
        if self._con is not None:
            self._con.close()
        self._con, self._file = None, None

    def _look(self, now_ns: int, period: str) -> Snapshot:
        con, time_s = self._opened(), time.monotonic()
        writer = self._writer(time_s)
        con.execute("begin")
        try:
            con.execute("select 1 from ledger").fetchone()  # the transaction begins with its first read
            version = con.execute("pragma data_version").fetchone()[0]
            if self._is_new("sources", version, writer):
                self._read_sources(con, writer)
            last = self._last
            recent = self._recent(con) if self._is_new("recent", version) else last.recent
            minutes = self._minutes(con, now_ns)
            sums = self._sums(con, now_ns, time_s, version, period)
        finally:
            con.execute("rollback")
        return Snapshot(now_ns, writer, self._sources(time_s, writer), sums, recent, minutes)

    def _opened(self) -> sqlite3.Connection:
        """The connection to the file that is there now."""
        found = os.stat(self._settings.db)  # noqa: PTH116
        if self._con is None or self._file != (found.st_dev, found.st_ino):
            self.close()
            self._seen.clear()
            uri = read_only_uri(self._settings.db)
            self._con = sqlite3.connect(uri, uri=True, timeout=1.0, isolation_level=None, check_same_thread=False)
            self._con.row_factory = sqlite3.Row
            for pragma in ("cache_size = -16384", "temp_store = memory"):
                self._con.execute(f"pragma {pragma}")
            self._file = found.st_dev, found.st_ino
        return self._con

    def _is_new(self, part: str, *told: object) -> bool:
        """Whether a part is to be read again: it was never, or for something else."""
        is_new = self._seen.get(part) != told
        self._seen[part] = told
        return is_new

    def _writer(self, time_s: float) -> Writer:
        if time_s < self._writer_due_s:
            return self._last.writer
        self._writer_due_s = time_s + WRITER_S
        record = read_record(self._settings.db)
        return Writer(record, is_busy=record is not None or is_written(self._settings.db))

    def _read_sources(self, con: sqlite3.Connection, writer: Writer) -> None:
        """The sources of the process that runs; where none does, of all that ever ran."""
        after = None
        if writer.record:
            statement = "select max(run_id) from run where started_ns < ?"
            (after,) = con.execute(statement, (writer.record.started_ns,)).fetchone()
        rows = self._select(con, "process_sources", {"after_run_id": after})
        self._rows = [{**row, "last_event_ns": row["newest_event_ns"]} for row in rows]
        self._losses = self._select(con, "source_losses")

    def _select(self, con: sqlite3.Connection, query: str, values: Row | None = None) -> list[Row]:
        rows = con.execute(sql(f"queries/{query}.sql"), values or {})
        return [without_secrets(dict(row), self._secrets) for row in rows]

    def _sources(self, time_s: float, writer: Writer) -> list[SourceVitals]:
        """Their rates are those of the last minute, or since we look."""
        pid = writer.record.pid if writer.record else None
        if self._rated_pid != pid:
            self._rates, self._rated_pid = Rates(), pid  # another process counts from 0
        rates = self._rates.at(time_s, self._rows)
        return sources_of(self._rows, self._losses, rates, is_running=writer.is_busy)

    def _recent(self, con: sqlite3.Connection) -> list[sqlite3.Row]:
        return con.execute(sql("queries/recent_calls.sql"), {"calls": RECENT}).fetchall()

    def _minutes(self, con: sqlite3.Connection, now_ns: int) -> list[int]:
        minute_ns = 60 * SECOND_NS
        since_ns = (now_ns // minute_ns - MINUTES + 1) * minute_ns
        if not self._is_new("minutes", *self._seen["recent"], since_ns):
            return list(self._last.minutes)
        found = dict(con.execute(sql("queries/calls_by_minute.sql"), {"since_ns": since_ns}))
        return [found.get(minute, 0) for minute in range(MINUTES)]

    def _sums(self, con: sqlite3.Connection, now_ns: int, time_s: float, version: int, period: str) -> Sums | None:
        last = self._last.sums
        is_asked = last is None or last.period != period
        is_old = self._seen.get("sums") != (version,) or time_s >= self._sums_due_s + SUMS_S
        if not is_asked and not (is_old and time_s >= self._sums_due_s):
            return last
        began_s = time.thread_time()
        found = spending(con, now_ns)
        spent = found.period(period)
        models = breakdowns(con, spent.first_day, spent.last_day)
        limits, bad_budgets = limits_now(con, self._settings, now_ns)
        notes = left_out(con, Question(since=str(found.month.first_day)), now_ns / SECOND_NS)
        has_calls = con.execute("select exists (select 1 from call)").fetchone()[0]
        self._seen["sums"] = (version,)
        self._sums_due_s = time_s + (time.thread_time() - began_s) / SUMS_SHARE
        trouble = f"{bad_budgets.message} {bad_budgets.hint}" if bad_budgets else None
        return Sums(period, found, models, limits, trouble, notes, bool(has_calls))


def _reason(error: Any) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file any more"
    if isinstance(error, CcostError):
        return error.message.rstrip(".")
    return str(getattr(error, "strerror", None) or error)
