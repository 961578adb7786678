"""A ledger that records daemon events, and what can be asked of it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ccd_emulator import Ccd, emulated
from cco_recording import empty_ledger

from ccostdb.ingest.ccd import ingest_ccd
from ccostdb.ingest.outcome import Outcome
from ccostdb.settings import Settings
from ccostdb.store import open_store

QUICK: dict[str, Any] = {
    "reconnect_initial_s": 0.02,
    "reconnect_max_s": 0.05,
    "follow_interval_s": 0.02,
    "home_tz": "UTC",
}


class Recording:
    """A ledger, an emulated daemon, and a file of events."""

    def __init__(self, folder: Path, ccd: Ccd, con: sqlite3.Connection) -> None:
        self.db = folder / "ledger.db"
        self.file = folder / "events.ndjson"
        self.ccd = ccd
        self._con = con

    def record(self, drive: Callable[[], None] | None = None, path: Path | str | None = None, **more: Any) -> Outcome:
        """Follows for as long as `drive` takes in its own thread; without it, once."""
        settings = Settings(**{"db": self.db, "ccd_url": self.ccd.url, **QUICK, **more})
        named = None if path is None else str(path)

        async def run() -> Outcome:
            stop = asyncio.Event()
            async with open_store(settings) as store:
                if drive is None:
                    return await ingest_ccd(store, settings, once=True, stop=stop, path=named)
                following = asyncio.create_task(ingest_ccd(store, settings, once=False, stop=stop, path=named))
                driving = asyncio.create_task(asyncio.to_thread(drive))
                await asyncio.wait((following, driving), return_when=asyncio.FIRST_COMPLETED)
                stop.set()
                await driving
                return await following

        self.ccd.hang_up()  # on those that an earlier pass has left
        return asyncio.run(run())

    def write(self, *events: Mapping[str, Any]) -> None:
        """Lines at the end of the file."""
        with self.file.open("a", encoding="utf-8") as file:
            file.write(lines(events))

    def rows(self, query: str, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        return self._con.execute(query, values or {}).fetchall()

    def one(self, query: str) -> Any:
        return self._con.execute(query).fetchone()[0]

    @property
    def ids(self) -> list[str]:
        return [row[0] for row in self.rows("select event_id from daemon_event order by daemon_event_id")]

    @property
    def gaps(self) -> list[tuple[Any, ...]]:
        return self.rows("select kind, calls, cost_nusd, events from gap order by gap_id")

    def wait_for(self, is_there: Callable[[], object], seconds: float = 10.0) -> None:
        """A condition that must come; the assertions after it say what did not."""
        until = time.monotonic() + seconds
        while not is_there() and time.monotonic() < until:
            time.sleep(0.005)

    def wait_for_listener(self) -> None:
        self.wait_for(lambda: self.ccd.listeners == 1)

    def wait_for_events(self, count: int) -> None:
        self.wait_for(lambda: len(self.ids) >= count)


def lines(events: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events)


@contextmanager
def recording(folder: Path) -> Iterator[Recording]:
    """A new ledger, and a daemon that runs."""
    db = folder / "ledger.db"
    db.write_bytes(empty_ledger())
    uri = f"{db.as_uri()}?mode=ro"
    with (
        emulated() as ccd,
        closing(sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)) as con,
    ):
        yield Recording(folder, ccd, con)
