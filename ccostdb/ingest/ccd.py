"""One pass over CCD's event stream, or over its events as lines of a file.

The stream replays nothing, so its reader never waits for SQLite: what it takes in lies in a bounded queue until the
writer appends it, in batches. Times without a connection, and events that found the queue full, are gaps.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from contextlib import aclosing, suppress
from dataclasses import replace

from ccostdb.errors import Rejected
from ccostdb.ingest.ccd_lines import record_lines
from ccostdb.ingest.ccd_rows import BATCH_EVENTS, GATHER_S, NAME, Rows, event_max_bytes, read_event
from ccostdb.ingest.following import HEARTBEAT_S, Shown
from ccostdb.ingest.outcome import Outcome, recorded_run
from ccostdb.ingest.punctuality import Punctuality
from ccostdb.model import DaemonEvent, Gap, Position, Reject
from ccostdb.settings import Settings
from ccostdb.sources.ccd import address_of
from ccostdb.sources.sse import Connected, Disconnected, Item, Received, read_stream
from ccostdb.stopping import unless
from ccostdb.store import Store

QUEUE_EVENTS = 2000
QUEUE_CHARACTERS = 8 * 1024 * 1024  # beyond these it is full, too: payloads may be large
LARGE_CHARACTERS = 64 * 1024  # an event of more is understood in a thread: 4 MiB can take a second
# CCD sends a comment every 15 s without events: three of them must be missing. So a shorter `stream_dead_after_s`,
# which is made for CCO's frame every 5 s, does not hold here; a longer one does.
DEAD_AFTER_S = 45.0
OUTAGE_NS = 10_000_000_000  # what is dropped within so long of the last is of one gap: the queue empties now and then
ONCE_QUIET_S = 2.0  # with `once`: so long without an event is the end
ONCE_LONGEST_S = 10.0
log = logging.getLogger(__name__)


async def ingest_ccd(
    store: Store, settings: Settings, *, once: bool, stop: asyncio.Event, path: str | None = None
) -> Outcome:
    """Records daemon events until `stop`: of the stream, of the file `path` as it grows, or of stdin (`-`) to its end.

    With `once` a file is read to its end, and of the stream what comes until it is quiet for a moment. A stream that
    does not answer is tried again; with `once` it is not, and the outcome is `failed`.
    """
    source_id = await store.source_id(NAME, "files" if path else address_of(settings.ccd_url))
    outcome = Outcome(NAME)
    async with recorded_run(store, source_id, "reading" if path else "connecting", outcome) as run_id:
        rows = Rows(store, source_id, run_id, outcome)
        if path:
            outcome.outcome = await record_lines(rows, settings, path, once=once, stop=stop)
        else:
            outcome.outcome = await _Stream(rows, settings, is_once=once).record(stop)
    return outcome


class _Stream:
    """What the reader and the writer of one stream share. Neither waits for the other."""

    def __init__(self, rows: Rows, settings: Settings, *, is_once: bool) -> None:
        self._rows = rows
        self._settings = settings
        self._is_once = is_once
        self._queue: asyncio.Queue[DaemonEvent | Reject] = asyncio.Queue(QUEUE_EVENTS)
        self._queue_characters = 0
        self._has_news = asyncio.Event()
        self._is_due = asyncio.Event()  # a batch is full, or half the queue
        self._is_over = asyncio.Event()  # nothing will be read any more
        self._is_connected = False
        self._is_found = False
        self._connected_until_ns: int | None = None  # when it was last heard in time; None: never was
        self._punctuality = Punctuality()
        self._dropped_until_ns: int | None = None  # the last stored gap is of dropped events, until then
        self._shown = Shown(NAME, log, is_following=not is_once)
        self._begin()

    def _begin(self) -> None:
        """Nothing was read since the last append."""
        self._frames = self._connections = self._dropped = 0
        self._dropped_ns: tuple[int, int] | None = None  # from, to
        self._gaps: list[Gap] = []
        self._state: str | None = None

    async def record(self, stop: asyncio.Event) -> str:
        """Reads and writes until `stop`, or until the stream was quiet with `once`; returns the run's outcome."""
        position = await self._rows.store.position(self._rows.source_id, "")
        position = position or Position(self._rows.store.new_position_id(), "")
        if position.state:
            self._connected_until_ns = json.loads(position.state)["connected_until_ns"]
        tasks = reading, writing, _ = [
            asyncio.create_task(each)
            for each in (unless(stop, self._read()), self._write(position), self._punctuality.watch())
        ]
        try:
            await asyncio.wait((reading, writing), return_when=asyncio.FIRST_COMPLETED)
            reading.cancel()  # the writer has failed
            await asyncio.wait((reading,))
            for event in (self._is_over, self._has_news, self._is_due):
                event.set()
            await writing
            if not reading.cancelled():
                reading.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if stop.is_set():
            return "stopped"
        outcome = self._rows.outcome
        outcome.error = None if self._is_found else outcome.error or "no answer came"
        return "failed" if outcome.error else "ok" if outcome.frames else "no_data"

    # --- the reader: takes in what comes, and never waits for the ledger

    async def _read(self) -> None:
        settings = replace(
            self._settings,
            stream_dead_after_s=max(self._settings.stream_dead_after_s, DEAD_AFTER_S),
            frame_max_bytes=event_max_bytes(self._settings),
        )
        now_s = asyncio.get_running_loop().time
        last_s = now_s() + ONCE_LONGEST_S
        with suppress(TimeoutError):
            async with (
                asyncio.timeout_at(last_s if self._is_once else None) as quiet,
                aclosing(read_stream(settings.ccd_url, settings, None, settings.ccd_headers)) as items,
            ):
                async for item in items:
                    await self._take(item)
                    if self._is_once and isinstance(item, Disconnected):
                        return
                    if self._is_once and isinstance(item, Connected | Received):
                        quiet.reschedule(min(last_s, now_s() + ONCE_QUIET_S))

    async def _take(self, item: Item) -> None:
        now_ns, is_in_time = time.time_ns(), self._punctuality.is_in_time()
        self._punctuality.is_busy = True
        match item:
            case Connected():
                if self._connected_until_ns is not None:
                    from_ns = min(self._connected_until_ns, now_ns)
                    self._gaps.append(Gap(0, "disconnected", from_ns, now_ns, None, None, now_ns))
                    self._dropped_until_ns = None
                self._connections += 1
                self._has_news.set()
                self._is_connected = self._is_found = True
                self._rows.outcome.error = None
                self._turn("connected")
                if self._is_once:
                    log.info(
                        "%s: what CCD sent before cannot be sent again; reading what comes until it is quiet", NAME
                    )
            case Disconnected():
                self._lose(item)
            case Received():
                self._frames += 1
                self._has_news.set()
                self._put(await self._understood(item), item.at_ns)
        # What comes late may have come before the connection ended, which will be noticed next: the gap holds it, too.
        if self._is_connected and (is_in_time or isinstance(item, Connected)):
            self._connected_until_ns = now_ns
        self._punctuality.is_busy = False
        self._punctuality.is_in_time()

    async def _understood(self, received: Received) -> DaemonEvent | Reject:
        """What came. Should we be stopped meanwhile, it came after `_connected_until_ns`: the next gap has it."""
        frame, at_ns = received.frame, received.at_ns
        if isinstance(frame, Rejected):
            return Reject(at_ns, frame.reason)  # its excerpt would show a payload
        if len(frame.data) > LARGE_CHARACTERS:
            return await asyncio.to_thread(read_event, frame.data, at_ns, self._settings)
        return read_event(frame.data, at_ns, self._settings)

    def _put(self, taken: DaemonEvent | Reject, at_ns: int) -> None:
        size = _characters(taken)
        is_large = self._queue_characters + size > QUEUE_CHARACTERS and not self._queue.empty()
        if self._queue.full() or is_large:
            self._dropped += 1
            self._dropped_ns = (self._dropped_ns or (at_ns,))[0], at_ns
        else:
            self._queue.put_nowait(taken)
            self._queue_characters += size
        if self._queue.qsize() >= BATCH_EVENTS or self._queue_characters >= QUEUE_CHARACTERS // 2:
            self._is_due.set()

    def _lose(self, lost: Disconnected) -> None:
        """The connection is gone, or was not made, which is usual. Each reason is said once; the run has the last."""
        self._is_connected = False
        if self._shown.state != "connected":  # else what is told of the loss says it
            self._shown.say(f"{lost.reason}; it is tried again", logging.WARNING if lost.is_error else logging.INFO)
        self._rows.outcome.error = lost.reason
        self._turn("error" if lost.is_error else "disconnected")

    def _turn(self, state: str) -> None:
        if (new := self._shown.turn(state, self._rows.outcome.error)) is not None:
            self._state = new
            self._has_news.set()

    # --- the writer

    async def _write(self, position: Position) -> None:
        """Appends what was read, BATCH_EVENTS at a time or every GATHER_S, until it is over; idle, a heartbeat."""
        while not self._is_over.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._has_news.wait(), HEARTBEAT_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_due.wait(), GATHER_S)
            self._has_news.clear()
            self._is_due.clear()
            await self._append(position)
        await self._append(position)

    async def _append(self, position: Position) -> None:
        """Everything that was read so far."""
        is_first = True
        while is_first or not self._queue.empty():
            is_first = False
            taken = [self._queue.get_nowait() for _ in range(min(BATCH_EVENTS, self._queue.qsize()))]
            self._queue_characters -= sum(map(_characters, taken))
            until_ns = self._connected_until_ns
            if until_ns is not None:
                if not self._queue.empty():  # what is in it is lost if this process is, and must be in the gap then
                    until_ns = min(until_ns, _received_ns(taken[-1]))
                position.state = json.dumps({"connected_until_ns": until_ns})
            longer_gap = self._take_dropped()
            frames, gaps, connections, state = self._frames, self._gaps, self._connections, self._state
            self._begin()
            await self._rows.append(
                *(taken, position),
                frames=frames,
                gaps=gaps,
                longer_gap=longer_gap,
                connections=connections,
                state=state,
            )
            self._shown.say_gaps(gaps)

    def _take_dropped(self) -> Gap | None:
        """Makes a gap of what was dropped since the last append; gives it, where it is more of the one before."""
        if self._dropped_ns is None:
            return None
        from_ns, to_ns = self._dropped_ns
        dropped = Gap(0, "dropped", from_ns, to_ns, None, None, time.time_ns(), self._dropped)
        is_more = self._dropped_until_ns is not None and from_ns - self._dropped_until_ns <= OUTAGE_NS
        self._dropped_until_ns = to_ns
        if is_more:
            return dropped
        self._gaps.append(dropped)
        return None


def _received_ns(taken: DaemonEvent | Reject) -> int:
    return taken.received_ns if isinstance(taken, DaemonEvent) else taken.at_ns


def _characters(taken: DaemonEvent | Reject) -> int:
    """About how much memory one takes."""
    return len(taken.payload or "") + len(taken.runtime or "") if isinstance(taken, DaemonEvent) else 0
