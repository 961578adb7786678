"""A simulated CCO and sample transcripts, recorded the way real ones are. Nothing of the user's is read or written."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ccostdb import ingest
from ccostdb.demo.server import TICK_S, SimulatedCco
from ccostdb.demo.traffic import Event, make_traffic
from ccostdb.demo.transcripts import write_transcripts
from ccostdb.errors import BadArgument
from ccostdb.ingest.cco import ingest_cco
from ccostdb.lock import writing_lock
from ccostdb.schema import inspect, prepare, read_only_uri
from ccostdb.settings import Settings
from ccostdb.sources.transcript_files import find_files
from ccostdb.store import Store, open_store

LONGEST_S = 10.0  # for the stream; it takes about 1


class Transcripts(NamedTuple):
    """The calls that were written and into how many files, and the calls that the ledger has of them."""

    calls: int
    files: int
    recorded_calls: int


class Stream(NamedTuple):
    """The calls that the server counted, and what the ledger has of them."""

    calls: int
    recorded_calls: int
    missing_calls: int


class Demo(NamedTuple):
    """Where the ledger is, and what was recorded from where."""

    db: Path
    transcripts: Transcripts
    stream: Stream


def check(db: Path) -> None:
    """Raises BadArgument for a ledger that has a source and for a folder, NotOurs for what is no ledger."""
    hint = "The demo needs a ledger of its own: name a file that does not exist yet, or leave --db away."
    if db.is_dir():
        raise BadArgument(f"{db} is a folder.", hint)
    if inspect(Settings(db)).version and _count(db, "select count(*) from source"):
        raise BadArgument(f"{db} has been recorded into before.", hint)


def run(db: Path | None = None) -> Demo:
    """Records the demo into a new ledger: a temporary one, or the file `db`.

    `db` is one that `check` let pass. Raises KeyboardInterrupt when told to end, and then no file stays.
    """
    now_ns = time.time_ns()
    _heed_sigterm()
    with _new_ledger(db) as path, tempfile.TemporaryDirectory(prefix="ccostdb-demo-") as folder:
        # Both sources are counted: they are different work.
        settings = Settings(path, cco_counted=True, claude_paths=(Path(folder),))
        written = write_transcripts(Path(folder), now_ns)
        with writing_lock(path):
            prepare(settings)
        stream = _record_stream(settings, make_traffic(now_ns))
        return Demo(path, _record_transcripts(settings, len(written)), stream)


def _record_stream(settings: Settings, traffic: list[Event]) -> Stream:
    server = SimulatedCco(traffic)
    is_told = asyncio.run(_follow(settings, server, len(traffic)))
    _heed_sigterm()
    if is_told:
        raise KeyboardInterrupt
    calls = sum(event.is_call for event in traffic)
    recorded = _count(settings.db, "select count(*) from calls where source = 'cco'")
    missing = _count(settings.db, "select ifnull(sum(missing_calls), 0) from gaps")
    return Stream(calls, recorded, missing)


def _record_transcripts(settings: Settings, calls: int) -> Transcripts:
    (outcome,) = ingest.run(settings, ingest.Asked("claude-code", once=True))
    _heed_sigterm()
    if outcome.outcome == "stopped":
        raise KeyboardInterrupt
    recorded = _count(settings.db, "select count(*) from calls where source = 'claude-code'")
    return Transcripts(calls, len(find_files(settings.claude_paths)), recorded)


async def _follow(settings: Settings, server: SimulatedCco, events: int) -> bool:
    """Follows the server until so many events are in the ledger. Returns whether it was told to end before."""
    stop = asyncio.Event()
    ingest.stop_on_signals(stop)
    async with server.serving() as url, open_store(settings) as store:
        watching = asyncio.create_task(_stop_when_seen(store, events, stop))
        try:
            await ingest_cco(store, replace(settings, cco_url=url), once=False, stop=stop)
        finally:
            stop.set()
            is_told = not await watching
        await store.refresh()
    return is_told


async def _stop_when_seen(store: Store, events: int, stop: asyncio.Event) -> bool:
    """Sets `stop` when so many events are in the ledger, or time is out. False: somebody else has set it."""
    seen = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(LONGEST_S):
            while seen < events and not stop.is_set():
                await asyncio.sleep(TICK_S)
                async with store.db.execute("select count(*) from activity") as cursor:
                    ((seen,),) = await cursor.fetchall()
    is_ours = not stop.is_set()
    stop.set()
    return is_ours


@contextmanager
def _new_ledger(db: Path | None) -> Iterator[Path]:
    """A file to record into. Unless the demo gets to its end, what was made of it is removed again."""
    path = db or Path(tempfile.mkdtemp(prefix="ccostdb-demo-")) / "demo.db"
    is_new = not path.exists()
    try:
        yield path
    except BaseException:
        if is_new:
            for end in ("", "-journal", "-wal", "-shm", ".lock"):
                Path(f"{path}{end}").unlink(missing_ok=True)
        if db is None:
            path.parent.rmdir()
        raise


def _count(db: Path, query: str) -> int:
    with closing(sqlite3.connect(read_only_uri(db), uri=True)) as con:
        return int(con.execute(query).fetchone()[0])


def _heed_sigterm() -> None:
    """SIGTERM does what Ctrl-C does; to be said again after each loop, because one that ends resets the signal."""
    with suppress(ValueError):  # only the main thread may
        signal.signal(signal.SIGTERM, signal.default_int_handler)
