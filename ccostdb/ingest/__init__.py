"""One pass: frames → events → rows → store, for every source that was asked for or found.

`SOURCES` says of each how it is looked for, how it is read, and where it is looked for.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ccostdb.errors import SourceUnavailable
from ccostdb.ingest.outcome import Outcome, Progress
from ccostdb.settings import Settings
from ccostdb.sources.open_files import CAN_FOLLOW
from ccostdb.sources.transcript_files import has_files
from ccostdb.stopping import stopped_within, unless
from ccostdb.store import Store, open_store

__all__ = ["SOURCES", "Asked", "Outcome", "Progress", "record", "run", "stop_on_signals"]

LOOK_AGAIN_S = 60.0

OnProgress = Callable[[Progress], None] | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a process is to record: the named source, or every one that is found; `path`: what `ccd` is read from."""

    source: str | None = None
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
    is_found = CAN_FOLLOW and await asyncio.to_thread(has_files, settings.claude_paths)
    return settings if is_found else None


async def _read_transcripts(store: Store, settings: Settings, stop: asyncio.Event, asked: Asked) -> Outcome:
    from ccostdb.ingest.claude_code import ingest_claude_code

    return await ingest_claude_code(
        store,
        settings,
        once=asked.once,
        stop=stop,
        on_progress=asked.on_progress,
        is_alone=asked.once and asked.source is not None,
    )


async def _find_cco(settings: Settings) -> Settings | None:
    from ccostdb.sources.finding import find_cco

    return await find_cco(settings)


async def _read_cco(store: Store, settings: Settings, stop: asyncio.Event, asked: Asked) -> Outcome:
    from ccostdb.ingest.cco import ingest_cco

    return await ingest_cco(store, settings, once=asked.once, stop=stop)


async def _find_ccd(settings: Settings) -> Settings | None:
    from ccostdb.sources.finding import find_ccd

    return await find_ccd(settings)


async def _read_ccd(store: Store, settings: Settings, stop: asyncio.Event, asked: Asked) -> Outcome:
    from ccostdb.ingest.ccd import ingest_ccd

    return await ingest_ccd(store, settings, once=asked.once, stop=stop, path=asked.path)


async def _find_cca(settings: Settings) -> Settings | None:
    from ccostdb.sources.finding import find_cca

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


def run(settings: Settings, asked: Asked) -> list[Outcome]:
    """Records what is asked, to its end; SIGINT and SIGTERM end it before.

    Raises SourceUnavailable for a named source that is not there, StoreBusy where another process writes.
    What keeps running, with a schedule, is `daemon.run`.
    """
    return asyncio.run(_run(settings, asked))


async def _run(settings: Settings, asked: Asked) -> list[Outcome]:
    stop = asyncio.Event()
    stop_on_signals(stop)
    if asked.once:
        _refuse_absent_files(settings, asked)
    async with open_store(settings) as store:
        outcomes = await record(store, settings, asked, stop)
        if not stop.is_set():
            await store.refresh()
    for outcome in outcomes if asked.source and asked.once else ():
        if outcome.outcome == "failed" and asked.path is None:
            source = SOURCES[outcome.source]
            went = "answers, but not to us, at" if outcome.hint else "was not found at"
            message = f"{outcome.source} {went} {source.place(settings)}: {outcome.error}."
            raise SourceUnavailable(message, outcome.hint or source.hint)
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

    if not CAN_FOLLOW and (asked.source == "claude-code" or asked.path is not None):
        message = "On Windows neither transcripts nor other files nor stdin can be recorded."
        raise SourceUnavailable(message, "Streams can: ccostdb ingest cco, ccd or cca, without a file.")
    await _sync_budgets(store, settings)
    if asked.source:
        sources = [_record_one(SOURCES[asked.source], store, settings, asked, stop)]
    else:
        sources = [_record_found(name, store, settings, asked, stop) for name in SOURCES]
    outcomes = []
    for result in await asyncio.gather(*map(guarded, sources), return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
        outcomes.append(result)
    return outcomes


async def _sync_budgets(store: Store, settings: Settings) -> None:
    """Where there is any: what reads them takes as long to import as a small transcript to record."""
    if settings.user_budgets or await store.db.execute_fetchall("select 1 from budget limit 1"):
        from ccostdb.budgets import sync

        await sync(store, settings, time.time_ns())


def _refuse_absent_files(settings: Settings, asked: Asked) -> None:
    """Before a ledger is made: named files that are not there."""
    if asked.path not in (None, "-") and not Path(str(asked.path)).exists():
        raise SourceUnavailable(f"ccd was not found: there is no file {asked.path}.", SOURCES["ccd"].hint)
    if asked.source == "claude-code" and not has_files(settings.claude_paths):
        source = SOURCES["claude-code"]
        where = source.place(settings)
        raise SourceUnavailable(f"claude-code was not found: there are no transcripts at {where}.", source.hint)


async def _record_one(source: Source, store: Store, settings: Settings, asked: Asked, stop: asyncio.Event) -> Outcome:
    """A source that was named. It does its own waiting; where no address is set, one that answers is taken."""
    if asked.path is None and source.address and source.address not in settings.origins:
        found = await unless(stop, source.find(settings))
        settings = found or settings
    return await source.read(store, settings, stop, asked)


async def _record_found(name: str, store: Store, settings: Settings, asked: Asked, stop: asyncio.Event) -> Outcome:
    """A source from the moment that it is there. One that was never looked for to the end is not said to be absent."""
    source, without = SOURCES[name], "stopped"
    while (found := await unless(stop, source.find(settings))) is None:
        without = without if stop.is_set() else "absent"
        if asked.once or await stopped_within(stop, LOOK_AGAIN_S):
            return Outcome(name, without)
    return await source.read(store, found, stop, asked)
