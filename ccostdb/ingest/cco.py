"""One pass over CCO's stream: a frame's new events, its gaps and the window that it leaves, in one transaction."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing
from dataclasses import dataclass, field

from ccostdb.errors import Rejected
from ccostdb.ingest.cco_overrides import Overrides
from ccostdb.ingest.following import Shown, is_heartbeat_due
from ccostdb.ingest.outcome import Outcome, recorded_run
from ccostdb.ledger import call_of_activity
from ccostdb.model import Batch, Position, Reject, Snapshot
from ccostdb.settings import Settings
from ccostdb.sources import cco
from ccostdb.sources.cco_stream import frames
from ccostdb.sources.http_client import server_address
from ccostdb.sources.sse import Connected, Disconnected, Item, Pace, Received
from ccostdb.stopping import unless
from ccostdb.store import Store
from ccostdb.windows import WINDOW_SIZE, Step, WindowState, step

NAME = "cco"
FASTEST_S = 0.1
log = logging.getLogger(__name__)

_Counters = tuple[int | None, str | None, str | None]  # calls, cost and models of a snapshot


async def ingest_cco(store: Store, settings: Settings, *, once: bool, stop: asyncio.Event) -> Outcome:
    """Records what CCO shows, until `stop`; with `once` the one snapshot that whoever connects is sent.

    A server that does not answer is tried again; with `once` it is not, and the outcome is `failed`.
    """
    source_id = await store.source_id(NAME, server_address(settings.cco_url))
    outcome = Outcome(NAME)
    async with recorded_run(store, source_id, "connecting", outcome) as run_id:
        position = await store.position(source_id, "") or Position(store.new_position_id(), "")
        one = _Pass(
            store=store,
            batch=Batch(source_id, run_id, time.time_ns()),
            position=position,
            window=WindowState.from_json(position.state) if position.state else WindowState(),
            counters=await _last_counters(store, source_id),
            pace=Pace(settings.stream_reopen_s),
            overrides=Overrides(store, settings, source_id, run_id),
            longest_s=settings.stream_reopen_s,
            outcome=outcome,
            shown=Shown(NAME, log, is_following=not once),
        )
        await one.follow(settings, once, stop)
        outcome.outcome = "stopped" if stop.is_set() else "ok" if one.has_snapshot else "failed"
        if outcome.outcome == "failed":
            outcome.error = outcome.error or "no snapshot came"
    return outcome


def next_reopen_s(reopen_s: float, spacing_s: float, new_events: int, longest_s: float) -> float:
    """How soon to connect again. The first snapshot of a connection comes at once, so this is how often CCO is read.

    `spacing_s` is the time since the last frame. Where all events of a frame are new, more may have gone unseen.
    """
    if new_events >= WINDOW_SIZE:
        reopen_s = FASTEST_S
    elif new_events >= WINDOW_SIZE / 2:
        reopen_s = max(FASTEST_S, min(reopen_s, spacing_s) / 2)
    elif new_events <= 3:
        reopen_s *= 1.5
    return min(reopen_s, longest_s)


@dataclass(slots=True)
class _Pass:
    """What is remembered from one item of the stream to the next, and the batch that is not appended yet."""

    store: Store
    batch: Batch
    position: Position
    window: WindowState
    counters: _Counters | None
    pace: Pace
    overrides: Overrides
    longest_s: float
    outcome: Outcome
    shown: Shown
    has_snapshot: bool = False
    openings: int = 0
    frame_ns: int | None = None
    bad_elements: frozenset[tuple[str, str | None]] = frozenset()
    appended_s: float = field(default_factory=time.monotonic)

    async def follow(self, settings: Settings, once: bool, stop: asyncio.Event) -> None:
        """Takes what the stream brings. `stop` ends the wait for an item, but never what is done with it."""
        try:
            async with aclosing(frames(settings, self.pace)) as items:
                while not stop.is_set() and (item := await unless(stop, anext(items))) is not None:
                    await self.take(item)
                    if once and self.is_over(item):
                        break
            await self.append()
            await self.overrides.finish(stop)
        finally:
            await self.overrides.cancel()

    async def take(self, item: Item) -> None:
        """One item, appended at once if it brings anything new, else with a heartbeat."""
        self.batch.now_ns = time.time_ns()
        match item:
            case Connected():
                self.batch.connections += 1
            case Disconnected():
                self._lose(item)
            case Received():
                self.batch.frames += 1
                self.outcome.error = None
                self._turn("connected")
                await self._take_frame(item)
        if self.batch.state or self.batch.rejects or is_heartbeat_due(self.appended_s):
            await self.append()

    def is_over(self, item: Item) -> bool:
        """Whether one connection has given what it will: a snapshot, or none in its whole life."""
        if isinstance(item, Connected):
            self.openings += 1
        return self.has_snapshot or self.openings > 1 or isinstance(item, Disconnected)

    async def append(self) -> None:
        """Appends the batch and begins the next."""
        batch, outcome = self.batch, self.outcome
        batch.error = outcome.error
        await self.store.append(batch)
        self.shown.say_gaps(batch.gaps)
        outcome.frames += batch.frames
        outcome.events += batch.events
        outcome.calls += len(batch.calls)
        outcome.rows += len(batch.calls) + len(batch.activities)
        outcome.rejected += len(batch.rejects)
        outcome.gaps += len(batch.gaps)
        self.batch = Batch(batch.source_id, batch.run_id, time.time_ns())
        self.appended_s = time.monotonic()

    def _lose(self, lost: Disconnected) -> None:
        """The connection is gone. Each reason is said once; the run always has the last one."""
        self.shown.say(lost.reason)
        self.outcome.error = lost.reason
        self._turn("error" if lost.is_error else "disconnected")

    def _turn(self, state: str) -> None:
        self.batch.state = self.shown.turn(state, self.outcome.error) or self.batch.state

    async def _take_frame(self, received: Received) -> None:
        try:
            if isinstance(received.frame, Rejected):
                raise received.frame
            snapshot = cco.parse(received.frame, received.at_ns)
        except Rejected as rejected:
            self.batch.rejects.append(Reject(received.at_ns, rejected.reason, rejected.excerpt))
            return
        await self._take_snapshot(snapshot)
        self.has_snapshot = True

    async def _take_snapshot(self, snapshot: Snapshot) -> None:
        done, batch = step(self.window, snapshot), self.batch
        calls = [call_of_activity(batch.source_id, each, snapshot.received_ns) for each in done.new]
        batch.now_ns = snapshot.received_ns
        batch.activities += done.new
        batch.calls += [call for call in calls if call is not None]
        batch.gaps += done.gaps
        batch.events += len(done.new)
        batch.last_event_ns = max((call.occurred_ns for call in batch.calls), default=None)
        counters = (snapshot.calls, snapshot.cost_text, snapshot.models)
        is_stale = done.state is self.window and snapshot.activity is not None
        if counters != self.counters and not is_stale:
            batch.snapshot = snapshot
        self._set_pace(snapshot, done)
        self._reject_elements(snapshot)
        if done.is_changed or batch.snapshot or batch.rejects:
            self.position.state = done.state.to_json()
            batch.positions.append(self.position)
            await self.append()
        # A process that was killed may not have asked about overrides that a first window still shows.
        shown = [each.activity for each in done.new] if self.has_snapshot else snapshot.activity or ()
        self.overrides.notice(is_override=any(each.event_type == "model_override" for each in shown))
        # Only now: what is remembered is what is stored.
        self.window = done.state
        if batch.snapshot:
            self.counters = counters

    def _reject_elements(self, snapshot: Snapshot) -> None:
        """Once each: a bad element is shown in every frame until newer ones have pushed it out."""
        elements = frozenset((each.reason, each.excerpt) for each in snapshot.rejects)
        self.batch.rejects += [
            each for each in snapshot.rejects if (each.reason, each.excerpt) not in self.bad_elements
        ]
        self.bad_elements = elements

    def _set_pace(self, snapshot: Snapshot, done: Step) -> None:
        """Reads more often while much is new. All of a first window is, and nothing follows from it."""
        frame_ns, self.frame_ns = self.frame_ns, snapshot.received_ns
        if self.window.epoch and not done.is_restart and frame_ns is not None:
            spacing_s = (snapshot.received_ns - frame_ns) / 1e9
            self.pace.reopen_s = next_reopen_s(self.pace.reopen_s, spacing_s, len(done.new), self.longest_s)
            self.batch.saturation = max(self.batch.saturation or 0.0, done.saturation)


async def _last_counters(store: Store, source_id: int) -> _Counters | None:
    query = "select calls, cost_text, models from snapshot where source_id = ? order by snapshot_id desc limit 1"
    async with store.db.execute(query, (source_id,)) as cursor:
        row = await cursor.fetchone()
    return None if row is None else (row[0], row[1], row[2])
