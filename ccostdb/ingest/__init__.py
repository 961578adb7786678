"""One pass: frames → events → rows → store, for every source that was asked for or found."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ccostdb.errors import SourceUnavailable
from ccostdb.ingest.files import ingest_claude_code
from ccostdb.ingest.outcome import Outcome, Progress
from ccostdb.settings import Settings
from ccostdb.sources.transcript_files import find_files
from ccostdb.store import Store, open_store

__all__ = ["SOURCES", "Outcome", "Progress", "run", "stop_on_signals"]

SOURCES = ("claude-code", "cco")
REFRESH_S = 60.0
LOOK_AGAIN_S = 60.0

OnProgress = Callable[[Progress], None] | None


def run(
    settings: Settings, sources: Sequence[str] | None = None, *, once: bool, on_progress: OnProgress = None
) -> list[Outcome]:
    """Records the named sources, or every one that is found: with `once` to their end, else until SIGINT or SIGTERM.

    Raises SourceUnavailable for a named source that is not there, StoreBusy where another process writes.
    """
    return asyncio.run(_Ingest(settings, once, on_progress).run(sources))


def stop_on_signals(stop: asyncio.Event) -> None:
    """Lets SIGINT and SIGTERM set `stop` while the running loop runs."""
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError, RuntimeError):  # Windows, or a thread that is not the main one
            asyncio.get_running_loop().add_signal_handler(number, stop.set)


class _Ingest:
    """What the sources of one process share."""

    def __init__(self, settings: Settings, once: bool, on_progress: OnProgress) -> None:
        self._settings = settings
        self._once = once
        self._on_progress = on_progress
        self._stop = asyncio.Event()

    async def run(self, named: Sequence[str] | None) -> list[Outcome]:
        stop_on_signals(self._stop)
        if named and self._once and "claude-code" in named and not find_files(self._settings.claude_paths):
            where = ", ".join(map(str, self._settings.claude_paths))
            hint = "Give a folder or file: ccostdb ingest claude-code PATH"
            raise SourceUnavailable(f"claude-code was not found: there are no transcripts at {where}.", hint)
        async with open_store(self._settings) as store:
            tasks = [self._guarded(self._one(store, source, is_named=bool(named))) for source in named or SOURCES]
            keeper = asyncio.create_task(self._refresh_now_and_then(store))
            results = await asyncio.gather(*tasks, return_exceptions=True)
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper
            if not self._stop.is_set():
                await store.refresh()
        for result in results:
            if isinstance(result, BaseException):
                raise result
        outcomes = [result for result in results if isinstance(result, Outcome)]
        if named and self._once and any(each.source == "cco" and each.outcome == "failed" for each in outcomes):
            hint = "Start CCO, or say where it answers: ccostdb ingest cco --cco-url URL"
            reason = next(each.error for each in outcomes if each.source == "cco")
            raise SourceUnavailable(f"cco was not found at {self._settings.cco_url}: {reason}.", hint)
        return outcomes

    async def _guarded(self, source: Coroutine[Any, Any, Outcome]) -> Outcome:
        """A source that fails stops the others in good order."""
        try:
            return await source
        except BaseException:
            self._stop.set()
            raise

    async def _one(self, store: Store, source: str, *, is_named: bool) -> Outcome:
        settings = self._settings if is_named else await self._found(source)
        if is_named and source == "cco" and "cco_url" not in self._settings.origins:
            settings = await self._found(source) or self._settings
        while settings is None:
            if self._once or self._stop.is_set() or await self._stopped_within(LOOK_AGAIN_S):
                return Outcome(source, "absent")
            settings = await self._found(source)
        if source == "claude-code":
            return await ingest_claude_code(
                store, settings, once=self._once, stop=self._stop, on_progress=self._on_progress
            )
        from ccostdb.ingest.streams import ingest_cco

        return await ingest_cco(store, settings, once=self._once, stop=self._stop)

    async def _found(self, source: str) -> Settings | None:
        """The settings with which a source can be read, None where it is not there."""
        if source == "claude-code":
            return self._settings if find_files(self._settings.claude_paths) else None
        from ccostdb.sources.cco_stream import find_url

        looking, stopping = asyncio.ensure_future(find_url(self._settings)), asyncio.ensure_future(self._stop.wait())
        await asyncio.wait((looking, stopping), return_when=asyncio.FIRST_COMPLETED)
        url = looking.result() if looking.done() else None
        for each in (looking, stopping):
            each.cancel()
        await asyncio.wait((looking, stopping))
        return replace(self._settings, cco_url=url) if url else None

    async def _refresh_now_and_then(self, store: Store) -> None:
        while not await self._stopped_within(REFRESH_S):
            await store.refresh()

    async def _stopped_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
        return self._stop.is_set()
