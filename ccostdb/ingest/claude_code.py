"""One pass over transcript files, and the loop that follows them as they are written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from copy import copy
from dataclasses import dataclass

from ccostdb import ledger
from ccostdb.ingest.outcome import Outcome, Progress, recorded_run
from ccostdb.machine import give_back_memory, on_one_core
from ccostdb.model import Batch
from ccostdb.prices.book import PriceBook
from ccostdb.settings import Settings
from ccostdb.sources.transcript_files import BYTES_A_PART, FoundFile, Part, Shelf, find_files
from ccostdb.stopping import stopped_within
from ccostdb.store import Store

NAME = "claude-code"


async def ingest_claude_code(
    store: Store,
    settings: Settings,
    *,
    once: bool,
    stop: asyncio.Event,
    on_progress: Callable[[Progress], None] | None = None,
    is_alone: bool = False,
) -> Outcome:
    """Records what is new in the transcripts; unless `once`, goes on as they grow until `stop`.

    `is_alone`: nothing else waits for the event loop, a transaction or the processor: files are read in the loop's
    thread, batches share transactions, and the threads a core.
    """
    source_id = await store.source_id(NAME, "files")
    outcome = Outcome(NAME)
    async with recorded_run(store, source_id, "reading", outcome) as run_id:
        shelf = Shelf(await store.positions(source_id), store.new_position_id)
        one = _Pass(store, source_id, run_id, shelf, await store.price_book(), outcome, on_progress, is_alone)
        while True:
            files = await asyncio.to_thread(find_files, settings.claude_paths)
            await one.read(shelf.changed(files), stop)
            if once or stop.is_set() or await stopped_within(stop, settings.follow_interval_s):
                break
        outcome.outcome = "stopped" if stop.is_set() else "ok" if files else "no_data"
        outcome.files = len(files)
    return outcome


@dataclass(frozen=True, slots=True)
class _Pass:
    """What it takes to turn a part of the files into rows."""

    store: Store
    source_id: int
    run_id: int
    shelf: Shelf
    book: PriceBook
    outcome: Outcome
    on_progress: Callable[[Progress], None] | None
    is_alone: bool

    async def read(self, files: list[FoundFile], stop: asyncio.Event) -> None:
        """Everything new in these files. Ends early, between two batches, when `stop` is set."""
        if not files:
            return
        total_bytes, done_bytes = sum(file.size_bytes for file in files), 0
        parts = self.shelf.read_new(files, time.time_ns())
        is_much = self.shelf.unread_bytes(files) > BYTES_A_PART
        async with AsyncExitStack() as stack:
            if is_much:
                await stack.enter_async_context(self.store.importing(may_share=self.is_alone))
            if is_much and self.is_alone:
                stack.enter_context(on_one_core())
            while not stop.is_set() and (part := await self._next(parts)) is not None:
                await self._append(part)
                done_bytes += part.bytes_done
                if self.on_progress:
                    self.on_progress(Progress(NAME, done_bytes, total_bytes))
            if not stop.is_set():  # views are right all the same, and whoever stops us waits
                await self.store.refresh()
        if is_much and not self.is_alone:
            give_back_memory()

    async def _next(self, parts: Iterator[Part]) -> Part | None:
        """The next part: read in a thread where others need this one, else here, which is quicker by a twentieth."""
        return next(parts, None) if self.is_alone else await asyncio.to_thread(next, parts, None)

    async def _append(self, part: Part) -> None:
        now_ns = time.time_ns()
        stored = await self.store.stored_calls({seen.call_id for seen in part.sightings})
        before = {call_id: copy(call) for call_id, call in stored.items()}
        calls = ledger.fold(stored, part.sightings, self.shelf.ages)
        for call in calls.values():
            ledger.finish(call, self.book)
        batch = Batch(
            self.source_id,
            self.run_id,
            now_ns,
            calls=[calls[call_id] for call_id, was in before.items() if calls[call_id] != was],
            new_calls=[call for call_id, call in calls.items() if call_id not in before],
            rejects=part.rejects,
            positions=part.positions,
            frames=part.lines,
            events=len(part.sightings),
            state="reading",
            last_event_ns=max((call.occurred_ns for call in calls.values()), default=None),
        )
        await self.store.append(batch)
        self._count(batch)

    def _count(self, batch: Batch) -> None:
        self.outcome.frames += batch.frames
        self.outcome.events += batch.events
        self.outcome.calls += len(batch.new_calls)
        self.outcome.rows += batch.row_count
        self.outcome.rejected += sum(each.times for each in batch.rejects)
