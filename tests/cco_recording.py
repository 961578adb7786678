"""A ledger that records from an emulated CCO, and what can be asked of both."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from cco_emulator import Emulator

from ccostdb.ingest.cco import ingest_cco
from ccostdb.ingest.outcome import Outcome
from ccostdb.settings import Settings
from ccostdb.store import open_store

QUICK = {
    "reconnect_initial_s": 0.02,
    "reconnect_max_s": 0.1,
    "stream_dead_after_s": 0.5,
    "stream_reopen_s": 0.4,
    "home_tz": "UTC",
}
FIELDS = ("timestamp", "event_type", "model", "tokens", "latency_ms", "status")


@cache
def empty_ledger() -> bytes:
    """Made once and copied: making one takes a process and a second."""

    async def make(db: Path) -> None:
        async with open_store(Settings(db=db, home_tz="UTC")):
            pass

    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "empty.db"
        asyncio.run(make(db))
        return db.read_bytes()


class Recording:
    """An emulator and the ledger of what it showed."""

    def __init__(self, db: Path, emulator: Emulator, con: sqlite3.Connection) -> None:
        self.db = db
        self.emulator = emulator
        self._con = con

    def settings(self, **more: Any) -> Settings:
        return Settings(**{"db": self.db, "cco_url": self.emulator.url, **QUICK, **more})

    def record(self, drive: Callable[[], None], **more: Any) -> Outcome:
        """Follows the stream for as long as `drive` takes in its own thread."""
        settings = self.settings(**more)

        async def run() -> Outcome:
            stop = asyncio.Event()
            async with open_store(settings) as store:
                following = asyncio.create_task(ingest_cco(store, settings, once=False, stop=stop))
                driving = asyncio.create_task(asyncio.to_thread(drive))
                await asyncio.wait((following, driving), return_when=asyncio.FIRST_COMPLETED)
                stop.set()
                await driving
                return await following

        return asyncio.run(run())

    def record_once(self, **more: Any) -> Outcome:
        settings = self.settings(**more)

        async def run() -> Outcome:
            async with open_store(settings) as store:
                return await ingest_cco(store, settings, once=True, stop=asyncio.Event())

        return asyncio.run(run())

    def drive_some(self, seed: int) -> Callable[[], None]:
        """For `record`: some events at a time, and more when they are stored."""
        chance = random.Random(seed)

        def drive() -> None:
            for _ in range(5):
                self.emulator.some(chance.randrange(1, 16), chance)
                self.wait_for_all()
                time.sleep(0.03)

        return drive

    # --- what is in the ledger

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._con.execute(query).fetchall()

    def one(self, query: str) -> Any:
        return self._con.execute(query).fetchone()[0]

    @property
    def calls(self) -> int:
        return int(self.one("select count(*) from call"))

    @property
    def missing(self) -> int:
        return int(self.one("select ifnull(sum(calls), 0) from gap"))

    @property
    def gaps(self) -> list[tuple[Any, ...]]:
        return self.rows("select kind, calls from gap order by gap_id")

    @property
    def stored(self) -> list[tuple[Any, ...]]:
        """Every event in the order of its place, as sent."""
        return self.rows(f"select {', '.join(FIELDS)}, cost_text from activity order by source_id, epoch, seq")

    @property
    def truth(self) -> list[tuple[Any, ...]]:
        """The same of all events that ever happened."""
        return [
            (*(event[name] for name in FIELDS), None if event["cost"] is None else json.dumps(event["cost"]))
            for event in self.emulator.events
        ]

    def wait_for(self, is_there: Callable[[], object], seconds: float = 10.0) -> None:
        """A condition that must come; the assertions after it say what did not."""
        until = time.monotonic() + seconds
        while not is_there() and time.monotonic() < until:
            time.sleep(0.01)

    def wait_for_all(self) -> None:
        self.wait_for(lambda: len(self.stored) >= len(self.emulator.events))


@contextmanager
def recording(folder: Path) -> Iterator[Recording]:
    """A new ledger, and an emulator that runs."""
    db = folder / "ledger.db"
    db.write_bytes(empty_ledger())
    with Emulator() as emulator, closing(_reader(db)) as con:
        yield Recording(db, emulator, con)


def _reader(db: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)
