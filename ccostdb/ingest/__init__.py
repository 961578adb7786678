"""One pass: frames → events → rows → store, for every source that was asked for or found.

`SOURCES` is all there is to know here of a source: how it is looked for, how it is read, where it is looked for.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ccostdb.budgets import sync
from ccostdb.errors import SourceUnavailable
from ccostdb.ingest.outcome import Outcome, Progress
from ccostdb.settings import Settings
from ccostdb.sources.transcript_files import find_files
from ccostdb.store import Store, open_store

__all__ = ["SOURCES", "Asked", "Outcome", "Progress", "record", "run", "stop_on_signals"]

LOOK_AGAIN_S = 60.0

OnProgress = Callable[[Progress], None] | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a process is to record: the named sources, or every one that is found; `path`: what `ccd` is read from."""

    sources: Sequence[str] | None = None
    path: str | None = None
    once: bool = False
    on_progress: OnProgress = None


class Source(NamedTuple):
    """One source. The module behind it is imported when it is looked for.

    `find` gives the settings with which it can be read, None where it is not there; `place` is where that is.
    `address` is the setting of its address: where a person has set it, a source that was named is not looked for.
    """

    find: Callable[[Settings], Awaitable[Settings | None]]
    read: Callable[[Store, Settings, asyncio.Event, Asked], Awaitable[Outcome]]
    place: Callable[[Settings], str]
    address: str | None
    hint: str


async def _find_transcripts(settings: Settings) -> Settings | None:
    return settings if await asyncio.to_thread(find_files, settings.claude_paths) else None


async def _read_transcripts(store: Store, settings: Settings, stop: asyncio.Event, asked: Asked) -> Outcome:
    from ccostdb.ingest.claude_code import ingest_claude_code

    return await ingest_claude_code(store, settings, once=asked.once, stop=stop, on_progress=asked.on_progress)


async def _find_cco(settings: Settings) -> Settings | None:
    from dataclasses import replace

    from ccostdb.sources.cco_stream import find_url

    url = await find_url(settings)
    return replace(settings, cco_url=url) if url else None


async def _read_cco(store: Store, settings: Settings, stop: asyncio.Event, asked: Asked) -> Outcome:
    from ccostdb.ingest.cco import ingest_cco

    return await ingest_cco(store, settings, once=asked.once, stop=stop)


async def _find_ccd(settings: Settings) -> Settings | None:
    from ccostdb.ingest.ccd import find_ccd

    return await find_ccd(settings)


async def _read_ccd(store: Store, settings: Settings, stop: asyncio.Event, asked: Asked) -> Outcome:
    from ccostdb.ingest.ccd import ingest_ccd

    return await ingest_ccd(store, settings, once=asked.once, stop=stop, path=asked.path)


async def _find_cca(settings: Settings) -> Settings | None:
    from ccostdb.ingest.cca import find_cca

    return await find_cca(settings)


async def _read_cca(store: Store, settings: Settings, stop: asyncio.Event, asked: Asked) -> Outcome:
    from ccostdb.ingest.cca import ingest_cca

    return await ingest_cca(store, settings, once=asked.once, stop=stop)


SOURCES = {
    "claude-code": Source(
        _find_transcripts,
        _read_transcripts,
        lambda settings: ", ".join(map(str, settings.claude_paths)),
        None,
        "Give a folder or file: ccostdb ingest claude-code PATH",
    ),
    "cco": Source(
        _find_cco,
        _read_cco,
        lambda settings: settings.cco_url,
        "cco_url",
        "Start CCO, or say where it answers: ccostdb ingest cco --cco-url URL",
    ),
    "ccd": Source(
        _find_ccd,
        _read_ccd,
        lambda settings: settings.ccd_url.partition("?")[0],  # what follows may be a key
        "ccd_url",
        "Start CCD, or say where its events are: ccostdb ingest ccd --ccd-url URL, or ccostdb ingest ccd FILE",
    ),
    "cca": Source(
        _find_cca,
        _read_cca,
        lambda settings: settings.cca_url,
        "cca_url",
        "Start CCA, or say where it answers: ccostdb ingest cca --cca-url URL",
    ),
}


def run(
    settings: Settings,
    sources: Sequence[str] | None = None,
    *,
    once: bool = True,
    path: str | None = None,
    on_progress: OnProgress = None,
) -> list[Outcome]:
    """Records the named sources, or every one that is found, to their end; SIGINT and SIGTERM end it before.

    Raises SourceUnavailable for a named source that is not there, StoreBusy where another process writes.
    What keeps running, with a schedule, is `daemon.run`.
    """
    return asyncio.run(_run(settings, Asked(sources, path, once, on_progress)))


async def _run(settings: Settings, asked: Asked) -> list[Outcome]:
    stop = asyncio.Event()
    stop_on_signals(stop)
    if asked.once:
        _refuse_absent_files(settings, asked)
    async with open_store(settings) as store:
        outcomes = await record(store, settings, asked, stop)
        if not stop.is_set():
            await store.refresh()
    for outcome in outcomes if asked.sources and asked.once else ():
        if outcome.outcome == "failed" and asked.path is None:
            source = SOURCES[outcome.source]
            message = f"{outcome.source} was not found at {source.place(settings)}: {outcome.error}."
            raise SourceUnavailable(message, source.hint)
    return outcomes


def stop_on_signals(stop: asyncio.Event) -> None:
    """Lets SIGINT and SIGTERM set `stop` while the running loop runs."""
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError, RuntimeError):  # Windows, or a thread that is not the main one
            asyncio.get_running_loop().add_signal_handler(number, stop.set)


async def record(store: Store, settings: Settings, asked: Asked, stop: asyncio.Event) -> list[Outcome]:
    """Records until every source is at its end, or `stop`. One that fails stops the others in good order."""

    async def guarded(source: Coroutine[Any, Any, Outcome]) -> Outcome:
        try:
            return await source
        except BaseException:
            stop.set()
            raise

    await sync(store, settings, time.time_ns())
    sources = [_Recording(store, settings, asked, stop).one(name) for name in asked.sources or SOURCES]
    results = await asyncio.gather(*map(guarded, sources), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if isinstance(result, Outcome)]


def _refuse_absent_files(settings: Settings, asked: Asked) -> None:
    """Before a ledger is made: named files that are not there."""
    if asked.path not in (None, "-") and not Path(str(asked.path)).exists():
        raise SourceUnavailable(f"ccd was not found: there is no file {asked.path}.", SOURCES["ccd"].hint)
    if asked.sources and "claude-code" in asked.sources and not find_files(settings.claude_paths):
        source = SOURCES["claude-code"]
        where = source.place(settings)
        raise SourceUnavailable(f"claude-code was not found: there are no transcripts at {where}.", source.hint)


class _Recording:
    """What the sources of one process share."""

    def __init__(self, store: Store, settings: Settings, asked: Asked, stop: asyncio.Event) -> None:
        self._store = store
        self._settings = settings
        self._asked = asked
        self._stop = stop

    async def one(self, name: str) -> Outcome:
        """One source, from the moment that it is there. One that was named does its own waiting."""
        source, asked, settings = SOURCES[name], self._asked, self._settings
        if not asked.sources:
            found = await self._found(source)
            while found is None:
                if asked.once or await self._stopped_within(LOOK_AGAIN_S):
                    return Outcome(name, "absent")
                found = await self._found(source)
            settings = found
        elif asked.path is None and source.address and source.address not in settings.origins:
            settings = await self._found(source) or settings
        return await source.read(self._store, settings, self._stop, asked)

    async def _found(self, source: Source) -> Settings | None:
        """What `find` gives; None as soon as we are told to stop."""
        looking, stopping = asyncio.ensure_future(source.find(self._settings)), asyncio.ensure_future(self._stop.wait())
        await asyncio.wait((looking, stopping), return_when=asyncio.FIRST_COMPLETED)
        found = looking.result() if looking.done() else None
        for each in (looking, stopping):
            each.cancel()
        await asyncio.wait((looking, stopping))
        return found

    async def _stopped_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
        return self._stop.is_set()
