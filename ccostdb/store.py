"""The only door to SQLite for writing: one process, one connection, a transaction a batch, or for some of an import.

Rows, positions and the run's progress are appended together or not at all.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, closing
from functools import partial
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import aiosqlite

from ccostdb import rollups
from ccostdb.clock import calendar_row
from ccostdb.lock import writing_lock
from ccostdb.machine import without_cycles
from ccostdb.model import QUARTER_HOUR_NS, QUARTER_HOUR_S, Batch, Call, Position, call_of_row
from ccostdb.prices.book import PriceBook
from ccostdb.prices.plan import BOOK, Rate
from ccostdb.resources import sql
from ccostdb.schema import WRITER_PRAGMAS, prepare, read_only_uri
from ccostdb.settings import Settings
from ccostdb.store_batch import add_the_rest
from ccostdb.store_names import Names
from ccostdb.store_rows import call_rows, places, put_call
from ccostdb.write_retry import Patience

# sqlite3 binds None only after it has looked for somebody who would rather, and made an error of not finding one.
sqlite3.register_adapter(type(None), lambda none: none)

MOST_STORED_IDS = 100_000
LONG_REFRESH_S = 0.25
BATCHES_A_TRANSACTION = 16  # of an import that is alone: a page that each of them changes is written once


@asynccontextmanager
async def open_store(settings: Settings, stop: asyncio.Event | None = None) -> AsyncIterator[Store]:
    """Takes the ledger's lock, brings the file up to date, and opens it for writing.

    With `stop`, writes that a full disk or another's lock keeps from it are tried again until it is set; without,
    they raise. Raises StoreBusy, NotOurs, SchemaTooNew.
    """
    waits_s = 30.0 if stop is None else 1.0  # for another's lock; SQLite's own wait cannot be told to end
    with writing_lock(settings.db):
        prepare(settings)
        async with aiosqlite.connect(settings.db, isolation_level=None, timeout=waits_s) as db:
            for pragma in WRITER_PRAGMAS:
                await db.execute(pragma)
            made = await db.execute(sql("store/opened.sql"))
            home_tz, next_position_id, is_empty = tuple(await made.fetchone() or ("UTC", 1, False))
            if settings.home_tz not in (None, home_tz):
                home_tz = settings.home_tz or home_tz
                await rollups.rezone(db, ZoneInfo(home_tz))
            # Closed before the writer, which clears up as the last.
            with closing(sqlite3.connect(read_only_uri(settings.db), uri=True, timeout=5.0)) as reader:
                yield Store(
                    db, reader, settings, ZoneInfo(home_tz), next_position_id, is_empty=bool(is_empty), stop=stop
                )


class Store:
    """An open ledger. Its caches hold only what is committed, or will be with the transaction that is open."""

    def __init__(
        self,
        db: aiosqlite.Connection,
        reader: sqlite3.Connection,
        settings: Settings,
        home_tz: ZoneInfo,
        next_position_id: int,
        *,
        is_empty: bool,
        stop: asyncio.Event | None,
    ) -> None:
        self.db = db
        self._reader = reader  # for what has to be told at once
        self.home_tz = home_tz
        self._position_ids = count(next_position_id)
        self._turn = asyncio.Lock()  # one transaction at a time, whichever source it is for
        self.patience = Patience(db, self._turn, stop)
        self._has_patience = stop is not None  # then others wait for a transaction, too: they need short ones
        self._batches = 0  # in the transaction that is open
        self._batches_a_transaction = 1
        self._settings = settings
        self._names = Names(db)
        self._buckets: set[int] = set()
        self._with_calls: set[int] = set()  # sources
        # Every id that is stored, while an import fills a ledger that was empty. None: ask. Spares it look-ups.
        self._stored_ids: set[str] | None = None
        self._is_empty = is_empty

    async def source_id(self, kind: str, address: str) -> int:
        """The id of a source, made when it is new. The first of a kind bears its name, others their address too."""
        counted = self._settings.cco_counted if kind == "cco" else None

        async def put() -> None:
            async with self.transaction() as db:
                await db.execute(sql("store/put_source.sql"), (kind, address))
                await db.execute("update source set counted_setting = ? where kind = ?", (counted, kind))

        await self.patience.insist(put)
        found = await self._row("select source_id from source where kind = ? and address = ?", (kind, address))
        return int(found[0])

    async def start_run(self, source_id: int, now_ns: int, state: str) -> int:
        """A new row of `run`."""

        async def insert() -> int:
            names, values = "source_id, started_ns, updated_ns, state", (source_id, now_ns, now_ns, state)
            async with self.alone() as db:
                done = await db.execute(f"insert into run ({names}) values (?, ?, ?, ?)", values)
            return int(done.lastrowid or 0)

        run_id = await self.patience.insist(insert)
        self.patience.open_runs.add(run_id)
        return run_id

    async def finish_run(self, run_id: int, outcome: str, error: str | None, now_ns: int) -> None:
        """The run's outcome: ok, no_data, failed or stopped."""
        names = "outcome = ?, error = ?, ended_ns = ?, updated_ns = ?, state = null"

        async def update() -> None:
            async with self.alone() as db:
                await db.execute(f"update run set {names} where run_id = ?", (outcome, error, now_ns, now_ns, run_id))

        await self.patience.insist(update)
        self.patience.open_runs.discard(run_id)

    async def positions(self, source_id: int) -> list[Position]:
        """Every position of a source, in the order of their ids."""
        names = ", ".join(Position.__struct_fields__)
        query = f"select {names} from position where source_id = ? order by position_id"
        return [Position(*row) for row in await self.db.execute_fetchall(query, (source_id,))]

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
        if not wanted:
            return {}
        # Padded to a power of two: sqlite3 keeps a hundred statements, and each number of ids would be another one.
        wanted += wanted[:1] * ((1 << (len(wanted) - 1).bit_length()) - len(wanted))
        query = sql("store/stored_calls.sql").replace("(?)", places(wanted))
        return {row[0]: call_of_row(row) for row in await self.db.execute_fetchall(query, wanted)}

    async def price_book(self) -> PriceBook:
        """The prices as they are stored; those of a provider are read when a model of its is met."""
        rates = f"select {', '.join(Rate._fields)} from price where origin"
        over = await self.db.execute_fetchall(f"{rates} <> ?", (BOOK,))
        return PriceBook(over, lambda provider: self._reader.execute(f"{rates} = ? and provider = ?", (BOOK, provider)))

    async def append(self, batch: Batch) -> None:
        """Everything in the batch, or nothing. In a transaction that is shared, it is stored with the last of them."""
        await self.patience.insist(partial(self._append, batch))

    @asynccontextmanager
    async def importing(self, *, may_share: bool) -> AsyncIterator[None]:
        """While much is appended: no waiting for the disk, on the one connection that all sources share.

        A power cut then takes back the last transactions of all of them, whole and newest first. Files are read again
        from where their positions are; of a stream, what its server no longer has is lost. `may_share`: several batches
        may share a transaction, for a batch that cannot be written ends the pass, and those before it come again.
        """
        try:
            async with self.alone() as db:
                await db.execute("pragma synchronous = normal")
                await db.execute("pragma cache_size = -16384")
            self._batches_a_transaction = BATCHES_A_TRANSACTION if may_share and not self._has_patience else 1
            self._stored_ids = set() if self._is_empty else None
            with without_cycles():
                yield
        finally:
            self._batches_a_transaction = 1
            self._stored_ids = None  # spread over all the memory that the import took, they would keep it
            async with self.alone() as db:
                for pragma in (*WRITER_PRAGMAS, "pragma shrink_memory"):
                    await db.execute(pragma)

    async def refresh(self) -> int:
        """Brings the rollups up to date, or ends early when the process is to end; how many quarter hours it was."""
        refreshed, most = 0, rollups.MOST_REFRESHED

        async def refresh_some() -> int:
            async with self.alone() as db:
                return await rollups.refresh(db, limit=most)

        while not self.patience.is_over:
            began_s = time.monotonic()
            some = await self.patience.insist(refresh_some)
            if some == 0:
                break
            refreshed += some
            if self._has_patience and time.monotonic() - began_s > LONG_REFRESH_S:
                most = max(1, most // 4)
        return refreshed

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[aiosqlite.Connection]:
        """The connection while nobody else writes, outside of a transaction: one that batches share ends before."""
        async with self._turn:
            await self._commit()
            yield self.db

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        """The connection in a transaction of its own: all or nothing, and blind to rows that are not committed."""
        async with self.alone() as db, rollups.transaction(db):
            yield db

    # --- the parts of a transaction ---

    async def _append(self, batch: Batch) -> None:
        async with self._turn:
            try:
                if self._batches == 0:
                    await self.db.execute("begin immediate")
                self._batches += 1
                await self._add_calls(batch)
                await add_the_rest(self.db, batch)
                if self._batches >= self._batches_a_transaction:
                    await self._commit()
            except BaseException:
                await self._roll_back()
                raise

    async def _commit(self) -> None:
        """Stores the batches that were appended since the last time, if there are any; cancelled, it may do so, too."""
        if self._batches == 0:
            return
        try:
            await self.db.execute("commit")
        except BaseException:
            await self._roll_back()
            raise
        self._batches = 0

    async def _roll_back(self) -> None:
        """Takes the open batches back, and forgets what the caches have from them."""
        self._batches = 0
        self._buckets.clear()
        self._with_calls.clear()
        self._names.forget()
        await rollups.roll_back(self.db)

    async def _add_calls(self, batch: Batch) -> None:
        calls = [*batch.calls, *batch.new_calls]
        if not calls:
            return
        await self._add_buckets({call.occurred_ns // QUARTER_HOUR_NS * QUARTER_HOUR_S for call in calls})
        ids = await self._names.ids_of(calls)
        for some, is_new in ((batch.calls, False), (batch.new_calls, True)):
            for rows, is_rare in zip(call_rows(batch.source_id, some, ids), (False, True), strict=True):
                if rows:
                    await self.db.executemany(put_call(is_new=is_new, is_rare=is_rare), rows)
        self._is_empty = False
        if self._stored_ids is not None:
            self._stored_ids.update([call.call_id for call in calls])
            self._stored_ids = self._stored_ids if len(self._stored_ids) <= MOST_STORED_IDS else None
        if batch.source_id not in self._with_calls:
            marked = "update source set has_calls = 1 where source_id = ? and has_calls = 0"
            await self.db.execute(marked, (batch.source_id,))
            self._with_calls.add(batch.source_id)

    async def _add_buckets(self, buckets: set[int]) -> None:
        if new := buckets - self._buckets:
            rows = [calendar_row(bucket_s, self.home_tz) for bucket_s in sorted(new)]
            await self.db.executemany("insert or ignore into calendar values (?, ?, ?, ?, ?)", rows)
            self._buckets |= new

    async def _row(self, query: str, values: tuple[Any, ...] = ()) -> Any:
        async with self.db.execute(query, values) as cursor:
            return await cursor.fetchone()
