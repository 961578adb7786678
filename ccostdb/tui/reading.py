"""The ledger → one frozen snapshot of what `top` shows, again and again. Blocks: it belongs in a thread of its own.

Figures are added up again only when something was stored, and take at most a tenth of the time.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from ccostdb.budgets.entries import read_budgets
from ccostdb.budgets.standing import Standing
from ccostdb.clock import SECOND_NS
from ccostdb.daemon.record import Record, read_record
from ccostdb.errors import CcostError
from ccostdb.health.vitals import RATE_S, SourceVitals
from ccostdb.lock import is_written
from ccostdb.logs import hidden, secrets_of
from ccostdb.reports.budgets import standings_now
from ccostdb.reports.spending import Breakdown, Spending, breakdowns, spending
from ccostdb.resources import sql
from ccostdb.schema import read_only_uri
from ccostdb.settings import Settings
from ccostdb.words import repeated

RECENT = 100  # calls that are listed
MINUTES = 60  # that the rate of calls goes back
FIGURES_SHARE = 0.1  # of the time, at most, is spent on adding up
FIGURES_S = 30.0  # how old figures may grow where nothing is stored: time itself moves what is projected
WRITER_S = 3.0  # how long it is believed who writes: to ask may start a process
PERIODS = ("today", "7 days", "month", "last month")

Row = sqlite3.Row


@dataclass(frozen=True, slots=True)
class Writer:
    """Who records now. `record` None: nobody does; or, with `is_busy`, a process that does not say who it is."""

    record: Record | None = None
    is_busy: bool = False


@dataclass(frozen=True, slots=True)
class Figures:
    """What is added up. `models`: of `period`. `budgets`: each limit as it stands."""

    period: str
    spending: Spending
    models: Breakdown
    budgets: Sequence[Standing]
    has_calls: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that is shown, of one moment. `minutes`: calls in each of the last 60, the oldest first, of all sources.

    `figures` None: not read yet. `trouble`: why the ledger cannot be read; the rest is what it last said.
    """

    now_ns: int
    writer: Writer = Writer()
    sources: Sequence[SourceVitals] = ()
    figures: Figures | None = None
    recent: Sequence[Row] = ()
    minutes: Sequence[int] = ()
    trouble: str | None = None


class Reader:
    """Looks at a ledger that may be written, replaced or gone at any moment. One thread at a time may use it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._secrets = secrets_of(settings)
        self._budgets = read_budgets(settings)
        self._con: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._seen: dict[str, tuple[object, ...]] = {}  # what a part was read for: data version, period, …
        self._figures_due_s = 0.0
        self._writer_due_s = 0.0
        self._rows: list[Row] = []
        self._losses: dict[str, Row] = {}
        self._counts: deque[tuple[float, int | None, dict[str, int]]] = deque()
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
            figures = self._figures(con, now_ns, time_s, version, period)
        finally:
            con.execute("rollback")
        return Snapshot(now_ns, writer, self._sources(time_s, writer), figures, recent, minutes)

    def _opened(self) -> sqlite3.Connection:
        """The connection to the file that is there now."""
        found = os.stat(self._settings.db)  # noqa: PTH116
        if self._con is None or self._file != (found.st_dev, found.st_ino):
            self.close()
            self._seen.clear()
            uri = read_only_uri(self._settings.db)
            self._con = sqlite3.connect(uri, uri=True, timeout=1.0, isolation_level=None, check_same_thread=False)
            self._con.row_factory = sqlite3.Row
            for pragma in ("mmap_size = 1073741824", "cache_size = -16384", "temp_store = memory"):
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
        self._rows = con.execute(sql("queries/process_sources.sql"), {"after_run_id": after}).fetchall()
        self._losses = {row["source"]: row for row in con.execute(sql("queries/source_losses.sql"))}

    def _sources(self, time_s: float, writer: Writer) -> list[SourceVitals]:
        """Their rates are those of the last minute, or since we look."""
        pid = writer.record.pid if writer.record else None
        if self._counts and self._counts[-1][1] != pid:
            self._counts.clear()  # another process counts from 0
        self._counts.append((time_s, pid, {row["source"]: row["events"] for row in self._rows}))
        while time_s - self._counts[0][0] > RATE_S:
            self._counts.popleft()
        return [self._source(row, time_s, is_running=writer.is_busy) for row in self._rows]

    def _source(self, row: Row, time_s: float, *, is_running: bool) -> SourceVitals:
        then_s, _, then = self._counts[0]
        new = row["events"] - then.get(row["source"], 0)
        losses = self._losses.get(row["source"])
        kept = {name: row[name] for name in ("kind", "updated_ns", "connections", "frames", "events")}
        return SourceVitals(
            **kept,
            name=repeated(hidden(row["source"], self._secrets)),
            state=_state(row, is_running=is_running),
            error=None if row["error"] is None else repeated(hidden(row["error"], self._secrets)),
            events_per_s=new / max(1.0, time_s - then_s) if is_running else 0.0,
            last_event_ns=row["last_event_ns"],
            lag_s=None,  # what is shown is how old its newest event is now
            saturation=row["saturation"],
            gaps=losses["gaps"] if losses else 0,
            rejected=losses["rejected"] if losses else 0,
        )

    def _recent(self, con: sqlite3.Connection) -> list[Row]:
        return con.execute(sql("queries/recent_calls.sql"), {"calls": RECENT}).fetchall()

    def _minutes(self, con: sqlite3.Connection, now_ns: int) -> list[int]:
        minute_ns = 60 * SECOND_NS
        since_ns = (now_ns // minute_ns - MINUTES + 1) * minute_ns
        if not self._is_new("minutes", *self._seen["recent"], since_ns):
            return list(self._last.minutes)
        found = dict(con.execute(sql("queries/calls_by_minute.sql"), {"since_ns": since_ns}))
        return [found.get(minute, 0) for minute in range(MINUTES)]

    def _figures(
        self, con: sqlite3.Connection, now_ns: int, time_s: float, version: int, period: str
    ) -> Figures | None:
        last = self._last.figures
        is_asked = last is None or last.period != period
        is_old = self._seen.get("figures") != (version,) or time_s >= self._figures_due_s + FIGURES_S
        if not is_asked and not (is_old and time_s >= self._figures_due_s):
            return last
        began_s = time.thread_time()
        con.execute("drop table if exists temp.budget")  # of the last look
        found = spending(con, now_ns)
        models = breakdowns(con, *days_of(period, found))
        budgets = standings_now(con, self._budgets, now_ns) if self._budgets else []
        has_calls = con.execute("select exists (select 1 from call)").fetchone()[0]
        self._seen["figures"] = (version,)
        self._figures_due_s = time_s + (time.thread_time() - began_s) / FIGURES_SHARE
        return Figures(period, found, models, budgets, bool(has_calls))


def days_of(period: str, found: Spending) -> tuple[date, date]:
    """The first and last local day of one of PERIODS."""
    today = found.today.first_day
    if period == "7 days":
        return today - timedelta(days=6), today
    spent = {"today": found.today, "month": found.month, "last month": found.last_month}[period]
    return spent.first_day, spent.last_day


def _state(row: Row, *, is_running: bool) -> str:
    """What a source does. A run that has ended is over, unless it failed; so is one whose process is gone."""
    if row["outcome"] is not None:
        return "error" if row["outcome"] == "failed" else "ended"
    return (row["state"] or "connecting") if is_running else "ended"


def _reason(error: Any) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file any more"
    if isinstance(error, CcostError):
        return error.message.rstrip(".")
    return str(getattr(error, "strerror", None) or error)
