"""What a batch brings beside its calls → statements, on a connection that is in a transaction."""

from __future__ import annotations

import aiosqlite

from ccostdb.model import Batch
from ccostdb.resources import sql
from ccostdb.store_rows import activity_row, daemon_event_row, gap_of, position_of, snapshot_row


async def add_the_rest(db: aiosqlite.Connection, batch: Batch) -> None:
    """Stores the events, positions and progress of a batch."""
    await _add_events(db, batch)
    await _add_positions(db, batch)
    await _add_progress(db, batch)


async def _add_events(db: aiosqlite.Connection, batch: Batch) -> None:
    source_id = batch.source_id
    if batch.activities:
        rows = [activity_row(source_id, each, batch.now_ns) for each in batch.activities]
        await db.executemany(sql("store/add_activity.sql"), rows)
    if batch.snapshot:
        await db.execute(sql("store/add_snapshot.sql"), snapshot_row(source_id, batch.snapshot))
    if batch.daemon_events:
        rows = [(source_id, *daemon_event_row(each)) for each in batch.daemon_events]
        await db.executemany(sql("store/add_daemon_event.sql"), rows)
    if batch.samples:
        samples = [(source_id, each.endpoint, each.polled_ns, each.body, each.error) for each in batch.samples]
        await db.executemany(sql("store/add_sample.sql"), samples)
    for gap in batch.gaps:
        await db.execute(sql("store/add_gap.sql"), (source_id, *gap_of(gap)))
    if (more := batch.longer_gap) is not None:
        row = (more.kind, more.to_ns, more.detected_ns, more.events, source_id)
        await db.execute(sql("store/lengthen_gap.sql"), row)
    rejects = [(source_id, each.at_ns, each.place, each.reason, each.excerpt, each.times) for each in batch.rejects]
    if rejects:
        await db.executemany(sql("store/add_rejected.sql"), rejects)


async def _add_positions(db: aiosqlite.Connection, batch: Batch) -> None:
    if batch.positions:
        rows = [(batch.source_id, *position_of(each)) for each in batch.positions]
        await db.executemany(sql("store/put_position.sql"), rows)


async def _add_progress(db: aiosqlite.Connection, batch: Batch) -> None:
    rejected = sum(each.times for each in batch.rejects)
    progress = (
        *(batch.now_ns, batch.state, batch.connections, batch.frames, batch.events, batch.row_count, rejected),
        *(batch.saturation, batch.last_event_ns, batch.run_id, batch.error),
    )
    await db.execute(sql("store/add_progress.sql"), progress)
