"""Daemon events on their way into the ledger: each once, whichever way it comes, and what contradicts it is shown.

`Rows` gathers what one pass has taken in and appends it in one transaction with its position.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from ccostdb.errors import Rejected
from ccostdb.ingest.outcome import Outcome
from ccostdb.model import Batch, DaemonEvent, Gap, Position, Reject
from ccostdb.settings import Settings
from ccostdb.sources.ccd import CONFLICT, MAX_EVENT_BYTES, conflict, parse
from ccostdb.store import Store

NAME = "ccd"
BATCH_EVENTS = 500
GATHER_S = 0.25


def event_max_bytes(settings: Settings) -> int:
    """How large an event may be: a frame of a stream, or a line."""
    return min(settings.frame_max_bytes, MAX_EVENT_BYTES)


def read_event(text: str, at_ns: int, settings: Settings, place: str | None = None) -> DaemonEvent | Reject:
    """What one text says, or why it says nothing. `place` is file:offset, None for a stream."""
    try:
        return parse(text, at_ns, settings)
    except Rejected as rejected:
        return Reject(at_ns, rejected.reason, rejected.excerpt, place)


@dataclass(slots=True)
class Rows:
    """The rows of one run. Whatever `append` is given is in the ledger when it returns, or none of it."""

    store: Store
    source_id: int
    run_id: int
    outcome: Outcome
    appended_s: float = field(default_factory=time.monotonic)

    async def append(
        self,
        taken: list[DaemonEvent | Reject],
        position: Position | None,
        *,
        frames: int,
        gaps: list[Gap] | None = None,
        longer_gap: Gap | None = None,
        connections: int = 0,
        state: str | None = None,
    ) -> None:
        """One transaction. An event that is known already changes nothing; where its content differs, it is a reject.

        A conflict counts once for each other content, so that reading the same again leaves the same rows.
        """
        rejects = [each for each in taken if isinstance(each, Reject)]
        events = [each for each in taken if isinstance(each, DaemonEvent)]
        new, others = await self._unknown(events)
        contradicting = await self._unseen(others)
        batch = Batch(
            self.source_id,
            self.run_id,
            time.time_ns(),
            daemon_events=[*new, *contradicting],
            gaps=gaps or [],
            longer_gap=longer_gap,
            rejects=[*rejects, *map(conflict, others)],
            positions=[position] if position else [],
            frames=frames,
            events=len(new),
            connections=connections,
            state=state,
            error=self.outcome.error,
            last_event_ns=max((each.occurred_ns or each.received_ns for each in new), default=None),
        )
        await self.store.append(batch)
        self.appended_s = time.monotonic()
        self.outcome.frames += frames
        self.outcome.events += len(new)
        self.outcome.rows += len(new)
        self.outcome.rejected += sum(each.times for each in batch.rejects)
        self.outcome.gaps += len(batch.gaps)

    async def _unknown(self, events: list[DaemonEvent]) -> tuple[list[DaemonEvent], list[DaemonEvent]]:
        """The events whose id is new, and those that say something else than the one that has their id."""
        ids = tuple({each.event_id for each in events})
        query = f"select event_id, content_sha256 from daemon_event where event_id in ({', '.join('?' * len(ids))})"
        known = {row[0]: row[1] for row in await self.store.db.execute_fetchall(query, ids)}
        new, others = [], []
        for event in events:
            if event.event_id not in known:
                known[event.event_id] = event.content_sha256
                new.append(event)
            elif known[event.event_id] != event.content_sha256:
                others.append(event)
        return new, others

    async def _unseen(self, others: list[DaemonEvent]) -> list[DaemonEvent]:
        """Of contradicting events those whose content was not counted before, once each."""
        by_excerpt = {conflict(each).excerpt: each for each in others}
        query = "select excerpt from rejected where reason = ? and place is null and excerpt in "
        query += f"({', '.join('?' * len(by_excerpt))})"
        rows = await self.store.db.execute_fetchall(query, (CONFLICT, *by_excerpt)) if by_excerpt else ()
        seen = {row[0] for row in rows}
        return [event for excerpt, event in by_excerpt.items() if excerpt not in seen]
