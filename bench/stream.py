"""Prints how many events of CCO one core takes in a second, through framing, parsing, windows and store."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from ccostdb.frames import SseFramer
from ccostdb.ledger import call_of_activity
from ccostdb.model import Batch, Position, SseEvent
from ccostdb.settings import Settings
from ccostdb.sources import cco
from ccostdb.store import open_store
from ccostdb.windows import WindowState, step

FRAMES, FRESH = 1_000, 20
START_S = 1_786_536_000


def stamp(number: int) -> str:
    seconds, rest = divmod(number, 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(START_S + seconds)) + f".{rest:03d}000001+00:00"


def stream() -> Iterator[bytes]:
    """Frames of 20 new events each, a millisecond apart: a thousand events a second."""
    for frame in range(1, FRAMES + 1):
        last = frame * FRESH
        activity = [
            {"timestamp": stamp(number), "event_type": "api_call", "agent_name": None, "model": "claude-opus-4",
             "tokens": 150, "latency_ms": 3, "status": "success", "cost": 0.00525}
            for number in range(last - FRESH, last)
        ]  # fmt: skip
        body = {
            "project": {"name": "x", "cost": last * 0.00525, "tokens": 0, "calls": last, "last_updated": stamp(last)},
            "machine": {"cpu": "N/A", "memory": "N/A", "uptime": last // 1000, "process_count": 1},
            "activity": activity,
        }
        yield f"event: analytics\ndata: {json.dumps(body)}\n\n".encode()


async def record(db: Path) -> float:
    """The CPU seconds that all frames take, each in a transaction of its own, as it is when they come live."""
    chunks = list(stream())
    async with open_store(Settings(db=db, home_tz="UTC")) as store:
        source_id = await store.source_id("cco", "http://bench")
        run_id = await store.start_run(source_id, START_S * 10**9, "connected")
        framer, window, position = SseFramer(), WindowState(), Position(store.new_position_id(), "")
        began_s = time.process_time()
        for chunk in chunks:
            for event in framer.feed(chunk):
                if not isinstance(event, SseEvent):
                    raise SystemExit("a frame of the bench was refused")
                snapshot = cco.parse(event, START_S * 10**9)
                done = step(window, snapshot)
                window, position.state = done.state, done.state.to_json()
                calls = [call_of_activity(source_id, each, snapshot.received_ns) for each in done.new]
                batch = Batch(source_id, run_id, snapshot.received_ns, activities=list(done.new), positions=[position])
                batch.calls = [call for call in calls if call is not None]
                await store.append(batch)
        await store.refresh()
        spent_s = time.process_time() - began_s
        async with store.db.execute("select count(*) from call") as cursor:
            if await cursor.fetchone() != (FRAMES * FRESH,):
                raise SystemExit("the bench lost events")
    return spent_s


if __name__ == "__main__":
    print(
        f"thousand events of CCO a second of CPU {FRAMES * FRESH / asyncio.run(record(Path(sys.argv[1]))) / 1000:.2f}"
    )
