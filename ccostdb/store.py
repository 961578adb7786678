"""The only door to SQLite for writing: one process, one connection, one transaction a batch.

Rows, positions and the run's progress are appended together or not at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sized
from contextlib import asynccontextmanager
from dataclasses import fields
from itertools import count
from operator import attrgetter
from typing import Any
from zoneinfo import ZoneInfo

import aiosqlite

from ccostdb import rollups
from ccostdb.clock import calendar_row
from ccostdb.model import QUARTER_HOUR_NS, QUARTER_HOUR_S, Batch, Call, DaemonEvent, Gap, Numbered, Position, Snapshot
from ccostdb.prices import PriceBook, Rate
from ccostdb.resources import sql
from ccostdb.schema import WRITER_PRAGMAS, prepare, writing_lock
from ccostdb.settings import Settings

MOST_STORED_IDS = 100_000
_CONTEXT = ("speed", "service_tier", "inference_geo", "entrypoint", "version", "git_branch")
_INTERNED = ("model", "project", "agent", "session")
_PLAIN = tuple(  # columns of `call` that hold what the field of the same name says
    name for name in Call.__struct_fields__ if name not in {*_CONTEXT, *_INTERNED, "provider"}
)
_COLUMNS = ("source_id", *(f"{name}_id" for name in _INTERNED), "context_id", *_PLAIN)
_PUT_CALL = (
    f"insert into call ({', '.join(_COLUMNS)}) values ({', '.join('?' * len(_COLUMNS))}) "
    f"on conflict (call_id) do update set {', '.join(f'{name} = excluded.{name}' for name in _COLUMNS[1:])}"
)
_plain_of, _context_of, _names_of = attrgetter(*_PLAIN), attrgetter(*_CONTEXT), attrgetter(*_INTERNED)
_gap_of = attrgetter(*(each.name for each in fields(Gap)))
_position_of = attrgetter(*(each.name for each in fields(Position)))


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[Store]:
    """Takes the ledger's lock, brings the file up to date, and opens it for writing.

    Raises StoreBusy, NotOurs, SchemaTooNew.
    """
    with writing_lock(settings.db):
        prepare(settings)
        async with aiosqlite.connect(settings.db, isolation_level=None, timeout=30.0) as db:
            for pragma in WRITER_PRAGMAS:
                await db.execute(pragma)
            made = await db.execute(sql("store/opened.sql"))
            home_tz, next_position_id, is_empty = tuple(await made.fetchone() or ("UTC", 1, False))
            if settings.home_tz not in (None, home_tz):
                home_tz = settings.home_tz or home_tz
                await rollups.rezone(db, ZoneInfo(home_tz))
            yield Store(db, settings, ZoneInfo(home_tz), next_position_id, bool(is_empty))


class Store:
    """An open ledger. Its caches hold only what is committed."""

    def __init__(
        self, db: aiosqlite.Connection, settings: Settings, home_tz: ZoneInfo, next_position_id: int, is_empty: bool
    ) -> None:
        self.db = db
        self.home_tz = home_tz
        self._position_ids = count(next_position_id)
        self._turn = asyncio.Lock()  # one transaction at a time, whichever source it is for
        self._settings = settings
        self._ids: dict[str, dict[Any, int]] = {name: {} for name in (*_INTERNED, "context")}
        self._buckets: set[int] = set()
        # Every id that is stored, while a ledger that was empty fills; None: too many, or not known. Spares a look-up.
        self._stored_ids: set[str] | None = set() if is_empty else None

    async def source_id(self, kind: str, address: str) -> int:
        """The id of a source, made when it is new. The first of a kind bears its name, others their address too."""
        counted = self._settings.cco_counted if kind == "cco" else None
        async with self._turn:
            await self.db.execute(sql("store/put_source.sql"), (kind, address))
            await self.db.execute("update source set counted_setting = ? where kind = ?", (counted, kind))
        found = await self._row("select source_id from source where kind = ? and address = ?", (kind, address))
        return int(found[0])

    async def start_run(self, source_id: int, now_ns: int, state: str) -> int:
        """A new row of `run`."""
        async with self._turn:
            done = await self.db.execute(
                "insert into run (source_id, started_ns, updated_ns, state) values (?, ?, ?, ?)",
                (source_id, now_ns, now_ns, state),
            )
        return int(done.lastrowid or 0)

    async def finish_run(self, run_id: int, outcome: str, error: str | None, now_ns: int) -> None:
        """The run's outcome: ok, no_data, failed or stopped."""
        async with self._turn:
            await self.db.execute(
                "update run set outcome = ?, error = ?, ended_ns = ?, updated_ns = ?, state = null where run_id = ?",
                (outcome, error, now_ns, now_ns, run_id),
            )

    async def positions(self, source_id: int) -> list[Position]:
        """Every position of a source, in the order of their ids."""
        names = ", ".join(each.name for each in fields(Position))
        query = f"select {names} from position where source_id = ? order by position_id"
        async with self.db.execute(query, (source_id,)) as cursor:
            return [Position(*row) async for row in cursor]

    async def position(self, source_id: int, name: str) -> Position | None:
        """The current position of one thing of a source ('' is a stream)."""
        found = [each for each in await self.positions(source_id) if each.name == name and each.is_current]
        return found[-1] if found else None

    def new_position_id(self) -> int:
        """An id that no position has, and none will be given again: one process writes."""
        return next(self._position_ids)

    async def stored_calls(self, call_ids: Iterable[str]) -> dict[str, Call]:
        """The calls that the ledger has of these."""
        wanted = tuple(call_ids if self._stored_ids is None else self._stored_ids.intersection(call_ids))
        query = sql("store/stored_calls.sql").replace("(?)", _places(wanted))
        async with self.db.execute(query, wanted) as cursor:
            columns = [column[0] for column in cursor.description]
            calls = [Call(**dict(zip(columns, row, strict=True))) async for row in cursor]
        return {call.call_id: call for call in calls}

    async def price_book(self) -> PriceBook:
        """The prices as they are stored."""
        async with self.db.execute(f"select {', '.join(Rate._fields)} from price") as cursor:
            return PriceBook(await cursor.fetchall())

    async def append(self, batch: Batch) -> None:
        """Everything in the batch in one transaction, or nothing."""
        async with self._turn:
            await self.db.execute("begin immediate")
            try:
                await self._add_calls(batch)
                await self._add_events(batch)
                await self._add_positions(batch)
                await self._add_progress(batch)
                await self.db.execute("commit")
            except BaseException:
                if self.db.in_transaction:  # a task that is cancelled may be stopped before it begins, or after it ends
                    await self.db.execute("rollback")
                self._buckets.clear()
                self._stored_ids = None
                for ids in self._ids.values():
                    ids.clear()
                raise

    async def refresh(self) -> None:
        """Brings the rollups up to date."""
        is_done = False
        while not is_done:
            async with self._turn:
                is_done = await rollups.refresh(self.db) == 0

    # --- the parts of a transaction ---

    async def _add_calls(self, batch: Batch) -> None:
        calls = batch.calls
        if not calls:
            return
        await self._add_buckets({call.occurred_ns // QUARTER_HOUR_NS * QUARTER_HOUR_S for call in calls})
        await self._intern_models(calls)
        names = [_names_of(call) for call in calls]
        words = [_context_of(call) for call in calls]
        for table, seen in zip(_INTERNED[1:], list(zip(*names, strict=True))[1:], strict=True):
            await self._intern(table, set(seen))
        await self._intern_contexts(set(words))
        models, projects, agents, sessions, contexts = self._ids.values()
        source_id, nothing = batch.source_id, (None,) * len(_CONTEXT)
        models[None] = projects[None] = agents[None] = sessions[None] = contexts[nothing] = 0
        rows = [
            (source_id, models[m], projects[p], agents[a], sessions[s], contexts[said], *_plain_of(call))
            for call, (m, p, a, s), said in zip(calls, names, words, strict=True)
        ]
        await self.db.executemany(_PUT_CALL, rows)
        if self._stored_ids is not None:
            self._stored_ids.update(call.call_id for call in calls)
            self._stored_ids = self._stored_ids if len(self._stored_ids) <= MOST_STORED_IDS else None
        await self.db.execute("update source set has_calls = 1 where source_id = ? and has_calls = 0", (source_id,))

    async def _add_buckets(self, buckets: set[int]) -> None:
        if new := buckets - self._buckets:
            rows = [calendar_row(bucket_s, self.home_tz) for bucket_s in sorted(new)]
            await self.db.executemany("insert or ignore into calendar values (?, ?, ?, ?, ?)", rows)
            self._buckets |= new

    async def _intern_models(self, calls: list[Call]) -> None:
        known = self._ids["model"]
        new = {call.model: call.provider for call in calls if call.model is not None and call.model not in known}
        if new:
            await self.db.executemany("insert or ignore into model (name, provider) values (?, ?)", new.items())
            await self._intern("model", set(new))

    async def _intern(self, table: str, names: set[str | None]) -> None:
        """Learns the ids of names, which are added where they are new."""
        known = self._ids[table]
        new = tuple(name for name in names if name is not None and name not in known)
        if new:
            await self.db.executemany(f"insert or ignore into {table} (name) values (?)", [(name,) for name in new])
            query = f"select name, {table}_id from {table} where name in {_places(new)}"
            async with self.db.execute(query, new) as cursor:
                known.update({name: number async for name, number in cursor})

    async def _intern_contexts(self, contexts: set[tuple[str | None, ...]]) -> None:
        """Learns the ids of combinations, which are added where they are new. NULL and '' are not the same."""
        known, names = self._ids["context"], ", ".join(_CONTEXT)
        if contexts - known.keys():
            all_known = f"select {names}, context_id from context"
            known.update({tuple(row[:-1]): row[-1] for row in await self.db.execute_fetchall(all_known)})
            new = [each for each in contexts if each not in known and any(word is not None for word in each)]
            await self.db.executemany(f"insert into context ({names}) values (?, ?, ?, ?, ?, ?)", new)
            known.update({tuple(row[:-1]): row[-1] for row in await self.db.execute_fetchall(all_known)})

    async def _add_events(self, batch: Batch) -> None:
        source_id = batch.source_id
        if batch.activities:
            rows = [_activity_row(source_id, each, batch.now_ns) for each in batch.activities]
            await self.db.executemany(sql("store/add_activity.sql"), rows)
        if batch.snapshot:
            await self.db.execute(sql("store/add_snapshot.sql"), _snapshot_row(source_id, batch.snapshot))
        if batch.daemon_events:
            rows = [(source_id, *_daemon_event_row(each)) for each in batch.daemon_events]
            await self.db.executemany(sql("store/add_daemon_event.sql"), rows)
        samples = [(source_id, each.endpoint, each.polled_ns, each.body, each.error) for each in batch.samples]
        await self.db.executemany(sql("store/add_sample.sql"), samples)
        for gap in batch.gaps:
            await self.db.execute(sql("store/add_gap.sql"), (source_id, *_gap_of(gap)))
        rejects = [(source_id, each.at_ns, each.place, each.reason, each.excerpt, each.times) for each in batch.rejects]
        await self.db.executemany(sql("store/add_rejected.sql"), rejects)

    async def _add_positions(self, batch: Batch) -> None:
        if batch.positions:
            rows = [(batch.source_id, *_position_of(each)) for each in batch.positions]
            await self.db.executemany(sql("store/put_position.sql"), rows)

    async def _add_progress(self, batch: Batch) -> None:
        rows = len(batch.calls) + len(batch.activities) + len(batch.daemon_events) + len(batch.samples)
        rejected = sum(each.times for each in batch.rejects)
        progress = (
            *(batch.now_ns, batch.state, batch.connections, batch.frames, batch.events, rows, rejected),
            *(batch.saturation, batch.last_event_ns, batch.run_id, batch.error),
        )
        await self.db.execute(sql("store/add_progress.sql"), progress)

    async def _row(self, query: str, values: tuple[Any, ...] = ()) -> Any:
        async with self.db.execute(query, values) as cursor:
            return await cursor.fetchone()


def _places(values: Sized) -> str:
    """`(?, ?, …)`, a place for each value. Bound, because a text with a NUL would be cut in a JSON list."""
    return f"({', '.join('?' * len(values))})"


def _activity_row(source_id: int, numbered: Numbered, now_ns: int) -> tuple[Any, ...]:
    event = numbered.activity
    is_unreadable = event.occurred_ns is None
    return (
        *(source_id, numbered.epoch, numbered.seq, event.timestamp),
        *(now_ns if is_unreadable else event.occurred_ns, is_unreadable, event.event_type, event.agent_name),
        *(event.model, event.tokens, event.latency_ms, event.status, event.cost_text, event.cost_nusd, event.raw),
    )


def _daemon_event_row(event: DaemonEvent) -> tuple[Any, ...]:
    is_unreadable = event.occurred_ns is None
    return (
        *(event.event_id, event.family, event.kind, event.profile, event.timestamp),
        *(event.received_ns if is_unreadable else event.occurred_ns, is_unreadable, event.received_ns),
        *(event.runtime, event.payload, event.is_shortened, event.content_sha256),
    )


def _snapshot_row(source_id: int, snapshot: Snapshot) -> tuple[Any, ...]:
    return (
        *(source_id, snapshot.received_ns, snapshot.last_updated_ns, snapshot.uptime_s, snapshot.calls),
        *(snapshot.cost_text, snapshot.cost_nusd, snapshot.models),
    )
