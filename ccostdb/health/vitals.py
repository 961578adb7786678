"""How the process and its ledger are: the ledger, read again as it changes → one frozen snapshot → its verdict.

It reads through a read-only connection of its own, so no writer waits for it, and what it says is what is stored.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiosqlite
import msgspec

from ccostdb import __version__
from ccostdb.budgets import used
from ccostdb.budgets.standing import Standing
from ccostdb.clock import iso
from ccostdb.health.source_words import source_word
from ccostdb.logs import secrets_of, without_secrets
from ccostdb.resources import sql
from ccostdb.schema import read_only_uri
from ccostdb.settings import Settings
from ccostdb.words import repeated
from ccostdb.written import usd_text

RATE_S = 60.0  # events a second are those of this time
BUDGETS_S = 60.0  # how old those may grow where nothing is stored
LEDGER_SHARE = 0.1  # of the time, at most, is spent on adding up the ledger; sources are looked at each time
CONNECTIONS = ("connected", "connecting", "disconnected", "error")  # each worse than the one before
_CONNECTION = {"connecting": "connecting", "disconnected": "disconnected"} | dict.fromkeys(
    ("connected", "reading", "ended"), "connected"
)
_STATUS = {"connected": "healthy", "connecting": "starting"}
_EVENTS = "select (select count(*) from activity) + (select count(*) from daemon_event)"

_encoder = msgspec.json.Encoder(decimal_format="number")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SourceVitals:
    """A source that this process has a run of. Counts are of this process; gaps and rejected of the whole ledger.

    `state`: connecting, connected, reading, disconnected, error, paused, ended. `lag_s`: how old its newest event was
    when it was stored. `saturation`: most new events in one frame / window. None: no event yet, or no such thing here.
    """

    name: str
    kind: str
    state: str
    error: str | None
    updated_ns: int
    connections: int
    frames: int
    events: int
    events_per_s: float
    last_event_ns: int | None
    lag_s: float | None
    saturation: float | None
    gaps: int
    rejected: int
    how: str  # as people read it

    @property
    def connection(self) -> str:
        """One of CONNECTIONS."""
        return _CONNECTION.get(self.state, "error")


@dataclass(frozen=True, slots=True)
class LedgerVitals:
    """What the ledger holds: `usage` of counted sources by model; the rest as the queries say that they are from."""

    events: int = 0
    usage: Sequence[Row] = ()
    losses: Sequence[Row] = ()
    jobs: Sequence[Row] = ()
    budgets: Sequence[Standing] = ()

    @property
    def cost_nusd(self) -> int | None:
        """What all counted calls cost, as far as it is known. None: there are calls, all without a cost."""
        known = [row["cost_nusd"] for row in self.usage if row["cost_nusd"] is not None]
        return None if self.usage and not known else sum(known)


@dataclass(frozen=True, slots=True)
class Vitals:
    """One snapshot. `is_read`: the ledger was read once. `trouble`: what keeps the process from its work."""

    uptime_s: float = 0.0
    is_read: bool = False
    trouble: str | None = None
    sources: Sequence[SourceVitals] = ()
    ledger: LedgerVitals = LedgerVitals()
    database_bytes: int | None = None  # None: there is no such file, as the next
    wal_bytes: int | None = None

    @property
    def connection_status(self) -> str:
        """That of the worst source; with none, nothing is amiss."""
        if not self.is_read:
            return "error" if self.trouble else "connecting"
        return max((each.connection for each in self.sources), key=CONNECTIONS.index, default="connected")

    @property
    def status(self) -> str:
        """healthy, starting, disconnected or error."""
        return "error" if self.trouble else _STATUS.get(self.connection_status, self.connection_status)

    @property
    def is_healthy(self) -> bool:
        """Whether nothing needs to be looked at: the answer is 200, not 503."""
        return self.status == "healthy"


def health_json(vitals: Vitals) -> bytes:
    """The body of /health. Money is a number with all its digits."""
    updated_ns = max((each.updated_ns for each in vitals.sources), default=None)
    cost_nusd = vitals.ledger.cost_nusd
    body = {
        "status": vitals.status,
        "connection_status": vitals.connection_status,
        "uptime_seconds": int(vitals.uptime_s),
        "total_events": vitals.ledger.events,
        "total_cost": None if cost_nusd is None else Decimal(usd_text(cost_nusd, decimals=1)),
        "last_update": None if updated_ns is None else iso(updated_ns),
        "error": vitals.trouble,
        "version": __version__,
        "sources": {each.name: _source_json(each) for each in vitals.sources},
    }
    return _encoder.encode(body) + b"\n"


def _source_json(source: SourceVitals) -> dict[str, Any]:
    return {
        "state": source.state,
        "error": source.error,
        "last_event": None if source.last_event_ns is None else iso(source.last_event_ns),
        "events": source.events,
        "events_per_second": round(source.events_per_s, 3),
        "lag_seconds": None if source.lag_s is None else round(source.lag_s, 3),
        "saturation": source.saturation,
        "gaps": source.gaps,
        "rejected": source.rejected,
    }


def highest_run_id(db: Path) -> int:
    """The last run that is stored; 0 where there is none, or no ledger. All above it will be of this process."""
    try:
        with closing(sqlite3.connect(read_only_uri(db), uri=True, timeout=5.0)) as con:
            return int(con.execute("select ifnull(max(run_id), 0) from run").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


@asynccontextmanager
async def watching(settings: Settings, after_run_id: int) -> AsyncIterator[Watch]:
    """Opens the ledger to look at it. Raises sqlite3.Error where there is none."""
    async with aiosqlite.connect(read_only_uri(settings.db), uri=True, timeout=5.0, isolation_level=None) as db:
        db.row_factory = sqlite3.Row
        yield Watch(db, settings.db, after_run_id, secrets_of(settings))


class Watch:
    """The ledger, looked at again and again. Reads nothing where nothing was stored since the last time.

    No name and no error that it reads holds any of the `secrets`.
    """

    def __init__(self, db: aiosqlite.Connection, path: Path, after_run_id: int, secrets: Sequence[str] = ()) -> None:
        self._db, self._path, self._after_run_id, self._secrets = db, path, after_run_id, secrets
        self._seen: dict[str, int] = {}  # `pragma data_version` when sources and ledger were read
        self._ledger_due_s = 0.0
        self._rows: list[Row] = []
        self._ledger = LedgerVitals()
        self._rates = Rates()
        self._newest: dict[str, tuple[int, float]] = {}  # its newest event, and how old that was when it was stored

    async def look(self, uptime_s: float) -> Vitals:
        """The snapshot of now. Raises sqlite3.Error where the ledger cannot be read."""
        ((version,),) = await self._db.execute_fetchall("pragma data_version")
        if self._seen.get("sources") != version:
            self._rows = await self._select("process_sources", {"after_run_id": self._after_run_id})
            self._seen["sources"] = version
            self._note_lags()
        is_over = bool(self._ledger.budgets) and uptime_s >= self._ledger_due_s + BUDGETS_S  # perhaps a day has begun
        if is_over or (self._seen.get("ledger") != version and uptime_s >= self._ledger_due_s):
            began_s = time.monotonic()
            self._ledger = await self._read_ledger()
            self._seen["ledger"] = version
            self._ledger_due_s = uptime_s + (time.monotonic() - began_s) / LEDGER_SHARE
        return Vitals(
            uptime_s,
            is_read=True,
            sources=self._sources(uptime_s),
            ledger=self._ledger,
            database_bytes=_size(self._path),
            wal_bytes=_size(Path(f"{self._path}-wal")),
        )

    async def _read_ledger(self) -> LedgerVitals:
        """All of one moment."""
        await self._db.execute("begin")
        try:
            ((events,),) = await self._db.execute_fetchall(_EVENTS)
            return LedgerVitals(
                events=events,
                usage=await self._select("source_model_usage"),
                losses=await self._select("source_losses"),
                jobs=await self._select("last_job_runs"),
                budgets=await used(self._db, time.time_ns()),
            )
        except asyncio.CancelledError:
            await self._db.interrupt()  # whoever ends us does not wait for a long query's end
            raise
        finally:
            await self._db.execute("rollback")

    async def _select(self, query: str, values: Mapping[str, Any] | None = None) -> list[Row]:
        rows = await self._db.execute_fetchall(sql(f"queries/{query}.sql"), dict(values or {}))
        return [without_secrets(dict(row), self._secrets) for row in rows]

    def _note_lags(self) -> None:
        for row in self._rows:
            name, event_ns = row["source"], row["last_event_ns"]
            if event_ns is not None and self._newest.get(name, (None,))[0] != event_ns:
                self._newest[name] = event_ns, max(0.0, (row["updated_ns"] - event_ns) / 1e9)

    def _sources(self, uptime_s: float) -> list[SourceVitals]:
        found = sources_of(self._rows, self._ledger.losses, self._rates.at(uptime_s, self._rows))
        lags = zip(found, (self._newest.get(row["source"], (0, None))[1] for row in self._rows), strict=True)
        return [replace(each, lag_s=lag_s) for each, lag_s in lags]


class Rates:
    """Events a second of each source, from what it was seen to have had."""

    def __init__(self) -> None:
        self._counts: deque[tuple[float, dict[str, int]]] = deque()  # of the last RATE_S

    def at(self, time_s: float, rows: Sequence[Row]) -> dict[str, float]:
        """Those of the last RATE_S, or since the first look; `rows` are those of process_sources now."""
        self._counts.append((time_s, {row["source"]: row["events"] for row in rows}))
        while time_s - self._counts[0][0] > RATE_S:
            self._counts.popleft()
        then_s, then = self._counts[0]
        now = self._counts[-1][1]
        return {name: (events - then.get(name, 0)) / max(1.0, time_s - then_s) for name, events in now.items()}


def sources_of(
    rows: Sequence[Row], losses: Sequence[Row], rates: Mapping[str, float], *, is_running: bool = True
) -> list[SourceVitals]:
    """Rows of process_sources and source_losses → the sources, without lags. Not running: of a process that is gone."""
    lost = {row["source"]: row for row in losses}
    none: Row = {"gaps": 0, "rejected": 0}
    copied = ("kind", "updated_ns", "connections", "frames", "events", "last_event_ns", "saturation")
    return [
        SourceVitals(
            **{name: row[name] for name in copied},
            **{name: lost.get(row["source"], none)[name] for name in none},
            name=repeated(row["source"]),
            state=_state(row, is_running=is_running),
            how=source_word(row["state"], row["outcome"], row["frames"], is_running=is_running),
            error=None if row["error"] is None else repeated(row["error"], 1000),
            events_per_s=rates[row["source"]] if is_running else 0.0,
            lag_s=None,
        )
        for row in rows
    ]


def _state(row: Row, *, is_running: bool) -> str:
    """What a source does. A run that has ended is over, unless it failed; so is one whose process is gone."""
    if row["outcome"] is not None:
        return "error" if row["outcome"] == "failed" else "ended"
    return (row["state"] or "connecting") if is_running else "ended"


def _size(path: Path) -> int | None:
    with suppress(OSError):
        return path.stat().st_size
    return None
